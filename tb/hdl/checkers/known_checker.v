// known_checker: after reset nothing that leaves a block may be X (4-state simulators; silent where there is no X).
//
// `always_known` are outputs that mean something in every cycle (valid, ready, interrupt); `valid_known` is one valid
// and the payload that means something while it is high, packed {valid, payload} per group of GROUP_W bits.
// `violation` is high for one cycle with `code` in the cycle after:
//   1 a bit of always_known is X    2 a payload is X while its valid is high
// Checked from the second cycle after the reset's end.
`default_nettype none
module known_checker #(
    parameter ALWAYS_W = 1,
    parameter GROUPS   = 1,
    parameter GROUP_W  = 2       // 1 valid + payload; a narrower payload is filled with zeros
) (
    input  wire                      clk,
    input  wire                      rst,
    input  wire [ALWAYS_W-1:0]       always_known,
    input  wire [GROUPS*GROUP_W-1:0] valid_known,
    output reg                       violation,
    output reg  [7:0]                code
);
    reg     rst_q, seen;                       // seen: a reset has been
    integer g;

    initial begin
        violation = 1'b0; code = 8'd0; rst_q = 1'b1; seen = 1'b0;
    end

    always @(posedge clk) begin
        rst_q <= rst;
        if (rst) seen <= 1'b1;
        violation <= 1'b0;
`ifndef VERILATOR
        if (seen && !rst && !rst_q) begin
            for (g = 0; g < GROUPS; g = g + 1)
                if (valid_known[g * GROUP_W + GROUP_W - 1] === 1'b1
                    && (^valid_known[g * GROUP_W +: GROUP_W]) === 1'bx) begin
                    violation <= 1'b1;
                    code      <= 8'd2;
                end
            if ((^always_known) === 1'bx) begin
                violation <= 1'b1;
                code      <= 8'd1;
            end
        end
`endif
    end
endmodule
`default_nettype wire
