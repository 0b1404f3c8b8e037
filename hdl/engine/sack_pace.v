// sack_pace: the congestion window in a recovery with SACK (rules S-8, Q-2; proportional rate reduction, RFC 9937).
//
// Why a block: what an ACK lets out follows from the sums in front of the segment and those behind it, whoever changed
// them; it takes the place of what congestion says of cwnd, so it stands behind it and behind the judge of duplicates.
//
// Combinational. `tcb` is the state behind C.8, S-1 and S-2, lost_edge, sacked and pipe are its sums (sack_sums);
// *_before: those of the state in front of C.8. `credit`: cwnd - pipe of that state, signed, 0 out of recovery. Out of
// recovery the state passes through. Every sum is wide enough to be exact. Above ssthresh as large a part of what was
// delivered goes out as ssthresh is of the window: half, with CUBIC 0.7.
`default_nettype none
`include "chimney_layout.vh"

module sack_pace (
    input  wire [`TCB_W-1:0] tcb,
    input  wire [15:0]       mss,                  // bytes, options subtracted
    input  wire [32:0]       credit,               // signed
    input  wire [31:0]       una_before,
    input  wire [31:0]       lost_edge_before,
    input  wire [31:0]       sacked_before,
    input  wire [31:0]       lost_edge,            // from sack_sums
    input  wire [31:0]       sacked,
    input  wire [31:0]       pipe,

    output reg  [`TCB_W-1:0] m_tcb
);

    `include "../engine/seq.vh"

    localparam SUM_W = 36;                         // holds four numbers of 32 bits and a sign
    localparam [31:0] CWND_LIMIT = `CWND_MAX;
    localparam LOG2 = `CUBIC_PART_LOG2, PART_W = SUM_W + LOG2;
    localparam [PART_W-1:0] BETA = `CUBIC_BETA;

    wire [31:0] snd_una  = tcb[`TCB_SND_UNA];
    wire [31:0] ssthresh = tcb[`TCB_SSTHRESH];
    wire [31:0] mss32    = {16'd0, mss};

    function [SUM_W-1:0] wide;
        input [31:0] number;
        wide = {{(SUM_W-32){1'b0}}, number};
    endfunction

    // what the segment says was delivered: acknowledged, or reported by now
    wire [SUM_W-1:0] moved     = wide(snd_una - una_before) + wide(sacked) - wide(sacked_before);
    wire [SUM_W-1:0] delivered = moved[SUM_W-1] ? {SUM_W{1'b0}} : moved;

    // nothing else turned out to be lost: slow start below ssthresh
    wire worse = seq_lt(snd_una, lost_edge) && seq_lt(lost_edge_before, lost_edge);
    wire safe  = snd_una != una_before && !worse;

    wire [SUM_W-1:0] credit_s = {{(SUM_W-33){credit[32]}}, credit};
    wire [SUM_W-1:0] left_over = credit[32] ? {SUM_W{1'b0}} : credit_s;

    wire [PART_W-1:0] beta   = {{LOG2{1'b0}}, delivered} * BETA;
    wire [SUM_W-1:0] part    = tcb[`TCB_CUBIC_EN] ? beta[PART_W-1:LOG2] : delivered >> 1;

    wire             above   = pipe > ssthresh;
    wire [SUM_W-1:0] reduced = wide(pipe) + credit_s + part;
    wire [SUM_W-1:0] grown   = wide(pipe) + left_over + delivered + (safe ? wide(mss32) : {SUM_W{1'b0}});
    wire [SUM_W-1:0] paced   = above ? reduced : (grown < wide(ssthresh)) ? grown : wide(ssthresh);
    wire             low     = paced[SUM_W-1] || paced < wide(mss32);
    wire             high    = !paced[SUM_W-1] && paced > wide(CWND_LIMIT);

    always @* begin
        m_tcb = tcb;
        if (tcb[`TCB_SACK_EN] && tcb[`TCB_IN_RECOVERY])
            m_tcb[`TCB_CWND] = low ? mss32 : high ? CWND_LIMIT : paced[31:0];
    end

    wire unused = &{1'b0, tcb, beta[LOG2-1:0]};

endmodule

`default_nettype wire
