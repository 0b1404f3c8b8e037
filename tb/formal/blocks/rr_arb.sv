// rr_arb: one requester is chosen, and none is passed over twice by the same other one.
// `last` is the requester served last. `i` and `j` are two requesters that the solver picks once, so what holds of them
// holds of all.
`default_nettype none

module rr_arb_proof #(
    parameter N = 8
) (
    input wire         clk,
    input wire         rst,
    input wire [N-1:0] req,
    input wire         advance
);
    localparam W = $clog2(N);

    wire [N-1:0] grant;
    wire [W-1:0] index;
    wire         valid;

    rr_arb #(.N(N)) dut (
        .clk(clk), .rst(rst), .req(req), .advance(advance), .grant(grant), .index(index), .valid(valid)
    );

    (* peek = "dut.after_reg" *) wire [N-1:0] after;
    (* anyconst *)               wire [W-1:0] i;
    (* anyconst *)               wire [W-1:0] j;

    `include "proof.svh"

    reg [W-1:0] last;
    reg         owed;                         // j waits since i was served
    reg [W:0]   passed;                       // others served while j waits
    wire        served = advance && valid;
    wire [W-1:0] to_j   = j - last - 1;       // places from the turn to j
    wire [W-1:0] to_i   = i - last - 1;
    wire [N-1:0] one    = 1;

    always @(posedge clk) begin
        if (rst) begin
            last   <= N - 1;
            owed   <= 1'b0;
            passed <= 0;
        end else begin
            if (served) last <= index;
            if (!req[j] || served && index == j) owed <= 1'b0;
            else if (served && index == i)       owed <= 1'b1;
            if (!req[j] || served && index == j) passed <= 0;
            else if (served)                     passed <= passed + 1;
        end
    end

    always @* begin
        assume (i != j);
    end

    always @* if (started) begin
        any: assert (valid == (req != 0));  // something is chosen exactly when something is asked for
        one_hot: assert ((grant & (grant - one)) == 0);  // at most one requester is chosen
        asked: assert ((grant & ~req) == 0);  // only a requester that asks is chosen
        number: assert (valid ? grant == one << index : grant == 0 && index == 0);  // `index` is the number of the choice, 0 without one
        if (owed && req[j] && !rst) fair: assert (!(served && index == i));  // after a grant to i, a j that waits is served before i is again
        bounded_wait: assert (passed < N);  // at most N-1 others are served while one waits
        inv_turn: assert (after == ~((one << last) | ((one << last) - one)));  // the turn is behind the one served last
        if (owed) inv_owed: assert (to_j < to_i);  // the turn comes to j before it comes to i
        inv_passed: assert (passed + to_j < N);  // each that is served brings the turn nearer to j
    end

    always @* if (started && !rst) begin
        waits_long: cover (passed == N - 1 && served && index == j);  // a requester waits for all others
        wraps: cover (owed && served && index < last);  // the turn passes the end
    end
endmodule

`default_nettype wire
