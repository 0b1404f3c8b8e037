// axil_checker: rules of one AXI4-Lite port, watched from outside.
//
// `violation` is high for one cycle with `code` naming the lowest rule broken in the cycle before:
//   1 AW, 2 W, 3 B, 4 AR, 5 R: valid dropped, or payload changed, while waiting for ready
//   6 a B without a write, or an R without a read
//   7 a valid or ready is X after the first reset (4-state simulators)
//   8 a request waited, or an answer was missing, for WAIT_MAX cycles without any transfer
//   9 the slave drives bvalid or rvalid during reset
`default_nettype none
module axil_checker #(
    parameter ADDR_W   = 16,
    parameter WAIT_MAX = 256      // cycles, 0: not checked
) (
    input  wire              clk,
    input  wire              rst,
    input  wire [ADDR_W-1:0] awaddr,
    input  wire              awvalid,
    input  wire              awready,
    input  wire [31:0]       wdata,
    input  wire [3:0]        wstrb,
    input  wire              wvalid,
    input  wire              wready,
    input  wire [1:0]        bresp,
    input  wire              bvalid,
    input  wire              bready,
    input  wire [ADDR_W-1:0] araddr,
    input  wire              arvalid,
    input  wire              arready,
    input  wire [31:0]       rdata,
    input  wire [1:0]        rresp,
    input  wire              rvalid,
    input  wire              rready,
    output reg               violation,
    output reg  [7:0]        code
);
    reg              aw_wait, w_wait, b_wait, ar_wait, r_wait;
    reg [ADDR_W-1:0] aw_held, ar_held;
    reg [35:0]       w_held;
    reg [1:0]        b_held;
    reg [33:0]       r_held;
    reg [31:0]       aw_open, w_open, ar_open;   // requests without an answer
    reg [31:0]       waited;
    reg              rst_q;
    reg [7:0]        found;

    wire quiet  = !(awvalid || wvalid || bvalid || arvalid || rvalid) && aw_open == 0 && w_open == 0 && ar_open == 0
                  && !(aw_wait || w_wait || b_wait || ar_wait || r_wait);
    wire moving = (awvalid && awready) || (wvalid && wready) || (bvalid && bready) || (arvalid && arready)
                  || (rvalid && rready);

    initial begin
        violation = 1'b0; code = 8'd0; rst_q = 1'b0; waited = 32'd0;
        aw_wait = 1'b0; w_wait = 1'b0; b_wait = 1'b0; ar_wait = 1'b0; r_wait = 1'b0;
        aw_open = 32'd0; w_open = 32'd0; ar_open = 32'd0;
    end

    always @(posedge clk) begin
        rst_q <= rst;
        if (rst) begin
            aw_wait <= 1'b0; w_wait <= 1'b0; b_wait <= 1'b0; ar_wait <= 1'b0; r_wait <= 1'b0;
            aw_open <= 32'd0; w_open <= 32'd0; ar_open <= 32'd0; waited <= 32'd0;
            violation <= rst_q && ((bvalid !== 1'b0) || (rvalid !== 1'b0));
            code      <= 8'd9;
        end else if (quiet === 1'b0 || (quiet === 1'bx) || violation) begin
            found = 8'd0;
            if (WAIT_MAX != 0 && waited == WAIT_MAX) found = 8'd8;
`ifndef VERILATOR
            if ((^{awvalid, awready, wvalid, wready, bvalid, bready, arvalid, arready, rvalid, rready}) === 1'bx) found = 8'd7;
`endif
            if (bvalid && (aw_open == 0 || w_open == 0)) found = 8'd6;
            if (rvalid && ar_open == 0) found = 8'd6;
            if (r_wait && (!rvalid || {rresp, rdata} != r_held)) found = 8'd5;
            if (ar_wait && (!arvalid || araddr != ar_held)) found = 8'd4;
            if (b_wait && (!bvalid || bresp != b_held)) found = 8'd3;
            if (w_wait && (!wvalid || {wstrb, wdata} != w_held)) found = 8'd2;
            if (aw_wait && (!awvalid || awaddr != aw_held)) found = 8'd1;

            aw_wait <= awvalid && !awready;   aw_held <= awaddr;
            w_wait  <= wvalid && !wready;     w_held  <= {wstrb, wdata};
            b_wait  <= bvalid && !bready;     b_held  <= bresp;
            ar_wait <= arvalid && !arready;   ar_held <= araddr;
            r_wait  <= rvalid && !rready;     r_held  <= {rresp, rdata};
            aw_open <= aw_open + (awvalid && awready) - (bvalid && bready);
            w_open  <= w_open + (wvalid && wready) - (bvalid && bready);
            ar_open <= ar_open + (arvalid && arready) - (rvalid && rready);
            waited  <= moving ? 32'd0 : waited + 32'd1;
            violation <= (found != 8'd0);
            code      <= found;
        end else begin
            waited <= 32'd0;
        end
    end
endmodule
`default_nettype wire
