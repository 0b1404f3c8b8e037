// command_rules: what a COMMAND does (section B, G-6).
//
// Why a block: one case a command, state and actions side by side; the engine around it only moves them.
//
// Combinational. `live`: the generation of the command fits and the phase is not FREE (rule E-1).
// `path_valid`, `nbr_valid`: the path and its neighbor, or the neighbor, that the command or its connection names
// were written; `can_send`: data may go (tx_policy); `nbr_query`: the neighbor's query waits for an answer. `mute`: no frame may leave (rule E-9).
// `loaded_tcb`: TCB of INITIATE (tcb_load). `cached_*`: what UPDATE makes of the TCB (cached_load).
// `passed_up`: rx_check hands the segment of a FORWARD back; its text takes the completion along (tcp_engine).
// `ack_tcb`, `ack_segment`: the state and the segment of a pure ACK sent now (tx_policy with ack_only).
// Outputs: state after, up to two transmit items (kind and body; tx1 is a RELEASE or a FENCE), one message for
// delivery_engine, one completion (status only; the rest is copied from the command; `cpl_ages`: with the ages of
// the neighbor), `snapshot`: the TCP image is written, table writes.
`default_nettype none
`include "chimney_layout.vh"

module command_rules (
    input  wire [`TCB_W-1:0]        tcb,
    input  wire [`SQE_W-1:0]        sqe,
    input  wire [15:0]              sq_index,
    input  wire                     live,
    input  wire                     passed_up,     // FORWARD: the segment is the host's
    input  wire [31:0]              now,
    input  wire [15:0]              mss,           // bytes, options subtracted
    input  wire [31:0]              push_ticks,
    input  wire [31:0]              fin_wait_2_ticks,
    input  wire [31:0]              rto_max,       // ticks
    input  wire                     can_send,      // rule G-1, at START from snd_una on
    input  wire                     path_valid,
    input  wire                     nbr_valid,
    input  wire                     nbr_query,
    input  wire                     mute,
    input  wire [`TCB_W-1:0]        loaded_tcb,
    input  wire [`TCB_W-1:0]        cached_tcb,
    input  wire                     cached_fits,
    input  wire                     cached_wnd,    // the window is taken
    input  wire [`TCB_W-1:0]        ack_tcb,
    input  wire [`TX_SEGMENT_W-1:0] ack_segment,
    input  wire [`PATH_REC_W-1:0]   path_rec,      // the image as a table entry
    input  wire [`NBR_REC_W-1:0]    nbr_rec,

    output reg  [`TCB_W-1:0]        m_tcb,
    output reg                      tx0_valid,
    output reg  [3:0]               tx0_kind,
    output reg  [`TXQ_BODY_W-1:0]   tx0_body,
    output reg                      tx1_valid,
    output reg  [3:0]               tx1_kind,
    output reg  [`TX_RELEASE_W-1:0] tx1_body,
    output reg                      dlv_valid,
    output reg  [`DLV_MSG_W-1:0]    dlv,
    output reg                      cpl_valid,
    output reg  [7:0]               cpl_status,
    output reg                      cpl_ages,
    output reg                      snapshot,
    output reg                      delete,        // INITIATE failed: the look-up entry must go
    output reg                      appended,      // an entry went into the send table
    output reg                      param_we,
    output reg                      path_we,
    output reg                      nbr_we,
    output reg                      path_kill,     // INVALIDATE
    output reg                      nbr_kill,
    output reg                      nbr_answered
);

    `include "../engine/seq.vh"

    localparam FLAG_LAST = 0, FLAG_HOLD = 0, FLAG_UPDATE = 0, FLAG_ABORTIVE = 1,
               FLAG_INHERITED = 2;                 // positions inside sqe.flags
    localparam [7:0]  FLAG_RST = 8'h04, FLAG_ACK = 8'h10;            // TCP flags
    localparam [31:0] THRESHOLD_MAX = `CONSUMED_BATCH;
    localparam [31:0] RESTART_BYTES = `IW_BYTES;

    wire [7:0]  opcode     = sqe[`SQE_OPCODE];
    wire [7:0]  flags      = sqe[`SQE_FLAGS];
    wire [1:0]  phase      = tcb[`TCB_PHASE];
    wire [3:0]  state      = tcb[`TCB_STATE];
    wire        aborted    = tcb[`TCB_ABORTED];
    wire        fin_queued = tcb[`TCB_FIN_QUEUED];
    wire [31:0] snd_una    = tcb[`TCB_SND_UNA];
    wire [31:0] snd_end    = tcb[`TCB_SND_END];
    wire [7:0]  end_status = aborted ? `STATUS_ABORTED : `STATUS_UPLOAD;
    wire        any_out    = tcb[`TCB_SND_MAX] != snd_una;

    // SEND, DISCONNECT
    wire        abortive   = opcode == `OPCODE_DISCONNECT && flags[FLAG_ABORTIVE];
    wire        is_fin     = opcode == `OPCODE_DISCONNECT && !abortive;
    wire        inherited  = is_fin && flags[FLAG_INHERITED];
    wire        too_late   = live && phase == `PHASE_FROZEN && (tcb[`TCB_TERMINATING] || aborted);
    wire        closes     = state == `TCP_STATE_FIN_WAIT_1 || state == `TCP_STATE_CLOSING
                             || state == `TCP_STATE_LAST_ACK;
    wire        over       = state == `TCP_STATE_FIN_WAIT_2 || state == `TCP_STATE_TIME_WAIT
                             || state == `TCP_STATE_CLOSED;             // our stream has ended
    wire        state_ok   = inherited ? phase == `PHASE_LOADED && closes
                               : is_fin ? state == `TCP_STATE_ESTABLISHED || state == `TCP_STATE_CLOSE_WAIT
                                        : !over || phase == `PHASE_FROZEN;
    wire        no_send    = fin_queued || !state_ok;
    wire        no_abort   = phase == `PHASE_LOADED;
    wire [31:0] new_end    = snd_end + sqe[`SQE_LENGTH] + {31'd0, is_fin};
    wire        waits      = is_fin && !inherited && live && phase == `PHASE_FROZEN && !fin_queued && !state_ok;
    // idle restart (RFC 5681 4.1, RFC 9438 4.2): nothing on its way, and nothing sent for a timeout
    wire [31:0] mss32      = {16'd0, mss};
    wire [31:0] mss10      = (mss32 << 3) + (mss32 << 1);
    wire [31:0] fresh_wnd  = min32(mss10, max32(mss32 << 1, RESTART_BYTES));
    wire        restarts   = phase == `PHASE_RUNNING && !any_out && snd_end == snd_una && sqe[`SQE_LENGTH] != 32'd0
                             && now - tcb[`TCB_LAST_TX_TICK] > tcb[`TCB_RTO];
    wire        no_reset   = abortive && live && !no_abort && mute;  // the RST may not leave

    // QUERY, INVALIDATE
    wire [7:0] object  = {6'd0, flags[1:0]};
    wire       of_path = object == `OBJECT_PATH;
    wire       of_nbr  = object == `OBJECT_NEIGHBOR;
    wire       of_conn = !of_path && !of_nbr;
    wire       there   = of_path ? path_valid : of_nbr ? nbr_valid : live;

    // INITIATE, START
    wire route_valid   = path_valid && nbr_valid;
    wire probes_on     = tcb[`TCB_RTX_ON] && (tcb[`TCB_SND_MAX] - snd_una) <= 32'd1    // B-4: the count is one of probes
                         && snd_end - {31'd0, fin_queued} != snd_una && state != `TCP_STATE_FIN_WAIT_2 && !can_send;
    wire backlog_there = (tcb[`TCB_SND_MAX] - snd_una) <= (snd_end - snd_una);

    // TERMINATE
    wire running  = phase == `PHASE_RUNNING;
    wire last_ack = running && (tcb[`TCB_ACK_NOW] || tcb[`TCB_DUP_OWED] != 3'd0 || tcb[`TCB_UNACKED_SEGS] != 8'd0);

    // ---- bodies ----------------------------------------------------------------------------------------------
    reg [`TX_APPEND_W-1:0]   append;
    reg [`TX_HDR_CONN_W-1:0] hdr_conn;
    reg [`TX_HDR_PATH_W-1:0] hdr_path;
    reg [`TX_HDR_NBR_W-1:0]  hdr_nbr;
    reg [`TX_BARRIER_W-1:0]  barrier;
    reg [`TX_SEGMENT_W-1:0]  reset;                // G-6

    always @* begin
        reset = ack_segment;
        reset[`TX_SEGMENT_FLAGS] = FLAG_ACK | FLAG_RST;

        append[`TX_APPEND_START_SEQ] = snd_end;
        append[`TX_APPEND_END_SEQ]   = new_end;
        append[`TX_APPEND_LIST_ADDR] = sqe[`SQE_ADDR];
        append[`TX_APPEND_COUNT]     = sqe[`SQE_COUNT];
        append[`TX_APPEND_COOKIE]    = sqe[`SQE_COOKIE];
        append[`TX_APPEND_LAST]      = (flags[FLAG_LAST] || is_fin) && !inherited;
        append[`TX_APPEND_FIN]       = is_fin;
        append[`TX_APPEND_OPCODE]    = opcode;
        append[`TX_APPEND_SQ_INDEX]  = sq_index;

        hdr_conn[`TX_HDR_CONN_LOCAL_PORT]  = tcb[`TCB_LOCAL_PORT];
        hdr_conn[`TX_HDR_CONN_REMOTE_PORT] = tcb[`TCB_REMOTE_PORT];
        hdr_conn[`TX_HDR_CONN_PATH_ID]     = tcb[`TCB_PATH_ID];
        hdr_conn[`TX_HDR_CONN_FAMILY]      = tcb[`TCB_FAMILY];
        hdr_conn[`TX_HDR_CONN_FLOW_LABEL]  = (opcode == `OPCODE_UPDATE) ? cached_tcb[`TCB_FLOW_LABEL]
                                                                        : tcb[`TCB_FLOW_LABEL];

        hdr_path[`TX_HDR_PATH_NEIGHBOR_ID] = path_rec[`PATH_REC_NEIGHBOR_ID];
        hdr_path[`TX_HDR_PATH_FAMILY]      = path_rec[`PATH_REC_FAMILY];
        hdr_path[`TX_HDR_PATH_SRC_ADDR]    = path_rec[`PATH_REC_SRC_ADDR];
        hdr_path[`TX_HDR_PATH_DST_ADDR]    = path_rec[`PATH_REC_DST_ADDR];

        hdr_nbr[`TX_HDR_NBR_DL_SRC]  = nbr_rec[`NBR_REC_DL_SRC];
        hdr_nbr[`TX_HDR_NBR_DL_DST]  = nbr_rec[`NBR_REC_DL_DST];
        hdr_nbr[`TX_HDR_NBR_VLAN_ID] = nbr_rec[`NBR_REC_VLAN_ID];

        barrier[`TX_BARRIER_COOKIE]   = sqe[`SQE_COOKIE];
        barrier[`TX_BARRIER_SQ_INDEX] = sq_index;
        barrier[`TX_BARRIER_OPCODE]   = opcode;
        barrier[`TX_BARRIER_OBJECT]   = flags[1:0];
    end

    reg       retrieve;                            // mandatory upload (rule E-7)
    reg [7:0] reason;

    // ---- the commands ----------------------------------------------------------------------------------------
    always @* begin
        m_tcb      = tcb;
        tx0_valid  = 1'b0;
        tx0_kind   = `TX_KIND_NONE;
        tx0_body   = {`TXQ_BODY_W{1'b0}};
        tx1_valid  = 1'b0;
        tx1_kind   = `TX_KIND_FENCE;
        tx1_body   = {`TX_RELEASE_W{1'b0}};
        dlv_valid  = 1'b0;
        dlv        = {`DLV_MSG_W{1'b0}};
        cpl_valid  = 1'b0;
        cpl_status = `STATUS_OK;
        cpl_ages   = 1'b0;
        snapshot   = 1'b0;
        delete     = 1'b0;
        appended   = 1'b0;
        param_we   = 1'b0;
        path_we    = 1'b0;
        nbr_we     = 1'b0;
        path_kill    = 1'b0;
        nbr_kill     = 1'b0;
        nbr_answered = 1'b0;
        retrieve     = 1'b0;
        reason       = `UPLOAD_REASON_INVALID_STATE;

        dlv[`DLV_MSG_CONN]     = sqe[`SQE_CONN];
        dlv[`DLV_MSG_GEN]      = sqe[`SQE_GEN];
        dlv[`DLV_MSG_SQ_INDEX] = sq_index;
        dlv[`DLV_MSG_A]        = sqe[`SQE_COOKIE];

        case (opcode)
            `OPCODE_PARAM_WRITE: begin
                param_we  = 1'b1;
                cpl_valid = 1'b1;
            end
            `OPCODE_PATH_WRITE: begin
                path_we   = !flags[FLAG_UPDATE] || path_valid;
                cpl_valid = 1'b1;
                if (!path_we) cpl_status = `STATUS_BAD_STATE;
                tx0_valid = path_we;
                tx0_kind  = `TX_KIND_HDR_PATH;
                tx0_body[`TX_HDR_PATH_W-1:0] = hdr_path;
            end
            `OPCODE_NEIGHBOR_WRITE: begin
                nbr_we    = !flags[FLAG_UPDATE] || nbr_valid;
                cpl_valid = 1'b1;
                if (!nbr_we) cpl_status = `STATUS_BAD_STATE;
                tx0_valid = nbr_we;
                tx0_kind  = `TX_KIND_HDR_NEIGHBOR;
                tx0_body[`TX_HDR_NBR_W-1:0] = hdr_nbr;
            end
            `OPCODE_INITIATE: begin
                cpl_valid  = phase != `PHASE_FREE || !route_valid;
                cpl_status = (phase != `PHASE_FREE) ? `STATUS_BAD_STATE : `STATUS_BAD_IMAGE;
                delete     = phase == `PHASE_FREE && !route_valid;
                if (!cpl_valid) begin
                    m_tcb     = loaded_tcb;
                    dlv_valid = 1'b1;
                    dlv[`DLV_MSG_KIND]       = `DLV_EVT_LOAD;
                    dlv[`DLV_MSG_INFO]       = min32(THRESHOLD_MAX, loaded_tcb[`TCB_INIT_RCV_WND] >> 2);
                    dlv[`DLV_MSG_PUSH_TICKS] = push_ticks;
                    dlv[`DLV_MSG_FIN]        = loaded_tcb[`TCB_FIN_RCVD];
                end
            end
            `OPCODE_START: begin
                cpl_valid  = !(live && phase == `PHASE_LOADED && backlog_there);
                cpl_status = `STATUS_BAD_STATE;
                if (!cpl_valid) begin
                    m_tcb[`TCB_PHASE] = `PHASE_RUNNING;
                    if (tcb[`TCB_RTX_ON]) begin
                        m_tcb[`TCB_RTX_DEADLINE] = tcb[`TCB_RTX_DEADLINE] + now;
                    end else if (state == `TCP_STATE_FIN_WAIT_2) begin
                        m_tcb[`TCB_RTX_ON]       = 1'b1;
                        m_tcb[`TCB_RTX_DEADLINE] = now + fin_wait_2_ticks;
                    end
                    if (probes_on) begin
                        m_tcb[`TCB_PERSIST] = 1'b1;
                        m_tcb[`TCB_SND_NXT] = snd_una;
                    end else begin
                        m_tcb[`TCB_RTO]     = backoff32(tcb[`TCB_RTO], tcb[`TCB_RTX_COUNT], rto_max);
                    end
                    if (tcb[`TCB_KA_ON]) m_tcb[`TCB_KA_DEADLINE] = tcb[`TCB_KA_DEADLINE] + now;
                    m_tcb[`TCB_LAST_TX_TICK] = now;
                    if (tcb[`TCB_TS_EN] && any_out) begin
                        m_tcb[`TCB_RTT_ACTIVE] = 1'b1;
                        m_tcb[`TCB_RTT_SEQ]    = snd_una;
                    end
                    tx0_valid = 1'b1;
                    tx0_kind  = `TX_KIND_HDR_CONN;
                    tx0_body[`TX_HDR_CONN_W-1:0] = hdr_conn;
                    dlv_valid = 1'b1;
                    dlv[`DLV_MSG_KIND] = `DLV_EVT_START;
                    dlv[`DLV_MSG_HOLD] = flags[FLAG_HOLD];
                end
            end
            `OPCODE_SEND, `OPCODE_DISCONNECT: begin
                cpl_valid  = !live || too_late || no_reset || (abortive ? no_abort : no_send);
                cpl_status = too_late ? end_status : (no_reset || waits) ? `STATUS_UPLOAD : `STATUS_BAD_STATE;
                retrieve   = no_reset && !too_late;
                if (!cpl_valid && abortive) begin
                    m_tcb[`TCB_PHASE]         = `PHASE_FROZEN;
                    m_tcb[`TCB_STATE]         = `TCP_STATE_CLOSED;
                    m_tcb[`TCB_ABORTED]       = 1'b1;
                    m_tcb[`TCB_ABORT_OWED]    = 1'b0;
                    m_tcb[`TCB_RELEASE_OWED]  = 1'b0;
                    m_tcb[`TCB_RTX_HEAD]      = 1'b0;
                    m_tcb[`TCB_PROBE_OWED]    = 1'b0;
                    m_tcb[`TCB_ACK_NOW]       = 1'b0;
                    m_tcb[`TCB_DUP_OWED]      = 3'd0;
                    m_tcb[`TCB_UNACKED_SEGS]  = 8'd0;
                    m_tcb[`TCB_DACK_ON]       = 1'b0;
                    m_tcb[`TCB_RTX_ON]        = 1'b0;
                    m_tcb[`TCB_RCV_ADV]       = ack_tcb[`TCB_RCV_ADV];
                    m_tcb[`TCB_LAST_ACK_SENT] = ack_tcb[`TCB_LAST_ACK_SENT];
                    tx0_valid = 1'b1;
                    tx0_kind  = `TX_KIND_SEGMENT;
                    tx0_body[`TX_SEGMENT_W-1:0] = reset;
                    tx1_valid = 1'b1;
                    tx1_kind  = `TX_KIND_RELEASE;
                    tx1_body[`TX_RELEASE_UNA]      = snd_una;
                    tx1_body[`TX_RELEASE_STATUS]   = `STATUS_ABORTED;
                    tx1_body[`TX_RELEASE_CPL]      = 1'b1;
                    tx1_body[`TX_RELEASE_COOKIE]   = sqe[`SQE_COOKIE];
                    tx1_body[`TX_RELEASE_SQ_INDEX] = sq_index;
                    dlv_valid = 1'b1;
                    dlv[`DLV_MSG_KIND]     = `DLV_EVT_NOTIFY;
                    dlv[`DLV_MSG_ABORTED]  = 1'b1;
                    dlv[`DLV_MSG_A]        = 64'd0;
                    dlv[`DLV_MSG_SQ_INDEX] = 16'd0;
                end else if (!cpl_valid) begin
                    m_tcb[`TCB_SND_END]    = new_end;
                    m_tcb[`TCB_FIN_QUEUED] = is_fin;
                    if (restarts) begin
                        m_tcb[`TCB_CWND]     = min32(tcb[`TCB_CWND], fresh_wnd);
                        m_tcb[`TCB_CWND_ACC] = 32'd0;
                        m_tcb[`TCB_CC_LSB+`CUBIC_EPOCH_LSB +: `CUBIC_EPOCH_W] = 1'b0;    // Q-1; it is 0 with Reno
                    end
                    appended  = 1'b1;
                    tx0_valid = 1'b1;
                    tx0_kind  = `TX_KIND_APPEND;
                    tx0_body[`TX_APPEND_W-1:0] = append;
                end
            end
            `OPCODE_TERMINATE: begin
                cpl_valid  = !live || tcb[`TCB_TERMINATING];
                cpl_status = `STATUS_BAD_STATE;
                if (!cpl_valid) begin
                    if (last_ack) begin
                        m_tcb[`TCB_ACK_NOW]  = 1'b0;
                        m_tcb[`TCB_DUP_OWED] = 3'd0;
                    end
                    if (last_ack && !mute) begin
                        tx0_valid = 1'b1;
                        tx0_kind  = `TX_KIND_SEGMENT;
                        tx0_body[`TX_SEGMENT_W-1:0] = ack_segment;
                        m_tcb[`TCB_RCV_ADV]       = ack_tcb[`TCB_RCV_ADV];
                        m_tcb[`TCB_LAST_ACK_SENT] = ack_tcb[`TCB_LAST_ACK_SENT];
                    end
                    if (phase == `PHASE_LOADED) begin
                        m_tcb[`TCB_RTX_DEADLINE] = tcb[`TCB_RTX_DEADLINE] + now;
                        m_tcb[`TCB_KA_DEADLINE]  = tcb[`TCB_KA_DEADLINE] + now;
                    end
                    m_tcb[`TCB_PHASE]        = `PHASE_FROZEN;
                    m_tcb[`TCB_TERMINATING]  = 1'b1;
                    m_tcb[`TCB_ABORT_OWED]   = 1'b0;
                    m_tcb[`TCB_IMG_ADDR]     = sqe[`SQE_ADDR];
                    m_tcb[`TCB_IMG_COOKIE]   = sqe[`SQE_COOKIE];
                    m_tcb[`TCB_IMG_SQ_INDEX] = sq_index;
                    m_tcb[`TCB_RTX_HEAD]     = 1'b0;
                    m_tcb[`TCB_PROBE_OWED]   = 1'b0;
                    m_tcb[`TCB_RELEASE_OWED] = 1'b0;
                    m_tcb[`TCB_DACK_ON]      = 1'b0;
                    m_tcb[`TCB_UNACKED_SEGS] = 8'd0;
                    tx1_valid = 1'b1;
                    tx1_body[`TX_RELEASE_UNA]    = snd_una;
                    tx1_body[`TX_RELEASE_STATUS] = end_status;
                    dlv_valid = 1'b1;
                    dlv[`DLV_MSG_KIND]     = `DLV_EVT_FREEZE;
                    dlv[`DLV_MSG_ABORTED]  = aborted;
                    dlv[`DLV_MSG_A]        = sqe[`SQE_ADDR2];
                    dlv[`DLV_MSG_SQ_INDEX] = 16'd0;
                end
            end
            `OPCODE_UPDATE: begin
                cpl_valid  = 1'b1;
                if (!live || too_late) begin
                    cpl_status = `STATUS_BAD_STATE;
                end else if (!cached_fits) begin
                    cpl_status = `STATUS_RCV_WINDOW;
                end else begin
                    m_tcb     = cached_tcb;
                    tx0_valid = running;
                    tx0_kind  = `TX_KIND_HDR_CONN;
                    tx0_body[`TX_HDR_CONN_W-1:0] = hdr_conn;
                    dlv_valid = cached_wnd;
                    dlv[`DLV_MSG_KIND]     = `DLV_EVT_UPDATE;
                    dlv[`DLV_MSG_INFO]     = min32(THRESHOLD_MAX, cached_tcb[`TCB_INIT_RCV_WND] >> 2);
                    dlv[`DLV_MSG_A]        = 64'd0;
                    dlv[`DLV_MSG_SQ_INDEX] = 16'd0;
                end
            end
            `OPCODE_QUERY: begin
                cpl_valid  = of_nbr || !there;
                cpl_status = there ? `STATUS_OK : `STATUS_BAD_STATE;
                cpl_ages   = of_nbr && there;
                snapshot   = of_conn && there;
            end
            `OPCODE_INVALIDATE: begin
                cpl_valid  = !there;
                cpl_status = `STATUS_BAD_STATE;
                if (there) begin
                    m_tcb[`TCB_INVALID] = tcb[`TCB_INVALID] || of_conn;
                    path_kill = of_path;
                    nbr_kill  = of_nbr;
                    tx0_valid = 1'b1;
                    tx0_kind  = `TX_KIND_BARRIER;
                    tx0_body[`TX_BARRIER_W-1:0] = barrier;
                end
            end
            `OPCODE_NEIGHBOR_ANSWER: begin
                nbr_answered = nbr_valid && nbr_query;
                cpl_valid    = !nbr_answered;
                cpl_status   = `STATUS_BAD_STATE;
            end
            `OPCODE_UPLOAD: begin
                cpl_valid = 1'b1;
                reason    = `UPLOAD_REASON_UPLOAD_REQUESTED;
                if (!live || phase == `PHASE_LOADED) cpl_status = `STATUS_BAD_STATE;
                else                                 retrieve = 1'b1;
            end
            `OPCODE_FORWARD: begin                 // what the segment does is worked out as for one from the wire
                cpl_valid = 1'b1;
                if (!live || phase == `PHASE_LOADED) cpl_status = `STATUS_BAD_STATE;
                else if (phase == `PHASE_FROZEN)     cpl_status = end_status;
                else if (passed_up)                  cpl_status = `STATUS_UPLOAD;
            end
            default: begin                         // command_decode offers nothing else
                cpl_valid  = 1'b1;
                cpl_status = `STATUS_BAD_OPCODE;
            end
        endcase

        if (retrieve && running) begin             // frozen even if an upload was asked for before
            m_tcb[`TCB_PHASE]         = `PHASE_FROZEN;
            m_tcb[`TCB_RETRIEVE_SENT] = 1'b1;
            dlv_valid = !tcb[`TCB_RETRIEVE_SENT];
            dlv[`DLV_MSG_KIND]     = `DLV_EVT_NOTIFY;
            dlv[`DLV_MSG_EVENT]    = `TCP_EVENT_TYPE_RETRIEVE;
            dlv[`DLV_MSG_INFO]     = {24'd0, reason};
            dlv[`DLV_MSG_A]        = 64'd0;
            dlv[`DLV_MSG_SQ_INDEX] = 16'd0;
        end
    end

    wire unused = &{1'b0, sqe, flags, tcb, loaded_tcb, ack_tcb, path_rec, nbr_rec};

endmodule

`default_nettype wire
