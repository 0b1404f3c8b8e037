// axi4_checker: silent as long as every rule holds; the first time that some do not, it names the lowest of them.
// The rules are stated here a second time, from the checker's header, over what was seen at the port since the reset.
// At most two bursts of a kind are open, which is assumed; the checker's queues have 4 places here, not 64. Rules 14 and 15 are about X, which a proof does not have:
// tb/tests/rtl/checkers_test.py shows them.
`default_nettype none

module axi4_checker_proof #(
    parameter DATA_W   = 32,
    parameter WAIT_MAX = 3
) (
    input wire                clk,
    input wire                rst,
    input wire [3:0]          awid, bid, arid, rid,
    input wire [63:0]         awaddr, araddr,
    input wire [7:0]          awlen, arlen, awuser, aruser,
    input wire [2:0]          awsize, arsize,
    input wire [1:0]          awburst, arburst, bresp, rresp,
    input wire                awvalid, awready, wvalid, wready, bvalid, bready, arvalid, arready, rvalid, rready,
    input wire [DATA_W-1:0]   wdata, rdata,
    input wire [DATA_W/8-1:0] wstrb,
    input wire                wlast, rlast
);
    wire       violation;
    wire [7:0] code;

    axi4_checker #(.DATA_W(DATA_W), .WAIT_MAX(WAIT_MAX)) chk (
        .clk(clk), .rst(rst), .awid(awid), .awaddr(awaddr), .awlen(awlen), .awsize(awsize), .awburst(awburst),
        .awuser(awuser), .awvalid(awvalid), .awready(awready), .wdata(wdata), .wstrb(wstrb), .wlast(wlast),
        .wvalid(wvalid), .wready(wready), .bid(bid), .bresp(bresp), .bvalid(bvalid), .bready(bready), .arid(arid),
        .araddr(araddr), .arlen(arlen), .arsize(arsize), .arburst(arburst), .aruser(aruser), .arvalid(arvalid),
        .arready(arready), .rid(rid), .rdata(rdata), .rresp(rresp), .rlast(rlast), .rvalid(rvalid), .rready(rready),
        .violation(violation), .code(code)
    );

    localparam A_W = 89;
    (* peek = "chk.aw_wait" *)        wire            chk_aw_wait;
    (* peek = "chk.w_wait" *)         wire            chk_w_wait;
    (* peek = "chk.b_wait" *)         wire            chk_b_wait;
    (* peek = "chk.ar_wait" *)        wire            chk_ar_wait;
    (* peek = "chk.r_wait" *)         wire            chk_r_wait;
    (* peek = "chk.aw_held" *)        wire [A_W-1:0]  chk_aw;
    (* peek = "chk.w_held" *)         wire [36:0]     chk_w;
    (* peek = "chk.b_held" *)         wire [5:0]      chk_b;
    (* peek = "chk.ar_held" *)        wire [A_W-1:0]  chk_ar;
    (* peek = "chk.r_held" *)         wire [38:0]     chk_r;
    (* peek = "chk.aw_queue[3:0]" *)  wire [4*12-1:0] chk_aw_queue;
    (* peek = "chk.ar_queue[3:0]" *)  wire [4*12-1:0] chk_ar_queue;
    (* peek = "chk.b_queue[3:0]" *)   wire [4*4-1:0] chk_b_queue;
    (* peek = "chk.aw_wr" *)          wire [31:0]     chk_aw_wr;
    (* peek = "chk.aw_rd" *)          wire [31:0]     chk_aw_rd;
    (* peek = "chk.ar_wr" *)          wire [31:0]     chk_ar_wr;
    (* peek = "chk.ar_rd" *)          wire [31:0]     chk_ar_rd;
    (* peek = "chk.b_wr" *)           wire [31:0]     chk_b_wr;
    (* peek = "chk.b_rd" *)           wire [31:0]     chk_b_rd;
    (* peek = "chk.w_beat" *)         wire [8:0]      chk_w_beat;
    (* peek = "chk.r_beat" *)         wire [8:0]      chk_r_beat;
    (* peek = "chk.waited" *)         wire [31:0]     chk_waited;
    (* peek = "chk.rst_q" *)          wire            chk_rst;

    // ---- channels AW, W, B, AR, R from bit 0
    localparam P = A_W;
    wire [4:0]     valid = {rvalid, arvalid, bvalid, wvalid, awvalid};
    wire [4:0]     ready = {rready, arready, bready, wready, awready};
    wire [4:0]     moves = valid & ready;
    wire [5*P-1:0] beats;
    assign beats[0*P +: P] = {awid, awaddr, awlen, awsize, awburst, awuser};
    assign beats[1*P +: P] = {wlast, wstrb, wdata};
    assign beats[2*P +: P] = {bid, bresp};
    assign beats[3*P +: P] = {arid, araddr, arlen, arsize, arburst, aruser};
    assign beats[4*P +: P] = {rid, rresp, rlast, rdata};

    // ---- what was seen since the reset
    localparam RULES = 17;
    `define PROOF_RULES
    `include "proof.svh"

    reg [4:0]     waiting;                     // offered in the cycle before, not taken
    reg [5*P-1:0] offered;
    reg [1:0]     writes, answers, reads;      // write bursts without all data, without a B; read bursts without all data
    reg [11:0]    write_0, write_1;            // the open ones, oldest first: id, len
    reg [11:0]    read_0, read_1;
    reg [3:0]     answer_0, answer_1;
    reg [8:0]     w_count, r_count;            // beats of the oldest burst
    reg [31:0]    still;                       // cycles without a transfer, while something is offered or open
    wire          idle = valid == 0 && waiting == 0 && writes == 0 && answers == 0 && reads == 0;
    wire          w_end = moves[1] && wlast, r_end = moves[4] && rlast;

    function in_page(input [63:0] address, input [7:0] len);   // the last byte lies in the page of the first
        in_page = {1'b0, address[11:2], 2'b00} + {3'd0, len, 2'b11} < 13'd4096;
    endfunction
    function contiguous(input [3:0] strobes);
        case (strobes)
            4'b0001, 4'b0010, 4'b0100, 4'b1000, 4'b0011, 4'b0110, 4'b1100, 4'b0111, 4'b1110, 4'b1111: contiguous = 1'b1;
            default: contiguous = 1'b0;
        endcase
    endfunction

    integer    n;
    always @* begin
        broken = 18'd0;
        for (n = 0; n < 5; n = n + 1)
            broken[n+1] = waiting[n] && (!valid[n] || beats[n*P +: P] != offered[n*P +: P]);
        broken[6]  = awvalid && !in_page(awaddr, awlen);
        broken[7]  = arvalid && !in_page(araddr, arlen);
        broken[8]  = awvalid && !(awburst == 2'b01 && awsize == 3'd2);
        broken[9]  = arvalid && !(arburst == 2'b01 && arsize == 3'd2);
        broken[10] = moves[1] && (writes == 0 || wlast != (w_count == write_0[7:0]));
        broken[11] = moves[2] && (answers == 0 || bid != answer_0);
        broken[12] = moves[4] && (reads == 0 || rid != read_0[11:8] || rlast != (r_count == read_0[7:0]));
        broken[13] = moves[1] && (!contiguous(wstrb) || w_count != 0 && !wstrb[0] || !wlast && !wstrb[3]);
        broken[16] = !idle && still == WAIT_MAX;
        if (rst) broken = 18'd0;
        broken[17] = rst && was_rst && (awvalid || wvalid || arvalid);
    end

    always @(posedge clk) begin
        waiting    <= rst ? 5'd0 : valid & ~ready;
        offered    <= beats;
        still      <= rst || idle || moves != 0 ? 32'd0 : still + 32'd1;
        if (rst) begin
            writes <= 2'd0; answers <= 2'd0; reads <= 2'd0; w_count <= 9'd0; r_count <= 9'd0;
        end else begin
            writes  <= writes + moves[0] - w_end;
            answers <= answers + w_end - moves[2];
            reads   <= reads + moves[3] - r_end;
            if (moves[1]) w_count <= wlast ? 9'd0 : w_count + 9'd1;
            if (moves[4]) r_count <= rlast ? 9'd0 : r_count + 9'd1;
            if (w_end) write_0 <= write_1;
            if (r_end) read_0 <= read_1;
            if (moves[2]) answer_0 <= answer_1;
            if (moves[0]) begin
                if (writes == {1'b0, w_end}) write_0 <= {awid, awlen}; else write_1 <= {awid, awlen};
            end
            if (moves[3]) begin
                if (reads == {1'b0, r_end}) read_0 <= {arid, arlen}; else read_1 <= {arid, arlen};
            end
            if (w_end) begin
                if (answers == {1'b0, moves[2]}) answer_0 <= write_0[11:8]; else answer_1 <= write_0[11:8];
            end
        end
    end

    always @* begin
        if (writes == 2 && !w_end) assume (!moves[0]);
        if (reads == 2 && !r_end) assume (!moves[3]);
        if (answers == 2 && !moves[2]) assume (!w_end);
    end

    always @* if (started && was_clean) begin
        if (was_broken == 0) silent: assert (!violation);  // a port that keeps the rules never makes the checker fire
        if (was_broken != 0) tells: assert (violation);  // a broken rule is told in the next cycle
        if (was_broken != 0) names: assert (code == lowest);  // the code is the lowest rule that was broken
    end

    // ---- the checker's queues at the two places that can be open
    wire [1:0] aw_0 = chk_aw_rd[1:0], aw_1 = chk_aw_rd[1:0] + 2'd1, ar_0 = chk_ar_rd[1:0], ar_1 = chk_ar_rd[1:0] + 2'd1;
    wire [1:0] b_0  = chk_b_rd[1:0], b_1 = chk_b_rd[1:0] + 2'd1;

    always @* if (started) begin
        inv_reset: assert (chk_rst == was_rst);  // both know of the reset
        inv_clean: assert (!clean || was_clean && was_broken == 0);  // clean is clean up to now
        if (clean) inv_small: assert (still <= WAIT_MAX && writes <= 2 && answers <= 2 && reads <= 2);  // no more is open than may be
        if (clean) inv_waits: assert ({chk_r_wait, chk_ar_wait, chk_b_wait, chk_w_wait, chk_aw_wait} == waiting);  // both know what waits
        if (clean) inv_still: assert (chk_waited == still);  // both count alike
        if (clean) inv_open: assert (chk_aw_wr - chk_aw_rd == writes && chk_b_wr - chk_b_rd == answers && chk_ar_wr - chk_ar_rd == reads);  // both know how many are open
        if (clean) inv_beats: assert (chk_w_beat == w_count && chk_r_beat == r_count);  // both know the beat
        if (clean) inv_range: assert ((w_count == 0 || writes != 0 && w_count <= write_0[7:0]) && (r_count == 0 || reads != 0 && r_count <= read_0[7:0]));  // a burst has no more beats than it announced
        if (clean && writes > 0) inv_aw_0: assert (chk_aw_queue[aw_0*12 +: 12] == write_0);  // both have the oldest write burst
        if (clean && writes > 1) inv_aw_1: assert (chk_aw_queue[aw_1*12 +: 12] == write_1);  // and the one behind it
        if (clean && reads > 0) inv_ar_0: assert (chk_ar_queue[ar_0*12 +: 12] == read_0);  // both have the oldest read burst
        if (clean && reads > 1) inv_ar_1: assert (chk_ar_queue[ar_1*12 +: 12] == read_1);  // and the one behind it
        if (clean && answers > 0) inv_b_0: assert (chk_b_queue[b_0*4 +: 4] == answer_0);  // both have the oldest answer that is due
        if (clean && answers > 1) inv_b_1: assert (chk_b_queue[b_1*4 +: 4] == answer_1);  // and the one behind it
        if (clean && waiting[0]) inv_aw: assert (chk_aw == offered[0*P +: A_W]);  // both hold the write address
        if (clean && waiting[1]) inv_w: assert (chk_w == offered[1*P +: 37]);  // both hold the write data
        if (clean && waiting[2]) inv_b: assert (chk_b == offered[2*P +: 6]);  // both hold the answer
        if (clean && waiting[3]) inv_ar: assert (chk_ar == offered[3*P +: A_W]);  // both hold the read address
        if (clean && waiting[4]) inv_r: assert (chk_r == offered[4*P +: 39]);  // both hold the read data
    end

    always @* if (started && was_clean && violation) begin
        tells_1: cover (code == 1);  // rule 1 is told: AW dropped or changed
        tells_2: cover (code == 2);  // rule 2 is told: W dropped or changed
        tells_3: cover (code == 3);  // rule 3 is told: B dropped or changed
        tells_4: cover (code == 4);  // rule 4 is told: AR dropped or changed
        tells_5: cover (code == 5);  // rule 5 is told: R dropped or changed
        tells_6: cover (code == 6);  // rule 6 is told: a write over the page
        tells_7: cover (code == 7);  // rule 7 is told: a read over the page
        tells_8: cover (code == 8);  // rule 8 is told: a write that is no full-width INCR
        tells_9: cover (code == 9);  // rule 9 is told: a read that is no full-width INCR
        tells_10: cover (code == 10);  // rule 10 is told: wlast, or data before its address
        tells_11: cover (code == 11);  // rule 11 is told: a B without a burst
        tells_12: cover (code == 12);  // rule 12 is told: an R without a request
        tells_13: cover (code == 13);  // rule 13 is told: strobes
        tells_16: cover (code == 16);  // rule 16 is told: nothing moves
        tells_17: cover (code == 17);  // rule 17 is told: a valid during reset
    end
    always @* if (started && clean) begin
        writes_end: cover (moves[2] && w_end && w_count == 1 && answers == 1);  // a B comes while a burst of two beats ends
        reads_end: cover (r_end && r_count == 1 && reads == 2);  // a read burst of two beats ends with another one open
    end
endmodule

`default_nettype wire
