// cached_load: the cached part of a TCP state image -> the TCB after UPDATE (rules B-9 and K-3).
//
// Why a block: tcb_load's sister; here too the layout of the host's state object meets the layout of the engine's.
//
// Combinational on the state before. `fits`: the header can say the window with this connection's scale; without it
// the caller keeps the old state. `wnd_update`: the image asks for the window to be taken.
// The window that was advertised is not touched: tx_policy never pulls its right edge back.
`default_nettype none
`include "chimney_layout.vh"

module cached_load (
    input  wire [`TCB_W-1:0]          tcb,
    input  wire [`CACHED_IMAGE_W-1:0] image,
    input  wire [31:0]                now,

    output wire                       fits,
    output wire                       wnd_update,
    output reg  [`TCB_W-1:0]          m_tcb
);

    // positions inside cached_flags
    localparam KEEP_ALIVE = 0, KEEP_ALIVE_RESTART = 2, MAX_RT_RESTART = 3, UPDATE_RCV_WND = 4;

    wire [15:0] flags     = image[`CACHED_IMAGE_CACHED_FLAGS];
    wire [31:0] wnd       = image[`CACHED_IMAGE_INITIAL_RCV_WND];
    wire [31:0] label     = image[`CACHED_IMAGE_FLOW_LABEL];
    wire [7:0]  priority8 = image[`CACHED_IMAGE_USER_PRIORITY];
    wire [31:0] said      = tcb[`TCB_RCV_ADV] - tcb[`TCB_RCV_NXT];     // the window as the peer knows it

    // keep-alive: switched off unless a challenge needs it, switched on, begun again
    wire        loaded   = tcb[`TCB_PHASE] == `PHASE_LOADED;           // deadlines are remaining ticks
    wire [31:0] ka_limit = image[`CACHED_IMAGE_KA_TIMEOUT] + (loaded ? 32'd0 : now);
    wire        ka_on    = flags[KEEP_ALIVE] || (tcb[`TCB_KA_ON] && tcb[`TCB_KA_CHALLENGE]);
    wire        ka_again = flags[KEEP_ALIVE_RESTART] || flags[MAX_RT_RESTART];

    assign fits       = wnd <= (32'd65535 << tcb[`TCB_RCV_WS]);
    assign wnd_update = flags[UPDATE_RCV_WND];

    always @* begin
        m_tcb = tcb;
        m_tcb[`TCB_CACHED_FLAGS]        = flags;
        m_tcb[`TCB_RCV_INDICATION_SIZE] = image[`CACHED_IMAGE_RCV_INDICATION_SIZE];
        m_tcb[`TCB_KA_PROBE_COUNT]      = image[`CACHED_IMAGE_KA_PROBE_COUNT];
        m_tcb[`TCB_KA_TIMEOUT]          = image[`CACHED_IMAGE_KA_TIMEOUT];
        m_tcb[`TCB_KA_INTERVAL]         = image[`CACHED_IMAGE_KA_INTERVAL];
        m_tcb[`TCB_MAX_RT]              = image[`CACHED_IMAGE_MAX_RT];
        m_tcb[`TCB_FLOW_LABEL]          = label[`TCB_FLOW_LABEL_W-1:0];
        m_tcb[`TCB_TTL]                 = image[`CACHED_IMAGE_TTL];
        m_tcb[`TCB_TOS]                 = image[`CACHED_IMAGE_TOS];
        m_tcb[`TCB_USER_PRIORITY]       = priority8[`TCB_USER_PRIORITY_W-1:0];
        if (flags[MAX_RT_RESTART]) m_tcb[`TCB_TOTAL_RT] = 32'd0;
        m_tcb[`TCB_KA_ON] = ka_on;
        if (ka_on && (ka_again || !tcb[`TCB_KA_ON])) m_tcb[`TCB_KA_DEADLINE]    = ka_limit;
        if (ka_on && ka_again)                       m_tcb[`TCB_KA_PROBES_SENT] = 8'd0;
        if (!flags[KEEP_ALIVE])                      m_tcb[`TCB_KA_PROBE_OWED]  = 1'b0;
        if (wnd_update) begin
            m_tcb[`TCB_INIT_RCV_WND] = wnd;
            if (tcb[`TCB_PHASE] == `PHASE_RUNNING && wnd != said) m_tcb[`TCB_ACK_NOW] = 1'b1;
        end
    end

    wire unused = &{1'b0, image, label, priority8};

endmodule

`default_nettype wire
