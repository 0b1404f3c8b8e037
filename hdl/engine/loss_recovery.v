// loss_recovery: slow start, timeout, fast retransmit and the recovery of NewReno (RFC 5681, RFC 6582) or, with sack_en,
// of RFC 6675: what the congestion controls have in common, as a pure function of one event.
//
// Why a block: a congestion control of its own says how far a loss cuts the window and how the window grows in
// congestion avoidance, and nothing else (RFC 9438 4.2, 4.6); all of the rest is here, once.
//
// Combinational. Ports of the event and of the fields after it as in congestion. `cut`: this event writes ssthresh;
// `cut_from` is the octets that it starts from (D-2: the flight; F-3, S-2: base), `cut_to` what the congestion control
// leaves of them; two segments always stay. `avoids`: an ACK of new data in congestion avoidance, `acked` octets of it;
// cwnd and cwnd_acc pass through here.
`default_nettype none
`include "chimney_layout.vh"

module loss_recovery (
    input  wire [`TCB_W-1:0] tcb,
    input  wire [15:0]       mss,                  // bytes, options subtracted
    input  wire [7:0]        dup_ack_threshold,
    input  wire              new_ack,
    input  wire              dup_ack,
    input  wire              rto_fired,
    input  wire [31:0]       ack,
    input  wire [7:0]        dup_acks,
    input  wire              lost,
    input  wire [31:0]       sacked,               // octets

    output wire              cut,                  // to the congestion control
    output wire [31:0]       cut_from,
    input  wire [31:0]       cut_to,               // from it
    output wire              avoids,
    output wire [31:0]       acked,

    output reg  [31:0]       cwnd,
    output reg  [31:0]       ssthresh,
    output reg  [31:0]       cwnd_acc,
    output reg  [31:0]       recover,
    output reg               in_recovery,
    output reg               partial_seen,
    output reg               rtx_head,
    output reg               rtt_stop,
    output reg               keep_timer,
    output reg  [31:0]       high_rxt,
    output reg               rescued
);

    `include "../engine/seq.vh"

    localparam [31:0] CWND_LIMIT = `CWND_MAX;

    wire [31:0] snd_una      = tcb[`TCB_SND_UNA];
    wire [31:0] snd_max      = tcb[`TCB_SND_MAX];
    wire [31:0] old_cwnd     = tcb[`TCB_CWND];
    wire [31:0] old_ssthresh = tcb[`TCB_SSTHRESH];
    wire [31:0] old_recover  = tcb[`TCB_RECOVER];

    wire [31:0] mss32   = {16'd0, mss};
    wire [31:0] behind  = ack - 32'd1;
    wire [31:0] flight  = snd_max - snd_una;
    wire [31:0] two_mss = mss32 << 1;
    wire [31:0] grown   = min32(old_cwnd + mss32, CWND_LIMIT);

    // partial acknowledgment: deflate by what was acknowledged, add back one segment (RFC 6582 3.2 step 3)
    wire [31:0] deflated = ((old_cwnd > acked) ? old_cwnd - acked : 32'd0) + ((acked >= mss32) ? mss32 : 32'd0);

    wire sack_en = tcb[`TCB_SACK_EN];

    // what limited transmit let out behind cwnd does not count (RFC 5681 3.2 step 2, RFC 6675 5 (4.2)); `extra` is the
    // most that it can have been
    wire [31:0] extra    = sack_en ? sacked : two_mss;
    wire [31:0] older    = (flight > extra) ? flight - extra : 32'd0;
    wire [31:0] base     = max32(min32(flight, old_cwnd), older);

    // RFC 6675 5: a recovery may follow another as soon as all of the one before was acknowledged (5.1)
    wire enters  = dup_ack && !tcb[`TCB_IN_RECOVERY]
                   && (sack_en ? (dup_acks >= dup_ack_threshold || lost) && seq_le(old_recover, snd_una)
                               : dup_acks == dup_ack_threshold && seq_lt(old_recover, snd_una));

    assign acked    = ack - snd_una;
    assign avoids   = new_ack && !tcb[`TCB_IN_RECOVERY] && old_cwnd >= old_ssthresh;
    assign cut      = enters || (rto_fired && tcb[`TCB_RTX_COUNT] == 8'd0);
    assign cut_from = rto_fired ? flight : base;

    wire [31:0] reduced = max32(cut_to, two_mss);                    // RFC 5681 equation 4, RFC 9438 4.6

    wire unused = &{1'b0, tcb};

    always @* begin
        cwnd         = old_cwnd;
        ssthresh     = old_ssthresh;
        cwnd_acc     = tcb[`TCB_CWND_ACC];
        recover      = old_recover;
        in_recovery  = tcb[`TCB_IN_RECOVERY];
        partial_seen = tcb[`TCB_PARTIAL_SEEN];
        rtx_head     = tcb[`TCB_RTX_HEAD];
        rtt_stop     = 1'b0;
        keep_timer   = 1'b0;
        high_rxt     = tcb[`TCB_HIGH_RXT];
        rescued      = tcb[`TCB_RESCUED];
        if (rto_fired) begin
            if (cut) ssthresh = reduced;
            cwnd         = mss32;
            cwnd_acc     = 32'd0;
            recover      = snd_max;
            in_recovery  = 1'b0;
            partial_seen = 1'b0;
            rtx_head     = 1'b0;
            rtt_stop     = 1'b1;
            high_rxt     = snd_una;
            rescued      = 1'b0;
        end else if (new_ack && tcb[`TCB_IN_RECOVERY]) begin
            if (seq_le(old_recover, ack)) begin
                cwnd         = min32(old_ssthresh, CWND_LIMIT);
                cwnd_acc     = 32'd0;
                in_recovery  = 1'b0;
                partial_seen = 1'b0;
                if (sack_en) rescued = 1'b0;
            end else if (sack_en) begin            // S-3
                rtt_stop     = 1'b1;
                partial_seen = 1'b1;
                if (seq_le(high_rxt, ack)) begin   // all that was sent again is there: what is missing now is lost
                    rtx_head = 1'b1;
                    high_rxt = ack;
                end
            end else begin
                cwnd         = max32(deflated, mss32);
                rtx_head     = 1'b1;
                rtt_stop     = 1'b1;
                keep_timer   = tcb[`TCB_PARTIAL_SEEN];
                partial_seen = 1'b1;
            end
        end else if (new_ack) begin
            if (!avoids) cwnd = min32(old_cwnd + min32(acked, mss32), CWND_LIMIT);
        end else if (dup_ack && tcb[`TCB_IN_RECOVERY]) begin
            if (!sack_en) cwnd = grown;
        end else if (enters) begin
            ssthresh     = reduced;
            recover      = snd_max;
            if (!sack_en) cwnd = min32(reduced + two_mss + mss32, CWND_LIMIT);
            in_recovery  = 1'b1;
            partial_seen = 1'b0;
            rtx_head     = 1'b1;
            rtt_stop     = 1'b1;
            if (sack_en) begin
                high_rxt = snd_una;
                rescued  = 1'b0;
            end
        end
        // outside recovery `recover` follows snd_una, so that it never lies half the sequence space away
        if (new_ack && !in_recovery && seq_lt(old_recover, behind)) recover = behind;
    end

endmodule

`default_nettype wire
