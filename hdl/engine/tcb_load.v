// tcb_load: a TCP state image as the driver writes it -> the TCB of INITIATE (rule B-3).
//
// Why a block: the only place where the layout of the host's state object meets the layout of the engine's.
//
// Combinational. Fields that no line names are 0. `rtx_deadline`, `ka_deadline` hold remaining ticks until START.
`default_nettype none
`include "chimney_layout.vh"

module tcb_load (
    input  wire [`TCP_IMAGE_W-1:0] image,
    input  wire [7:0]              gen,
    input  wire [31:0]             now,
    input  wire [31:0]             rto_min,        // ticks
    input  wire [31:0]             rto_max,        // ticks
    input  wire [31:0]             rto_initial,    // ticks
    input  wire [7:0]              dup_ack_threshold,

    output reg  [`TCB_W-1:0]       m_tcb
);

    `include "../engine/seq.vh"

    localparam KEEP_ALIVE = 0;                                     // inside cached_flags
    localparam FLAG_TS = 0, FLAG_SACK = 1, FLAG_WS = 2, FLAG_ECN = 3, FLAG_CUBIC = 4;     // inside const_flags
    localparam [31:0] NOT_RUNNING = `TIMER_OFF;

    wire [15:0] flags     = image[`TCP_IMAGE_CONST_FLAGS];
    wire [7:0]  snd_scale = image[`TCP_IMAGE_SND_WIND_SCALE];
    wire [7:0]  rcv_scale = image[`TCP_IMAGE_RCV_WIND_SCALE];
    wire [31:0] label     = image[`TCP_IMAGE_FLOW_LABEL];
    wire [7:0]  priority8 = image[`TCP_IMAGE_USER_PRIORITY];
    wire [31:0] state     = image[`TCP_IMAGE_STATE];
    wire [31:0] rcv_nxt   = image[`TCP_IMAGE_RCV_NXT];
    wire [31:0] snd_una   = image[`TCP_IMAGE_SND_UNA];
    wire [15:0] srtt      = image[`TCP_IMAGE_SRTT];
    wire [15:0] rttvar    = image[`TCP_IMAGE_RTTVAR];
    wire [31:0] rtx_left  = image[`TCP_IMAGE_RTX_TIMEOUT_DELTA];
    wire [31:0] ka_left   = image[`TCP_IMAGE_KA_TIMEOUT_DELTA];
    wire        got_fin   = state == {28'd0, `TCP_STATE_CLOSE_WAIT} || state == {28'd0, `TCP_STATE_CLOSING}
                            || state == {28'd0, `TCP_STATE_LAST_ACK};

    wire [31:0] rto       = (srtt == 16'd0) ? rto_initial : rto_of(srtt, rttvar, rto_min, rto_max);
    wire [31:0] snd_max   = image[`TCP_IMAGE_SND_MAX];
    wire [7:0]  dup_acks  = image[`TCP_IMAGE_DUP_ACK_COUNT];
    wire        recovers  = dup_acks >= dup_ack_threshold && snd_max != snd_una;     // fast recovery goes on
    wire [15:0] cached    = image[`TCP_IMAGE_CACHED_FLAGS];
    wire        ka_on     = ka_left != NOT_RUNNING;

    wire unused = &{1'b0, image, cached, snd_scale, rcv_scale, label, priority8};

    always @* begin
        m_tcb = {`TCB_W{1'b0}};
        m_tcb[`TCB_PHASE]               = `PHASE_LOADED;
        m_tcb[`TCB_GEN]                 = gen;
        // const
        m_tcb[`TCB_TS_EN]               = flags[FLAG_TS];
        m_tcb[`TCB_SACK_EN]             = flags[FLAG_SACK];
        m_tcb[`TCB_WS_EN]               = flags[FLAG_WS];
        m_tcb[`TCB_ECN_EN]              = flags[FLAG_ECN];
        m_tcb[`TCB_CUBIC_EN]            = flags[FLAG_CUBIC];
        m_tcb[`TCB_SND_WS]              = flags[FLAG_WS] ? snd_scale[3:0] : 4'd0;
        m_tcb[`TCB_RCV_WS]              = flags[FLAG_WS] ? rcv_scale[3:0] : 4'd0;
        m_tcb[`TCB_FAMILY]              = image[`TCP_IMAGE_FAMILY];
        m_tcb[`TCB_PATH_ID]             = image[`TCP_IMAGE_PATH_ID];
        m_tcb[`TCB_LOCAL_PORT]          = image[`TCP_IMAGE_LOCAL_PORT];
        m_tcb[`TCB_REMOTE_PORT]         = image[`TCP_IMAGE_REMOTE_PORT];
        m_tcb[`TCB_REMOTE_MSS]          = image[`TCP_IMAGE_REMOTE_MSS];
        m_tcb[`TCB_HASH_VALUE]          = image[`TCP_IMAGE_HASH_VALUE];
        // cached
        m_tcb[`TCB_CACHED_FLAGS]        = image[`TCP_IMAGE_CACHED_FLAGS];
        m_tcb[`TCB_INIT_RCV_WND]        = image[`TCP_IMAGE_INITIAL_RCV_WND];
        m_tcb[`TCB_RCV_INDICATION_SIZE] = image[`TCP_IMAGE_RCV_INDICATION_SIZE];
        m_tcb[`TCB_KA_PROBE_COUNT]      = image[`TCP_IMAGE_KA_PROBE_COUNT];
        m_tcb[`TCB_KA_TIMEOUT]          = image[`TCP_IMAGE_KA_TIMEOUT];
        m_tcb[`TCB_KA_INTERVAL]         = image[`TCP_IMAGE_KA_INTERVAL];
        m_tcb[`TCB_MAX_RT]              = image[`TCP_IMAGE_MAX_RT];
        m_tcb[`TCB_FLOW_LABEL]          = label[`TCB_FLOW_LABEL_W-1:0];
        m_tcb[`TCB_TTL]                 = image[`TCP_IMAGE_TTL];
        m_tcb[`TCB_TOS]                 = image[`TCP_IMAGE_TOS];
        m_tcb[`TCB_USER_PRIORITY]       = priority8[`TCB_USER_PRIORITY_W-1:0];
        // delegated
        m_tcb[`TCB_STATE]               = state[`TCB_STATE_W-1:0];
        m_tcb[`TCB_FIN_RCVD]            = got_fin;
        m_tcb[`TCB_DLG_FLAGS]           = image[`TCP_IMAGE_DLG_FLAGS];
        m_tcb[`TCB_KA_PROBES_SENT]      = image[`TCP_IMAGE_KA_PROBES_SENT];
        m_tcb[`TCB_KA_TIMEOUT_DELTA]    = ka_left;
        m_tcb[`TCB_KA_ON]               = ka_on;
        m_tcb[`TCB_KA_CHALLENGE]        = ka_on && !cached[KEEP_ALIVE];
        m_tcb[`TCB_KA_DEADLINE]         = ka_left;
        m_tcb[`TCB_SEND_BACKLOG_SIZE]   = image[`TCP_IMAGE_SEND_BACKLOG_SIZE];
        m_tcb[`TCB_RECEIVE_BACKLOG_SIZE] = image[`TCP_IMAGE_RECEIVE_BACKLOG_SIZE];
        m_tcb[`TCB_DWND]                = image[`TCP_IMAGE_DWND];
        m_tcb[`TCB_SND_UNA]             = snd_una;
        m_tcb[`TCB_SND_NXT]             = image[`TCP_IMAGE_SND_NXT];
        m_tcb[`TCB_SND_MAX]             = snd_max;
        m_tcb[`TCB_SND_END]             = snd_una;
        m_tcb[`TCB_SND_WND]             = image[`TCP_IMAGE_SND_WND];
        m_tcb[`TCB_MAX_SND_WND]         = image[`TCP_IMAGE_MAX_SND_WND];
        m_tcb[`TCB_SND_WL1]             = image[`TCP_IMAGE_SND_WL1];
        m_tcb[`TCB_CWND]                = image[`TCP_IMAGE_CWND];
        m_tcb[`TCB_SSTHRESH]            = image[`TCP_IMAGE_SSTHRESH];
        m_tcb[`TCB_RECOVER]             = recovers ? snd_max : snd_una - 32'd1;
        m_tcb[`TCB_IN_RECOVERY]         = recovers;
        m_tcb[`TCB_HIGH_RXT]            = snd_una;
        m_tcb[`TCB_ECN_EDGE]            = snd_una - 32'd1;
        m_tcb[`TCB_DUP_ACKS]            = dup_acks;
        m_tcb[`TCB_SRTT]                = srtt;
        m_tcb[`TCB_RTTVAR]              = rttvar;
        m_tcb[`TCB_RTO]                 = rto;                   // the back-off of the count is START's
        m_tcb[`TCB_RTX_ON]              = rtx_left != NOT_RUNNING;
        m_tcb[`TCB_RTX_DEADLINE]        = rtx_left;
        m_tcb[`TCB_RTX_COUNT]           = image[`TCP_IMAGE_RTX_COUNT];
        m_tcb[`TCB_SND_WND_PROBE_COUNT] = image[`TCP_IMAGE_SND_WND_PROBE_COUNT];
        m_tcb[`TCB_TOTAL_RT]            = image[`TCP_IMAGE_TOTAL_RT];
        m_tcb[`TCB_RCV_NXT]             = rcv_nxt;
        m_tcb[`TCB_RCV_ADV]             = rcv_nxt + image[`TCP_IMAGE_RCV_WND];
        m_tcb[`TCB_CONSUMED_SEQ]        = rcv_nxt;
        m_tcb[`TCB_LAST_ACK_SENT]       = rcv_nxt;
        m_tcb[`TCB_TS_RECENT]           = image[`TCP_IMAGE_TS_RECENT];
        m_tcb[`TCB_TS_RECENT_TICK]      = now - image[`TCP_IMAGE_TS_RECENT_AGE];
        m_tcb[`TCB_TS_DELTA]            = image[`TCP_IMAGE_TS_TIME] - now;
        m_tcb[`TCB_BACKLOG_TOLD]        = pow2_floor32(min32(image[`TCP_IMAGE_MAX_SND_WND], image[`TCP_IMAGE_CWND]));
        m_tcb[`TCB_BACKLOG_TICK]        = now;
    end

endmodule

`default_nettype wire
