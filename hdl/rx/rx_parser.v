// rx_parser: checks every frame of the wire before anything in it is believed.
//
// Why a block: behind it there are only whole frames and trusted fields; the rules of what is dropped are here.
//
//   beats --+--> delay line ------------------------------> rx_buffer (keep or rewind at the last beat)
//           +--> rx_headers --> rx_checksum --> verdict --^--> rx_resolve
//
// s_axis_rx_*: the wire; tready is constantly 1. All beats but the last are full, the last is contiguous from
//   lane 0.
// m_wr_*: the beats, DELAY cycles later; with `m_wr_last`, `m_wr_keep` says whether the frame stays, if the
//   buffer has room (`s_wr_room`, combinational answer; `s_wr_fill` beats held).
// m_frame_*: with the same last beat: one pulse a frame, in order. `candidate` frames need the look-up; the
//   others are RAW or DROP with the reason.
// `enable` is looked at with the first beat of a frame.
`include "chimney_layout.vh"
`default_nettype none

module rx_parser #(
    parameter DATA_W = 64                      // bits: 64, 128, 256, 512
) (
    input  wire                 clk,
    input  wire                 rst,

    input  wire [DATA_W-1:0]    s_axis_rx_tdata,
    input  wire [DATA_W/8-1:0]  s_axis_rx_tkeep,
    input  wire                 s_axis_rx_tlast,
    input  wire                 s_axis_rx_tvalid,
    output wire                 s_axis_rx_tready,
    input  wire                 enable,

    output wire                 m_wr_valid,
    output wire [DATA_W-1:0]    m_wr_data,
    output wire                 m_wr_last,
    output wire                 m_wr_keep,
    input  wire                 s_wr_room,
    input  wire [15:0]          s_wr_fill,

    output wire                 m_frame_valid,
    output wire                 m_frame_candidate,
    output wire [1:0]           m_frame_class,     // RAW or DROP unless a candidate
    output wire [3:0]           m_frame_reason,
    output wire [15:0]          m_frame_fill,
    output wire [15:0]          m_frame_len,
    output wire [`RX_SEG_W-1:0] m_frame_seg,       // conn, gen, options still 0
    output wire [`LKP_KEY_W-1:0] m_frame_key,
    output wire [319:0]         m_frame_options,
    output wire [5:0]           m_frame_opt_len,

    output wire                 busy
);

    localparam LANE_W = $clog2(DATA_W / 8);
    localparam DELAY  = 5;                         // cycles from the wire to the verdict
    localparam META_W = 16 + `RX_SEG_W + `LKP_KEY_W + 320 + 6;
    localparam PSEUDO_W = 21;                      // bits of the sum of 18 words
    localparam [PSEUDO_W-1:0] PROTO_TCP = 6;

    assign s_axis_rx_tready = 1'b1;

    // ---- fields and sums
    wire                beat_valid, beat_first, beat_last;
    wire [DATA_W-1:0]   beat_data;
    wire [LANE_W:0]     beat_lo, beat_hi;
    wire                hdr_valid, hdr_bad_doff;
    wire [15:0]         hdr_len;
    wire [3:0]          hdr_reason;
    wire [159:0]        hdr_ip4;
    wire [15:0]         hdr_tcp_len;
    wire [`RX_SEG_W-1:0] hdr_seg;
    wire [`LKP_KEY_W-1:0] hdr_key;
    wire [319:0]        hdr_options;
    wire [5:0]          hdr_opt_len;

    rx_headers #(.DATA_W(DATA_W)) headers (
        .clk(clk), .rst(rst),
        .s_beat_valid(s_axis_rx_tvalid), .s_beat_data(s_axis_rx_tdata),
        .s_beat_keep(s_axis_rx_tkeep), .s_beat_last(s_axis_rx_tlast),
        .m_beat_valid(beat_valid), .m_beat_data(beat_data),
        .m_beat_first(beat_first), .m_beat_last(beat_last),
        .m_beat_lo(beat_lo), .m_beat_hi(beat_hi),
        .m_frame_valid(hdr_valid), .m_frame_len(hdr_len),
        .m_frame_reason(hdr_reason), .m_frame_bad_doff(hdr_bad_doff),
        .m_frame_ip4(hdr_ip4), .m_frame_tcp_len(hdr_tcp_len), .m_frame_seg(hdr_seg), .m_frame_key(hdr_key),
        .m_frame_options(hdr_options), .m_frame_opt_len(hdr_opt_len)
    );

    reg [19:0] ip_sum;                             // stage 2: the ten words of the IPv4 header
    integer i;
    always @* begin
        ip_sum = 20'd0;
        for (i = 0; i < 10; i = i + 1) ip_sum = ip_sum + {4'd0, hdr_ip4[i*16 +: 16]};
    end

    // pseudo header of either family: both addresses, TCP's number, TCP length; what is wider in IPv6 is zero here
    wire [127:0] local_ip  = hdr_key[`LKP_KEY_LOCAL_IP];
    wire [127:0] remote_ip = hdr_key[`LKP_KEY_REMOTE_IP];
    reg  [PSEUDO_W-1:0] pseudo;
    integer j;
    always @* begin
        pseudo = {{(PSEUDO_W-16){1'b0}}, hdr_tcp_len} + PROTO_TCP;
        for (j = 0; j < 8; j = j + 1)
            pseudo = pseudo + {{(PSEUDO_W-16){1'b0}}, local_ip[j*16 +: 16]}
                            + {{(PSEUDO_W-16){1'b0}}, remote_ip[j*16 +: 16]};
    end

    wire sum_valid, tcp_ok;

    rx_checksum #(.DATA_W(DATA_W), .PSEUDO_W(PSEUDO_W)) checksum (
        .clk(clk), .rst(rst),
        .s_beat_valid(beat_valid), .s_beat_data(beat_data),
        .s_beat_first(beat_first), .s_beat_last(beat_last),
        .s_beat_lo(beat_lo), .s_beat_hi(beat_hi), .s_pseudo(pseudo),
        .m_valid(sum_valid), .m_ok(tcp_ok)
    );

    // ---- stages 3 and 4 carry the fields beside the sum, stage 5 has the verdict
    reg              s3_valid_reg;
    reg [19:0]       s3_ip_sum_reg;
    reg [3:0]        s3_reason_reg, s4_reason_reg, s5_reason_reg;
    reg              s3_bad_doff_reg, s4_bad_doff_reg;
    reg              s3_ipv6_reg, s4_ip_ok_reg;
    reg [META_W-1:0] s3_meta_reg, s4_meta_reg, s5_meta_reg;

    wire [16:0] ip_fold = {1'b0, s3_ip_sum_reg[15:0]} + {13'd0, s3_ip_sum_reg[19:16]};
    wire        ip_ok   = ip_fold[15:0] + {15'd0, ip_fold[16]} == 16'hFFFF;

    always @(posedge clk) begin
        if (hdr_valid) begin
            s3_ip_sum_reg   <= ip_sum;
            s3_reason_reg   <= hdr_reason;
            s3_bad_doff_reg <= hdr_bad_doff;
            s3_ipv6_reg     <= hdr_key[`LKP_KEY_IS_IPV6];
            s3_meta_reg     <= {hdr_len, hdr_seg, hdr_key, hdr_options, hdr_opt_len};
        end
        if (s3_valid_reg) begin
            s4_ip_ok_reg    <= s3_ipv6_reg || ip_ok;
            s4_reason_reg   <= s3_reason_reg;
            s4_bad_doff_reg <= s3_bad_doff_reg;
            s4_meta_reg     <= s3_meta_reg;
        end
        if (sum_valid) begin
            s5_meta_reg <= s4_meta_reg;
            if (s4_reason_reg != `RX_REASON_NONE) s5_reason_reg <= s4_reason_reg;
            else if (!s4_ip_ok_reg)               s5_reason_reg <= `RX_REASON_BAD_IP_CHECKSUM;
            else if (s4_bad_doff_reg)             s5_reason_reg <= `RX_REASON_BAD_LENGTH;
            else if (!tcp_ok)                     s5_reason_reg <= `RX_REASON_BAD_TCP_CHECKSUM;
            else                                  s5_reason_reg <= `RX_REASON_NONE;
        end
    end

    // ---- delay line of the beats: a small RAM, written as they come, read DELAY-1 cycles later
    reg  [DELAY-1:0] valid_line_reg;
    reg  [DELAY-1:0] last_line_reg;
    reg  [2:0]       wr_slot_reg, rd_slot_reg;
    wire             read_beat = valid_line_reg[DELAY-2];

    ram_sdp #(.WIDTH(DATA_W), .DEPTH(8)) line (
        .clk(clk),
        .we(s_axis_rx_tvalid), .waddr(wr_slot_reg), .wdata(s_axis_rx_tdata),
        .re(read_beat), .raddr(rd_slot_reg), .rdata(m_wr_data)
    );

    always @(posedge clk) begin
        if (rst) begin
            valid_line_reg <= 0;
            last_line_reg  <= 0;
            wr_slot_reg    <= 3'd0;
            rd_slot_reg    <= 3'd0;
            s3_valid_reg   <= 1'b0;
        end else begin
            valid_line_reg <= {valid_line_reg[DELAY-2:0], s_axis_rx_tvalid};
            last_line_reg  <= {last_line_reg[DELAY-2:0], s_axis_rx_tvalid && s_axis_rx_tlast};
            wr_slot_reg    <= wr_slot_reg + {2'd0, s_axis_rx_tvalid};
            rd_slot_reg    <= rd_slot_reg + {2'd0, read_beat};
            s3_valid_reg   <= hdr_valid;
        end
    end

    // ---- `enable` at the first beat, kept beside the frame until its last beat leaves the line
    reg             in_frame_reg, enabled_reg;
    reg [DELAY-1:0] enabled_line_reg;
    wire            enabled = in_frame_reg ? enabled_reg : enable;

    always @(posedge clk) begin
        if (s_axis_rx_tvalid) enabled_reg <= enabled;
        enabled_line_reg <= {enabled_line_reg[DELAY-2:0], enabled};
    end

    always @(posedge clk) begin
        if (rst)                   in_frame_reg <= 1'b0;
        else if (s_axis_rx_tvalid) in_frame_reg <= !s_axis_rx_tlast;
    end

    // ---- the verdict
    reg [31:0] arrival_reg;
    reg [3:0]  reason;

    wire last = last_line_reg[DELAY-1];

    always @* begin
        reason = s5_reason_reg;
        if (!enabled_line_reg[DELAY-1])                                    reason = `RX_REASON_DISABLED;
        else if (s5_reason_reg != `RX_REASON_TOO_LONG && !s_wr_room)       reason = `RX_REASON_NO_SPACE;
    end

    always @(posedge clk) begin
        if (rst)       arrival_reg <= 32'd0;
        else if (last) arrival_reg <= arrival_reg + 32'd1;
    end

    wire [`RX_SEG_W-1:0] seg_headers;
    reg  [`RX_SEG_W-1:0] seg;
    always @* begin
        seg = seg_headers;
        seg[`RX_SEG_ARRIVAL] = arrival_reg;
    end

    assign m_wr_valid = valid_line_reg[DELAY-1];
    assign m_wr_last  = last;
    assign m_wr_keep  = reason == `RX_REASON_NONE || reason == `RX_REASON_NOT_TCP;

    assign m_frame_valid     = last;
    assign m_frame_candidate = reason == `RX_REASON_NONE;
    assign m_frame_class     = (reason == `RX_REASON_NOT_TCP) ? `RX_CLASS_RAW : `RX_CLASS_DROP;
    assign m_frame_reason    = reason;
    assign m_frame_fill      = s_wr_fill;
    assign m_frame_seg       = seg;
    assign {m_frame_len, seg_headers, m_frame_key, m_frame_options, m_frame_opt_len} = s5_meta_reg;

    assign busy = in_frame_reg || valid_line_reg != 0;

endmodule

`default_nettype wire
