// soft_reset: brings the bus and the wire to a boundary before the device is reset under running traffic.
// Why a block: AXI has no way to call off a burst and a MAC none to call off a frame, so a reset in mid-traffic must
//   wait for both; everything else may be forgotten.
// While `quiesce`: dma takes no new request (mask_requests) and no new frame starts on the wire; `quiet` rises when
//   the bus is idle and the last frame has ended. After the reset the rest of a received frame that it cut is skipped.
// s_tx_* -> m_tx_*: transmit stream, passed through. s_rx_* -> m_rx_*: receive stream, tready always 1.
// Latency: none.
`default_nettype none
module soft_reset #(
    parameter DATA_W = 64
) (
    input  wire                clk,
    input  wire                rst,          // power-up reset only
    input  wire                quiesce,
    input  wire                soft_rst,
    input  wire                dma_busy,
    output wire                mask_requests,
    output wire                quiet,
    input  wire [DATA_W-1:0]   s_tx_tdata,
    input  wire [DATA_W/8-1:0] s_tx_tkeep,
    input  wire                s_tx_tlast,
    input  wire                s_tx_tvalid,
    output wire                s_tx_tready,
    output wire [DATA_W-1:0]   m_tx_tdata,
    output wire [DATA_W/8-1:0] m_tx_tkeep,
    output wire                m_tx_tlast,
    output wire                m_tx_tvalid,
    input  wire                m_tx_tready,
    input  wire                s_rx_tvalid,
    input  wire                s_rx_tlast,
    output wire                m_rx_tvalid
);
  reg gate, in_frame, rx_in_frame, skip;
  reg [3:0] calm;

  assign m_tx_tdata  = s_tx_tdata;
  assign m_tx_tkeep  = s_tx_tkeep;
  assign m_tx_tlast  = s_tx_tlast;
  assign m_tx_tvalid = s_tx_tvalid & ~gate;
  assign s_tx_tready = m_tx_tready & ~gate;
  wire beat      = m_tx_tvalid & m_tx_tready;
  wire frame_end = beat & m_tx_tlast;

  assign mask_requests = quiesce;
  assign quiet         = &calm;
  assign m_rx_tvalid   = s_rx_tvalid & ~skip & ~soft_rst;

  always @(posedge clk) begin
    if (rst) begin
      gate        <= 1'b0;
      in_frame    <= 1'b0;
      rx_in_frame <= 1'b0;
      skip        <= 1'b0;
      calm        <= 4'd0;
    end else begin
      if (beat) in_frame <= ~m_tx_tlast;
      // close only where no offered beat would be taken back
      if (~quiesce) gate <= 1'b0;
      else if (frame_end | (~in_frame & ~m_tx_tvalid)) gate <= 1'b1;
      calm <= (quiesce & gate & ~dma_busy) ? ((&calm) ? calm : calm + 4'd1) : 4'd0;
      if (s_rx_tvalid) rx_in_frame <= ~s_rx_tlast;
      if (soft_rst) skip <= s_rx_tvalid ? ~s_rx_tlast : rx_in_frame;
      else if (s_rx_tvalid & s_rx_tlast) skip <= 1'b0;
    end
  end
endmodule
`default_nettype wire
