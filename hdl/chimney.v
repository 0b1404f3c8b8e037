// chimney: the TCP chimney offload NIC. AXI4-Lite for registers, AXI4 to host memory, AXI4-Stream to the MAC.
// This level only connects: host (rings, command decoding, dma), engine (TCP), tx and rx clusters. The block diagram
//   with the same names is in docs/architecture.md.
// tick_strobe: external tick (CONTROL[3] = 1). irq: level. idle: no event, queue entry or transfer is pending.
// rec_*: the commit port, one pulse with a packed record each (docs/layout.md), only with COMMIT_PORT = 1.
// s_axis_rx_tready is always 1: a frame that does not fit is dropped whole and counted.
`default_nettype none
`include "chimney_layout.vh"
module chimney #(
    parameter DATA_W      = 64,    // 64, 128, 256, 512: bus and wire width in bits
    parameter CONNS       = 4,     // 4..1024, power of two: connections
    parameter SENDS       = 16,    // 2..64, power of two: send-table entries a connection
    parameter RECVS       = 16,    // 2..64, power of two: posted receives a connection
    parameter POOL_BUFS   = 1024,  // 16..32768, power of two
    parameter RAW_BUFS    = 64,    // 4..1024, power of two
    parameter PATHS       = 8,     // 2..256, power of two
    parameter NEIGHBORS   = 8,     // 2..256, power of two
    parameter OOO_RANGES  = `OOO_MAX,  // 1..OOO_MAX: out-of-order ranges a connection
    parameter RX_BEATS    = 524288 / DATA_W,  // receive buffer in beats (64 KiB)
    parameter TX_SLOTS    = 8,     // frames being gathered or sent
    parameter COMMIT_PORT = 1      // 1: commit records; 0: synthesis
) (
    input  wire        clk,
    input  wire        rst,
    // AXI4-Lite registers
    input  wire [15:0] s_axil_awaddr,
    input  wire        s_axil_awvalid,
    output wire        s_axil_awready,
    input  wire [31:0] s_axil_wdata,
    input  wire [3:0]  s_axil_wstrb,
    input  wire        s_axil_wvalid,
    output wire        s_axil_wready,
    output wire [1:0]  s_axil_bresp,
    output wire        s_axil_bvalid,
    input  wire        s_axil_bready,
    input  wire [15:0] s_axil_araddr,
    input  wire        s_axil_arvalid,
    output wire        s_axil_arready,
    output wire [31:0] s_axil_rdata,
    output wire [1:0]  s_axil_rresp,
    output wire        s_axil_rvalid,
    input  wire        s_axil_rready,
    // AXI4 host memory
    output wire [3:0]          m_axi_awid,
    output wire [63:0]         m_axi_awaddr,
    output wire [7:0]          m_axi_awlen,
    output wire [2:0]          m_axi_awsize,
    output wire [1:0]          m_axi_awburst,
    output wire [7:0]          m_axi_awuser,
    output wire                m_axi_awvalid,
    input  wire                m_axi_awready,
    output wire [DATA_W-1:0]   m_axi_wdata,
    output wire [DATA_W/8-1:0] m_axi_wstrb,
    output wire                m_axi_wlast,
    output wire                m_axi_wvalid,
    input  wire                m_axi_wready,
    input  wire [3:0]          m_axi_bid,
    input  wire [1:0]          m_axi_bresp,
    input  wire                m_axi_bvalid,
    output wire                m_axi_bready,
    output wire [3:0]          m_axi_arid,
    output wire [63:0]         m_axi_araddr,
    output wire [7:0]          m_axi_arlen,
    output wire [2:0]          m_axi_arsize,
    output wire [1:0]          m_axi_arburst,
    output wire [7:0]          m_axi_aruser,
    output wire                m_axi_arvalid,
    input  wire                m_axi_arready,
    input  wire [3:0]          m_axi_rid,
    input  wire [DATA_W-1:0]   m_axi_rdata,
    input  wire [1:0]          m_axi_rresp,
    input  wire                m_axi_rlast,
    input  wire                m_axi_rvalid,
    output wire                m_axi_rready,
    // wire
    input  wire [DATA_W-1:0]   s_axis_rx_tdata,
    input  wire [DATA_W/8-1:0] s_axis_rx_tkeep,
    input  wire                s_axis_rx_tlast,
    input  wire                s_axis_rx_tvalid,
    output wire                s_axis_rx_tready,
    output wire [DATA_W-1:0]   m_axis_tx_tdata,
    output wire [DATA_W/8-1:0] m_axis_tx_tkeep,
    output wire                m_axis_tx_tlast,
    output wire                m_axis_tx_tvalid,
    input  wire                m_axis_tx_tready,
    input  wire                tick_strobe,
    output wire                irq,
    output wire                idle,
    // commit port
    output wire                  rec_tcp_valid,
    output wire [`REC_TCP_W-1:0] rec_tcp,
    output wire                  rec_dlv_valid,
    output wire [`REC_DLV_W-1:0] rec_dlv,
    output wire                  rec_rx_valid,
    output wire [`REC_RX_W-1:0]  rec_rx,
    output wire                  rec_tx_valid,
    output wire [`REC_TX_W-1:0]  rec_tx,
    output wire                  rec_cq_valid,
    output wire [`REC_CQ_W-1:0]  rec_cq
);
  // ---- legal parameters, or no elaboration ----
  generate
    if ((DATA_W != 64 && DATA_W != 128 && DATA_W != 256 && DATA_W != 512) || CONNS < 4 || CONNS > 1024 ||
        (CONNS & (CONNS - 1)) != 0 || SENDS > 64 || RECVS > 64 || POOL_BUFS > 32768 || RAW_BUFS > 1024 ||
        OOO_RANGES < 1 || OOO_RANGES > `OOO_MAX) begin : bad
      illegal_chimney_parameters see_the_parameter_comments ();
    end
  endgenerate

  localparam LANE_W = $clog2(DATA_W / 8);
  localparam RD_N = 5, WR_N = 3;
  localparam LOG_CONNS = $clog2(CONNS), LOG_SENDS = $clog2(SENDS), LOG_RECVS = $clog2(RECVS),
             LOG_POOL = $clog2(POOL_BUFS), LOG_RAW = $clog2(RAW_BUFS), LOG_PATHS = $clog2(PATHS),
             LOG_NBRS = $clog2(NEIGHBORS);

  // ---- registers, reset, ticks ----
  wire        quiesce, quiet, soft_rst, enable, irq_enable, tick_external, device_error, mask_requests, dma_busy;
  wire [31:0] tick_prescale, now;
  wire [47:0] mac_addr;
  wire [63:0] pool_base, raw_base, sq_base, cq_base;
  wire [3:0]  sq_size_log2, cq_size_log2;
  wire [15:0] sq_tail, sq_head, cq_head, cq_tail, cq_free;
  // rule C.12: text is refused while the host leaves the completion ring full and pieces wait for it
  localparam [15:0] CQ_RESERVE = 16'd8;      // entries kept for what no command asked for
  wire        rx_backed_up;
  wire        cq_full = cq_free == 16'd0;
  wire        room    = cq_free > CQ_RESERVE || ~rx_backed_up;
  wire        rx_init_done, tx_idle, rx_idle, engine_idle, ring_idle, decode_idle, cq_idle, state_idle;
  wire        sq_error, cq_error, cq_written, start_pulse, cmd_error;
  wire [6:0]  cnt_rx;
  wire [2:0]  cnt_tx;
  wire        drst = rst | soft_rst;
  wire        fault_taken;
  wire [15:0] stat_addr;
  wire [31:0] stat_data;
  wire        stat_known;

  assign idle = engine_idle & tx_idle & rx_idle & ring_idle & decode_idle & cq_idle & state_idle & ~dma_busy;

  csr #(.CAPS({LOG_RECVS[7:0], LOG_SENDS[7:0], LANE_W[7:0], LOG_CONNS[7:0]}),
        .CAPS2({LOG_NBRS[7:0], LOG_PATHS[7:0], LOG_RAW[7:0], LOG_POOL[7:0]})) u_csr (
      .clk(clk), .rst(rst),
      .s_axil_awaddr(s_axil_awaddr), .s_axil_awvalid(s_axil_awvalid), .s_axil_awready(s_axil_awready),
      .s_axil_wdata(s_axil_wdata), .s_axil_wstrb(s_axil_wstrb), .s_axil_wvalid(s_axil_wvalid),
      .s_axil_wready(s_axil_wready), .s_axil_bresp(s_axil_bresp), .s_axil_bvalid(s_axil_bvalid),
      .s_axil_bready(s_axil_bready), .s_axil_araddr(s_axil_araddr), .s_axil_arvalid(s_axil_arvalid),
      .s_axil_arready(s_axil_arready), .s_axil_rdata(s_axil_rdata), .s_axil_rresp(s_axil_rresp),
      .s_axil_rvalid(s_axil_rvalid), .s_axil_rready(s_axil_rready),
      .quiesce(quiesce), .quiet(quiet), .soft_rst(soft_rst), .enable(enable), .irq_enable(irq_enable),
      .tick_external(tick_external), .tick_prescale(tick_prescale), .mac_addr(mac_addr), .pool_base(pool_base),
      .raw_base(raw_base), .sq_base(sq_base), .sq_size_log2(sq_size_log2), .sq_tail(sq_tail), .sq_head(sq_head),
      .cq_base(cq_base), .cq_size_log2(cq_size_log2), .cq_head(cq_head), .cq_tail(cq_tail),
      .idle(idle), .lookup_ready(rx_init_done & ~quiesce), .tx_empty(tx_idle), .tick(now),
      .sq_error_pulse(sq_error), .cq_error_pulse(cq_error), .cq_written_pulse(cq_written),
      .device_error(device_error), .irq(irq),
      .cnt_rx_pulse(cnt_rx), .cnt_tx_pulse(cnt_tx), .cnt_host_pulse({fault_taken, cmd_error}),
      .stat_addr(stat_addr), .stat_data(stat_data), .stat_known(stat_known));

  wire        stat_in, stat_in_packet, stat_opened, stat_closed, stat_reset, stat_ipv6, stat_out, stat_out_ipv6;
  wire [15:0] stat_in_octets, stat_out_octets;
  wire [2:0]  stat_out_what;
  offload_stats u_offload_stats (
      .clk(clk), .rst(drst),
      .in_ipv6(stat_ipv6), .in_valid(stat_in), .in_packet(stat_in_packet), .in_octets(stat_in_octets),
      .opened(stat_opened), .closed(stat_closed), .reset_one(stat_reset),
      .out_ipv6(stat_out_ipv6), .out_valid(stat_out), .out_lost(cnt_tx[2]), .out_octets(stat_out_octets),
      .out_rst(stat_out_what[2]), .out_old(stat_out_what[1]), .out_new(stat_out_what[0]),
      .addr(stat_addr), .data(stat_data), .known(stat_known));

  tick_counter u_tick (.clk(clk), .rst(drst), .external(tick_external), .strobe(tick_strobe),
                       .prescale(tick_prescale), .now(now));

  wire [DATA_W-1:0]   tx_tdata;
  wire [DATA_W/8-1:0] tx_tkeep;
  wire                tx_tlast, tx_tvalid, tx_tready, rx_tvalid;
  soft_reset #(.DATA_W(DATA_W)) u_soft_reset (
      .clk(clk), .rst(rst), .quiesce(quiesce), .soft_rst(soft_rst), .dma_busy(dma_busy),
      .mask_requests(mask_requests), .quiet(quiet),
      .s_tx_tdata(tx_tdata), .s_tx_tkeep(tx_tkeep), .s_tx_tlast(tx_tlast), .s_tx_tvalid(tx_tvalid),
      .s_tx_tready(tx_tready), .m_tx_tdata(m_axis_tx_tdata), .m_tx_tkeep(m_axis_tx_tkeep),
      .m_tx_tlast(m_axis_tx_tlast), .m_tx_tvalid(m_axis_tx_tvalid), .m_tx_tready(m_axis_tx_tready),
      .s_rx_tvalid(s_axis_rx_tvalid), .s_rx_tlast(s_axis_rx_tlast), .m_rx_tvalid(rx_tvalid));

  // ---- dma: clients as in enum rd_client, wr_client ----
  wire [RD_N-1:0]    rd_req_valid, rd_req_ready, rd_valid, rd_ready;
  wire [RD_N*64-1:0] rd_req_addr;
  wire [RD_N*16-1:0] rd_req_len;
  wire [DATA_W-1:0]  rd_data;
  wire               rd_last, rd_error;
  wire [LANE_W:0]    rd_bytes;
  wire [WR_N-1:0]    wr_req_valid, wr_req_ready, wr_valid, wr_ready, wr_last, wr_done;
  wire [WR_N*64-1:0] wr_req_addr;
  wire [WR_N*16-1:0] wr_req_len;
  wire [WR_N*DATA_W-1:0] wr_data;
  wire               wr_done_error;
  wire [RD_N-1:0]    dma_rd_ready;
  wire [WR_N-1:0]    dma_wr_ready;
  assign rd_req_ready = dma_rd_ready & {RD_N{~mask_requests}};
  assign wr_req_ready = dma_wr_ready & {WR_N{~mask_requests}};

  dma #(.DATA_W(DATA_W), .RD_CLIENTS(RD_N), .WR_CLIENTS(WR_N), .RD_URGENT(1)) u_dma (
      .clk(clk), .rst(drst),
      .s_rd_req_valid(rd_req_valid & {RD_N{~mask_requests}}), .s_rd_req_ready(dma_rd_ready),
      .s_rd_req_addr(rd_req_addr), .s_rd_req_len(rd_req_len),
      .m_rd_valid(rd_valid), .m_rd_ready(rd_ready), .m_rd_data(rd_data), .m_rd_last(rd_last), .m_rd_bytes(rd_bytes),
      .m_rd_error(rd_error),
      .s_wr_req_valid(wr_req_valid & {WR_N{~mask_requests}}), .s_wr_req_ready(dma_wr_ready),
      .s_wr_req_addr(wr_req_addr), .s_wr_req_len(wr_req_len),
      .s_wr_valid(wr_valid), .s_wr_ready(wr_ready), .s_wr_data(wr_data), .s_wr_last(wr_last),
      .m_wr_done_valid(wr_done), .m_wr_done_error(wr_done_error),
      .m_axi_awid(m_axi_awid), .m_axi_awaddr(m_axi_awaddr), .m_axi_awlen(m_axi_awlen), .m_axi_awsize(m_axi_awsize),
      .m_axi_awburst(m_axi_awburst), .m_axi_awuser(m_axi_awuser), .m_axi_awvalid(m_axi_awvalid),
      .m_axi_awready(m_axi_awready), .m_axi_wdata(m_axi_wdata), .m_axi_wstrb(m_axi_wstrb), .m_axi_wlast(m_axi_wlast),
      .m_axi_wvalid(m_axi_wvalid), .m_axi_wready(m_axi_wready), .m_axi_bid(m_axi_bid), .m_axi_bresp(m_axi_bresp),
      .m_axi_bvalid(m_axi_bvalid), .m_axi_bready(m_axi_bready), .m_axi_arid(m_axi_arid), .m_axi_araddr(m_axi_araddr),
      .m_axi_arlen(m_axi_arlen), .m_axi_arsize(m_axi_arsize), .m_axi_arburst(m_axi_arburst),
      .m_axi_aruser(m_axi_aruser), .m_axi_arvalid(m_axi_arvalid), .m_axi_arready(m_axi_arready), .m_axi_rid(m_axi_rid),
      .m_axi_rdata(m_axi_rdata), .m_axi_rresp(m_axi_rresp), .m_axi_rlast(m_axi_rlast), .m_axi_rvalid(m_axi_rvalid),
      .m_axi_rready(m_axi_rready), .busy(dma_busy));

  // ---- submission ----
  wire         sqe_valid, sqe_ready;
  wire [511:0] sqe;
  wire [15:0]  sqe_index;
  localparam CPL_N = `CQ_SOURCE_INVALIDATE + 1;
  wire [CPL_N-1:0]     cpl_valid, cpl_ready;
  wire [CPL_N*256-1:0] cpl;
  // an entry of a command, not an indication, gives its reservation back; these have none and complete only in error
  wire [255:0] cq_taken_entry;
  wire         cq_taken;
  wire [7:0]   taken_kind = cq_taken_entry[`CQE_KIND];
  wire [7:0]   taken_code = cq_taken_entry[`CQE_CODE];
  wire         taken_free = taken_kind == `CQ_KIND_COMMAND && (taken_code == `OPCODE_ANSWER ||
                            taken_code == `OPCODE_RESUME || taken_code == `OPCODE_POOL_POST ||
                            taken_code == `OPCODE_RAW_POST || taken_code == `OPCODE_NEIGHBOR_ANSWER);
  wire         done_pulse = cq_taken & ~taken_free & (taken_kind == `CQ_KIND_COMMAND || taken_kind == `CQ_KIND_SEND ||
                                        taken_kind == `CQ_KIND_RECEIVE || taken_kind == `CQ_KIND_RAW_TX ||
                                        taken_kind == `CQ_KIND_FORWARD);

  descriptor_ring #(.DATA_W(DATA_W), .MARGIN(CQ_RESERVE)) u_descriptor_ring (
      .clk(clk), .rst(drst), .enable(enable & ~device_error), .base(sq_base), .size_log2(sq_size_log2), .tail(sq_tail), .head(sq_head),
      .cq_free(cq_free), .start_pulse(start_pulse), .done_pulse(done_pulse),
      .m_rd_req_valid(rd_req_valid[`RD_CLIENT_DESCRIPTOR]), .m_rd_req_ready(rd_req_ready[`RD_CLIENT_DESCRIPTOR]),
      .m_rd_req_addr(rd_req_addr[`RD_CLIENT_DESCRIPTOR*64 +: 64]),
      .m_rd_req_len(rd_req_len[`RD_CLIENT_DESCRIPTOR*16 +: 16]),
      .s_rd_valid(rd_valid[`RD_CLIENT_DESCRIPTOR]), .s_rd_ready(rd_ready[`RD_CLIENT_DESCRIPTOR]),
      .s_rd_data(rd_data), .s_rd_last(rd_last), .s_rd_error(rd_error),
      .m_sqe_valid(sqe_valid), .m_sqe_ready(sqe_ready), .m_sqe(sqe), .m_sqe_index(sqe_index),
      .error_pulse(sq_error), .idle(ring_idle));

  wire          tcp_cmd_valid, tcp_cmd_ready, dcmd_valid, dcmd_ready, raw_valid, raw_ready, rawpost_valid, rawpost_ready;
  wire [511:0]  tcp_cmd_sqe, dcmd_sqe, rawpost_sqe;
  wire [15:0]   tcp_cmd_index, dcmd_index, raw_len, raw_index, rawpost_index;
  wire [2047:0] tcp_cmd_image;
  wire [`RX_SEG_W-1:0] tcp_cmd_seg;
  wire [63:0]   raw_addr, raw_cookie;
  wire          ins_valid, ins_ready, ins_done, append_pulse, pop_pulse, free_pulse;
  wire [`LKP_KEY_W-1:0] ins_key;
  wire [15:0]   ins_conn, append_conn, pop_conn, free_conn;
  wire [7:0]    ins_gen;
  wire [1:0]    ins_status;

  command_decode #(.DATA_W(DATA_W), .CONNS(CONNS), .SENDS(SENDS), .POOL_BUFS(POOL_BUFS), .RAW_BUFS(RAW_BUFS),
                   .PATHS(PATHS), .NEIGHBORS(NEIGHBORS)) u_command_decode (
      .clk(clk), .rst(drst), .s_sqe_valid(sqe_valid), .s_sqe_ready(sqe_ready), .s_sqe(sqe), .s_sqe_index(sqe_index),
      .m_rd_req_valid(rd_req_valid[`RD_CLIENT_IMAGE]), .m_rd_req_ready(rd_req_ready[`RD_CLIENT_IMAGE]),
      .m_rd_req_addr(rd_req_addr[`RD_CLIENT_IMAGE*64 +: 64]), .m_rd_req_len(rd_req_len[`RD_CLIENT_IMAGE*16 +: 16]),
      .s_rd_valid(rd_valid[`RD_CLIENT_IMAGE]), .s_rd_ready(rd_ready[`RD_CLIENT_IMAGE]), .s_rd_data(rd_data),
      .s_rd_last(rd_last), .s_rd_error(rd_error),
      .m_tcp_valid(tcp_cmd_valid), .m_tcp_ready(tcp_cmd_ready), .m_tcp_sqe(tcp_cmd_sqe),
      .m_tcp_sq_index(tcp_cmd_index), .m_tcp_image(tcp_cmd_image), .m_tcp_seg(tcp_cmd_seg),
      .m_dcmd_valid(dcmd_valid), .m_dcmd_ready(dcmd_ready), .m_dcmd_sqe(dcmd_sqe), .m_dcmd_sq_index(dcmd_index),
      .m_raw_valid(raw_valid), .m_raw_ready(raw_ready), .m_raw_addr(raw_addr), .m_raw_len(raw_len),
      .m_raw_cookie(raw_cookie), .m_raw_sq_index(raw_index),
      .m_rawpost_valid(rawpost_valid), .m_rawpost_ready(rawpost_ready), .m_rawpost_sqe(rawpost_sqe),
      .m_rawpost_sq_index(rawpost_index),
      .m_ins_valid(ins_valid), .m_ins_ready(ins_ready), .m_ins_key(ins_key), .m_ins_conn(ins_conn),
      .m_ins_gen(ins_gen), .s_ins_done(ins_done), .s_ins_status(ins_status),
      .append_pulse(append_pulse), .append_conn(append_conn), .pop_pulse(pop_pulse), .pop_conn(pop_conn),
      .free_pulse(free_pulse), .free_conn(free_conn),
      .m_cpl_valid(cpl_valid[`CQ_SOURCE_DECODE]), .m_cpl_ready(cpl_ready[`CQ_SOURCE_DECODE]),
      .m_cpl(cpl[`CQ_SOURCE_DECODE*256 +: 256]), .start_pulse(start_pulse), .error_pulse(cmd_error),
      .idle(decode_idle));

  // ---- engine ----
  wire                  rxs_valid, rxs_ready, consumed_valid, consumed_ready, credit_valid, credit_ready;
  wire [`RX_SEG_W-1:0]  rxs;
  wire [15:0]           consumed_conn, credit_count, fence_conn, fault_conn;
  wire [7:0]            consumed_gen, fence_gen, fault_gen;
  wire [31:0]           consumed_bytes;
  wire                  fence_valid, fence_ready, fault_valid, fault_ready, txq_valid, txq_ready, dlv_valid, dlv_ready;
  wire [`TXQ_W-1:0]     txq, bar;
  wire                  bar_valid, bar_ready;
  wire [`DLV_MSG_W-1:0] dlv;
  wire                  verdict_valid, verdict_ready, img_valid, img_ready, del_valid, del_ready, del_done;
  wire [1:0]            verdict;
  wire [`TCB_W-1:0]     img_tcb;
  wire [31:0]           img_tick;
  wire [15:0]           img_conn, img_sq_index, del_conn;
  wire                  img_whole;
  wire [63:0]           img_addr, img_cookie;
  wire [7:0]            img_opcode;

  engine_top #(.CONNS(CONNS), .PATHS(PATHS), .NEIGHBORS(NEIGHBORS), .OOO_RANGES(OOO_RANGES),
               .COMMIT_PORT(COMMIT_PORT)) u_engine (
      .clk(clk), .rst(drst), .now(now),
      .s_cmd_valid(tcp_cmd_valid), .s_cmd_ready(tcp_cmd_ready), .s_cmd_sqe(tcp_cmd_sqe),
      .s_cmd_sq_index(tcp_cmd_index), .s_cmd_image(tcp_cmd_image), .s_cmd_seg(tcp_cmd_seg),
      .s_rx_valid(rxs_valid), .s_rx_ready(rxs_ready), .s_rx_seg(rxs),
      .s_consumed_valid(consumed_valid), .s_consumed_ready(consumed_ready), .s_consumed_conn(consumed_conn),
      .s_consumed_gen(consumed_gen), .s_consumed_bytes(consumed_bytes),
      .s_credit_valid(credit_valid), .s_credit_ready(credit_ready), .s_credit_count(credit_count),
      .s_fence_valid(fence_valid), .s_fence_ready(fence_ready), .s_fence_conn(fence_conn), .s_fence_gen(fence_gen),
      .s_fault_valid(fault_valid), .s_fault_ready(fault_ready), .s_fault_conn(fault_conn), .s_fault_gen(fault_gen),
      .s_room(room), .s_cq_full(cq_full),
      .m_txq_valid(txq_valid), .m_txq_ready(txq_ready), .m_txq(txq),
      .m_bar_valid(bar_valid), .m_bar_ready(bar_ready), .m_bar(bar),
      .m_dlv_valid(dlv_valid), .m_dlv_ready(dlv_ready), .m_dlv(dlv),
      .m_verdict_valid(verdict_valid), .m_verdict_ready(verdict_ready), .m_verdict(verdict),
      .m_cpl_valid(cpl_valid[`CQ_SOURCE_TCP]), .m_cpl_ready(cpl_ready[`CQ_SOURCE_TCP]),
      .m_cpl(cpl[`CQ_SOURCE_TCP*256 +: 256]),
      .m_img_valid(img_valid), .m_img_ready(img_ready), .m_img_tcb(img_tcb), .m_img_tick(img_tick),
      .m_img_conn(img_conn), .m_img_whole(img_whole), .m_img_addr(img_addr), .m_img_cookie(img_cookie),
      .m_img_sq_index(img_sq_index), .m_img_opcode(img_opcode),
      .m_del_valid(del_valid), .m_del_ready(del_ready), .m_del_conn(del_conn), .s_del_done(del_done),
      .append_pulse(append_pulse), .append_conn(append_conn), .free_pulse(free_pulse), .free_conn(free_conn),
      .stat_in(stat_in), .stat_in_packet(stat_in_packet), .stat_in_octets(stat_in_octets),
      .stat_opened(stat_opened), .stat_closed(stat_closed), .stat_reset(stat_reset), .stat_ipv6(stat_ipv6),
      .rec_tcp_valid(rec_tcp_valid), .rec_tcp(rec_tcp), .idle(engine_idle));

  state_writer #(.DATA_W(DATA_W)) u_state_writer (
      .clk(clk), .rst(drst), .s_img_valid(img_valid), .s_img_ready(img_ready), .s_img_tcb(img_tcb),
      .s_img_tick(img_tick), .s_img_conn(img_conn), .s_img_whole(img_whole), .s_img_addr(img_addr),
      .s_img_cookie(img_cookie), .s_img_sq_index(img_sq_index), .s_img_opcode(img_opcode),
      .m_wr_req_valid(wr_req_valid[`WR_CLIENT_STATE]), .m_wr_req_ready(wr_req_ready[`WR_CLIENT_STATE]),
      .m_wr_req_addr(wr_req_addr[`WR_CLIENT_STATE*64 +: 64]), .m_wr_req_len(wr_req_len[`WR_CLIENT_STATE*16 +: 16]),
      .m_wr_valid(wr_valid[`WR_CLIENT_STATE]), .m_wr_ready(wr_ready[`WR_CLIENT_STATE]),
      .m_wr_data(wr_data[`WR_CLIENT_STATE*DATA_W +: DATA_W]), .m_wr_last(wr_last[`WR_CLIENT_STATE]),
      .s_wr_done(wr_done[`WR_CLIENT_STATE]), .s_wr_done_error(wr_done_error),
      .m_cpl_valid(cpl_valid[`CQ_SOURCE_STATE]), .m_cpl_ready(cpl_ready[`CQ_SOURCE_STATE]),
      .m_cpl(cpl[`CQ_SOURCE_STATE*256 +: 256]), .idle(state_idle));

  // ---- transmit ----
  wire        fdone_valid, fdone_ready, txfault_valid, txfault_ready;
  wire [15:0] fdone_conn, txfault_conn;
  wire [7:0]  fdone_gen, txfault_gen;
  tx_top #(.DATA_W(DATA_W), .CONNS(CONNS), .SENDS(SENDS), .PATHS(PATHS), .NEIGHBORS(NEIGHBORS), .TX_SLOTS(TX_SLOTS),
           .COMMIT_PORT(COMMIT_PORT)) u_tx (
      .clk(clk), .rst(drst), .mac_addr(mac_addr), .s_txq_valid(txq_valid), .s_txq_ready(txq_ready), .s_txq(txq),
      .s_bar_valid(bar_valid), .s_bar_ready(bar_ready), .s_bar(bar),
      .m_barcpl_valid(cpl_valid[`CQ_SOURCE_INVALIDATE]), .m_barcpl_ready(cpl_ready[`CQ_SOURCE_INVALIDATE]),
      .m_barcpl(cpl[`CQ_SOURCE_INVALIDATE*256 +: 256]),
      .s_raw_valid(raw_valid), .s_raw_ready(raw_ready), .s_raw_addr(raw_addr), .s_raw_len(raw_len),
      .s_raw_cookie(raw_cookie), .s_raw_sq_index(raw_index),
      .m_lrd_req_valid(rd_req_valid[`RD_CLIENT_LIST]), .m_lrd_req_ready(rd_req_ready[`RD_CLIENT_LIST]),
      .m_lrd_req_addr(rd_req_addr[`RD_CLIENT_LIST*64 +: 64]), .m_lrd_req_len(rd_req_len[`RD_CLIENT_LIST*16 +: 16]),
      .s_lrd_valid(rd_valid[`RD_CLIENT_LIST]), .s_lrd_ready(rd_ready[`RD_CLIENT_LIST]), .s_lrd_data(rd_data),
      .s_lrd_last(rd_last), .s_lrd_bytes(rd_bytes), .s_lrd_error(rd_error),
      .m_prd_req_valid(rd_req_valid[`RD_CLIENT_PAYLOAD]), .m_prd_req_ready(rd_req_ready[`RD_CLIENT_PAYLOAD]),
      .m_prd_req_addr(rd_req_addr[`RD_CLIENT_PAYLOAD*64 +: 64]),
      .m_prd_req_len(rd_req_len[`RD_CLIENT_PAYLOAD*16 +: 16]),
      .s_prd_valid(rd_valid[`RD_CLIENT_PAYLOAD]), .s_prd_ready(rd_ready[`RD_CLIENT_PAYLOAD]), .s_prd_data(rd_data),
      .s_prd_last(rd_last), .s_prd_bytes(rd_bytes), .s_prd_error(rd_error),
      .m_axis_tx_tdata(tx_tdata), .m_axis_tx_tkeep(tx_tkeep), .m_axis_tx_tlast(tx_tlast),
      .m_axis_tx_tvalid(tx_tvalid), .m_axis_tx_tready(tx_tready),
      .m_scpl_valid(cpl_valid[`CQ_SOURCE_SEND]), .m_scpl_ready(cpl_ready[`CQ_SOURCE_SEND]),
      .m_scpl(cpl[`CQ_SOURCE_SEND*256 +: 256]),
      .m_rawcpl_valid(cpl_valid[`CQ_SOURCE_RAW_TX]), .m_rawcpl_ready(cpl_ready[`CQ_SOURCE_RAW_TX]),
      .m_rawcpl(cpl[`CQ_SOURCE_RAW_TX*256 +: 256]),
      .pop_pulse(pop_pulse), .pop_conn(pop_conn),
      .m_fdone_valid(fdone_valid), .m_fdone_ready(fdone_ready), .m_fdone_conn(fdone_conn), .m_fdone_gen(fdone_gen),
      .m_fault_valid(txfault_valid), .m_fault_ready(txfault_ready), .m_fault_conn(txfault_conn),
      .m_fault_gen(txfault_gen), .rec_tx_valid(rec_tx_valid), .rec_tx(rec_tx),
      .stat_valid(stat_out), .stat_octets(stat_out_octets), .stat_what(stat_out_what),
      .stat_ipv6(stat_out_ipv6),
      .cnt_seg(cnt_tx[0]), .cnt_raw(cnt_tx[1]), .cnt_disc(cnt_tx[2]), .idle(tx_idle));

  // ---- receive ----
  wire        rxfault_valid, rxfault_ready;
  wire [15:0] rxfault_conn;
  wire [7:0]  rxfault_gen;
  rx_top #(.DATA_W(DATA_W), .CONNS(CONNS), .CONN_W($clog2(CONNS)), .RECVS(RECVS), .POOL_BUFS(POOL_BUFS), .RAW_BUFS(RAW_BUFS),
           .RX_BEATS(RX_BEATS), .COMMIT_PORT(COMMIT_PORT)) u_rx (
      .clk(clk), .rst(drst), .now(now), .s_cq_full(cq_full), .m_backed_up(rx_backed_up), .enable(enable), .pool_base(pool_base), .raw_base(raw_base),
      .s_axis_rx_tdata(s_axis_rx_tdata), .s_axis_rx_tkeep(s_axis_rx_tkeep), .s_axis_rx_tlast(s_axis_rx_tlast),
      .s_axis_rx_tvalid(rx_tvalid), .s_axis_rx_tready(s_axis_rx_tready),
      .s_ins_valid(ins_valid), .s_ins_ready(ins_ready), .s_ins_key(ins_key), .s_ins_conn(ins_conn),
      .s_ins_gen(ins_gen), .m_ins_done(ins_done), .m_ins_status(ins_status),
      .s_del_valid(del_valid), .s_del_ready(del_ready), .s_del_conn(del_conn), .m_del_done(del_done),
      .m_rx_valid(rxs_valid), .m_rx_ready(rxs_ready), .m_rx_seg(rxs),
      .s_verdict_valid(verdict_valid), .s_verdict_ready(verdict_ready), .s_verdict(verdict),
      .s_dlv_valid(dlv_valid), .s_dlv_ready(dlv_ready), .s_dlv(dlv),
      .s_dcmd_valid(dcmd_valid), .s_dcmd_ready(dcmd_ready), .s_dcmd_sqe(dcmd_sqe), .s_dcmd_sq_index(dcmd_index),
      .s_rawpost_valid(rawpost_valid), .s_rawpost_ready(rawpost_ready), .s_rawpost_sqe(rawpost_sqe),
      .s_rawpost_sq_index(rawpost_index),
      .m_crd_req_valid(rd_req_valid[`RD_CLIENT_COPY]), .m_crd_req_ready(rd_req_ready[`RD_CLIENT_COPY]),
      .m_crd_req_addr(rd_req_addr[`RD_CLIENT_COPY*64 +: 64]), .m_crd_req_len(rd_req_len[`RD_CLIENT_COPY*16 +: 16]),
      .s_crd_valid(rd_valid[`RD_CLIENT_COPY]), .s_crd_ready(rd_ready[`RD_CLIENT_COPY]), .s_crd_data(rd_data),
      .s_crd_last(rd_last), .s_crd_bytes(rd_bytes), .s_crd_error(rd_error),
      .m_pwr_req_valid(wr_req_valid[`WR_CLIENT_PLACER]), .m_pwr_req_ready(wr_req_ready[`WR_CLIENT_PLACER]),
      .m_pwr_req_addr(wr_req_addr[`WR_CLIENT_PLACER*64 +: 64]),
      .m_pwr_req_len(wr_req_len[`WR_CLIENT_PLACER*16 +: 16]),
      .m_pwr_valid(wr_valid[`WR_CLIENT_PLACER]), .m_pwr_ready(wr_ready[`WR_CLIENT_PLACER]),
      .m_pwr_data(wr_data[`WR_CLIENT_PLACER*DATA_W +: DATA_W]), .m_pwr_last(wr_last[`WR_CLIENT_PLACER]),
      .s_pwr_done(wr_done[`WR_CLIENT_PLACER]), .s_pwr_done_error(wr_done_error),
      .m_dcpl_valid(cpl_valid[`CQ_SOURCE_DELIVERY]), .m_dcpl_ready(cpl_ready[`CQ_SOURCE_DELIVERY]),
      .m_dcpl(cpl[`CQ_SOURCE_DELIVERY*256 +: 256]),
      .m_rcpl_valid(cpl_valid[`CQ_SOURCE_RAW_RX]), .m_rcpl_ready(cpl_ready[`CQ_SOURCE_RAW_RX]),
      .m_rcpl(cpl[`CQ_SOURCE_RAW_RX*256 +: 256]),
      .m_consumed_valid(consumed_valid), .m_consumed_ready(consumed_ready), .m_consumed_conn(consumed_conn),
      .m_consumed_gen(consumed_gen), .m_consumed_bytes(consumed_bytes),
      .m_credit_valid(credit_valid), .m_credit_ready(credit_ready), .m_credit_count(credit_count),
      .m_fence_valid(fence_valid), .m_fence_ready(fence_ready), .m_fence_conn(fence_conn), .m_fence_gen(fence_gen),
      .s_fdone_valid(fdone_valid), .s_fdone_ready(fdone_ready), .s_fdone_conn(fdone_conn), .s_fdone_gen(fdone_gen),
      .m_fault_valid(rxfault_valid), .m_fault_ready(rxfault_ready), .m_fault_conn(rxfault_conn),
      .m_fault_gen(rxfault_gen),
      .rec_rx_valid(rec_rx_valid), .rec_rx(rec_rx), .rec_dlv_valid(rec_dlv_valid), .rec_dlv(rec_dlv),
      .cnt_rx(cnt_rx),
      .idle(rx_idle), .init_done(rx_init_done));

  // transmit faults first: a placement fault waits at most one event
  assign fault_valid   = txfault_valid | rxfault_valid;
  assign fault_conn    = txfault_valid ? txfault_conn : rxfault_conn;
  assign fault_gen     = txfault_valid ? txfault_gen : rxfault_gen;
  assign txfault_ready = fault_ready & txfault_valid;
  assign rxfault_ready = fault_ready & ~txfault_valid;
  assign fault_taken   = fault_valid & fault_ready;

  completion_ring #(.DATA_W(DATA_W), .SOURCES(CPL_N), .COMMIT_PORT(COMMIT_PORT)) u_completion_ring (
      .clk(clk), .rst(drst), .base(cq_base), .size_log2(cq_size_log2), .head(cq_head), .tail(cq_tail), .free(cq_free),
      .s_cpl_valid(cpl_valid & {CPL_N{~device_error}}), .s_cpl_ready(cpl_ready), .s_cpl(cpl),
      .m_wr_req_valid(wr_req_valid[`WR_CLIENT_COMPLETION]), .m_wr_req_ready(wr_req_ready[`WR_CLIENT_COMPLETION]),
      .m_wr_req_addr(wr_req_addr[`WR_CLIENT_COMPLETION*64 +: 64]),
      .m_wr_req_len(wr_req_len[`WR_CLIENT_COMPLETION*16 +: 16]),
      .m_wr_valid(wr_valid[`WR_CLIENT_COMPLETION]), .m_wr_ready(wr_ready[`WR_CLIENT_COMPLETION]),
      .m_wr_data(wr_data[`WR_CLIENT_COMPLETION*DATA_W +: DATA_W]), .m_wr_last(wr_last[`WR_CLIENT_COMPLETION]),
      .s_wr_done(wr_done[`WR_CLIENT_COMPLETION]), .s_wr_done_error(wr_done_error),
      .taken_pulse(cq_taken), .taken_entry(cq_taken_entry),
      .written_pulse(cq_written), .error_pulse(cq_error), .idle(cq_idle),
      .rec_cq_valid(rec_cq_valid), .rec_cq(rec_cq));

  wire unused = &{1'b0, irq_enable, cq_taken_entry};
endmodule
`default_nettype wire
