// tick_gen: makes the protocol's time, one tick a strobe.
//
// While work is pending a strobe comes every `prescale` cycles; while the device and the transactors are idle it comes
// every IDLE_GAP cycles, so that a test of a long time-out does not simulate a million empty cycles. Strobes are never
// closer than IDLE_GAP, one round of timer_scan and the few cycles until what it finds has made the device busy, but
// for a leap: `calm` asks, after IDLE_GAP idle cycles in a row, how many ticks the nearest deadline is away (`still`,
// in the same cycle), and as long as the idle time lasts those in front of it come one a cycle. `violation` is high for
// one cycle with code 1 if a timer fell due (`fell_due`) less than IDLE_GAP cycles behind a leap that nothing else ended:
// time ran over its deadline.
// Time stops when `tick_count` reaches `tick_limit`: then `tick_limit_hit` toggles once, Python runs its peers up to
// that tick and raises the limit. A limit behind `tick_count` (signed difference) stops at once, without a toggle.
`default_nettype none
module tick_gen #(
    parameter IDLE_GAP = 80      // cycles, at least connections + 16
) (
    input  wire        clk,
    input  wire        rst,
    input  wire        idle,            // nothing pending anywhere
    output wire        calm,
    input  wire [31:0] still,           // ticks
    input  wire        fell_due,        // a timer waits to be served
    input  wire [31:0] prescale,        // cycles a tick; raised to IDLE_GAP when below it
    input  wire [31:0] tick_limit,
    output reg         tick_strobe,     // one cycle high a tick
    output reg  [31:0] tick_count,      // strobes since time 0 (reset does not turn time back)
    output reg         tick_limit_hit,  // toggle
    output reg         violation,
    output wire [7:0]  code
);
    localparam [31:0] GAP    = IDLE_GAP;
    localparam [31:0] MARGIN = 32'd3;   // ticks in front of a deadline that come as always, the one of `calm` included

    reg  [31:0] since;                  // cycles since the last strobe, stops at the longest gap of interest
    reg  [31:0] idle_for;               // idle cycles in a row, stops at IDLE_GAP
    reg  [31:0] leap;                   // ticks to come one a cycle
    reg         leapt, idle_q;          // the last strobe was one of a leap; idle in the cycle before
    wire [31:0] busy_gap = (prescale < GAP) ? GAP : prescale;
    wire [31:0] gap      = idle ? GAP : busy_gap;
    wire [31:0] ahead    = tick_limit - tick_count;
    wire        may      = !ahead[31] && (ahead != 32'd0);
    wire        due      = since + 32'd1 >= gap;
    wire        leaps    = idle && leap != 32'd0;

    assign code = 8'd1;
    assign calm = may && due && idle && !leaps && idle_for == GAP;

    // Python wakes on this flip: it comes after all that it announces has reached the top level's wires.
    reg flip;
    always @(flip) tick_limit_hit <= flip;

    initial begin
        tick_strobe    = 1'b0;
        tick_count     = 32'd0;
        flip           = 1'b0;
        since          = 32'd0;
        idle_for       = 32'd0;
        leap           = 32'd0;
        leapt          = 1'b0;
        idle_q         = 1'b0;
        violation      = 1'b0;
    end

    always @(posedge clk) begin
        tick_strobe <= 1'b0;
        idle_q      <= idle;
        violation   <= !rst && leapt && idle_q && fell_due && since < GAP;
        if (rst) begin
            leapt    <= 1'b0;
            since    <= 32'd0;
            idle_for <= 32'd0;
            leap     <= 32'd0;
        end else begin
            if (!idle)               idle_for <= 32'd0;
            else if (idle_for < GAP) idle_for <= idle_for + 32'd1;

            if (!idle)                       leap <= 32'd0;
            else if (leaps && may)           leap <= leap - 32'd1;
            else if (calm && still > MARGIN) leap <= still - MARGIN;

            if (may && (due || leaps)) begin
                tick_strobe <= 1'b1;
                tick_count  <= tick_count + 32'd1;
                since       <= 32'd0;
                leapt       <= leaps;
                if (ahead == 32'd1)
                    flip <= ~flip;
            end else if (since < busy_gap) begin
                since <= since + 32'd1;
            end
        end
    end
endmodule
`default_nettype wire
