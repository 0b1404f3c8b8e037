// sync_rules: events that other engines report: CONSUMED, FENCE_DONE, FAULT (rules of section E).
//
// Why a block: the few rules that neither the host's commands nor the network cause.
//
// Combinational; the caller masks with the generation check. At most one of the three inputs is set.
// `freed`: the connection ends with this event: look-up entry deleted, delegated image written from `m_tcb`.
// `notify`: NOTIFY {RETRIEVE, HARDWARE_FAILURE}.
`default_nettype none
`include "chimney_layout.vh"

module sync_rules (
    input  wire [`TCB_W-1:0] tcb,
    input  wire [15:0]       mss,                  // bytes, options subtracted
    input  wire              consumed,
    input  wire              fence_done,
    input  wire              fault,
    input  wire [31:0]       bytes,                // CONSUMED

    output wire              freed,
    output wire              notify,
    output reg  [`TCB_W-1:0] m_tcb
);

    `include "../engine/seq.vh"

    wire [1:0]  phase    = tcb[`TCB_PHASE];
    wire [31:0] wnd      = tcb[`TCB_INIT_RCV_WND];
    wire [31:0] read_seq = tcb[`TCB_CONSUMED_SEQ] + bytes;
    wire [31:0] growth   = read_seq + wnd - tcb[`TCB_RCV_ADV];
    wire [31:0] step     = min32(wnd >> 1, {16'd0, mss});             // RFC 9293 3.8.6.2.2
    wire        worth    = !growth[31] && growth >= step;

    wire strike = fault && (phase == `PHASE_RUNNING || phase == `PHASE_FROZEN) && !tcb[`TCB_ABORTED];

    assign freed  = fence_done && phase == `PHASE_FROZEN && tcb[`TCB_TERMINATING];
    assign notify = strike && !tcb[`TCB_RETRIEVE_SENT];

    always @* begin
        m_tcb = tcb;
        if (consumed) begin
            m_tcb[`TCB_CONSUMED_SEQ] = read_seq;
            if (phase == `PHASE_RUNNING && worth) m_tcb[`TCB_ACK_NOW] = 1'b1;
        end
        if (freed) begin
            m_tcb[`TCB_PHASE]       = `PHASE_FREE;
            m_tcb[`TCB_TERMINATING] = 1'b0;
        end
        if (strike) begin
            m_tcb[`TCB_PHASE]         = `PHASE_FROZEN;
            m_tcb[`TCB_ABORTED]       = 1'b1;
            m_tcb[`TCB_RETRIEVE_SENT] = 1'b1;
        end
    end

endmodule

`default_nettype wire
