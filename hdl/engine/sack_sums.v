// sack_sums: what the scoreboard says of the octets in flight (rule S-4; RFC 6675 4 IsLost, SetPipe).
//
// Why a block: sums over ranges take a cycle a range here, in place of eight adders in a row in front of every decision.
//
// `clear` empties it: then, and after a walk, the outputs are those of `tcb` (without a walk: as long as sb_n is 0).
// `walk` is held until `done`; the ranges are looked at from the highest down, one a cycle, sb_n cycles (1 if none).
// The outputs hold behind it as long as nothing but snd_nxt and windows changes; entering recovery with high_rxt =
// snd_una is no change, as out of recovery the walk asks for the first hole from snd_una on.
//   lost_edge    below it whatever is in no range is lost; snd_una if nothing is   sacked   octets in ranges
//   pipe         octets taken to be on their way
//   hole         the first octet in no range that was not sent again; hole_end: where the range behind it begins
//                (0 if there is none: then hole is not below top)
//   top          behind the highest range; snd_una if there is none
`default_nettype none
`include "chimney_layout.vh"

module sack_sums (
    input  wire              clk,
    input  wire [`TCB_W-1:0] tcb,
    input  wire [15:0]       mss,                  // bytes, options subtracted
    input  wire [7:0]        dup_ack_threshold,
    input  wire              clear,
    input  wire              walk,
    output wire              done,

    output wire [31:0]       lost_edge,
    output wire [31:0]       sacked,
    output wire [31:0]       pipe,
    output wire [31:0]       hole,
    output wire [31:0]       hole_end,
    output wire [31:0]       top
);

    `include "../engine/seq.vh"

    localparam COUNT_W = `TCB_SB_N_W;

    wire [COUNT_W-1:0]         count    = tcb[`TCB_SB_N];
    wire [`TCB_SB_LEFT_W-1:0]  lefts    = tcb[`TCB_SB_LEFT];
    wire [`TCB_SB_RIGHT_W-1:0] rights   = tcb[`TCB_SB_RIGHT];
    wire [31:0]                snd_una  = tcb[`TCB_SND_UNA];
    wire [31:0]                high_rxt = tcb[`TCB_HIGH_RXT];
    wire                       recovers = tcb[`TCB_IN_RECOVERY];

    // where the search for a hole begins
    wire [31:0] from = (recovers && seq_lt(snd_una, high_rxt)) ? high_rxt : snd_una;

    reg [COUNT_W-1:0] seen_reg;                    // ranges looked at
    reg               lost_reg, inside_reg;
    reg [31:0]        sum_reg;                     // octets of the ranges looked at
    reg [31:0]        lost_left_reg, lost_sum_reg; // of the range that makes lost_edge: left, octets from it on
    reg [31:0]        below_reg;                   // octets of ranges below `from`
    reg [31:0]        hole_reg, next_left_reg, top_reg;

    wire [COUNT_W-1:0] seen  = seen_reg + {{(COUNT_W-1){1'b0}}, 1'b1};
    wire [COUNT_W-1:0] place = count - seen;
    wire [31:0] left  = lefts[{place[2:0], 5'd0} +: 32];
    wire [31:0] right = rights[{place[2:0], 5'd0} +: 32];
    wire [31:0] sum   = sum_reg + (right - left);
    wire [23:0] limit = ({16'd0, dup_ack_threshold} - 24'd1) * {8'd0, mss};
    wire        lost  = {{(8-COUNT_W){1'b0}}, seen} >= dup_ack_threshold || sum > {8'd0, limit};
    wire        starts_lower = seq_lt(left, from);
    wire        spans = seq_le(left, from) && seq_lt(from, right);

    assign done = walk && seen >= count;

    always @(posedge clk) begin
        if (clear) begin
            seen_reg      <= {COUNT_W{1'b0}};
            lost_reg      <= 1'b0;
            inside_reg    <= 1'b0;
            sum_reg       <= 32'd0;
            lost_left_reg <= 32'd0;
            lost_sum_reg  <= 32'd0;
            below_reg     <= 32'd0;
            hole_reg      <= 32'd0;
            next_left_reg <= 32'd0;
            top_reg       <= 32'd0;
        end else if (walk && count != {COUNT_W{1'b0}}) begin
            seen_reg <= seen;
            sum_reg  <= sum;
            if (seen_reg == {COUNT_W{1'b0}}) top_reg <= right;
            if (lost && !lost_reg) begin
                lost_reg      <= 1'b1;
                lost_left_reg <= left;
                lost_sum_reg  <= sum;
            end
            if (starts_lower) below_reg <= below_reg + ((spans ? from : right) - left);
            if (spans) begin
                inside_reg <= 1'b1;
                hole_reg   <= right;
            end
            if (seq_lt(from, left)) next_left_reg <= left;           // the last of these is the lowest
        end
    end

    wire [31:0] unsacked_lost = lost_reg ? (lost_left_reg - snd_una) - (sum_reg - lost_sum_reg) : 32'd0;
    wire [31:0] unsacked_from = (from - snd_una) - below_reg;

    assign lost_edge = lost_reg ? lost_left_reg : snd_una;
    assign sacked    = sum_reg;
    assign pipe      = (tcb[`TCB_SND_MAX] - snd_una - sum_reg) - unsacked_lost + (recovers ? unsacked_from : 32'd0);
    assign hole      = inside_reg ? hole_reg : from;
    assign hole_end  = next_left_reg;
    assign top       = (seen_reg != {COUNT_W{1'b0}}) ? top_reg : snd_una;

    wire unused = &{1'b0, tcb, place};

endmodule

`default_nettype wire
