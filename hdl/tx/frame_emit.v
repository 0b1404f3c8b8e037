// frame_emit: puts header and payload on the wire, in the order of the transmit queue.
//
// Why a block: the tail of the slots; what passes here has left. Fences and releases pass here too, so they
// stay behind every frame that came before them.
//
// s_info: one an item, in order. Frames (SEGMENT, RAW) also take one of s_hdr and one of s_done.
// r_*: frame store read, data one cycle after r_re. free: so many store words are free again (pulse).
// s_bar: an INVALIDATE; bar_mark: pulse between two frames, none of its object begins from now on (`dead` says so of
//   the item at hand); m_bar: none is on its way any more; s_bar is taken then. bar_pass: pulse, its BARRIER came by.
// m_axis_tx: wire. m_tok: RELEASE / FENCE. m_fault: a segment could not be read. raw_done: pulse, a raw frame has
//   left or was discarded. rec: pulse a frame; `cnt_*`, `stat_*` with it.
// Latency 3 cycles from the last of info, hdr, done to the first beat; then a beat a cycle, no gap between
// frames; a token or a discarded frame takes one cycle. A stalled output stalls everything here.
//
//   payload word  | a b c d |      header 2 lanes past a beat: rotate up by 2
//   frame beats   | h h a b | c d e f | ...    low lanes: header, later what was rotated over (carry)
`default_nettype none
`include "chimney_layout.vh"

