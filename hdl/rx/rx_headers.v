// rx_headers: finds Ethernet, IPv4 or IPv6, and TCP headers in the beats of a frame.
//
// Why a block: it alone knows where a header lies on the bus; behind it there are fields, not beats.
//
// s_beat_*: the beats of the wire, one a cycle at most, no back pressure; `s_beat_keep` counts on the last one.
// m_beat_*: one cycle later the same beat, with the first and the end lane of the TCP segment in it
//   (`m_beat_lo` <= lane < `m_beat_hi`; nothing if lo >= hi), for the checksum.
// m_frame_*: two cycles after the last beat: a pulse with everything the headers say. `m_frame_reason` is the
//   first failed check before the IP checksum (NONE: go on); `m_frame_bad_doff` the check behind it. The family is
//   the ethertype's: bit is_ipv6 of `m_frame_key`, whose IPv4 addresses are 128-bit numbers as well.
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
    output wire [159:0]          m_frame_ip4,      // IPv4 header, byte 0 on top
    output wire [15:0]           m_frame_tcp_len,  // TCP header and data, bytes
    output wire [`RX_SEG_W-1:0]   m_frame_seg,     // arrival, conn, gen and options are 0
    output wire [`LKP_KEY_W-1:0] m_frame_key,
    output wire [319:0]          m_frame_options,  // option byte 0 in bits 7:0
    output wire [5:0]            m_frame_opt_len   // bytes
);

    localparam LANES     = DATA_W / 8;
    localparam HDR_BYTES = 118;                            // Ethernet 14, tag 4, IPv6 40, TCP 60
    localparam HDR_BEATS = (HDR_BYTES + LANES - 1) / LANES;
    localparam HDR_W     = HDR_BEATS * DATA_W;
    localparam L3_BYTES  = 100;                            // IPv6 40, TCP 60
    localparam L4_BYTES  = 60;                             // TCP
    localparam IP4_BYTES = 20, IP6_BYTES = 40;
    localparam [15:0] ETH_LEN     = 16'd14;
    localparam [15:0] TAGGED_LEN  = 16'd18;
    localparam [15:0] IP4_LEN     = IP4_BYTES;
    localparam [15:0] IP6_LEN     = IP6_BYTES;
    localparam [15:0] MIN_TCP_LEN = 16'd20;                // without options
    localparam [15:0] TYPE_IPV4   = 16'h0800;
    localparam [15:0] TYPE_IPV6   = 16'h86DD;
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
    wire [15:0] type_l3    = has_tag ? type_inner : type_outer;
    wire        is_ipv6    = type_l3 == TYPE_IPV6;
    wire [15:0] ip_len     = is_ipv6 ? IP6_LEN : IP4_LEN;

    wire [L3_BYTES*8-1:0] l3 = has_tag ? hdr_reg[18*8 +: L3_BYTES*8] : hdr_reg[14*8 +: L3_BYTES*8];
    wire [L4_BYTES*8-1:0] l4 = is_ipv6 ? l3[IP6_BYTES*8 +: L4_BYTES*8] : l3[IP4_BYTES*8 +: L4_BYTES*8];
    wire [L3_BYTES*8-1:0] l3_be;               // byte 0 on top: numbers as they are read
    wire [L4_BYTES*8-1:0] l4_be;
    generate
        for (g = 0; g < L3_BYTES; g = g + 1) begin : g_reverse_l3
            assign l3_be[(L3_BYTES-1-g)*8 +: 8] = l3[g*8 +: 8];
        end
        for (g = 0; g < L4_BYTES; g = g + 1) begin : g_reverse_l4
            assign l4_be[(L4_BYTES-1-g)*8 +: 8] = l4[g*8 +: 8];
        end
    endgenerate

    // byte offsets inside l3, counted from the top
    wire [3:0]   ip_version  = l3_be[(L3_BYTES- 1)*8 + 4 +: 4];
    wire [3:0]   ip4_ihl     = l3_be[(L3_BYTES- 1)*8 +: 4];
    wire [1:0]   ip4_ecn     = l3_be[(L3_BYTES- 2)*8 +: 2];
    wire [15:0]  ip4_total   = l3_be[(L3_BYTES- 4)*8 +: 16];
    wire [13:0]  ip4_frag    = l3_be[(L3_BYTES- 8)*8 +: 14];    // MF and offset
    wire [7:0]   ip4_proto   = l3_be[(L3_BYTES-10)*8 +: 8];
    wire [31:0]  ip4_src     = l3_be[(L3_BYTES-16)*8 +: 32];
    wire [31:0]  ip4_dst     = l3_be[(L3_BYTES-20)*8 +: 32];
    wire [1:0]   ip6_ecn     = l3_be[(L3_BYTES- 2)*8 + 4 +: 2]; // low bits of the traffic class
    wire [15:0]  ip6_payload = l3_be[(L3_BYTES- 6)*8 +: 16];
    wire [7:0]   ip6_next    = l3_be[(L3_BYTES- 7)*8 +: 8];
    wire [127:0] ip6_src     = l3_be[(L3_BYTES-24)*8 +: 128];
    wire [127:0] ip6_dst     = l3_be[(L3_BYTES-40)*8 +: 128];
    // inside l4
    wire [15:0]  tcp_src     = l4_be[(L4_BYTES- 2)*8 +: 16];
    wire [15:0]  tcp_dst     = l4_be[(L4_BYTES- 4)*8 +: 16];
    wire [31:0]  tcp_seq     = l4_be[(L4_BYTES- 8)*8 +: 32];
    wire [31:0]  tcp_ack     = l4_be[(L4_BYTES-12)*8 +: 32];
    wire [3:0]   tcp_doff    = l4_be[(L4_BYTES-13)*8 + 4 +: 4];
    wire [7:0]   tcp_flags   = l4_be[(L4_BYTES-14)*8 +: 8];
    wire [15:0]  tcp_wnd     = l4_be[(L4_BYTES-16)*8 +: 16];

    // the TCP segment inside this beat
    wire [16:0] base     = {1'b0, {8'd0, s1_idx_reg} << LANE_W};
    wire [16:0] l4_start = {1'b0, l2_len} + {1'b0, ip_len};
    wire [16:0] l4_end   = {1'b0, l2_len} + (is_ipv6 ? {1'b0, IP6_LEN} + {1'b0, ip6_payload} : {1'b0, ip4_total});
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
    wire [15:0] tcp_len     = is_ipv6 ? ip6_payload : ip4_total - IP4_LEN;   // a total below IP4_LEN: past any frame
    wire        is_ip       = (!has_tag || s1_len_reg >= TAGGED_LEN) && (is_ipv6 || type_l3 == TYPE_IPV4);
    wire        other_l4    = is_ipv6 ? ip_version != 4'd6 || ip6_next != PROTO_TCP
                                      : ip_version != 4'd4 || ip4_ihl != 4'd5 || ip4_frag != 14'd0
                                        || ip4_proto != PROTO_TCP;
    wire        bad_length  = tcp_len < MIN_TCP_LEN || tcp_len > s1_len_reg - l2_len - ip_len;

    reg [3:0] reason;
    always @* begin
        if (s1_len_reg > FRAME_LIMIT[15:0])        reason = `RX_REASON_TOO_LONG;
        else if (s1_len_reg < ETH_LEN)             reason = `RX_REASON_BAD_LENGTH;
        else if (!is_ip)                           reason = `RX_REASON_NOT_TCP;
        else if (s1_len_reg < l2_len + ip_len)     reason = `RX_REASON_BAD_LENGTH;
        else if (other_l4)                         reason = `RX_REASON_NOT_TCP;
        else if (bad_length)                       reason = `RX_REASON_BAD_LENGTH;
        else                                       reason = `RX_REASON_NONE;
    end

    // ---- stage 2: the fields of the whole frame
    reg                s2_valid_reg;
    reg [15:0]         s2_len_reg;
    reg [3:0]          s2_reason_reg;
    reg                s2_bad_doff_reg;
    reg [159:0]        s2_ip4_reg;
    reg [15:0]         s2_tcp_len_reg;
    reg [`RX_SEG_W-1:0] s2_seg_reg;
    reg [`LKP_KEY_W-1:0] s2_key_reg;
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
        seg[`RX_SEG_IP_ECN]  = is_ipv6 ? ip6_ecn : ip4_ecn;
        seg[`RX_SEG_PAY_OFF] = l2_len + ip_len + tcp_hdr_len;
        seg[`RX_SEG_PAY_LEN] = tcp_len - tcp_hdr_len;
    end

    reg [`LKP_KEY_W-1:0] key;
    always @* begin
        key                       = {`LKP_KEY_W{1'b0}};
        key[`LKP_KEY_IS_IPV6]     = is_ipv6;
        key[`LKP_KEY_LOCAL_IP]    = is_ipv6 ? ip6_dst : {96'd0, ip4_dst};
        key[`LKP_KEY_REMOTE_IP]   = is_ipv6 ? ip6_src : {96'd0, ip4_src};
        key[`LKP_KEY_LOCAL_PORT]  = tcp_dst;
        key[`LKP_KEY_REMOTE_PORT] = tcp_src;
    end

    always @(posedge clk) begin
        if (s1_last_reg) begin
            s2_len_reg      <= s1_len_reg;
            s2_reason_reg   <= reason;
            s2_bad_doff_reg <= tcp_doff < 4'd5 || tcp_hdr_len > tcp_len;
            s2_ip4_reg      <= l3_be[(L3_BYTES-IP4_BYTES)*8 +: 160];
            s2_tcp_len_reg  <= tcp_len;
            s2_seg_reg      <= seg;
            s2_key_reg      <= key;
            s2_options_reg  <= l4[20*8 +: 320];
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
    assign m_frame_ip4      = s2_ip4_reg;
    assign m_frame_tcp_len  = s2_tcp_len_reg;
    assign m_frame_seg      = s2_seg_reg;
    assign m_frame_key      = s2_key_reg;
    assign m_frame_options  = s2_options_reg;
    assign m_frame_opt_len  = s2_opt_len_reg;

    wire unused = &{1'b0, hdr_reg, l3_be, l4_be};

endmodule

`default_nettype wire
