// rx_resolve: finds the connection of every checked frame and says what becomes of it.
//
// Why a block: the look-up takes time and can pause; here frames wait for it in their order, and here the one
// record and the one count of each frame are made.
//
// s_frame_*: one pulse a frame from rx_parser, no back pressure: QUEUE frames may wait. The look-up pauses for
//   single cycles only, so the queue does not fill (checked under CHIMNEY_ASSERT).
// m_lkp_* / s_lkp_*: conn_lookup; answers in order.
// m_desc_*: kept frames in arrival order to rx_buffer; m_seg_*: segments with their option bytes. Both receivers
//   have a place for every frame that the receive buffer holds, so neither can refuse.
// rec_rx_*: pulse with the record; cnt: one bit a counter (frames, raw, bad sum, bad length, no space, segments,
//   raw without buffer); raw frames are counted where they reach the host.
`include "chimney_layout.vh"
`default_nettype none

module rx_resolve #(
    parameter CONN_W = 4,                      // bits of a connection number, 2..16
    parameter QUEUE  = 32                      // frames, a power of two
) (
    input  wire                  clk,
    input  wire                  rst,

    input  wire                  s_frame_valid,
    input  wire                  s_frame_candidate,
    input  wire [1:0]            s_frame_class,
    input  wire [3:0]            s_frame_reason,
    input  wire [15:0]           s_frame_fill,
    input  wire [15:0]           s_frame_len,
    input  wire [`RX_SEG_W-1:0]  s_frame_seg,
    input  wire [`LKP_KEY_W-1:0] s_frame_key,
    input  wire [319:0]          s_frame_options,
    input  wire [5:0]            s_frame_opt_len,

    output wire                  m_lkp_valid,
    input  wire                  m_lkp_ready,
    output wire [`LKP_KEY_W-1:0] m_lkp_key,
    input  wire                  s_lkp_valid,
    input  wire                  s_lkp_hit,
    input  wire [CONN_W-1:0]     s_lkp_conn,
    input  wire [7:0]            s_lkp_gen,

    output wire                  m_desc_valid,
    output wire [1:0]            m_desc_class,
    output wire [31:0]           m_desc_arrival,
    output wire [15:0]           m_desc_len,

    output wire                  m_seg_valid,
    output wire [`RX_SEG_W-1:0]  m_seg,
    output wire [319:0]          m_seg_options,
    output wire [5:0]            m_seg_opt_len,

    output wire                  rec_rx_valid,
    output wire [`REC_RX_W-1:0]  rec_rx,
    output wire [6:0]            cnt,
    output wire                  busy
);

    localparam META_W  = 1 + 2 + 4 + 16 + 16 + `RX_SEG_W + 320 + 6;
    localparam COUNT_W = $clog2(QUEUE) + 1;

    // frames in order, candidates' keys, look-up answers
    wire              frame_ready, frame_valid, frame_pop;
    wire [META_W-1:0] frame;
    wire [COUNT_W-1:0] frame_count;

    fifo #(.WIDTH(META_W), .DEPTH(QUEUE)) frames (
        .clk(clk), .rst(rst),
        .s_data({s_frame_candidate, s_frame_class, s_frame_reason, s_frame_fill, s_frame_len,
                 s_frame_seg, s_frame_options, s_frame_opt_len}),
        .s_valid(s_frame_valid), .s_ready(frame_ready),
        .m_data(frame), .m_valid(frame_valid), .m_ready(frame_pop),
        .count(frame_count)
    );

    wire               key_ready, key_valid;
    wire [`LKP_KEY_W-1:0] key;
    wire [COUNT_W-1:0] key_count;

    fifo #(.WIDTH(`LKP_KEY_W), .DEPTH(QUEUE)) keys (
        .clk(clk), .rst(rst),
        .s_data(s_frame_key), .s_valid(s_frame_valid && s_frame_candidate), .s_ready(key_ready),
        .m_data(key), .m_valid(key_valid), .m_ready(m_lkp_ready),
        .count(key_count)
    );

    assign m_lkp_valid = key_valid;
    assign m_lkp_key   = key;

    wire               answer_ready, answer_valid, hit;
    wire [CONN_W-1:0]  hit_conn;
    wire [7:0]         hit_gen;
    wire [COUNT_W-1:0] answer_count;
    wire               candidate;

    fifo #(.WIDTH(1 + CONN_W + 8), .DEPTH(QUEUE)) answers (
        .clk(clk), .rst(rst),
        .s_data({s_lkp_hit, s_lkp_conn, s_lkp_gen}), .s_valid(s_lkp_valid), .s_ready(answer_ready),
        .m_data({hit, hit_conn, hit_gen}), .m_valid(answer_valid), .m_ready(frame_pop && candidate),
        .count(answer_count)
    );

    // ---- join
    wire [1:0]           early_class;
    wire [3:0]           early_reason;
    wire [15:0]          fill, len;
    wire [`RX_SEG_W-1:0] headers;
    wire [319:0]         options;
    wire [5:0]           opt_len;
    assign {candidate, early_class, early_reason, fill, len, headers, options, opt_len} = frame;

    assign frame_pop = frame_valid && (!candidate || answer_valid);

    wire        segment = candidate && hit;
    wire [15:0] conn    = segment ? {{(16-CONN_W){1'b0}}, hit_conn} : 16'd0;
    wire [7:0]  gen     = segment ? hit_gen : 8'd0;

    reg [1:0] class_now;
    reg [3:0] reason;
    always @* begin
        class_now = early_class;
        reason    = early_reason;
        if (segment) begin
            class_now = `RX_CLASS_SEGMENT;
            reason    = `RX_REASON_NONE;
        end else if (candidate) begin
            class_now = `RX_CLASS_RAW;
            reason    = `RX_REASON_NOT_OFFLOADED;
        end
    end

    reg [`RX_SEG_W-1:0] seg;
    reg [`REC_RX_W-1:0] record;
    always @* begin
        seg = headers;
        seg[`RX_SEG_CONN] = conn;
        seg[`RX_SEG_GEN]  = gen;
        record = {`REC_RX_W{1'b0}};
        record[`REC_RX_ARRIVAL] = headers[`RX_SEG_ARRIVAL];
        record[`REC_RX_CLASS]   = class_now;
        record[`REC_RX_REASON]  = reason;
        record[`REC_RX_CONN]    = conn;
        record[`REC_RX_GEN]     = gen;
        record[`REC_RX_FILL]    = fill;
    end

    // ---- registered outputs
    reg                  valid_reg, segment_reg, kept_reg;
    reg [6:0]            cnt_reg;
    reg [15:0]           len_reg;
    reg [`RX_SEG_W-1:0]  seg_reg;
    reg [319:0]          options_reg;
    reg [5:0]            opt_len_reg;
    reg [`REC_RX_W-1:0]  record_reg;

    always @(posedge clk) begin
        if (frame_pop) begin
            seg_reg     <= seg;
            options_reg <= options;
            opt_len_reg <= opt_len;
            len_reg     <= len;
            record_reg  <= record;
        end
    end

    always @(posedge clk) begin
        if (rst) begin
            valid_reg   <= 1'b0;
            segment_reg <= 1'b0;
            kept_reg    <= 1'b0;
            cnt_reg     <= 7'd0;
        end else begin
            valid_reg   <= frame_pop;
            segment_reg <= frame_pop && segment;
            kept_reg    <= frame_pop && class_now != `RX_CLASS_DROP;
            cnt_reg     <= {1'b0,
                            frame_pop && segment,
                            frame_pop && reason == `RX_REASON_NO_SPACE,
                            frame_pop && (reason == `RX_REASON_BAD_LENGTH || reason == `RX_REASON_TOO_LONG),
                            frame_pop && (reason == `RX_REASON_BAD_IP_CHECKSUM
                                          || reason == `RX_REASON_BAD_TCP_CHECKSUM),
                            1'b0,
                            frame_pop};
        end
    end

    assign m_desc_valid   = kept_reg;
    assign m_desc_class   = record_reg[`REC_RX_CLASS];
    assign m_desc_arrival = record_reg[`REC_RX_ARRIVAL];
    assign m_desc_len     = len_reg;

    assign m_seg_valid   = segment_reg;
    assign m_seg         = seg_reg;
    assign m_seg_options = options_reg;
    assign m_seg_opt_len = opt_len_reg;

    assign rec_rx_valid = valid_reg;
    assign rec_rx       = record_reg;
    assign cnt          = cnt_reg;
    assign busy         = frame_valid || valid_reg;

`ifdef CHIMNEY_ASSERT
    always @(posedge clk) begin
        if (!rst && s_frame_valid && !frame_ready) begin
            $display("ASSERT %m: the frame queue is full");
            $finish;
        end
    end
`endif

    wire unused = &{1'b0, frame_ready, frame_count, key_ready, key_count, answer_ready, answer_count};

endmodule

`default_nettype wire
