// tcp_engine: one event in, one state change and its actions out (docs/contract/tcp_step.md).
//
// Why a block: the state machine around the rules. Every rule is a combinational module on (state, event,
// environment); this block registers their results between its states and is the only writer of the TCB.
//
//   IDLE    event there: TCB read            CHECK  state arrives; rx_check; path read
//   WORK    the rule of the event; rx_cut    TEXT   (segments only) rx_tracker
//   FINAL   timer policy, late upload request DELETE (INITIATE failed, FENCE_DONE) look-up entry is removed
//   with a SACK scoreboard: LOOK (its sums) before the WORK of a grant or a segment, SUM behind that of any event; of a
//   segment (with blocks, with a scoreboard, or in a recovery with SACK): SCORE for each block, SUM, JUDGE
//   COMMIT  table write, actions, record
//
// s_evt_*: valid/ready sink, ready pulses at COMMIT; s_cmd_*, s_rx_seg are valid while kind says so
//   (s_cmd_seg: FORWARD, which is worked out like a segment).
// put_*: one-cycle pushes into FIFOs; event_arbiter made sure there is room. txq: the second item follows a cycle
//   later. set_*: final state for tx_scheduler and timer_scan. m_img_*: valid/ready source, one entry held.
// 7 cycles from commit to commit for a segment, 6 for any other event (one of them in event_arbiter). With n ranges in
// the scoreboard: a segment at most n in front of it, 4 blocks, n behind it and 1 more, a grant 2 n, any other event n;
// a segment is done after at most 28 cycles, a grant after 22. Without SACK, or with an empty scoreboard, no blocks and
// no recovery, not a cycle more.
`default_nettype none
`include "chimney_layout.vh"

