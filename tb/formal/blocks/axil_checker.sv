// axil_checker: silent as long as every rule holds; the first time that some do not, it names the lowest of them.
// The rules are stated here a second time, from the checker's header, over what was seen at the port since the reset.
// Rule 7 is about X, which a proof does not have: tb/tests/rtl/checkers_test.py shows it.
`default_nettype none

module axil_checker_proof #(
    parameter ADDR_W   = 4,
    parameter WAIT_MAX = 3
) (
    input wire              clk,
    input wire              rst,
    input wire [ADDR_W-1:0] awaddr, araddr,
    input wire              awvalid, awready, wvalid, wready, bvalid, bready, arvalid, arready, rvalid, rready,
    input wire [31:0]       wdata, rdata,
    input wire [3:0]        wstrb,
    input wire [1:0]        bresp, rresp
);
    wire       violation;
    wire [7:0] code;

    axil_checker #(.ADDR_W(ADDR_W), .WAIT_MAX(WAIT_MAX)) chk (
        .clk(clk), .rst(rst), .awaddr(awaddr), .awvalid(awvalid), .awready(awready), .wdata(wdata), .wstrb(wstrb),
        .wvalid(wvalid), .wready(wready), .bresp(bresp), .bvalid(bvalid), .bready(bready), .araddr(araddr),
        .arvalid(arvalid), .arready(arready), .rdata(rdata), .rresp(rresp), .rvalid(rvalid), .rready(rready),
        .violation(violation), .code(code)
    );

    (* peek = "chk.aw_wait" *) wire              chk_aw_wait;
    (* peek = "chk.w_wait" *)  wire              chk_w_wait;
    (* peek = "chk.b_wait" *)  wire              chk_b_wait;
    (* peek = "chk.ar_wait" *) wire              chk_ar_wait;
    (* peek = "chk.r_wait" *)  wire              chk_r_wait;
    (* peek = "chk.aw_held" *) wire [ADDR_W-1:0] chk_aw;
    (* peek = "chk.w_held" *)  wire [35:0]       chk_w;
    (* peek = "chk.b_held" *)  wire [1:0]        chk_b;
    (* peek = "chk.ar_held" *) wire [ADDR_W-1:0] chk_ar;
    (* peek = "chk.r_held" *)  wire [33:0]       chk_r;
    (* peek = "chk.aw_open" *) wire [31:0]       chk_aw_open;
    (* peek = "chk.w_open" *)  wire [31:0]       chk_w_open;
    (* peek = "chk.ar_open" *) wire [31:0]       chk_ar_open;
    (* peek = "chk.waited" *)  wire [31:0]       chk_waited;
    (* peek = "chk.rst_q" *)   wire              chk_rst;

    // ---- channels AW, W, B, AR, R from bit 0
    localparam P = 36;
    wire [4:0]     valid = {rvalid, arvalid, bvalid, wvalid, awvalid};
    wire [4:0]     ready = {rready, arready, bready, wready, awready};
    wire [4:0]     moves = valid & ready;
    wire [5*P-1:0] beats;
    assign beats[0*P +: P] = awaddr;
    assign beats[1*P +: P] = {wstrb, wdata};
    assign beats[2*P +: P] = bresp;
    assign beats[3*P +: P] = araddr;
    assign beats[4*P +: P] = {rresp, rdata};

    // ---- what was seen since the reset
    localparam RULES = 9;
    `define PROOF_RULES
    `include "proof.svh"

    reg [4:0]     waiting;                     // offered in the cycle before, not taken
    reg [5*P-1:0] offered;
    reg [31:0]    writes, datas, reads;        // addresses, data, read addresses without an answer
    reg [31:0]    still;                       // cycles without a transfer, while something is offered or open
    wire          idle = valid == 0 && waiting == 0 && writes == 0 && datas == 0 && reads == 0;

    integer   n;
    always @* begin
        broken = 10'd0;
        for (n = 0; n < 5; n = n + 1)
            broken[n+1] = !rst && waiting[n] && (!valid[n] || beats[n*P +: P] != offered[n*P +: P]);
        broken[6] = !rst && (bvalid && (writes == 0 || datas == 0) || rvalid && reads == 0);
        broken[8] = !rst && !idle && still == WAIT_MAX;
        broken[9] = rst && was_rst && (bvalid || rvalid);
    end

    always @(posedge clk) begin
        waiting    <= rst ? 5'd0 : valid & ~ready;
        offered    <= beats;
        writes     <= rst ? 32'd0 : writes + moves[0] - moves[2];
        datas      <= rst ? 32'd0 : datas + moves[1] - moves[2];
        reads      <= rst ? 32'd0 : reads + moves[3] - moves[4];
        still      <= rst || idle || moves != 0 ? 32'd0 : still + 32'd1;
    end

    always @* if (started && was_clean) begin
        if (was_broken == 0) silent: assert (!violation);  // a port that keeps the rules never makes the checker fire
        if (was_broken != 0) tells: assert (violation);  // a broken rule is told in the next cycle
        if (was_broken != 0) names: assert (code == lowest);  // the code is the lowest rule that was broken
    end

    always @* if (started) begin
        inv_reset: assert (chk_rst == was_rst);  // both know of the reset
        inv_clean: assert (!clean || was_clean && was_broken == 0);  // clean is clean up to now
        if (clean) inv_small: assert (still <= WAIT_MAX);  // nothing stands longer than it may
        if (clean) inv_waits: assert ({chk_r_wait, chk_ar_wait, chk_b_wait, chk_w_wait, chk_aw_wait} == waiting);  // both know what waits
        if (clean) inv_open: assert (chk_aw_open == writes && chk_w_open == datas && chk_ar_open == reads && chk_waited == still);  // both count alike
        if (clean && waiting[0]) inv_aw: assert (chk_aw == offered[0*P +: ADDR_W]);  // both hold the address
        if (clean && waiting[1]) inv_w: assert (chk_w == offered[1*P +: 36]);  // both hold the data
        if (clean && waiting[2]) inv_b: assert (chk_b == offered[2*P +: 2]);  // both hold the answer
        if (clean && waiting[3]) inv_ar: assert (chk_ar == offered[3*P +: ADDR_W]);  // both hold the read address
        if (clean && waiting[4]) inv_r: assert (chk_r == offered[4*P +: 34]);  // both hold the read data
    end

    always @* if (started && was_clean && violation) begin
        tells_1: cover (code == 1);  // rule 1 is told: AW dropped or changed
        tells_2: cover (code == 2);  // rule 2 is told: W dropped or changed
        tells_3: cover (code == 3);  // rule 3 is told: B dropped or changed
        tells_4: cover (code == 4);  // rule 4 is told: AR dropped or changed
        tells_5: cover (code == 5);  // rule 5 is told: R dropped or changed
        tells_6: cover (code == 6);  // rule 6 is told: an answer without a request
        tells_8: cover (code == 8);  // rule 8 is told: nothing moves
        tells_9: cover (code == 9);  // rule 9 is told: an answer during reset
    end
    always @* if (started && clean) begin
        several: cover (moves[2] && moves[4] && writes > 1 && reads > 1);  // a write and a read end while others are open
    end
endmodule

`default_nettype wire
