// sack_scoreboard: what one SACK block of a segment does to the octets that the peer says it has (rule S-1; RFC 2018 8,
// RFC 6675 4 Update).
//
// Why a block: the comparisons of a block with every range at once, apart from what follows of them.
//
// Combinational. `tcb` is the state behind C.8b (and behind the blocks before this one), `block` the number of the
// block of `seg`. In any case ranges that begin at or below snd_una go. `news`: the block covers an octet that no
// range did. A block that has no place although it counts, as SB_RANGES ranges are there and it meets none, is dropped.
// Every edge is compared by its distance from snd_una, so that no block of half the sequence space gets in.
`default_nettype none
`include "chimney_layout.vh"

module sack_scoreboard (
    input  wire [`TCB_W-1:0]          tcb,
    input  wire [`RX_SEG_W-1:0]       seg,
    input  wire [1:0]                 block,

    output wire                       news,
    output wire [`TCB_SB_N_W-1:0]     m_n,
    output reg  [`TCB_SB_LEFT_W-1:0]  m_left,
    output reg  [`TCB_SB_RIGHT_W-1:0] m_right
);

    `include "../engine/seq.vh"

    localparam N = `SB_RANGES, COUNT_W = `TCB_SB_N_W, ITEM_W = 64;   // an item is {right, left}
    localparam [COUNT_W-1:0] FULL = `SB_RANGES, ONE = 1;

    wire [COUNT_W-1:0]           count   = tcb[`TCB_SB_N];
    wire [`TCB_SB_LEFT_W-1:0]    lefts   = tcb[`TCB_SB_LEFT];
    wire [`TCB_SB_RIGHT_W-1:0]   rights  = tcb[`TCB_SB_RIGHT];
    wire [31:0]                  snd_una = tcb[`TCB_SND_UNA];
    wire [31:0]                  snd_max = tcb[`TCB_SND_MAX];

    // ---- the block -------------------------------------------------------------------------------------------
    wire [`RX_SEG_SACK_LEFT_W-1:0]  block_lefts  = seg[`RX_SEG_SACK_LEFT];
    wire [`RX_SEG_SACK_RIGHT_W-1:0] block_rights = seg[`RX_SEG_SACK_RIGHT];
    wire [31:0] left   = block_lefts[{block, 5'd0} +: 32];
    wire [31:0] right  = block_rights[{block, 5'd0} +: 32];
    wire [31:0] left_d = left - snd_una, right_d = right - snd_una;
    wire        there  = {1'b0, block} < seg[`RX_SEG_SACK_N];
    wire        open   = tcb[`TCB_SND_NXT] == snd_max && (tcb[`TCB_IN_RECOVERY] || seq_le(tcb[`TCB_RECOVER], snd_una));
    wire        counts = there && open && left_d != 32'd0 && left_d < right_d && right_d <= snd_max - snd_una;

    // ---- every range against it ------------------------------------------------------------------------------
    wire [N-1:0]        stale, kept, lower, meets, starts_first, ends_last, holds;
    wire [N*ITEM_W-1:0] items;

    genvar p;
    generate
        for (p = 0; p < N; p = p + 1) begin : g_place
            wire [31:0] here_left  = lefts[32*p +: 32];
            wire [31:0] here_right = rights[32*p +: 32];
            wire [31:0] here_d     = here_left - snd_una, end_d = here_right - snd_una;
            wire        used       = p < count;
            assign items[ITEM_W*p +: ITEM_W] = {here_right, here_left};
            assign stale[p]        = used && seq_le(here_left, snd_una);
            assign kept[p]         = used && !stale[p];
            assign lower[p]       = kept[p] && end_d < left_d;
            assign meets[p]        = kept[p] && end_d >= left_d && here_d <= right_d;
            assign starts_first[p] = meets[p] && here_d < left_d;
            assign ends_last[p]    = meets[p] && end_d > right_d;
            assign holds[p]        = kept[p] && here_d <= left_d && end_d >= right_d;
        end
    endgenerate

    reg [COUNT_W-1:0] kept_count, met_count, place;
    reg [31:0]        first, last;                 // of the one range that begins before it, ends behind it
    integer           n;

    always @* begin
        kept_count = {COUNT_W{1'b0}};
        met_count  = {COUNT_W{1'b0}};
        place      = {COUNT_W{1'b0}};
        first      = 32'd0;
        last       = 32'd0;
        for (n = 0; n < N; n = n + 1) begin
            kept_count = kept_count + {{(COUNT_W-1){1'b0}}, kept[n]};
            met_count  = met_count + {{(COUNT_W-1){1'b0}}, meets[n]};
            place      = place + {{(COUNT_W-1){1'b0}}, lower[n]};
            first      = first | (starts_first[n] ? lefts[32*n +: 32] : 32'd0);
            last       = last | (ends_last[n] ? rights[32*n +: 32] : 32'd0);
        end
    end

    wire         taken = counts && (meets != {N{1'b0}} || kept_count < FULL);
    wire [N-1:0] gone  = stale | (taken ? meets : {N{1'b0}});
    wire [ITEM_W-1:0] fresh = {(ends_last != {N{1'b0}}) ? last : right, (starts_first != {N{1'b0}}) ? first : left};

    assign news = taken && holds == {N{1'b0}};
    assign m_n  = taken ? kept_count - met_count + ONE : kept_count;

    // ---- the ranges behind it: the gaps are closed, then those behind the block move one place up ----------------
    wire [N*ITEM_W-1:0] closed;
    reg  [ITEM_W-1:0]   item;
    integer             slot;

    ooo_places #(.PLACES(N), .ITEM_W(ITEM_W)) keeper (
        .ranges(items), .gone(gone), .put(1'b0), .fresh({ITEM_W{1'b0}}), .m_ranges(closed)
    );

    always @* begin
        m_left  = {`TCB_SB_LEFT_W{1'b0}};
        m_right = {`TCB_SB_RIGHT_W{1'b0}};
        item    = closed[0 +: ITEM_W];
        for (slot = 0; slot < N; slot = slot + 1) begin
            if (!taken || slot[COUNT_W-1:0] < place) item = closed[ITEM_W*slot +: ITEM_W];
            else if (slot[COUNT_W-1:0] == place)     item = fresh;
            else if (slot != 0)                      item = closed[ITEM_W*((slot + N - 1) % N) +: ITEM_W];
            m_left[32*slot +: 32]  = item[31:0];
            m_right[32*slot +: 32] = item[63:32];
        end
    end

    wire unused = &{1'b0, tcb, seg};

endmodule

`default_nettype wire
