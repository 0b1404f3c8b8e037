// rx_checksum: ones' complement sum of the TCP segment of each frame, over all lanes at once.
//
// Why a block: the only arithmetic that touches every byte; the rest of the parser sees one bit.
//
// s_beat_*: beats with the lanes [lo, hi) that belong to the TCP segment (rx_headers); no back pressure.
// s_pseudo: sum of the pseudo header's words, given one cycle after the last beat of a frame.
// m_valid / m_ok: three cycles after the last beat: the sum including pseudo header and checksum field is all
//   ones. Valid for one cycle.
// Throughput one beat a cycle. Segments start at an even byte, so 16-bit words never straddle lanes.
`default_nettype none

module rx_checksum #(
    parameter DATA_W = 64,                     // bits: 64, 128, 256, 512
    parameter PSEUDO_W = 21,                   // bits of s_pseudo, 16..31
    parameter LANE_W = $clog2(DATA_W / 8)      // derived, do not override
) (
    input  wire              clk,
    input  wire              rst,

    input  wire              s_beat_valid,
    input  wire [DATA_W-1:0] s_beat_data,
    input  wire              s_beat_first,
    input  wire              s_beat_last,
    input  wire [LANE_W:0]   s_beat_lo,
    input  wire [LANE_W:0]   s_beat_hi,
    input  wire [PSEUDO_W-1:0] s_pseudo,

    output wire              m_valid,
    output wire              m_ok
);

    localparam LANES = DATA_W / 8;
    localparam WORDS = LANES / 2;
    localparam SUM_W = 16 + LANE_W;            // sum of WORDS words, with a bit to spare

    // stage 2: lanes outside the segment are zero
    wire [LANES-1:0] all_ones = {LANES{1'b1}};
    wire [LANES-1:0] in_tcp   = (all_ones << s_beat_lo) & ~(all_ones << s_beat_hi);

    reg              s2_valid_reg, s2_first_reg, s2_last_reg;
    reg [DATA_W-1:0] s2_data_reg;

    genvar g;
    generate
        for (g = 0; g < LANES; g = g + 1) begin : g_mask
            always @(posedge clk) begin
                if (s_beat_valid) s2_data_reg[g*8 +: 8] <= s_beat_data[g*8 +: 8] & {8{in_tcp[g]}};
            end
        end
    endgenerate

    // stage 3: the words of the beat
    reg              s3_valid_reg, s3_first_reg, s3_last_reg;
    reg [SUM_W-1:0]  s3_sum_reg;
    reg [PSEUDO_W-1:0] s3_pseudo_reg;

    reg [SUM_W-1:0]  beat_sum;
    integer w;
    always @* begin
        beat_sum = 0;
        for (w = 0; w < WORDS; w = w + 1)
            beat_sum = beat_sum + {{LANE_W{1'b0}}, s2_data_reg[w*16 +: 8], s2_data_reg[w*16 + 8 +: 8]};
    end

    // stage 4: the sum of the frame (at most 761 words in a frame that counts: 26 bits)
    reg        s4_last_reg;
    reg [31:0] acc_reg;

    wire [31:0] acc_before = s3_first_reg ? 32'd0 : acc_reg;
    wire [31:0] acc_pseudo = s3_last_reg ? {{(32-PSEUDO_W){1'b0}}, s3_pseudo_reg} : 32'd0;

    always @(posedge clk) begin
        if (s2_valid_reg) s3_sum_reg <= beat_sum;
        if (s2_valid_reg && s2_last_reg) s3_pseudo_reg <= s_pseudo;
        if (s3_valid_reg) acc_reg <= acc_before + {{(32-SUM_W){1'b0}}, s3_sum_reg} + acc_pseudo;
        s2_first_reg <= s_beat_first;
        s3_first_reg <= s2_first_reg;
    end

    always @(posedge clk) begin
        if (rst) begin
            s2_valid_reg <= 1'b0;
            s3_valid_reg <= 1'b0;
            s2_last_reg  <= 1'b0;
            s3_last_reg  <= 1'b0;
            s4_last_reg  <= 1'b0;
        end else begin
            s2_valid_reg <= s_beat_valid;
            s3_valid_reg <= s2_valid_reg;
            s2_last_reg  <= s_beat_valid && s_beat_last;
            s3_last_reg  <= s2_last_reg;
            s4_last_reg  <= s3_last_reg;
        end
    end

    wire [16:0] fold_once  = {1'b0, acc_reg[31:16]} + {1'b0, acc_reg[15:0]};
    wire [15:0] fold_twice = fold_once[15:0] + {15'd0, fold_once[16]};

    assign m_valid = s4_last_reg;
    assign m_ok    = fold_twice == 16'hFFFF;

endmodule

`default_nettype wire
