// sack_judge: what a segment whose blocks were taken means as a duplicate (rule S-2).
//
// Why a block: with SACK a duplicate is a segment that brings news, which is known only behind the scoreboard; it goes
// to congestion like one without SACK does, at another time.
//
// Combinational. `tcb` is the state behind C.8, S-1; `level`: the segment acknowledged nothing new; `news`: one of its
// blocks told of an octet that no range had. `dup_ack`, `dup_acks` go to congestion, whose fields come back in cc_*;
// cwnd is sack_pace's affair.
`default_nettype none
`include "chimney_layout.vh"

module sack_judge (
    input  wire [`TCB_W-1:0] tcb,
    input  wire              level,
    input  wire              news,

    output wire              dup_ack,              // to congestion
    input  wire [31:0]       cc_ssthresh,          // from congestion
    input  wire [31:0]       cc_recover,
    input  wire              cc_in_recovery,
    input  wire              cc_partial_seen,
    input  wire              cc_rtx_head,
    input  wire              cc_rtt_stop,
    input  wire [31:0]       cc_high_rxt,
    input  wire              cc_rescued,
    input  wire [`TCB_CC_W-1:0] cc_cc,

    output reg  [`TCB_W-1:0] m_tcb
);

    wire [7:0] count = tcb[`TCB_DUP_ACKS];

    assign dup_ack = level && news && !tcb[`TCB_PERSIST];

    always @* begin
        m_tcb = tcb;
        if (dup_ack) begin
            m_tcb[`TCB_DUP_ACKS]     = (count == 8'hFF) ? 8'hFF : count + 8'd1;
            m_tcb[`TCB_SSTHRESH]     = cc_ssthresh;
            m_tcb[`TCB_RECOVER]      = cc_recover;
            m_tcb[`TCB_IN_RECOVERY]  = cc_in_recovery;
            m_tcb[`TCB_PARTIAL_SEEN] = cc_partial_seen;
            m_tcb[`TCB_RTX_HEAD]     = cc_rtx_head;
            m_tcb[`TCB_HIGH_RXT]     = cc_high_rxt;
            m_tcb[`TCB_RESCUED]      = cc_rescued;
            m_tcb[`TCB_CC]           = cc_cc;
            if (cc_rtt_stop) m_tcb[`TCB_RTT_ACTIVE] = 1'b0;
        end
    end

endmodule

`default_nettype wire
