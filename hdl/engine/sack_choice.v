// sack_choice: what goes again in a recovery that the scoreboard guides (rule S-6; RFC 6675 4 NextSeg).
//
// Why a block: which octets are sent again is the scoreboard's affair; that a segment is, and what else, tx_policy's.
//
// Combinational. The sums are those of sack_sums for `tcb`. `guided`: such a recovery is going on; then nothing of
// this and no new data goes unless `open`. `urgent`: N1, goes before new data (N2). `again`: something may go, N3 and
// N4 only if there is no new data. The octets are [seq, seq + len), behind them the FIN with `fin`; `m_high_rxt`,
// `m_rescued`: the fields behind it.
`default_nettype none
`include "chimney_layout.vh"

module sack_choice (
    input  wire [`TCB_W-1:0] tcb,
    input  wire [15:0]       mss,                  // bytes, options subtracted
    input  wire [31:0]       lost_edge,            // from sack_sums
    input  wire [31:0]       pipe,
    input  wire [31:0]       hole,
    input  wire [31:0]       hole_end,
    input  wire [31:0]       top,

    output wire              guided,
    output wire              open,
    output wire              urgent,
    output wire              again,
    output wire [31:0]       seq,
    output wire [31:0]       len,
    output wire              fin,
    output wire [31:0]       m_high_rxt,
    output wire              m_rescued
);

    `include "../engine/seq.vh"

    wire [31:0] snd_max = tcb[`TCB_SND_MAX];
    wire [31:0] mss32   = {16'd0, mss};

    assign guided = tcb[`TCB_SACK_EN] && tcb[`TCB_IN_RECOVERY];

    wire [32:0] spare = {1'b0, tcb[`TCB_CWND]} - {1'b0, pipe};       // exact, signed
    assign open = !spare[32] && spare[31:0] >= mss32;

    // N1, N3: they end in front of a range, so they never hold the FIN
    wire        hole_there = seq_lt(hole, top);
    wire [31:0] hole_len   = min32(mss32, hole_end - hole);
    assign urgent = hole_there && seq_lt(hole, lost_edge);

    // N4: the end of what was sent, once a recovery
    wire [31:0] tail      = snd_max - mss32;
    wire [31:0] tail_seq  = seq_lt(tail, top) ? top : tail;
    wire        tail_fin  = tcb[`TCB_FIN_QUEUED] && snd_max == tcb[`TCB_SND_END];
    wire        rescue    = !hole_there && !tcb[`TCB_RESCUED] && seq_lt(top, snd_max);

    assign again      = hole_there || rescue;
    assign seq        = hole_there ? hole : tail_seq;
    assign len        = hole_there ? hole_len : snd_max - tail_seq - {31'd0, tail_fin};
    assign fin        = !hole_there && tail_fin;
    assign m_high_rxt = hole_there ? hole + hole_len : tcb[`TCB_HIGH_RXT];
    assign m_rescued  = tcb[`TCB_RESCUED] || !hole_there;

    wire unused = &{1'b0, tcb};

endmodule

`default_nettype wire
