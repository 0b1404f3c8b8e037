// congestion_choice: which congestion control speaks for a connection: Reno or, with cubic_en, CUBIC.
//
// Why a block: both have the same ports, and so has this one; who asks it does not know of more than one. A third is
// one more instance here, and one more bit in const_flags.
//
// Combinational. The ports are explained in congestion.
`default_nettype none
`include "chimney_layout.vh"

module congestion_choice (
    input  wire [`TCB_W-1:0]     tcb,
    input  wire [15:0]           mss,              // bytes, options subtracted
    input  wire [31:0]           now,              // tick of the event
    input  wire [31:0]           ticks_per_second,
    input  wire [7:0]            dup_ack_threshold,
    input  wire                  new_ack,
    input  wire                  dup_ack,
    input  wire                  rto_fired,
    input  wire [31:0]           ack,
    input  wire [15:0]           srtt,             // ticks x 8, a sample of this segment included
    input  wire [7:0]            dup_acks,
    input  wire                  lost,
    input  wire [31:0]           sacked,           // octets

    output wire [31:0]           cwnd,
    output wire [31:0]           ssthresh,
    output wire [31:0]           cwnd_acc,
    output wire [31:0]           recover,
    output wire                  in_recovery,
    output wire                  partial_seen,
    output wire                  rtx_head,
    output wire                  rtt_stop,
    output wire                  keep_timer,
    output wire [31:0]           high_rxt,
    output wire                  rescued,
    output wire [`TCB_CC_W-1:0]  cc
);

    wire [31:0]          reno_cwnd, reno_ssthresh, reno_cwnd_acc, reno_recover, reno_high_rxt;
    wire                 reno_in_recovery, reno_partial_seen, reno_rtx_head, reno_rtt_stop, reno_keep_timer,
                         reno_rescued;
    wire [`TCB_CC_W-1:0] reno_cc;
    wire [31:0]          cubic_cwnd, cubic_ssthresh, cubic_cwnd_acc, cubic_recover, cubic_high_rxt;
    wire                 cubic_in_recovery, cubic_partial_seen, cubic_rtx_head, cubic_rtt_stop, cubic_keep_timer,
                         cubic_rescued;
    wire [`TCB_CC_W-1:0] cubic_cc;

    congestion by_reno (
        .tcb(tcb), .mss(mss), .now(now), .ticks_per_second(ticks_per_second), .dup_ack_threshold(dup_ack_threshold),
        .new_ack(new_ack), .dup_ack(dup_ack), .rto_fired(rto_fired),
        .ack(ack), .srtt(srtt), .dup_acks(dup_acks), .lost(lost), .sacked(sacked),
        .cwnd(reno_cwnd), .ssthresh(reno_ssthresh), .cwnd_acc(reno_cwnd_acc), .recover(reno_recover),
        .in_recovery(reno_in_recovery), .partial_seen(reno_partial_seen), .rtx_head(reno_rtx_head),
        .rtt_stop(reno_rtt_stop), .keep_timer(reno_keep_timer), .high_rxt(reno_high_rxt),
        .rescued(reno_rescued), .cc(reno_cc)
    );

    cubic by_cubic (
        .tcb(tcb), .mss(mss), .now(now), .ticks_per_second(ticks_per_second), .dup_ack_threshold(dup_ack_threshold),
        .new_ack(new_ack), .dup_ack(dup_ack), .rto_fired(rto_fired),
        .ack(ack), .srtt(srtt), .dup_acks(dup_acks), .lost(lost), .sacked(sacked),
        .cwnd(cubic_cwnd), .ssthresh(cubic_ssthresh), .cwnd_acc(cubic_cwnd_acc), .recover(cubic_recover),
        .in_recovery(cubic_in_recovery), .partial_seen(cubic_partial_seen), .rtx_head(cubic_rtx_head),
        .rtt_stop(cubic_rtt_stop), .keep_timer(cubic_keep_timer), .high_rxt(cubic_high_rxt),
        .rescued(cubic_rescued), .cc(cubic_cc)
    );

    assign {cwnd, ssthresh, cwnd_acc, recover, in_recovery, partial_seen,
            rtx_head, rtt_stop, keep_timer, high_rxt, rescued, cc}
        = tcb[`TCB_CUBIC_EN]
        ? {cubic_cwnd, cubic_ssthresh, cubic_cwnd_acc, cubic_recover, cubic_in_recovery, cubic_partial_seen,
           cubic_rtx_head, cubic_rtt_stop, cubic_keep_timer, cubic_high_rxt, cubic_rescued, cubic_cc}
        : {reno_cwnd, reno_ssthresh, reno_cwnd_acc, reno_recover, reno_in_recovery, reno_partial_seen,
           reno_rtx_head, reno_rtt_stop, reno_keep_timer, reno_high_rxt, reno_rescued, reno_cc};

endmodule

`default_nettype wire
