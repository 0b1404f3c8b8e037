// send_mapper: front of the transmit path; executes the transmit queue in order.
//
// Why a block: it alone knows which host bytes a sequence number stands for.
//
// s_txq: transmit queue. APPEND writes the send table (a ring of SENDS entries a connection); HDR_* write
//   the header tables; SEGMENT, RELEASE, FENCE and BARRIER go on as items, in order.
// m_item: SEGMENT (with its header fields), a token RELEASE / FENCE (`item_tail` = end of the ring as of now), or a
//   BARRIER.
// m_piece: host pieces of the SEGMENT, offered after its item was taken: at least one, `last` ends it.
//   `none`: nothing is to be read. `bad`: the bytes cannot be mapped, the frame is lost.
// m_ent: send_completer's half of a table entry. head_*: its ring heads, read as a start for the search.
// Search: from the hint of the connection (where the last segment ended) if it does not lie behind the
//   wanted byte, else from the oldest entry. One entry or one list element a cycle; a sequential segment of
//   n pieces takes about n + 5 cycles. An entry popped meanwhile still says the truth until it is rewritten,
//   and only APPEND, which passes here, rewrites it.
// After reset CONNS cycles go by before the first item.
`default_nettype none
`include "chimney_layout.vh"

module send_mapper #(
    parameter DATA_W    = 64,                          // bits: 64, 128, 256, 512
    parameter CONNS     = 16,                          // connections, a power of two, 4..1024
    parameter SENDS     = 16,                          // entries a connection, a power of two, 2..16
    parameter PATHS     = 8,                           // a power of two >= 2
    parameter NEIGHBORS = 8,                           // a power of two >= 2
    parameter CONN_W    = $clog2(CONNS),               // derived, do not override
    parameter IDX_W     = $clog2(SENDS),               // derived, do not override
    parameter PATH_W    = $clog2(PATHS),               // derived, do not override
    parameter NBR_W     = $clog2(NEIGHBORS),           // derived, do not override
    parameter LANE_W    = $clog2(DATA_W / 8)           // derived, do not override
) (
    input  wire                      clk,
    input  wire                      rst,

    input  wire                      s_txq_valid,
    output wire                      s_txq_ready,
    input  wire [`TXQ_W-1:0]         s_txq,

    output wire                      m_item_valid,
    input  wire                      m_item_ready,
    output wire [3:0]                m_item_kind,      // enum tx_kind: SEGMENT, RELEASE, FENCE, BARRIER
    output wire [15:0]               m_item_conn,
    output wire [7:0]                m_item_gen,
    output wire [`TX_SEGMENT_W-1:0]  m_item_seg,       // SEGMENT
    output wire [15:0]               m_item_len,       // SEGMENT: payload bytes, 0 when they cannot be mapped
    output reg  [`TX_RELEASE_W-1:0]  m_item_rel,       // RELEASE, FENCE, BARRIER
    output wire [IDX_W:0]            m_item_tail,      // RELEASE, FENCE
    output wire [15:0]               m_item_local_port,
    output wire [15:0]               m_item_remote_port,
    output wire                      m_item_conn_ipv6,
    output wire [19:0]               m_item_flow_label,
    output wire                      m_item_ipv6,      // of the path: of the frame
    output wire [127:0]              m_item_src_addr,
    output wire [127:0]              m_item_dst_addr,
    output wire [47:0]               m_item_dl_src,
    output wire [47:0]               m_item_dl_dst,
    output wire [11:0]               m_item_vlan_id,
    output wire [PATH_W-1:0]         m_item_path,      // SEGMENT: whose they are
    output wire [NBR_W-1:0]          m_item_nbr,

    output wire                      m_piece_valid,
    input  wire                      m_piece_ready,
    output wire [63:0]               m_piece_addr,
    output wire [15:0]               m_piece_len,
    output wire                      m_piece_last,
    output wire                      m_piece_none,
    output wire                      m_piece_bad,

    output wire                      m_ent_we,
    output wire [CONN_W+IDX_W-1:0]   m_ent_index,
    output wire [`TX_APPEND_W-1:0]   m_ent,
    output wire                      head_re,
    output wire [CONN_W-1:0]         head_conn,
    input  wire [IDX_W:0]            head_ptr,         // one cycle after head_re

    output wire                      m_lrd_req_valid,
    input  wire                      m_lrd_req_ready,
    output wire [63:0]               m_lrd_req_addr,
    output wire [15:0]               m_lrd_req_len,
    input  wire                      s_lrd_valid,
    output wire                      s_lrd_ready,
    input  wire [DATA_W-1:0]         s_lrd_data,
    input  wire                      s_lrd_last,
    input  wire [LANE_W:0]           s_lrd_bytes,
    input  wire                      s_lrd_error,

    output wire                      idle
);

    localparam PTR_W   = IDX_W + 1;                    // ring pointers carry a wrap bit
    localparam LISTS   = (CONNS < 16) ? CONNS : 16;
    localparam STATE_W = 2 * PTR_W + 1 + 4 + 32;
    localparam [PTR_W-1:0]  ONE_PTR  = 1;
    localparam [CONN_W-1:0] ONE_CONN = 1;
    localparam [15:0]       LEN_MAX  = 16'd1460;       // payload of the largest frame without options

    localparam [2:0] ST_INIT   = 3'd0;
    localparam [2:0] ST_IDLE   = 3'd1;                 // read the state of the connection
    localparam [2:0] ST_LOOK   = 3'd2;                 // it is here; items without a search end here
    localparam [2:0] ST_ENTRY  = 3'd3;                 // a table entry is at its RAM output
    localparam [2:0] ST_FETCH  = 3'd4;                 // its list is being fetched
    localparam [2:0] ST_ELEM   = 3'd5;                 // a list element is at its RAM output
    localparam [2:0] ST_FINISH = 3'd6;                 // all pieces found, not all gone

    // ---- the item in work
    wire [3:0]                kind = s_txq[`TXQ_KIND];
    wire [15:0]               conn = s_txq[`TXQ_CONN];
    wire [`TXQ_BODY_W-1:0]    body = s_txq[`TXQ_BODY];
    wire [`TX_SEGMENT_W-1:0]  seg  = body[`TX_SEGMENT_W-1:0];
    wire [`TX_APPEND_W-1:0]   app  = body[`TX_APPEND_W-1:0];
    wire [CONN_W-1:0]         cid  = conn[CONN_W-1:0];
    wire [31:0]               seg_seq = seg[`TX_SEGMENT_SEQ];
    wire [15:0]               seg_len = seg[`TX_SEGMENT_LEN];
    wire [15:0]               app_count = app[`TX_APPEND_COUNT];

    wire is_segment = kind == `TX_KIND_SEGMENT;
    wire is_append  = kind == `TX_KIND_APPEND;
    wire is_conn    = kind == `TX_KIND_HDR_CONN;
    wire is_path    = kind == `TX_KIND_HDR_PATH;
    wire is_nbr     = kind == `TX_KIND_HDR_NEIGHBOR;
    wire is_barrier = kind == `TX_KIND_BARRIER;
    wire is_token   = kind == `TX_KIND_RELEASE || kind == `TX_KIND_FENCE || is_barrier;

    reg [2:0]        state_reg;
    reg [CONN_W-1:0] init_reg;
    reg [PTR_W-1:0]  ptr_reg;                          // entry looked at
    reg              hinted_reg;                       // elem_reg, elem_seq_reg hold for this entry
    reg [4:0]        elem_reg;
    reg [31:0]       elem_seq_reg;                     // sequence number of the element's first byte
    reg [31:0]       seq_reg;                          // next byte to map
    reg [15:0]       left_reg;                         // bytes still to map
    reg              item_done_reg;
    reg              bad_wait_reg;                     // a `bad` piece that found the piece register full
    reg              piece_valid_reg;
    reg              piece_last_reg, piece_none_reg, piece_bad_reg;
    reg [63:0]       piece_addr_reg;
    reg [15:0]       piece_len_reg;

    wire in_idle  = state_reg == ST_IDLE;
    wire in_look  = state_reg == ST_LOOK;
    wire in_entry = state_reg == ST_ENTRY;
    wire in_elem  = state_reg == ST_ELEM;
    wire start    = in_idle && s_txq_valid && !is_path && !is_nbr && kind != `TX_KIND_NONE;

    // ---- per-connection state: end of the ring, hint
    wire [PTR_W-1:0] tail, hint_ptr;
    wire             hint_on;
    wire [3:0]       hint_elem;
    wire [31:0]      hint_seq;
    reg  [STATE_W-1:0] state_wdata;
    reg                state_we;

    ram_sdp #(.WIDTH(STATE_W), .DEPTH(CONNS)) states (
        .clk(clk),
        .we(state_we), .waddr(state_reg == ST_INIT ? init_reg : cid), .wdata(state_wdata),
        .re(start), .raddr(cid), .rdata({tail, hint_on, hint_ptr, hint_elem, hint_seq})
    );

    assign head_re   = start;
    assign head_conn = cid;

    wire [31:0] since_hint = seg_seq - hint_seq;
    wire        use_hint   = hint_on && !since_hint[31];
    wire        slot_hint  = hint_ptr[IDX_W-1:0] == tail[IDX_W-1:0];

    // ---- send table, the half that maps
    reg              ent_re;
    reg  [PTR_W-1:0] ent_ptr;
    wire [31:0]      ent_start, ent_end;
    wire             ent_fin;
    wire [63:0]      ent_list;
    wire [4:0]       ent_count;

    ram_sdp #(.WIDTH(32 + 32 + 1 + 64 + 5), .DEPTH(CONNS * SENDS)) entries (
        .clk(clk),
        .we(m_ent_we), .waddr(m_ent_index),
        .wdata({app[`TX_APPEND_START_SEQ], app[`TX_APPEND_END_SEQ], app[`TX_APPEND_FIN],
                app[`TX_APPEND_LIST_ADDR], app_count[4:0]}),
        .re(ent_re), .raddr({cid, ent_ptr[IDX_W-1:0]}),
        .rdata({ent_start, ent_end, ent_fin, ent_list, ent_count})
    );

    assign m_ent_we    = in_look && is_append;
    assign m_ent_index = {cid, tail[IDX_W-1:0]};
    assign m_ent       = app;

    wire [31:0] data_end  = ent_end - {31'd0, ent_fin};
    wire [31:0] ent_left  = data_end - seq_reg;        // bytes of the entry from seq on
    wire [31:0] ent_off   = seq_reg - ent_start;
    wire        past_ent  = ent_left[31] || ent_left == 32'd0;
    wire        no_entry  = ptr_reg == tail || (!past_ent && ent_off[31]);

    // ---- lists
    wire        hit, fetch, fetch_done, fetch_error;
    reg         elem_re;
    reg  [3:0]  elem_index;
    wire [63:0] elem_addr;
    wire [31:0] elem_len;

    assign fetch = in_entry && !no_entry && !past_ent && ent_count != 5'd0 && !hit;

    list_cache #(.DATA_W(DATA_W), .CONN_W(CONN_W), .IDX_W(IDX_W), .LISTS(LISTS)) lists (
        .clk(clk), .rst(rst),
        .conn(cid), .entry(m_ent_we ? tail[IDX_W-1:0] : ptr_reg[IDX_W-1:0]), .hit(hit), .drop(m_ent_we),
        .fetch(fetch), .addr(ent_list), .count(ent_count), .done(fetch_done), .error(fetch_error),
        .re(elem_re), .elem(elem_index), .elem_addr(elem_addr), .elem_len(elem_len),
        .m_lrd_req_valid(m_lrd_req_valid), .m_lrd_req_ready(m_lrd_req_ready),
        .m_lrd_req_addr(m_lrd_req_addr), .m_lrd_req_len(m_lrd_req_len),
        .s_lrd_valid(s_lrd_valid), .s_lrd_ready(s_lrd_ready), .s_lrd_data(s_lrd_data),
        .s_lrd_last(s_lrd_last), .s_lrd_bytes(s_lrd_bytes), .s_lrd_error(s_lrd_error)
    );

    // ---- the piece in the element: up to its end, the entry's end, the segment's end
    wire [31:0] elem_off   = seq_reg - elem_seq_reg;
    wire        no_elem    = elem_reg == ent_count;
    wire        past_elem  = elem_off >= elem_len;
    wire [31:0] elem_left  = elem_len - elem_off;
    wire [31:0] left       = {16'd0, left_reg};
    wire [31:0] host_left  = (elem_left < ent_left) ? elem_left : ent_left;
    wire        ends_seg   = left <= host_left;
    wire        ends_ent   = ent_left <= elem_left;
    wire [31:0] take       = ends_seg ? left : host_left;
    wire        piece_free = !piece_valid_reg || (m_piece_valid && m_piece_ready);
    wire        step       = in_elem && !no_elem && !past_elem && piece_free;
    wire [31:0] elem_next_seq = elem_seq_reg + elem_len;

    // ---- next state, RAM addresses
    reg [2:0]       state_next;
    reg [PTR_W-1:0] ptr_next;
    reg             hinted_next;
    reg [4:0]       elem_next;
    reg             fail;                              // a piece `bad` ends the segment

    always @* begin
        state_next  = state_reg;
        ptr_next    = ptr_reg;
        hinted_next = hinted_reg;
        elem_next   = elem_reg;
        fail        = 1'b0;
        ent_re      = 1'b0;
        elem_re     = 1'b0;
        case (state_reg)
            ST_INIT: if (&init_reg) state_next = ST_IDLE;
            ST_IDLE: if (start) state_next = ST_LOOK;
            ST_LOOK: begin
                ptr_next    = use_hint ? hint_ptr : head_ptr;
                elem_next   = use_hint ? {1'b0, hint_elem} : 5'd0;
                hinted_next = use_hint;
                if (is_segment) begin
                    fail       = seg_len > LEN_MAX;
                    ent_re     = 1'b1;
                    state_next = (fail || seg_len == 16'd0) ? ST_FINISH : ST_ENTRY;
                end else if (!is_token || m_item_ready) begin
                    state_next = ST_IDLE;
                end
            end
            ST_ENTRY: begin
                if (no_entry || (!past_ent && ent_count == 5'd0)) begin
                    fail       = 1'b1;
                    state_next = ST_FINISH;
                end else if (past_ent) begin
                    ptr_next    = ptr_reg + ONE_PTR;
                    elem_next   = 5'd0;
                    hinted_next = 1'b0;
                    ent_re      = 1'b1;
                end else begin
                    elem_re    = hit;
                    state_next = hit ? ST_ELEM : ST_FETCH;
                end
            end
            ST_FETCH: if (fetch_done) begin
                fail       = fetch_error;
                state_next = fetch_error ? ST_FINISH : ST_ENTRY;
            end
            ST_ELEM: begin
                if (no_elem) begin
                    fail       = 1'b1;
                    state_next = ST_FINISH;
                end else if (step && ends_seg) begin
                    state_next = ST_FINISH;
                end else if (step && ends_ent) begin
                    ptr_next    = ptr_reg + ONE_PTR;
                    elem_next   = 5'd0;
                    hinted_next = 1'b0;
                    ent_re      = 1'b1;
                    state_next  = ST_ENTRY;
                end else if (step || past_elem) begin
                    elem_next = elem_reg + 5'd1;
                    elem_re   = 1'b1;
                end
            end
            ST_FINISH: if (item_done_reg && piece_free && !bad_wait_reg) state_next = ST_IDLE;
            default: state_next = ST_IDLE;
        endcase
        ent_ptr    = ptr_next;
        elem_index = elem_next[3:0];
    end

    assign s_txq_ready = (in_idle && s_txq_valid && (is_path || is_nbr || kind == `TX_KIND_NONE))
                       || (in_look && (is_append || is_conn || (is_token && m_item_ready)))
                       || (state_reg == ST_FINISH && state_next == ST_IDLE);

    always @* begin
        state_we    = 1'b0;
        state_wdata = {tail, hint_on, hint_ptr, hint_elem, hint_seq};
        if (state_reg == ST_INIT) begin
            state_we    = 1'b1;
            state_wdata = 0;
        end else if (in_look && is_append) begin
            state_we    = 1'b1;
            state_wdata = {tail + ONE_PTR, hint_on && !slot_hint, hint_ptr, hint_elem, hint_seq};
        end else if (in_look && is_conn) begin
            state_we    = 1'b1;
            state_wdata = {tail, 1'b0, hint_ptr, hint_elem, hint_seq};
        end else if (step && ends_seg) begin
            state_we    = 1'b1;
            state_wdata = {tail, 1'b1, ptr_reg, elem_reg[3:0], elem_seq_reg};
        end
    end

    always @(posedge clk) begin
        ptr_reg    <= ptr_next;
        hinted_reg <= hinted_next;
        elem_reg   <= elem_next;
        if (in_look) begin
            seq_reg      <= seg_seq;
            left_reg     <= seg_len;
            elem_seq_reg <= hint_seq;
        end
        if (in_entry && !hinted_reg) elem_seq_reg <= ent_start;
        if (in_elem && elem_re)      elem_seq_reg <= elem_next_seq;
        if (step) begin
            seq_reg  <= seq_reg + take;
            left_reg <= left_reg - take[15:0];
        end
        if (step || ((fail || bad_wait_reg) && piece_free) || (in_look && is_segment)) begin
            piece_addr_reg <= elem_addr + {32'd0, elem_off};
            piece_len_reg  <= take[15:0];
            piece_last_reg <= !step || ends_seg;
            piece_none_reg <= !step;
            piece_bad_reg  <= fail || bad_wait_reg;
        end
    end

    always @(posedge clk) begin
        if (rst) begin
            state_reg       <= ST_INIT;
            init_reg        <= 0;
            item_done_reg   <= 1'b0;
            piece_valid_reg <= 1'b0;
            bad_wait_reg    <= 1'b0;
        end else begin
            state_reg <= state_next;
            if (state_reg == ST_INIT) init_reg <= init_reg + ONE_CONN;

            if (in_look)                             item_done_reg <= 1'b0;
            else if (m_item_valid && m_item_ready)   item_done_reg <= 1'b1;

            if (step || ((fail || bad_wait_reg) && piece_free) || (in_look && is_segment && seg_len == 16'd0))
                piece_valid_reg <= 1'b1;
            else if (m_piece_valid && m_piece_ready)
                piece_valid_reg <= 1'b0;

            bad_wait_reg <= (fail || bad_wait_reg) && !piece_free;
        end
    end

    // ---- header tables
    wire hdr_ready;

    header_tables #(.CONNS(CONNS), .PATHS(PATHS), .NEIGHBORS(NEIGHBORS)) headers (
        .clk(clk), .rst(rst),
        .conn_we(in_look && is_conn),
        .path_we(in_idle && s_txq_valid && is_path),
        .nbr_we(in_idle && s_txq_valid && is_nbr),
        .w_index(conn), .w_body(body),
        .lookup(start && is_segment), .lookup_conn(cid), .ready(hdr_ready),
        .local_port(m_item_local_port), .remote_port(m_item_remote_port),
        .conn_ipv6(m_item_conn_ipv6), .flow_label(m_item_flow_label), .ipv6(m_item_ipv6),
        .src_addr(m_item_src_addr), .dst_addr(m_item_dst_addr),
        .dl_src(m_item_dl_src), .dl_dst(m_item_dl_dst), .vlan_id(m_item_vlan_id),
        .path_index(m_item_path), .nbr_index(m_item_nbr)
    );

    wire searching = !in_idle && !in_look && state_reg != ST_INIT;

    assign m_item_valid  = (in_look && is_token) || (searching && hdr_ready && !item_done_reg);
    assign m_item_kind   = kind;
    assign m_item_conn   = conn;
    assign m_item_gen    = s_txq[`TXQ_GEN];
    assign m_item_seg    = seg;
    assign m_item_len    = (seg_len > LEN_MAX) ? 16'd0 : seg_len;
    assign m_item_tail   = tail;

    always @* begin
        m_item_rel = body[`TX_RELEASE_W-1:0];
        if (is_barrier) m_item_rel[`TX_RELEASE_CPL] = 1'b0;   // its completion has gone ahead
    end

    assign m_piece_valid = piece_valid_reg && item_done_reg;
    assign m_piece_addr  = piece_addr_reg;
    assign m_piece_len   = piece_len_reg;
    assign m_piece_last  = piece_last_reg;
    assign m_piece_none  = piece_none_reg;
    assign m_piece_bad   = piece_bad_reg;

    assign idle = in_idle && !s_txq_valid;

    wire unused = &{1'b0, since_hint, ent_off, ent_ptr, app_count[15:5], take[31:16], body[`TXQ_BODY_W-1:`TX_SEGMENT_W]};

endmodule

`default_nettype wire