module tcp_engine #(
    parameter CONNS       = 64,                    // connections, power of two, 4..1024
    parameter CONN_W      = $clog2(CONNS),         // derived, do not override
    parameter PATHS       = 8,                     // power of two, 2..65536
    parameter NEIGHBORS   = 8,                     // power of two, 2..65536
    parameter OOO_RANGES  = `OOO_MAX,              // out-of-order ranges a connection, 1..OOO_MAX
    parameter COMMIT_PORT = 1                      // 0: rec_tcp is tied to 0
) (
    input  wire                    clk,
    input  wire                    rst,
    input  wire [31:0]             now,

    input  wire                    s_evt_valid,
    output wire                    s_evt_ready,
    input  wire [3:0]              s_evt_kind,
    input  wire [15:0]             s_evt_conn,
    input  wire [7:0]              s_evt_gen,
    input  wire [31:0]             s_evt_cause,
    input  wire                    s_evt_room,     // 0: text is refused, nothing is asked or told (rule C.12)
    input  wire [`SQE_W-1:0]       s_cmd_sqe,
    input  wire [`TCP_IMAGE_W-1:0] s_cmd_image,
    input  wire [`RX_SEG_W-1:0]    s_cmd_seg,      // FORWARD
    input  wire [`RX_SEG_W-1:0]    s_rx_seg,

    output wire                    put_txq_valid,
    output wire [`TXQ_W-1:0]       put_txq,
    output wire                    put_dlv_valid,
    output wire [`DLV_MSG_W-1:0]   put_dlv,
    output wire                    put_verdict_valid,
    output wire [1:0]              put_verdict,
    output wire                    put_cpl_valid,
    output wire [`CQE_W-1:0]       put_cpl,

    output wire                    set_valid,
    output wire [CONN_W-1:0]       set_conn,
    output wire                    set_pending,
    output wire                    set_deadline_on,
    output wire [31:0]             set_deadline,
    output wire [7:0]              set_gen,

    output wire                    m_img_valid,
    input  wire                    m_img_ready,
    output wire [`TCB_W-1:0]       m_img_tcb,
    output wire [31:0]             m_img_tick,
    output wire [15:0]             m_img_conn,
    output wire                    m_img_whole,
    output wire [63:0]             m_img_addr,
    output wire [63:0]             m_img_cookie,
    output wire [15:0]             m_img_sq_index,
    output wire [7:0]              m_img_opcode,

    output wire                    m_del_valid,
    input  wire                    m_del_ready,
    output wire [15:0]             m_del_conn,
    input  wire                    s_del_done,

    output wire                    append_pulse,
    output wire [15:0]             append_conn,
    output wire                    free_pulse,
    output wire [15:0]             free_conn,

    output wire                    stat_in,
    output wire                    stat_in_packet,
    output wire [15:0]             stat_in_octets,
    output wire                    stat_opened,
    output wire                    stat_closed,
    output wire                    stat_reset,
    output wire                    stat_ipv6,

    output wire                    rec_tcp_valid,
    output wire [`REC_TCP_W-1:0]   rec_tcp,
    output wire                    idle
);

    `include "../engine/seq.vh"

    localparam [3:0] IDLE = 4'd0, CHECK = 4'd1, WORK = 4'd2, TEXT = 4'd3, FINAL = 4'd4,
                     DELETE = 4'd5, DELETING = 4'd6, COMMIT = 4'd7, LOOK = 4'd8, SCORE = 4'd9, SUM = 4'd10,
                     JUDGE = 4'd11;
    localparam [31:0] IP4_TCP_HEADER = 32'd40, IP6_TCP_HEADER = 32'd60;    // bytes
    localparam [15:0] TS_OPTION = 16'd12;
    localparam [31:0] FIN_WAIT_2_SECONDS = `FIN_WAIT_2_SECONDS, PAWS_SECONDS = `PAWS_SECONDS;
    localparam PSH = 3;                                                // position inside the TCP flags
    localparam [12:0] DROP_ONLY = 13'b0100000000000;                   // of rx_check
    localparam ACCEPT = 3;                                             // position inside that
    localparam [15:0] CONNS16 = CONNS[15:0];
    localparam FLAG_UPDATE = 0;                                        // position inside sqe.flags

    reg [3:0]          state_reg;
    reg [31:0]         now_reg;                    // the tick of this commit
    reg [`TCB_W-1:0]   tcb_reg;                    // state of the connection as far as it has been worked out

    wire is_cmd      = s_evt_kind == `TCP_EVT_COMMAND;
    wire is_rx       = s_evt_kind == `TCP_EVT_RX_SEGMENT;
    wire is_grant    = s_evt_kind == `TCP_EVT_TX_GRANT;
    wire is_timer    = s_evt_kind == `TCP_EVT_TIMER;
    wire is_consumed = s_evt_kind == `TCP_EVT_CONSUMED;
    wire is_credit   = s_evt_kind == `TCP_EVT_CREDIT;
    wire is_fence    = s_evt_kind == `TCP_EVT_FENCE_DONE;
    wire is_fault    = s_evt_kind == `TCP_EVT_FAULT;

    wire [7:0] opcode   = s_cmd_sqe[`SQE_OPCODE];
    wire [7:0] flags    = s_cmd_sqe[`SQE_FLAGS];
    wire [7:0] object   = (opcode == `OPCODE_QUERY || opcode == `OPCODE_INVALIDATE) ? {6'd0, flags[1:0]}
                                                                                    : `OBJECT_CONNECTION;
    wire       is_path  = is_cmd && (opcode == `OPCODE_PATH_WRITE || object == `OBJECT_PATH);
    wire       is_nbr   = is_cmd && (opcode == `OPCODE_NEIGHBOR_WRITE || opcode == `OPCODE_NEIGHBOR_ANSWER
                                     || object == `OBJECT_NEIGHBOR);
    wire       is_table = is_path || is_nbr || (is_cmd && opcode == `OPCODE_PARAM_WRITE);
    wire       is_load  = is_cmd && opcode == `OPCODE_INITIATE;
    wire       has_conn = !is_credit && !is_table;

    // a FORWARD is a segment with a completion in place of a verdict (rule B-8)
    wire       is_fwd   = is_cmd && opcode == `OPCODE_FORWARD;
    wire       is_seg   = is_rx || is_fwd;
    wire       is_plain = is_cmd && !is_fwd;       // command_rules says everything
    wire [`RX_SEG_W-1:0] seg = is_fwd ? s_cmd_seg : s_rx_seg;

    // ---- tables ----------------------------------------------------------------------------------------------
    wire                   start  = state_reg == IDLE && s_evt_valid;
    wire                   commit = state_reg == COMMIT;
    wire                   work   = state_reg == WORK;
    wire [`TCB_W-1:0]      read_tcb;
    reg                    write_reg;              // this event may have changed the TCB
    wire [`PARAMS_W-1:0]   params;
    wire [`PATH_REC_W-1:0] image_path;
    wire [`NBR_REC_W-1:0]  image_nbr;
    wire [31:0]            path_mtu, nbr_host_age, nbr_nic_age, nbr_nic_tick;
    wire                   path_valid, path_ipv6, path_invalid, nbr_valid, nbr_invalid, nbr_query;
    wire [11:0]            nbr_vlan;
    wire [15:0]            nbr_id;
    wire                   cmd_param_we, cmd_path_we, cmd_nbr_we, cmd_path_kill, cmd_nbr_kill, cmd_nbr_answered;
    wire                   ask, alive;             // rule E-10

    tcb_table #(.CONNS(CONNS)) tcbs (
        .clk(clk), .rst(rst),
        .re(start && has_conn), .raddr(s_evt_conn[CONN_W-1:0]), .rdata(read_tcb),
        .we(commit && has_conn && write_reg), .waddr(s_evt_conn[CONN_W-1:0]), .wdata(tcb_reg)
    );

    engine_tables #(.PATHS(PATHS), .NEIGHBORS(NEIGHBORS)) tables (
        .clk(clk), .rst(rst), .now(now_reg),
        .image(s_cmd_image), .id(s_evt_conn),
        .param_we(work && is_cmd && cmd_param_we), .path_we(work && is_cmd && cmd_path_we),
        .nbr_we(work && is_cmd && cmd_nbr_we), .update(flags[FLAG_UPDATE]),
        .path_kill(work && is_cmd && cmd_path_kill), .nbr_kill(work && is_cmd && cmd_nbr_kill),
        .nbr_asked(work && ask), .nbr_answered(work && is_cmd && cmd_nbr_answered), .answer(s_cmd_sqe[`SQE_ARG]),
        .nbr_alive(work && alive),
        .m_path(image_path), .m_nbr(image_nbr),
        .params(params),
        .path_re(state_reg == CHECK),
        .path_id(is_path ? s_evt_conn : is_load ? s_cmd_image[`TCP_IMAGE_PATH_ID] : read_tcb[`TCB_PATH_ID]),
        .path_mtu(path_mtu), .path_ipv6(path_ipv6), .path_valid(path_valid), .path_invalid(path_invalid),
        .by_id(is_nbr), .nbr_id(nbr_id), .nbr_valid(nbr_valid), .nbr_invalid(nbr_invalid), .nbr_query(nbr_query),
        .nbr_vlan(nbr_vlan), .nbr_nic_tick(nbr_nic_tick), .nbr_host_age(nbr_host_age), .nbr_nic_age(nbr_nic_age)
    );

    wire [31:0] rto_min     = params[`PARAMS_RTO_MIN];
    wire [31:0] rto_max     = params[`PARAMS_RTO_MAX];
    wire [31:0] rto_initial = params[`PARAMS_RTO_INITIAL];
    wire [31:0] rate        = params[`PARAMS_TICKS_PER_SECOND];
    wire [31:0] fin_wait_2_ticks = FIN_WAIT_2_SECONDS * rate;
    wire [63:0] paws_product = {32'd0, PAWS_SECONDS} * {32'd0, rate};
    wire [31:0] paws_ticks   = (paws_product[63:32] != 32'd0) ? 32'hFFFF_FFFF : paws_product[31:0];

    wire [31:0] ip_room    = path_valid ? path_mtu - (path_ipv6 ? IP6_TCP_HEADER : IP4_TCP_HEADER) : 32'd0;
    wire [15:0] remote_mss = tcb_reg[`TCB_REMOTE_MSS];
    wire [15:0] room_mss   = (ip_room < {16'd0, remote_mss}) ? ip_room[15:0] : remote_mss;
    wire [15:0] mss        = room_mss - (tcb_reg[`TCB_TS_EN] ? TS_OPTION : 16'd0);

    // ---- generation (rule E-1) -------------------------------------------------------------------------------
    reg  live_reg;
    wire fits = has_conn && read_tcb[`TCB_PHASE] != `PHASE_FREE && (is_grant || read_tcb[`TCB_GEN] == s_evt_gen);
    wire run  = live_reg && tcb_reg[`TCB_PHASE] == `PHASE_RUNNING;
    wire abort_grant = is_grant && live_reg && tcb_reg[`TCB_PHASE] == `PHASE_FROZEN && tcb_reg[`TCB_ABORT_OWED]
                       && !tcb_reg[`TCB_TERMINATING];

    // ---- objects: may a frame leave, is the neighbor still known (rules E-9, E-10) ----------------------------
    // A neighbor that was never written has no address: a relinked path makes its connections fall silent.
    wire [31:0] stale_ticks = params[`PARAMS_NCE_STALE_TICKS];
    wire        mute  = tcb_reg[`TCB_INVALID] || path_invalid || nbr_invalid || !nbr_valid;
    wire        stale = nbr_valid && !nbr_query && nbr_nic_age > stale_ticks && nbr_host_age > stale_ticks;

    // ---- segment: check, ACK, text ---------------------------------------------------------------------------
    wire [12:0] checked;
    reg  [12:0] check_reg;
    wire        ck_pass_up, ck_drop, ck_owe_dup, ck_answer, ck_rst, ck_syn, ck_abort, ck_renew, ck_urg, ck_accept,
                ck_zero_probe, ck_ts_update, ck_repeated;
    // rule K-6: the frame belongs to another VLAN than the neighbor
    wire        foreign = is_rx && run && nbr_valid && nbr_vlan != 12'd0
                          && !(seg[`RX_SEG_TAGGED] && seg[`RX_SEG_VLAN_ID] == nbr_vlan);
    assign {ck_pass_up, ck_drop, ck_owe_dup, ck_answer, ck_rst, ck_syn, ck_abort, ck_renew, ck_urg, ck_accept,
            ck_zero_probe, ck_ts_update, ck_repeated} = foreign ? DROP_ONLY : check_reg;

    rx_check check (
        .tcb(read_tcb), .seg(seg), .now(now_reg), .live(fits), .paws_ticks(paws_ticks),
        .pass_up(checked[12]), .drop(checked[11]), .owe_dup(checked[10]), .answer(checked[9]),
        .challenge_rst(checked[8]), .challenge_syn(checked[7]), .abort(checked[6]),
        .retrieve_syn(checked[5]), .retrieve_urg(checked[4]), .accept(checked[ACCEPT]),
        .zero_probe(checked[2]), .ts_update(checked[1]), .repeated(checked[0])
    );

    // the segment and timer rules go on from ka_tcb
    wire              ka_owe, ka_retrieve;
    wire [`TCB_W-1:0] ka_tcb;

    keepalive_rules keepalive (
        .tcb(tcb_reg), .now(now_reg), .ticks_per_second(rate),
        .acceptable(is_seg && ck_accept), .challenge_rst(is_seg && ck_rst), .challenge_syn(is_seg && ck_syn),
        .answer(is_seg && ck_answer), .timer(is_timer && run),
        .owe(ka_owe), .retrieve(ka_retrieve), .m_tcb(ka_tcb)
    );

    wire        new_ack, dup_ack, rto_fired;
    wire [7:0]  dup_acks;
    wire [31:0] cc_cwnd, cc_ssthresh, cc_cwnd_acc, cc_recover;
    wire        cc_in_recovery, cc_partial_seen, cc_rtx_head, cc_rtt_stop, cc_keep_timer;
    wire [31:0] cc_high_rxt;
    wire        cc_rescued, judge_dup;
    wire [`TCB_CC_W-1:0] cc_cc;
    wire [15:0] sampled_srtt;
    wire        judge = state_reg == JUDGE;
    wire [31:0] sb_lost_edge, sb_sacked, sb_pipe, sb_hole, sb_hole_end, sb_top;
    wire [15:0] est_srtt, est_rttvar;
    wire [31:0] est_rto;
    wire [`TCB_W-1:0] ack_tcb, text_tcb;
    wire        text_deliver, text_hold, text_keep, text_flush, text_fin, text_join, text_app, text_pre;
    wire [15:0] text_off, text_len, text_skip;
    wire [2:0]  text_slot, text_slot2;
    wire [`DLV_MSG_FREE_W-1:0] text_free;
    reg  [15:0] credits_reg;

    congestion_choice control (
        .tcb(tcb_reg), .mss(mss), .now(now_reg), .ticks_per_second(rate),
        .dup_ack_threshold(params[`PARAMS_DUP_ACK_THRESHOLD]),
        .new_ack(is_seg && new_ack && !judge), .dup_ack(judge ? judge_dup : is_seg && dup_ack),
        .rto_fired(is_timer && rto_fired),
        .ack(seg[`RX_SEG_ACK]), .srtt(sampled_srtt), .dup_acks(dup_acks), .lost(sb_lost_edge != tcb_reg[`TCB_SND_UNA]),
        .sacked(sb_sacked),
        .cwnd(cc_cwnd), .ssthresh(cc_ssthresh), .cwnd_acc(cc_cwnd_acc), .recover(cc_recover),
        .in_recovery(cc_in_recovery), .partial_seen(cc_partial_seen), .rtx_head(cc_rtx_head),
        .rtt_stop(cc_rtt_stop), .keep_timer(cc_keep_timer), .high_rxt(cc_high_rxt), .rescued(cc_rescued), .cc(cc_cc)
    );

    rtt_estimator rtt (
        .tcb(tcb_reg), .now(now_reg),
        .ts_present(seg[`RX_SEG_TS_PRESENT]), .tsecr(seg[`RX_SEG_TSECR]),
        .rto_min(rto_min), .rto_max(rto_max),
        .srtt(est_srtt), .rttvar(est_rttvar), .rto(est_rto)
    );

    ack_tracker acks (
        .tcb(ka_tcb), .seg(seg), .now(now_reg), .rto_initial(rto_initial), .rto_max(rto_max),
        .fin_wait_2_ticks(fin_wait_2_ticks), .ts_update(ck_ts_update),
        .new_ack(new_ack), .dup_ack(dup_ack), .dup_acks(dup_acks), .srtt(sampled_srtt),
        .cc_cwnd(cc_cwnd), .cc_ssthresh(cc_ssthresh), .cc_cwnd_acc(cc_cwnd_acc), .cc_recover(cc_recover),
        .cc_in_recovery(cc_in_recovery), .cc_partial_seen(cc_partial_seen), .cc_rtx_head(cc_rtx_head),
        .cc_rtt_stop(cc_rtt_stop), .cc_keep_timer(cc_keep_timer), .cc_high_rxt(cc_high_rxt), .cc_rescued(cc_rescued),
        .cc_cc(cc_cc),
        .est_srtt(est_srtt), .est_rttvar(est_rttvar), .est_rto(est_rto),
        .m_tcb(ack_tcb)
    );

    // ---- scoreboard (section S): blocks are taken one a cycle, then the sums are made, then S-2 is judged ---------
    reg  [1:0]                  block_reg;         // next block of the segment
    reg                         scored_reg, level_reg, news_reg;
    wire                        block_news, sums_done;
    wire [`TCB_SB_N_W-1:0]      scored_n;
    wire [`TCB_SB_LEFT_W-1:0]   scored_left;
    wire [`TCB_SB_RIGHT_W-1:0]  scored_right;
    wire [`TCB_W-1:0]           judged_tcb, paced_tcb;
    wire [`RX_SEG_SACK_N_W-1:0] blocks    = seg[`RX_SEG_SACK_N];
    wire                        has_blocks = blocks != {`RX_SEG_SACK_N_W{1'b0}};
    wire                        last_block = {1'b0, block_reg} + 3'd1 >= blocks || block_reg == 2'd3;
    wire                        has_ranges = tcb_reg[`TCB_SB_N] != {`TCB_SB_N_W{1'b0}};
    wire                        to_score  = is_seg && ck_accept && tcb_reg[`TCB_SACK_EN]
                                            && (has_ranges || has_blocks || tcb_reg[`TCB_IN_RECOVERY]);
    wire                        sum_again = run && has_ranges;
    // the sums in front of a segment are asked for by S-8 alone: in a recovery, or where its blocks may begin one
    wire                        paced = is_seg && checked[ACCEPT] && (has_blocks || read_tcb[`TCB_IN_RECOVERY]);
    wire                        look_first = (is_grant || paced) && fits && read_tcb[`TCB_PHASE] == `PHASE_RUNNING
                                             && read_tcb[`TCB_SB_N] != {`TCB_SB_N_W{1'b0}};

    sack_scoreboard scoreboard (
        .tcb(tcb_reg), .seg(seg), .block(block_reg),
        .news(block_news), .m_n(scored_n), .m_left(scored_left), .m_right(scored_right)
    );

    sack_sums sums (
        .clk(clk), .tcb(tcb_reg), .mss(mss), .dup_ack_threshold(params[`PARAMS_DUP_ACK_THRESHOLD]),
        .clear(state_reg == CHECK || work || state_reg == SCORE), .walk(state_reg == LOOK || state_reg == SUM),
        .done(sums_done),
        .lost_edge(sb_lost_edge), .sacked(sb_sacked), .pipe(sb_pipe), .hole(sb_hole), .hole_end(sb_hole_end),
        .top(sb_top)
    );

    sack_judge duplicates (
        .tcb(tcb_reg), .level(level_reg), .news(news_reg), .dup_ack(judge_dup),
        .cc_ssthresh(cc_ssthresh), .cc_recover(cc_recover), .cc_in_recovery(cc_in_recovery),
        .cc_partial_seen(cc_partial_seen), .cc_rtx_head(cc_rtx_head), .cc_rtt_stop(cc_rtt_stop),
        .cc_high_rxt(cc_high_rxt), .cc_rescued(cc_rescued), .cc_cc(cc_cc),
        .m_tcb(judged_tcb)
    );

    // in front of the segment (S-8, section N)
    reg  [31:0] una_reg, lost_edge_reg, sacked_reg;
    reg         recovering_reg;
    reg  [32:0] credit_reg;                        // signed: what cwnd had left beside pipe

    sack_pace pace (
        .tcb(judged_tcb), .mss(mss), .credit(credit_reg), .una_before(una_reg), .lost_edge_before(lost_edge_reg),
        .sacked_before(sacked_reg), .lost_edge(sb_lost_edge), .sacked(sb_sacked), .pipe(sb_pipe), .m_tcb(paced_tcb)
    );

    // the marks of congestion are looked at in TEXT, when all of C.8 is done (section N)
    wire [`TCB_W-1:0] ecn_tcb;

    ecn_rules marks (
        .tcb(tcb_reg), .seg(seg), .mss(mss), .una_before(una_reg), .recovering_before(recovering_reg), .m_tcb(ecn_tcb)
    );

    // cut in WORK, judged in TEXT
    localparam CUT_W = 68;
    wire [CUT_W-1:0] cut;
    reg  [CUT_W-1:0] cut_reg;
    wire             cut_empty, cut_ahead, cut_fin_here, cut_cropped;
    wire [31:0]      cut_start, repeat_right;
    wire [15:0]      cut_skip, cut_take;
    assign {cut_empty, cut_ahead, cut_fin_here, cut_cropped, cut_start, cut_skip, cut_take} = cut_reg;

    rx_cut cutter (
        .tcb(tcb_reg), .seg(seg),
        .empty(cut[67]), .ahead(cut[66]), .fin_here(cut[65]), .cropped(cut[64]),
        .start(cut[63:32]), .skip(cut[31:16]), .take(cut[15:0]), .repeat_right(repeat_right)
    );

    rx_tracker #(.OOO_RANGES(OOO_RANGES)) text (
        .tcb(ecn_tcb), .seg(seg), .forwarded(is_fwd), .zero_probe(ck_zero_probe),
        .cut_empty(cut_empty), .cut_ahead(cut_ahead), .cut_fin_here(cut_fin_here), .cut_cropped(cut_cropped),
        .cut_start(cut_start), .cut_skip(cut_skip), .cut_take(cut_take), .now(now_reg),
        .ack_frequency(params[`PARAMS_ACK_FREQUENCY]), .delayed_ack_ticks(params[`PARAMS_DELAYED_ACK_TICKS]),
        .credit(credits_reg != 16'd0), .plenty(credits_reg >= CONNS16), .spare(credits_reg > CONNS16),
        .room(s_evt_room),
        .deliver(text_deliver), .hold(text_hold), .keep(text_keep), .flush(text_flush),
        .piece_off(text_off), .piece_len(text_len), .piece_fin(text_fin),
        .list_slot(text_slot), .list_join(text_join), .list_skip(text_skip), .list_app(text_app), .list_pre(text_pre),
        .list_slot2(text_slot2), .list_free(text_free),
        .m_tcb(text_tcb)
    );

    // ---- timer, grant, reports, commands ---------------------------------------------------------------------
    wire [`TCB_W-1:0] timer_tcb, sent_tcb, sync_tcb, loaded_tcb, cmd_tcb, policy_tcb;
    wire timer_retrieve, can_send, seg_valid, release_valid, sync_freed, sync_notify, deadline_on;
    wire [`TX_SEGMENT_W-1:0] segment;

    timer_rules timers (
        .tcb(ka_tcb), .now(now_reg), .max_retransmissions(params[`PARAMS_MAX_RETRANSMISSIONS]), .rto_max(rto_max),
        .rto_fired(rto_fired),
        .cc_cwnd(cc_cwnd), .cc_ssthresh(cc_ssthresh), .cc_cwnd_acc(cc_cwnd_acc), .cc_recover(cc_recover),
        .cc_in_recovery(cc_in_recovery), .cc_partial_seen(cc_partial_seen), .cc_rtx_head(cc_rtx_head),
        .cc_rtt_stop(cc_rtt_stop), .cc_high_rxt(cc_high_rxt), .cc_rescued(cc_rescued), .cc_cc(cc_cc),
        .retrieve(timer_retrieve), .m_tcb(timer_tcb)
    );

    // START asks what could go from snd_una on (B-4)
    reg [`TCB_W-1:0] sender_tcb;
    always @* begin
        sender_tcb = tcb_reg;
        if (work && is_cmd && opcode == `OPCODE_START) sender_tcb[`TCB_SND_NXT] = tcb_reg[`TCB_SND_UNA];
    end

    tx_policy policy (
        .tcb(sender_tcb), .mss(mss), .now(now_reg), .ack_only(is_cmd),
        .dup_ack_threshold(params[`PARAMS_DUP_ACK_THRESHOLD]),
        .sb_lost_edge(sb_lost_edge), .sb_sacked(sb_sacked), .sb_pipe(sb_pipe), .sb_hole(sb_hole),
        .sb_hole_end(sb_hole_end), .sb_top(sb_top),
        .can_send(can_send), .seg_valid(seg_valid), .segment(segment), .release_valid(release_valid), .m_tcb(sent_tcb)
    );

    sync_rules sync (
        .tcb(tcb_reg), .mss(mss), .consumed(is_consumed && live_reg), .fence_done(is_fence && live_reg),
        .fault(is_fault && live_reg), .bytes(s_evt_cause),
        .freed(sync_freed), .notify(sync_notify), .m_tcb(sync_tcb)
    );

    tcb_load load (
        .image(s_cmd_image), .gen(s_evt_gen), .now(now_reg),
        .rto_min(rto_min), .rto_max(rto_max), .rto_initial(rto_initial),
        .dup_ack_threshold(params[`PARAMS_DUP_ACK_THRESHOLD]),
        .m_tcb(loaded_tcb)
    );

    wire [`TCB_W-1:0] cached_tcb;
    wire              cached_fits, cached_wnd;

    cached_load cached (
        .tcb(tcb_reg), .image(s_cmd_image[`CACHED_IMAGE_W-1:0]), .now(now_reg),
        .fits(cached_fits), .wnd_update(cached_wnd), .m_tcb(cached_tcb)
    );

    wire                     cmd_tx0_valid, cmd_tx1_valid, cmd_dlv_valid, cmd_cpl_valid, cmd_delete, cmd_appended;
    wire                     cmd_cpl_ages, cmd_snapshot;
    wire [3:0]               cmd_tx0_kind, cmd_tx1_kind;
    wire [`TXQ_BODY_W-1:0]   cmd_tx0_body;
    wire [`TX_RELEASE_W-1:0] cmd_tx1_body;
    wire [`DLV_MSG_W-1:0]    cmd_dlv;
    wire [7:0]               cmd_cpl_status;

    command_rules commands (
        .tcb(tcb_reg), .sqe(s_cmd_sqe), .sq_index(s_evt_cause[15:0]), .live(live_reg), .now(now_reg), .mss(mss),
        .passed_up(ck_pass_up || ck_urg), .push_ticks(params[`PARAMS_PUSH_TICKS]),
        .fin_wait_2_ticks(fin_wait_2_ticks), .rto_max(rto_max), .can_send(can_send),
        .path_valid(path_valid), .nbr_valid(nbr_valid), .nbr_query(nbr_query), .mute(mute),
        .loaded_tcb(loaded_tcb), .cached_tcb(cached_tcb), .cached_fits(cached_fits), .cached_wnd(cached_wnd),
        .ack_tcb(sent_tcb), .ack_segment(segment),
        .path_rec(image_path), .nbr_rec(image_nbr),
        .m_tcb(cmd_tcb),
        .tx0_valid(cmd_tx0_valid), .tx0_kind(cmd_tx0_kind), .tx0_body(cmd_tx0_body),
        .tx1_valid(cmd_tx1_valid), .tx1_kind(cmd_tx1_kind), .tx1_body(cmd_tx1_body),
        .dlv_valid(cmd_dlv_valid), .dlv(cmd_dlv), .cpl_valid(cmd_cpl_valid), .cpl_status(cmd_cpl_status),
        .cpl_ages(cmd_cpl_ages), .snapshot(cmd_snapshot),
        .delete(cmd_delete), .appended(cmd_appended),
        .param_we(cmd_param_we), .path_we(cmd_path_we), .nbr_we(cmd_nbr_we),
        .path_kill(cmd_path_kill), .nbr_kill(cmd_nbr_kill), .nbr_answered(cmd_nbr_answered)
    );

    timer_policy last_word (
        .tcb(tcb_reg), .can_send(can_send), .now(now_reg), .rto_initial(rto_initial),
        .m_tcb(policy_tcb), .pending(set_pending), .deadline_on(deadline_on), .deadline(set_deadline)
    );

    wire        backlog_due;
    wire [31:0] backlog;

    backlog_rules backlogs (.tcb(tcb_reg), .now(now_reg), .tell(backlog_due), .bytes(backlog));

    // ---- WORK: the state after the rule of the event ---------------------------------------------------------
    reg [`TCB_W-1:0] work_tcb;
    reg              notify;                       // NOTIFY message of this stage
    reg [7:0]        notify_event;
    reg [7:0]        notify_info;
    reg              notify_aborted;               // and the connection's requests end ABORTED
    reg              retrieve;                     // mandatory upload (rule E-7)
    reg [1:0]        work_verdict;
    wire [2:0]       dup_owed = tcb_reg[`TCB_DUP_OWED];
    wire             muted    = is_grant && run && seg_valid && mute;        // rule G-0

    // rule E-12
    wire sent_again   = seg_valid && segment[`TX_SEGMENT_HAS_OLD] && !tcb_reg[`TCB_PERSIST];
    wire out_of_order = seg[`RX_SEG_PAY_LEN] != 16'd0 && seq_lt(tcb_reg[`TCB_RCV_NXT], seg[`RX_SEG_SEQ]);

    function [15:0] count16(input [15:0] value);
        count16 = (value == 16'hFFFF) ? value : value + 16'd1;
    endfunction

    always @* begin
        work_tcb     = tcb_reg;
        notify       = 1'b0;
        notify_event = `TCP_EVENT_TYPE_RETRIEVE;
        notify_info  = `UPLOAD_REASON_UPLOAD_REQUESTED;
        notify_aborted = 1'b0;
        retrieve     = 1'b0;
        work_verdict = `VERDICT_NONE;
        if (is_plain) begin
            work_tcb = cmd_tcb;
        end else if (is_seg) begin
            work_verdict = (ck_pass_up || ck_urg) ? `VERDICT_PASS_UP : `VERDICT_DROP;
            retrieve     = ck_renew || ck_urg;
            work_tcb     = ck_accept ? ack_tcb : ka_tcb;
            if (ck_accept && out_of_order) work_tcb[`TCB_OOO_SEGS] = count16(tcb_reg[`TCB_OOO_SEGS]);
            if (ck_owe_dup || ka_owe) work_tcb[`TCB_DUP_OWED] = (dup_owed == 3'd7) ? 3'd7 : dup_owed + 3'd1;
            if (ck_repeated && tcb_reg[`TCB_SACK_EN]) begin
                work_tcb[`TCB_DSACK]       = 1'b1;
                work_tcb[`TCB_DSACK_LEFT]  = seg[`RX_SEG_SEQ];
                work_tcb[`TCB_DSACK_RIGHT] = repeat_right;
            end
            if (ck_abort || ck_renew) work_tcb[`TCB_STATE] = `TCP_STATE_CLOSED;
            if (ck_abort) begin
                work_tcb[`TCB_PHASE]      = `PHASE_FROZEN;
                work_tcb[`TCB_ABORTED]    = 1'b1;
                work_tcb[`TCB_ABORT_OWED] = 1'b1;
                notify         = 1'b1;
                notify_event   = `TCP_EVENT_TYPE_ABORT;
                notify_info    = `UPLOAD_REASON_NONE;
                notify_aborted = 1'b1;
            end
            if (ck_urg) begin
                notify_info = `UPLOAD_REASON_RECEIVED_URGENT_DATA;
                if (ck_ts_update) begin
                    work_tcb[`TCB_TS_RECENT]      = seg[`RX_SEG_TSVAL];
                    work_tcb[`TCB_TS_RECENT_TICK] = now_reg;
                end
            end
        end else if (is_grant) begin
            if (run && !muted) work_tcb = sent_tcb;
            if (run && !muted && sent_again) work_tcb[`TCB_OLD_SEGS] = count16(tcb_reg[`TCB_OLD_SEGS]);
            if (muted) begin                       // frozen even if an upload was asked for before
                work_tcb[`TCB_PHASE]        = `PHASE_FROZEN;
                work_tcb[`TCB_RELEASE_OWED] = 1'b0;
            end
            retrieve    = muted;
            notify_info = `UPLOAD_REASON_INVALID_STATE;
            if (abort_grant) begin
                work_tcb[`TCB_ABORT_OWED]   = 1'b0;
                work_tcb[`TCB_RELEASE_OWED] = 1'b0;
            end
        end else if (is_timer) begin
            if (run) work_tcb = ka_retrieve ? ka_tcb : timer_tcb;
            retrieve    = ka_retrieve || (run && timer_retrieve);
            notify_info = `UPLOAD_REASON_TIMEOUT_EXPIRATION;
        end else begin
            work_tcb    = sync_tcb;
            notify      = sync_notify;
            notify_info = `UPLOAD_REASON_HARDWARE_FAILURE;
        end
        if (retrieve && !tcb_reg[`TCB_RETRIEVE_SENT]) begin
            work_tcb[`TCB_PHASE]         = `PHASE_FROZEN;
            work_tcb[`TCB_RETRIEVE_SENT] = 1'b1;
            notify = 1'b1;
        end
    end

    // ---- FINAL: rules E-3, E-8 and E-11 ----------------------------------------------------------------------
    reg              dlv_valid_reg;
    reg [`TCB_W-1:0] final_tcb;
    wire late_retrieve = run && tcb_reg[`TCB_STATE] == `TCP_STATE_TIME_WAIT && !tcb_reg[`TCB_RETRIEVE_SENT] && !dlv_valid_reg;
    wire tell_backlog  = run && is_rx && s_evt_room && backlog_due && !dlv_valid_reg && !late_retrieve;

    always @* begin
        final_tcb = policy_tcb;
        if (late_retrieve) final_tcb[`TCB_RETRIEVE_SENT] = 1'b1;
        if (tell_backlog) begin
            final_tcb[`TCB_BACKLOG_TOLD] = backlog;
            final_tcb[`TCB_BACKLOG_TICK] = now_reg;
        end
    end

    // ---- messages for delivery_engine ------------------------------------------------------------------------
    reg [`DLV_MSG_W-1:0] dlv_reg;
    reg [`DLV_MSG_W-1:0] dlv_next;
    wire [7:0]           rx_flags = seg[`RX_SEG_FLAGS];

    // the piece ends with the segment: what the peer pushed is its last byte (CH-127)
    wire text_whole = text_off + text_len == seg[`RX_SEG_PAY_OFF] + seg[`RX_SEG_PAY_LEN];

    always @* begin
        dlv_next = {`DLV_MSG_W{1'b0}};
        if (work && is_plain) begin
            dlv_next = cmd_dlv;
        end else begin
            dlv_next[`DLV_MSG_CONN] = s_evt_conn;
            dlv_next[`DLV_MSG_GEN]  = tcb_reg[`TCB_GEN];
            if (state_reg == TEXT && text_flush) begin
                dlv_next[`DLV_MSG_KIND]    = `DLV_EVT_FLUSH;
            end else if (state_reg == TEXT) begin
                dlv_next[`DLV_MSG_KIND]    = text_hold ? `DLV_EVT_HOLD : `DLV_EVT_DELIVER;
                dlv_next[`DLV_MSG_ARRIVAL] = seg[`RX_SEG_ARRIVAL];
                dlv_next[`DLV_MSG_OFFSET]  = text_off;
                dlv_next[`DLV_MSG_LEN]     = text_len;
                dlv_next[`DLV_MSG_PSH]     = rx_flags[PSH] && (text_len == 16'd0 || text_whole);
                dlv_next[`DLV_MSG_FIN]     = text_fin;
                dlv_next[`DLV_MSG_SLOT]    = text_slot;
                dlv_next[`DLV_MSG_JOIN]    = text_join;
                dlv_next[`DLV_MSG_SKIP]    = text_skip;
                dlv_next[`DLV_MSG_APP]     = text_app;
                dlv_next[`DLV_MSG_PRE]     = text_pre;
                dlv_next[`DLV_MSG_SLOT2]   = text_slot2;
                dlv_next[`DLV_MSG_FREE]    = text_free;
                if (is_fwd && text_keep) begin
                    dlv_next[`DLV_MSG_OFFSET]   = 16'd0;
                    dlv_next[`DLV_MSG_FWD]      = 1'b1;
                    dlv_next[`DLV_MSG_A]        = s_cmd_sqe[`SQE_ADDR] + {48'd0, text_off};
                    dlv_next[`DLV_MSG_COOKIE]   = s_cmd_sqe[`SQE_COOKIE];
                    dlv_next[`DLV_MSG_SQ_INDEX] = s_evt_cause[15:0];
                end
            end else begin
                dlv_next[`DLV_MSG_KIND]  = `DLV_EVT_NOTIFY;
                dlv_next[`DLV_MSG_ABORTED] = work && notify_aborted;
                dlv_next[`DLV_MSG_EVENT] = work ? notify_event : `TCP_EVENT_TYPE_RETRIEVE;
                dlv_next[`DLV_MSG_INFO]  = {24'd0, work ? notify_info : `UPLOAD_REASON_UPLOAD_REQUESTED};
                if (tell_backlog && state_reg == FINAL) begin
                    dlv_next[`DLV_MSG_EVENT] = `TCP_EVENT_TYPE_SEND_BACKLOG_CHANGE;
                    dlv_next[`DLV_MSG_INFO]  = backlog;
                end
            end
        end
    end

    wire dlv_put = (work && (is_plain ? cmd_dlv_valid : notify)) || (state_reg == TEXT && (text_deliver || text_hold || text_flush))
                   || (state_reg == FINAL && (late_retrieve || tell_backlog));

    // ---- transmit items and completion -----------------------------------------------------------------------
    reg                tx0_valid_reg, tx1_valid_reg, tx1_late_reg, cpl_valid_reg;
    reg [`TXQ_W-1:0]   tx0_reg, tx1_reg, tx0_next, tx1_next;
    reg [`CQE_W-1:0]   cpl_reg, cpl_next;
    wire [7:0]         evt_gen  = is_grant ? tcb_reg[`TCB_GEN] : s_evt_gen;
    wire               tx0_put  = is_cmd ? cmd_tx0_valid : (is_grant && run && seg_valid && !mute);
    wire               tx1_put  = is_cmd ? cmd_tx1_valid : ((is_grant && run && release_valid) || abort_grant);
    wire               cpl_put  = (is_cmd && cmd_cpl_valid) || ask;
    assign             ask      = tx0_put && tx0_next[`TXQ_KIND] == `TX_KIND_SEGMENT && stale && s_evt_room;
    // forward progress: the peer acknowledged, echoed what was sent after the last confirmation, answered a probe
    wire [31:0]        echoed   = seg[`RX_SEG_TSECR] - tcb_reg[`TCB_TS_DELTA];
    wire               echoes   = tcb_reg[`TCB_TS_EN] && seg[`RX_SEG_TS_PRESENT] && seq_lt(nbr_nic_tick, echoed);
    wire               answers  = tcb_reg[`TCB_KA_PROBES_SENT] != 8'd0
                                  || (tcb_reg[`TCB_PERSIST] && tcb_reg[`TCB_RTX_COUNT] != 8'd0);
    assign             alive    = is_seg && ck_accept && path_valid && nbr_valid && (new_ack || echoes || answers);
    wire               cpl_drop = state_reg == TEXT && is_fwd && text_keep;   // delivery_engine writes it
    reg [`TX_RELEASE_W-1:0] release_body;

    always @* begin
        release_body = {`TX_RELEASE_W{1'b0}};
        release_body[`TX_RELEASE_UNA]    = tcb_reg[`TCB_SND_UNA];
        release_body[`TX_RELEASE_STATUS] = abort_grant ? `STATUS_ABORTED : `STATUS_OK;

        tx0_next[`TXQ_KIND] = is_cmd ? cmd_tx0_kind : `TX_KIND_SEGMENT;
        tx0_next[`TXQ_CONN] = s_evt_conn;
        tx0_next[`TXQ_GEN]  = evt_gen;
        tx0_next[`TXQ_BODY] = is_cmd ? cmd_tx0_body : {{(`TXQ_BODY_W-`TX_SEGMENT_W){1'b0}}, segment};

        tx1_next[`TXQ_KIND] = is_cmd ? cmd_tx1_kind : `TX_KIND_RELEASE;
        tx1_next[`TXQ_CONN] = s_evt_conn;
        tx1_next[`TXQ_GEN]  = evt_gen;
        tx1_next[`TXQ_BODY] = {{(`TXQ_BODY_W-`TX_RELEASE_W){1'b0}}, is_cmd ? cmd_tx1_body : release_body};

        cpl_next = {`CQE_W{1'b0}};
        cpl_next[`CQE_KIND]     = (opcode == `OPCODE_SEND || opcode == `OPCODE_DISCONNECT) ? `CQ_KIND_SEND
                                : is_fwd ? `CQ_KIND_FORWARD : `CQ_KIND_COMMAND;
        cpl_next[`CQE_STATUS]   = cmd_cpl_status;
        cpl_next[`CQE_CONN]     = s_evt_conn;
        cpl_next[`CQE_GEN]      = s_evt_gen;
        cpl_next[`CQE_CODE]     = opcode;
        cpl_next[`CQE_COOKIE]   = s_cmd_sqe[`SQE_COOKIE];
        cpl_next[`CQE_SQ_INDEX] = s_evt_cause[15:0];
        if (ask) begin
            cpl_next = {`CQE_W{1'b0}};
            cpl_next[`CQE_KIND] = `CQ_KIND_EVENT;
            cpl_next[`CQE_CODE] = `TCP_EVENT_TYPE_NEIGHBOR_QUERY;
            cpl_next[`CQE_CONN] = nbr_id;
        end
        if (ask || cmd_cpl_ages) begin
            cpl_next[`CQE_NBYTES] = nbr_host_age;
            cpl_next[`CQE_INFO]   = nbr_nic_age;
        end
    end

    // ---- registers: data moves only in the state that makes it -----------------------------------------------
    reg [1:0] verdict_reg;
    reg       append_reg, img_reg, delete_reg;

    always @(posedge clk) begin
        if (start) now_reg <= now;
        if (state_reg == CHECK) begin
            tcb_reg   <= has_conn ? read_tcb : {`TCB_W{1'b0}};
            live_reg  <= fits;
            check_reg <= checked;
        end
        if (work) begin
            tcb_reg     <= work_tcb;
            cut_reg     <= cut;
            verdict_reg <= work_verdict;
            write_reg   <= live_reg || (is_load && !cmd_cpl_valid);
            append_reg  <= is_cmd && cmd_appended;
            delete_reg  <= (is_cmd && cmd_delete) || sync_freed;
            img_reg     <= (is_cmd && cmd_snapshot) || sync_freed;
            if (tx0_put) tx0_reg <= tx0_next;
            if (tx1_put) tx1_reg <= tx1_next;
            if (cpl_put) cpl_reg <= cpl_next;
        end
        if (work) begin
            block_reg <= 2'd0;
            level_reg <= seg[`RX_SEG_ACK] == tcb_reg[`TCB_SND_UNA];
            news_reg  <= 1'b0;
            una_reg        <= tcb_reg[`TCB_SND_UNA];
            recovering_reg <= tcb_reg[`TCB_IN_RECOVERY];
            lost_edge_reg  <= sb_lost_edge;
            sacked_reg     <= sb_sacked;
            credit_reg     <= tcb_reg[`TCB_IN_RECOVERY] ? {1'b0, tcb_reg[`TCB_CWND]} - {1'b0, sb_pipe} : 33'd0;
        end
        if (state_reg == SCORE) begin
            block_reg <= block_reg + 2'd1;
            news_reg  <= news_reg || block_news;
            tcb_reg[`TCB_SB_N]     <= scored_n;
            tcb_reg[`TCB_SB_LEFT]  <= scored_left;
            tcb_reg[`TCB_SB_RIGHT] <= scored_right;
        end
        if (judge) tcb_reg <= paced_tcb;
        if (state_reg == TEXT && ck_accept) begin
            tcb_reg     <= text_tcb;
            verdict_reg <= text_keep ? `VERDICT_DELIVER : `VERDICT_DROP;
        end
        if (state_reg == FINAL && live_reg) tcb_reg <= final_tcb;
        if (dlv_put) dlv_reg <= dlv_next;
    end

    always @(posedge clk) begin
        if (rst) begin
            state_reg     <= IDLE;
            dlv_valid_reg <= 1'b0;
            tx0_valid_reg <= 1'b0;
            tx1_valid_reg <= 1'b0;
            tx1_late_reg  <= 1'b0;
            cpl_valid_reg <= 1'b0;
            credits_reg   <= 16'd0;
        end else begin
            case (state_reg)
                IDLE:     if (s_evt_valid) state_reg <= CHECK;
                CHECK:    state_reg <= look_first ? LOOK : WORK;
                LOOK:     if (sums_done) state_reg <= WORK;
                WORK:     state_reg <= to_score ? SCORE : (is_seg && ck_accept) ? TEXT : sum_again ? SUM : FINAL;
                SCORE:    if (last_block) state_reg <= SUM;
                SUM:      if (sums_done) state_reg <= scored_reg ? JUDGE : FINAL;
                JUDGE:    state_reg <= TEXT;
                TEXT:     state_reg <= FINAL;
                FINAL:    state_reg <= delete_reg ? DELETE : COMMIT;
                DELETE:   if (m_del_ready) state_reg <= s_del_done ? COMMIT : DELETING;
                DELETING: if (s_del_done) state_reg <= COMMIT;
                default:  state_reg <= IDLE;
            endcase
            if (work) scored_reg <= to_score;
            if (work) begin
                tx0_valid_reg <= tx0_put;
                tx1_valid_reg <= tx1_put;
                cpl_valid_reg <= cpl_put;
            end
            if (cpl_drop) cpl_valid_reg <= 1'b0;
            if (commit)       dlv_valid_reg <= 1'b0;
            else if (dlv_put) dlv_valid_reg <= 1'b1;
            tx1_late_reg <= commit && tx1_valid_reg;
            if (work && is_credit)                      credits_reg <= credits_reg + s_evt_cause[15:0];
            if (state_reg == TEXT && ck_accept && text_keep) credits_reg <= credits_reg - 16'd1;
        end
    end

    // ---- COMMIT ----------------------------------------------------------------------------------------------
    assign s_evt_ready       = commit;
    assign put_txq_valid     = (commit && tx0_valid_reg) || tx1_late_reg;
    assign put_txq           = tx1_late_reg ? tx1_reg : tx0_reg;
    assign put_dlv_valid     = commit && dlv_valid_reg;
    assign put_dlv           = dlv_reg;
    assign put_verdict_valid = commit && is_rx;
    assign put_verdict       = verdict_reg;
    assign put_cpl_valid     = commit && cpl_valid_reg;
    assign put_cpl           = cpl_reg;
    assign set_valid         = commit && has_conn;
    assign set_conn          = s_evt_conn[CONN_W-1:0];
    assign set_deadline_on   = deadline_on;
    assign set_gen           = tcb_reg[`TCB_GEN];
    assign m_del_valid       = state_reg == DELETE;
    assign m_del_conn        = s_evt_conn;
    assign append_pulse      = commit && append_reg;
    assign append_conn       = s_evt_conn;
    assign free_pulse        = commit && delete_reg;
    assign free_conn         = s_evt_conn;
    assign idle              = state_reg == IDLE && !tx1_late_reg && !m_img_valid;

    image_hold images (
        .clk(clk), .rst(rst),
        .put(commit && img_reg), .query(is_cmd), .tcb(tcb_reg), .tick(now_reg), .conn(s_evt_conn),
        .sqe(s_cmd_sqe), .sq_index(s_evt_cause[15:0]),
        .m_valid(m_img_valid), .m_ready(m_img_ready), .m_tcb(m_img_tcb), .m_tick(m_img_tick), .m_conn(m_img_conn),
        .m_whole(m_img_whole), .m_addr(m_img_addr), .m_cookie(m_img_cookie), .m_sq_index(m_img_sq_index),
        .m_opcode(m_img_opcode)
    );

    commit_stats stats (
        .clk(clk),
        .check(state_reg == CHECK), .before_phase(read_tcb[`TCB_PHASE]), .before_state(read_tcb[`TCB_STATE]),
        .before_family(read_tcb[`TCB_FAMILY]),
        .commit(commit), .written(has_conn && write_reg),
        .after_phase(tcb_reg[`TCB_PHASE]), .after_state(tcb_reg[`TCB_STATE]), .after_family(tcb_reg[`TCB_FAMILY]),
        .is_segment(is_seg && live_reg), .is_packet(is_rx), .verdict(verdict_reg), .seg(seg),
        .stat_in(stat_in), .stat_in_packet(stat_in_packet), .stat_in_octets(stat_in_octets),
        .stat_opened(stat_opened), .stat_closed(stat_closed), .stat_reset(stat_reset),
        .stat_ipv6(stat_ipv6)
    );

    // ---- commit record ---------------------------------------------------------------------------------------
    generate
        if (COMMIT_PORT != 0) begin : g_record
            commit_record record (
                .clk(clk), .rst(rst), .commit(commit),
                .tick(now_reg), .kind(s_evt_kind), .conn(s_evt_conn), .gen(evt_gen), .cause(s_evt_cause),
                .opcode(opcode), .seg(seg), .tcb(tcb_reg), .credits(credits_reg), .verdict(verdict_reg),
                .tx0_valid(tx0_valid_reg), .tx0(tx0_reg), .tx1_valid(tx1_valid_reg), .tx1(tx1_reg),
                .dlv_valid(dlv_valid_reg), .dlv(dlv_reg), .cpl_valid(cpl_valid_reg), .cpl(cpl_reg),
                .img_valid(img_reg), .room(s_evt_room || !(is_rx || is_cmd || is_grant)),
                .rec_tcp_valid(rec_tcp_valid), .rec_tcp(rec_tcp)
            );
        end else begin : g_no_record
            assign rec_tcp_valid = 1'b0;
            assign rec_tcp       = {`REC_TCP_W{1'b0}};
        end
    endgenerate

    wire unused = &{1'b0, s_cmd_sqe, s_evt_conn, params, ck_drop};

endmodule

`default_nettype wire
