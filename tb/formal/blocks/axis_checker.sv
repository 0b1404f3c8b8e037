// axis_checker: silent as long as every rule holds; the first time that some do not, it names the lowest of them.
// The rules are stated here a second time, from the checker's header, over what was seen at the port since the reset.
// Rules 3 and 4 are about X, which a proof does not have: tb/tests/rtl/checkers_test.py shows them.
`default_nettype none

module axis_checker_proof #(
    parameter DATA_W    = 16,
    parameter WAIT_MAX  = 3,
    parameter MAX_BYTES = 5
) (
    input wire                clk,
    input wire                rst,
    input wire [DATA_W-1:0]   tdata,
    input wire [DATA_W/8-1:0] tkeep,
    input wire                tlast,
    input wire                tvalid,
    input wire                tready
);
    localparam P = DATA_W + DATA_W / 8 + 1;

    wire       violation;
    wire [7:0] code;

    axis_checker #(.DATA_W(DATA_W), .WAIT_MAX(WAIT_MAX), .MAX_BYTES(MAX_BYTES)) chk (
        .clk(clk), .rst(rst), .tdata(tdata), .tkeep(tkeep), .tlast(tlast), .tvalid(tvalid), .tready(tready),
        .violation(violation), .code(code)
    );

    (* peek = "chk.waiting" *)   wire                chk_waiting;
    (* peek = "chk.held_data" *) wire [DATA_W-1:0]   chk_data;
    (* peek = "chk.held_keep" *) wire [DATA_W/8-1:0] chk_keep;
    (* peek = "chk.held_last" *) wire                chk_last;
    (* peek = "chk.waited" *)    wire [31:0]         chk_waited;
    (* peek = "chk.bytes" *)     wire [31:0]         chk_bytes;
    (* peek = "chk.rst_q" *)     wire                chk_rst;

    // ---- what was seen since the reset
    localparam RULES = 7;
    `define PROOF_RULES
    `include "proof.svh"

    reg          waiting;                      // the beat of the cycle before was not taken
    reg [P-1:0]  offered;                      // that beat
    reg [31:0]   waited;                       // cycles that it was not taken
    reg [31:0]   bytes;                        // taken of the open frame
    wire [P-1:0] beat = {tlast, tkeep, tdata};
    wire [31:0]  more = {31'd0, tkeep[0]} + {31'd0, tkeep[1]};

    // ---- the rules, as bits of their numbers
    always @* begin
        broken    = 8'd0;
        broken[1] = !rst && waiting && (!tvalid || beat != offered);
        broken[2] = !rst && tvalid && (tlast ? tkeep != 2'b01 && tkeep != 2'b11 : tkeep != 2'b11);
        broken[5] = !rst && waited == WAIT_MAX;
        broken[6] = rst && was_rst && tvalid;
        broken[7] = !rst && tvalid && bytes + more > MAX_BYTES;
    end

    always @(posedge clk) begin
        waiting    <= !rst && tvalid && !tready;
        offered    <= beat;
        waited     <= !rst && tvalid && !tready ? waited + 32'd1 : 32'd0;
        if (rst)                   bytes <= 32'd0;
        else if (tvalid && tready) bytes <= tlast ? 32'd0 : bytes + more;
    end

    always @* if (started && was_clean) begin
        if (was_broken == 8'd0) silent: assert (!violation);  // a port that keeps the rules never makes the checker fire
        if (was_broken != 8'd0) tells: assert (violation);  // a broken rule is told in the next cycle
        if (was_broken != 8'd0) names: assert (code == lowest);  // the code is the lowest rule that was broken
    end

    always @* if (started) begin
        inv_reset: assert (chk_rst == was_rst);  // both know of the reset
        inv_clean: assert (!clean || was_clean && was_broken == 8'd0);  // clean is clean up to now
        if (clean) inv_small: assert (bytes <= MAX_BYTES && waited <= WAIT_MAX);  // the open frame is not too long, nor a wait
        if (clean) inv_frame: assert (chk_bytes == bytes && chk_waiting == waiting && chk_waited == waited);  // both count alike
        if (clean && waiting) inv_held: assert ({chk_last, chk_keep, chk_data} == offered && waited != 0);  // both hold the waiting beat
        if (clean && !waiting) inv_fresh: assert (waited == 0);  // nothing waits
    end

    always @* if (started && was_clean && violation) begin
        tells_1: cover (code == 1);  // rule 1 is told: valid dropped or payload changed
        tells_2: cover (code == 2);  // rule 2 is told: tkeep wrong
        tells_5: cover (code == 5);  // rule 5 is told: waits too long
        tells_6: cover (code == 6);  // rule 6 is told: valid during reset
        tells_7: cover (code == 7);  // rule 7 is told: frame too long
    end
    always @* if (started && clean) begin
        longest: cover (tvalid && tready && tlast && bytes + more == MAX_BYTES && waited == WAIT_MAX - 1);  // the longest frame, with the longest wait, breaks nothing
    end
endmodule

`default_nettype wire
