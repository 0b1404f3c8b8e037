// rx_tracker: text and FIN of an accepted segment, and what acknowledgment it causes (rule C.9).
//
// Why a block: the receiver half of a received segment.
//
// Combinational. `tcb` is the state behind ack_tracker, so a FIN acknowledged by this segment is already counted.
// `m_tcb` is the state after the text. Octets left of rcv_nxt are cut away, octets right of the advertised edge
// are not taken. `deliver` asks for a DELIVER message (piece_off, piece_len, piece_fin); with piece_len != 0 the
// frame is kept (`keep`) and one pool credit is taken. `flush`: a buffer was refused to a connection that may hold none.
// Assumes the segment passed rx_check; out-of-order text is dropped with a duplicate ACK owed.
`default_nettype none
`include "chimney_layout.vh"

module rx_tracker (
    input  wire [`TCB_W-1:0]    tcb,
    input  wire [`RX_SEG_W-1:0] seg,
    input  wire                 zero_probe,        // window is closed: text and FIN are ignored
    input  wire [31:0]          now,
    input  wire [7:0]           ack_frequency,     // segments
    input  wire [7:0]           delayed_ack_ticks, // ticks
    input  wire                 credit,            // a pool buffer is to be had
    input  wire                 plenty,            // and then there is one left for each other connection
    input  wire                 room,              // the host reads its completions; 0: text is refused (C.12)

    output wire                 deliver,
    output wire                 keep,
    output wire                 flush,
    output wire [15:0]          piece_off,         // from the first byte of the frame
    output wire [15:0]          piece_len,         // bytes
    output wire                 piece_fin,
    output reg  [`TCB_W-1:0]    m_tcb
);

    `include "../engine/seq.vh"

    localparam FIN = 0;                            // position inside the TCP flags

    wire [7:0]  flags   = seg[`RX_SEG_FLAGS];
    wire [31:0] seq     = seg[`RX_SEG_SEQ];
    wire [15:0] pay_len = seg[`RX_SEG_PAY_LEN];
    wire [31:0] rcv_nxt = tcb[`TCB_RCV_NXT];
    wire [31:0] rcv_adv = tcb[`TCB_RCV_ADV];
    wire [3:0]  state   = tcb[`TCB_STATE];
    wire [2:0]  dup_owed = tcb[`TCB_DUP_OWED];
    wire [7:0]  unacked  = tcb[`TCB_UNACKED_SEGS];

    wire open  = (state == `TCP_STATE_ESTABLISHED || state == `TCP_STATE_FIN_WAIT_1
                  || state == `TCP_STATE_FIN_WAIT_2) && !zero_probe;
    wire empty = pay_len == 16'd0 && !flags[FIN];

    wire        old     = seq_lt(seq, rcv_nxt);
    wire [31:0] off     = old ? rcv_nxt - seq : 32'd0;
    wire        ordered = old || seq == rcv_nxt;
    wire [31:0] rem     = (off >= {16'd0, pay_len}) ? 32'd0 : {16'd0, pay_len} - off;
    wire [31:0] take    = min32(rem, rcv_adv - rcv_nxt);
    wire        fin_ok  = flags[FIN] && take == rem;
    wire        some    = take != 32'd0;

    wire first  = rcv_nxt == tcb[`TCB_CONSUMED_SEQ];         // holds no buffer
    wire buffer = room && (first ? credit : plenty);
    wire taken = open && !empty && ordered && (some ? buffer : fin_ok);

    assign flush     = open && ordered && some && room && !buffer && !first;
    assign deliver   = taken;
    assign keep      = taken && some;
    assign piece_len = take[15:0];
    assign piece_off = some ? seg[`RX_SEG_PAY_OFF] + off[15:0] : 16'd0;
    assign piece_fin = fin_ok;

    wire [31:0] nxt     = rcv_nxt + take + {31'd0, fin_ok};
    wire [7:0]  unacked_up = (unacked == 8'hFF) ? 8'hFF : unacked + 8'd1;
    wire        prompt  = unacked_up >= ack_frequency || take < rem || off != 32'd0 || fin_ok;

    wire unused = &{1'b0, seg};

    always @* begin
        m_tcb = tcb;
        if (taken) begin
            m_tcb[`TCB_RCV_NXT]      = nxt;
            m_tcb[`TCB_UNACKED_SEGS] = unacked_up;
            if (fin_ok) begin
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
        end else if (!empty) begin
            m_tcb[`TCB_DUP_OWED] = (dup_owed == 3'd7) ? 3'd7 : dup_owed + 3'd1;
        end
    end

endmodule

`default_nettype wire
