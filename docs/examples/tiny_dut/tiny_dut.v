// tiny_dut: a second, small device behind Chimney's two ports: one connection, one send, one segment at a time.
// Written against docs/contract/hostport.md and docs/layout.md alone; it shares no block with hdl/. No commit port.
// What it does: raw frames both ways; offload of one ESTABLISHED IPv4 connection; SEND and graceful DISCONNECT by
//   stop-and-wait with retransmission, probes of a closed window; text in order into pool buffers, indications, ANSWER;
//   the peer's FIN and RST; abortive DISCONNECT; FORWARD; TERMINATE with image and left-over buffers.
// A RECEIVE, or an ANSWER that takes a part, makes it ask for the upload (RETRIEVE).
// What it refuses with a status: UPDATE, INVALIDATE, QUERY but of a neighbor, timestamps, ECN, CUBIC, IPv6, VLANs, keep-alive,
//   states other than ESTABLISHED, unacknowledged data at the hand-over.
// One work memory, one state machine, one request at a time: made to be read, not to be fast.
// tick_strobe: external tick (CONTROL[3]). irq: level. idle: nothing is pending.
`default_nettype none
module tiny_dut #(
    parameter DATA_W = 64           // 64 only
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
    output wire                idle
);
  generate
    if (DATA_W != 64) begin : bad
      illegal_tiny_dut_width only_64_bits ();
    end
  endgenerate

  wire        reset_ask, reset_done, enable, tick_external, cq_written, bus_error, core_idle, rx_busy;
  wire [31:0] tick_prescale;
  wire [47:0] mac_addr;
  wire [63:0] sq_base, cq_base, pool_base, raw_base;
  wire [3:0]  sq_log2, cq_log2;
  wire [15:0] sq_tail, sq_head, cq_head, cq_tail;
  wire [351:0] stat;

  // ---- protocol time ----
  reg  [31:0] now, since;
  wire        tick = tick_external ? tick_strobe : since + 32'd1 >= tick_prescale;
  always @(posedge clk) begin
    if (rst | reset_done) begin
      now   <= 32'd0;
      since <= 32'd0;
    end else begin
      since <= tick ? 32'd0 : since + 32'd1;
      if (tick) now <= now + 32'd1;
    end
  end

  tiny_registers registers (
      .clk(clk), .rst(rst),
      .s_axil_awaddr(s_axil_awaddr), .s_axil_awvalid(s_axil_awvalid), .s_axil_awready(s_axil_awready),
      .s_axil_wdata(s_axil_wdata), .s_axil_wvalid(s_axil_wvalid), .s_axil_wready(s_axil_wready),
      .s_axil_bresp(s_axil_bresp), .s_axil_bvalid(s_axil_bvalid), .s_axil_bready(s_axil_bready),
      .s_axil_araddr(s_axil_araddr), .s_axil_arvalid(s_axil_arvalid), .s_axil_arready(s_axil_arready),
      .s_axil_rdata(s_axil_rdata), .s_axil_rresp(s_axil_rresp), .s_axil_rvalid(s_axil_rvalid),
      .s_axil_rready(s_axil_rready),
      .reset_ask(reset_ask), .reset_done(reset_done), .enable(enable), .tick_external(tick_external),
      .tick_prescale(tick_prescale), .mac_addr(mac_addr), .sq_base(sq_base), .sq_log2(sq_log2), .sq_tail(sq_tail),
      .sq_head(sq_head), .cq_base(cq_base), .cq_log2(cq_log2), .cq_head(cq_head), .cq_tail(cq_tail),
      .pool_base(pool_base), .raw_base(raw_base), .tick(now), .idle(idle), .cq_written(cq_written),
      .bus_error(bus_error), .irq(irq), .stat(stat));

  wire        go, write, done, error;
  wire [7:0]  client, b_strb;
  wire [63:0] addr, b_data, g_data;
  wire [15:0] len;
  wire [12:0] at, b_at, g_at;
  tiny_memory memory (
      .clk(clk), .rst(rst), .go(go), .write(write), .client(client), .addr(addr), .len(len), .at(at), .done(done),
      .error(error), .b_strb(b_strb), .b_at(b_at), .b_data(b_data), .g_at(g_at), .g_data(g_data),
      .m_axi_awaddr(m_axi_awaddr), .m_axi_awlen(m_axi_awlen), .m_axi_awuser(m_axi_awuser),
      .m_axi_awvalid(m_axi_awvalid), .m_axi_awready(m_axi_awready), .m_axi_wdata(m_axi_wdata),
      .m_axi_wstrb(m_axi_wstrb), .m_axi_wlast(m_axi_wlast), .m_axi_wvalid(m_axi_wvalid),
      .m_axi_wready(m_axi_wready), .m_axi_bresp(m_axi_bresp), .m_axi_bvalid(m_axi_bvalid),
      .m_axi_bready(m_axi_bready), .m_axi_araddr(m_axi_araddr), .m_axi_arlen(m_axi_arlen),
      .m_axi_aruser(m_axi_aruser), .m_axi_arvalid(m_axi_arvalid), .m_axi_arready(m_axi_arready),
      .m_axi_rdata(m_axi_rdata), .m_axi_rresp(m_axi_rresp), .m_axi_rlast(m_axi_rlast), .m_axi_rvalid(m_axi_rvalid),
      .m_axi_rready(m_axi_rready));
  assign m_axi_awid    = 4'd0;
  assign m_axi_arid    = 4'd0;
  assign m_axi_awsize  = 3'd3;
  assign m_axi_arsize  = 3'd3;
  assign m_axi_awburst = 2'b01;
  assign m_axi_arburst = 2'b01;

  wire        rx_valid, rx_pop;
  wire [11:0] rx_len;
  wire [7:0]  rx_at;
  wire [63:0] rx_data;
  tiny_receive receive (
      .clk(clk), .rst(rst), .clear(reset_done | ~enable), .s_axis_tdata(s_axis_rx_tdata), .s_axis_tkeep(s_axis_rx_tkeep),
      .s_axis_tlast(s_axis_rx_tlast), .s_axis_tvalid(s_axis_rx_tvalid), .s_axis_tready(s_axis_rx_tready),
      .valid(rx_valid), .len(rx_len), .at(rx_at), .data(rx_data), .pop(rx_pop), .busy(rx_busy));

  tiny_core core (
      .clk(clk), .rst(rst), .reset_ask(reset_ask), .reset_done(reset_done), .enable(enable), .now(now),
      .mac_addr(mac_addr), .sq_base(sq_base), .sq_log2(sq_log2), .sq_tail(sq_tail), .sq_head(sq_head),
      .cq_base(cq_base), .cq_log2(cq_log2), .cq_head(cq_head), .cq_tail(cq_tail), .cq_written(cq_written),
      .bus_error(bus_error), .pool_base(pool_base), .raw_base(raw_base),
      .go(go), .write(write), .client(client), .addr(addr), .len(len), .at(at), .done(done), .error(error),
      .b_strb(b_strb), .b_at(b_at), .b_data(b_data), .g_at(g_at), .g_data(g_data),
      .rx_valid(rx_valid), .rx_len(rx_len), .rx_at(rx_at), .rx_data(rx_data), .rx_pop(rx_pop),
      .m_axis_tdata(m_axis_tx_tdata), .m_axis_tkeep(m_axis_tx_tkeep), .m_axis_tlast(m_axis_tx_tlast),
      .m_axis_tvalid(m_axis_tx_tvalid), .m_axis_tready(m_axis_tx_tready), .stat(stat), .idle(core_idle));
  assign idle = core_idle & ~rx_valid & ~rx_busy;

  wire unused = &{1'b0, s_axil_wstrb, m_axi_bid, m_axi_rid};
endmodule
`default_nettype wire
