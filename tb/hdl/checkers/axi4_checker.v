// axi4_checker: rules of one AXI4 port, watched from outside; full-width INCR bursts, answers in request order.
//
// `violation` is high for one cycle with `code` naming the lowest rule broken in the cycle before:
//    1 AW, 2 W, 3 B, 4 AR, 5 R: valid dropped, or payload changed, while waiting for ready
//    6 AW, 7 AR: a burst crosses a 4 KiB boundary
//    8 AW, 9 AR: not an INCR burst of full bus width
//   10 wlast not on the last beat of the burst, or data before its address
//   11 a B without a finished burst, or its id wrong
//   12 an R without a request, its id wrong, or rlast not on the last beat
//   13 write strobes of a burst are empty or not contiguous
//   14 a valid or ready is X after the first reset (4-state simulators)
//   15 a payload is X while valid (4-state simulators; only strobed bytes of wdata)
//   16 nothing moved for WAIT_MAX cycles though something is outstanding or offered
//   17 the master drives a valid during reset
`default_nettype none
module axi4_checker #(
    parameter DATA_W   = 64,
    parameter WAIT_MAX = 4096     // cycles, 0: not checked; above the memory's longest latency
) (
    input  wire                clk,
    input  wire                rst,
    input  wire [3:0]          awid,
    input  wire [63:0]         awaddr,
    input  wire [7:0]          awlen,
    input  wire [2:0]          awsize,
    input  wire [1:0]          awburst,
    input  wire [7:0]          awuser,
    input  wire                awvalid,
    input  wire                awready,
    input  wire [DATA_W-1:0]   wdata,
    input  wire [DATA_W/8-1:0] wstrb,
    input  wire                wlast,
    input  wire                wvalid,
    input  wire                wready,
    input  wire [3:0]          bid,
    input  wire [1:0]          bresp,
    input  wire                bvalid,
    input  wire                bready,
    input  wire [3:0]          arid,
    input  wire [63:0]         araddr,
    input  wire [7:0]          arlen,
    input  wire [2:0]          arsize,
    input  wire [1:0]          arburst,
    input  wire [7:0]          aruser,
    input  wire                arvalid,
    input  wire                arready,
    input  wire [3:0]          rid,
    input  wire [DATA_W-1:0]   rdata,
    input  wire [1:0]          rresp,
    input  wire                rlast,
    input  wire                rvalid,
    input  wire                rready,
    output reg                 violation,
    output reg  [7:0]          code
);
    localparam BYTES = DATA_W / 8;
    localparam LSB   = $clog2(BYTES);
    localparam A_W   = 4 + 64 + 8 + 3 + 2 + 8;
    localparam DEPTH = 64;                    // more than any slave here takes

    wire [A_W-1:0]           aw = {awid, awaddr, awlen, awsize, awburst, awuser};
    wire [A_W-1:0]           ar = {arid, araddr, arlen, arsize, arburst, aruser};

    reg                      aw_wait, w_wait, b_wait, ar_wait, r_wait;
    reg [A_W-1:0]            aw_held, ar_held;
    reg [DATA_W+BYTES:0]     w_held;
    reg [5:0]                b_held;
    reg [DATA_W+6:0]         r_held;
    reg [11:0]               aw_queue [0:DEPTH-1];   // id, len
    reg [11:0]               ar_queue [0:DEPTH-1];
    reg [3:0]                b_queue  [0:DEPTH-1];   // id
    reg [31:0]               aw_wr, aw_rd, ar_wr, ar_rd, b_wr, b_rd;
    reg [8:0]                w_beat, r_beat;
    reg [31:0]               waited;
    reg                      rst_q;
    reg [7:0]                found;
    reg [BYTES-1:0]          filled;                 // strobes with the zeros below the first one filled in
    integer                  i;

    wire offered = awvalid || wvalid || bvalid || arvalid || rvalid;
    wire waiting = aw_wait || w_wait || b_wait || ar_wait || r_wait;
    wire open    = aw_wr != aw_rd || ar_wr != ar_rd || b_wr != b_rd;
    wire moving  = (awvalid && awready) || (wvalid && wready) || (bvalid && bready) || (arvalid && arready)
                   || (rvalid && rready);

    // Whether a burst stays inside its 4 KiB page.
    function in_page(input [63:0] address, input [7:0] len);
        in_page = ({1'b0, address[11:0] & ~(12'd0 + BYTES[11:0] - 12'd1)} + ({5'd0, len} << LSB) + BYTES) <= 13'd4096;
    endfunction

    initial begin
        violation = 1'b0; code = 8'd0; rst_q = 1'b0; waited = 32'd0;
        aw_wait = 1'b0; w_wait = 1'b0; b_wait = 1'b0; ar_wait = 1'b0; r_wait = 1'b0;
        aw_wr = 32'd0; aw_rd = 32'd0; ar_wr = 32'd0; ar_rd = 32'd0; b_wr = 32'd0; b_rd = 32'd0;
        w_beat = 9'd0; r_beat = 9'd0;
    end

    always @(posedge clk) begin
        rst_q <= rst;
        if (rst) begin
            aw_wait <= 1'b0; w_wait <= 1'b0; b_wait <= 1'b0; ar_wait <= 1'b0; r_wait <= 1'b0;
            aw_wr = 32'd0; aw_rd = 32'd0; ar_wr = 32'd0; ar_rd = 32'd0; b_wr = 32'd0; b_rd = 32'd0;
            w_beat = 9'd0; r_beat = 9'd0; waited <= 32'd0;
            violation <= rst_q && (awvalid !== 1'b0 || wvalid !== 1'b0 || arvalid !== 1'b0);
            code      <= 8'd17;
        end else if (offered !== 1'b0 || open || waiting || violation) begin
            found = 8'd0;
            if (WAIT_MAX != 0 && waited == WAIT_MAX) found = 8'd16;
`ifndef VERILATOR
            if (awvalid === 1'b1 && (^aw) === 1'bx) found = 8'd15;
            if (arvalid === 1'b1 && (^ar) === 1'bx) found = 8'd15;
            if (wvalid === 1'b1) begin
                if ((^{wlast, wstrb}) === 1'bx) found = 8'd15;
                else if (&wstrb) begin
                    if ((^wdata) === 1'bx) found = 8'd15;
                end else
                    for (i = 0; i < BYTES; i = i + 1)
                        if (wstrb[i] && (^wdata[i * 8 +: 8]) === 1'bx) found = 8'd15;
            end
            if ((^{awvalid, awready, wvalid, wready, bvalid, bready, arvalid, arready, rvalid, rready}) === 1'bx) found = 8'd14;
`endif
            // Beats against the requests seen before this cycle.
            if (wvalid && wready) begin
                filled = wstrb | (wstrb - {{BYTES-1{1'b0}}, 1'b1});
                if (wstrb == {BYTES{1'b0}} || (filled & (filled + {{BYTES-1{1'b0}}, 1'b1})) != {BYTES{1'b0}}
                    || (w_beat != 9'd0 && !wstrb[0]) || (!wlast && !wstrb[BYTES-1]))
                    found = 8'd13;
            end
            if (rvalid && rready) begin
                if (ar_wr == ar_rd || rid != ar_queue[ar_rd % DEPTH][11:8]
                    || rlast != (r_beat == {1'b0, ar_queue[ar_rd % DEPTH][7:0]}))
                    found = 8'd12;
                r_beat = r_beat + 9'd1;
                if (rlast) begin
                    r_beat = 9'd0;
                    ar_rd  = ar_rd + 32'd1;
                end
            end
            if (bvalid && bready) begin
                if (b_wr == b_rd || bid != b_queue[b_rd % DEPTH]) found = 8'd11;
                b_rd = b_rd + 32'd1;
            end
            if (wvalid && wready) begin
                if (aw_wr == aw_rd || wlast != (w_beat == {1'b0, aw_queue[aw_rd % DEPTH][7:0]})) found = 8'd10;
                w_beat = w_beat + 9'd1;
            end
            if (wvalid && wready && wlast) begin
                b_queue[b_wr % DEPTH] = aw_queue[aw_rd % DEPTH][11:8];
                b_wr   = b_wr + 32'd1;
                aw_rd  = aw_rd + 32'd1;
                w_beat = 9'd0;
            end
            if (awvalid && awready) begin
                aw_queue[aw_wr % DEPTH] = {awid, awlen};
                aw_wr = aw_wr + 32'd1;
            end
            if (arvalid && arready) begin
                ar_queue[ar_wr % DEPTH] = {arid, arlen};
                ar_wr = ar_wr + 32'd1;
            end
            if (arvalid && (arburst != 2'b01 || arsize != LSB)) found = 8'd9;
            if (awvalid && (awburst != 2'b01 || awsize != LSB)) found = 8'd8;
            if (arvalid && !in_page(araddr, arlen)) found = 8'd7;
            if (awvalid && !in_page(awaddr, awlen)) found = 8'd6;
            if (r_wait && (!rvalid || {rid, rresp, rlast, rdata} != r_held)) found = 8'd5;
            if (ar_wait && (!arvalid || ar != ar_held)) found = 8'd4;
            if (b_wait && (!bvalid || {bid, bresp} != b_held)) found = 8'd3;
            if (w_wait && (!wvalid || {wlast, wstrb, wdata} != w_held)) found = 8'd2;
            if (aw_wait && (!awvalid || aw != aw_held)) found = 8'd1;

            aw_wait <= awvalid && !awready;
            w_wait  <= wvalid && !wready;
            b_wait  <= bvalid && !bready;
            ar_wait <= arvalid && !arready;
            r_wait  <= rvalid && !rready;
            if (awvalid && !awready) aw_held <= aw;
            if (wvalid && !wready)   w_held  <= {wlast, wstrb, wdata};
            if (bvalid && !bready)   b_held  <= {bid, bresp};
            if (arvalid && !arready) ar_held <= ar;
            if (rvalid && !rready)   r_held  <= {rid, rresp, rlast, rdata};
            waited    <= moving ? 32'd0 : waited + 32'd1;
            violation <= (found != 8'd0);
            code      <= found;
        end else begin
            waited <= 32'd0;
        end
    end
endmodule
`default_nettype wire
