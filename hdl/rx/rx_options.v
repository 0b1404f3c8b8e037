// rx_options: walks the TCP options of a segment and adds timestamp and SACK blocks to its arguments.
//
// Why a block: the walk takes one cycle an option; behind a queue it is off the path of the wire.
//
// s_: segment arguments (timestamp and SACK fields 0), option bytes (byte 0 in bits 7:0) and their number, 0..40.
// m_: the same arguments with ts_present, tsval, tsecr, sack_n, sack_left, sack_right.
// Latency: 1 cycle and one for each option, at most 41 (forty NOPs); one segment at a time.
// Kind 0 ends, kind 1 is one byte, any other kind has a length byte; a length below 2 or past the end stops the
// walk. Kind 8 with length 10 is the timestamp, kind 5 with length 2 + 8n, n = 1..SACK_RX_MAX, holds n SACK blocks
// (RFC 2018 3); of an option that is there twice, the last one counts.
`include "chimney_layout.vh"
`default_nettype none

module rx_options (
    input  wire                 clk,
    input  wire                 rst,

    input  wire                 s_valid,
    output wire                 s_ready,
    input  wire [`RX_SEG_W-1:0] s_seg,
    input  wire [319:0]         s_options,
    input  wire [5:0]           s_opt_len,

    output wire                 m_valid,
    input  wire                 m_ready,
    output wire [`RX_SEG_W-1:0] m_seg
);

    localparam [7:0] KIND_END = 8'd0;
    localparam [7:0] KIND_NOP = 8'd1;
    localparam [7:0] KIND_SACK = 8'd5;
    localparam [7:0] KIND_TS  = 8'd8;
    localparam [7:0] LEN_TS   = 8'd10;
    localparam [7:0] LEN_HEAD = 8'd2;          // kind and length
    localparam       BLOCKS   = `SACK_RX_MAX;
    localparam [7:0] LEN_SACK = LEN_HEAD + 8 * BLOCKS;     // the longest

    reg                 busy_reg, done_reg;
    reg [`RX_SEG_W-1:0] seg_reg;
    reg [319:0]         left_reg;              // bytes not yet walked, next one in bits 7:0
    reg [5:0]           count_reg;             // how many

    wire [7:0] kind   = left_reg[7:0];
    wire [7:0] length = left_reg[15:8];
    wire       is_nop = kind == KIND_NOP;
    wire       fits   = count_reg >= 6'd2 && length >= LEN_HEAD && length <= {2'b00, count_reg};
    wire       stop   = count_reg == 6'd0 || kind == KIND_END || (!is_nop && !fits);
    wire       is_ts  = !stop && kind == KIND_TS && length == LEN_TS;
    wire [5:0] step   = is_nop ? 6'd1 : length[5:0];

    wire [7:0] block_bytes = length - LEN_HEAD;
    wire       is_sack     = !stop && kind == KIND_SACK && length > LEN_HEAD && length <= LEN_SACK
                             && block_bytes[2:0] == 3'd0;
    wire [2:0] sack_n      = block_bytes[5:3];
    wire [32*BLOCKS-1:0] sack_left, sack_right;
    genvar g;
    generate
        for (g = 0; g < BLOCKS; g = g + 1) begin : g_block
            localparam [2:0] PLACE = g;
            localparam       AT    = 16 + 64 * g;          // its first bit behind kind and length
            assign sack_left[32*g +: 32]  = (PLACE >= sack_n) ? 32'd0 :
                {left_reg[AT +: 8], left_reg[AT + 8 +: 8], left_reg[AT + 16 +: 8], left_reg[AT + 24 +: 8]};
            assign sack_right[32*g +: 32] = (PLACE >= sack_n) ? 32'd0 :
                {left_reg[AT + 32 +: 8], left_reg[AT + 40 +: 8], left_reg[AT + 48 +: 8], left_reg[AT + 56 +: 8]};
        end
    endgenerate

    assign s_ready = !busy_reg;
    assign m_valid = done_reg;
    assign m_seg   = seg_reg;

    always @(posedge clk) begin
        if (s_valid && s_ready) begin
            seg_reg   <= s_seg;
            left_reg  <= s_options;
            count_reg <= s_opt_len;
        end else if (busy_reg && !done_reg && !stop) begin
            left_reg  <= left_reg >> {step, 3'b000};
            count_reg <= count_reg - step;
            if (is_ts) begin
                seg_reg[`RX_SEG_TS_PRESENT] <= 1'b1;
                seg_reg[`RX_SEG_TSVAL] <= {left_reg[23:16], left_reg[31:24], left_reg[39:32], left_reg[47:40]};
                seg_reg[`RX_SEG_TSECR] <= {left_reg[55:48], left_reg[63:56], left_reg[71:64], left_reg[79:72]};
            end
            if (is_sack) begin
                seg_reg[`RX_SEG_SACK_N]     <= sack_n;
                seg_reg[`RX_SEG_SACK_LEFT]  <= sack_left;
                seg_reg[`RX_SEG_SACK_RIGHT] <= sack_right;
            end
        end
    end

    always @(posedge clk) begin
        if (rst) begin
            busy_reg <= 1'b0;
            done_reg <= 1'b0;
        end else if (!busy_reg) begin
            busy_reg <= s_valid;
        end else if (!done_reg) begin
            done_reg <= stop;
        end else if (m_ready) begin
            done_reg <= 1'b0;
            busy_reg <= 1'b0;
        end
    end

    wire unused = &{1'b0, block_bytes};

endmodule

`default_nettype wire
