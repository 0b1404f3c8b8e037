// rx_tracker: text and FIN of an accepted segment, and what acknowledgment it causes (rules C.9, M-2, M-3).
//
// Why a block: the receiver half of a received segment.
//
// Combinational. `tcb` is the state behind ack_tracker, so a FIN acknowledged by this segment is already counted;
// cut_* is what rx_cut found. `m_tcb` is the state after the text. `deliver` asks for a DELIVER message, `hold` for a
// HOLD (piece_*, and the lists of out-of-order buffers: list_*); with piece_len != 0 the frame is kept (`keep`) and
// one pool credit is taken. `flush`: a buffer was refused to a connection that may hold none. A segment that closed the
// connection (LAST_ACK, its FIN is acknowledged) is owed nothing, whatever text it has.
// Assumes the segment passed rx_check.
`default_nettype none
`include "chimney_layout.vh"

module rx_tracker #(
    parameter OOO_RANGES = `OOO_MAX                // ranges a connection may have, 1..OOO_MAX
) (
    input  wire [`TCB_W-1:0]    tcb,
    input  wire [`RX_SEG_W-1:0] seg,
    input  wire                 forwarded,         // by the host: not held out of order
    input  wire                 zero_probe,        // window is closed: text and FIN are ignored
    input  wire                 cut_empty,         // from rx_cut
    input  wire                 cut_ahead,
    input  wire                 cut_fin_here,
    input  wire                 cut_cropped,
    input  wire [31:0]          cut_start,
    input  wire [15:0]          cut_skip,
    input  wire [15:0]          cut_take,
    input  wire [31:0]          now,
    input  wire [7:0]           ack_frequency,     // segments
    input  wire [7:0]           delayed_ack_ticks, // ticks
    input  wire                 credit,            // a pool buffer is to be had
    input  wire                 plenty,            // and then there is one left for each other connection
    input  wire                 spare,             // and for this one, too
    input  wire                 room,              // the host reads its completions; 0: text is refused (C.12)

    output wire                 deliver,
    output wire                 hold,
    output wire                 keep,
    output wire                 flush,
    output wire [15:0]          piece_off,         // from the first byte of the frame
    output wire [15:0]          piece_len,         // bytes
    output wire                 piece_fin,
    output wire [2:0]           list_slot,         // as in dlv_msg
    output wire                 list_join,
    output wire [15:0]          list_skip,
    output wire                 list_app,
    output wire                 list_pre,
    output wire [2:0]           list_slot2,
    output wire [`DLV_MSG_FREE_W-1:0] list_free,
    output reg  [`TCB_W-1:0]    m_tcb
);

    `include "../engine/seq.vh"

    wire [31:0] rcv_nxt  = tcb[`TCB_RCV_NXT];
    wire [31:0] rcv_adv  = tcb[`TCB_RCV_ADV];
    wire [3:0]  state    = tcb[`TCB_STATE];
    wire [2:0]  dup_owed = tcb[`TCB_DUP_OWED];
    wire [7:0]  unacked  = tcb[`TCB_UNACKED_SEGS];

    wire open = (state == `TCP_STATE_ESTABLISHED || state == `TCP_STATE_FIN_WAIT_1
                 || state == `TCP_STATE_FIN_WAIT_2) && !zero_probe;
    wire some = cut_take != 16'd0;
    wire [31:0] stop = cut_start + {16'd0, cut_take};

    wire        last, known, fits, app, pre, joins, again, stranded;
    wire [31:0] from, to, edge_seq, again_left, again_right;
    wire [2:0]  slot, slot2;
    wire [15:0] skip;
    wire [`DLV_MSG_FREE_W-1:0] free;
    wire [`TCB_RR_N_W-1:0]     next_n;
    wire [`TCB_RR_LEFT_W-1:0]  next_left;
    wire [`TCB_RR_RIGHT_W-1:0] next_right;
    wire [`TCB_RR_SLOT_W-1:0]  next_slot;

    ooo_ranges #(.OOO_RANGES(OOO_RANGES)) ranges (
        .tcb(tcb), .ahead(cut_ahead), .fin_here(cut_fin_here), .start(cut_start), .stop(stop),
        .last(last), .known(known), .fits(fits), .from(from), .to(to), .app(app), .pre(pre), .slot2(slot2),
        .joins(joins), .edge_seq(edge_seq), .skip(skip), .slot(slot), .free(free),
        .again(again), .again_left(again_left), .again_right(again_right), .stranded(stranded),
        .m_n(next_n), .m_left(next_left), .m_right(next_right), .m_slot(next_slot)
    );

    // out of order (M-2)
    wire stray  = open && cut_ahead && !forwarded;
    wire early_fin = stray && cut_fin_here && !tcb[`TCB_OOO_FIN] && last;
    wire repeated  = stray && some && known;
    wire apart  = stray && some && !known && fits;           // and so it asks for a buffer

    // in order
    wire ordered = open && !cut_empty && !cut_ahead;
    wire fin_ok  = cut_fin_here || (tcb[`TCB_OOO_FIN] && edge_seq == tcb[`TCB_OOO_FIN_SEQ]);

    // C.11, C.12
    wire first   = rcv_nxt == tcb[`TCB_CONSUMED_SEQ];        // holds no buffer
    wire buffer  = cut_ahead ? spare : first ? credit : plenty;
    wire wanted  = apart || (ordered && some);
    assign flush   = wanted && room && !buffer && !first;
    assign keep    = wanted && room && buffer;
    assign hold    = keep && cut_ahead;
    assign deliver = some ? keep && !cut_ahead : ordered && cut_fin_here;

    wire [31:0] piece = to - from;
    wire [31:0] lead  = from - cut_start;                    // what the range below holds of it
    assign piece_len  = hold ? piece[15:0] : cut_take;
    assign piece_off  = some ? seg[`RX_SEG_PAY_OFF] + cut_skip + (hold ? lead[15:0] : 16'd0) : 16'd0;
    assign piece_fin  = deliver && fin_ok;
    assign list_slot  = slot;
    assign list_join  = deliver && joins;
    assign list_skip  = deliver ? skip : 16'd0;
    assign list_app   = hold && app;
    assign list_pre   = hold && pre;
    assign list_slot2 = hold ? slot2 : 3'd0;
    assign list_free  = free;

    // what came again (M-1): octets left of rcv_nxt come before those of a range
    wire        stale   = cut_skip != 16'd0;
    wire        report  = tcb[`TCB_SACK_EN] && (stale || again) && (repeated || keep);

    wire [31:0] nxt     = edge_seq + {31'd0, fin_ok};
    wire [7:0]  unacked_up = (unacked == 8'hFF) ? 8'hFF : unacked + 8'd1;
    wire        prompt  = unacked_up >= ack_frequency || cut_cropped || stale || fin_ok || tcb[`TCB_RR_N] != 4'd0;

    wire unused = &{1'b0, seg, piece[31:16], lead[31:16]};

    always @* begin
        m_tcb = tcb;
        if (report) begin
            m_tcb[`TCB_DSACK]       = 1'b1;
            m_tcb[`TCB_DSACK_LEFT]  = stale ? seg[`RX_SEG_SEQ] : again_left;
            m_tcb[`TCB_DSACK_RIGHT] = stale ? rcv_nxt : again_right;
        end else if (hold && stranded) begin                 // no block behind it would hold it
            m_tcb[`TCB_DSACK]       = 1'b0;
            m_tcb[`TCB_DSACK_LEFT]  = 32'd0;
            m_tcb[`TCB_DSACK_RIGHT] = 32'd0;
        end
        if (early_fin) begin
            m_tcb[`TCB_OOO_FIN]     = 1'b1;
            m_tcb[`TCB_OOO_FIN_SEQ] = stop;
        end
        if (repeated || hold || deliver) begin
            m_tcb[`TCB_RR_N]     = next_n;
            m_tcb[`TCB_RR_LEFT]  = next_left;
            m_tcb[`TCB_RR_RIGHT] = next_right;
            m_tcb[`TCB_RR_SLOT]  = next_slot;
        end
        if (deliver) begin
            m_tcb[`TCB_RCV_NXT]      = nxt;
            m_tcb[`TCB_UNACKED_SEGS] = unacked_up;
            if (fin_ok) begin
                m_tcb[`TCB_OOO_FIN]      = 1'b0;
                m_tcb[`TCB_OOO_FIN_SEQ]  = 32'd0;
                m_tcb[`TCB_CONSUMED_SEQ] = tcb[`TCB_CONSUMED_SEQ] + 32'd1;
                m_tcb[`TCB_FIN_RCVD]     = 1'b1;
                if (seq_lt(rcv_adv, nxt)) m_tcb[`TCB_RCV_ADV] = nxt;
                case (state)
                    `TCP_STATE_FIN_WAIT_1: m_tcb[`TCB_STATE] = `TCP_STATE_CLOSING;
                    `TCP_STATE_FIN_WAIT_2: begin
                        m_tcb[`TCB_STATE]  = `TCP_STATE_TIME_WAIT;
                        m_tcb[`TCB_RTX_ON] = 1'b0;           // K-4
                    end
                    default:               m_tcb[`TCB_STATE] = `TCP_STATE_CLOSE_WAIT;
                endcase
            end
            if (prompt) begin
                m_tcb[`TCB_ACK_NOW] = 1'b1;
            end else if (!tcb[`TCB_DACK_ON] && !tcb[`TCB_ACK_NOW]) begin
                m_tcb[`TCB_DACK_ON]       = 1'b1;
                m_tcb[`TCB_DACK_DEADLINE] = now + {24'd0, delayed_ack_ticks};
            end
        end else if (!cut_empty && state != `TCP_STATE_CLOSED) begin
            m_tcb[`TCB_DUP_OWED] = (dup_owed == 3'd7) ? 3'd7 : dup_owed + 3'd1;
        end
    end

endmodule

`default_nettype wire
