// rx_check: may this segment touch the connection? Rules C.1 to C.7 (RFC 7323 5, RFC 9293 3.10.7.4, RFC 5961).
//
// Why a block: everything that is decided before the ACK field is believed, with no effect of its own.
//
// Combinational on the state before the event. Exactly one of pass_up, drop, owe_dup, answer, challenge_rst,
// challenge_syn, abort, retrieve_syn, retrieve_urg, accept is set:
//   pass_up       the connection does not take segments now; the frame goes to the host
//   drop          nothing happens        owe_dup    drop and owe a duplicate ACK
//   answer        no octets, or an ACK field out of range: drop; keepalive_rules says whether an ACK is owed
//   challenge_*   RST, SYN in the window but not at rcv_nxt: drop; keepalive_rules says whether an ACK is owed
//   abort         RST at rcv_nxt         retrieve_* SYN at rcv_nxt, urgent data: the host must take over
//   accept        go on with ACK and text; `zero_probe`: but ignore text and FIN
// `ts_update` (with accept and retrieve_urg): tsval becomes TS.Recent.
// `repeated` (with owe_dup): octets of it came before (rule M-1).
`default_nettype none
`include "chimney_layout.vh"

module rx_check (
    input  wire [`TCB_W-1:0]    tcb,
    input  wire [`RX_SEG_W-1:0] seg,
    input  wire [31:0]          now,
    input  wire                 live,              // generation fits, phase is not FREE
    input  wire [31:0]          paws_ticks,        // an older TS.Recent says nothing

    output reg                  pass_up,
    output reg                  drop,
    output reg                  owe_dup,
    output reg                  answer,
    output reg                  challenge_rst,
    output reg                  challenge_syn,
    output reg                  abort,
    output reg                  retrieve_syn,
    output reg                  retrieve_urg,
    output reg                  accept,
    output wire                 zero_probe,
    output wire                 ts_update,
    output wire                 repeated
);

    `include "../engine/seq.vh"

    // positions inside the TCP flags field of rx_seg
    localparam FIN = 0, SYN = 1, RST = 2, ACK = 4, URG = 5;

    wire [7:0]  flags   = seg[`RX_SEG_FLAGS];
    wire [31:0] seq     = seg[`RX_SEG_SEQ];
    wire [31:0] ack     = seg[`RX_SEG_ACK];
    wire [31:0] tsval   = seg[`RX_SEG_TSVAL];
    wire        ts_here = seg[`RX_SEG_TS_PRESENT];
    wire [31:0] rcv_nxt = tcb[`TCB_RCV_NXT];
    wire [31:0] rcv_adv = tcb[`TCB_RCV_ADV];
    wire        ts_en   = tcb[`TCB_TS_EN];
    wire [3:0]  state   = tcb[`TCB_STATE];

    wire takes = live && tcb[`TCB_PHASE] == `PHASE_RUNNING
                 && state != `TCP_STATE_TIME_WAIT && state != `TCP_STATE_CLOSED;

    // C.1: what a RST or a SYN does is judged without timestamps (RFC 5961)
    wire ts_judges  = ts_en && !flags[RST] && !flags[SYN];
    wire ts_missing = ts_judges && !ts_here;
    wire ts_older   = seq_lt(tsval, tcb[`TCB_TS_RECENT]);
    wire ts_aged    = (now - tcb[`TCB_TS_RECENT_TICK]) >= paws_ticks;
    wire paws       = ts_judges && ts_here && ts_older && !ts_aged;

    // C.2
    wire [31:0] seg_len = {16'd0, seg[`RX_SEG_PAY_LEN]} + {31'd0, flags[SYN]} + {31'd0, flags[FIN]};
    wire [31:0] seg_end = seq + seg_len - 32'd1;
    wire        text    = seg_len != 32'd0;        // sent again because an ACK was lost, it is always answered (K-7)
    wire        closed  = rcv_nxt == rcv_adv;
    wire        at_next = seq == rcv_nxt;
    wire        seq_in  = seq_le(rcv_nxt, seq) && seq_lt(seq, rcv_adv);
    wire        end_in  = seq_le(rcv_nxt, seg_end) && seq_lt(seg_end, rcv_adv);
    wire        acceptable = closed ? at_next : (seq_in || (text && end_in));

    assign zero_probe = closed && at_next && text;

    // C.5, C.6
    wire ack_bad = seq_lt(ack, tcb[`TCB_SND_UNA] - tcb[`TCB_MAX_SND_WND]) || seq_lt(tcb[`TCB_SND_MAX], ack);
    assign ts_update = ts_en && ts_here && seq_le(seq, tcb[`TCB_LAST_ACK_SENT]) && (!ts_older || ts_aged);

    assign repeated = owe_dup && seq_lt(seq, rcv_nxt);

    wire unused = &{1'b0, tcb, seg};

    always @* begin
        {pass_up, drop, owe_dup, answer} = 4'd0;
        {challenge_rst, challenge_syn, abort, retrieve_syn, retrieve_urg, accept} = 6'd0;
        if (!takes)           pass_up = 1'b1;
        else if (ts_missing)  drop = 1'b1;
        else if (paws)        {owe_dup, answer} = {text, !text};
        else if (!acceptable) begin
            if (flags[RST])   drop = 1'b1;
            else              {owe_dup, answer} = {text, !text};
        end
        else if (flags[RST]) begin
            if (at_next)      abort = 1'b1;
            else              challenge_rst = 1'b1;
        end
        else if (flags[SYN]) begin
            if (at_next)      retrieve_syn = 1'b1;
            else              challenge_syn = 1'b1;
        end
        else if (!flags[ACK]) drop = 1'b1;
        else if (ack_bad)     answer = 1'b1;
        else if (flags[URG])  retrieve_urg = 1'b1;
        else                  accept = 1'b1;
    end

endmodule

`default_nettype wire
