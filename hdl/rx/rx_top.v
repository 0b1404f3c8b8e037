// rx_top: the receive cluster: wire -> checked frames -> look-up -> verdict -> host memory, and the delivery rules.
//
// Why a block: what receives shares the receive buffer and the placement queue; outside there are only streams.
//
//   s_axis_rx -> rx_parser -> rx_resolve (conn_lookup) -> rx_options -> m_rx
//                    |             | frames in order
//                    +-> rx_buffer <+- s_verdict          s_dlv, s_dcmd -> delivery_engine -> plq -> rx_placer
//                            +--------------------------------------------------------------> rx_placer -> host
//
// Ports as in docs/contract/blocks.md, cluster "rx". Connection numbers are 16 bits at the ports.
// cnt_rx: one bit a counter in CSR order: frames, raw, bad sum, bad length, no space, segments, no raw buffer.
// Frames that come before init_done are dropped as if `enable` were 0.
`include "chimney_layout.vh"
`default_nettype none

module rx_top #(
    parameter DATA_W      = 64,                // bits: 64, 128, 256, 512
    parameter CONNS       = 16,                // connections, a power of two, 4..1024
    parameter CONN_W      = 4,                 // log2(CONNS)
    parameter RECVS       = 16,                // posted receives a connection, a power of two, 2..128
    parameter POOL_BUFS   = 1024,              // pool buffers, a power of two, 16..32768
    parameter RAW_BUFS    = 64,                // raw buffers, a power of two, 2..32768
    parameter RX_BEATS    = 65536 * 8 / DATA_W, // receive buffer in beats, a power of two
    parameter COMMIT_PORT = 0,                 // 1: records on rec_rx and rec_dlv
    parameter LANE_W      = $clog2(DATA_W / 8) // derived, do not override
) (
    input  wire                  clk,
    input  wire                  rst,
    input  wire                  enable,
    input  wire [63:0]           pool_base,
    input  wire [63:0]           raw_base,
    input  wire [31:0]           now,
    input  wire                  s_cq_full,    // the host leaves the completion ring full
    output reg                   m_backed_up,  // BACKED_UP or more actions have not left

    input  wire [DATA_W-1:0]     s_axis_rx_tdata,
    input  wire [DATA_W/8-1:0]   s_axis_rx_tkeep,
    input  wire                  s_axis_rx_tlast,
    input  wire                  s_axis_rx_tvalid,
    output wire                  s_axis_rx_tready,

    input  wire                  s_ins_valid,
    output wire                  s_ins_ready,
    input  wire [`LKP_KEY_W-1:0] s_ins_key,
    input  wire [15:0]           s_ins_conn,
    input  wire [7:0]            s_ins_gen,
    output wire                  m_ins_done,
    output wire [1:0]            m_ins_status,
    input  wire                  s_del_valid,
    output wire                  s_del_ready,
    input  wire [15:0]           s_del_conn,
    output wire                  m_del_done,

    output wire                  m_rx_valid,
    input  wire                  m_rx_ready,
    output wire [`RX_SEG_W-1:0]  m_rx_seg,
    input  wire                  s_verdict_valid,
    output wire                  s_verdict_ready,
    input  wire [1:0]            s_verdict,
    input  wire                  s_dlv_valid,
    output wire                  s_dlv_ready,
    input  wire [`DLV_MSG_W-1:0] s_dlv,

    input  wire                  s_dcmd_valid,
    output wire                  s_dcmd_ready,
    input  wire [`SQE_W-1:0]     s_dcmd_sqe,
    input  wire [15:0]           s_dcmd_sq_index,
    input  wire                  s_rawpost_valid,
    output wire                  s_rawpost_ready,
    input  wire [`SQE_W-1:0]     s_rawpost_sqe,
    input  wire [15:0]           s_rawpost_sq_index,

    output wire                  m_crd_req_valid,
    input  wire                  m_crd_req_ready,
    output wire [63:0]           m_crd_req_addr,
    output wire [15:0]           m_crd_req_len,
    input  wire                  s_crd_valid,
    output wire                  s_crd_ready,
    input  wire [DATA_W-1:0]     s_crd_data,
    input  wire                  s_crd_last,
    input  wire [LANE_W:0]       s_crd_bytes,
    input  wire                  s_crd_error,
    output wire                  m_pwr_req_valid,
    input  wire                  m_pwr_req_ready,
    output wire [63:0]           m_pwr_req_addr,
    output wire [15:0]           m_pwr_req_len,
    output wire                  m_pwr_valid,
    input  wire                  m_pwr_ready,
    output wire [DATA_W-1:0]     m_pwr_data,
    output wire                  m_pwr_last,
    input  wire                  s_pwr_done,
    input  wire                  s_pwr_done_error,

    output wire                  m_dcpl_valid,
    input  wire                  m_dcpl_ready,
    output wire [`CQE_W-1:0]     m_dcpl,
    output wire                  m_rcpl_valid,
    input  wire                  m_rcpl_ready,
    output wire [`CQE_W-1:0]     m_rcpl,

    output wire                  m_consumed_valid,
    input  wire                  m_consumed_ready,
    output wire [15:0]           m_consumed_conn,
    output wire [7:0]            m_consumed_gen,
    output wire [31:0]           m_consumed_bytes,
    output wire                  m_credit_valid,
    input  wire                  m_credit_ready,
    output wire [15:0]           m_credit_count,
    input  wire                  s_fdone_valid,
    output wire                  s_fdone_ready,
    input  wire [15:0]           s_fdone_conn,
    input  wire [7:0]            s_fdone_gen,
    output wire                  m_fence_valid,
    input  wire                  m_fence_ready,
    output wire [15:0]           m_fence_conn,
    output wire [7:0]            m_fence_gen,
    output wire                  m_fault_valid,
    input  wire                  m_fault_ready,
    output wire [15:0]           m_fault_conn,
    output wire [7:0]            m_fault_gen,

    output wire                  rec_rx_valid,
    output wire [`REC_RX_W-1:0]  rec_rx,
    output wire                  rec_dlv_valid,
    output wire [`REC_DLV_W-1:0] rec_dlv,
    output wire [6:0]            cnt_rx,
    output wire                  idle,
    output wire                  init_done
);

    localparam FRAMES = 256;                   // frames in the receive buffer at most
    localparam PLQ    = 16;                    // actions between delivery_engine and rx_placer
    localparam PLACES = (RECVS < 16) ? 512 : 32 * RECVS;   // and behind it: each message of delivery_engine's queue
                                               // may end all requests of its connection
    localparam [15:0] BACKED_UP = 16'd64;      // tcp_step C.12
    localparam SEG_LOW  = `RX_SEG_TS_PRESENT_LSB;              // fields of a segment below those that rx_options fills
    localparam SEG_HIGH = `RX_SEG_W - `RX_SEG_PAY_OFF_LSB;     // and above; ip_ecn lies between them
    localparam SEG_IN   = SEG_HIGH + `RX_SEG_IP_ECN_W + SEG_LOW + 320 + 6;
    localparam HIGH   = 16 - CONN_W;           // unused bits of a connection port

    // ---- wire to checked frames
    wire              lookup_ready, delivery_ready;
    wire              wr_valid, wr_last, wr_keep, wr_room;
    wire [DATA_W-1:0] wr_data;
    wire [15:0]       wr_fill;
    wire              fr_valid, fr_candidate, parser_busy;
    wire [1:0]        fr_class;
    wire [3:0]        fr_reason;
    wire [15:0]       fr_fill, fr_len;
    wire [`RX_SEG_W-1:0] fr_seg;
    wire [`LKP_KEY_W-1:0] fr_key;
    wire [319:0]      fr_options;
    wire [5:0]        fr_opt_len;

    assign init_done = lookup_ready && delivery_ready;

    rx_parser #(.DATA_W(DATA_W)) parser (
        .clk(clk), .rst(rst),
        .s_axis_rx_tdata(s_axis_rx_tdata), .s_axis_rx_tkeep(s_axis_rx_tkeep), .s_axis_rx_tlast(s_axis_rx_tlast),
        .s_axis_rx_tvalid(s_axis_rx_tvalid), .s_axis_rx_tready(s_axis_rx_tready),
        .enable(enable && init_done),
        .m_wr_valid(wr_valid), .m_wr_data(wr_data), .m_wr_last(wr_last), .m_wr_keep(wr_keep),
        .s_wr_room(wr_room), .s_wr_fill(wr_fill),
        .m_frame_valid(fr_valid), .m_frame_candidate(fr_candidate), .m_frame_class(fr_class),
        .m_frame_reason(fr_reason), .m_frame_fill(fr_fill), .m_frame_len(fr_len), .m_frame_seg(fr_seg),
        .m_frame_key(fr_key), .m_frame_options(fr_options), .m_frame_opt_len(fr_opt_len),
        .busy(parser_busy)
    );

    // ---- look-up and class
    wire                  lkp_valid, lkp_ready, lkp_done, lkp_hit;
    wire [`LKP_KEY_W-1:0] lkp_key;
    wire [CONN_W-1:0]     lkp_conn;
    wire [7:0]            lkp_gen;
    wire                  lkp_tag;
    wire                  desc_valid;
    wire [1:0]            desc_class;
    wire [31:0]           desc_arrival;
    wire [15:0]           desc_len;
    wire                  sg_valid, rec_rx_now, resolve_busy;
    wire [`RX_SEG_W-1:0]  sg;
    wire [319:0]          sg_options;
    wire [5:0]            sg_opt_len;
    wire [`REC_RX_W-1:0]  rec_rx_data;
    wire [6:0]            cnt;
    wire                  raw_pulse, drop_pulse;

    conn_lookup #(.CONNS(CONNS), .CONN_W(CONN_W), .TAG_W(1), .KEY_W(`LKP_KEY_W), .GEN_W(8)) connections (
        .clk(clk), .rst(rst), .init_done(lookup_ready),
        .s_lkp_valid(lkp_valid), .s_lkp_ready(lkp_ready), .s_lkp_key(lkp_key), .s_lkp_tag(1'b0),
        .m_lkp_valid(lkp_done), .m_lkp_hit(lkp_hit), .m_lkp_conn(lkp_conn), .m_lkp_gen(lkp_gen), .m_lkp_tag(lkp_tag),
        .s_ins_valid(s_ins_valid), .s_ins_ready(s_ins_ready), .s_ins_key(s_ins_key),
        .s_ins_conn(s_ins_conn[CONN_W-1:0]), .s_ins_gen(s_ins_gen),
        .m_ins_done(m_ins_done), .m_ins_status(m_ins_status),
        .s_del_valid(s_del_valid), .s_del_ready(s_del_ready), .s_del_conn(s_del_conn[CONN_W-1:0]),
        .m_del_done(m_del_done)
    );

    rx_resolve #(.CONN_W(CONN_W)) resolve (
        .clk(clk), .rst(rst),
        .s_frame_valid(fr_valid), .s_frame_candidate(fr_candidate), .s_frame_class(fr_class),
        .s_frame_reason(fr_reason), .s_frame_fill(fr_fill), .s_frame_len(fr_len), .s_frame_seg(fr_seg),
        .s_frame_key(fr_key), .s_frame_options(fr_options), .s_frame_opt_len(fr_opt_len),
        .m_lkp_valid(lkp_valid), .m_lkp_ready(lkp_ready), .m_lkp_key(lkp_key),
        .s_lkp_valid(lkp_done), .s_lkp_hit(lkp_hit), .s_lkp_conn(lkp_conn), .s_lkp_gen(lkp_gen),
        .m_desc_valid(desc_valid), .m_desc_class(desc_class), .m_desc_arrival(desc_arrival), .m_desc_len(desc_len),
        .m_seg_valid(sg_valid), .m_seg(sg), .m_seg_options(sg_options), .m_seg_opt_len(sg_opt_len),
        .rec_rx_valid(rec_rx_now), .rec_rx(rec_rx_data), .cnt(cnt), .busy(resolve_busy)
    );

    assign cnt_rx       = cnt | {drop_pulse, 4'd0, raw_pulse, 1'b0};
    assign rec_rx_valid = COMMIT_PORT != 0 && rec_rx_now;
    assign rec_rx       = (COMMIT_PORT != 0) ? rec_rx_data : {`REC_RX_W{1'b0}};

    // ---- segments to tcp_engine: a place for each frame of the receive buffer, then the options
    wire              seg_room, seg_valid, seg_ready;
    wire [SEG_IN-1:0] seg;
    wire [$clog2(FRAMES):0] seg_count;

    fifo #(.WIDTH(SEG_IN), .DEPTH(FRAMES)) segments (
        .clk(clk), .rst(rst),
        .s_data({sg[`RX_SEG_W-1 -: SEG_HIGH], sg[`RX_SEG_IP_ECN], sg[SEG_LOW-1:0], sg_options, sg_opt_len}),
        .s_valid(sg_valid), .s_ready(seg_room),
        .m_data(seg), .m_valid(seg_valid), .m_ready(seg_ready),
        .count(seg_count)
    );

    wire [SEG_HIGH-1:0]         seg_high;
    wire [`RX_SEG_IP_ECN_W-1:0] seg_ip_ecn;
    wire [SEG_LOW-1:0]          seg_low;
    wire [319:0]                seg_options;
    wire [5:0]                  seg_opt_len;
    reg  [`RX_SEG_W-1:0]        seg_fields;    // without options
    assign {seg_high, seg_ip_ecn, seg_low, seg_options, seg_opt_len} = seg;
    always @* begin
        seg_fields = {`RX_SEG_W{1'b0}};
        seg_fields[`RX_SEG_W-1 -: SEG_HIGH] = seg_high;
        seg_fields[`RX_SEG_IP_ECN]          = seg_ip_ecn;
        seg_fields[SEG_LOW-1:0]             = seg_low;
    end

    rx_options options (
        .clk(clk), .rst(rst),
        .s_valid(seg_valid), .s_ready(seg_ready),
        .s_seg(seg_fields), .s_options(seg_options), .s_opt_len(seg_opt_len),
        .m_valid(m_rx_valid), .m_ready(m_rx_ready), .m_seg(m_rx_seg)
    );

    // ---- frames until they are placed
    wire              head_valid, head_place, head_raw;
    wire [31:0]       head_arrival;
    wire [15:0]       head_len;
    wire              rd_valid, rd_ready, rd_retire;
    wire [15:0]       rd_offset, rd_len;
    wire              buf_valid, buf_ready, buf_last, buffer_busy;
    wire [DATA_W-1:0] buf_data;

    rx_buffer #(.DATA_W(DATA_W), .RX_BEATS(RX_BEATS), .FRAMES(FRAMES)) frames (
        .clk(clk), .rst(rst),
        .s_wr_valid(wr_valid), .s_wr_data(wr_data), .s_wr_last(wr_last), .s_wr_keep(wr_keep),
        .m_wr_room(wr_room), .m_wr_fill(wr_fill),
        .s_desc_valid(desc_valid), .s_desc_class(desc_class), .s_desc_arrival(desc_arrival), .s_desc_len(desc_len),
        .s_verdict_valid(s_verdict_valid), .s_verdict_ready(s_verdict_ready), .s_verdict(s_verdict),
        .m_head_valid(head_valid), .m_head_place(head_place), .m_head_raw(head_raw),
        .m_head_arrival(head_arrival), .m_head_len(head_len),
        .s_rd_valid(rd_valid), .s_rd_ready(rd_ready), .s_rd_offset(rd_offset), .s_rd_len(rd_len),
        .s_rd_retire(rd_retire),
        .m_rd_valid(buf_valid), .m_rd_ready(buf_ready), .m_rd_data(buf_data), .m_rd_last(buf_last),
        .busy(buffer_busy)
    );

    // ---- delivery rules
    wire              act_valid, act_ready, plq_valid, plq_ready, delivery_idle;
    wire [`PLQ_W-1:0] act, plq;
    wire              act_fwd, plq_fwd;        // a COPY of a forwarded segment
    wire [$clog2(PLQ):0] plq_count;

    delivery_engine #(.CONNS(CONNS), .CONN_W(CONN_W), .RECVS(RECVS), .POOL_BUFS(POOL_BUFS),
                      .COMMIT_PORT(COMMIT_PORT)) delivery (
        .clk(clk), .rst(rst), .now(now), .pool_base(pool_base),
        .s_dlv_valid(s_dlv_valid), .s_dlv_ready(s_dlv_ready), .s_dlv(s_dlv),
        .s_dcmd_valid(s_dcmd_valid), .s_dcmd_ready(s_dcmd_ready), .s_dcmd_sqe(s_dcmd_sqe),
        .s_dcmd_sq_index(s_dcmd_sq_index),
        .m_plq_valid(act_valid), .m_plq_ready(act_ready), .m_plq(act), .m_plq_fwd(act_fwd),
        .m_consumed_valid(m_consumed_valid), .m_consumed_ready(m_consumed_ready),
        .m_consumed_conn(m_consumed_conn[CONN_W-1:0]), .m_consumed_gen(m_consumed_gen),
        .m_consumed_bytes(m_consumed_bytes),
        .m_credit_valid(m_credit_valid), .m_credit_ready(m_credit_ready), .m_credit_count(m_credit_count),
        .rec_dlv_valid(rec_dlv_valid), .rec_dlv(rec_dlv),
        .idle(delivery_idle), .init_done(delivery_ready)
    );

    assign m_consumed_conn[15:CONN_W] = {HIGH{1'b0}};

    fifo #(.WIDTH(1 + `PLQ_W), .DEPTH(PLQ)) actions (
        .clk(clk), .rst(rst),
        .s_data({act_fwd, act}), .s_valid(act_valid), .s_ready(act_ready),
        .m_data({plq_fwd, plq}), .m_valid(plq_valid), .m_ready(plq_ready),
        .count(plq_count)
    );

    // ---- to the host
    wire        raw_valid, raw_ready;
    wire [15:0] raw_index;
    wire        freeze_valid, fault_valid, placer_busy;
    wire [15:0] freeze_conn, fault_conn;
    wire [7:0]  freeze_gen, fault_gen;

    raw_post #(.RAW_BUFS(RAW_BUFS)) raw (
        .clk(clk), .rst(rst),
        .s_rawpost_valid(s_rawpost_valid), .s_rawpost_ready(s_rawpost_ready), .s_rawpost_sqe(s_rawpost_sqe),
        .m_valid(raw_valid), .m_ready(raw_ready), .m_index(raw_index)
    );

    wire [15:0] placer_waiting;
    wire [15:0] unfinished = placer_waiting + {{(15-$clog2(PLQ)){1'b0}}, plq_count};

    always @(posedge clk) begin
        if (rst) m_backed_up <= 1'b0;
        else     m_backed_up <= unfinished >= BACKED_UP;
    end

    rx_placer #(.DATA_W(DATA_W), .PLACES(PLACES)) placer (
        .clk(clk), .rst(rst), .raw_base(raw_base), .s_cq_full(s_cq_full), .waiting(placer_waiting),
        .s_plq_valid(plq_valid), .s_plq_ready(plq_ready), .s_plq(plq), .s_plq_fwd(plq_fwd),
        .s_head_valid(head_valid), .s_head_place(head_place), .s_head_raw(head_raw),
        .s_head_arrival(head_arrival), .s_head_len(head_len),
        .m_rd_valid(rd_valid), .m_rd_ready(rd_ready), .m_rd_offset(rd_offset), .m_rd_len(rd_len),
        .m_rd_retire(rd_retire),
        .s_buf_valid(buf_valid), .s_buf_ready(buf_ready), .s_buf_data(buf_data), .s_buf_last(buf_last),
        .s_raw_valid(raw_valid), .s_raw_ready(raw_ready), .s_raw_index(raw_index),
        .m_crd_req_valid(m_crd_req_valid), .m_crd_req_ready(m_crd_req_ready),
        .m_crd_req_addr(m_crd_req_addr), .m_crd_req_len(m_crd_req_len),
        .s_crd_valid(s_crd_valid), .s_crd_ready(s_crd_ready), .s_crd_data(s_crd_data),
        .s_crd_last(s_crd_last), .s_crd_error(s_crd_error),
        .m_pwr_req_valid(m_pwr_req_valid), .m_pwr_req_ready(m_pwr_req_ready),
        .m_pwr_req_addr(m_pwr_req_addr), .m_pwr_req_len(m_pwr_req_len),
        .m_pwr_valid(m_pwr_valid), .m_pwr_ready(m_pwr_ready), .m_pwr_data(m_pwr_data), .m_pwr_last(m_pwr_last),
        .s_pwr_done(s_pwr_done), .s_pwr_done_error(s_pwr_done_error),
        .m_dcpl_valid(m_dcpl_valid), .m_dcpl_ready(m_dcpl_ready), .m_dcpl(m_dcpl),
        .m_rcpl_valid(m_rcpl_valid), .m_rcpl_ready(m_rcpl_ready), .m_rcpl(m_rcpl),
        .freeze_done_valid(freeze_valid), .freeze_done_conn(freeze_conn), .freeze_done_gen(freeze_gen),
        .fault_valid(fault_valid), .fault_conn(fault_conn), .fault_gen(fault_gen),
        .raw_pulse(raw_pulse), .drop_pulse(drop_pulse), .busy(placer_busy)
    );

    fence_join #(.CONNS(CONNS), .CONN_W(CONN_W)) fences (
        .clk(clk), .rst(rst),
        .s_tx_valid(s_fdone_valid), .s_tx_ready(s_fdone_ready),
        .s_tx_conn(s_fdone_conn[CONN_W-1:0]), .s_tx_gen(s_fdone_gen),
        .s_rx_valid(freeze_valid), .s_rx_conn(freeze_conn[CONN_W-1:0]), .s_rx_gen(freeze_gen),
        .m_fence_valid(m_fence_valid), .m_fence_ready(m_fence_ready),
        .m_fence_conn(m_fence_conn[CONN_W-1:0]), .m_fence_gen(m_fence_gen)
    );

    fault_queue #(.CONNS(CONNS), .CONN_W(CONN_W)) faults (
        .clk(clk), .rst(rst),
        .s_fault_valid(fault_valid), .s_fault_conn(fault_conn[CONN_W-1:0]), .s_fault_gen(fault_gen),
        .m_fault_valid(m_fault_valid), .m_fault_ready(m_fault_ready),
        .m_fault_conn(m_fault_conn[CONN_W-1:0]), .m_fault_gen(m_fault_gen)
    );

    assign m_fence_conn[15:CONN_W] = {HIGH{1'b0}};
    assign m_fault_conn[15:CONN_W] = {HIGH{1'b0}};

    assign idle = !parser_busy && !resolve_busy && !seg_valid && !m_rx_valid && !buffer_busy && delivery_idle
               && !plq_valid && !placer_busy && !s_rawpost_valid && !m_fence_valid && !m_fault_valid;

    wire unused = &{1'b0, lkp_tag, sg, seg_room, seg_count, s_crd_bytes, s_rawpost_sq_index,
                    s_ins_conn, s_del_conn, s_fdone_conn, freeze_conn, fault_conn};

endmodule

`default_nettype wire
