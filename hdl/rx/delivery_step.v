// delivery_step: one step of the delivery algorithm as a function, combinational.
//
// Why a block: the rules alone, without memories and handshakes; what it reads is all it may know.
//
// s_kind and the argument ports name the event; CONTINUE goes on with the rest of a frame piece (`s_rest`) or does
// the first work that applies, `m_idle` = there is none. s_dcb, s_req (head of the request ring), s_node (head of
// the pool list, or of the out-of-order list named by s_list: next, offset, length, psh) and s_free_head (next free
// pool buffer) are the state read. A node keeps the PSH of what came into its buffer, for the request that takes it.
// s_gone, s_join, s_slot, s_skip: what a HOLD or DELIVER leaves to do with out-of-order lists behind its last piece;
// `s_ooo`: this CONTINUE does it, with list s_list (ooo_pick). The FIN mark waits for it (`s_fin_owed`).
// s_fwd: the piece is one of a forwarded segment, at s_src in host memory (s_offset: bytes of it handled so far); its
// places are copies, and behind the last one a CONTINUE (`s_owed`) carries the completion of the FORWARD.
// Results: the state after (m_dcb), at most one action (m_plq), writes of one request, one node, one list link (two for
// a HOLD between two buffers), one pop and one push of the free queue, bytes consumed and credits returned.
// Rules W-1 to W-10, J-1 to J-3 and events as in docs/contract/delivery_step.md. An emptied list has head and tail 0.
`include "chimney_layout.vh"
`default_nettype none

