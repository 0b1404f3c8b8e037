// tx_top: the transmit cluster.
//
// Why a block: wires send_mapper, raw_tx, segment_builder and send_completer; docs/contract/blocks.md has
// the meaning of each port.
//
//   s_txq -> send_mapper -> segment_builder -> wire
//              |   s_raw -> raw_tx -^ |  `---> m_fault
//              `-- entries, heads --- send_completer -> m_scpl, m_fdone, pop
// idle: nothing queued, in work, or waiting at an output. Low for CONNS cycles after reset.
`default_nettype none
`include "chimney_layout.vh"

module tx_top #(
    parameter DATA_W      = 64,                        // bits: 64, 128, 256, 512
    parameter CONNS       = 16,                        // connections, a power of two, 4..1024
    parameter SENDS       = 16,                        // send-table entries a connection, a power of two, 2..16
    parameter PATHS       = 8,                         // a power of two >= 2
    parameter NEIGHBORS   = 8,                         // a power of two >= 2
    parameter TX_SLOTS    = 4,                         // frame store in units of 2048 bytes, power of two >= 2
    parameter COMMIT_PORT = 1,                         // 0: rec_tx is constant 0
    parameter LANES       = DATA_W / 8,                // derived, do not override
    parameter LANE_W      = $clog2(LANES)              // derived, do not override
) (
    input  wire                 clk,
    input  wire                 rst,
    input  wire [47:0]          mac_addr,

    input  wire                 s_txq_valid,
    output wire                 s_txq_ready,
    input  wire [`TXQ_W-1:0]    s_txq,

    input  wire                 s_raw_valid,
    output wire                 s_raw_ready,
    input  wire [63:0]          s_raw_addr,
    input  wire [15:0]          s_raw_len,
    input  wire [63:0]          s_raw_cookie,
    input  wire [15:0]          s_raw_sq_index,

    output wire                 m_lrd_req_valid,
    input  wire                 m_lrd_req_ready,
    output wire [63:0]          m_lrd_req_addr,
    output wire [15:0]          m_lrd_req_len,
    input  wire                 s_lrd_valid,
    output wire                 s_lrd_ready,
    input  wire [DATA_W-1:0]    s_lrd_data,
    input  wire                 s_lrd_last,
    input  wire [LANE_W:0]      s_lrd_bytes,
    input  wire                 s_lrd_error,

    output wire                 m_prd_req_valid,
    input  wire                 m_prd_req_ready,
    output wire [63:0]          m_prd_req_addr,
    output wire [15:0]          m_prd_req_len,
    input  wire                 s_prd_valid,
    output wire                 s_prd_ready,
    input  wire [DATA_W-1:0]    s_prd_data,
    input  wire                 s_prd_last,
    input  wire [LANE_W:0]      s_prd_bytes,
    input  wire                 s_prd_error,

    output wire [DATA_W-1:0]    m_axis_tx_tdata,
    output wire [LANES-1:0]     m_axis_tx_tkeep,
    output wire                 m_axis_tx_tlast,
    output wire                 m_axis_tx_tvalid,
    input  wire                 m_axis_tx_tready,

    input  wire                 s_bar_valid,           // BARRIER, ahead of its place in s_txq
    output wire                 s_bar_ready,
    input  wire [`TXQ_W-1:0]    s_bar,

    output wire                 m_barcpl_valid,
    input  wire                 m_barcpl_ready,
    output reg  [`CQE_W-1:0]    m_barcpl,
    output wire                 m_scpl_valid,
    input  wire                 m_scpl_ready,
    output wire [`CQE_W-1:0]    m_scpl,
    output wire                 m_rawcpl_valid,
    input  wire                 m_rawcpl_ready,
    output wire [`CQE_W-1:0]    m_rawcpl,

    output wire                 pop_pulse,
    output wire [15:0]          pop_conn,
    output wire                 m_fdone_valid,
    input  wire                 m_fdone_ready,
    output wire [15:0]          m_fdone_conn,
    output wire [7:0]           m_fdone_gen,
    output wire                 m_fault_valid,
    input  wire                 m_fault_ready,
    output wire [15:0]          m_fault_conn,
    output wire [7:0]           m_fault_gen,

    output wire                 rec_tx_valid,
    output wire [`REC_TX_W-1:0] rec_tx,
    output wire                 cnt_seg,
    output wire                 cnt_raw,
    output wire                 cnt_disc,
    output wire                 stat_valid,            // pulse a SEGMENT that left, or with cnt_disc was discarded
    output wire [15:0]          stat_octets,           // IP total length
    output wire [2:0]           stat_what,             // RST, has_old, has_new
    output wire                 stat_ipv6,             // family of the connection
    output wire                 idle
);

    generate
        if (DATA_W != 64 && DATA_W != 128 && DATA_W != 256 && DATA_W != 512) begin : g_illegal_width
            tx_top_DATA_W_must_be_64_128_256_or_512 illegal();
        end
        if (CONNS < 4 || CONNS > 1024 || (CONNS & (CONNS - 1)) != 0) begin : g_illegal_conns
            tx_top_CONNS_must_be_a_power_of_two_4_to_1024 illegal();
        end
        if (SENDS < 2 || SENDS > 16 || (SENDS & (SENDS - 1)) != 0) begin : g_illegal_sends
            tx_top_SENDS_must_be_a_power_of_two_2_to_16 illegal();
        end
    endgenerate

    localparam CONN_W = $clog2(CONNS);
    localparam IDX_W  = $clog2(SENDS);
    localparam PTR_W  = IDX_W + 1;
    localparam PATH_W = $clog2(PATHS);
    localparam NBR_W  = $clog2(NEIGHBORS);

    wire                     item_valid, item_ready;
    wire [3:0]               item_kind;
    wire [15:0]              item_conn, item_len, item_local_port, item_remote_port;
    wire [7:0]               item_gen;
    wire [`TX_SEGMENT_W-1:0] item_seg;
    wire [`TX_RELEASE_W-1:0] item_rel;
    wire [PTR_W-1:0]         item_tail, head_ptr;
    wire                     item_conn_ipv6, item_ipv6;
    wire [19:0]              item_flow_label;
    wire [127:0]             item_src_addr, item_dst_addr;
    wire [47:0]              item_dl_src, item_dl_dst;
    wire [11:0]              item_vlan_id;
    wire [PATH_W-1:0]        item_path;
    wire [NBR_W-1:0]         item_nbr;
    wire                     piece_valid, piece_ready, piece_last, piece_none, piece_bad;
    wire [63:0]              piece_addr;
    wire [15:0]              piece_len;
    wire                     ent_we, head_re;
    wire [CONN_W+IDX_W-1:0]  ent_index;
    wire [`TX_APPEND_W-1:0]  ent;
    wire [CONN_W-1:0]        head_conn;
    wire                     mapper_idle, raw_idle, builder_idle, completer_idle;

    send_mapper #(
        .DATA_W(DATA_W), .CONNS(CONNS), .SENDS(SENDS), .PATHS(PATHS), .NEIGHBORS(NEIGHBORS)
    ) mapper (
        .clk(clk), .rst(rst),
        .s_txq_valid(s_txq_valid), .s_txq_ready(s_txq_ready), .s_txq(s_txq),
        .m_item_valid(item_valid), .m_item_ready(item_ready), .m_item_kind(item_kind),
        .m_item_conn(item_conn), .m_item_gen(item_gen), .m_item_seg(item_seg), .m_item_len(item_len),
        .m_item_rel(item_rel), .m_item_tail(item_tail),
        .m_item_local_port(item_local_port), .m_item_remote_port(item_remote_port),
        .m_item_conn_ipv6(item_conn_ipv6), .m_item_flow_label(item_flow_label), .m_item_ipv6(item_ipv6),
        .m_item_src_addr(item_src_addr), .m_item_dst_addr(item_dst_addr),
        .m_item_dl_src(item_dl_src), .m_item_dl_dst(item_dl_dst), .m_item_vlan_id(item_vlan_id),
        .m_item_path(item_path), .m_item_nbr(item_nbr),
        .m_piece_valid(piece_valid), .m_piece_ready(piece_ready), .m_piece_addr(piece_addr),
        .m_piece_len(piece_len), .m_piece_last(piece_last), .m_piece_none(piece_none),
        .m_piece_bad(piece_bad),
        .m_ent_we(ent_we), .m_ent_index(ent_index), .m_ent(ent),
        .head_re(head_re), .head_conn(head_conn), .head_ptr(head_ptr),
        .m_lrd_req_valid(m_lrd_req_valid), .m_lrd_req_ready(m_lrd_req_ready),
        .m_lrd_req_addr(m_lrd_req_addr), .m_lrd_req_len(m_lrd_req_len),
        .s_lrd_valid(s_lrd_valid), .s_lrd_ready(s_lrd_ready), .s_lrd_data(s_lrd_data),
        .s_lrd_last(s_lrd_last), .s_lrd_bytes(s_lrd_bytes), .s_lrd_error(s_lrd_error),
        .idle(mapper_idle)
    );

    // the command that a token completes goes ahead of it, past the frames
    wire item_cmd = item_valid && item_kind != `TX_KIND_SEGMENT && item_rel[`TX_RELEASE_CPL];

    wire        raw_item_valid, raw_item_ready, raw_piece_valid, raw_piece_ready;
    wire [15:0] raw_item_len, raw_piece_len;
    wire [31:0] raw_item_order;
    wire [63:0] raw_piece_addr;
    wire        raw_done_valid, raw_done_error;

    raw_tx raw (
        .clk(clk), .rst(rst),
        .s_raw_valid(s_raw_valid), .s_raw_ready(s_raw_ready), .s_raw_addr(s_raw_addr),
        .s_raw_len(s_raw_len), .s_raw_cookie(s_raw_cookie), .s_raw_sq_index(s_raw_sq_index),
        .m_item_valid(raw_item_valid), .m_item_ready(raw_item_ready), .m_item_len(raw_item_len),
        .m_item_order(raw_item_order),
        .m_piece_valid(raw_piece_valid), .m_piece_ready(raw_piece_ready),
        .m_piece_addr(raw_piece_addr), .m_piece_len(raw_piece_len),
        .s_done_valid(raw_done_valid), .s_done_error(raw_done_error),
        .m_cpl_valid(m_rawcpl_valid), .m_cpl_ready(m_rawcpl_ready), .m_cpl(m_rawcpl),
        .idle(raw_idle)
    );

    wire                 tok_valid, tok_ready, tok_fence, tok_cpl, fault_valid, fault_ready;
    wire [31:0]          tok_una;
    wire [7:0]           tok_status, out_gen;
    wire [PTR_W-1:0]     tok_tail;
    wire [15:0]          out_conn;
    wire                 rec_valid;
    wire [`REC_TX_W-1:0] rec;

    wire [`TXQ_BODY_W-1:0]   bar_body = s_bar[`TXQ_BODY];
    wire [`TX_BARRIER_W-1:0] bar      = bar_body[`TX_BARRIER_W-1:0];

    always @* begin
        m_barcpl = {`CQE_W{1'b0}};
        m_barcpl[`CQE_KIND]     = `CQ_KIND_COMMAND;
        m_barcpl[`CQE_STATUS]   = `STATUS_OK;
        m_barcpl[`CQE_CONN]     = s_bar[`TXQ_CONN];
        m_barcpl[`CQE_GEN]      = s_bar[`TXQ_GEN];
        m_barcpl[`CQE_CODE]     = bar[`TX_BARRIER_OPCODE];
        m_barcpl[`CQE_COOKIE]   = bar[`TX_BARRIER_COOKIE];
        m_barcpl[`CQE_SQ_INDEX] = bar[`TX_BARRIER_SQ_INDEX];
    end
    assign s_bar_ready = m_barcpl_valid && m_barcpl_ready;

    segment_builder #(.DATA_W(DATA_W), .TX_SLOTS(TX_SLOTS), .PTR_W(PTR_W), .CONNS(CONNS), .PATHS(PATHS),
                      .NEIGHBORS(NEIGHBORS)) builder (
        .clk(clk), .rst(rst), .mac_addr(mac_addr),
        .s_item_valid(item_valid), .s_item_ready(item_ready), .s_item_kind(item_kind),
        .s_item_conn(item_conn), .s_item_gen(item_gen), .s_item_seg(item_seg), .s_item_len(item_len),
        .s_item_rel(item_rel), .s_item_tail(item_tail),
        .s_item_local_port(item_local_port), .s_item_remote_port(item_remote_port),
        .s_item_conn_ipv6(item_conn_ipv6), .s_item_flow_label(item_flow_label), .s_item_ipv6(item_ipv6),
        .s_item_src_addr(item_src_addr), .s_item_dst_addr(item_dst_addr),
        .s_item_dl_src(item_dl_src), .s_item_dl_dst(item_dl_dst), .s_item_vlan_id(item_vlan_id),
        .s_item_path(item_path), .s_item_nbr(item_nbr),
        .s_bar_valid(s_bar_valid), .s_bar_object(bar[`TX_BARRIER_OBJECT]), .s_bar_number(s_bar[`TXQ_CONN]),
        .m_bar_valid(m_barcpl_valid), .m_bar_ready(m_barcpl_ready),
        .s_piece_valid(piece_valid), .s_piece_ready(piece_ready), .s_piece_addr(piece_addr),
        .s_piece_len(piece_len), .s_piece_last(piece_last), .s_piece_none(piece_none),
        .s_piece_bad(piece_bad),
        .s_raw_item_valid(raw_item_valid), .s_raw_item_ready(raw_item_ready),
        .s_raw_item_len(raw_item_len), .s_raw_item_order(raw_item_order),
        .s_raw_piece_valid(raw_piece_valid), .s_raw_piece_ready(raw_piece_ready),
        .s_raw_piece_addr(raw_piece_addr), .s_raw_piece_len(raw_piece_len),
        .m_prd_req_valid(m_prd_req_valid), .m_prd_req_ready(m_prd_req_ready),
        .m_prd_req_addr(m_prd_req_addr), .m_prd_req_len(m_prd_req_len),
        .s_prd_valid(s_prd_valid), .s_prd_ready(s_prd_ready), .s_prd_data(s_prd_data),
        .s_prd_last(s_prd_last), .s_prd_bytes(s_prd_bytes), .s_prd_error(s_prd_error),
        .m_axis_tx_tvalid(m_axis_tx_tvalid), .m_axis_tx_tready(m_axis_tx_tready),
        .m_axis_tx_tdata(m_axis_tx_tdata), .m_axis_tx_tkeep(m_axis_tx_tkeep),
        .m_axis_tx_tlast(m_axis_tx_tlast),
        .m_tok_valid(tok_valid), .m_tok_ready(tok_ready), .m_tok_fence(tok_fence), .m_tok_una(tok_una),
        .m_tok_status(tok_status), .m_tok_cpl(tok_cpl), .m_tok_tail(tok_tail),
        .m_fault_valid(fault_valid), .m_fault_ready(fault_ready), .m_conn(out_conn), .m_gen(out_gen),
        .raw_done_valid(raw_done_valid), .raw_done_error(raw_done_error),
        .rec_valid(rec_valid), .rec(rec), .cnt_seg(cnt_seg), .cnt_raw(cnt_raw), .cnt_disc(cnt_disc),
        .stat_valid(stat_valid), .stat_octets(stat_octets), .stat_what(stat_what),
        .stat_ipv6(stat_ipv6), .idle(builder_idle)
    );

    generate
        if (COMMIT_PORT != 0) begin : g_rec
            assign rec_tx_valid = rec_valid;
            assign rec_tx       = rec;
        end else begin : g_no_rec
            wire unused_rec = &{1'b0, rec_valid, rec};
            assign rec_tx_valid = 1'b0;
            assign rec_tx       = {`REC_TX_W{1'b0}};
        end
    endgenerate

    wire [3:0] fault_count;

    fifo #(.WIDTH(16 + 8), .DEPTH(8)) faults (
        .clk(clk), .rst(rst),
        .s_data({out_conn, out_gen}), .s_valid(fault_valid), .s_ready(fault_ready),
        .m_data({m_fault_conn, m_fault_gen}), .m_valid(m_fault_valid), .m_ready(m_fault_ready),
        .count(fault_count)
    );

    send_completer #(.CONNS(CONNS), .SENDS(SENDS)) completer (
        .clk(clk), .rst(rst),
        .s_tok_valid(tok_valid), .s_tok_ready(tok_ready), .s_tok_fence(tok_fence),
        .s_tok_conn(out_conn), .s_tok_gen(out_gen), .s_tok_una(tok_una), .s_tok_status(tok_status),
        .s_tok_cpl(tok_cpl), .s_tok_tail(tok_tail),
        .s_cmd_valid(item_cmd && item_ready), .s_cmd_conn(item_conn),
        .s_cmd_cookie(item_rel[`TX_RELEASE_COOKIE]), .s_cmd_sq_index(item_rel[`TX_RELEASE_SQ_INDEX]),
        .s_ent_we(ent_we), .s_ent_index(ent_index), .s_ent(ent),
        .head_re(head_re), .head_conn(head_conn), .head_ptr(head_ptr),
        .m_cpl_valid(m_scpl_valid), .m_cpl_ready(m_scpl_ready), .m_cpl(m_scpl),
        .pop_pulse(pop_pulse), .pop_conn(pop_conn),
        .m_fdone_valid(m_fdone_valid), .m_fdone_ready(m_fdone_ready),
        .m_fdone_conn(m_fdone_conn), .m_fdone_gen(m_fdone_gen),
        .idle(completer_idle)
    );

    assign idle = mapper_idle && raw_idle && builder_idle && completer_idle && !m_fault_valid && !s_bar_valid;

    wire unused = &{1'b0, fault_count, s_bar[`TXQ_KIND], bar_body[`TXQ_BODY_W-1:`TX_BARRIER_W]};

endmodule

`default_nettype wire
