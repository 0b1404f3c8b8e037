// sequence: the arithmetic of hdl/engine/seq.vh for all values, against definitions that use no 32-bit trick.
// Everything is combinational, so one cycle is the whole proof.
`default_nettype none

module sequence_proof (
    input wire        clk,
    input wire [31:0] a,
    input wire [31:0] b,
    input wire [31:0] c,
    input wire [7:0]  shift,
    input wire [15:0] smoothed,
    input wire [15:0] variation
);
    `include "seq.vh"

    // how far b is ahead of a on the circle of 2^32 numbers
    wire [32:0] turn    = 33'h1_0000_0000;
    wire [32:0] ahead   = b >= a ? {1'b0, b} - {1'b0, a} : {1'b0, b} + turn - {1'b0, a};
    wire [32:0] ahead_c = c >= b ? {1'b0, c} - {1'b0, b} : {1'b0, c} + turn - {1'b0, b};
    wire [32:0] half    = 33'h0_8000_0000;
    wire [31:0] pow2    = pow2_floor32(a);
    wire [4:0]  steps   = shift > 16 ? 5'd16 : shift[4:0];
    wire [63:0] shifted = {32'd0, a} << steps;
    wire [31:0] timeout = rto_of(smoothed, variation, a, b);
    wire [31:0] raw     = smoothed / 8 + (variation == 0 ? 1 : variation);

    always @* begin
        before: assert (seq_lt(a, b) == (ahead != 0 && ahead <= half));  // a is before b exactly when b is 1 to 2^31 ahead
        not_after: assert (seq_le(a, b) == (a == b || seq_lt(a, b)));  // at or before is equal or before
        itself: assert (!seq_lt(a, a) && seq_le(a, a));  // nothing is before itself
        if (ahead != half) one_way: assert (!(seq_lt(a, b) && seq_lt(b, a)));  // of two numbers at most one is before the other, but at exactly half the circle
        if (a != b) some_way: assert (seq_lt(a, b) || seq_lt(b, a));  // of two different numbers one is before the other
        turned: assert (seq_lt(a + c, b + c) == seq_lt(a, b));  // the order does not change when both move on, also over the wrap
        if (ahead != 0 && ahead_c != 0 && ahead + ahead_c < half) chain: assert (seq_lt(a, b) && seq_lt(b, c) && seq_lt(a, c));  // within half a circle before is transitive
        least: assert (min32(a, b) == (b < a ? b : a) && max32(a, b) == (b < a ? a : b));  // min32 and max32 are plain unsigned ones
        if (a != 0) power: assert ((pow2 & (pow2 - 1)) == 0 && pow2 != 0 && pow2 <= a && a - pow2 < pow2);  // pow2_floor32 is the only power of two from a/2+1 to a
        zero: assert (pow2_floor32(0) == 0);  // pow2_floor32 of 0 is 0
        backoff: assert (backoff32(a, shift, b) == (shifted > b ? b : shifted[31:0]));  // backoff32 is the value shifted by at most 16, without loss, up to the limit
        if (a <= b) timer: assert (timeout >= a && timeout <= b && (raw < a || raw > b || timeout == raw));  // RTO is srtt/8 + max(1, rttvar), kept between its limits (RFC 6298 2.3)
    end

    always @* begin
        over_wrap: cover (seq_lt(a, b) && a > b);  // a number before another that wrapped
        at_half: cover (seq_lt(a, b) && seq_lt(b, a));  // two numbers exactly half a circle apart, each before the other
        limited: cover (backoff32(a, shift, b) == b && shift > 16 && a != 0);  // a back-off at its limit
        clamped: cover (a < b && timeout == b && raw > b);  // an RTO at its ceiling
    end
endmodule

`default_nettype wire
