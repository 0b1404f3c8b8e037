// axis_checker: rules of one AXI4-Stream port, watched from outside.
//
// `violation` is high for one cycle with `code` naming the lowest rule broken in the cycle before:
//   1 valid dropped, or payload changed, while waiting for ready
//   2 tkeep wrong: not all ones before the last beat, or at the last beat empty or not contiguous from bit 0
//   3 tvalid or tready is X after the first reset (4-state simulators)
//   4 tlast, tkeep or a kept byte of tdata is X while valid (4-state simulators)
//   5 waited WAIT_MAX cycles for ready (0: not checked)
//   6 valid during reset
//   7 a frame of more than MAX_BYTES bytes
`default_nettype none
module axis_checker #(
    parameter DATA_W    = 64,
    parameter WAIT_MAX  = 0,      // cycles
    parameter MAX_BYTES = 2048
) (
    input  wire                clk,
    input  wire                rst,
    input  wire [DATA_W-1:0]   tdata,
    input  wire [DATA_W/8-1:0] tkeep,
    input  wire                tlast,
    input  wire                tvalid,
    input  wire                tready,
    output reg                 violation,
    output reg  [7:0]          code
);
    localparam BYTES = DATA_W / 8;

    reg                waiting;
    reg [DATA_W-1:0]   held_data;
    reg [BYTES-1:0]    held_keep;
    reg                held_last;
    reg [31:0]         waited;
    reg [31:0]         bytes, kept;
    reg                rst_q;
    reg [7:0]          found;
    integer            i;

    initial begin
        violation = 1'b0;
        code      = 8'd0;
        waiting   = 1'b0;
        waited    = 32'd0;
        bytes     = 32'd0;
        rst_q     = 1'b0;
    end

    always @(posedge clk) begin
        rst_q <= rst;
        if (rst) begin
            waiting <= 1'b0;
            waited  <= 32'd0;
            bytes   <= 32'd0;
            if (rst_q && tvalid !== 1'b0) begin
                violation <= 1'b1;
                code      <= 8'd6;
            end else if (violation) begin
                violation <= 1'b0;
            end
        end else if (tvalid !== 1'b0 || waiting || violation || tready === 1'bx) begin
            found = 8'd0;
            if (tvalid && bytes + BYTES > MAX_BYTES) begin
                kept = bytes;
                for (i = 0; i < BYTES; i = i + 1) if (tkeep[i]) kept = kept + 32'd1;
                if (kept > MAX_BYTES) found = 8'd7;
            end
            if (WAIT_MAX != 0 && waited == WAIT_MAX) found = 8'd5;
`ifndef VERILATOR
            if (tvalid === 1'b1) begin
                if ((^{tlast, tkeep}) === 1'bx) found = 8'd4;
                else if (&tkeep) begin
                    if ((^tdata) === 1'bx) found = 8'd4;
                end else
                    for (i = 0; i < BYTES; i = i + 1)
                        if (tkeep[i] && (^tdata[i * 8 +: 8]) === 1'bx) found = 8'd4;
            end
            if ((tvalid ^ tready) === 1'bx) found = 8'd3;
`endif
            if (tvalid && (tlast ? (tkeep == {BYTES{1'b0}} || (tkeep & (tkeep + {{BYTES-1{1'b0}}, 1'b1})) != {BYTES{1'b0}})
                                 : !(&tkeep)))
                found = 8'd2;
            if (waiting && (!tvalid || tdata != held_data || tkeep != held_keep || tlast != held_last)) found = 8'd1;
            waiting <= tvalid && !tready;
            waited  <= (tvalid && !tready) ? waited + 32'd1 : 32'd0;
            if (tvalid && !tready && !waiting) begin
                held_data <= tdata;
                held_keep <= tkeep;
                held_last <= tlast;
            end
            if (tvalid && tready) bytes <= tlast ? 32'd0 : bytes + BYTES;
            violation <= (found != 8'd0);
            code      <= found;
        end
    end
endmodule
`default_nettype wire
