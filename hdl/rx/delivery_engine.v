// delivery_engine: decides where received bytes go and what the host is told; one event, one commit.
//
// Why a block: owner and only writer of the delivery state (dcb, request rings, pool lists, free queue).
//
// s_dlv_*: messages of tcp_engine, s_dcmd_*: RECEIVE, ANSWER, RESUME, POOL_POST; both ready pulse at the commit.
// m_plq_*: actions in order. m_consumed_*, m_credit_*: see delivery_pending. rec_*: pulse with the commit record.
//
//   PICK   an event is chosen (round robin), its dcb is read            POOL_POST: PICK -> POST (4 a cycle) -> COMMIT
//   SIDE   head request and head node are read
//   STEP   delivery_step is taken into registers; nothing to continue: back to PICK
//   COMMIT state written, action handed on (STEP waited for room, which a queue does not take back); back to SIDE to
//          continue the same connection
//   LINK   behind COMMIT: the second link of a buffer that came to stand between two
//
// Six cycles from one event to the next, three more for each CONTINUE, one more for a LINK, and for a second SIDE where
// the length of the head request decides which list is worked on (ooo_pick). What belongs to a connection is finished
// before another event is looked at. After reset the dcb table is swept (CONNS cycles, init_done).
`include "chimney_layout.vh"
`default_nettype none

