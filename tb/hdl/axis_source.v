// axis_source: plays whole frames into the device's receive stream.
//
// Python writes `src_frame` (byte 0 in bits 7:0), `src_len` and `src_gap`, then toggles `src_go`; `src_done` follows
// as soon as the frame has a place in the queue, so up to QUEUE frames are on their way without Python. Frames of at
// most 128 bytes may be given in `src_head` with `src_short` high: a write of 1024 bits instead of 16384.
// The stream: payload stable while tvalid waits, tkeep all ones but in the last beat, gaps of tvalid drawn with
// probability p_gap/256 a beat. Reset empties the queue. A frame longer than 2048 or of 0 bytes is not played.
`default_nettype none
module axis_source #(
    parameter DATA_W = 64,       // bits: 64, 128, 256, 512
    parameter QUEUE  = 8         // frames, a power of two, >= 4
) (
    input  wire                clk,
    input  wire                rst,
    // Python's side
    input  wire [16383:0]      src_frame,
    input  wire [1023:0]       src_head,
    input  wire                src_short,
    input  wire [15:0]         src_len,      // bytes, 1..2048
    input  wire [15:0]         src_gap,      // idle cycles before the frame
    input  wire                src_go,       // toggle
    output reg                 src_done,     // toggle
    output reg  [31:0]         src_count,    // frames whose last beat was accepted
    output wire                src_busy,     // something is queued or under way
    // settings
    input  wire [31:0]         seed,
    input  wire [7:0]          p_gap,
    output reg  [31:0]         stall_cycles, // cycles with tvalid withheld from a frame under way
    // the stream
    output reg  [DATA_W-1:0]   m_axis_tdata,
    output reg  [DATA_W/8-1:0] m_axis_tkeep,
    output reg                 m_axis_tlast,
    output reg                 m_axis_tvalid,
    input  wire                m_axis_tready
);
    localparam BYTES = DATA_W / 8;

    reg [16383:0] queue_frame [0:QUEUE-1];
    reg [15:0]    queue_len   [0:QUEUE-1];
    reg [15:0]    queue_gap   [0:QUEUE-1];

    reg [16383:0] frame;         // the frame under way
    reg [15:0]    beat;          // the next of its beats
    reg [15:0]    left;          // bytes of it not yet offered
    reg [15:0]    gap;
    reg           active;
    reg [31:0]    wr, rd;        // queue counters, used modulo QUEUE
    reg           go_seen;
    reg [31:0]    lfsr;
    reg           hold;

    assign src_busy = active || (wr != rd) || m_axis_tvalid || (src_go != src_done);

    initial begin
        src_done      = 1'b0;
        src_count     = 32'd0;
        stall_cycles  = 32'd0;
        m_axis_tvalid = 1'b0;
        m_axis_tlast  = 1'b0;
        m_axis_tkeep  = {BYTES{1'b0}};
        m_axis_tdata  = {DATA_W{1'b0}};
        active        = 1'b0;
        wr            = 32'd0;
        rd            = 32'd0;
        go_seen       = 1'b0;
        left          = 16'd0;
        gap           = 16'd0;
        lfsr          = 32'd0;
    end

    always @(posedge clk) begin
        if (rst) begin
            active         = 1'b0;
            wr             = 32'd0;
            rd             = 32'd0;
            go_seen        = src_go;
            src_done      <= src_go;
            m_axis_tvalid <= 1'b0;
        end else if (src_go != go_seen || active || wr != rd || m_axis_tvalid) begin
            if (src_go != go_seen && wr - rd != QUEUE) begin
                go_seen   = src_go;
                src_done <= src_go;
                if (src_len != 16'd0 && src_len <= 16'd2048) begin
                    if (src_short) queue_frame[wr % QUEUE] = {15360'd0, src_head};
                    else           queue_frame[wr % QUEUE] = src_frame;
                    queue_len[wr % QUEUE] = src_len;
                    queue_gap[wr % QUEUE] = src_gap;
                    wr = wr + 32'd1;
                end
            end
            if (m_axis_tvalid && m_axis_tready && m_axis_tlast)
                src_count <= src_count + 32'd1;
            if (!m_axis_tvalid || m_axis_tready) begin
                m_axis_tvalid <= 1'b0;
                hold = 1'b0;
                if (p_gap != 8'd0) begin
                    if (lfsr == 32'd0) lfsr = seed ^ 32'h5eed_0001;
                    lfsr = lfsr ^ (lfsr << 13);
                    lfsr = lfsr ^ (lfsr >> 17);
                    lfsr = lfsr ^ (lfsr << 5);
                    hold = lfsr[7:0] < p_gap;
                end
                if (!active && wr != rd) begin
                    frame  = queue_frame[rd % QUEUE];
                    left   = queue_len[rd % QUEUE];
                    gap    = queue_gap[rd % QUEUE];
                    beat   = 16'd0;
                    active = 1'b1;
                end
                if (active && gap != 16'd0) begin
                    gap = gap - 16'd1;
                end else if (active && hold) begin
                    stall_cycles <= stall_cycles + 32'd1;
                end else if (active) begin
                    m_axis_tvalid <= 1'b1;
                    m_axis_tdata  <= frame[beat * DATA_W +: DATA_W];
                    if (left <= BYTES) begin
                        m_axis_tlast <= 1'b1;
                        m_axis_tkeep <= {BYTES{1'b1}} >> (BYTES - left);
                        active = 1'b0;
                        rd     = rd + 32'd1;
                    end else begin
                        m_axis_tlast <= 1'b0;
                        m_axis_tkeep <= {BYTES{1'b1}};
                        beat = beat + 16'd1;
                        left = left - BYTES;
                    end
                end
            end
        end
    end
endmodule
`default_nettype wire
