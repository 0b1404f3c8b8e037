// cubic_cut: what CUBIC leaves of the window at a sign of congestion, and what it remembers of it (rule Q-1; RFC 9438
// 4.6, 4.7).
//
// Why a block: losses and time-outs are told to cubic, marks (ECN) are heard behind it, in ecn_rules: both cut alike.
//
// Combinational. `from`: octets that the cut starts from. `cwnd`: the window in front of the cut. `to` may be less
// than two segments: who writes ssthresh sees to that.
`default_nettype none
`include "chimney_layout.vh"

module cubic_cut (
    input  wire [31:0]          from,
    input  wire [31:0]          cwnd,
    input  wire [`CUBIC_W-1:0]  cc,

    output wire [31:0]          to,
    output reg  [`CUBIC_W-1:0]  m_cc
);

    localparam LOG2   = `CUBIC_PART_LOG2;
    localparam WIDE_W = 32 + LOG2;
    localparam [WIDE_W-1:0] BETA = `CUBIC_BETA, FAST = `CUBIC_FAST;      // both less than 1, as parts

    wire [WIDE_W-1:0] kept   = {{LOG2{1'b0}}, from} * BETA;
    wire [WIDE_W-1:0] shared = {{LOG2{1'b0}}, cwnd} * FAST;

    assign to = kept[WIDE_W-1:LOG2];

    always @* begin
        m_cc = cc;
        m_cc[`CUBIC_EPOCH] = 1'b0;
        m_cc[`CUBIC_PRIOR] = cwnd;
        // fast convergence: a window that did not get as high as the last one leaves room for others
        m_cc[`CUBIC_W_MAX] = (cwnd < cc[`CUBIC_W_MAX]) ? shared[WIDE_W-1:LOG2] : cwnd;
    end

    wire unused = &{1'b0, kept[LOG2-1:0], shared[LOG2-1:0], cc};

endmodule

`default_nettype wire
