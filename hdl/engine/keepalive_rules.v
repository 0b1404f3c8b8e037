// keepalive_rules: the keep-alive timer, and the limits of ACKs that nobody asked for (rules K-1 to K-3, K-7).
//
// Why a block: it watches every event that shows life, or an attack, and changes only what belongs to it, so that
// the rules of segment and timer go on from `m_tcb` as if it were the state before the event.
//
// Combinational on the state of a running connection. At most one of the five events is set:
//   acceptable     the segment is taken (C.8)    timer          TIMER, ahead of D-1
//   challenge_rst  RST inside the window, not at rcv_nxt        challenge_syn  SYN likewise
//   answer         a segment that is refused and repeats nothing: no text, or its ACK field is out of range
// `owe`: the challenge ACK, or the answer, may go out (RFC 5961 without a flood). `retrieve`: nobody answered; the
// mandatory upload with reason TIMEOUT_EXPIRATION, and nothing else of this event happens.
`default_nettype none
`include "chimney_layout.vh"

module keepalive_rules (
    input  wire [`TCB_W-1:0] tcb,
    input  wire [31:0]       now,
    input  wire [31:0]       ticks_per_second,
    input  wire              acceptable,
    input  wire              challenge_rst,
    input  wire              challenge_syn,
    input  wire              answer,
    input  wire              timer,

    output wire              owe,
    output wire              retrieve,
    output reg  [`TCB_W-1:0] m_tcb
);

    `include "../engine/seq.vh"

    localparam KEEP_ALIVE = 0;                     // position inside cached_flags
    localparam [31:0] CHALLENGE_SECONDS = `CHALLENGE_KA_SECONDS, SYN_SECONDS = `SYN_CHALLENGE_SECONDS;
    localparam [7:0]  CHALLENGE_PROBES  = `CHALLENGE_KA_PROBES;

    wire [15:0] flags     = tcb[`TCB_CACHED_FLAGS];
    wire        enabled   = flags[KEEP_ALIVE];
    wire        on        = tcb[`TCB_KA_ON];
    wire        challenge = tcb[`TCB_KA_CHALLENGE];
    wire [31:0] deadline  = tcb[`TCB_KA_DEADLINE];
    wire [7:0]  sent      = tcb[`TCB_KA_PROBES_SENT];
    wire [7:0]  count     = tcb[`TCB_KA_PROBE_COUNT];
    wire [31:0] interval  = tcb[`TCB_KA_INTERVAL];

    // K-2
    wire [31:0] syn_gap = SYN_SECONDS * ticks_per_second;
    wire        syn_old = !tcb[`TCB_SYN_CHALLENGED] || (now - tcb[`TCB_SYN_TICK]) >= syn_gap;
    wire [31:0] watch   = now + CHALLENGE_SECONDS * ticks_per_second;
    wire        owe_rst = challenge_rst && !tcb[`TCB_RST_CHALLENGED];
    wire        owe_syn = challenge_syn && syn_old;
    wire        owe_challenge = owe_rst || owe_syn;

    // K-7
    wire [31:0] answer_gap = ticks_per_second >> 1;
    wire        answer_old = !tcb[`TCB_ANSWERED] || (now - tcb[`TCB_ANSWER_TICK]) >= answer_gap;
    wire        owe_answer = answer && answer_old;

    assign owe = owe_challenge || owe_answer;

    // K-3
    wire        over    = tcb[`TCB_STATE] == `TCP_STATE_TIME_WAIT || tcb[`TCB_STATE] == `TCP_STATE_CLOSED;
    wire        due     = timer && on && seq_le(deadline, now);
    wire        moot    = over || (!enabled && !challenge);
    wire        any_out = tcb[`TCB_SND_MAX] != tcb[`TCB_SND_UNA];
    wire [7:0]  limit   = (count == 8'd0) ? CHALLENGE_PROBES : count;
    wire [31:0] gap     = (interval == 32'd0) ? ticks_per_second : interval;
    assign retrieve = due && !moot && !any_out && sent >= limit;

    always @* begin
        m_tcb = tcb;
        if (acceptable) begin
            m_tcb[`TCB_KA_PROBES_SENT] = 8'd0;
            m_tcb[`TCB_KA_PROBE_OWED]  = 1'b0;
            m_tcb[`TCB_RST_CHALLENGED] = 1'b0;
            m_tcb[`TCB_KA_CHALLENGE]   = 1'b0;
            if (enabled) begin
                m_tcb[`TCB_KA_ON]       = 1'b1;
                m_tcb[`TCB_KA_DEADLINE] = now + tcb[`TCB_KA_TIMEOUT];
            end else if (challenge) begin
                m_tcb[`TCB_KA_ON] = 1'b0;
            end
        end
        if (owe_challenge) begin
            m_tcb[`TCB_KA_ON]        = 1'b1;
            m_tcb[`TCB_KA_CHALLENGE] = 1'b1;
            if (!on || seq_lt(deadline, watch)) m_tcb[`TCB_KA_DEADLINE] = watch;
        end
        if (owe_rst) m_tcb[`TCB_RST_CHALLENGED] = 1'b1;
        if (owe_syn) begin
            m_tcb[`TCB_SYN_CHALLENGED] = 1'b1;
            m_tcb[`TCB_SYN_TICK]       = now;
        end
        if (owe_answer) begin
            m_tcb[`TCB_ANSWERED]    = 1'b1;
            m_tcb[`TCB_ANSWER_TICK] = now;
        end
        if (due && moot) begin
            m_tcb[`TCB_KA_ON] = 1'b0;
        end else if (retrieve) begin
            if (challenge) m_tcb[`TCB_STATE] = `TCP_STATE_CLOSED;
        end else if (due) begin
            m_tcb[`TCB_KA_DEADLINE] = now + gap;
            if (!any_out) begin                    // else the retransmissions ask the peer
                m_tcb[`TCB_KA_PROBE_OWED]  = 1'b1;
                m_tcb[`TCB_KA_PROBES_SENT] = (sent == 8'hFF) ? 8'hFF : sent + 8'd1;
            end
        end
    end

endmodule

`default_nettype wire
