// congestion: Reno with the recovery of NewReno (RFC 5681, RFC 6582) or, with sack_en, of RFC 6675, as a pure function
// of one event.
//
// Why a block: another congestion control is another file with these ports (cubic); congestion_choice has them too.
//
// Combinational. `tcb` is the state before the event; at most one of `new_ack`, `dup_ack`, `rto_fired` is set.
// new_ack (rule F-2, S-3): `ack` is above snd_una.   dup_ack (F-3, S-2): `dup_acks` counts this duplicate already;
// with sack_en it brought news, `lost` says that the scoreboard has an octet lost (lost_edge above snd_una), `sacked`
// how many it holds.
// rto_fired (D-2): the retransmission timer ran out and the retry limit is not reached.
// Outputs are the fields after the event (unchanged ones pass through). `rtx_head` asks for the segment at
// snd_una, `rtt_stop` ends a running measurement, `keep_timer` forbids the restart of the timer (F-2). `high_rxt` is
// where the search for holes goes on, `rescued` that the end of a recovery was sent again already (S-6). In a recovery
// with SACK cwnd passes through: sack_pace makes it. `cc` is what a congestion control keeps for itself: Reno keeps
// nothing, has no use for time, and lets it pass.
`default_nettype none
`include "chimney_layout.vh"

module congestion (
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

    output reg  [31:0]           cwnd,
    output wire [31:0]           ssthresh,
    output reg  [31:0]           cwnd_acc,
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

    `include "../engine/seq.vh"

    localparam [31:0] CWND_LIMIT = `CWND_MAX;

    wire [31:0] old_cwnd = tcb[`TCB_CWND];
    wire [31:0] base_cwnd, base_acc, cut_from, acked;
    wire        cut, avoids;

    loss_recovery recovery (
        .tcb(tcb), .mss(mss), .dup_ack_threshold(dup_ack_threshold),
        .new_ack(new_ack), .dup_ack(dup_ack), .rto_fired(rto_fired),
        .ack(ack), .dup_acks(dup_acks), .lost(lost), .sacked(sacked),
        .cut(cut), .cut_from(cut_from), .cut_to(cut_from >> 1), .avoids(avoids), .acked(acked),
        .cwnd(base_cwnd), .ssthresh(ssthresh), .cwnd_acc(base_acc), .recover(recover),
        .in_recovery(in_recovery), .partial_seen(partial_seen), .rtx_head(rtx_head),
        .rtt_stop(rtt_stop), .keep_timer(keep_timer), .high_rxt(high_rxt), .rescued(rescued)
    );

    // one segment for each window that was acknowledged (RFC 5681 3.1)
    wire [31:0] acc_sum = tcb[`TCB_CWND_ACC] + acked;

    always @* begin
        cwnd     = base_cwnd;
        cwnd_acc = base_acc;
        if (avoids) begin
            cwnd_acc = acc_sum;
            if (acc_sum >= old_cwnd) begin
                cwnd_acc = acc_sum - old_cwnd;
                cwnd     = min32(old_cwnd + {16'd0, mss}, CWND_LIMIT);
            end
        end
    end

    assign cc = tcb[`TCB_CC];

    wire unused = &{1'b0, tcb, now, ticks_per_second, srtt, cut};

endmodule

`default_nettype wire