module delivery_engine #(
    parameter CONNS     = 16,                  // connections, a power of two, 4..1024
    parameter CONN_W    = 4,                   // log2(CONNS)
    parameter RECVS     = 16,                  // posted receives a connection, a power of two, 2..128
    parameter POOL_BUFS = 1024,                // pool buffers, a power of two, 16..32768
    parameter COMMIT_PORT = 0                  // 1: records on rec_dlv
) (
    input  wire                  clk,
    input  wire                  rst,
    input  wire [31:0]           now,
    input  wire [63:0]           pool_base,

    input  wire                  s_dlv_valid,
    output wire                  s_dlv_ready,
    input  wire [`DLV_MSG_W-1:0] s_dlv,

    input  wire                  s_dcmd_valid,
    output wire                  s_dcmd_ready,
    input  wire [`SQE_W-1:0]     s_dcmd_sqe,
    input  wire [15:0]           s_dcmd_sq_index,

    output wire                  m_plq_valid,
    input  wire                  m_plq_ready,
    output wire [`PLQ_W-1:0]     m_plq,
    output wire                  m_plq_fwd,    // a COPY of a forwarded segment

    output wire                  m_consumed_valid,
    input  wire                  m_consumed_ready,
    output wire [CONN_W-1:0]     m_consumed_conn,
    output wire [7:0]            m_consumed_gen,
    output wire [31:0]           m_consumed_bytes,
    output wire                  m_credit_valid,
    input  wire                  m_credit_ready,
    output wire [15:0]           m_credit_count,

    output wire                  rec_dlv_valid,
    output wire [`REC_DLV_W-1:0] rec_dlv,
    output wire                  idle,
    output wire                  init_done
);

    localparam RECV_W = $clog2(RECVS);
    localparam POOL_W = $clog2(POOL_BUFS);
    localparam REQ_AW = CONN_W + RECV_W;
    localparam NODE_W = `POOL_NODE_W - `POOL_NODE_NEXT_W;              // a node without its link
    localparam [31:0]       RING    = RECVS;
    localparam [CONN_W-1:0] STEP_1  = 1;

    localparam [2:0] CLEAR = 3'd0, PICK = 3'd1, SIDE = 3'd2, STEP = 3'd3, COMMIT = 3'd4, POST = 3'd5, LINK = 3'd6;

    reg [2:0] state_reg;
    wire      at_pick = state_reg == PICK, at_side = state_reg == SIDE;
    // an event starts only when its action has room, so that the tick it reads is the tick of its commit
    wire      at_step = state_reg == STEP && m_plq_ready;
    wire      at_commit = state_reg == COMMIT, at_post = state_reg == POST, at_link = state_reg == LINK;

    // ---- the event: message, command, push timer in turn
    wire              due_valid;
    wire [CONN_W-1:0] due_conn;
    wire [7:0]        due_gen;
    wire              scan_ready;
    wire [2:0]        grant;
    wire [1:0]        chosen;
    wire              any;

    rr_arb #(.N(3)) turn (
        .clk(clk), .rst(rst),
        .req({due_valid, s_dcmd_valid, s_dlv_valid}), .advance(at_pick),
        .grant(grant), .index(chosen), .valid(any)
    );

    reg [3:0] cmd_kind;
    always @* begin
        case (s_dcmd_sqe[`SQE_OPCODE])
            `OPCODE_RECEIVE:   cmd_kind = `DLV_EVT_RECEIVE;
            `OPCODE_ANSWER:    cmd_kind = `DLV_EVT_ANSWER;
            `OPCODE_RESUME:    cmd_kind = `DLV_EVT_RESUME;
            `OPCODE_POOL_POST: cmd_kind = `DLV_EVT_POOL_POST;
            default:           cmd_kind = `DLV_EVT_NONE;
        endcase
    end

    wire              pick_msg  = grant[0];
    wire              pick_cmd  = grant[1];
    wire              pick_post = pick_cmd && cmd_kind == `DLV_EVT_POOL_POST;
    wire [CONN_W-1:0] pick_conn = pick_msg ? s_dlv[`DLV_MSG_CONN_LSB +: CONN_W]
                                : pick_cmd ? s_dcmd_sqe[`SQE_CONN_LSB +: CONN_W] : due_conn;
    wire [7:0]        pick_gen  = pick_msg ? s_dlv[`DLV_MSG_GEN]
                                : pick_cmd ? s_dcmd_sqe[`SQE_GEN] : due_gen;
    wire [3:0]        pick_kind = pick_msg ? s_dlv[`DLV_MSG_KIND]
                                : pick_cmd ? cmd_kind : `DLV_EVT_TIMER;

    reg [3:0]        kind_reg;
    reg [1:0]        source_reg;               // of this commit: command, message; 0: neither
    reg [CONN_W-1:0] conn_reg;
    reg [7:0]        gen_reg;
    reg              rest_reg;                 // bytes of a frame piece are left
    reg [31:0]       arrival_reg;
    reg [15:0]       offset_reg, len_reg;
    reg              psh_reg, fin_reg;
    reg              fwd_reg;                  // the piece is one of a forwarded segment, in host memory
    reg              owed_reg;                 // its completion comes next
    reg [63:0]       src_reg, fwd_cookie_reg;
    reg [15:0]       fwd_index_reg;
    reg [1:0]        group_reg;                // POST: which four of the list
    reg [7:0]        gone_reg;                 // of the message in work: lists that it gives back
    reg              join_reg;                 // list slot_reg follows its piece, behind skip_reg bytes
    reg [2:0]        slot_reg;
    reg [15:0]       skip_reg;
    reg              fin_owed_reg;
    reg              ooo_reg;                  // the node read is the first of list_reg
    reg [2:0]        list_reg;
    reg              known_reg;                // SIDE: the head request is at the RAM's output

    // ---- memories
    reg  [`DCB_W-1:0]       dcb_reg;
    reg                     fresh_reg;         // the dcb is at the RAM's output, not in dcb_reg
    wire [`DCB_W-1:0]       dcb_rdata;
    wire [`DCB_W-1:0]       dcb = fresh_reg ? dcb_rdata : dcb_reg;
    wire [`RCV_REQ_W-1:0]   req_rdata;
    wire [`POOL_NODE_W-1:0] node_rdata;
    wire [15:0]             free_head;
    wire [POOL_W:0]         free_held;

    reg  [CONN_W-1:0] sweep_reg;
    wire              sweeping = state_reg == CLEAR;
    wire              commit;
    wire              with_dcb = kind_reg != `DLV_EVT_POOL_POST;

    ram_sdp #(.WIDTH(`DCB_W), .DEPTH(CONNS)) dcbs (
        .clk(clk),
        .we(sweeping || (commit && with_dcb)),
        .waddr(sweeping ? sweep_reg : conn_reg),
        .wdata(sweeping ? {`DCB_W{1'b0}} : dcb_reg),
        .re(at_pick && any), .raddr(pick_conn), .rdata(dcb_rdata)
    );

    reg                   req_we_reg, node_we_reg, link_we_reg, link2_we_reg;
    reg [REQ_AW-1:0]      req_waddr_reg;
    reg [`RCV_REQ_W-1:0]  req_wdata;
    reg [POOL_W-1:0]      node_waddr_reg, link_waddr_reg, link2_waddr_reg;
    reg [NODE_W-1:0]      node_wdata_reg;
    reg [15:0]            link_wdata_reg, link2_wdata_reg;
    reg                   free_pop_reg, free_push_reg;
    reg [15:0]            free_index_reg;

    always @* begin
        req_wdata = {`RCV_REQ_W{1'b0}};
        req_wdata[`RCV_REQ_ADDR]   = s_dcmd_sqe[`SQE_ADDR];
        req_wdata[`RCV_REQ_LENGTH] = s_dcmd_sqe[`SQE_LENGTH];
        req_wdata[`RCV_REQ_NOPUSH]  = s_dcmd_sqe[`SQE_FLAGS_LSB];
        req_wdata[`RCV_REQ_PREFILL] = s_dcmd_sqe[`SQE_FLAGS_LSB + 1];
        req_wdata[`RCV_REQ_COOKIE] = s_dcmd_sqe[`SQE_COOKIE];
    end

    ram_sdp #(.WIDTH(`RCV_REQ_W), .DEPTH(CONNS * RECVS)) requests (
        .clk(clk),
        .we(commit && req_we_reg), .waddr(req_waddr_reg), .wdata(req_wdata),
        .re(at_side), .raddr({conn_reg, dcb[`DCB_REQ_HEAD_LSB +: RECV_W]}), .rdata(req_rdata)
    );

    // the first buffer of the in-order list, or of an out-of-order list that is worked on
    wire        ooo, again;
    wire [2:0]  list;
    wire [15:0] ooo_first;
    wire [15:0] side_node = ooo ? ooo_first : dcb[`DCB_LIST_HEAD];

    ooo_pick pick (
        .s_go(kind_reg == `DLV_EVT_CONTINUE && !rest_reg), .s_dcb(dcb),
        .s_gone(gone_reg), .s_join(join_reg), .s_slot(slot_reg),
        .s_req_known(known_reg), .s_req_zero(req_rdata[`RCV_REQ_LENGTH] == 32'd0),
        .m_valid(ooo), .m_list(list), .m_head(ooo_first), .m_wait(again)
    );

    ram_sdp #(.WIDTH(NODE_W), .DEPTH(POOL_BUFS)) nodes (
        .clk(clk),
        .we(commit && node_we_reg), .waddr(node_waddr_reg), .wdata(node_wdata_reg),
        .re(at_side), .raddr(side_node[POOL_W-1:0]), .rdata(node_rdata[`POOL_NODE_OFFSET_LSB +: NODE_W])
    );

    ram_sdp #(.WIDTH(`POOL_NODE_NEXT_W), .DEPTH(POOL_BUFS)) links (
        .clk(clk),
        .we((commit && link_we_reg) || at_link),
        .waddr(at_link ? link2_waddr_reg : link_waddr_reg), .wdata(at_link ? link2_wdata_reg : link_wdata_reg),
        .re(at_side), .raddr(side_node[POOL_W-1:0]), .rdata(node_rdata[`POOL_NODE_NEXT])
    );

    wire [4:0]  post_count = s_dcmd_sqe[`SQE_COUNT_LSB +: 5];
    wire [4:0]  post_left  = post_count - {1'b0, group_reg, 2'b00};
    wire [2:0]  post_now   = (post_left > 5'd4) ? 3'd4 : post_left[2:0];
    wire        post_last  = post_left <= 5'd4;
    wire [63:0] post_group = s_dcmd_sqe[`SQE_ADDR2_LSB + {group_reg, 6'd0} +: 64];

    free_queue #(.DEPTH(POOL_BUFS)) pool_free (
        .clk(clk), .rst(rst),
        .s_push_count(at_post ? post_now : {2'b00, commit && free_push_reg}),
        .s_push(at_post ? post_group : {48'd0, free_index_reg}),
        .pop(commit && free_pop_reg),
        .m_head(free_head), .held(free_held)
    );

    // ---- the step
    wire                  st_owed, st_fwd, st_fin_owed, st_join, st_link2_we, st_node_psh;
    wire [7:0]            st_gone;
    wire [15:0]           st_skip, st_link_data, st_link2_addr, st_link2_data, st_free_index;
    wire                  st_idle, st_plq_valid, st_flush, st_rest, st_req_we, st_node_we, st_link_we;
    wire                  st_free_pop, st_free_push;
    wire [`DCB_W-1:0]     st_dcb;
    wire [`PLQ_W-1:0]     st_plq;
    wire [31:0]           st_consumed;
    wire [4:0]            st_credit_ret;
    wire [15:0]           st_rest_offset, st_rest_len, st_node_addr, st_node_offset, st_node_length, st_link_addr;
    wire [7:0]            st_req_index;

    delivery_step step (
        .s_kind(kind_reg), .s_gen(gen_reg), .s_conn({{(16-CONN_W){1'b0}}, conn_reg}), .now(now),
        .pool_base(pool_base), .ring_size(RING[7:0]),
        .s_rest(rest_reg), .s_arrival(arrival_reg), .s_offset(offset_reg), .s_len(len_reg),
        .s_psh(psh_reg), .s_fin(fin_reg),
        .s_fwd(fwd_reg), .s_owed(owed_reg), .s_src(src_reg), .s_fwd_cookie(fwd_cookie_reg), .s_fwd_index(fwd_index_reg),
        .s_ooo(ooo_reg), .s_list(list_reg), .s_gone(gone_reg), .s_join(join_reg), .s_slot(slot_reg), .s_skip(skip_reg),
        .s_fin_owed(fin_owed_reg),
        .s_msg(s_dlv), .s_sqe(s_dcmd_sqe), .s_sq_index(s_dcmd_sq_index),
        .s_dcb(dcb_reg), .s_req(req_rdata), .s_node(node_rdata), .s_free_head(free_head),
        .m_idle(st_idle), .m_dcb(st_dcb), .m_plq_valid(st_plq_valid), .m_plq(st_plq),
        .m_consumed(st_consumed), .m_flush(st_flush), .m_credit_ret(st_credit_ret),
        .m_rest(st_rest), .m_rest_offset(st_rest_offset), .m_rest_len(st_rest_len),
        .m_owed(st_owed), .m_fwd(st_fwd), .m_fin_owed(st_fin_owed), .m_gone(st_gone), .m_join(st_join), .m_skip(st_skip),
        .m_req_we(st_req_we), .m_req_index(st_req_index),
        .m_node_we(st_node_we), .m_node_addr(st_node_addr),
        .m_node_offset(st_node_offset), .m_node_length(st_node_length), .m_node_psh(st_node_psh),
        .m_link_we(st_link_we), .m_link_addr(st_link_addr), .m_link_data(st_link_data),
        .m_link2_we(st_link2_we), .m_link2_addr(st_link2_addr), .m_link2_data(st_link2_data),
        .m_free_pop(st_free_pop), .m_free_push(st_free_push), .m_free_index(st_free_index)
    );

    reg [`POOL_NODE_W-1:0] node_next;
    always @* begin
        node_next = {`POOL_NODE_W{1'b0}};
        node_next[`POOL_NODE_OFFSET] = st_node_offset;
        node_next[`POOL_NODE_LENGTH] = st_node_length;
        node_next[`POOL_NODE_PSH]    = st_node_psh;
    end

    // ---- results of the step, until the commit
    reg              plq_valid_reg;
    reg [`PLQ_W-1:0] plq_reg;
    reg              plq_fwd_reg;
    reg [31:0]       consumed_reg, tick_reg;
    reg              flush_reg;
    reg [4:0]        credit_reg;

    assign commit       = at_commit && (!plq_valid_reg || m_plq_ready);
    assign m_plq_valid  = at_commit && plq_valid_reg;
    assign m_plq        = plq_reg;
    assign m_plq_fwd    = plq_fwd_reg;
    assign s_dlv_ready  = commit && source_reg[0];
    assign s_dcmd_ready = commit && source_reg[1];

    always @(posedge clk) begin
        if (at_pick && any) begin
            kind_reg    <= pick_kind;
            conn_reg    <= pick_conn;
            gen_reg     <= pick_gen;
            arrival_reg <= s_dlv[`DLV_MSG_ARRIVAL];
            offset_reg  <= s_dlv[`DLV_MSG_OFFSET];
            len_reg     <= s_dlv[`DLV_MSG_LEN];
            psh_reg     <= s_dlv[`DLV_MSG_PSH];
            fin_reg     <= s_dlv[`DLV_MSG_FIN];
            src_reg        <= s_dlv[`DLV_MSG_A];
            fwd_cookie_reg <= s_dlv[`DLV_MSG_COOKIE];
            fwd_index_reg  <= s_dlv[`DLV_MSG_SQ_INDEX];
            gone_reg       <= s_dlv[`DLV_MSG_FREE];
            join_reg       <= s_dlv[`DLV_MSG_JOIN_LSB];
            slot_reg       <= s_dlv[`DLV_MSG_SLOT];
            skip_reg       <= s_dlv[`DLV_MSG_SKIP];
        end
        if (at_side) begin
            dcb_reg  <= dcb;
            ooo_reg  <= ooo;
            list_reg <= list;
        end
        if (at_step || at_post) begin
            tick_reg      <= now;
            plq_valid_reg <= st_plq_valid && !at_post;
            plq_reg       <= st_plq;
            plq_fwd_reg   <= st_fwd;
            consumed_reg  <= at_post ? 32'd0 : st_consumed;
            flush_reg     <= st_flush && !at_post;
            credit_reg    <= st_credit_ret;
            req_we_reg    <= st_req_we && !at_post;
            node_we_reg   <= st_node_we && !at_post;
            link_we_reg   <= st_link_we && !at_post;
            link2_we_reg  <= st_link2_we && !at_post;
            free_pop_reg  <= st_free_pop && !at_post;
            free_push_reg <= st_free_push && !at_post;
        end
        if (at_step) begin
            dcb_reg        <= st_dcb;
            offset_reg     <= st_rest_offset;
            len_reg        <= st_rest_len;
            req_waddr_reg  <= {conn_reg, st_req_index[RECV_W-1:0]};
            node_waddr_reg <= st_node_addr[POOL_W-1:0];
            node_wdata_reg <= node_next[`POOL_NODE_OFFSET_LSB +: NODE_W];
            link_waddr_reg <= st_link_addr[POOL_W-1:0];
            link_wdata_reg <= st_link_data;
            link2_waddr_reg <= st_link2_addr[POOL_W-1:0];
            link2_wdata_reg <= st_link2_data;
            free_index_reg <= st_free_index;
            gone_reg       <= st_gone;
            join_reg       <= st_join;
            skip_reg       <= st_skip;
        end
        if (commit) begin
            kind_reg <= `DLV_EVT_CONTINUE;
            gen_reg  <= dcb_reg[`DCB_GEN];
        end
    end

    always @(posedge clk) begin
        if (rst) begin
            state_reg  <= CLEAR;
            sweep_reg  <= 0;
            source_reg <= 2'd0;
            rest_reg   <= 1'b0;
            fwd_reg    <= 1'b0;
            owed_reg   <= 1'b0;
            fresh_reg  <= 1'b0;
            known_reg  <= 1'b0;
            fin_owed_reg <= 1'b0;
            group_reg  <= 2'd0;
        end else begin
            case (state_reg)
                CLEAR: begin
                    sweep_reg <= sweep_reg + STEP_1;
                    if (&sweep_reg) state_reg <= PICK;
                end
                PICK: if (any) begin
                    state_reg  <= pick_post ? POST : SIDE;
                    source_reg <= grant[1:0];
                    fresh_reg  <= 1'b1;
                    rest_reg   <= 1'b0;
                    fwd_reg    <= pick_msg && s_dlv[`DLV_MSG_FWD_LSB];
                    owed_reg   <= 1'b0;
                    fin_owed_reg <= 1'b0;
                end
                SIDE: begin
                    if (!again) state_reg <= STEP;
                    known_reg <= again;
                    fresh_reg <= 1'b0;
                end
                STEP: if (at_step) begin
                    state_reg <= st_idle ? PICK : COMMIT;
                    rest_reg  <= st_rest;
                    owed_reg  <= st_owed;
                    fin_owed_reg <= st_fin_owed;
                end
                POST: begin
                    group_reg <= post_last ? 2'd0 : group_reg + 2'd1;
                    if (post_last) state_reg <= COMMIT;
                end
                COMMIT: if (commit) begin
                    state_reg  <= !with_dcb ? PICK : link2_we_reg ? LINK : SIDE;
                    source_reg <= 2'd0;
                end
                LINK: state_reg <= SIDE;
                default: state_reg <= CLEAR;
            endcase
        end
    end

    // ---- push timer: the entry of a connection follows its dcb
    timer_scan #(.CONNS(CONNS), .CONN_W(CONN_W)) scan (
        .clk(clk), .rst(rst), .now(now),
        .s_set_valid(commit && with_dcb), .s_set_conn(conn_reg), .s_set_on(dcb_reg[`DCB_PUSH_ON]),
        .s_set_deadline(dcb_reg[`DCB_PUSH_DEADLINE]), .s_set_gen(dcb_reg[`DCB_GEN]),
        .m_due_valid(due_valid), .m_due_ready(at_pick && grant[2]), .m_due_conn(due_conn), .m_due_gen(due_gen),
        .init_done(scan_ready)
    );

    // ---- the way back to tcp_engine
    wire pending_busy;

    delivery_pending #(.CONNS(CONNS), .CONN_W(CONN_W)) pending (
        .clk(clk), .rst(rst),
        .s_valid(commit), .s_conn(conn_reg), .s_gen(dcb_reg[`DCB_GEN]),
        .s_bytes(consumed_reg), .s_threshold(dcb_reg[`DCB_CONSUMED_THR]),
        .s_flush(flush_reg), .s_clear(kind_reg == `DLV_EVT_LOAD),
        .s_credits(credit_reg), .s_credit_flush(kind_reg == `DLV_EVT_FLUSH),
        .s_free({{(15-POOL_W){1'b0}}, free_held}),
        .m_consumed_valid(m_consumed_valid), .m_consumed_ready(m_consumed_ready),
        .m_consumed_conn(m_consumed_conn), .m_consumed_gen(m_consumed_gen), .m_consumed_bytes(m_consumed_bytes),
        .m_credit_valid(m_credit_valid), .m_credit_ready(m_credit_ready), .m_credit_count(m_credit_count),
        .busy(pending_busy)
    );

    assign init_done = !sweeping && scan_ready;
    assign idle      = at_pick && !any && !pending_busy;

    // ---- commit record
    reg [31:0] order_reg;
    always @(posedge clk) begin
        if (rst)         order_reg <= 32'd0;
        else if (commit) order_reg <= order_reg + 32'd1;
    end

    reg [31:0] cause;
    always @* begin
        cause = 32'd0;
        if (kind_reg == `DLV_EVT_DELIVER || kind_reg == `DLV_EVT_HOLD) cause = arrival_reg;
        else if (source_reg[1])           cause = {16'd0, s_dcmd_sq_index};
    end

    wire [15:0] free_after = {{(15-POOL_W){1'b0}}, free_held} - {15'd0, free_pop_reg} + {15'd0, free_push_reg};

    reg [`REC_DLV_W-1:0] record;
    always @* begin
        record = {`REC_DLV_W{1'b0}};
        record[`REC_DLV_ORDER]      = order_reg;
        record[`REC_DLV_TICK]       = tick_reg;
        record[`REC_DLV_KIND]       = kind_reg;
        record[`REC_DLV_CAUSE]      = cause;
        record[`REC_DLV_OPCODE]     = source_reg[1] ? s_dcmd_sqe[`SQE_OPCODE] : 8'd0;
        record[`REC_DLV_CREDIT_RET] = {11'd0, credit_reg};
        record[`REC_DLV_CONSUMED]   = consumed_reg;
        record[`REC_DLV_POOL_FREE]  = free_after;
        if (with_dcb) begin
            record[`REC_DLV_CONN] = {{(16-CONN_W){1'b0}}, conn_reg};
            record[`REC_DLV_GEN]  = gen_reg;
            record[`REC_DLV_DCB]  = dcb_reg;
        end
        record[`REC_DLV_PLQ_VALID] = plq_valid_reg;
        if (plq_valid_reg) record[`REC_DLV_PLQ] = plq_reg;
    end

    assign rec_dlv_valid = COMMIT_PORT != 0 && commit;
    assign rec_dlv       = (COMMIT_PORT != 0) ? record : {`REC_DLV_W{1'b0}};

`ifdef CHIMNEY_ASSERT
    wire [7:0] holds = dcb_reg[`DCB_OOO_USED];
    always @(posedge clk) begin
        if (!rst && commit && free_pop_reg && free_held == 0) begin
            $display("ASSERT %m: a piece was accepted without a pool buffer");
            $finish;
        end
        if (!rst && at_step && kind_reg == `DLV_EVT_HOLD
            && ((s_dlv[`DLV_MSG_APP_LSB] && !holds[s_dlv[`DLV_MSG_SLOT]])
                || (s_dlv[`DLV_MSG_PRE_LSB] && !holds[s_dlv[`DLV_MSG_SLOT2]])
                || (!s_dlv[`DLV_MSG_APP_LSB] && holds[s_dlv[`DLV_MSG_SLOT]]
                    && !(s_dlv[`DLV_MSG_PRE_LSB] && s_dlv[`DLV_MSG_SLOT2] == s_dlv[`DLV_MSG_SLOT])))) begin
            $display("ASSERT %m: HOLD names lists of connection %0d that are not as it says", conn_reg);
            $finish;
        end
        if (!rst && at_step && join_reg && kind_reg == `DLV_EVT_DELIVER && !holds[slot_reg]) begin
            $display("ASSERT %m: connection %0d has nothing to join", conn_reg);
            $finish;
        end
        if (!rst && at_step && kind_reg == `DLV_EVT_DELIVER && len_reg != 16'd0
            && !(dcb_reg[`DCB_LOADED] && dcb_reg[`DCB_GEN] == gen_reg)) begin
            $display("ASSERT %m: bytes for connection %0d, which is not loaded", conn_reg);
            $finish;
        end
    end
`endif

    wire unused = &{1'b0, chosen, st_req_index, st_node_addr, st_link_addr, st_link2_addr, side_node, node_next};

endmodule

`default_nettype wire
