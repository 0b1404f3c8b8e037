// segment_builder: turns items and their host pieces into frames, in order.
//
// Why a block: store and forward, because the TCP checksum lies in front of the payload; this is where the
// room for it is given out.
//
// s_item / s_piece: from send_mapper. s_raw_item / s_raw_piece: from raw_tx. An item and its pieces stay
//   together; items of both sides take turns.
// m_prd / s_prd: dma read client PAYLOAD. Asks only for what has a place.
// s_bar / m_bar and the other outputs as in frame_emit.
// The slots share one frame store of TX_SLOTS * 2048 bytes: a frame takes only the words its payload fills,
// and each word is free again when it has been read for the wire; so up to 4 * TX_SLOTS items are in work.
// Reading of later frames overlaps with sending; a frame can leave every ceil(bytes / bus bytes) cycles.
//
//   item -> header_build -> hdr fifo --------------.
//    |  `-> info fifo (order) ---------------------+-> frame_emit -> wire, tokens
//   piece -> request, desc fifo -> payload_gather -+-> done fifo (sum, error)
//                                       `-> frame store
`default_nettype none
`include "chimney_layout.vh"

module segment_builder #(
    parameter DATA_W   = 64,                           // bits: 64, 128, 256, 512
    parameter TX_SLOTS = 4,                            // frame store, units of 2048 bytes, a power of two >= 2
    parameter PTR_W    = 5,                            // bits of a send-table ring pointer
    parameter CONNS     = 16,                          // connections, a power of two, 4..1024
    parameter PATHS     = 8,                           // a power of two >= 2
    parameter NEIGHBORS = 8,                           // a power of two >= 2
    parameter PATH_W   = $clog2(PATHS),                // derived, do not override
    parameter NBR_W    = $clog2(NEIGHBORS),            // derived, do not override
    parameter LANES    = DATA_W / 8,                   // derived, do not override
    parameter LANE_W   = $clog2(LANES)                 // derived, do not override
) (
    input  wire                     clk,
    input  wire                     rst,
    input  wire [47:0]              mac_addr,

    input  wire                     s_item_valid,
    output wire                     s_item_ready,
    input  wire [3:0]               s_item_kind,
    input  wire [15:0]              s_item_conn,
    input  wire [7:0]               s_item_gen,
    input  wire [`TX_SEGMENT_W-1:0] s_item_seg,
    input  wire [15:0]              s_item_len,
    input  wire [`TX_RELEASE_W-1:0] s_item_rel,
    input  wire [PTR_W-1:0]         s_item_tail,
    input  wire [15:0]              s_item_local_port,
    input  wire [15:0]              s_item_remote_port,
    input  wire                     s_item_conn_ipv6,
    input  wire [19:0]              s_item_flow_label,
    input  wire                     s_item_ipv6,
    input  wire [127:0]             s_item_src_addr,
    input  wire [127:0]             s_item_dst_addr,
    input  wire [47:0]              s_item_dl_src,
    input  wire [47:0]              s_item_dl_dst,
    input  wire [11:0]              s_item_vlan_id,
    input  wire [PATH_W-1:0]        s_item_path,
    input  wire [NBR_W-1:0]         s_item_nbr,
    input  wire                     s_piece_valid,
    output wire                     s_piece_ready,
    input  wire [63:0]              s_piece_addr,
    input  wire [15:0]              s_piece_len,
    input  wire                     s_piece_last,
    input  wire                     s_piece_none,
    input  wire                     s_piece_bad,

    input  wire                     s_bar_valid,       // an INVALIDATE, ahead of its BARRIER among the items
    input  wire [1:0]               s_bar_object,
    input  wire [15:0]              s_bar_number,
    output wire                     m_bar_valid,       // no frame of the object is on its way any more
    input  wire                     m_bar_ready,

    input  wire                     s_raw_item_valid,
    output wire                     s_raw_item_ready,
    input  wire [15:0]              s_raw_item_len,
    input  wire [31:0]              s_raw_item_order,
    input  wire                     s_raw_piece_valid,
    output wire                     s_raw_piece_ready,
    input  wire [63:0]              s_raw_piece_addr,
    input  wire [15:0]              s_raw_piece_len,

    output wire                     m_prd_req_valid,
    input  wire                     m_prd_req_ready,
    output wire [63:0]              m_prd_req_addr,
    output wire [15:0]              m_prd_req_len,
    input  wire                     s_prd_valid,
    output wire                     s_prd_ready,
    input  wire [DATA_W-1:0]        s_prd_data,
    input  wire                     s_prd_last,
    input  wire [LANE_W:0]          s_prd_bytes,
    input  wire                     s_prd_error,

    output wire                     m_axis_tx_tvalid,
    input  wire                     m_axis_tx_tready,
    output wire [DATA_W-1:0]        m_axis_tx_tdata,
    output wire [LANES-1:0]         m_axis_tx_tkeep,
    output wire                     m_axis_tx_tlast,

    output wire                     m_tok_valid,
    input  wire                     m_tok_ready,
    output wire                     m_tok_fence,
    output wire [31:0]              m_tok_una,
    output wire [7:0]               m_tok_status,
    output wire                     m_tok_cpl,
    output wire [PTR_W-1:0]         m_tok_tail,
    output wire                     m_fault_valid,
    input  wire                     m_fault_ready,
    output wire [15:0]              m_conn,
    output wire [7:0]               m_gen,
    output wire                     raw_done_valid,
    output wire                     raw_done_error,

    output wire                     rec_valid,
    output wire [`REC_TX_W-1:0]     rec,
    output wire                     cnt_seg,
    output wire                     cnt_raw,
    output wire                     cnt_disc,
    output wire                     stat_valid,
    output wire [15:0]              stat_octets,
    output wire [2:0]               stat_what,
    output wire                     stat_ipv6,
    output wire                     idle
);

    generate
        if (TX_SLOTS < 2 || (TX_SLOTS & (TX_SLOTS - 1)) != 0) begin : g_illegal
            segment_builder_TX_SLOTS_must_be_a_power_of_two illegal();
        end
    endgenerate

    localparam BEATS_W = 11 - LANE_W;                  // a frame is shorter than 2048 bytes
    localparam STORE   = TX_SLOTS << BEATS_W;          // words of the frame store
    localparam STORE_W = $clog2(STORE);
    localparam ITEMS   = 4 * TX_SLOTS;                 // items between header_build and the wire
    localparam PIECES  = 32;                           // reads on their way
    localparam HDR_W   = 944;                          // bits of the longest header
    localparam INFO_W  = 3 + 16 + 8 + 32 + 8 + 1 + PTR_W + BEATS_W + PATH_W + NBR_W + 4;
    localparam HFIFO_W = HDR_W + 7 + 2 + 16 + 16 + BEATS_W + 16;
    localparam PIECE_W = 64 + 16 + 3 + BEATS_W;
    localparam [STORE_W:0] ALL_FREE = {1'b1, {STORE_W{1'b0}}};
    localparam CONN_W  = $clog2(CONNS);
    localparam RST     = 2;                            // position inside the TCP flags
    localparam [2:0] KIND_SEGMENT = 3'd0, KIND_RAW = 3'd1, KIND_RELEASE = 3'd2, KIND_FENCE = 3'd3, KIND_BARRIER = 3'd4;

    // ---- choice of the item, room
    reg                lock_reg;                       // pieces of `raw_reg`'s side are awaited
    reg                raw_reg;                        // side of the last frame
    reg  [BEATS_W-1:0] lock_beats_reg;                 // its words in the store
    reg  [STORE_W:0]   free_reg;                       // words nobody holds
    reg  [31:0]        seg_count_reg;

    wire pick_raw  = s_raw_item_valid && !(s_item_valid && raw_reg);
    wire is_frame  = pick_raw || s_item_kind == `TX_KIND_SEGMENT;
    wire [15:0]        len   = pick_raw ? s_raw_item_len : s_item_len;
    wire [15:0]        roundup = len + {{(16-LANE_W){1'b0}}, {LANE_W{1'b1}}};
    wire [BEATS_W-1:0] beats = is_frame ? roundup[10:LANE_W] : {BEATS_W{1'b0}};
    wire [BEATS_W-1:0] freed;

    wire info_ready;
    wire room    = info_ready && {{(STORE_W+1-BEATS_W){1'b0}}, beats} <= free_reg;
    wire accept  = !lock_reg && room && (s_raw_item_valid || s_item_valid);

    assign s_item_ready     = !lock_reg && room && !pick_raw;
    assign s_raw_item_ready = !lock_reg && room && pick_raw;

    wire piece_valid = lock_reg && (raw_reg ? s_raw_piece_valid : s_piece_valid);
    wire piece_last  = raw_reg || s_piece_last;
    wire piece_ready;

    assign s_piece_ready     = lock_reg && !raw_reg && piece_ready;
    assign s_raw_piece_ready = lock_reg && raw_reg && piece_ready;

    always @(posedge clk) begin
        if (accept) lock_beats_reg <= beats;
    end

    always @(posedge clk) begin
        if (rst) begin
            lock_reg      <= 1'b0;
            raw_reg       <= 1'b0;
            free_reg      <= ALL_FREE;
            seg_count_reg <= 32'd0;
        end else begin
            if (accept && is_frame)                            lock_reg <= 1'b1;
            else if (piece_valid && piece_ready && piece_last) lock_reg <= 1'b0;
            if (accept) raw_reg <= pick_raw;
            free_reg <= free_reg + {{(STORE_W+1-BEATS_W){1'b0}}, freed}
                      - (accept ? {{(STORE_W+1-BEATS_W){1'b0}}, beats} : {(STORE_W+1){1'b0}});
            if (accept && is_frame && !pick_raw) seg_count_reg <= seg_count_reg + 32'd1;
        end
    end

    // ---- order of everything
    wire               info_valid, info_pop;
    wire [2:0]         info_kind;
    wire [PATH_W-1:0]  info_path;
    wire [NBR_W-1:0]   info_nbr;
    wire [15:0]        info_conn;
    wire [7:0]         info_gen, info_status;
    wire [31:0]        info_number;
    wire               info_cpl;
    wire [3:0]         info_stat;
    wire [7:0]         item_flags = s_item_seg[`TX_SEGMENT_FLAGS];
    wire [PTR_W-1:0]   info_tail;
    wire [BEATS_W-1:0] info_beats;
    wire [$clog2(ITEMS):0] info_count, hdr_count, done_count;

    fifo #(.WIDTH(INFO_W), .DEPTH(ITEMS)) infos (
        .clk(clk), .rst(rst),
        .s_data({pick_raw ? KIND_RAW : is_frame ? KIND_SEGMENT
                          : (s_item_kind == `TX_KIND_FENCE) ? KIND_FENCE
                          : (s_item_kind == `TX_KIND_BARRIER) ? KIND_BARRIER : KIND_RELEASE,
                 s_item_conn, s_item_gen,
                 pick_raw ? s_raw_item_order : is_frame ? seg_count_reg : s_item_rel[`TX_RELEASE_UNA],
                 s_item_rel[`TX_RELEASE_STATUS], s_item_rel[`TX_RELEASE_CPL], s_item_tail, beats,
                 s_item_path, s_item_nbr, s_item_conn_ipv6, item_flags[RST], s_item_seg[`TX_SEGMENT_HAS_OLD],
                 s_item_seg[`TX_SEGMENT_HAS_NEW]}),
        .s_valid(accept), .s_ready(info_ready),
        .m_data({info_kind, info_conn, info_gen, info_number, info_status, info_cpl, info_tail, info_beats,
                 info_path, info_nbr, info_stat}),
        .m_valid(info_valid), .m_ready(info_pop), .count(info_count)
    );

    // ---- headers
    wire               built, hdr_room, hdr_valid, hdr_pop;
    wire [HFIFO_W-1:0] built_hdr, hdr;

    header_build #(.DATA_W(DATA_W), .BEATS_W(BEATS_W), .HDR_W(HDR_W)) build (
        .clk(clk), .rst(rst), .mac_addr(mac_addr),
        .s_valid(accept && is_frame), .s_raw(pick_raw), .s_len(len), .s_ip_id(seg_count_reg[14:0]),
        .s_seg(s_item_seg), .s_local_port(s_item_local_port), .s_remote_port(s_item_remote_port),
        .s_ipv6(s_item_ipv6), .s_flow_label(s_item_flow_label),
        .s_src_addr(s_item_src_addr), .s_dst_addr(s_item_dst_addr),
        .s_dl_src(s_item_dl_src), .s_dl_dst(s_item_dl_dst), .s_vlan_id(s_item_vlan_id),
        .m_valid(built), .m_hdr(built_hdr[HDR_W-1:0]), .m_hdr_len(built_hdr[HDR_W +: 7]),
        .m_tagged(built_hdr[HDR_W+7]), .m_ipv6(built_hdr[HDR_W+8]), .m_frame_len(built_hdr[HDR_W+9 +: 16]),
        .m_wire_len(built_hdr[HDR_W+25 +: 16]), .m_tcp_sum(built_hdr[HDR_W+41 +: 16]),
        .m_beats_m1(built_hdr[HDR_W+57 +: BEATS_W])
    );

    fifo #(.WIDTH(HFIFO_W), .DEPTH(ITEMS)) hdrs (
        .clk(clk), .rst(rst),
        .s_data(built_hdr), .s_valid(built), .s_ready(hdr_room),
        .m_data(hdr), .m_valid(hdr_valid), .m_ready(hdr_pop), .count(hdr_count)
    );

    // ---- pieces: a request, and a descriptor for the gatherer, both or none
    wire               p_valid, p_ready, p_last, p_none, p_bad;
    wire [63:0]        p_addr;
    wire [15:0]        p_len;
    wire [BEATS_W-1:0] p_beats;
    wire [2:0]         piece_count;
    wire               desc_room, desc_valid, desc_ready, desc_last, desc_none, desc_bad;
    wire [BEATS_W-1:0] desc_beats;
    wire [$clog2(PIECES):0] desc_count;

    fifo #(.WIDTH(PIECE_W), .DEPTH(4)) pieces (
        .clk(clk), .rst(rst),
        .s_data({raw_reg ? s_raw_piece_addr : s_piece_addr, raw_reg ? s_raw_piece_len : s_piece_len,
                 piece_last, !raw_reg && s_piece_none, !raw_reg && s_piece_bad, lock_beats_reg}),
        .s_valid(piece_valid), .s_ready(piece_ready),
        .m_data({p_addr, p_len, p_last, p_none, p_bad, p_beats}), .m_valid(p_valid), .m_ready(p_ready),
        .count(piece_count)
    );

    assign m_prd_req_valid = p_valid && !p_none && desc_room;
    assign m_prd_req_addr  = p_addr;
    assign m_prd_req_len   = p_len;
    assign p_ready         = desc_room && (p_none || m_prd_req_ready);

    fifo #(.WIDTH(3 + BEATS_W), .DEPTH(PIECES)) descs (
        .clk(clk), .rst(rst),
        .s_data({p_last, p_none, p_bad, p_beats}), .s_valid(p_valid && (p_none || m_prd_req_ready)),
        .s_ready(desc_room),
        .m_data({desc_last, desc_none, desc_bad, desc_beats}), .m_valid(desc_valid), .m_ready(desc_ready),
        .count(desc_count)
    );

    wire               w_we, r_re, gathered, gathered_error;
    wire [STORE_W-1:0] w_addr, r_addr;
    wire [DATA_W-1:0]  w_data, r_data;
    wire [15:0]        gathered_sum;

    payload_gather #(.DATA_W(DATA_W), .STORE_W(STORE_W), .BEATS_W(BEATS_W)) gather (
        .clk(clk), .rst(rst),
        .s_desc_valid(desc_valid), .s_desc_ready(desc_ready), .s_desc_last(desc_last),
        .s_desc_none(desc_none), .s_desc_bad(desc_bad), .s_desc_beats(desc_beats),
        .s_prd_valid(s_prd_valid), .s_prd_ready(s_prd_ready), .s_prd_data(s_prd_data),
        .s_prd_last(s_prd_last), .s_prd_bytes(s_prd_bytes), .s_prd_error(s_prd_error),
        .w_we(w_we), .w_addr(w_addr), .w_data(w_data),
        .m_done_valid(gathered), .m_done_sum(gathered_sum), .m_done_error(gathered_error)
    );

    ram_sdp #(.WIDTH(DATA_W), .DEPTH(STORE)) store (
        .clk(clk), .we(w_we), .waddr(w_addr), .wdata(w_data), .re(r_re), .raddr(r_addr), .rdata(r_data)
    );

    wire        done_room, done_valid, done_pop, done_error;
    wire [15:0] done_sum;

    fifo #(.WIDTH(17), .DEPTH(ITEMS)) dones (
        .clk(clk), .rst(rst),
        .s_data({gathered_error, gathered_sum}), .s_valid(gathered), .s_ready(done_room),
        .m_data({done_error, done_sum}), .m_valid(done_valid), .m_ready(done_pop), .count(done_count)
    );

    // ---- INVALIDATE: which of the frames here must not begin
    wire bar_room, bar_mark, bar_pass, dead;

    barred_objects #(.CONN_W(CONN_W), .PATH_W(PATH_W), .NBR_W(NBR_W)) barred (
        .clk(clk), .rst(rst),
        .room(bar_room), .mark(bar_mark), .mark_object(s_bar_object), .mark_number(s_bar_number),
        .pass(bar_pass), .conn(info_conn[CONN_W-1:0]), .path(info_path), .nbr(info_nbr), .dead(dead)
    );

    // ---- the way out
    wire emit_idle;

    frame_emit #(.DATA_W(DATA_W), .STORE_W(STORE_W), .BEATS_W(BEATS_W), .HDR_W(HDR_W), .PTR_W(PTR_W)) emit (
        .clk(clk), .rst(rst),
        .s_info_valid(info_valid), .s_info_ready(info_pop), .s_info_kind(info_kind), .s_info_conn(info_conn),
        .s_info_gen(info_gen), .s_info_number(info_number), .s_info_status(info_status),
        .s_info_cpl(info_cpl), .s_info_tail(info_tail), .s_info_beats(info_beats),
        .s_info_dead(dead), .s_info_stat(info_stat),
        .s_bar_valid(s_bar_valid && bar_room), .bar_mark(bar_mark), .bar_pass(bar_pass),
        .m_bar_valid(m_bar_valid), .m_bar_ready(m_bar_ready),
        .s_hdr_valid(hdr_valid), .s_hdr_ready(hdr_pop), .s_hdr(hdr[HDR_W-1:0]),
        .s_hdr_len(hdr[HDR_W +: 7]), .s_hdr_tagged(hdr[HDR_W+7]), .s_hdr_ipv6(hdr[HDR_W+8]),
        .s_hdr_frame_len(hdr[HDR_W+9 +: 16]),
        .s_hdr_wire_len(hdr[HDR_W+25 +: 16]), .s_hdr_tcp_sum(hdr[HDR_W+41 +: 16]),
        .s_hdr_beats_m1(hdr[HDR_W+57 +: BEATS_W]),
        .s_done_valid(done_valid), .s_done_ready(done_pop), .s_done_sum(done_sum), .s_done_error(done_error),
        .r_re(r_re), .r_addr(r_addr), .r_data(r_data), .free(freed),
        .m_axis_tx_tvalid(m_axis_tx_tvalid), .m_axis_tx_tready(m_axis_tx_tready),
        .m_axis_tx_tdata(m_axis_tx_tdata), .m_axis_tx_tkeep(m_axis_tx_tkeep),
        .m_axis_tx_tlast(m_axis_tx_tlast),
        .m_tok_valid(m_tok_valid), .m_tok_ready(m_tok_ready), .m_tok_fence(m_tok_fence),
        .m_tok_una(m_tok_una), .m_tok_status(m_tok_status), .m_tok_cpl(m_tok_cpl), .m_tok_tail(m_tok_tail),
        .m_fault_valid(m_fault_valid), .m_fault_ready(m_fault_ready), .m_conn(m_conn), .m_gen(m_gen),
        .raw_done_valid(raw_done_valid), .raw_done_error(raw_done_error),
        .rec_valid(rec_valid), .rec(rec), .cnt_seg(cnt_seg), .cnt_raw(cnt_raw), .cnt_disc(cnt_disc),
        .stat_valid(stat_valid), .stat_octets(stat_octets), .stat_what(stat_what),
        .stat_ipv6(stat_ipv6), .idle(emit_idle)
    );

    assign idle = emit_idle && !lock_reg;

    // as many headers and sums as infos at most: they always have room
    wire unused = &{1'b0, hdr_room, done_room, info_count, hdr_count, done_count, piece_count, desc_count,
                    roundup, s_item_kind, s_item_rel, item_flags};

endmodule

`default_nettype wire
