// timer_policy: the last word of every event of a running connection: which timer runs (rule E-3), whether the
// connection waits for a grant (E-4), and the deadline timer_scan watches (E-5).
//
// Why a block: these three look only at the final state, so no rule has to repeat them.
//
// Combinational. `can_send` is rule G-1 on the same state; E-3 does not change it. One timer both probes a closed
// window and overrides silly window avoidance (RFC 9293 3.8.6.1, 3.8.6.2.1); it differs only in when it starts.
// In FIN_WAIT_2 the same timer waits for the peer's FIN (K-4); nothing here stops it then.
`default_nettype none
`include "chimney_layout.vh"

module timer_policy (
    input  wire [`TCB_W-1:0] tcb,
    input  wire              can_send,
    input  wire [31:0]       now,
    input  wire [31:0]       rto_initial,          // ticks

    output reg  [`TCB_W-1:0] m_tcb,                // E-3
    output wire              pending,              // E-4, of `tcb`
    output wire              deadline_on,          // E-5, of `tcb`
    output wire [31:0]       deadline
);

    `include "../engine/seq.vh"

    wire [31:0] snd_una = tcb[`TCB_SND_UNA];
    wire        persist = tcb[`TCB_PERSIST];
    wire        any_out = tcb[`TCB_SND_MAX] != snd_una;
    wire        half_closed = tcb[`TCB_STATE] == `TCP_STATE_FIN_WAIT_2;
    wire        running = tcb[`TCB_PHASE] == `PHASE_RUNNING;
    wire        blocked = tcb[`TCB_SND_NXT] == snd_una && tcb[`TCB_SND_END] != snd_una
                          && !can_send && !tcb[`TCB_RTX_HEAD];
    wire [31:0] rto      = tcb[`TCB_RTO];
    wire [31:0] restart  = now + rto;
    wire [31:0] override = now + min32(rto, rto_initial);

    always @* begin
        m_tcb = tcb;
        if (running && blocked && !persist) begin
            m_tcb[`TCB_PERSIST]             = 1'b1;
            m_tcb[`TCB_RTX_ON]              = 1'b1;
            m_tcb[`TCB_RTX_COUNT]           = 8'd0;
            m_tcb[`TCB_SND_WND_PROBE_COUNT] = 8'd0;
            m_tcb[`TCB_RTX_DEADLINE]        = (tcb[`TCB_SND_WND] == 32'd0) ? restart : override;
        end else if (running && !blocked) begin
            if (persist) begin
                m_tcb[`TCB_PERSIST]   = 1'b0;
                m_tcb[`TCB_RTX_COUNT] = 8'd0;
                if (!half_closed) begin
                    m_tcb[`TCB_RTX_ON]       = any_out;
                    m_tcb[`TCB_RTX_DEADLINE] = restart;
                end
            end else if (any_out && !tcb[`TCB_RTX_ON]) begin
                m_tcb[`TCB_RTX_ON]       = 1'b1;
                m_tcb[`TCB_RTX_DEADLINE] = restart;
            end
            if (!any_out && !half_closed) begin
                m_tcb[`TCB_RTX_ON]    = 1'b0;
                m_tcb[`TCB_RTX_COUNT] = 8'd0;
            end
        end
    end

    wire wants_upload = tcb[`TCB_STATE] == `TCP_STATE_TIME_WAIT && !tcb[`TCB_RETRIEVE_SENT];
    wire owes_abort   = tcb[`TCB_PHASE] == `PHASE_FROZEN && !tcb[`TCB_TERMINATING] && tcb[`TCB_ABORT_OWED];
    assign pending = owes_abort
                     || running && (tcb[`TCB_RTX_HEAD] || tcb[`TCB_PROBE_OWED] || tcb[`TCB_ACK_NOW]
                                    || tcb[`TCB_DUP_OWED] != 3'd0 || tcb[`TCB_RELEASE_OWED] || can_send || wants_upload
                                    || tcb[`TCB_KA_PROBE_OWED]);

    wire rtx_on     = tcb[`TCB_RTX_ON];
    wire dack_on    = tcb[`TCB_DACK_ON];
    wire dack_first = dack_on && (!rtx_on || seq_lt(tcb[`TCB_DACK_DEADLINE], tcb[`TCB_RTX_DEADLINE]));
    wire        either_on = rtx_on || dack_on;
    wire [31:0] either    = dack_first ? tcb[`TCB_DACK_DEADLINE] : tcb[`TCB_RTX_DEADLINE];
    wire        ka_on     = tcb[`TCB_KA_ON];
    wire        ka_first  = ka_on && (!either_on || seq_lt(tcb[`TCB_KA_DEADLINE], either));
    assign deadline_on = running && (either_on || ka_on);
    assign deadline    = ka_first ? tcb[`TCB_KA_DEADLINE] : either;

endmodule

`default_nettype wire
