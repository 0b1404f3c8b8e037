// timer_rules: what a TIMER event does (rules D-1, D-2, K-4, N-3 and Q-1).
//
// Why a block: delayed ACK, retransmission timeout with back-off (RFC 6298 5) and the retry limits of the host.
// The keep-alive timer has had its turn before (keepalive_rules).
//
// Combinational. `rto_fired` goes to congestion, whose fields come back in `cc_*`. `retrieve` asks for the
// mandatory upload with reason TIMEOUT_EXPIRATION; the caller freezes the connection.
`default_nettype none
`include "chimney_layout.vh"

module timer_rules (
    input  wire [`TCB_W-1:0] tcb,
    input  wire [31:0]       now,
    input  wire [7:0]        max_retransmissions,
    input  wire [31:0]       rto_max,              // ticks

    output wire              rto_fired,
    input  wire [31:0]       cc_cwnd,
    input  wire [31:0]       cc_ssthresh,
    input  wire [31:0]       cc_cwnd_acc,
    input  wire [31:0]       cc_recover,
    input  wire              cc_in_recovery,
    input  wire              cc_partial_seen,
    input  wire              cc_rtx_head,
    input  wire              cc_rtt_stop,
    input  wire [31:0]       cc_high_rxt,
    input  wire              cc_rescued,
    input  wire [`TCB_CC_W-1:0] cc_cc,

    output wire              retrieve,
    output reg  [`TCB_W-1:0] m_tcb
);

    `include "../engine/seq.vh"

    localparam [31:0] NEVER = `MAX_RT_NEVER;

    wire [31:0] max_rt    = tcb[`TCB_MAX_RT];
    wire [31:0] total_rt  = tcb[`TCB_TOTAL_RT];
    wire [31:0] rto       = tcb[`TCB_RTO];
    wire [7:0]  rtx_count = tcb[`TCB_RTX_COUNT];
    wire        persist   = tcb[`TCB_PERSIST];
    wire        half_closed = tcb[`TCB_STATE] == `TCP_STATE_FIN_WAIT_2;

    wire dack_due = tcb[`TCB_DACK_ON] && seq_le(tcb[`TCB_DACK_DEADLINE], now);
    wire rtx_due  = tcb[`TCB_RTX_ON] && seq_le(tcb[`TCB_RTX_DEADLINE], now);

    wire tries_up = rtx_count >= max_retransmissions;
    wire limit    = persist ? tries_up
                            : (max_rt == 32'd0) ? tries_up : (max_rt != NEVER && total_rt >= max_rt);
    wire [32:0] total_sum = {1'b0, total_rt} + {1'b0, rto};
    wire [31:0] doubled   = backoff32(rto, 8'd1, rto_max);

    assign retrieve  = rtx_due && (limit || half_closed);
    assign rto_fired = rtx_due && !limit && !persist && !half_closed;

    always @* begin
        m_tcb = tcb;
        if (dack_due) begin
            m_tcb[`TCB_DACK_ON] = 1'b0;
            m_tcb[`TCB_ACK_NOW] = 1'b1;
        end
        if (rtx_due && half_closed) begin
            m_tcb[`TCB_STATE] = `TCP_STATE_CLOSED;
        end else if (rtx_due && !limit) begin
            m_tcb[`TCB_RTX_COUNT] = (rtx_count == 8'hFF) ? 8'hFF : rtx_count + 8'd1;
            if (persist) begin
                m_tcb[`TCB_PROBE_OWED]   = 1'b1;
                m_tcb[`TCB_RTX_DEADLINE] = now + backoff32(rto, rtx_count, rto_max);
            end else begin
                m_tcb[`TCB_TOTAL_RT]     = total_sum[32] ? 32'hFFFFFFFF : total_sum[31:0];
                m_tcb[`TCB_CWND]         = cc_cwnd;
                m_tcb[`TCB_SSTHRESH]     = cc_ssthresh;
                m_tcb[`TCB_CWND_ACC]     = cc_cwnd_acc;
                m_tcb[`TCB_RECOVER]      = cc_recover;
                m_tcb[`TCB_IN_RECOVERY]  = cc_in_recovery;
                m_tcb[`TCB_PARTIAL_SEEN] = cc_partial_seen;
                m_tcb[`TCB_RTX_HEAD]     = cc_rtx_head;
                m_tcb[`TCB_HIGH_RXT]     = cc_high_rxt;
                m_tcb[`TCB_RESCUED]      = cc_rescued;
                m_tcb[`TCB_CC]           = cc_cc;
                m_tcb[`TCB_SB_N]         = {`TCB_SB_N_W{1'b0}};      // the peer may have reneged (RFC 2018 8)
                m_tcb[`TCB_SB_LEFT]      = {`TCB_SB_LEFT_W{1'b0}};
                m_tcb[`TCB_SB_RIGHT]     = {`TCB_SB_RIGHT_W{1'b0}};
                if (tcb[`TCB_ECN_EN] && rtx_count == 8'd0) begin     // N-3: the window was cut
                    m_tcb[`TCB_ECN_CWR]  = 1'b1;
                    m_tcb[`TCB_ECN_EDGE] = tcb[`TCB_SND_MAX];
                end
                if (cc_rtt_stop) m_tcb[`TCB_RTT_ACTIVE] = 1'b0;
                m_tcb[`TCB_DUP_ACKS]     = 8'd0;
                m_tcb[`TCB_SND_NXT]      = tcb[`TCB_SND_UNA];
                m_tcb[`TCB_RTO]          = doubled;
                m_tcb[`TCB_RTX_DEADLINE] = now + doubled;
            end
        end
    end

endmodule

`default_nettype wire
