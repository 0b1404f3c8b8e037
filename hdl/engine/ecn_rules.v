// ecn_rules: what the congestion marks of an accepted segment do (rules N-1 to N-3, Q-1; RFC 3168 6.1.2, 6.1.3).
//
// Why a block: both halves of ECN at one place: the marks that the peer's segments met are told back to it (ECE until
// its CWR), and what it tells of ours cuts the window once for each window of data: to half, or as cubic_cut says.
//
// Combinational. `tcb` is the state behind C.8 (S-2 included), in front of the text; una_before, recovering_before are
// snd_una and in_recovery as they were in front of C.8. A time-out is told by timer_rules, what is sent is tx_policy's.
// Without ecn_en the state passes through.
`default_nettype none
`include "chimney_layout.vh"

module ecn_rules (
    input  wire [`TCB_W-1:0]    tcb,
    input  wire [`RX_SEG_W-1:0] seg,
    input  wire [15:0]          mss,               // bytes, options subtracted
    input  wire [31:0]          una_before,
    input  wire                 recovering_before,

    output reg  [`TCB_W-1:0]    m_tcb
);

    `include "../engine/seq.vh"

    localparam ECE = 6, CWR = 7;                   // positions inside the TCP flags
    localparam [1:0] CE = 2'b11;                   // congestion experienced (RFC 3168 5)

    wire [7:0]  flags     = seg[`RX_SEG_FLAGS];
    wire [31:0] snd_una   = tcb[`TCB_SND_UNA];
    wire [31:0] told_edge = tcb[`TCB_ECN_EDGE];
    wire [31:0] mss32     = {16'd0, mss};
    wire        recovers  = tcb[`TCB_IN_RECOVERY];

    // N-1
    wire marked = seg[`RX_SEG_PAY_LEN] != 16'd0 && seg[`RX_SEG_IP_ECN] == CE;

    // N-2: behind C.8 snd_una is the ACK field unless that was below it
    wire [31:0] flight = tcb[`TCB_SND_MAX] - una_before;
    wire        cubic  = tcb[`TCB_CUBIC_EN];
    wire [31:0] cubic_to;
    wire [`CUBIC_W-1:0] cubic_cc;
    wire [31:0] cut    = max32(cubic ? cubic_to : flight >> 1, mss32 << 1);
    wire        heard  = flags[ECE] && !recovers && seg[`RX_SEG_ACK] == snd_una && seq_lt(told_edge, snd_una);

    // N-3
    wire enters = recovers && !recovering_before;

    // no further than one octet behind snd_una, so that it never lies half the sequence space away
    wire [31:0] behind = snd_una - 32'd1;
    wire        lags   = snd_una != una_before && seq_lt(told_edge, behind);

    cubic_cut cutter (.from(flight), .cwnd(tcb[`TCB_CWND]), .cc(tcb[`TCB_CC]), .to(cubic_to), .m_cc(cubic_cc));

    wire unused = &{1'b0, seg, flags};

    always @* begin
        m_tcb = tcb;
        if (tcb[`TCB_ECN_EN]) begin
            if (marked)          m_tcb[`TCB_ECN_ECE] = 1'b1;
            else if (flags[CWR]) m_tcb[`TCB_ECN_ECE] = 1'b0;
            if (heard) begin
                m_tcb[`TCB_SSTHRESH] = cut;
                m_tcb[`TCB_CWND]     = min32(tcb[`TCB_CWND], cut);
                m_tcb[`TCB_CWND_ACC] = 32'd0;
                if (cubic) m_tcb[`TCB_CC] = cubic_cc;
            end
            if (heard || enters) begin
                m_tcb[`TCB_ECN_CWR]  = 1'b1;
                m_tcb[`TCB_ECN_EDGE] = tcb[`TCB_SND_MAX];
            end else if (lags) begin
                m_tcb[`TCB_ECN_EDGE] = behind;
            end
        end
    end

endmodule

`default_nettype wire
