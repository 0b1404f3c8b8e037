// payload_gather: puts the pieces of a frame together in the frame store and sums them.
//
// Why a block: the one place where bytes from any host alignment become contiguous; no header, no order.
//
// s_desc: one a piece, in the order of the reads and present before its data. `none`: no data come.
//   With `last`, `beats` is the room the frame took in the store: the next frame starts behind it, whatever
//   came of this one. `bad`: the frame is lost.
// s_prd_*: dma read response, packed from lane 0, all beats of a piece full but the last. Ready is low only
//   in the one cycle a `none` piece takes.
// w_*: frame store write. m_done: pulse, in order, one a frame: ones-complement sum of its bytes (byte 0 is
//   high), `error` if a read failed or a piece was bad. By then the data can be read.
// One beat a cycle, always: a frame whose last beat overflows into one more store word had an earlier beat
// that filled none, so one word of waiting room (pend) is enough.
//
//   piece beats | a b c d | e f . . |    fill 3   rotate up by 3, lanes < 3 are left over
//   store words | x y z a | b c d e | f ...
`default_nettype none

module payload_gather #(
    parameter DATA_W  = 64,                            // bits: 64, 128, 256, 512
    parameter STORE_W = 10,                            // bits of a frame store address
    parameter BEATS_W = 8,                             // bits of the beats of a frame
    parameter LANE_W  = $clog2(DATA_W / 8)             // derived, do not override
) (
    input  wire               clk,
    input  wire               rst,

    input  wire               s_desc_valid,
    output wire               s_desc_ready,
    input  wire               s_desc_last,
    input  wire               s_desc_none,
    input  wire               s_desc_bad,
    input  wire [BEATS_W-1:0] s_desc_beats,

    input  wire               s_prd_valid,
    output wire               s_prd_ready,
    input  wire [DATA_W-1:0]  s_prd_data,
    input  wire               s_prd_last,
    input  wire [LANE_W:0]    s_prd_bytes,
    input  wire               s_prd_error,

    output wire               w_we,
    output wire [STORE_W-1:0] w_addr,
    output wire [DATA_W-1:0]  w_data,

    output wire               m_done_valid,
    output wire [15:0]        m_done_sum,
    output wire               m_done_error
);

    localparam LANES = DATA_W / 8;
    localparam SUM_W = 16 + $clog2(DATA_W / 16);
    localparam [LANES-1:0]   ALL_LANES = {LANES{1'b1}};
    localparam [STORE_W-1:0] ONE_WORD  = 1;
    localparam [LANE_W:0]    FULL      = {1'b1, {LANE_W{1'b0}}};

    // ---- stage 0: take a beat, mask and rotate it to its lane
    reg  [LANE_W-1:0]  fill_reg;                       // lanes filled in the word under way
    wire               take_none = s_desc_valid && s_desc_none;
    wire               take_beat = s_desc_valid && !s_desc_none && s_prd_valid;
    wire               ends      = s_desc_last && (s_desc_none || s_prd_last);
    wire [LANE_W:0]    bytes     = s_desc_none ? {(LANE_W+1){1'b0}} : s_prd_bytes;
    wire [LANES-1:0]   in_lanes  = ~(ALL_LANES << bytes);
    wire [DATA_W-1:0]  masked, rotated;

    assign s_prd_ready  = s_desc_valid && !s_desc_none;
    assign s_desc_ready = take_none || (take_beat && s_prd_last);

    byte_rotate #(.DATA_W(DATA_W)) rotator (
        .s_data(masked), .amount(-fill_reg), .m_data(rotated)
    );

    reg                s1_valid_reg;
    reg                s1_ends_reg;
    reg                s1_error_reg;
    reg [LANE_W:0]     s1_total_reg;                   // lanes filled before, plus the bytes of this beat
    reg [LANES-1:0]    s1_low_reg;                     // lanes filled before; the beat's are for the next word
    reg [BEATS_W-1:0]  s1_beats_reg;
    reg [DATA_W-1:0]   s1_data_reg;

    // ---- stage 1: merge with the word under way
    reg  [DATA_W-1:0]  part_reg;                       // its bytes
    reg  [STORE_W-1:0] addr_reg;                       // its address
    reg  [STORE_W-1:0] base_reg;                       // first address of this frame
    reg                pend_reg;                       // a word waits
    reg  [STORE_W-1:0] pend_addr_reg;
    reg  [DATA_W-1:0]  pend_data_reg;

    wire [DATA_W-1:0]  merged;

    genvar i;
    generate
        for (i = 0; i < LANES; i = i + 1) begin : g_lane
            assign masked[i*8 +: 8] = s_prd_data[i*8 +: 8] & {8{in_lanes[i]}};
            assign merged[i*8 +: 8] = s1_low_reg[i] ? part_reg[i*8 +: 8] : s1_data_reg[i*8 +: 8];
        end
    endgenerate

    wire full  = s1_valid_reg && s1_total_reg >= FULL;
    wire write = full || (s1_valid_reg && s1_ends_reg && s1_total_reg != 0);
    wire extra = s1_valid_reg && s1_ends_reg && s1_total_reg > FULL;
    wire [STORE_W-1:0] next_base = base_reg + {{(STORE_W-BEATS_W){1'b0}}, s1_beats_reg};

    assign w_we   = pend_reg || write;
    assign w_addr = pend_reg ? pend_addr_reg : addr_reg;
    assign w_data = pend_reg ? pend_data_reg : merged;

    always @(posedge clk) begin
        if (take_beat || take_none) begin
            s1_ends_reg  <= ends;
            s1_error_reg <= s_desc_none ? s_desc_bad : (s_prd_last && s_prd_error);
            s1_total_reg <= {1'b0, fill_reg} + bytes;
            s1_low_reg   <= ~(ALL_LANES << fill_reg);
            s1_beats_reg <= s_desc_beats;
            s1_data_reg  <= rotated;
        end
        if (s1_valid_reg) part_reg <= full ? s1_data_reg : merged;
        if (extra) begin
            pend_addr_reg <= addr_reg + ONE_WORD;
            pend_data_reg <= s1_data_reg;
        end else if (pend_reg && write) begin
            pend_addr_reg <= addr_reg;
            pend_data_reg <= merged;
        end
    end

    always @(posedge clk) begin
        if (rst) begin
            fill_reg     <= 0;
            s1_valid_reg <= 1'b0;
            addr_reg     <= 0;
            base_reg     <= 0;
            pend_reg     <= 1'b0;
        end else begin
            if (take_beat || take_none) fill_reg <= ends ? {LANE_W{1'b0}} : fill_reg + bytes[LANE_W-1:0];
            s1_valid_reg <= take_beat || take_none;
            pend_reg     <= extra || (pend_reg && write);
            if (s1_valid_reg && s1_ends_reg) begin
                addr_reg <= next_base;
                base_reg <= next_base;
            end else if (write) begin
                addr_reg <= addr_reg + ONE_WORD;
            end
        end
    end

    // ---- stages 2, 3: sum. A byte keeps its weight when it is rotated, so the rotated beat is summed
    wire [SUM_W-1:0] beat_sum;

    csum_beat #(.DATA_W(DATA_W)) sum (.s_data(s1_data_reg), .m_sum(beat_sum));

    reg              s2_valid_reg, s2_ends_reg, s2_error_reg;
    reg [SUM_W-1:0]  s2_sum_reg;
    reg              s3_valid_reg;
    reg              error_reg;                        // of the beats of this frame so far
    reg [31:0]       acc_reg;                          // 32 bits hold the words of any frame
    reg              s3_error_reg;
    reg [31:0]       s3_sum_reg;

    wire [31:0] acc      = acc_reg + {{(32-SUM_W){1'b0}}, s2_sum_reg};
    wire [16:0] fold     = {1'b0, s3_sum_reg[31:16]} + {1'b0, s3_sum_reg[15:0]};

    always @(posedge clk) begin
        if (s1_valid_reg) begin
            s2_ends_reg  <= s1_ends_reg;
            s2_error_reg <= s1_error_reg;
            s2_sum_reg   <= beat_sum;
        end
        if (s2_valid_reg && s2_ends_reg) begin
            s3_sum_reg   <= acc;
            s3_error_reg <= error_reg || s2_error_reg;
        end
    end

    always @(posedge clk) begin
        if (rst) begin
            s2_valid_reg <= 1'b0;
            s3_valid_reg <= 1'b0;
            acc_reg      <= 32'd0;
            error_reg    <= 1'b0;
        end else begin
            s2_valid_reg <= s1_valid_reg;
            s3_valid_reg <= s2_valid_reg && s2_ends_reg;
            if (s2_valid_reg) begin
                acc_reg   <= s2_ends_reg ? 32'd0 : acc;
                error_reg <= !s2_ends_reg && (error_reg || s2_error_reg);
            end
        end
    end

    assign m_done_valid = s3_valid_reg;
    assign m_done_sum   = fold[15:0] + {15'd0, fold[16]};
    assign m_done_error = s3_error_reg;

endmodule

`default_nettype wire
