// sack_blocks: what a pure ACK tells of octets out of order (rule M-4; RFC 2018 4, RFC 2883 4).
//
// Why a block: the order and the number of the blocks are a rule of their own; who sends them is tx_policy's affair.
//
// Combinational. First what came again, if anything did, then the ranges in the order of their places, which is that
// of RFC 2018, as far as the option has room: 4 blocks, 3 beside timestamps. Blocks from sack_n on are 0.
`default_nettype none
`include "chimney_layout.vh"

module sack_blocks (
    input  wire [`TCB_W-1:0]                   tcb,
    output reg  [`TX_SEGMENT_SACK_N_W-1:0]     sack_n,
    output reg  [`TX_SEGMENT_SACK_LEFT_W-1:0]  sack_left,
    output reg  [`TX_SEGMENT_SACK_RIGHT_W-1:0] sack_right
);

    localparam [`TCB_RR_N_W:0] BLOCKS = 4, BLOCKS_WITH_TS = 3;
    localparam WIDTH = `TX_SEGMENT_SACK_LEFT_W;

    wire                       dsack  = tcb[`TCB_DSACK];
    wire [`TCB_RR_N_W-1:0]     ranges = tcb[`TCB_RR_N];
    wire [`TCB_RR_LEFT_W-1:0]  lefts  = tcb[`TCB_RR_LEFT];
    wire [`TCB_RR_RIGHT_W-1:0] rights = tcb[`TCB_RR_RIGHT];
    wire [`TCB_RR_N_W:0]       limit  = tcb[`TCB_TS_EN] ? BLOCKS_WITH_TS : BLOCKS;
    wire [`TCB_RR_N_W:0]       told   = {1'b0, ranges} + {{`TCB_RR_N_W{1'b0}}, dsack};

    wire unused = &{1'b0, tcb, lefts, rights};

    // places from rr_n on are 0, so only the limit has to be cut out
    always @* begin
        sack_n     = (told < limit) ? told[`TX_SEGMENT_SACK_N_W-1:0] : limit[`TX_SEGMENT_SACK_N_W-1:0];
        sack_left  = dsack ? {lefts[WIDTH-33:0], tcb[`TCB_DSACK_LEFT]} : lefts[WIDTH-1:0];
        sack_right = dsack ? {rights[WIDTH-33:0], tcb[`TCB_DSACK_RIGHT]} : rights[WIDTH-1:0];
        if (tcb[`TCB_TS_EN]) begin
            sack_left[WIDTH-1 -: 32]  = 32'd0;
            sack_right[WIDTH-1 -: 32] = 32'd0;
        end
    end

endmodule

`default_nettype wire
