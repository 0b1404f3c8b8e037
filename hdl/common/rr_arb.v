// rr_arb: round-robin arbiter, combinational choice with a registered turn.
//
// Why a block: fairness is stated and proved once; after a grant to i, every other requester that waits is
// served before i is served again.
//
// req: one bit a requester, may change at any time.
// grant / index / valid: the choice among `req` in this cycle, one-hot and as a number (0 when none).
// advance: the choice was used in this cycle; the turn moves behind it. Ignored while `valid` is low.
// Latency 0. A choice that is not used may change when another request arrives: hold it outside if it must
// stay.
`default_nettype none

module rr_arb #(
    parameter N = 4,                                   // requesters, >= 1
    parameter INDEX_W = (N > 1) ? $clog2(N) : 1        // derived, do not override
) (
    input  wire               clk,
    input  wire               rst,

    input  wire [N-1:0]       req,
    input  wire               advance,

    output wire [N-1:0]       grant,
    output wire [INDEX_W-1:0] index,
    output wire               valid
);

    localparam [N-1:0] ONE = 1;

    reg  [N-1:0] after_reg;                // requesters whose number is above the last one served

    wire [N-1:0] preferred    = req & after_reg;
    wire [N-1:0] candidates   = (preferred != 0) ? preferred : req;

    assign grant = candidates & (~candidates + ONE);   // lowest set bit
    assign valid = req != 0;

    reg [INDEX_W-1:0] index_next;
    integer i;

    always @* begin
        index_next = 0;
        for (i = 0; i < N; i = i + 1) begin
            if (grant[i]) index_next = index_next | i[INDEX_W-1:0];
        end
    end

    assign index = index_next;

    always @(posedge clk) begin
        if (rst)                  after_reg <= 0;
        else if (advance && valid) after_reg <= ~(grant | (grant - ONE));
    end

endmodule

`default_nettype wire
