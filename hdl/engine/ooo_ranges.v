// ooo_ranges: what new octets do to the ranges that came out of order (section M: M-2.3 to M-2.7, M-3).
//
// Why a block: the comparisons of a segment with every range at once, with no opinion on whether it is taken.
//
// Combinational. The octets are [start, stop), start < stop but for a FIN alone; `ahead` says whether they lie beyond
// rcv_nxt. Out of order (M-2):
//   known         a range holds all of them already
//   fits          a range is reached by them, or a list is to be had for a new one
//   from, to      the piece that none of the two neighbors holds; app, pre: it goes behind list `slot`, in front of
//                 list `slot2`
// In order (M-3):
//   joins         a range goes on behind them: up to `edge_seq` (else that is `stop`); `slot` is its list, `skip` the
//                 octets of it that came again. Not with fin_here: what lies behind a FIN is no data.
// Both: free, the lists that are given back; again_*, octets that came again (M-1); m_*, the ranges if the octets are
// taken, or known. `last`: no range reaches beyond `stop`.
// `stranded` (out of order): the D-SACK that is owed lies beyond rcv_nxt and not in the new place 0 (M-2.7).
`default_nettype none
`include "chimney_layout.vh"

module ooo_ranges #(
    parameter OOO_RANGES = `OOO_MAX                // ranges a connection may have, 1..OOO_MAX
) (
    input  wire [`TCB_W-1:0]          tcb,
    input  wire                       ahead,
    input  wire                       fin_here,
    input  wire [31:0]                start,
    input  wire [31:0]                stop,

    output wire                       last,
    output wire                       known,
    output wire                       fits,
    output wire [31:0]                from,
    output wire [31:0]                to,
    output wire                       app,
    output wire                       pre,
    output wire [2:0]                 slot2,
    output wire                       joins,
    output wire [31:0]                edge_seq,
    output wire [15:0]                skip,        // octets
    output wire [2:0]                 slot,
    output reg  [`DLV_MSG_FREE_W-1:0] free,
    output wire                       again,
    output wire [31:0]                again_left,
    output wire [31:0]                again_right,
    output wire                       stranded,
    output reg  [`TCB_RR_N_W-1:0]     m_n,
    output reg  [`TCB_RR_LEFT_W-1:0]  m_left,
    output reg  [`TCB_RR_RIGHT_W-1:0] m_right,
    output reg  [`TCB_RR_SLOT_W-1:0]  m_slot
);

    `include "../engine/seq.vh"

    localparam N = OOO_RANGES, SLOT_W = 3, ITEM_W = 64 + SLOT_W;      // an item is {slot, right, left}

    generate
        if (OOO_RANGES < 1 || OOO_RANGES > `OOO_MAX) begin : g_illegal
            ooo_ranges_OOO_RANGES_must_be_1_to_OOO_MAX illegal();
        end
    endgenerate

    wire [`TCB_RR_N_W-1:0]     count  = tcb[`TCB_RR_N];
    wire [`TCB_RR_LEFT_W-1:0]  lefts  = tcb[`TCB_RR_LEFT];
    wire [`TCB_RR_RIGHT_W-1:0] rights = tcb[`TCB_RR_RIGHT];
    wire [`TCB_RR_SLOT_W-1:0]  slots  = tcb[`TCB_RR_SLOT];

    // ---- every range against [start, stop) -------------------------------------------------------------------
    wire [N-1:0]        used, low, high, inner, below, across, beyond, overlaps;
    wire [N*ITEM_W-1:0] items;

    genvar p;
    generate
        for (p = 0; p < N; p = p + 1) begin : g_place
            wire [31:0] left  = lefts[32*p +: 32];
            wire [31:0] right = rights[32*p +: 32];
            wire        starts_before  = seq_le(left, start);
            wire        starts_by_stop = seq_le(left, stop);
            wire        ends_before    = seq_lt(right, stop);
            wire        ends_beyond    = seq_lt(stop, right);
            assign items[ITEM_W*p +: ITEM_W] = {slots[SLOT_W*p +: SLOT_W], right, left};
            assign used[p]     = p < count;
            assign low[p]      = used[p] && starts_before && seq_le(start, right);
            assign high[p]     = used[p] && !starts_before && starts_by_stop && !ends_before;
            assign inner[p]    = used[p] && !starts_before && ends_before;
            assign below[p]    = used[p] && !ends_beyond;
            assign across[p]   = used[p] && starts_by_stop && ends_beyond;
            assign beyond[p]   = used[p] && ends_beyond;
            assign overlaps[p] = used[p] && starts_by_stop && left != stop;
        end
    endgenerate

    assign last = beyond == {N{1'b0}};

    // ---- the ranges that count: the one that start touches, the one that holds stop -----------------------------
    wire [N-1:0] picked_high = ahead ? high : across;
    reg  [ITEM_W-1:0] low_item, high_item;
    reg  [7:0]   busy;                             // slots in use
    reg  [3:0]   vacant;                           // {one is free, which}: the lowest
    integer      n;

    always @* begin
        low_item  = {ITEM_W{1'b0}};
        high_item = {ITEM_W{1'b0}};
        busy      = 8'd0;
        for (n = 0; n < N; n = n + 1) begin
            low_item  = low_item  | (low[n]         ? items[ITEM_W*n +: ITEM_W] : {ITEM_W{1'b0}});
            high_item = high_item | (picked_high[n] ? items[ITEM_W*n +: ITEM_W] : {ITEM_W{1'b0}});
            if (used[n]) busy = busy | (8'd1 << slots[SLOT_W*n +: SLOT_W]);
        end
        vacant = 4'd0;
        for (n = N - 1; n >= 0; n = n - 1)
            if (!busy[n]) vacant = {1'b1, n[2:0]};
    end

    wire [SLOT_W-1:0] low_slot, high_slot;
    wire [31:0]       low_left, low_right, high_left, high_right;
    assign {low_slot, low_right, low_left}    = low_item;
    assign {high_slot, high_right, high_left} = high_item;

    assign app   = low != {N{1'b0}};
    assign known = app && seq_le(stop, low_right);
    assign pre   = ahead && high != {N{1'b0}};
    assign slot2 = pre ? high_slot : {SLOT_W{1'b0}};
    assign from  = app ? low_right : start;
    assign to    = pre ? high_left : stop;
    assign fits  = app || pre || vacant[3];

    assign joins    = !ahead && !fin_here && across != {N{1'b0}};
    assign edge_seq = joins ? high_right : stop;
    wire [31:0] twice = stop - high_left;
    assign skip     = joins ? twice[15:0] : 16'd0;
    assign slot     = ahead ? (app ? low_slot : pre ? high_slot : vacant[2:0]) : joins ? high_slot : {SLOT_W{1'b0}};

    // ---- what came again: of the ranges inside (in order: of all that overlap) the lowest, two by two -------------
    localparam LEAVES = `OOO_MAX;
    reg [LEAVES-1:0]    asked;
    reg [64*LEAVES-1:0] bounds;                    // {right, left}
    integer             leaf, step;

    always @* begin
        asked  = {LEAVES{1'b0}};
        bounds = {64*LEAVES{1'b0}};
        for (leaf = 0; leaf < N; leaf = leaf + 1) begin
            asked[leaf]           = ahead ? inner[leaf] : overlaps[leaf];
            bounds[64*leaf +: 64] = items[ITEM_W*leaf +: 64];
        end
        for (step = 1; step < LEAVES; step = 2 * step) begin
            for (leaf = 0; leaf < LEAVES; leaf = leaf + 2 * step) begin
                if (!asked[leaf] || (asked[leaf+step] && seq_lt(bounds[64*(leaf+step) +: 32], bounds[64*leaf +: 32])))
                    bounds[64*leaf +: 64] = bounds[64*(leaf+step) +: 64];
                asked[leaf] = asked[leaf] || asked[leaf+step];
            end
        end
    end

    wire [31:0] lowest_left  = bounds[31:0];
    wire [31:0] lowest_right = seq_lt(stop, bounds[63:32]) ? stop : bounds[63:32];
    wire        from_low     = ahead && app && start != low_right;
    wire        from_high    = ahead && pre && stop != high_left;
    assign again       = from_low || asked[0] || from_high;
    assign again_left  = from_low ? start : asked[0] ? lowest_left : high_left;
    assign again_right = from_low ? (known ? stop : low_right) : asked[0] ? lowest_right : stop;

    // ---- the ranges behind it -------------------------------------------------------------------------------
    wire [N-1:0] gone  = !ahead ? (fin_here ? used : below | across) : known ? low : low | high | inner;
    wire [N-1:0] freed = !ahead ? (fin_here ? used : below) : inner;
    wire [31:0] grown_left  = app ? low_left : start;
    wire [31:0] grown_right = pre ? high_right : stop;
    wire [ITEM_W-1:0] fresh = known ? low_item : {slot, grown_right, grown_left};
    wire [N*ITEM_W-1:0] m_items;

    ooo_places #(.PLACES(N), .ITEM_W(ITEM_W)) keeper (
        .ranges(items), .gone(gone), .put(ahead), .fresh(fresh), .m_ranges(m_items)
    );

    wire [31:0] told_left  = tcb[`TCB_DSACK_LEFT];
    wire [31:0] told_right = tcb[`TCB_DSACK_RIGHT];
    assign stranded = tcb[`TCB_DSACK] && seq_lt(tcb[`TCB_RCV_NXT], told_left)
                      && (seq_lt(told_left, grown_left) || seq_lt(grown_right, told_right));

    integer place;

    always @* begin
        free    = {`DLV_MSG_FREE_W{1'b0}};
        m_n     = {{(`TCB_RR_N_W-1){1'b0}}, ahead};
        m_left  = {`TCB_RR_LEFT_W{1'b0}};
        m_right = {`TCB_RR_RIGHT_W{1'b0}};
        m_slot  = {`TCB_RR_SLOT_W{1'b0}};
        for (place = 0; place < N; place = place + 1) begin
            if (freed[place]) free = free | (8'd1 << slots[SLOT_W*place +: SLOT_W]);
            if (used[place] && !gone[place]) m_n = m_n + 4'd1;
            m_left[32*place +: 32]          = m_items[ITEM_W*place +: 32];
            m_right[32*place +: 32]         = m_items[ITEM_W*place+32 +: 32];
            m_slot[SLOT_W*place +: SLOT_W]  = m_items[ITEM_W*place+64 +: SLOT_W];
        end
    end

    wire unused = &{1'b0, tcb, lefts, rights, slots, twice[31:16]};

endmodule

`default_nettype wire
