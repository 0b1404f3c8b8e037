// backlog_rules: when the host hears how much may well be queued to send (rule E-11).
//
// Why a block: the throttle of one event (CH-213); nothing else reads what the host was told.
//
// Combinational on the state at the end of an event; the caller knows whether the event may use its message.
// `tell`: the event SEND_BACKLOG_CHANGE is due, with `bytes`, the largest power of two that the path and the peer
// take at once: only for a factor of two up or of four down that is a segment or more, and not within BACKLOG_GAP ticks
// of the last one.
`default_nettype none
`include "chimney_layout.vh"

module backlog_rules (
    input  wire [`TCB_W-1:0] tcb,
    input  wire [31:0]       now,

    output wire              tell,
    output wire [31:0]       bytes
);

    `include "../engine/seq.vh"

    localparam [31:0] GAP = `BACKLOG_GAP;          // ticks

    wire [31:0] told  = tcb[`TCB_BACKLOG_TOLD];
    wire [31:0] since = now - tcb[`TCB_BACKLOG_TICK];
    wire        more  = {1'b0, bytes} >= {told, 1'b0};
    wire        less  = {bytes, 2'b00} <= {2'b00, told};
    wire [31:0] step  = bytes > told ? bytes - told : told - bytes;

    assign bytes = pow2_floor32(min32(tcb[`TCB_MAX_SND_WND], tcb[`TCB_CWND]));
    assign tell  = (more || less) && step >= {16'd0, tcb[`TCB_REMOTE_MSS]} && bytes != told && since >= GAP;

    wire unused = &{1'b0, tcb};

endmodule

`default_nettype wire
