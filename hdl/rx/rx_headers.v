// rx_headers: finds Ethernet, IPv4 and TCP headers in the beats of a frame.
//
// Why a block: it alone knows where a header lies on the bus; behind it there are fields, not beats.
//
// s_beat_*: the beats of the wire, one a cycle at most, no back pressure; `s_beat_keep` counts on the last one.
// m_beat_*: one cycle later the same beat, with the first and the end lane of the TCP segment in it
//   (`m_beat_lo` <= lane < `m_beat_hi`; nothing if lo >= hi), for the checksum.
// m_frame_*: two cycles after the last beat: a pulse with everything the headers say. `m_frame_reason` is the
//   first failed check before the IP checksum (NONE: go on); `m_frame_bad_doff` the check behind it.
// Latency 2, throughput one beat a cycle (frames of one beat back to back included).
// A frame longer than FRAME_MAX has `m_frame_len` clipped and reason TOO_LONG.
`include "chimney_layout.vh"
`default_nettype none

module rx_headers #(
    parameter DATA_W = 64,                     // bits: 64, 128, 256, 512
    parameter LANE_W = $clog2(DATA_W / 8)      // derived, do not override
) (
    input  wire                  clk,
    input  wire                  rst,

    input  wire                  s_beat_valid,
    input  wire [DATA_W-1:0]     s_beat_data,
    input  wire [DATA_W/8-1:0]   s_beat_keep,
    input  wire                  s_beat_last,

    output wire                  m_beat_valid,
    output wire [DATA_W-1:0]     m_beat_data,
    output wire                  m_beat_first,
    output wire                  m_beat_last,
    output wire [LANE_W:0]       m_beat_lo,
    output wire [LANE_W:0]       m_beat_hi,

    output wire                  m_frame_valid,
    output wire [15:0]           m_frame_len,
    output wire [3:0]            m_frame_reason,
    output wire                  m_frame_bad_doff,
    output wire [159:0]          m_frame_ip,       // IPv4 header, byte 0 on top
    output wire [`RX_SEG_W-1:0]   m_frame_seg,     // arrival, conn, gen and options are 0
    output wire [95:0]           m_frame_key,      // local address, remote address, local port, remote port
    output wire [319:0]          m_frame_options,  // option byte 0 in bits 7:0
    output wire [5:0]            m_frame_opt_len   // bytes
);

    localparam LANES     = DATA_W / 8;
    localparam HDR_BYTES = 98;                             // Ethernet 14, tag 4, IPv4 20, TCP 60
    localparam HDR_BEATS = (HDR_BYTES + LANES - 1) / LANES;
    localparam HDR_W     = HDR_BEATS * DATA_W;
    localparam L3_BYTES  = 80;                             // IPv4 20, TCP 60
    localparam [15:0] ETH_LEN     = 16'd14;
    localparam [15:0] TAGGED_LEN  = 16'd18;
    localparam [15:0] IP_LEN      = 16'd20;
    localparam [15:0] MIN_L4_LEN  = 16'd40;                // IPv4 and TCP without options
    localparam [15:0] TYPE_IPV4   = 16'h0800;
    localparam [15:0] TYPE_VLAN   = 16'h8100;
    localparam [7:0]  PROTO_TCP   = 8'd6;
    localparam [31:0] FRAME_LIMIT = `FRAME_MAX;

    // ---- stage 1: the beat, and the header bytes seen up to it
    reg              s1_valid_reg;
    reg              s1_last_reg;
    reg [7:0]        s1_idx_reg;               // beat number, stops at 255 (past FRAME_MAX at any width)
    reg [DATA_W-1:0] s1_data_reg;
    reg [15:0]       s1_len_reg;               // frame bytes up to and with this beat
    reg [HDR_W-1:0]  hdr_reg;
    reg [7:0]        next_idx_reg;

    reg [LANE_W:0] kept;                       // valid lanes of the beat
    integer i;
    always @* begin
        kept = 0;
        for (i = 0; i < LANES; i = i + 1) kept = kept + {{LANE_W{1'b0}}, s_beat_keep[i]};
    end

    wire [15:0] s0_base = {8'd0, next_idx_reg} << LANE_W;

    always @(posedge clk) begin
        if (s_beat_valid) begin
            s1_data_reg <= s_beat_data;
            s1_idx_reg  <= next_idx_reg;
            s1_len_reg  <= s0_base + {{(15-LANE_W){1'b0}}, kept};
        end
    end

    genvar g;
    generate
        for (g = 0; g < HDR_BEATS; g = g + 1) begin : g_capture
            localparam [7:0] BEAT = g;
            always @(posedge clk) begin
                if (rst) hdr_reg[g*DATA_W +: DATA_W] <= 0;
                else if (s_beat_valid && next_idx_reg == BEAT) hdr_reg[g*DATA_W +: DATA_W] <= s_beat_data;
            end
        end
    endgenerate

    always @(posedge clk) begin
        if (rst) begin
            s1_valid_reg <= 1'b0;
            s1_last_reg  <= 1'b0;
            next_idx_reg <= 8'd0;
        end else begin
            s1_valid_reg <= s_beat_valid;
            s1_last_reg  <= s_beat_valid && s_beat_last;
            if (s_beat_valid) next_idx_reg <= s_beat_last ? 8'd0 : next_idx_reg + {7'd0, next_idx_reg != 8'hFF};
        end
    end

    // ---- stage 1, combinational: the tag moves everything behind it by 4 bytes
    wire [15:0] type_outer = {hdr_reg[12*8 +: 8], hdr_reg[13*8 +: 8]};
    wire [15:0] type_inner = {hdr_reg[16*8 +: 8], hdr_reg[17*8 +: 8]};
    wire        has_tag     = type_outer == TYPE_VLAN;
    wire [15:0] l2_len     = has_tag ? TAGGED_LEN : ETH_LEN;

    wire [L3_BYTES*8-1:0] l3 = has_tag ? hdr_reg[18*8 +: L3_BYTES*8] : hdr_reg[14*8 +: L3_BYTES*8];
    wire [L3_BYTES*8-1:0] l3_be;               // byte 0 on top: numbers as they are read
    generate
        for (g = 0; g < L3_BYTES; g = g + 1) begin : g_reverse
            assign l3_be[(L3_BYTES-1-g)*8 +: 8] = l3[g*8 +: 8];
        end
    endgenerate

    // byte offsets inside l3, counted from the top
    wire [3:0]  ip_version = l3_be[(L3_BYTES- 1)*8 + 4 +: 4];
    wire [3:0]  ip_ihl     = l3_be[(L3_BYTES- 1)*8 +: 4];
    wire [1:0]  ip_ecn     = l3_be[(L3_BYTES- 2)*8 +: 2];
    wire [15:0] ip_total   = l3_be[(L3_BYTES- 4)*8 +: 16];
    wire [13:0] ip_frag    = l3_be[(L3_BYTES- 8)*8 +: 14];     // MF and offset
    wire [7:0]  ip_proto   = l3_be[(L3_BYTES-10)*8 +: 8];
    wire [31:0] ip_src     = l3_be[(L3_BYTES-16)*8 +: 32];
    wire [31:0] ip_dst     = l3_be[(L3_BYTES-20)*8 +: 32];
    wire [15:0] tcp_src    = l3_be[(L3_BYTES-22)*8 +: 16];
    wire [15:0] tcp_dst    = l3_be[(L3_BYTES-24)*8 +: 16];
    wire [31:0] tcp_seq    = l3_be[(L3_BYTES-28)*8 +: 32];
    wire [31:0] tcp_ack    = l3_be[(L3_BYTES-32)*8 +: 32];
    wire [3:0]  tcp_doff   = l3_be[(L3_BYTES-33)*8 + 4 +: 4];
    wire [7:0]  tcp_flags  = l3_be[(L3_BYTES-34)*8 +: 8];
    wire [15:0] tcp_wnd    = l3_be[(L3_BYTES-36)*8 +: 16];

    // the TCP segment inside this beat
    wire [16:0] base     = {1'b0, {8'd0, s1_idx_reg} << LANE_W};
    wire [16:0] l4_start = {1'b0, l2_len} + {1'b0, IP_LEN};
    wire [16:0] l4_end   = {1'b0, l2_len} + {1'b0, ip_total};
    localparam [31:0] BEAT_LEN = LANES;

    function [LANE_W:0] lane_of(input [16:0] position, input [16:0] beat_base);
        reg [16:0] ahead;
        begin
            ahead = position - beat_base;
            if (position <= beat_base)  lane_of = 0;
            else if (ahead >= BEAT_LEN[16:0]) lane_of = BEAT_LEN[LANE_W:0];
            else                        lane_of = ahead[LANE_W:0];
        end
    endfunction

    assign m_beat_valid = s1_valid_reg;
    assign m_beat_data  = s1_data_reg;
    assign m_beat_first = s1_idx_reg == 8'd0;
    assign m_beat_last  = s1_last_reg;
    assign m_beat_lo    = lane_of(l4_start, base);
    assign m_beat_hi    = lane_of(l4_end, base);

    // the checks in their order
    wire [15:0] tcp_hdr_len = {10'd0, tcp_doff, 2'b00};
    wire [15:0] hdr_len     = IP_LEN + tcp_hdr_len;
    wire        is_ipv4     = has_tag ? (s1_len_reg >= TAGGED_LEN && type_inner == TYPE_IPV4)
                                     : type_outer == TYPE_IPV4;
    wire        other_l4    = ip_version != 4'd4 || ip_ihl != 4'd5 || ip_frag != 14'd0 || ip_proto != PROTO_TCP;
    wire        bad_total   = ip_total < MIN_L4_LEN || ip_total > s1_len_reg - l2_len;

    reg [3:0] reason;
    always @* begin
        if (s1_len_reg > FRAME_LIMIT[15:0])        reason = `RX_REASON_TOO_LONG;
        else if (s1_len_reg < ETH_LEN)             reason = `RX_REASON_BAD_LENGTH;
        else if (!is_ipv4)                         reason = `RX_REASON_NOT_TCP;
        else if (s1_len_reg < l2_len + IP_LEN)     reason = `RX_REASON_BAD_LENGTH;
        else if (other_l4)                         reason = `RX_REASON_NOT_TCP;
        else if (bad_total)                        reason = `RX_REASON_BAD_LENGTH;
        else                                       reason = `RX_REASON_NONE;
    end

    // ---- stage 2: the fields of the whole frame
    reg                s2_valid_reg;
    reg [15:0]         s2_len_reg;
    reg [3:0]          s2_reason_reg;
    reg                s2_bad_doff_reg;
    reg [159:0]        s2_ip_reg;
    reg [`RX_SEG_W-1:0] s2_seg_reg;
    reg [95:0]         s2_key_reg;
    reg [319:0]        s2_options_reg;
    reg [5:0]          s2_opt_len_reg;

    reg [`RX_SEG_W-1:0] seg;
    always @* begin
        seg                  = {`RX_SEG_W{1'b0}};
        seg[`RX_SEG_SEQ]     = tcp_seq;
        seg[`RX_SEG_ACK]     = tcp_ack;
        seg[`RX_SEG_WND]     = tcp_wnd;
        seg[`RX_SEG_FLAGS]   = tcp_flags;
        seg[`RX_SEG_TAGGED]  = has_tag;
        seg[`RX_SEG_VLAN_ID] = has_tag ? {hdr_reg[14*8 +: 4], hdr_reg[15*8 +: 8]} : 12'd0;
        seg[`RX_SEG_IP_ECN]  = ip_ecn;
        seg[`RX_SEG_PAY_OFF] = l2_len + hdr_len;
        seg[`RX_SEG_PAY_LEN] = ip_total - hdr_len;
    end

    always @(posedge clk) begin
        if (s1_last_reg) begin
            s2_len_reg      <= s1_len_reg;
            s2_reason_reg   <= reason;
            s2_bad_doff_reg <= tcp_doff < 4'd5 || hdr_len > ip_total;
            s2_ip_reg       <= l3_be[(L3_BYTES-20)*8 +: 160];
            s2_seg_reg      <= seg;
            s2_key_reg      <= {ip_dst, ip_src, tcp_dst, tcp_src};
            s2_options_reg  <= l3[40*8 +: 320];
            s2_opt_len_reg  <= {tcp_doff, 2'b00} - 6'd20;
        end
    end

    always @(posedge clk) begin
        if (rst) s2_valid_reg <= 1'b0;
        else     s2_valid_reg <= s1_last_reg;
    end

    assign m_frame_valid    = s2_valid_reg;
    assign m_frame_len      = s2_len_reg;
    assign m_frame_reason   = s2_reason_reg;
    assign m_frame_bad_doff = s2_bad_doff_reg;
    assign m_frame_ip       = s2_ip_reg;
    assign m_frame_seg      = s2_seg_reg;
    assign m_frame_key      = s2_key_reg;
    assign m_frame_options  = s2_options_reg;
    assign m_frame_opt_len  = s2_opt_len_reg;

    wire unused = &{1'b0, hdr_reg, l3_be};

endmodule

`default_nettype wire
