// clk_rst: the clock and the reset of a test bench.
//
// An HDL clock runs an order of magnitude faster than one that Python drives. Reset is high from time 0 for
// RST_CYCLES cycles; a toggle of `rst_req` (reset in mid-traffic) gives another pulse of the same length, and
// `rst_done` toggles when the pulse has ended. `cycle` counts rising edges from time 0 and is never reset: it is the
// time stamp of every record.
`default_nettype none
module clk_rst #(
    parameter HALF_PERIOD = 5,   // time units, > 0
    parameter RST_CYCLES  = 16   // cycles of a reset pulse, 2..255
) (
    output reg         clk,
    output reg         rst,
    output reg  [63:0] cycle,
    input  wire        rst_req,
    output reg         rst_done
);
    reg [7:0] left;
    reg       req_seen;

    // Python wakes on this flip: it comes after all that it announces has reached the top level's wires.
    reg flip;
    always @(flip) rst_done <= flip;

    initial begin
        clk      = 1'b0;
        rst      = 1'b1;
        cycle    = 64'd0;
        flip     = 1'b0;
        req_seen = 1'b0;
        left     = RST_CYCLES;
    end

    always #(HALF_PERIOD) clk = ~clk;

    always @(posedge clk) begin
        cycle <= cycle + 64'd1;
        if (rst_req != req_seen) begin
            req_seen <= rst_req;
            rst      <= 1'b1;
            left     <= RST_CYCLES;
        end else if (rst) begin
            left <= left - 8'd1;
            if (left == 8'd1) begin
                rst      <= 1'b0;
                flip     <= ~flip;
            end
        end
    end
endmodule
`default_nettype wire
