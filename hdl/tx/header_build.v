// header_build: makes the header bytes of an outgoing segment, IPv4 or IPv6, with the IPv4 checksum and the header's
// share of the TCP checksum.
//
// Why a block: works while the payload is still being read; frame_emit only adds two sums.
//
// s_*: fields of one frame, no ready: the user takes an item only when the queue behind has room.
//   `s_raw`: a raw frame, no header; `s_len` is then the whole frame.
// m_*: three cycles later: header bytes (byte 0 in bits 7:0, TCP checksum field zero), their number, frame
//   length without and with padding, bus beats of the frame (minus 1), and tcp_sum = ones-complement sum of pseudo
//   header and TCP header. One frame a cycle.
//
// Header bytes: Ethernet 14, with tag 18; IPv4 20, IPv6 40; TCP 20, timestamps 12, n SACK blocks 4 + 8n (3 beside
// timestamps, else 4): at most 118.
`default_nettype none
`include "chimney_layout.vh"

module header_build #(
    parameter DATA_W  = 64,                            // bits: 64, 128, 256, 512
    parameter BEATS_W = 8,                             // bits of the beats of a frame
    parameter HDR_W   = 944                            // 118 bytes, do not override
) (
    input  wire                     clk,
    input  wire                     rst,
    input  wire [47:0]              mac_addr,

    input  wire                     s_valid,
    input  wire                     s_raw,
    input  wire [15:0]              s_len,             // payload bytes
    input  wire [14:0]              s_ip_id,           // IPv4
    input  wire [`TX_SEGMENT_W-1:0] s_seg,
    input  wire [15:0]              s_local_port,
    input  wire [15:0]              s_remote_port,
    input  wire                     s_ipv6,
    input  wire [19:0]              s_flow_label,      // IPv6
    input  wire [127:0]             s_src_addr,        // IPv4: 31:0
    input  wire [127:0]             s_dst_addr,
    input  wire [47:0]              s_dl_src,
    input  wire [47:0]              s_dl_dst,
    input  wire [11:0]              s_vlan_id,

    output wire                     m_valid,
    output wire [HDR_W-1:0]         m_hdr,
    output wire [6:0]               m_hdr_len,
    output wire                     m_tagged,
    output wire                     m_ipv6,
    output wire [15:0]              m_frame_len,
    output wire [15:0]              m_wire_len,        // with padding
    output wire [BEATS_W-1:0]       m_beats_m1,
    output wire [15:0]              m_tcp_sum
);

    localparam LANE_W   = $clog2(DATA_W / 8);
    localparam IP4_W    = 160;
    localparam IP6_W    = 320;
    localparam FRONT_W  = 96;                          // what is in front of the addresses, IPv6: the upper 64 bits
    localparam ADDRS_W  = 256;
    localparam TCP_W    = 480;                         // with options
    localparam OPT_W    = TCP_W - 160;                 // them alone
    localparam BLOCKS   = 4;                           // of SACK
    localparam SACK_W   = 32 + 64 * BLOCKS;            // the option with its NOPs
    localparam TS_W     = 96;
    localparam [7:0]  TCP_PROTO = 8'd6;
    localparam [15:0] TYPE_IPV4 = 16'h0800, TYPE_IPV6 = 16'h86DD;
    localparam [31:0] TS_OPTION = 32'h0101080A;        // NOP NOP kind 8 length 10
    localparam [23:0] SACK_OPTION = 24'h010105;        // NOP NOP kind 5
    localparam [15:0] FRAME_MIN = 16'd60;
    localparam SUM_W    = 22;                          // 30 words of TCP, 18 of the pseudo header

    // ---- stage 1: fields in wire order, first byte in the top bits
    wire        ts_en    = s_seg[`TX_SEGMENT_TS_EN];
    wire [2:0]  prio     = s_seg[`TX_SEGMENT_USER_PRIORITY];
    wire        has_tag  = s_vlan_id != 12'd0 || prio != 3'd0;
    wire [2:0]  blocks   = s_seg[`TX_SEGMENT_SACK_N];
    wire        has_sack = blocks != 3'd0;
    wire [5:0]  sack_len = {blocks, 3'd0} + 6'd2;      // without the NOPs
    wire [5:0]  opt_len  = (ts_en ? 6'd12 : 6'd0) + (has_sack ? sack_len + 6'd2 : 6'd0);
    wire [15:0] tcp_len  = s_len + 16'd20 + {10'd0, opt_len};
    wire [15:0] ip_len   = tcp_len + 16'd20;
    wire [6:0]  hdr_len  = s_raw ? 7'd0 : (has_tag ? 7'd58 : 7'd54) + (s_ipv6 ? 7'd20 : 7'd0) + {1'b0, opt_len};

    wire [32*BLOCKS-1:0] lefts  = s_seg[`TX_SEGMENT_SACK_LEFT];
    wire [32*BLOCKS-1:0] rights = s_seg[`TX_SEGMENT_SACK_RIGHT];
    wire [SACK_W-1:0]    sack;
    wire [TS_W-1:0]      stamps  = {TS_OPTION, s_seg[`TX_SEGMENT_TSVAL], s_seg[`TX_SEGMENT_TSECR]};
    wire [OPT_W-1:0]     options = ts_en ? {stamps, sack[SACK_W-1 -: OPT_W-TS_W]} : {sack, {(OPT_W-SACK_W){1'b0}}};

    genvar g;
    assign sack[SACK_W-1 -: 32] = has_sack ? {SACK_OPTION, 2'd0, sack_len} : 32'd0;
    generate
        for (g = 0; g < BLOCKS; g = g + 1) begin : g_block
            localparam [2:0] PLACE = g;
            assign sack[SACK_W-33-64*g -: 64] = (PLACE < blocks) ? {lefts[32*g +: 32], rights[32*g +: 32]} : 64'd0;
        end
    endgenerate

    reg             s1_valid_reg, s1_raw_reg, s1_tagged_reg, s1_ipv6_reg;
    reg [47:0]      s1_dst_reg, s1_src_reg;            // byte 0 in bits 7:0
    reg [15:0]      s1_tci_reg;
    reg [FRONT_W-1:0] s1_front_reg;
    reg [ADDRS_W-1:0] s1_addrs_reg;                    // source, destination; an IPv4 address has zeros in front
    reg [TCP_W-1:0] s1_tcp_reg;
    reg [15:0]      s1_tcp_len_reg;
    reg [6:0]       s1_hdr_len_reg;
    reg [15:0]      s1_len_reg;

    always @(posedge clk) begin
        if (s_valid) begin
            s1_raw_reg     <= s_raw;
            s1_tagged_reg  <= has_tag && !s_raw;
            s1_dst_reg     <= s_dl_dst;
            s1_src_reg     <= (s_dl_src == 48'd0) ? mac_addr : s_dl_src;
            s1_tci_reg     <= {prio, 1'b0, s_vlan_id};
            s1_tcp_len_reg <= tcp_len;
            s1_hdr_len_reg <= hdr_len;
            s1_len_reg     <= s_len;
            s1_ipv6_reg    <= s_ipv6 && !s_raw;
            s1_front_reg   <= s_ipv6 ? {4'd6, s_seg[`TX_SEGMENT_TOS], s_flow_label,
                                        tcp_len, TCP_PROTO, s_seg[`TX_SEGMENT_TTL], 32'd0}
                                     : {8'h45, s_seg[`TX_SEGMENT_TOS], ip_len,
                                        1'b1, s_ip_id, 16'h4000,
                                        s_seg[`TX_SEGMENT_TTL], TCP_PROTO, 16'h0000};
            s1_addrs_reg   <= {s_src_addr & {{96{s_ipv6}}, 32'hFFFF_FFFF}, s_dst_addr & {{96{s_ipv6}}, 32'hFFFF_FFFF}};
            s1_tcp_reg     <= {s_local_port, s_remote_port,
                               s_seg[`TX_SEGMENT_SEQ],
                               s_seg[`TX_SEGMENT_ACK],
                               4'd5 + opt_len[5:2], 4'd0, s_seg[`TX_SEGMENT_FLAGS], s_seg[`TX_SEGMENT_WND],
                               16'h0000, 16'h0000, options};
        end
    end

    // ---- stage 2: sums; that of the IPv4 header means nothing with IPv6
    reg [31:0] ip_sum, tcp_sum;
    integer    i;

    always @* begin
        ip_sum  = {16'd0, s1_addrs_reg[31:16]} + {16'd0, s1_addrs_reg[15:0]}
                + {16'd0, s1_addrs_reg[159:144]} + {16'd0, s1_addrs_reg[143:128]};
        tcp_sum = {24'd0, TCP_PROTO} + {16'd0, s1_tcp_len_reg};
        for (i = 0; i < FRONT_W / 16; i = i + 1) ip_sum = ip_sum + {16'd0, s1_front_reg[i*16 +: 16]};
        for (i = 0; i < ADDRS_W / 16; i = i + 1) tcp_sum = tcp_sum + {16'd0, s1_addrs_reg[i*16 +: 16]};
        for (i = 0; i < TCP_W / 16; i = i + 1)   tcp_sum = tcp_sum + {16'd0, s1_tcp_reg[i*16 +: 16]};
    end

    reg             s2_valid_reg, s2_raw_reg, s2_tagged_reg, s2_ipv6_reg;
    reg [47:0]      s2_dst_reg, s2_src_reg;
    reg [15:0]      s2_tci_reg;
    reg [FRONT_W-1:0] s2_front_reg;
    reg [ADDRS_W-1:0] s2_addrs_reg;
    reg [TCP_W-1:0] s2_tcp_reg;
    reg [SUM_W-1:0] s2_ip_sum_reg, s2_tcp_sum_reg;
    reg [6:0]       s2_hdr_len_reg;
    reg [15:0]      s2_frame_len_reg;

    always @(posedge clk) begin
        if (s1_valid_reg) begin
            s2_raw_reg       <= s1_raw_reg;
            s2_tagged_reg    <= s1_tagged_reg;
            s2_dst_reg       <= s1_dst_reg;
            s2_src_reg       <= s1_src_reg;
            s2_tci_reg       <= s1_tci_reg;
            s2_ipv6_reg      <= s1_ipv6_reg;
            s2_front_reg     <= s1_front_reg;
            s2_addrs_reg     <= s1_addrs_reg;
            s2_tcp_reg       <= s1_tcp_reg;
            s2_ip_sum_reg    <= ip_sum[SUM_W-1:0];
            s2_tcp_sum_reg   <= tcp_sum[SUM_W-1:0];
            s2_hdr_len_reg   <= s1_hdr_len_reg;
            s2_frame_len_reg <= s1_len_reg + {9'd0, s1_hdr_len_reg};
        end
    end

    // ---- stage 3: fold, put the bytes into order
    wire [16:0]      ip_fold  = {1'b0, s2_ip_sum_reg[15:0]} + {{(33-SUM_W){1'b0}}, s2_ip_sum_reg[SUM_W-1:16]};
    wire [15:0]      ip_csum  = ~(ip_fold[15:0] + {15'd0, ip_fold[16]});
    wire [16:0]      tcp_fold = {1'b0, s2_tcp_sum_reg[15:0]} + {{(33-SUM_W){1'b0}}, s2_tcp_sum_reg[SUM_W-1:16]};
    wire [IP4_W-1:0] ip4      = {s2_front_reg[FRONT_W-1:16], ip_csum, s2_addrs_reg[159:128], s2_addrs_reg[31:0]};
    wire [IP6_W-1:0] ip6      = {s2_front_reg[FRONT_W-1:32], s2_addrs_reg};
    wire [IP6_W+TCP_W-1:0] l34 = s2_ipv6_reg ? {ip6, s2_tcp_reg} : {ip4, s2_tcp_reg, {(IP6_W-IP4_W){1'b0}}};
    wire [IP6_W+TCP_W-1:0] l34_bytes;                  // byte 0 in bits 7:0
    wire [15:0]      type_l3  = s2_ipv6_reg ? TYPE_IPV6 : TYPE_IPV4;
    wire [15:0]      type_bytes = {type_l3[7:0], type_l3[15:8]};
    wire [31:0]      tag      = {s2_tci_reg[7:0], s2_tci_reg[15:8], 16'h0081};
    wire [15:0]      wire_len = (s2_frame_len_reg < FRAME_MIN && !s2_raw_reg) ? FRAME_MIN : s2_frame_len_reg;
    wire [15:0]      last_byte = wire_len - 16'd1;

    generate
        for (g = 0; g < (IP6_W + TCP_W) / 8; g = g + 1) begin : g_byte
            assign l34_bytes[g*8 +: 8] = l34[IP6_W + TCP_W - 8 - g*8 +: 8];
        end
    endgenerate

    reg               s3_valid_reg, s3_tagged_reg, s3_ipv6_reg;
    reg [HDR_W-1:0]   s3_hdr_reg;
    reg [6:0]         s3_hdr_len_reg;
    reg [15:0]        s3_frame_len_reg, s3_wire_len_reg;
    reg [BEATS_W-1:0] s3_beats_m1_reg;
    reg [15:0]        s3_tcp_sum_reg;

    always @(posedge clk) begin
        if (s2_valid_reg) begin
            s3_hdr_reg       <= s2_tagged_reg ? {l34_bytes, type_bytes, tag, s2_src_reg, s2_dst_reg}
                                              : {32'd0, l34_bytes, type_bytes, s2_src_reg, s2_dst_reg};
            s3_tagged_reg    <= s2_tagged_reg;
            s3_ipv6_reg      <= s2_ipv6_reg;
            s3_hdr_len_reg   <= s2_hdr_len_reg;
            s3_frame_len_reg <= s2_frame_len_reg;
            s3_wire_len_reg  <= wire_len;
            s3_beats_m1_reg  <= last_byte[LANE_W +: BEATS_W];
            s3_tcp_sum_reg   <= tcp_fold[15:0] + {15'd0, tcp_fold[16]};
        end
    end

    always @(posedge clk) begin
        if (rst) begin
            s1_valid_reg <= 1'b0;
            s2_valid_reg <= 1'b0;
            s3_valid_reg <= 1'b0;
        end else begin
            s1_valid_reg <= s_valid;
            s2_valid_reg <= s1_valid_reg;
            s3_valid_reg <= s2_valid_reg;
        end
    end

    assign m_valid     = s3_valid_reg;
    assign m_hdr       = s3_hdr_reg;
    assign m_hdr_len   = s3_hdr_len_reg;
    assign m_tagged    = s3_tagged_reg;
    assign m_ipv6      = s3_ipv6_reg;
    assign m_frame_len = s3_frame_len_reg;
    assign m_wire_len  = s3_wire_len_reg;
    assign m_beats_m1  = s3_beats_m1_reg;
    assign m_tcp_sum   = s3_tcp_sum_reg;

    wire unused = &{1'b0, ip_sum[31:SUM_W], tcp_sum[31:SUM_W], s_seg[`TX_SEGMENT_LEN], s_seg[`TX_SEGMENT_HAS_OLD],
                    s_seg[`TX_SEGMENT_HAS_NEW], last_byte, s2_front_reg[15:0]};

endmodule

`default_nettype wire
