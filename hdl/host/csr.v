// csr: the register file behind the AXI4-Lite port.
// Why a block: doorbells, configuration and counters are the only state the driver reaches directly; nothing
//   else in the device decodes an address.
// s_axil_*: AXI4-Lite, one write and one read at a time. Unmapped addresses, and writes to read-only registers,
//   answer SLVERR and change nothing. Byte strobes are honoured.
// Outputs are registers, stable between writes; *_pulse inputs count one each cycle they are high.
// quiesce, soft_rst: CONTROL[1] raises quiesce (no new bus request, no new frame); when `quiet` (bus and wire are
//   between transfers) soft_rst is high for 16 cycles and resets the device and these registers.
// Latency: write 2 cycles, read 2 cycles.
`default_nettype none
`include "chimney_layout.vh"
module csr #(
    parameter [31:0] CAPS  = 32'd0,  // contents of CAPS
    parameter [31:0] CAPS2 = 32'd0   // contents of CAPS2
) (
    input  wire        clk,
    input  wire        rst,
    // AXI4-Lite
    input  wire [15:0] s_axil_awaddr,
    input  wire        s_axil_awvalid,
    output wire        s_axil_awready,
    input  wire [31:0] s_axil_wdata,
    input  wire [3:0]  s_axil_wstrb,
    input  wire        s_axil_wvalid,
    output wire        s_axil_wready,
    output reg  [1:0]  s_axil_bresp,
    output reg         s_axil_bvalid,
    input  wire        s_axil_bready,
    input  wire [15:0] s_axil_araddr,
    input  wire        s_axil_arvalid,
    output wire        s_axil_arready,
    output reg  [31:0] s_axil_rdata,
    output reg  [1:0]  s_axil_rresp,
    output reg         s_axil_rvalid,
    input  wire        s_axil_rready,
    // control
    output reg         quiesce,
    input  wire        quiet,
    output wire        soft_rst,
    output wire        enable,
    output wire        irq_enable,
    output wire        tick_external,
    output reg  [31:0] tick_prescale,
    output wire [47:0] mac_addr,
    output wire [63:0] pool_base,
    output wire [63:0] raw_base,
    // rings
    output wire [63:0] sq_base,
    output reg  [3:0]  sq_size_log2,
    output reg  [15:0] sq_tail,
    input  wire [15:0] sq_head,
    output wire [63:0] cq_base,
    output reg  [3:0]  cq_size_log2,
    output reg  [15:0] cq_head,
    input  wire [15:0] cq_tail,
    // status
    input  wire        idle,
    input  wire        lookup_ready,
    input  wire        tx_empty,
    input  wire [31:0] tick,
    input  wire        sq_error_pulse,
    input  wire        cq_error_pulse,
    input  wire        cq_written_pulse,
    output wire        device_error,
    output wire        irq,
    // counters, in the order of the registers
    input  wire [6:0]  cnt_rx_pulse,   // frames, raw, bad sum, bad length, no space, segments, no raw buffer
    input  wire [2:0]  cnt_tx_pulse,   // segments, raw, discarded
    input  wire [1:0]  cnt_host_pulse, // command errors, faults
    // ST4_*, ST6_*: read through to offload_stats
    output wire [15:0] stat_addr,
    input  wire [31:0] stat_data,
    input  wire        stat_known
);
  localparam [1:0] OKAY = 2'b00, SLVERR = 2'b10;

  reg [3:0]  control;
  reg [3:0]  error;
  reg [1:0]  irq_cause;
  reg [31:0] mac_lo, mac_hi, sq_lo, sq_hi, cq_lo, cq_hi, pool_lo, pool_hi, raw_lo, raw_hi;
  reg [4:0]  rst_count;
  reg [31:0] cnt [0:11];

  assign soft_rst      = rst_count != 5'd0;
  assign enable        = control[0];
  assign irq_enable    = control[2];
  assign tick_external = control[3];
  assign mac_addr      = {mac_hi[15:0], mac_lo};
  assign sq_base       = {sq_hi, sq_lo};
  assign cq_base       = {cq_hi, cq_lo};
  assign pool_base     = {pool_hi, pool_lo};
  assign raw_base      = {raw_hi, raw_lo};
  assign device_error  = |error[1:0];
  assign irq           = irq_enable & (|irq_cause);

  // ---- write channel: address and data are taken together ----
  wire        w_fire = s_axil_awvalid & s_axil_wvalid & ~s_axil_bvalid;
  wire [15:0] w_addr = {s_axil_awaddr[15:2], 2'b00};
  assign s_axil_awready = w_fire;
  assign s_axil_wready  = w_fire;

  function [31:0] strobed(input [31:0] old, input [31:0] data, input [3:0] strb);
    strobed = {strb[3] ? data[31:24] : old[31:24], strb[2] ? data[23:16] : old[23:16],
               strb[1] ? data[15:8] : old[15:8], strb[0] ? data[7:0] : old[7:0]};
  endfunction

  wire [15:0] sq_size = 16'd1 << sq_size_log2;
  wire [15:0] cq_size = 16'd1 << cq_size_log2;
  wire [31:0] w_sq_tail = strobed({16'd0, sq_tail}, s_axil_wdata, s_axil_wstrb);
  wire [31:0] w_cq_head = strobed({16'd0, cq_head}, s_axil_wdata, s_axil_wstrb);
  wire [31:0] w_sq_log2 = strobed({28'd0, sq_size_log2}, s_axil_wdata, s_axil_wstrb);
  wire [31:0] w_cq_log2 = strobed({28'd0, cq_size_log2}, s_axil_wdata, s_axil_wstrb);

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

  wire regs_rst = rst | soft_rst;
  always @(posedge clk) begin
    if (rst) begin
      rst_count <= 5'd0;
      quiesce   <= 1'b0;
    end else begin
      if (w_fire && w_addr == `CSR_CONTROL && s_axil_wstrb[0] && s_axil_wdata[1]) quiesce <= 1'b1;
      else if (rst_count == 5'd1) quiesce <= 1'b0;
      if (quiesce & quiet & (rst_count == 5'd0)) rst_count <= 5'd16;
      else if (rst_count != 5'd0) rst_count <= rst_count - 5'd1;
    end
  end

  always @(posedge clk) begin
    if (regs_rst) begin
      control       <= 4'd0;
      tick_prescale <= 32'd1000;
      mac_lo <= 32'd0; mac_hi <= 32'd0;
      sq_lo <= 32'd0; sq_hi <= 32'd0; cq_lo <= 32'd0; cq_hi <= 32'd0;
      pool_lo <= 32'd0; pool_hi <= 32'd0; raw_lo <= 32'd0; raw_hi <= 32'd0;
      sq_size_log2 <= 4'd2; cq_size_log2 <= 4'd2;
      sq_tail <= 16'd0; cq_head <= 16'd0;
      error <= 4'd0;
      irq_cause <= 2'd0;
    end else begin
      if (w_fire) begin
        case (w_addr)
          // with the reset bit the others do not count: until the bus is quiet the old tick source goes on
          `CSR_CONTROL: if (s_axil_wstrb[0] && !s_axil_wdata[1]) control <= {s_axil_wdata[3:2], 1'b0, s_axil_wdata[0]};
          `CSR_TICK_PRESCALE: tick_prescale <= strobed(tick_prescale, s_axil_wdata, s_axil_wstrb);
          `CSR_MAC_LO: mac_lo <= strobed(mac_lo, s_axil_wdata, s_axil_wstrb);
          `CSR_MAC_HI: mac_hi <= strobed(mac_hi, s_axil_wdata, s_axil_wstrb);
          `CSR_SQ_BASE_LO: sq_lo <= strobed(sq_lo, s_axil_wdata, s_axil_wstrb);
          `CSR_SQ_BASE_HI: sq_hi <= strobed(sq_hi, s_axil_wdata, s_axil_wstrb);
          `CSR_CQ_BASE_LO: cq_lo <= strobed(cq_lo, s_axil_wdata, s_axil_wstrb);
          `CSR_CQ_BASE_HI: cq_hi <= strobed(cq_hi, s_axil_wdata, s_axil_wstrb);
          `CSR_POOL_BASE_LO: pool_lo <= strobed(pool_lo, s_axil_wdata, s_axil_wstrb);
          `CSR_POOL_BASE_HI: pool_hi <= strobed(pool_hi, s_axil_wdata, s_axil_wstrb);
          `CSR_RAW_BASE_LO: raw_lo <= strobed(raw_lo, s_axil_wdata, s_axil_wstrb);
          `CSR_RAW_BASE_HI: raw_hi <= strobed(raw_hi, s_axil_wdata, s_axil_wstrb);
          `CSR_SQ_SIZE_LOG2: if (w_sq_log2 >= 32'd2 && w_sq_log2 <= 32'd12) sq_size_log2 <= w_sq_log2[3:0];
          `CSR_CQ_SIZE_LOG2: if (w_cq_log2 >= 32'd2 && w_cq_log2 <= 32'd12) cq_size_log2 <= w_cq_log2[3:0];
          `CSR_SQ_TAIL: if (w_sq_tail < {16'd0, sq_size}) sq_tail <= w_sq_tail[15:0]; else error[2] <= 1'b1;
          `CSR_CQ_HEAD: if (w_cq_head < {16'd0, cq_size}) cq_head <= w_cq_head[15:0]; else error[3] <= 1'b1;
          `CSR_IRQ_CAUSE: if (s_axil_wstrb[0]) irq_cause <= irq_cause & ~s_axil_wdata[1:0];
          default: ;
        endcase
      end
      if (sq_error_pulse) error[0] <= 1'b1;
      if (cq_error_pulse) error[1] <= 1'b1;
      // a cause that rises in the cycle of its own acknowledgement stays
      if (cq_written_pulse) irq_cause[0] <= 1'b1;
      if (sq_error_pulse | cq_error_pulse) irq_cause[1] <= 1'b1;
    end
  end

  // ---- counters ----
  wire [11:0] cnt_pulse = {cnt_host_pulse, cnt_tx_pulse, cnt_rx_pulse};
  integer i;
  always @(posedge clk) begin
    for (i = 0; i < 12; i = i + 1) begin
      if (regs_rst) cnt[i] <= 32'd0;
      else if (cnt_pulse[i]) cnt[i] <= cnt[i] + 32'd1;
    end
  end

  // ---- read channel ----
  reg [31:0] r_data;
  reg        r_known;
  wire [15:0] r_addr = {s_axil_araddr[15:2], 2'b00};
  assign stat_addr = r_addr;
  always @* begin
    r_known = 1'b1;
    case (r_addr)
      `CSR_ID:            r_data = `ID_VALUE;
      `CSR_VERSION:       r_data = `VERSION_VALUE;
      `CSR_CAPS:          r_data = CAPS;
      `CSR_CAPS2:         r_data = CAPS2;
      `CSR_CONTROL:       r_data = {28'd0, control};
      `CSR_STATUS:        r_data = {28'd0, tx_empty, lookup_ready, device_error, idle};
      `CSR_ERROR:         r_data = {28'd0, error};
      `CSR_TICK:          r_data = tick;
      `CSR_TICK_PRESCALE: r_data = tick_prescale;
      `CSR_IRQ_CAUSE:     r_data = {30'd0, irq_cause};
      `CSR_MAC_LO:        r_data = mac_lo;
      `CSR_MAC_HI:        r_data = mac_hi;
      `CSR_SQ_BASE_LO:    r_data = sq_lo;
      `CSR_SQ_BASE_HI:    r_data = sq_hi;
      `CSR_SQ_SIZE_LOG2:  r_data = {28'd0, sq_size_log2};
      `CSR_SQ_TAIL:       r_data = {16'd0, sq_tail};
      `CSR_SQ_HEAD:       r_data = {16'd0, sq_head};
      `CSR_CQ_BASE_LO:    r_data = cq_lo;
      `CSR_CQ_BASE_HI:    r_data = cq_hi;
      `CSR_CQ_SIZE_LOG2:  r_data = {28'd0, cq_size_log2};
      `CSR_CQ_HEAD:       r_data = {16'd0, cq_head};
      `CSR_CQ_TAIL:       r_data = {16'd0, cq_tail};
      `CSR_POOL_BASE_LO:  r_data = pool_lo;
      `CSR_POOL_BASE_HI:  r_data = pool_hi;
      `CSR_RAW_BASE_LO:   r_data = raw_lo;
      `CSR_RAW_BASE_HI:   r_data = raw_hi;
      `CSR_CNT_RX_FRAMES:     r_data = cnt[0];
      `CSR_CNT_RX_RAW:        r_data = cnt[1];
      `CSR_CNT_RX_BAD_SUM:    r_data = cnt[2];
      `CSR_CNT_RX_BAD_LEN:    r_data = cnt[3];
      `CSR_CNT_RX_NO_SPACE:   r_data = cnt[4];
      `CSR_CNT_RX_SEGMENTS:   r_data = cnt[5];
      `CSR_CNT_RX_RAW_NO_BUF: r_data = cnt[6];
      `CSR_CNT_TX_SEGMENTS:   r_data = cnt[7];
      `CSR_CNT_TX_RAW:        r_data = cnt[8];
      `CSR_CNT_TX_DISCARDED:  r_data = cnt[9];
      `CSR_CNT_CMD_ERRORS:    r_data = cnt[10];
      `CSR_CNT_FAULTS:        r_data = cnt[11];
      default: begin
        r_data  = stat_data;
        r_known = stat_known;
      end
    endcase
  end
  assign s_axil_arready = s_axil_arvalid & ~s_axil_rvalid;
  always @(posedge clk) begin
    if (rst) begin
      s_axil_rvalid <= 1'b0;
      s_axil_rresp  <= OKAY;
      s_axil_rdata  <= 32'd0;
    end else if (s_axil_arvalid & s_axil_arready) begin
      s_axil_rvalid <= 1'b1;
      s_axil_rdata  <= r_data;
      s_axil_rresp  <= r_known ? OKAY : SLVERR;
    end else if (s_axil_rready) begin
      s_axil_rvalid <= 1'b0;
    end
  end

  wire unused = &{1'b0, s_axil_awaddr[1:0], s_axil_araddr[1:0]};
endmodule
`default_nettype wire
