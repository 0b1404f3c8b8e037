// tx_policy: what may be sent now, and the segment that is sent (rules G-1 to G-5, S-5 to S-7, K-3, K-5, N-4).
//
// Why a block: sender side silly window avoidance (RFC 9293 3.8.6.2.1), Nagle's algorithm (3.7.4), the choice between
// retransmission, probe, data, keep-alive and pure ACK, and the window that is advertised live together; nothing else
// builds a segment.
//
// Combinational on `tcb`; sb_*: the sums of the scoreboard for it (sack_sums). `can_send` is rule G-1, or S-6 in a
// recovery with SACK, where sack_choice says what goes again. With a grant, `seg_valid` says whether a SEGMENT leaves,
// `segment` is its tx_segment body, `release_valid` asks for a RELEASE up to snd_una, `m_tcb` is the state after
// the grant. Pure ACK and RST have the sequence number that the peer's window cannot refuse (G-4).
// `ack_only` overrides the choice: a pure ACK is built whatever is owed (TERMINATE, rule B-7); it tells nothing of
// octets out of order, which the connection is about to give up. Every other pure ACK does (sack_blocks).
`default_nettype none
`include "chimney_layout.vh"

module tx_policy (
    input  wire [`TCB_W-1:0]        tcb,
    input  wire [15:0]              mss,           // bytes, options subtracted
    input  wire [31:0]              now,
    input  wire                     ack_only,
    input  wire [7:0]               dup_ack_threshold,

    input  wire [31:0]              sb_lost_edge,
    input  wire [31:0]              sb_sacked,
    input  wire [31:0]              sb_pipe,
    input  wire [31:0]              sb_hole,
    input  wire [31:0]              sb_hole_end,
    input  wire [31:0]              sb_top,

    output wire                     can_send,
    output wire                     seg_valid,
    output reg  [`TX_SEGMENT_W-1:0] segment,
    output wire                     release_valid,
    output reg  [`TCB_W-1:0]        m_tcb
);

    `include "../engine/seq.vh"

    localparam NAGLE = 1;                          // position inside cached_flags
    localparam [7:0] FLAG_FIN = 8'h01, FLAG_PSH = 8'h08, FLAG_ACK = 8'h10, FLAG_ECE = 8'h40, FLAG_CWR = 8'h80;
    localparam [1:0] NOT_ECT = 2'b00, ECT_0 = 2'b10;                 // RFC 3168 5

    wire [31:0] snd_una    = tcb[`TCB_SND_UNA];
    wire [31:0] snd_nxt    = tcb[`TCB_SND_NXT];
    wire [31:0] snd_max    = tcb[`TCB_SND_MAX];
    wire        fin_queued = tcb[`TCB_FIN_QUEUED];
    wire [3:0]  state      = tcb[`TCB_STATE];
    wire [31:0] data_end   = tcb[`TCB_SND_END] - {31'd0, fin_queued};
    wire [31:0] mss32      = {16'd0, mss};
    wire        any_out    = snd_max != snd_una;

    // G-1
    wire may_send = state == `TCP_STATE_ESTABLISHED || state == `TCP_STATE_CLOSE_WAIT
                    || state == `TCP_STATE_FIN_WAIT_1 || state == `TCP_STATE_CLOSING
                    || state == `TCP_STATE_LAST_ACK;
    wire [31:0] snd_wnd = tcb[`TCB_SND_WND];
    wire [31:0] used    = snd_nxt - snd_una;
    // what left the network lets as much in: octets that the peer reports (S-5), else the first two duplicates, which
    // let out new data alone: nothing that a timeout pulled back (S-7)
    wire        sack_en  = tcb[`TCB_SACK_EN];
    wire [7:0]  dup_acks = tcb[`TCB_DUP_ACKS];
    wire        limited  = !sack_en && !tcb[`TCB_IN_RECOVERY] && snd_nxt == snd_max
                           && dup_acks != 8'd0 && dup_acks < dup_ack_threshold;
    wire [31:0] extra    = limited ? mss32 << (dup_acks != 8'd1) : 32'd0;
    wire [32:0] cwnd     = {1'b0, tcb[`TCB_CWND]} + {1'b0, extra};
    wire [32:0] in_net   = {1'b0, used} - {1'b0, sb_sacked};         // signed
    wire [33:0] cc_spare = {1'b0, cwnd} - {in_net[32], in_net};      // signed
    wire [31:0] cc_room  = cc_spare[33] ? 32'd0 : cc_spare[32] ? 32'hFFFF_FFFF : cc_spare[31:0];
    wire [31:0] wnd_room = (snd_wnd > used) ? snd_wnd - used : 32'd0;
    wire [31:0] room     = guided ? wnd_room : min32(cc_room, wnd_room);
    wire [31:0] left   = seq_lt(snd_nxt, data_end) ? data_end - snd_nxt : 32'd0;
    wire [31:0] burst  = min32(min32(left, mss32), room);
    wire [15:0] cached_flags = tcb[`TCB_CACHED_FLAGS];
    // K-5: the last piece, if it is short, waits for what is on its way
    wire held     = cached_flags[NAGLE] && burst == left && left < mss32 && any_out && !fin_queued
                    && !seq_lt(snd_nxt, snd_max);
    wire worth    = burst != 32'd0 && !held && (burst == left || burst == mss32
                                                || (burst << 1) >= tcb[`TCB_MAX_SND_WND]);
    wire fin_only = left == 32'd0 && fin_queued && snd_nxt == data_end;
    wire fresh    = may_send && ((left != 32'd0) ? worth : fin_only);

    // S-6
    wire        guided, open, urgent, again, again_fin, again_rescued;
    wire [31:0] again_seq, again_len, again_high_rxt;

    sack_choice choice (
        .tcb(tcb), .mss(mss), .lost_edge(sb_lost_edge), .pipe(sb_pipe), .hole(sb_hole), .hole_end(sb_hole_end),
        .top(sb_top),
        .guided(guided), .open(open), .urgent(urgent), .again(again), .seq(again_seq), .len(again_len),
        .fin(again_fin), .m_high_rxt(again_high_rxt), .m_rescued(again_rescued)
    );

    assign can_send = guided ? open && (fresh || again) : fresh;

    // G-2: the choice
    wire [31:0] una_left  = seq_lt(snd_una, data_end) ? data_end - snd_una : 32'd0;
    wire [31:0] head_all  = min32(min32(mss32, snd_max - snd_una), una_left);
    wire [`TCB_SB_LEFT_W-1:0] sb_lefts = tcb[`TCB_SB_LEFT];         // the lowest first
    wire        head_cut  = guided && tcb[`TCB_SB_N] != {`TCB_SB_N_W{1'b0}};
    wire [31:0] head_len  = head_cut ? min32(head_all, sb_lefts[31:0] - snd_una) : head_all;
    wire        at_end    = data_end == snd_una;
    wire [31:0] probe_len = min32(min32(mss32, max32(32'd1, snd_wnd)), una_left);
    wire        do_head   = !ack_only && tcb[`TCB_RTX_HEAD] && any_out;
    wire        do_probe  = !ack_only && !do_head && tcb[`TCB_PROBE_OWED] && tcb[`TCB_PERSIST] && snd_nxt == snd_una;
    wire        do_again  = !ack_only && !do_head && !do_probe && guided && open && again && (urgent || !fresh);
    wire        do_data   = !ack_only && !do_head && !do_probe && !do_again && can_send;
    wire        no_text   = !do_head && !do_probe && !do_again && !do_data;
    wire        ack_sent  = ack_only || (no_text && (tcb[`TCB_ACK_NOW] || tcb[`TCB_DUP_OWED] != 3'd0));
    wire        do_alive  = no_text && !ack_sent && tcb[`TCB_KA_PROBE_OWED];     // a pure ACK one octet back (K-3)
    wire        no_octets = ack_sent || do_alive;
    assign seg_valid     = !no_text || no_octets;
    assign release_valid = tcb[`TCB_RELEASE_OWED];

    // probes lie behind a closed window: the peer takes only what is in front of them (RFC 9293 3.10.7.4)
    wire [31:0] pure_seq = tcb[`TCB_PERSIST] ? snd_nxt : snd_max;
    wire [31:0] seq = do_alive ? snd_una - 32'd1 : ack_sent ? pure_seq : do_data ? snd_nxt : do_again ? again_seq : snd_una;
    wire [31:0] len = no_octets ? 32'd0 : do_head ? head_len : do_probe ? probe_len : do_again ? again_len : burst;
    wire [31:0] seg_end = seq + len;
    wire        last    = seg_end == data_end;
    wire        fin     = (do_head && fin_queued && last && snd_max == tcb[`TCB_SND_END])
                          || (do_probe && at_end) || (do_again && again_fin) || (do_data && fin_queued && last);
    wire [31:0] nxt     = seg_end + {31'd0, fin};
    wire        octets  = fin || len != 32'd0;

    // N-4: only what goes for the first time may be marked on its way
    wire        ecn_en   = tcb[`TCB_ECN_EN];
    wire        unseen   = do_data && len != 32'd0 && !seq_lt(seq, snd_max);
    wire        says_ece = ecn_en && tcb[`TCB_ECN_ECE] && !do_alive;
    wire        says_cwr = ecn_en && tcb[`TCB_ECN_CWR] && unseen;
    wire [7:0]  tos      = tcb[`TCB_TOS];
    wire [1:0]  codepoint = !ecn_en ? tos[1:0] : unseen ? ECT_0 : NOT_ECT;

    wire unused = &{1'b0, sb_lefts};

    // G-4: the window never moves its right edge back
    wire [31:0] rcv_nxt  = tcb[`TCB_RCV_NXT];
    wire [31:0] rcv_adv  = tcb[`TCB_RCV_ADV];
    wire [3:0]  rcv_ws   = tcb[`TCB_RCV_WS];
    wire [31:0] space    = tcb[`TCB_CONSUMED_SEQ] + tcb[`TCB_INIT_RCV_WND] - rcv_nxt;
    wire [31:0] offered  = min32((space[31] ? 32'd0 : space) >> rcv_ws, 32'd65535);
    wire [31:0] round_up = (32'd1 << rcv_ws) - 32'd1;
    wire [31:0] standing = min32((rcv_adv - rcv_nxt + round_up) >> rcv_ws, 32'd65535);
    wire        shrinks  = seq_lt(rcv_nxt + (offered << rcv_ws), rcv_adv);
    wire [31:0] wnd      = shrinks ? standing : offered;

    // M-4
    wire        tells_sack = ack_sent && !ack_only && tcb[`TCB_SACK_EN];
    wire [`TX_SEGMENT_SACK_N_W-1:0]     sack_n;
    wire [`TX_SEGMENT_SACK_LEFT_W-1:0]  sack_left;
    wire [`TX_SEGMENT_SACK_RIGHT_W-1:0] sack_right;

    sack_blocks blocks (.tcb(tcb), .sack_n(sack_n), .sack_left(sack_left), .sack_right(sack_right));

    always @* begin
        segment = {`TX_SEGMENT_W{1'b0}};
        segment[`TX_SEGMENT_SEQ]   = seq;
        segment[`TX_SEGMENT_LEN]   = len[15:0];
        segment[`TX_SEGMENT_FLAGS] = FLAG_ACK | ((len != 32'd0 && last) ? FLAG_PSH : 8'd0) | (fin ? FLAG_FIN : 8'd0)
                                     | (says_ece ? FLAG_ECE : 8'd0) | (says_cwr ? FLAG_CWR : 8'd0);
        segment[`TX_SEGMENT_ACK]   = rcv_nxt;
        segment[`TX_SEGMENT_WND]   = wnd[15:0];
        segment[`TX_SEGMENT_TTL]   = tcb[`TCB_TTL];
        segment[`TX_SEGMENT_TOS]   = {tos[7:2], codepoint};
        segment[`TX_SEGMENT_USER_PRIORITY] = tcb[`TCB_USER_PRIORITY];
        segment[`TX_SEGMENT_HAS_OLD] = octets && seq_lt(seq, snd_max);
        segment[`TX_SEGMENT_HAS_NEW] = !octets || seq_lt(snd_max, nxt);
        if (tcb[`TCB_TS_EN]) begin
            segment[`TX_SEGMENT_TS_EN] = 1'b1;
            segment[`TX_SEGMENT_TSVAL] = now + tcb[`TCB_TS_DELTA];
            segment[`TX_SEGMENT_TSECR] = tcb[`TCB_TS_RECENT];
        end
        if (tells_sack) begin
            segment[`TX_SEGMENT_SACK_N]     = sack_n;
            segment[`TX_SEGMENT_SACK_LEFT]  = sack_left;
            segment[`TX_SEGMENT_SACK_RIGHT] = sack_right;
        end
    end

    always @* begin
        m_tcb = tcb;
        m_tcb[`TCB_RTX_HEAD]     = 1'b0;
        m_tcb[`TCB_RELEASE_OWED] = 1'b0;
        if (!do_head) m_tcb[`TCB_PROBE_OWED] = 1'b0;
        if (do_alive) m_tcb[`TCB_KA_PROBE_OWED] = 1'b0;
        if (do_probe && seq_lt(snd_max, nxt)) m_tcb[`TCB_SND_MAX] = nxt;
        if (do_head && guided) m_tcb[`TCB_HIGH_RXT] = nxt;
        if (do_again) begin
            m_tcb[`TCB_HIGH_RXT] = again_high_rxt;
            m_tcb[`TCB_RESCUED]  = again_rescued;
        end
        if (do_data) begin
            m_tcb[`TCB_SND_NXT] = nxt;
            if (seq_lt(snd_max, nxt)) m_tcb[`TCB_SND_MAX] = nxt;
            // Karn: a segment that begins below the old SND.MAX is, at least in part, a retransmission; timestamps tell
            // which of the two an ACK answers (RFC 6298 3)
            if (!tcb[`TCB_RTT_ACTIVE] && len != 32'd0 && (tcb[`TCB_TS_EN] || !seq_lt(seq, snd_max))) begin
                m_tcb[`TCB_RTT_ACTIVE] = 1'b1;
                m_tcb[`TCB_RTT_SEQ]    = seq;
                m_tcb[`TCB_RTT_TICK]   = now;
            end
        end
        if (fin && !do_head && !do_again) begin
            if (state == `TCP_STATE_ESTABLISHED) m_tcb[`TCB_STATE] = `TCP_STATE_FIN_WAIT_1;
            if (state == `TCP_STATE_CLOSE_WAIT)  m_tcb[`TCB_STATE] = `TCP_STATE_LAST_ACK;
        end
        if (seg_valid) begin
            m_tcb[`TCB_RCV_ADV]       = rcv_nxt + (wnd << rcv_ws);
            m_tcb[`TCB_LAST_ACK_SENT] = rcv_nxt;
        end
        if (says_cwr) m_tcb[`TCB_ECN_CWR] = 1'b0;
        if (seg_valid && octets) m_tcb[`TCB_LAST_TX_TICK] = now;
        if (seg_valid && !do_alive) begin          // a probe of keep-alive acknowledges nothing: peers may drop it
            m_tcb[`TCB_ACK_NOW]       = 1'b0;
            m_tcb[`TCB_UNACKED_SEGS]  = 8'd0;
            m_tcb[`TCB_DACK_ON]       = 1'b0;
        end
        if (tells_sack) begin
            m_tcb[`TCB_DSACK]       = 1'b0;
            m_tcb[`TCB_DSACK_LEFT]  = 32'd0;
            m_tcb[`TCB_DSACK_RIGHT] = 32'd0;
        end
        if (ack_sent && tcb[`TCB_DUP_OWED] != 3'd0) m_tcb[`TCB_DUP_OWED] = tcb[`TCB_DUP_OWED] - 3'd1;
    end

endmodule

`default_nettype wire
