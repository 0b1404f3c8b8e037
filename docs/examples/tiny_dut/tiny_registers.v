// tiny_registers: the register file of the tiny device behind AXI4-Lite (docs/layout.md, Registers).
// Why a block: doorbells and configuration are all that the driver reaches directly.
// s_axil_*: one write and one read at a time, address and data of a write taken together; unknown addresses answer
//   SLVERR. Writes are whole words: byte strobes are not looked at (the driver writes words).
// reset_ask: high from CONTROL[1] on until reset_done, one cycle in which the device is at rest and all is cleared.
// stat: the counters of family 4, 32 bits each, in the order of the ST4_* registers; those of family 6 read as 0.
// Latency: write and read 2 cycles.
`default_nettype none
`include "chimney_layout.vh"
module tiny_registers (
    input  wire         clk,
    input  wire         rst,
    input  wire [15:0]  s_axil_awaddr,
    input  wire         s_axil_awvalid,
    output wire         s_axil_awready,
    input  wire [31:0]  s_axil_wdata,
    input  wire         s_axil_wvalid,
    output wire         s_axil_wready,
    output reg  [1:0]   s_axil_bresp,
    output reg          s_axil_bvalid,
    input  wire         s_axil_bready,
    input  wire [15:0]  s_axil_araddr,
    input  wire         s_axil_arvalid,
    output wire         s_axil_arready,
    output reg  [31:0]  s_axil_rdata,
    output reg  [1:0]   s_axil_rresp,
    output reg          s_axil_rvalid,
    input  wire         s_axil_rready,
    output reg          reset_ask,
    input  wire         reset_done,
    output wire         enable,
    output wire         tick_external,
    output wire [31:0]  tick_prescale,
    output wire [47:0]  mac_addr,
    output wire [63:0]  sq_base,
    output wire [3:0]   sq_log2,
    output wire [15:0]  sq_tail,
    input  wire [15:0]  sq_head,
    output wire [63:0]  cq_base,
    output wire [3:0]   cq_log2,
    output wire [15:0]  cq_head,
    input  wire [15:0]  cq_tail,
    output wire [63:0]  pool_base,
    output wire [63:0]  raw_base,
    input  wire [31:0]  tick,
    input  wire         idle,
    input  wire         cq_written,      // pulse
    input  wire         bus_error,       // pulse: a ring could not be read or written
    output wire         irq,
    input  wire [351:0] stat
);
  localparam [1:0] OKAY = 2'b00, SLVERR = 2'b10;
  localparam [31:0] CAPS  = {8'd0, 8'd0, 8'd3, 8'd0};   // one receive, one send, 8 bytes, one connection
  localparam [31:0] CAPS2 = {8'd3, 8'd3, 8'd6, 8'd10};  // neighbors, paths, raw and pool buffers

  reg [31:0] r [0:31];     // the writable words by offset / 4
  reg [1:0]  cause;
  reg        error;
  integer    i;

  wire        w_fire = s_axil_awvalid & s_axil_wvalid & ~s_axil_bvalid;
  wire [15:0] w_addr = {s_axil_awaddr[15:2], 2'b00};
  wire [15:0] r_addr = {s_axil_araddr[15:2], 2'b00};
  assign s_axil_awready = w_fire;
  assign s_axil_wready  = w_fire;
  assign s_axil_arready = s_axil_arvalid & ~s_axil_rvalid;

  localparam CONTROL = `CSR_CONTROL / 4;
  assign enable        = r[CONTROL][0];
  assign tick_external = r[CONTROL][3];
  assign irq           = r[CONTROL][2] & (|cause);
  assign tick_prescale = r[`CSR_TICK_PRESCALE / 4];
  assign mac_addr      = {r[`CSR_MAC_HI / 4][15:0], r[`CSR_MAC_LO / 4]};
  assign sq_base       = {r[`CSR_SQ_BASE_HI / 4], r[`CSR_SQ_BASE_LO / 4]};
  assign sq_log2       = r[`CSR_SQ_SIZE_LOG2 / 4][3:0];
  assign sq_tail       = r[`CSR_SQ_TAIL / 4][15:0];
  assign cq_base       = {r[`CSR_CQ_BASE_HI / 4], r[`CSR_CQ_BASE_LO / 4]};
  assign cq_log2       = r[`CSR_CQ_SIZE_LOG2 / 4][3:0];
  assign cq_head       = r[`CSR_CQ_HEAD / 4][15:0];
  assign pool_base     = {r[`CSR_POOL_BASE_HI / 4], r[`CSR_POOL_BASE_LO / 4]};
  assign raw_base      = {r[`CSR_RAW_BASE_HI / 4], r[`CSR_RAW_BASE_LO / 4]};

  // what cannot be an index or a size is ignored
  wire w_fits = w_addr == `CSR_SQ_TAIL ? s_axil_wdata < (32'd1 << sq_log2)
              : w_addr == `CSR_CQ_HEAD ? s_axil_wdata < (32'd1 << cq_log2)
              : (w_addr == `CSR_SQ_SIZE_LOG2 || w_addr == `CSR_CQ_SIZE_LOG2)
                ? s_axil_wdata >= 32'd2 && s_axil_wdata <= 32'd12 : 1'b1;
  reg w_known;
  always @* begin
    case (w_addr)
      `CSR_CONTROL, `CSR_TICK_PRESCALE, `CSR_IRQ_CAUSE, `CSR_MAC_LO, `CSR_MAC_HI, `CSR_SQ_BASE_LO, `CSR_SQ_BASE_HI,
      `CSR_SQ_SIZE_LOG2, `CSR_SQ_TAIL, `CSR_CQ_BASE_LO, `CSR_CQ_BASE_HI, `CSR_CQ_SIZE_LOG2, `CSR_CQ_HEAD,
      `CSR_POOL_BASE_LO, `CSR_POOL_BASE_HI, `CSR_RAW_BASE_LO, `CSR_RAW_BASE_HI: w_known = 1'b1;
      default: w_known = 1'b0;
    endcase
  end

  always @(posedge clk) begin
    if (rst | reset_done) begin
      for (i = 0; i < 32; i = i + 1) r[i] <= 32'd0;
      r[`CSR_TICK_PRESCALE / 4] <= 32'd1000;
      r[`CSR_SQ_SIZE_LOG2 / 4]  <= 32'd2;
      r[`CSR_CQ_SIZE_LOG2 / 4]  <= 32'd2;
      cause     <= 2'd0;
      error     <= 1'b0;
      reset_ask <= 1'b0;
    end else begin
      if (w_fire && w_known && w_fits) begin
        if (w_addr == `CSR_IRQ_CAUSE) cause <= cause & ~s_axil_wdata[1:0];
        else if (w_addr == `CSR_CONTROL && s_axil_wdata[1]) reset_ask <= 1'b1;
        else r[w_addr[6:2]] <= s_axil_wdata;
      end
      // a cause that rises in the cycle of its own acknowledgement stays
      if (cq_written) cause[0] <= 1'b1;
      if (bus_error) begin
        cause[1] <= 1'b1;
        error    <= 1'b1;
      end
    end
    if (rst) begin
      s_axil_bvalid <= 1'b0;
      s_axil_bresp  <= OKAY;
    end else if (w_fire) begin
      s_axil_bvalid <= 1'b1;
      s_axil_bresp  <= w_known ? OKAY : SLVERR;
    end else if (s_axil_bready) begin
      s_axil_bvalid <= 1'b0;
    end
  end

  // ---- reads ----
  reg [31:0] data;
  reg        known;
  always @* begin
    known = 1'b1;
    case (r_addr)
      `CSR_ID:        data = `ID_VALUE;
      `CSR_VERSION:   data = `VERSION_VALUE;
      `CSR_CAPS:      data = CAPS;
      `CSR_CAPS2:     data = CAPS2;
      `CSR_STATUS:    data = {28'd0, idle, ~reset_ask, error, idle};
      `CSR_ERROR:     data = {31'd0, error};
      `CSR_TICK:      data = tick;
      `CSR_IRQ_CAUSE: data = {30'd0, cause};
      `CSR_SQ_HEAD:   data = {16'd0, sq_head};
      `CSR_CQ_TAIL:   data = {16'd0, cq_tail};
      `CSR_ST4_IN_SEGMENTS_LO:    data = stat[0*32 +: 32];
      `CSR_ST4_IN_RECEIVES_LO:    data = stat[1*32 +: 32];
      `CSR_ST4_IN_OCTETS_LO:      data = stat[2*32 +: 32];
      `CSR_ST4_OUT_SEGMENTS_LO:   data = stat[3*32 +: 32];
      `CSR_ST4_OUT_REQUESTS_LO:   data = stat[4*32 +: 32];
      `CSR_ST4_OUT_OCTETS_LO:     data = stat[5*32 +: 32];
      `CSR_ST4_RETRANSMITTED:     data = stat[6*32 +: 32];
      `CSR_ST4_OUT_RESETS:        data = stat[7*32 +: 32];
      `CSR_ST4_RESET_ESTABLISHED: data = stat[8*32 +: 32];
      `CSR_ST4_ESTABLISHED:       data = stat[9*32 +: 32];
      `CSR_ST4_OUT_DISCARDS:      data = stat[10*32 +: 32];
      default: begin
        data  = r_addr < 16'h0080 ? r[r_addr[6:2]] : 32'd0;
        known = r_addr < 16'h0080 || (r_addr >= `CSR_CNT_RX_FRAMES && r_addr <= `CSR_ST6_OUT_DISCARDS);
      end
    endcase
  end
  always @(posedge clk) begin
    if (rst) begin
      s_axil_rvalid <= 1'b0;
      s_axil_rresp  <= OKAY;
      s_axil_rdata  <= 32'd0;
    end else if (s_axil_arvalid & s_axil_arready) begin
      s_axil_rvalid <= 1'b1;
      s_axil_rdata  <= data;
      s_axil_rresp  <= known ? OKAY : SLVERR;
    end else if (s_axil_rready) begin
      s_axil_rvalid <= 1'b0;
    end
  end

  wire unused = &{1'b0, s_axil_awaddr[1:0], s_axil_araddr[1:0]};
endmodule
`default_nettype wire