module delivery_step (
    input  wire [3:0]              s_kind,
    input  wire [7:0]              s_gen,          // generation of the event
    input  wire [15:0]             s_conn,
    input  wire [31:0]             now,
    input  wire [63:0]             pool_base,
    input  wire [7:0]              ring_size,      // requests a ring holds
    // frame piece: DELIVER, or its rest in CONTINUE
    input  wire                    s_rest,
    input  wire [31:0]             s_arrival,
    input  wire [15:0]             s_offset,
    input  wire [15:0]             s_len,
    input  wire                    s_psh,
    input  wire                    s_fin,
    input  wire                    s_fwd,
    input  wire                    s_owed,         // CONTINUE: the completion of a FORWARD is due
    input  wire [63:0]             s_src,
    input  wire [63:0]             s_fwd_cookie,
    input  wire [15:0]             s_fwd_index,
    // out-of-order lists
    input  wire                    s_ooo,
    input  wire [2:0]              s_list,
    input  wire [7:0]              s_gone,
    input  wire                    s_join,
    input  wire [2:0]              s_slot,
    input  wire [15:0]             s_skip,
    input  wire                    s_fin_owed,
    // other messages and commands
    input  wire [`DLV_MSG_W-1:0]   s_msg,
    input  wire [`SQE_W-1:0]       s_sqe,
    input  wire [15:0]             s_sq_index,
    // state
    input  wire [`DCB_W-1:0]       s_dcb,
    input  wire [`RCV_REQ_W-1:0]   s_req,
    input  wire [`POOL_NODE_W-1:0] s_node,
    input  wire [15:0]             s_free_head,

    output wire                    m_idle,
    output wire [`DCB_W-1:0]       m_dcb,
    output wire                    m_plq_valid,
    output wire [`PLQ_W-1:0]       m_plq,
    output wire [31:0]             m_consumed,
    output wire                    m_flush,        // a request was completed, an answer consumed bytes, FLUSH
    output wire [4:0]              m_credit_ret,
    output wire                    m_rest,         // a frame piece has bytes left
    output wire [15:0]             m_rest_offset,
    output wire [15:0]             m_rest_len,
    output wire                    m_owed,         // the last piece of a forwarded segment was handled
    output wire                    m_fwd,          // the COPY of m_plq is one of a forwarded segment
    output wire                    m_fin_owed,     // the FIN mark waits for the lists
    output wire [7:0]              m_gone,         // s_gone, s_join and s_skip of the next CONTINUE
    output wire                    m_join,
    output wire [15:0]             m_skip,
    output wire                    m_req_we,       // s_sqe goes to ring position m_req_index
    output wire [7:0]              m_req_index,    // not yet modulo the ring size
    output wire                    m_node_we,
    output wire [15:0]             m_node_addr,
    output wire [15:0]             m_node_offset,
    output wire [15:0]             m_node_length,
    output wire                    m_node_psh,
    output wire                    m_link_we,      // next[m_link_addr] = m_link_data
    output wire [15:0]             m_link_addr,
    output wire [15:0]             m_link_data,
    output wire                    m_link2_we,
    output wire [15:0]             m_link2_addr,
    output wire [15:0]             m_link2_data,
    output wire                    m_free_pop,
    output wire                    m_free_push,    // of buffer m_free_index
    output wire [15:0]             m_free_index
);

    // ---- the state read, by name
    wire        loaded     = s_dcb[`DCB_LOADED];
    wire        hold       = s_dcb[`DCB_HOLD];
    wire        frozen     = s_dcb[`DCB_FROZEN];
    wire        aborted    = s_dcb[`DCB_ABORTED];
    wire        d          = s_dcb[`DCB_D];
    wire        fin_mark   = s_dcb[`DCB_FIN_MARK];
    wire        fin_done   = s_dcb[`DCB_FIN_DONE];
    wire [15:0] token      = s_dcb[`DCB_TOKEN];
    wire [31:0] filled     = s_dcb[`DCB_REQ_FILLED];
    wire [7:0]  req_count  = s_dcb[`DCB_REQ_COUNT];
    wire [7:0]  req_head   = s_dcb[`DCB_REQ_HEAD];
    wire [15:0] list_head  = s_dcb[`DCB_LIST_HEAD];
    wire [15:0] list_tail  = s_dcb[`DCB_LIST_TAIL];
    wire [15:0] list_count = s_dcb[`DCB_LIST_COUNT];
    wire [63:0] freeze_addr = s_dcb[`DCB_FREEZE_ADDR];
    wire [31:0] req_len    = s_req[`RCV_REQ_LENGTH];
    wire        nopush     = s_req[`RCV_REQ_NOPUSH];
    wire        prefilled  = s_req[`RCV_REQ_PREFILL];      // bytes were in the buffer when it was posted
    wire [15:0] node_off   = s_node[`POOL_NODE_OFFSET];
    wire [15:0] node_len   = s_node[`POOL_NODE_LENGTH];
    wire        node_psh   = s_node[`POOL_NODE_PSH_LSB];

    wire        has_req  = req_count != 8'd0;
    wire        has_list = list_count != 16'd0;
    wire        one_node = list_count == 16'd1;
    wire        req_zero = req_len == 32'd0;
    wire [31:0] room     = req_len - filled;
    wire        same_gen    = loaded && s_dcb[`DCB_GEN] == s_gen;
    wire        ending   = frozen || aborted;              // requests are given back, not filled
    wire        ready    = !d && !hold && !ending;
    wire [31:0] deadline = now + s_dcb[`DCB_PUSH_TICKS];
    wire [31:0] overdue  = now - s_dcb[`DCB_PUSH_DEADLINE];    // negative: not due
    wire [7:0]  stopped  = aborted ? `STATUS_ABORTED : `STATUS_UPLOAD;

    // ---- which event, which work
    wire ev_continue = s_kind == `DLV_EVT_CONTINUE;
    wire ev_piece    = (s_kind == `DLV_EVT_DELIVER && same_gen) || (ev_continue && s_rest);
    wire ev_hold     = s_kind == `DLV_EVT_HOLD && same_gen;
    wire ev_receive  = s_kind == `DLV_EVT_RECEIVE;
    wire ev_answer   = s_kind == `DLV_EVT_ANSWER;
    wire ev_resume   = s_kind == `DLV_EVT_RESUME;
    wire ev_load     = s_kind == `DLV_EVT_LOAD;
    wire ev_start    = s_kind == `DLV_EVT_START && same_gen;
    wire ev_notify   = s_kind == `DLV_EVT_NOTIFY && same_gen;
    wire ev_update   = s_kind == `DLV_EVT_UPDATE && same_gen;
    wire ev_flush    = s_kind == `DLV_EVT_FLUSH && same_gen;
    wire ev_freeze   = s_kind == `DLV_EVT_FREEZE && same_gen;
    wire ev_timer    = s_kind == `DLV_EVT_TIMER && same_gen && s_dcb[`DCB_PUSH_ON] && !overdue[31];

    wire tidy     = ev_continue && s_ooo;                  // J-1 to J-3, W-5a
    wire ev_owed  = ev_continue && !s_ooo && s_owed;
    wire may_work = ev_continue && !s_rest && !s_ooo && !s_owed && loaded && !d && (!hold || ending);
    wire running  = may_work && !ending;
    wire emptying = may_work && ending;
    wire w2_ok    = has_list && has_req && !req_zero && !aborted;

    wire w1 = running && has_req && req_zero;
    wire w2 = may_work && !w1 && w2_ok;
    wire w3 = running && has_list && !has_req && !s_dcb[`DCB_REFUSED];
    wire w4 = running && fin_mark && !fin_done && !has_list && has_req && !w1;
    wire w5 = running && fin_mark && !fin_done && !has_list && !has_req;
    wire w10 = running && has_req && !w1 && !w2 && !w4 && !nopush && prefilled && !s_dcb[`DCB_PUSH_ON];
    wire w6 = emptying && !w2 && has_req;
    wire wl = emptying && !has_req && has_list;            // one buffer of the list: W-7 or W-8
    wire w7 = wl && (aborted || freeze_addr == 64'd0);
    wire w8 = wl && !w7;
    wire w9 = emptying && frozen && !has_req && !has_list;

    assign m_idle = ev_continue && !s_rest && !s_ooo && !s_owed && !(w1 || w2 || w3 || w4 || w5 || w10 || w6 || wl || w9);

    // ---- frame pieces
    wire        bytes   = ev_piece && s_len != 16'd0;
    wire        to_req  = bytes && ready && !has_list && has_req;
    wire        zero    = to_req && req_zero;              // complete it first, the piece waits
    wire        direct  = to_req && !req_zero;
    wire        pool    = bytes && !to_req;
    wire        ends    = {16'd0, s_len} <= room;
    wire [15:0] put_len = ends ? s_len : room[15:0];
    wire        handled = (ev_piece && s_len == 16'd0) || pool || (direct && ends);

    // ---- out-of-order lists
    wire        skips    = s_skip >= node_len;
    wire        is_gone  = s_gone[s_list];
    wire        joins    = s_join && !is_gone && s_list == s_slot;     // else the list is given back
    wire        move     = tidy && joins && !skips;                    // J-3
    wire        give     = tidy && !move;
    wire        into     = pool || ev_hold;                            // a piece goes to a new buffer
    wire [15:0] first, last, length;                                   // of list s_list
    wire [`DCB_OOO_USED_W-1:0]  ooo_used;
    wire [`DCB_OOO_HEAD_W-1:0]  ooo_head;
    wire [`DCB_OOO_TAIL_W-1:0]  ooo_tail;
    wire [`DCB_OOO_COUNT_W-1:0] ooo_count;
    wire        hold_link_we;
    wire [15:0] hold_link_addr, hold_link_data;

    ooo_lists lists (
        .s_used(s_dcb[`DCB_OOO_USED]), .s_head(s_dcb[`DCB_OOO_HEAD]), .s_tail(s_dcb[`DCB_OOO_TAIL]),
        .s_count(s_dcb[`DCB_OOO_COUNT]),
        .s_add(ev_hold), .s_app(s_msg[`DLV_MSG_APP]), .s_pre(s_msg[`DLV_MSG_PRE]), .s_slot(s_msg[`DLV_MSG_SLOT]),
        .s_slot2(s_msg[`DLV_MSG_SLOT2]), .s_buffer(s_free_head),
        .s_pop(give), .s_move(move), .s_list(s_list), .s_next(s_node[`POOL_NODE_NEXT]),
        .m_used(ooo_used), .m_head(ooo_head), .m_tail(ooo_tail), .m_count(ooo_count),
        .m_first(first), .m_last(last), .m_length(length),
        .m_link_we(hold_link_we), .m_link_addr(hold_link_addr), .m_link_data(hold_link_data),
        .m_link2_we(m_link2_we), .m_link2_addr(m_link2_addr), .m_link2_data(m_link2_data)
    );

    wire heeded    = ev_piece || ev_hold || ev_continue;               // the message is of this connection
    wire more      = (s_gone & ooo_used) != 8'd0 || (m_join && ooo_used[s_slot]);
    wire fin_comes = (handled && s_fin) || (tidy && s_fin_owed);

    assign m_gone     = heeded ? s_gone : 8'd0;
    assign m_join     = heeded && s_join && !move;
    assign m_skip     = (give && joins) ? s_skip - node_len : s_skip;
    assign m_fin_owed = fin_comes && more;

    // ---- copies from the list
    wire        empties  = {16'd0, node_len} <= room;
    wire [15:0] copy_len = empties ? node_len : room[15:0];

    // ---- a command that posts a request
    localparam NOPUSH = 0, PREFILL = 1;                    // positions inside sqe.flags
    wire [7:0] cmd_flags = s_sqe[`SQE_FLAGS];
    wire receive   = ev_receive && same_gen;
    wire ring_full = req_count >= ring_size;
    wire enqueue   = receive && !fin_done && !ending && !ring_full;
    wire waits     = enqueue && cmd_flags[PREFILL] && !cmd_flags[NOPUSH] && !hold && !s_dcb[`DCB_PUSH_ON];

    // ---- the head request after a piece or a copy
    wire [31:0] filled_now = filled + {16'd0, direct ? put_len : copy_len};
    wire        adds       = direct || w2;
    wire        full       = adds && filled_now == req_len;
    wire        pushed     = direct && !full && !nopush && s_psh;
    wire        emptied    = w2 && empties && !full && !nopush && !frozen;
    wire        pushed_now = emptied && node_psh;
    wire        arm        = waits || w10 || (direct && !full && !nopush && !s_psh)
                           || (emptied && !node_psh && one_node);

    // ---- commands
    wire bad_state  = (ev_receive || ev_answer || ev_resume) && !same_gen;
    wire answer     = ev_answer && same_gen;
    wire [31:0] taken = s_sqe[`SQE_LENGTH];
    wire bad_token  = answer && (!d || s_sqe[`SQE_ARG_LSB +: 16] != token);
    wire bad_length = answer && !bad_token && taken > {16'd0, node_len};
    wire accepted   = answer && !bad_token && !bad_length;
    wire all_taken  = accepted && taken == {16'd0, node_len};
    wire part_taken = accepted && !all_taken;
    wire refused    = bad_state || bad_token || bad_length || (receive && !enqueue);

    reg [7:0] refusal;
    always @* begin
        refusal = `STATUS_NO_RESOURCES;
        if (bad_state)                refusal = `STATUS_BAD_STATE;
        else if (bad_token)           refusal = `STATUS_BAD_TOKEN;
        else if (bad_length)          refusal = `STATUS_BAD_LENGTH;
        else if (receive && fin_done && !aborted) refusal = `STATUS_INVALID_STATE;
        else if (receive && ending)   refusal = stopped;
    end

    // ---- completion of the head request
    wire timed_out = ev_timer && !ending && has_req && !nopush && (filled != 32'd0 || prefilled);
    wire complete  = zero || w1 || w4 || w6 || full || pushed || pushed_now || timed_out;
    wire [31:0] completed_bytes = adds ? filled_now : filled;

    // ---- the list
    wire take_node = all_taken || (w2 && empties) || wl;
    wire recycle   = (w2 && empties) || w7;

    assign m_consumed   = accepted ? taken : (direct ? {16'd0, put_len} : (w2 ? {16'd0, copy_len} : 32'd0));
    assign m_flush      = complete || (accepted && taken != 32'd0) || ev_flush;
    assign m_credit_ret = (s_kind == `DLV_EVT_POOL_POST) ? s_sqe[`SQE_COUNT_LSB +: 5]
                                                         : {4'd0, recycle || give || (direct && ends)};

    assign m_owed        = (s_fwd && handled) || (tidy && s_owed);
    assign m_fwd         = s_fwd && (direct || pool);
    assign m_rest        = zero || (direct && !ends);
    assign m_rest_offset = zero ? s_offset : s_offset + put_len;
    assign m_rest_len    = zero ? s_len : s_len - put_len;

    assign m_req_we    = enqueue;
    assign m_req_index = req_head + req_count;

    wire [15:0] used_up = move ? s_skip : (w2 ? copy_len : taken[15:0]);   // bytes at the front of the node

    assign m_node_we     = into || move || part_taken || (w2 && !empties);
    assign m_node_addr   = into ? s_free_head : (move ? first : list_head);
    assign m_node_offset = into ? 16'd0 : node_off + used_up;
    assign m_node_length = into ? s_len : node_len - used_up;
    assign m_node_psh    = into ? s_psh : node_psh;
    assign m_link_we     = ((pool || move) && has_list) || hold_link_we;
    assign m_link_addr   = ev_hold ? hold_link_addr : list_tail;
    assign m_link_data   = ev_hold ? hold_link_data : (move ? first : s_free_head);
    assign m_free_pop    = into;
    assign m_free_push   = recycle || give;
    assign m_free_index  = give ? first : list_head;

    // ---- the state after
    wire [15:0] freeze_next = s_dcb[`DCB_FREEZE_COUNT] + 16'd1;
    wire [7:0]  next_req    = (req_head + 8'd1 == ring_size) ? 8'd0 : req_head + 8'd1;

    reg [`DCB_W-1:0] dcb;
    always @* begin
        dcb = s_dcb;
        if (ev_load) begin
            dcb = {`DCB_W{1'b0}};
            dcb[`DCB_LOADED]       = 1'b1;
            dcb[`DCB_GEN]          = s_gen;
            dcb[`DCB_HOLD]         = 1'b1;
            dcb[`DCB_FIN_MARK]     = s_msg[`DLV_MSG_FIN];
            dcb[`DCB_FIN_DONE]     = s_msg[`DLV_MSG_FIN];  // whoever offers the connection knows of it
            dcb[`DCB_PUSH_TICKS]   = s_msg[`DLV_MSG_PUSH_TICKS];
            dcb[`DCB_CONSUMED_THR] = s_msg[`DLV_MSG_INFO];
        end
        if (ev_update)          dcb[`DCB_CONSUMED_THR] = s_msg[`DLV_MSG_INFO];
        if (ev_start)           dcb[`DCB_HOLD] = s_msg[`DLV_MSG_HOLD];
        if (ev_resume && same_gen) dcb[`DCB_HOLD] = 1'b0;
        if (ev_freeze) begin
            dcb[`DCB_FROZEN]       = 1'b1;
            dcb[`DCB_ABORTED]      = aborted || s_msg[`DLV_MSG_ABORTED];
            dcb[`DCB_FREEZE_ADDR]  = s_msg[`DLV_MSG_A];
            dcb[`DCB_FREEZE_COUNT] = 16'd0;
            dcb[`DCB_PUSH_ON]      = 1'b0;
        end
        if (ev_notify && s_msg[`DLV_MSG_ABORTED]) begin
            dcb[`DCB_ABORTED] = 1'b1;
            dcb[`DCB_PUSH_ON] = 1'b0;
        end
        if (fin_comes && !more) dcb[`DCB_FIN_MARK] = 1'b1;
        if (ev_timer)         dcb[`DCB_PUSH_ON]  = 1'b0;
        if (arm) begin
            dcb[`DCB_PUSH_ON]       = 1'b1;
            dcb[`DCB_PUSH_DEADLINE] = deadline;
        end
        if (adds) dcb[`DCB_REQ_FILLED] = filled_now;
        if (complete) begin
            dcb[`DCB_REQ_FILLED] = 32'd0;
            dcb[`DCB_REQ_HEAD]   = next_req;
            dcb[`DCB_REQ_COUNT]  = req_count - 8'd1;
            dcb[`DCB_PUSH_ON]    = 1'b0;
        end
        if (enqueue) begin
            dcb[`DCB_REQ_COUNT] = req_count + 8'd1;
            dcb[`DCB_REFUSED]   = 1'b0;
        end
        if (accepted)   dcb[`DCB_D]       = 1'b0;
        if (part_taken) dcb[`DCB_REFUSED] = 1'b1;
        if (pool) begin
            dcb[`DCB_LIST_TAIL]  = s_free_head;
            dcb[`DCB_LIST_COUNT] = list_count + 16'd1;
            if (!has_list) dcb[`DCB_LIST_HEAD] = s_free_head;
        end
        if (ev_hold || tidy) begin
            dcb[`DCB_OOO_USED]  = ooo_used;
            dcb[`DCB_OOO_HEAD]  = ooo_head;
            dcb[`DCB_OOO_TAIL]  = ooo_tail;
            dcb[`DCB_OOO_COUNT] = ooo_count;
        end
        if (move) begin
            dcb[`DCB_LIST_TAIL]  = last;
            dcb[`DCB_LIST_COUNT] = list_count + length;
            if (!has_list) dcb[`DCB_LIST_HEAD] = first;
        end
        if (take_node) begin
            dcb[`DCB_LIST_COUNT] = list_count - 16'd1;
            dcb[`DCB_LIST_HEAD]  = one_node ? 16'd0 : s_node[`POOL_NODE_NEXT];
            if (one_node) dcb[`DCB_LIST_TAIL] = 16'd0;
        end
        if (w3) begin
            dcb[`DCB_TOKEN] = token + 16'd1;
            dcb[`DCB_D]     = 1'b1;
        end
        if (w5) dcb[`DCB_FIN_DONE]     = 1'b1;
        if (w8) dcb[`DCB_FREEZE_COUNT] = freeze_next;
        if (w9) begin
            dcb[`DCB_FREEZE_DONE] = 1'b1;
            dcb[`DCB_LOADED]      = 1'b0;
        end
    end

    // ---- the entry
    wire event_said = ev_notify && s_msg[`DLV_MSG_EVENT] != 8'd0;

    reg [`CQE_W-1:0] cqe;
    always @* begin
        cqe = {`CQE_W{1'b0}};
        cqe[`CQE_CONN] = s_conn;
        cqe[`CQE_GEN]  = s_gen;
        if (complete) begin
            cqe[`CQE_KIND]   = `CQ_KIND_RECEIVE;
            cqe[`CQE_CODE]   = `OPCODE_RECEIVE;
            cqe[`CQE_STATUS] = w6 ? stopped : `STATUS_OK;
            cqe[`CQE_COOKIE] = s_req[`RCV_REQ_COOKIE];
            cqe[`CQE_NBYTES] = completed_bytes;
        end
        if (refused) begin
            cqe[`CQE_KIND]     = ev_receive ? `CQ_KIND_RECEIVE : `CQ_KIND_COMMAND;
            cqe[`CQE_STATUS]   = refusal;
            cqe[`CQE_CODE]     = s_sqe[`SQE_OPCODE];
            cqe[`CQE_COOKIE]   = s_sqe[`SQE_COOKIE];
            cqe[`CQE_SQ_INDEX] = s_sq_index;
        end
        if (ev_load || ev_start) begin
            cqe[`CQE_KIND]     = `CQ_KIND_COMMAND;
            cqe[`CQE_CODE]     = ev_load ? `OPCODE_INITIATE : `OPCODE_START;
            cqe[`CQE_COOKIE]   = s_msg[`DLV_MSG_A];
            cqe[`CQE_SQ_INDEX] = s_msg[`DLV_MSG_SQ_INDEX];
        end
        if (ev_owed) begin
            cqe[`CQE_KIND]     = `CQ_KIND_FORWARD;
            cqe[`CQE_CODE]     = `OPCODE_FORWARD;
            cqe[`CQE_COOKIE]   = s_fwd_cookie;
            cqe[`CQE_SQ_INDEX] = s_fwd_index;
        end
        if (event_said) begin
            cqe[`CQE_KIND] = `CQ_KIND_EVENT;
            cqe[`CQE_CODE] = s_msg[`DLV_MSG_EVENT];
            cqe[`CQE_INFO] = s_msg[`DLV_MSG_INFO];
        end
        if (w3) begin
            cqe[`CQE_KIND]   = `CQ_KIND_INDICATION;
            cqe[`CQE_OFFSET] = node_off;
            cqe[`CQE_NBYTES] = {16'd0, node_len};
            cqe[`CQE_INFO]   = {16'd0, token + 16'd1};
            cqe[`CQE_BUF]    = list_head;
        end
        if (w5) begin
            cqe[`CQE_KIND] = `CQ_KIND_EVENT;
            cqe[`CQE_CODE] = `TCP_EVENT_TYPE_DISCONNECT;
        end
    end

    // ---- the action
    wire        say       = complete || refused || ev_load || ev_start || ev_owed || event_said || w3 || w5;
    wire        list_op   = w8 || (w9 && freeze_addr != 64'd0);
    wire [63:0] req_addr  = s_req[`RCV_REQ_ADDR] + {32'd0, filled};
    wire [63:0] free_addr = pool_base + {{(48-`POOL_BUF_LOG2){1'b0}}, s_free_head, {`POOL_BUF_LOG2{1'b0}}};
    wire [63:0] node_addr = pool_base + {{(48-`POOL_BUF_LOG2){1'b0}}, list_head, {`POOL_BUF_LOG2{1'b0}}}
                          + {48'd0, node_off};
    wire [63:0] elem_addr = freeze_addr + (w8 ? {45'd0, freeze_next, 3'd0} : 64'd0);

    assign m_plq_valid = say || direct || into || w2 || list_op || w9;

    reg [`PLQ_W-1:0] plq;
    always @* begin
        plq = {`PLQ_W{1'b0}};
        if (m_plq_valid) begin
            plq[`PLQ_CONN]      = s_conn;
            plq[`PLQ_GEN]       = s_gen;
            plq[`PLQ_CQE_VALID] = say;
            if (say) plq[`PLQ_CQE] = cqe;
        end
        if (m_fwd) begin
            plq[`PLQ_OP]      = `PL_OP_COPY;
            plq[`PLQ_LEN]     = pool ? s_len : put_len;
            plq[`PLQ_SRC]     = s_src + {48'd0, s_offset};
            plq[`PLQ_DST]     = pool ? free_addr : req_addr;
            plq[`PLQ_BARRIER] = pool;
        end else if (direct || into) begin
            plq[`PLQ_OP]      = `PL_OP_PLACE;
            plq[`PLQ_ARRIVAL] = s_arrival;
            plq[`PLQ_OFFSET]  = s_offset;
            plq[`PLQ_LEN]     = into ? s_len : put_len;
            plq[`PLQ_LAST]    = into || ends;
            plq[`PLQ_DST]     = into ? free_addr : req_addr;
        end
        if (w2) begin
            plq[`PLQ_OP]  = `PL_OP_COPY;
            plq[`PLQ_LEN] = copy_len;
            plq[`PLQ_SRC] = node_addr;
            plq[`PLQ_DST] = req_addr;
        end
        if (list_op) begin
            plq[`PLQ_OP]  = `PL_OP_LIST_WRITE;
            plq[`PLQ_DST] = elem_addr;
            plq[`PLQ_LIST_DATA_LSB + `LEFT_OVER_BUF_LSB +: `LEFT_OVER_BUF_W] =
                w8 ? list_head : s_dcb[`DCB_FREEZE_COUNT];
            if (w8) begin
                plq[`PLQ_LIST_DATA_LSB + `LEFT_OVER_OFFSET_LSB +: `LEFT_OVER_OFFSET_W] = node_off;
                plq[`PLQ_LIST_DATA_LSB + `LEFT_OVER_LENGTH_LSB +: `LEFT_OVER_LENGTH_W] = node_len;
            end
        end
        if (w9) plq[`PLQ_FREEZE_DONE] = 1'b1;
    end

    assign m_dcb = dcb;
    assign m_plq = plq;

    wire unused = &{1'b0, overdue, s_msg, s_sqe};

endmodule

`default_nettype wire