module frame_emit #(
    parameter DATA_W  = 64,                            // bits: 64, 128, 256, 512
    parameter STORE_W = 10,                            // bits of a frame store address
    parameter BEATS_W = 8,                             // bits of the beats of a frame
    parameter HDR_W   = 944,                           // bits of the longest header
    parameter PTR_W   = 5,                             // bits of a send-table ring pointer
    parameter LANES   = DATA_W / 8                     // derived, do not override
) (
    input  wire                 clk,
    input  wire                 rst,

    input  wire                 s_info_valid,
    output wire                 s_info_ready,
    input  wire [2:0]           s_info_kind,           // 0 SEGMENT, 1 RAW, 2 RELEASE, 3 FENCE, 4 BARRIER
    input  wire [15:0]          s_info_conn,
    input  wire [7:0]           s_info_gen,
    input  wire [31:0]          s_info_number,         // frames: order; tokens: una
    input  wire [7:0]           s_info_status,         // tokens
    input  wire                 s_info_cpl,            // tokens
    input  wire [PTR_W-1:0]     s_info_tail,           // tokens
    input  wire [BEATS_W-1:0]   s_info_beats,          // frames: words in the store
    input  wire                 s_info_dead,           // SEGMENT: must not begin
    input  wire [3:0]           s_info_stat,           // SEGMENT: connection's family is 6, RST, has_old, has_new

    input  wire                 s_bar_valid,           // stays until m_bar is taken
    output wire                 bar_mark,
    output wire                 bar_pass,
    output wire                 m_bar_valid,
    input  wire                 m_bar_ready,

    input  wire                 s_hdr_valid,
    output wire                 s_hdr_ready,
    input  wire [HDR_W-1:0]     s_hdr,
    input  wire [6:0]           s_hdr_len,
    input  wire                 s_hdr_tagged,
    input  wire                 s_hdr_ipv6,
    input  wire [15:0]          s_hdr_frame_len,
    input  wire [15:0]          s_hdr_wire_len,
    input  wire [BEATS_W-1:0]   s_hdr_beats_m1,
    input  wire [15:0]          s_hdr_tcp_sum,

    input  wire                 s_done_valid,
    output wire                 s_done_ready,
    input  wire [15:0]          s_done_sum,
    input  wire                 s_done_error,

    output wire                 r_re,
    output wire [STORE_W-1:0]   r_addr,
    input  wire [DATA_W-1:0]    r_data,
    output wire [BEATS_W-1:0]   free,

    output wire                 m_axis_tx_tvalid,
    input  wire                 m_axis_tx_tready,
    output wire [DATA_W-1:0]    m_axis_tx_tdata,
    output wire [LANES-1:0]     m_axis_tx_tkeep,
    output wire                 m_axis_tx_tlast,

    output wire                 m_tok_valid,
    input  wire                 m_tok_ready,
    output wire                 m_tok_fence,
    output wire [31:0]          m_tok_una,
    output wire [7:0]           m_tok_status,
    output wire                 m_tok_cpl,
    output wire [PTR_W-1:0]     m_tok_tail,

    output wire                 m_fault_valid,
    input  wire                 m_fault_ready,
    output wire [15:0]          m_conn,                // of m_tok and m_fault
    output wire [7:0]           m_gen,

    output wire                 raw_done_valid,
    output wire                 raw_done_error,

    output wire                 rec_valid,
    output wire [`REC_TX_W-1:0] rec,
    output wire                 cnt_seg,
    output wire                 cnt_raw,
    output wire                 cnt_disc,
    output wire                 stat_valid,            // pulse a SEGMENT, with cnt_*
    output wire [15:0]          stat_octets,           // IP total length
    output wire [2:0]           stat_what,             // RST, has_old, has_new
    output wire                 stat_ipv6,             // of the connection
    output wire                 idle
);

    localparam LANE_W = $clog2(LANES);
    localparam INFO_W = 2 + 16 + 8 + 32 + 8 + 1 + PTR_W + 16 + 1 + 4 + 16;
    localparam [15:0]        ETHERNET  = 16'd14, TAG = 16'd4;   // bytes
    localparam CSUM_AT4 = 50 * 8, CSUM_AT6 = 70 * 8, TAG_W = 32;       // TCP checksum field in a header without tag
    localparam [LANES-1:0]   ALL_LANES = {LANES{1'b1}};
    localparam [15:0]        BEAT_LEN  = 16'd1 << LANE_W;
    localparam [BEATS_W-1:0] ONE_BEAT  = 1;
    localparam [STORE_W-1:0] ONE_WORD  = 1;
    localparam [15:0]        RAW_LOST  = 16'hFFFF;     // connection in the record of a discarded raw frame
    localparam [1:0]         KIND_RAW  = 2'd1, KIND_FENCE = 2'd3;
    localparam [2:0]         KIND_SEGMENT = 3'd0;

    wire en;                                           // all stages move

    // ---- stage 0: which beat of which frame
    reg                busy_reg;                       // in a frame, not at its first beat
    reg [BEATS_W-1:0]  more_reg;                       // beats after this one
    reg [15:0]         show_reg;                       // frame bytes from this beat on
    reg [6:0]          hdr_left_reg;                   // header bytes from this beat on
    reg [BEATS_W-1:0]  words_reg;                      // payload words not read yet
    reg [LANE_W-1:0]   shift_reg;                      // header bytes in the beat where payload begins
    reg [LANE_W-1:0]   tail_reg;                       // bytes of the last beat, 0: all
    reg [STORE_W-1:0]  rd_ptr_reg;

    // ---- an INVALIDATE takes effect between two frames and follows the last one out
    reg                bar_reg;                        // from bar_mark until m_bar is taken
    reg                bar_done_reg;
    wire               bar_go = !busy_reg && s_bar_valid && !bar_reg;

    wire is_tok    = s_info_kind[1];
    wire is_bar    = s_info_kind[2];
    wire is_frame  = !is_tok && !is_bar;
    wire [15:0] octets = s_hdr_frame_len - ETHERNET - (s_hdr_tagged ? TAG : 16'd0);
    wire dead      = s_info_dead && s_info_kind == KIND_SEGMENT;
    wire go        = !busy_reg && !bar_go && s_info_valid && (!is_frame || (s_hdr_valid && s_done_valid));
    wire discard   = go && is_frame && (s_done_error || dead);
    wire first     = go && is_frame && !discard;
    wire beat      = busy_reg || first;
    wire pop_frame = go && is_frame && en;

    assign s_info_ready = go && en;
    assign s_hdr_ready  = pop_frame;
    assign s_done_ready = pop_frame;

    wire [BEATS_W-1:0] more     = busy_reg ? more_reg     : s_hdr_beats_m1;
    wire [15:0]        show     = busy_reg ? show_reg     : s_hdr_frame_len;
    wire [6:0]         hdr_left = busy_reg ? hdr_left_reg : s_hdr_len;
    wire [BEATS_W-1:0] words    = busy_reg ? words_reg    : s_info_beats;
    wire [LANE_W-1:0]  shift    = busy_reg ? shift_reg    : s_hdr_len[LANE_W-1:0];
    wire [LANE_W-1:0]  tail     = busy_reg ? tail_reg     : s_hdr_wire_len[LANE_W-1:0];
    wire               last     = more == 0;
    wire               all_hdr  = {9'd0, hdr_left} >= BEAT_LEN;
    wire               all_show = show >= BEAT_LEN;
    wire [15:0]        hdr_less = {9'd0, hdr_left} - BEAT_LEN;

    assign r_re   = en && beat && !all_hdr && words != 0;
    assign r_addr = rd_ptr_reg;
    assign free   = (discard && en) ? s_info_beats : {{(BEATS_W-1){1'b0}}, r_re};

    // TCP checksum: header share and payload share
    wire [16:0]      csum_add = {1'b0, s_hdr_tcp_sum} + {1'b0, s_done_sum};
    wire [15:0]      csum     = ~(csum_add[15:0] + {15'd0, csum_add[16]});
    wire [15:0]      csum_le  = {csum[7:0], csum[15:8]};
    reg  [HDR_W-1:0] full_hdr;
    always @* begin
        full_hdr = s_hdr;                              // the field is zero
        case ({s_hdr_ipv6, s_hdr_tagged})
            2'b00: full_hdr[CSUM_AT4 +: 16]         = csum_le;
            2'b01: full_hdr[CSUM_AT4 + TAG_W +: 16] = csum_le;
            2'b10: full_hdr[CSUM_AT6 +: 16]         = csum_le;
            2'b11: full_hdr[CSUM_AT6 + TAG_W +: 16] = csum_le;
        endcase
    end

    always @(posedge clk) begin
        if (en && beat) begin
            more_reg     <= more - ONE_BEAT;
            show_reg     <= all_show ? show - BEAT_LEN : 16'd0;
            hdr_left_reg <= all_hdr ? hdr_less[6:0] : 7'd0;
            words_reg    <= r_re ? words - ONE_BEAT : words;
            shift_reg    <= shift;
            tail_reg     <= tail;
        end
    end

    always @(posedge clk) begin
        if (rst) begin
            busy_reg   <= 1'b0;
            rd_ptr_reg <= 0;
        end else if (en) begin
            if (beat) busy_reg <= !last;
            rd_ptr_reg <= rd_ptr_reg + (discard ? {{(STORE_W-BEATS_W){1'b0}}, s_info_beats}
                                                : r_re ? ONE_WORD : {STORE_W{1'b0}});
        end
    end

    assign bar_mark = bar_go && en;
    assign bar_pass = go && is_bar && en;

    // ---- stage 1: header bytes to shift out, payload word at the store's output
    reg              s1_bar_reg, s2_bar_reg, out_bar_reg;
    reg              s1_beat_reg, s1_tok_reg, s1_disc_reg;
    reg              s1_last_reg, s1_low_hdr_reg;
    reg [LANES-1:0]  s1_low_reg, s1_show_reg, s1_keep_reg;
    reg [LANE_W-1:0] s1_shift_reg;
    reg [HDR_W-1:0]  s1_hdr_reg;
    reg [INFO_W-1:0] s1_info_reg;

    always @(posedge clk) begin
        if (en && beat) begin
            s1_last_reg    <= last;
            s1_low_hdr_reg <= hdr_left != 0;
            s1_low_reg     <= all_hdr ? ALL_LANES : ~(ALL_LANES << shift);
            s1_show_reg    <= all_show ? ALL_LANES : ~(ALL_LANES << show[LANE_W-1:0]);
            s1_keep_reg    <= (last && tail != 0) ? ~(ALL_LANES << tail) : ALL_LANES;
            s1_shift_reg   <= shift;
        end
        if (en && first)                              s1_hdr_reg <= full_hdr;
        else if (en && s1_beat_reg && s1_low_hdr_reg) s1_hdr_reg <= s1_hdr_reg >> DATA_W;
        if (en && go) s1_info_reg <= {s_info_kind[1:0], s_info_conn, s_info_gen, s_info_number, s_info_status,
                                      s_info_cpl, s_info_tail, s_hdr_wire_len, s_done_error, s_info_stat, octets};
    end

    // ---- stage 2: rotated
    reg              s2_beat_reg, s2_tok_reg, s2_disc_reg;
    reg              s2_last_reg, s2_low_hdr_reg;
    reg [LANES-1:0]  s2_low_reg, s2_show_reg, s2_keep_reg;
    reg [DATA_W-1:0] s2_hdr_reg, s2_data_reg;
    reg [INFO_W-1:0] s2_info_reg;
    wire [DATA_W-1:0] rotated;

    byte_rotate #(.DATA_W(DATA_W)) rotator (
        .s_data(r_data), .amount(-s1_shift_reg), .m_data(rotated)
    );

    always @(posedge clk) begin
        if (en && s1_beat_reg) begin
            s2_last_reg    <= s1_last_reg;
            s2_low_hdr_reg <= s1_low_hdr_reg;
            s2_low_reg     <= s1_low_reg;
            s2_show_reg    <= s1_show_reg;
            s2_keep_reg    <= s1_keep_reg;
            s2_data_reg    <= rotated;
            if (s1_low_hdr_reg) s2_hdr_reg <= s1_hdr_reg[DATA_W-1:0];
        end
        if (en && (s1_beat_reg || s1_tok_reg || s1_disc_reg)) s2_info_reg <= s1_info_reg;
    end

    // ---- stage 3: merged, at the outputs
    reg              out_beat_reg, out_tok_reg, out_disc_reg;
    reg              out_last_reg;
    reg [LANES-1:0]  out_keep_reg;
    reg [DATA_W-1:0] out_data_reg, carry_reg;
    reg [INFO_W-1:0] out_info_reg;
    wire [DATA_W-1:0] low, merged;

    assign low = s2_low_hdr_reg ? s2_hdr_reg : carry_reg;

    genvar i;
    generate
        for (i = 0; i < LANES; i = i + 1) begin : g_lane
            assign merged[i*8 +: 8] = {8{s2_show_reg[i]}}
                                    & (s2_low_reg[i] ? low[i*8 +: 8] : s2_data_reg[i*8 +: 8]);
        end
    endgenerate

    always @(posedge clk) begin
        if (en && s2_beat_reg) begin
            out_last_reg <= s2_last_reg;
            out_keep_reg <= s2_keep_reg;
            out_data_reg <= merged;
            carry_reg    <= s2_data_reg;
        end
        if (en && (s2_beat_reg || s2_tok_reg || s2_disc_reg)) out_info_reg <= s2_info_reg;
    end

    always @(posedge clk) begin
        if (rst) begin
            {s1_beat_reg, s1_tok_reg, s1_disc_reg}    <= 3'b000;
            {s2_beat_reg, s2_tok_reg, s2_disc_reg}    <= 3'b000;
            {out_beat_reg, out_tok_reg, out_disc_reg} <= 3'b000;
        end else if (en) begin
            {s1_beat_reg, s1_tok_reg, s1_disc_reg}    <= {beat, go && is_tok, discard};
            {s2_beat_reg, s2_tok_reg, s2_disc_reg}    <= {s1_beat_reg, s1_tok_reg, s1_disc_reg};
            {out_beat_reg, out_tok_reg, out_disc_reg} <= {s2_beat_reg, s2_tok_reg, s2_disc_reg};
        end
    end

    always @(posedge clk) begin
        if (rst) begin
            {bar_reg, s1_bar_reg, s2_bar_reg, out_bar_reg, bar_done_reg} <= 5'd0;
        end else begin
            if (en) {s1_bar_reg, s2_bar_reg, out_bar_reg} <= {bar_go, s1_bar_reg, s2_bar_reg};
            if (m_bar_valid && m_bar_ready) bar_reg <= 1'b0;
            else if (bar_mark)              bar_reg <= 1'b1;
            if (m_bar_valid && m_bar_ready) bar_done_reg <= 1'b0;
            else if (out_bar_reg && en)     bar_done_reg <= 1'b1;
        end
    end
    assign m_bar_valid = bar_done_reg;

    // ---- outputs
    reg                 rec_valid_reg;
    reg [`REC_TX_W-1:0] rec_reg, rec_next;
    reg                 segment_reg;
    reg [3:0]           what_reg;
    reg [15:0]          ip_len_reg;
    wire [1:0]  kind;
    wire [31:0] number;
    wire [15:0] len;
    wire        unread;
    wire [3:0]  what;
    wire [15:0] ip_len;

    assign {kind, m_conn, m_gen, number, m_tok_status, m_tok_cpl, m_tok_tail, len, unread, what, ip_len} = out_info_reg;

    wire raw       = kind == KIND_RAW;
    wire lost      = out_disc_reg && en;
    wire left      = out_beat_reg && out_last_reg && en;

    assign en = !(out_beat_reg && !m_axis_tx_tready) && !(out_tok_reg && !m_tok_ready)
             && !(m_fault_valid && !m_fault_ready);

    assign m_axis_tx_tvalid = out_beat_reg;
    assign m_axis_tx_tdata  = out_data_reg;
    assign m_axis_tx_tkeep  = out_keep_reg;
    assign m_axis_tx_tlast  = out_last_reg;
    assign m_tok_valid      = out_tok_reg;
    assign m_tok_fence      = kind == KIND_FENCE;
    assign m_tok_una        = number;
    assign m_fault_valid    = out_disc_reg && !raw && unread;
    assign raw_done_valid   = (lost || left) && raw;
    assign raw_done_error   = lost;
    assign idle             = !s_info_valid && !busy_reg && !s1_beat_reg && !s1_tok_reg && !s1_disc_reg
                           && !s2_beat_reg && !s2_tok_reg && !s2_disc_reg
                           && !out_beat_reg && !out_tok_reg && !out_disc_reg && !rec_valid_reg && !bar_reg;

    always @* begin
        rec_next = 0;
        rec_next[`REC_TX_KIND]  = lost ? `TX_REC_KIND_DISCARDED : raw ? `TX_REC_KIND_RAW : `TX_REC_KIND_SEGMENT;
        rec_next[`REC_TX_ORDER] = number;
        rec_next[`REC_TX_CONN]  = !raw ? m_conn : lost ? RAW_LOST : 16'd0;
        rec_next[`REC_TX_LEN]   = len;
    end

    always @(posedge clk) begin
        if (lost || left) begin
            rec_reg     <= rec_next;
            segment_reg <= !raw;
            what_reg    <= what;
            ip_len_reg  <= ip_len;
        end
    end

    always @(posedge clk) begin
        if (rst) rec_valid_reg <= 1'b0;
        else     rec_valid_reg <= lost || left;
    end

    assign rec_valid = rec_valid_reg;
    assign rec       = rec_reg;
    assign cnt_seg   = rec_valid_reg && rec_reg[`REC_TX_KIND] == `TX_REC_KIND_SEGMENT;
    assign cnt_raw   = rec_valid_reg && rec_reg[`REC_TX_KIND] == `TX_REC_KIND_RAW;
    assign cnt_disc  = rec_valid_reg && rec_reg[`REC_TX_KIND] == `TX_REC_KIND_DISCARDED;
    assign stat_valid  = rec_valid_reg && segment_reg;
    assign stat_octets = ip_len_reg;
    assign stat_what   = what_reg[2:0];
    assign stat_ipv6   = what_reg[3];

    wire unused = &{1'b0, hdr_less[15:7], s_hdr_wire_len};

endmodule

`default_nettype wire
