// forward_header: the TCP header of a forwarded segment as arguments of RX_SEGMENT.
//
// Why a block: a segment that the host hands in takes the way of one from the wire, but its header comes from host
//   memory, without frame, address or checksum; command_decode only knows entries and images.
//
// s_head: the first bytes of the segment (byte 0 in bits 7:0), s_len: its bytes, s_conn, s_gen: of the command.
//   Stable while `bad` is looked at and in the cycle of s_valid. `bad` is combinational: the data offset is below 5
//   or past the segment.
// s_valid: pulse, only when nothing is held and not `bad`. m_*: valid/ready source; arrival 0, pay_off from the first
//   byte of the TCP header.
// Latency: that of rx_options, at most 42 cycles.
`default_nettype none
`include "chimney_layout.vh"
module forward_header (
    input  wire                 clk,
    input  wire                 rst,
    input  wire [479:0]         s_head,
    input  wire [15:0]          s_len,
    input  wire [15:0]          s_conn,
    input  wire [7:0]           s_gen,
    output wire                 bad,
    input  wire                 s_valid,
    output wire                 m_valid,
    input  wire                 m_ready,
    output wire [`RX_SEG_W-1:0] m_seg
);
  // bytes inside the header (RFC 9293 3.1)
  localparam SEQ = 4, ACK = 8, OFFSET = 12, FLAGS = 13, WINDOW = 14, OPTIONS = 20;

  wire [3:0] words   = s_head[8*OFFSET + 4 +: 4];
  wire [5:0] head    = {words, 2'b00};
  wire [5:0] fixed   = OPTIONS;
  wire [5:0] opt_len = head - fixed;
  assign bad = head < fixed || {10'd0, head} > s_len;

  reg [`RX_SEG_W-1:0] seg;
  always @* begin
    seg = {`RX_SEG_W{1'b0}};
    seg[`RX_SEG_CONN]    = s_conn;
    seg[`RX_SEG_GEN]     = s_gen;
    seg[`RX_SEG_SEQ]     = {s_head[8*SEQ +: 8], s_head[8*SEQ + 8 +: 8], s_head[8*SEQ + 16 +: 8], s_head[8*SEQ + 24 +: 8]};
    seg[`RX_SEG_ACK]     = {s_head[8*ACK +: 8], s_head[8*ACK + 8 +: 8], s_head[8*ACK + 16 +: 8], s_head[8*ACK + 24 +: 8]};
    seg[`RX_SEG_WND]     = {s_head[8*WINDOW +: 8], s_head[8*WINDOW + 8 +: 8]};
    seg[`RX_SEG_FLAGS]   = s_head[8*FLAGS +: 8];
    seg[`RX_SEG_PAY_OFF] = {10'd0, head};
    seg[`RX_SEG_PAY_LEN] = s_len - {10'd0, head};
  end

  wire unused_ready;
  rx_options options (
      .clk(clk), .rst(rst), .s_valid(s_valid), .s_ready(unused_ready), .s_seg(seg),
      .s_options(s_head[8*OPTIONS +: 320]), .s_opt_len(opt_len),
      .m_valid(m_valid), .m_ready(m_ready), .m_seg(m_seg));

  wire unused = &{1'b0, unused_ready, s_head};
endmodule
`default_nettype wire
