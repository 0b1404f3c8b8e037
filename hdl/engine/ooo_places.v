// ooo_places: the list of out-of-order ranges behind a change: some go, one may come to place 0 (section M).
//
// Why a block: the order of the places is that of RFC 2018 4 (what grew last is told first), and keeping it is a
// pure matter of moving items, apart from what the ranges mean.
//
// Combinational. `ranges` holds {slot, right, left} of place 0 from bit 0 on, all 0 where there is none. The items
// named in `gone` leave, the others close the gaps in their order: each moves by the number of gaps in front of it,
// one binary digit a stage, and since no two of them differ by more than the gaps between them they never meet.
// With `put` the item `fresh` comes to place 0 and the others move one place up; there must be room for it.
`default_nettype none

module ooo_places #(
    parameter PLACES = 8,                          // 1..8
    parameter ITEM_W = 67                          // bits of an item
) (
    input  wire [PLACES*ITEM_W-1:0] ranges,
    input  wire [PLACES-1:0]        gone,
    input  wire                     put,
    input  wire [ITEM_W-1:0]        fresh,
    output wire [PLACES*ITEM_W-1:0] m_ranges
);

    localparam STAGES = 3;                         // digits of the largest move
    localparam LANE_W = STAGES + ITEM_W;           // {places to move, item}

    reg [PLACES*LANE_W-1:0] lanes;
    reg [PLACES*ITEM_W-1:0] closed;
    reg [STAGES-1:0]        gaps;
    reg [LANE_W-1:0]        stays, comes;
    integer                 place, stage;

    assign m_ranges = put ? ((closed << ITEM_W) | {{(PLACES-1)*ITEM_W{1'b0}}, fresh}) : closed;

    always @* begin
        gaps = {STAGES{1'b0}};
        for (place = 0; place < PLACES; place = place + 1) begin
            lanes[place*LANE_W +: LANE_W] = gone[place] ? {LANE_W{1'b0}} : {gaps, ranges[place*ITEM_W +: ITEM_W]};
            gaps = gaps + {{(STAGES-1){1'b0}}, gone[place]};
        end
        // upwards, so that a lane is read before it is written
        for (stage = 0; stage < STAGES; stage = stage + 1) begin
            for (place = 0; place < PLACES; place = place + 1) begin
                stays = lanes[place*LANE_W +: LANE_W];
                comes = {LANE_W{1'b0}};
                if (place + (1 << stage) < PLACES) comes = lanes[(place + (1 << stage))*LANE_W +: LANE_W];
                lanes[place*LANE_W +: LANE_W] = (stays[ITEM_W+stage] ? {LANE_W{1'b0}} : stays)
                                                | (comes[ITEM_W+stage] ? comes : {LANE_W{1'b0}});
            end
        end
        for (place = 0; place < PLACES; place = place + 1)
            closed[place*ITEM_W +: ITEM_W] = lanes[place*LANE_W +: ITEM_W];
    end

endmodule

`default_nettype wire
