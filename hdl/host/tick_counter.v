// tick_counter: protocol time. One tick is one host tick (1 ms at 1000 ticks/s) however many cycles it takes.
// Advances by the external strobe (CONTROL[3] = 1: the test bench skips idle time that way) or by a prescaler of
// `prescale` cycles. Strobes must be at least one timer_scan round apart where a deadline lies between them: a timer
// is found late otherwise (the test bench sees to it).
// Latency: `now` changes the cycle after the strobe.
`default_nettype none
module tick_counter (
    input  wire        clk,
    input  wire        rst,
    input  wire        external,   // 1: strobe, 0: prescaler
    input  wire        strobe,
    input  wire [31:0] prescale,   // cycles a tick, 0 is taken as 1
    output reg  [31:0] now
);
  reg [31:0] count;
  wire wrap = count + 32'd1 >= prescale;
  always @(posedge clk) begin
    if (rst) begin
      now   <= 32'd0;
      count <= 32'd0;
    end else begin
      count <= wrap ? 32'd0 : count + 32'd1;
      if (external ? strobe : wrap) now <= now + 32'd1;
    end
  end
endmodule
`default_nettype wire
