// cubic: CUBIC (RFC 9438) with the recovery of NewReno or, with sack_en, of RFC 6675, as a pure function of one event
// (section Q).
//
// Why a block: the other congestion control behind the ports of congestion, which explains them. `cc` is struct cubic.
//
// Combinational. A loss cuts the window to 0.7 (cubic_cut). Then cwnd follows W_cubic, a cube of the time since the
// stage began, in milliseconds: flat where the window was cut last time, K from the beginning of the stage. Where Reno
// would be faster, by the count of w_est, its window is taken.
// There is one evaluator of the cube. K is a cube root: the first 17 ACKs of a stage find a bit of it each, from the
// top, with that evaluator, and meanwhile cwnd is that of Reno; then it draws the curve.
// A window of which less than half is in flight does not grow, and the stage does not grow older with it (Q-6), nor by
// the time between the ACK behind which nothing was out and the next one (Q-7).
`default_nettype none
`include "chimney_layout.vh"

module cubic (
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
    output reg  [`TCB_CC_W-1:0]  cc
);

    `include "../engine/seq.vh"

    localparam [31:0] CWND_LIMIT = `CWND_MAX;
    localparam MS_W    = `CUBIC_K_W;               // milliseconds
    localparam C_W     = $clog2(`CUBIC_C + 1);
    localparam SQUARE_W = 2 * MS_W, THIRD_W = 3 * MS_W, SCALE_W = 16 + C_W, CUBE_W = THIRD_W + SCALE_W;
    localparam EST_W   = 33 + $clog2(`CUBIC_EST_WINDOW + 1);   // est_acc and octets times CUBIC_EST_WINDOW
    localparam [MS_W-1:0]    MS_MAX = `CUBIC_MS_MAX;
    localparam [SCALE_W-1:0] C      = `CUBIC_C;
    localparam [EST_W-1:0]   EST_UP = `CUBIC_EST_UP, EST_WINDOW = `CUBIC_EST_WINDOW;
    localparam [31:0]        K_BITS = `CUBIC_K_W;

    wire [`CUBIC_W-1:0] old      = tcb[`TCB_CC];
    wire [31:0]         old_cwnd = tcb[`TCB_CWND];
    wire [31:0]         mss32    = {16'd0, mss};
    wire [31:0]         base_cwnd, base_acc, cut_from, cut_to, acked;
    wire                cut, avoids;
    wire [`CUBIC_W-1:0] cut_cc;

    loss_recovery recovery (
        .tcb(tcb), .mss(mss), .dup_ack_threshold(dup_ack_threshold),
        .new_ack(new_ack), .dup_ack(dup_ack), .rto_fired(rto_fired),
        .ack(ack), .dup_acks(dup_acks), .lost(lost), .sacked(sacked),
        .cut(cut), .cut_from(cut_from), .cut_to(cut_to), .avoids(avoids), .acked(acked),
        .cwnd(base_cwnd), .ssthresh(ssthresh), .cwnd_acc(base_acc), .recover(recover),
        .in_recovery(in_recovery), .partial_seen(partial_seen), .rtx_head(rtx_head),
        .rtt_stop(rtt_stop), .keep_timer(keep_timer), .high_rxt(high_rxt), .rescued(rescued)
    );

    cubic_cut cutter (.from(cut_from), .cwnd(old_cwnd), .cc(old), .to(cut_to), .m_cc(cut_cc));

    // ---- Q-3: time, and the cube of a time -------------------------------------------------------------------
    localparam MS_WIDE = MS_W + 7;
    wire [MS_WIDE-1:0] factor = (ticks_per_second == 32'd10) ? 100 : (ticks_per_second == 32'd100) ? 10 : 1;

    function [MS_W-1:0] ms(input [31:0] ticks, input [MS_WIDE-1:0] per_tick);
        reg [MS_WIDE-1:0] product;
        begin
            product = {{(MS_WIDE-MS_W){1'b0}}, ticks[MS_W-1:0]} * per_tick;
            ms = (ticks > {{(32-MS_W){1'b0}}, MS_MAX} || product > {{(MS_WIDE-MS_W){1'b0}}, MS_MAX})
                 ? MS_MAX : product[MS_W-1:0];
        end
    endfunction

    wire [MS_W-1:0]     x;                         // set below
    wire [SQUARE_W-1:0] square = {{MS_W{1'b0}}, x} * {{MS_W{1'b0}}, x};
    wire [THIRD_W-1:0]  third  = {{MS_W{1'b0}}, square} * {{SQUARE_W{1'b0}}, x};
    wire [SCALE_W-1:0]  scale  = {{C_W{1'b0}}, mss} * C;
    wire [CUBE_W-1:0]   wide   = {{SCALE_W{1'b0}}, third} * {{THIRD_W{1'b0}}, scale};
    wire [CUBE_W-1:0]   octets = wide >> `CUBIC_C_LOG2;
    wire [31:0]         cube   = (octets > {{(CUBE_W-32){1'b0}}, CWND_LIMIT}) ? CWND_LIMIT : octets[31:0];

    // ---- Q-5.1: what Reno would have -------------------------------------------------------------------------
    function [EST_W-1:0] est(input [31:0] number);
        est = {{(EST_W-32){1'b0}}, number};
    endfunction

    wire [31:0]      w_est    = old[`CUBIC_W_EST];
    wire [EST_W-1:0] window   = est(old_cwnd) * EST_WINDOW;
    wire [EST_W-1:0] est_sum  = {{(EST_W-`CUBIC_EST_ACC_W){1'b0}}, old[`CUBIC_EST_ACC]}
                                + est(acked) * ((w_est < old[`CUBIC_PRIOR]) ? EST_UP : EST_WINDOW);
    wire             est_full = est_sum >= window;
    wire [EST_W-1:0] est_over = est_sum - window;
    wire [EST_W-1:0] est_rest = !est_full ? est_sum : (est_over > window) ? window : est_over;
    wire [31:0]      est_now  = est_full ? min32(w_est + mss32, CWND_LIMIT) : w_est;

    // ---- Q-7: nothing was out behind the last of these ACKs, so what passed since is not the window's time ----------
    wire [31:0] pause  = now - old[`CUBIC_LAST];
    wire [31:0] start  = old[`CUBIC_DRY] ? old[`CUBIC_START] + pause : old[`CUBIC_START];
    wire        is_dry = ack == tcb[`TCB_SND_MAX]; // behind this acknowledgment

    // ---- Q-5.2: the next bit of K, or where the curve is a round trip from now ---------------------------------
    wire [MS_W-1:0] k        = old[`CUBIC_K];
    wire [31:0]     w_max    = old[`CUBIC_W_MAX];
    wire            searches = old[`CUBIC_K_BITS] != {`CUBIC_K_BITS_W{1'b0}};
    wire [`CUBIC_K_BITS_W-1:0] bits_left = old[`CUBIC_K_BITS] - 1'b1;
    wire [MS_W-1:0] tried    = k | ({{(MS_W-1){1'b0}}, 1'b1} << bits_left);      // the bits below are 0 as yet
    wire            bit_set  = cube <= old[`CUBIC_GAP];

    wire [MS_W:0]   arrival  = {1'b0, ms(now - start, factor)} + {1'b0, ms({19'd0, srtt[15:3]}, factor)};
    wire [MS_W-1:0] at       = arrival[MS_W] ? MS_MAX : arrival[MS_W-1:0];
    wire            below    = at < k;             // the curve is below w_max, and rises to it

    assign x = searches ? tried : below ? k - at : at - k;

    wire [32:0] curve  = below ? ((w_max > cube) ? {1'b0, w_max - cube} : 33'd0) : {1'b0, w_max} + {1'b0, cube};
    wire [32:0] most   = {1'b0, old_cwnd} + {2'b00, old_cwnd[31:1]};
    wire [32:0] target = searches ? 33'd0 : (curve < most) ? curve : most;

    // ---- Q-5.3: a segment each time that this much of the way to the target is acknowledged -----------------------
    wire        friendly = {1'b0, est_now} > target;
    wire        behind   = target > {1'b0, old_cwnd};
    wire [32:0] acc_wide = {1'b0, tcb[`TCB_CWND_ACC]} + {1'b0, acked};
    wire [31:0] acc_sum  = acc_wide[32] ? 32'hFFFF_FFFF : acc_wide[31:0];
    wire [31:0] way      = target[31:0] - old_cwnd;               // at most half of cwnd
    wire        due      = {32'd0, acc_sum} * {32'd0, way} >= {32'd0, old_cwnd} * {32'd0, mss32};

    // ---- Q-6: less than half of the window is in flight, so it is not what held the sender back -------------------
    wire [31:0] flight  = tcb[`TCB_SND_MAX] - tcb[`TCB_SND_UNA];  // in front of this acknowledgment
    wire        is_used = {flight, 1'b0} >= {1'b0, old_cwnd};

    always @* begin
        cwnd     = base_cwnd;
        cwnd_acc = base_acc;
        cc       = old;
        if (cut) cc = cut_cc;
        if (rto_fired) begin                       // the stage behind it begins at w_max (RFC 9438 4.8)
            cc[`CUBIC_EPOCH] = 1'b0;
            cc[`CUBIC_W_MAX] = 32'd0;
        end
        if (avoids && !is_used) begin              // Q-6: the curve moves on by the pause, once with Q-7, too
            if (old[`CUBIC_EPOCH]) begin
                cc[`CUBIC_START] = old[`CUBIC_START] + pause;
                cc[`CUBIC_LAST]  = now;
                cc[`CUBIC_DRY]   = is_dry;
            end
        end else if (avoids && !old[`CUBIC_EPOCH]) begin   // Q-4
            cwnd_acc            = 32'd0;
            cc[`CUBIC_EPOCH]    = 1'b1;
            cc[`CUBIC_START]    = now;
            cc[`CUBIC_LAST]     = now;
            cc[`CUBIC_DRY]      = is_dry;
            cc[`CUBIC_W_EST]    = old_cwnd;
            cc[`CUBIC_EST_ACC]  = {`CUBIC_EST_ACC_W{1'b0}};
            cc[`CUBIC_K]        = {MS_W{1'b0}};
            cc[`CUBIC_W_MAX]    = max32(w_max, old_cwnd);
            cc[`CUBIC_GAP]      = (w_max > old_cwnd) ? w_max - old_cwnd : 32'd0;
            cc[`CUBIC_K_BITS]   = (w_max > old_cwnd) ? K_BITS[`CUBIC_K_BITS_W-1:0] : {`CUBIC_K_BITS_W{1'b0}};
        end else if (avoids) begin                 // Q-5
            cc[`CUBIC_START]    = start;
            cc[`CUBIC_LAST]     = now;
            cc[`CUBIC_DRY]      = is_dry;
            cc[`CUBIC_W_EST]    = est_now;
            cc[`CUBIC_EST_ACC]  = est_rest[`CUBIC_EST_ACC_W-1:0];
            if (searches) begin
                cc[`CUBIC_K_BITS] = bits_left;
                if (bit_set) cc[`CUBIC_K] = tried;
            end
            if (friendly) begin
                cwnd     = min32(max32(old_cwnd, est_now), CWND_LIMIT);
                cwnd_acc = 32'd0;
            end else if (behind) begin
                cwnd     = due ? min32(old_cwnd + mss32, CWND_LIMIT) : old_cwnd;
                cwnd_acc = due ? 32'd0 : acc_sum;
            end
        end
    end

    wire unused = &{1'b0, tcb, srtt[2:0], target[32], est_rest[EST_W-1:`CUBIC_EST_ACC_W], octets};

endmodule

`default_nettype wire
