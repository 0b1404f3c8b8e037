// tick_gen: makes the protocol's time, one tick a strobe.
//
// While work is pending a strobe comes every `prescale` cycles; while the device and the transactors are idle it comes
// every IDLE_GAP cycles, so that a test of a long time-out does not simulate a million empty cycles. Strobes are
// never closer than IDLE_GAP (one round of timer_scan, and some). Time stops when `tick_count` reaches `tick_limit`:
// then `tick_limit_hit` toggles once, Python runs its peers up to that tick and raises the limit. A limit behind
// `tick_count` (signed difference) stops at once, without a toggle.
`default_nettype none
module tick_gen #(
    parameter IDLE_GAP = 128     // cycles, at least connections + 64
) (
    input  wire        clk,
    input  wire        rst,
    input  wire        idle,            // nothing pending anywhere
    input  wire [31:0] prescale,        // cycles a tick; raised to IDLE_GAP when below it
    input  wire [31:0] tick_limit,
    output reg         tick_strobe,     // one cycle high
    output reg  [31:0] tick_count,      // strobes since time 0 (reset does not turn time back)
    output reg         tick_limit_hit   // toggle
);
    localparam [31:0] GAP = IDLE_GAP;

    reg  [31:0] since;                  // cycles since the last strobe, stops at the longest gap of interest
    wire [31:0] busy_gap = (prescale < GAP) ? GAP : prescale;
    wire [31:0] gap      = idle ? GAP : busy_gap;
    wire [31:0] ahead    = tick_limit - tick_count;
    wire        may      = !ahead[31] && (ahead != 32'd0);

    // Python wakes on this flip: it comes after all that it announces has reached the top level's wires.
    reg flip;
    always @(flip) tick_limit_hit <= flip;

    initial begin
        tick_strobe    = 1'b0;
        tick_count     = 32'd0;
        flip           = 1'b0;
        since          = 32'd0;
    end

    always @(posedge clk) begin
        tick_strobe <= 1'b0;
        if (rst) begin
            since <= 32'd0;
        end else if (may && since + 32'd1 >= gap) begin
            tick_strobe <= 1'b1;
            tick_count  <= tick_count + 32'd1;
            since       <= 32'd0;
            if (ahead == 32'd1)
                flip <= ~flip;
        end else if (since < busy_gap) begin
            since <= since + 32'd1;
        end
    end
endmodule
`default_nettype wire
