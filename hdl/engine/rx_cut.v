// rx_cut: which octets of a segment are new, and where they lie (rule C.9, first half).
//
// Why a block: what is left of rcv_nxt, right of the advertised edge or behind a FIN that came before is cut away,
// ahead of every other decision on text; tcp_engine keeps the result in a register, so that the comparisons with
// the out-of-order ranges start from a flip-flop.
//
// Combinational on the state before the event: nothing that C.6 to C.8 change is looked at. The octets to be taken
// are `take` octets from `start` on, `skip` octets behind the first of the segment. `ahead`: they lie beyond
// rcv_nxt, out of order. `fin_here`: the FIN is right behind them. `cropped`: octets to the right were cut away.
// Assumes the segment passed rx_check, but for `repeat_right` (rule M-1): the octet behind what of the segment lies
// left of rcv_nxt.
`default_nettype none
`include "chimney_layout.vh"

module rx_cut (
    input  wire [`TCB_W-1:0]    tcb,
    input  wire [`RX_SEG_W-1:0] seg,

    output wire                 empty,             // neither text nor FIN
    output wire                 ahead,
    output wire                 fin_here,
    output wire                 cropped,
    output wire [31:0]          start,
    output wire [15:0]          skip,              // octets
    output wire [15:0]          take,              // octets
    output wire [31:0]          repeat_right
);

    `include "../engine/seq.vh"

    localparam FIN = 0, SYN = 1;                   // positions inside the TCP flags

    wire [7:0]  flags    = seg[`RX_SEG_FLAGS];
    wire [31:0] seq      = seg[`RX_SEG_SEQ];
    wire [15:0] pay_len  = seg[`RX_SEG_PAY_LEN];
    wire [31:0] rcv_nxt  = tcb[`TCB_RCV_NXT];
    wire [31:0] fin_seq  = tcb[`TCB_OOO_FIN_SEQ];

    wire        old      = seq_lt(seq, rcv_nxt);
    wire [31:0] off      = old ? rcv_nxt - seq : 32'd0;
    wire [31:0] rem      = (off >= {16'd0, pay_len}) ? 32'd0 : {16'd0, pay_len} - off;
    wire [31:0] in_window = min32(rem, tcb[`TCB_RCV_ADV] - start);
    wire        past_fin = tcb[`TCB_OOO_FIN] && seq_lt(fin_seq, start + in_window);
    wire [31:0] to_fin   = seq_lt(fin_seq, start) ? 32'd0 : fin_seq - start;
    wire [31:0] octets   = past_fin ? to_fin : in_window;

    assign empty    = pay_len == 16'd0 && !flags[FIN];
    assign ahead    = seq_lt(rcv_nxt, seq);
    assign start    = old ? rcv_nxt : seq;
    assign skip     = off[15:0];
    assign take     = octets[15:0];
    assign cropped  = octets < rem;
    assign fin_here = flags[FIN] && !cropped;

    wire [31:0] seg_end = seq + {16'd0, pay_len} + {31'd0, flags[SYN]} + {31'd0, flags[FIN]};
    assign repeat_right = seq_lt(seg_end, rcv_nxt) ? seg_end : rcv_nxt;

    wire unused = &{1'b0, tcb, seg, off[31:16], octets[31:16]};

endmodule

`default_nettype wire
