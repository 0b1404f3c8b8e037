// ack_tracker: what the ACK field and the window of an accepted segment do (rules C.6, C.8 and K-4).
//
// Why a block: the sender half of a received segment, without congestion control and round-trip arithmetic, which
// it asks for through `new_ack`, `dup_ack`, `dup_acks`, `srtt` and takes back as fields.
//
// Combinational. `tcb` is the state before the event, `m_tcb` the state before the text is looked at.
// Assumes snd_una - max_snd_wnd <= ack <= snd_max (rx_check). With sack_en a duplicate is what the scoreboard takes
// for one (sack_judge), behind this.
`default_nettype none
`include "chimney_layout.vh"

module ack_tracker (
    input  wire [`TCB_W-1:0]    tcb,
    input  wire [`RX_SEG_W-1:0] seg,
    input  wire [31:0]          now,
    input  wire [31:0]          rto_initial,       // ticks
    input  wire [31:0]          rto_max,           // ticks
    input  wire [31:0]          fin_wait_2_ticks,
    input  wire                 ts_update,         // C.6

    output wire                 new_ack,           // to congestion
    output wire                 dup_ack,
    output wire [7:0]           dup_acks,
    output wire [15:0]          srtt,              // behind F-1

    input  wire [31:0]          cc_cwnd,           // from congestion
    input  wire [31:0]          cc_ssthresh,
    input  wire [31:0]          cc_cwnd_acc,
    input  wire [31:0]          cc_recover,
    input  wire                 cc_in_recovery,
    input  wire                 cc_partial_seen,
    input  wire                 cc_rtx_head,
    input  wire                 cc_rtt_stop,
    input  wire                 cc_keep_timer,
    input  wire [31:0]          cc_high_rxt,
    input  wire                 cc_rescued,
    input  wire [`TCB_CC_W-1:0] cc_cc,

    input  wire [15:0]          est_srtt,          // from rtt_estimator
    input  wire [15:0]          est_rttvar,
    input  wire [31:0]          est_rto,

    output reg  [`TCB_W-1:0]    m_tcb
);

    `include "../engine/seq.vh"

    localparam FIN = 0;                            // position inside the TCP flags

    wire [7:0]  flags   = seg[`RX_SEG_FLAGS];
    wire [31:0] seq     = seg[`RX_SEG_SEQ];
    wire [31:0] ack     = seg[`RX_SEG_ACK];
    wire [31:0] wnd     = {16'd0, seg[`RX_SEG_WND]} << tcb[`TCB_SND_WS];
    wire [31:0] snd_una = tcb[`TCB_SND_UNA];
    wire [31:0] snd_max = tcb[`TCB_SND_MAX];
    wire        persist = tcb[`TCB_PERSIST];
    wire [7:0]  probes  = tcb[`TCB_SND_WND_PROBE_COUNT];

    wire update = seq_le(snd_una, ack) && seq_le(tcb[`TCB_SND_WL1], seq);

    assign new_ack  = seq_lt(snd_una, ack);
    assign dup_ack  = ack == snd_una && snd_max != snd_una && seg[`RX_SEG_PAY_LEN] == 16'd0 && !flags[FIN]
                      && wnd == tcb[`TCB_SND_WND] && !persist && !tcb[`TCB_SACK_EN];
    assign dup_acks = (tcb[`TCB_DUP_ACKS] == 8'hFF) ? 8'hFF : tcb[`TCB_DUP_ACKS] + 8'd1;

    wire        sample    = new_ack && tcb[`TCB_RTT_ACTIVE] && seq_lt(tcb[`TCB_RTT_SEQ], ack);
    assign      srtt      = sample ? est_srtt : tcb[`TCB_SRTT];
    wire [31:0] rto       = sample ? est_rto : tcb[`TCB_RTO];
    wire        fin_acked = tcb[`TCB_FIN_QUEUED] && ack == tcb[`TCB_SND_END];
    wire        half_closed = tcb[`TCB_STATE] == `TCP_STATE_FIN_WAIT_2
                              || (new_ack && fin_acked && tcb[`TCB_STATE] == `TCP_STATE_FIN_WAIT_1);
    wire        answered  = persist && update && tcb[`TCB_RTX_COUNT] != 8'd0;   // a probe was (C.8e)
    wire [7:0]  probes_up = (probes == 8'hFF) ? 8'hFF : probes + 8'd1;

    wire unused = &{1'b0, seg};

    always @* begin
        m_tcb = tcb;
        if (ts_update) begin
            m_tcb[`TCB_TS_RECENT]      = seg[`RX_SEG_TSVAL];
            m_tcb[`TCB_TS_RECENT_TICK] = now;
        end
        if (sample) begin
            m_tcb[`TCB_SRTT]       = est_srtt;
            m_tcb[`TCB_RTTVAR]     = est_rttvar;
            m_tcb[`TCB_RTO]        = est_rto;
            m_tcb[`TCB_RTT_ACTIVE] = 1'b0;
        end
        if (new_ack || dup_ack) begin
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
            if (cc_rtt_stop) m_tcb[`TCB_RTT_ACTIVE] = 1'b0;
        end
        if (new_ack) begin
            m_tcb[`TCB_SND_UNA]      = ack;
            m_tcb[`TCB_DUP_ACKS]     = 8'd0;
            m_tcb[`TCB_RELEASE_OWED] = 1'b1;
            if (seq_lt(tcb[`TCB_SND_NXT], ack)) m_tcb[`TCB_SND_NXT] = ack;
            if (!persist) begin
                m_tcb[`TCB_TOTAL_RT]  = 32'd0;
                m_tcb[`TCB_RTX_COUNT] = 8'd0;
                if (ack == snd_max) begin
                    m_tcb[`TCB_RTX_ON] = 1'b0;
                end else if (!cc_keep_timer) begin
                    m_tcb[`TCB_RTX_ON]       = 1'b1;
                    m_tcb[`TCB_RTX_DEADLINE] = now + rto;
                end
            end
            if (fin_acked) begin
                case (tcb[`TCB_STATE])
                    `TCP_STATE_FIN_WAIT_1: m_tcb[`TCB_STATE] = `TCP_STATE_FIN_WAIT_2;
                    `TCP_STATE_CLOSING:    m_tcb[`TCB_STATE] = `TCP_STATE_TIME_WAIT;
                    `TCP_STATE_LAST_ACK:   m_tcb[`TCB_STATE] = `TCP_STATE_CLOSED;
                    default: ;
                endcase
            end
        end
        if (dup_ack) m_tcb[`TCB_DUP_ACKS] = dup_acks;
        if (update) begin
            m_tcb[`TCB_SND_WND]     = wnd;
            m_tcb[`TCB_SND_WL1]     = seq;
            m_tcb[`TCB_MAX_SND_WND] = max32(tcb[`TCB_MAX_SND_WND], wnd);
        end
        if (answered) begin
            m_tcb[`TCB_RTX_COUNT] = 8'd0;
            if (wnd != 32'd0) begin                // too little to use at once: back to the override time
                m_tcb[`TCB_SND_WND_PROBE_COUNT] = 8'd0;
                m_tcb[`TCB_RTX_DEADLINE]        = now + min32(rto, rto_initial);
            end else begin
                m_tcb[`TCB_SND_WND_PROBE_COUNT] = probes_up;
                m_tcb[`TCB_RTX_DEADLINE]        = now + backoff32(rto, probes_up, rto_max);
            end
        end
        if (half_closed) begin                     // the timer is that of FIN_WAIT_2 now (K-4)
            m_tcb[`TCB_RTX_ON]       = 1'b1;
            m_tcb[`TCB_RTX_DEADLINE] = now + fin_wait_2_ticks;
        end
    end

endmodule

`default_nettype wire
