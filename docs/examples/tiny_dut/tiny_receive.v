// tiny_receive: frames from the wire, whole, in 64 slots of 2 KiB.
// Why a block: the receive port never waits (s_axis_tready is 1), the core does; a frame that finds no slot, or is longer
//   than one, is dropped whole.
// valid: the oldest frame has `len` bytes; word `at` of it is in `data` in the same cycle. pop lets it go.
// clear: all frames go, and the rest of one that is on its way in.
`default_nettype none
module tiny_receive (
    input  wire        clk,
    input  wire        rst,
    input  wire        clear,
    input  wire [63:0] s_axis_tdata,
    input  wire [7:0]  s_axis_tkeep,
    input  wire        s_axis_tlast,
    input  wire        s_axis_tvalid,
    output wire        s_axis_tready,
    output wire        valid,
    output wire [11:0] len,
    input  wire [7:0]  at,
    output wire [63:0] data,
    input  wire        pop,
    output wire        busy          // a frame is on its way in
);
  reg [63:0] words [0:64*256-1];
  reg [11:0] lens [0:63];
  reg [6:0]  head, tail;             // slots; the top bit tells full from empty
  reg [8:0]  count;                  // beats of the frame on its way in
  reg        entering, spoiled;
  integer    i;

  wire       full = (tail ^ head) == 7'h40;
  wire       bad  = spoiled | full | count[8];
  reg  [3:0] kept;
  always @* begin
    kept = 4'd0;
    for (i = 0; i < 8; i = i + 1) kept = kept + {3'd0, s_axis_tkeep[i]};
  end

  assign s_axis_tready = 1'b1;
  assign valid = head != tail;
  assign len   = lens[head[5:0]];
  assign data  = words[{head[5:0], at}];
  assign busy  = entering;

  always @(posedge clk) begin
    if (rst) begin
      head <= 7'd0; tail <= 7'd0; count <= 9'd0; entering <= 1'b0; spoiled <= 1'b0;
    end else begin
      if (pop) head <= head + 7'd1;
      if (s_axis_tvalid) begin
        entering <= ~s_axis_tlast;
        count  <= s_axis_tlast ? 9'd0 : count + {8'd0, ~count[8]};
        if (!bad) words[{tail[5:0], count[7:0]}] <= s_axis_tdata;
        if (s_axis_tlast && !bad) begin
          lens[tail[5:0]] <= {count[7:0], 3'd0} + {8'd0, kept} + 12'd0;
          tail <= tail + 7'd1;
        end
        spoiled <= ~s_axis_tlast & bad;
      end
      if (clear) begin
        head <= 7'd0; tail <= 7'd0;
        spoiled <= s_axis_tvalid ? ~s_axis_tlast : entering;
      end
    end
  end
endmodule
`default_nettype wire
