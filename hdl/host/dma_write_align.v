// dma_write_align: turns packed beats of a client into bus beats at any address, with strobes.
//
// Why a block: the data path of writes alone, without any credit or response rule.
//
// s_desc_*: one descriptor a request, in the order of the data. `flush`: there is one bus beat more than
//   client beats, made of bytes carried over.
// s_beat_*: valid/ready sink of the client's packed beats (the owner selects the client).
// m_w_*: valid/ready source of bus beats; data is merged behind the register. Strobes are contiguous in a
//   burst; lanes without strobe are zero. `m_w_last` falls at every burst boundary and at the end.
// Latency 1, one bus beat a cycle without exception.
`default_nettype none

module dma_write_align #(
    parameter DATA_W  = 64,                        // bits: 64, 128, 256, 512
    parameter BEATS_W = 14,                        // bits of a request's beats - 1
    parameter POS_W   = 5,                         // bits of a beat's place between burst boundaries, >= 1
    parameter LANE_W  = $clog2(DATA_W / 8)         // derived, do not override
) (
    input  wire                clk,
    input  wire                rst,

    input  wire                s_desc_valid,
    output wire                s_desc_ready,
    input  wire [LANE_W-1:0]   s_desc_off,         // lane of the first byte
    input  wire [LANE_W-1:0]   s_desc_end,         // lane of the last byte
    input  wire [BEATS_W-1:0]  s_desc_beats_m1,    // client beats, minus 1
    input  wire                s_desc_flush,
    input  wire [POS_W-1:0]    s_desc_pos,         // place of the first bus beat between boundaries

    input  wire                s_beat_valid,
    output wire                s_beat_ready,
    input  wire [DATA_W-1:0]   s_beat_data,

    output wire                m_w_valid,
    input  wire                m_w_ready,
    output wire [DATA_W-1:0]   m_w_data,
    output wire [DATA_W/8-1:0] m_w_strb,
    output wire                m_w_last,

    output wire                busy
);

    localparam LANES = DATA_W / 8;
    localparam [LANES-1:0]   ALL_LANES = {LANES{1'b1}};
    localparam [BEATS_W-1:0] ONE_BEAT  = 1;
    localparam [POS_W-1:0]   ONE_PLACE = 1;
    localparam [POS_W-1:0]   LAST_POS  = {POS_W{1'b1}};

    // stage 0: which beat of which request
    reg [BEATS_W-1:0] beat_reg;            // client beats of this request already taken
    reg [POS_W-1:0]   pos_reg;             // place of the next bus beat, valid behind the first
    reg               flushing_reg;        // all client beats taken, one bus beat still to come

    // stage 1: the rotated beat, merged with the one before it on the way out
    reg               s1_valid_reg;
    reg               s1_last_reg;
    reg [LANES-1:0]   s1_keep_reg;         // lanes taken from the beat before
    reg [LANES-1:0]   s1_strb_reg;
    reg [DATA_W-1:0]  s1_data_reg;
    reg [DATA_W-1:0]  carry_reg;

    wire s1_free  = !s1_valid_reg || m_w_ready;

    wire first    = beat_reg == 0 && !flushing_reg;
    wire last_in  = beat_reg == s_desc_beats_m1;
    wire take     = s_desc_valid && s_beat_valid && !flushing_reg && s1_free;
    wire drain    = flushing_reg && s1_free;
    wire last_out = flushing_reg || (last_in && !s_desc_flush);
    wire [POS_W-1:0] pos = first ? s_desc_pos : pos_reg;

    assign s_beat_ready = s_desc_valid && !flushing_reg && s1_free;
    assign s_desc_ready = (take && last_in && !s_desc_flush) || drain;

    wire [LANES-1:0]  from_off = ALL_LANES << s_desc_off;
    wire [LANES-1:0]  upto_end = ALL_LANES >> ~s_desc_end;
    wire [DATA_W-1:0] rotated;

    byte_rotate #(.DATA_W(DATA_W)) rotator (
        .s_data(s_beat_data), .amount(-s_desc_off), .m_data(rotated)
    );

    always @(posedge clk) begin
        if (take || drain) begin
            s1_last_reg <= last_out || pos == LAST_POS;
            s1_keep_reg <= first ? {LANES{1'b0}} : ~from_off;
            s1_strb_reg <= (first ? from_off : ALL_LANES) & (last_out ? upto_end : ALL_LANES);
            pos_reg     <= pos + ONE_PLACE;
        end
        if (take)          s1_data_reg <= rotated;
        if (take || drain) carry_reg   <= s1_data_reg;
    end

    always @(posedge clk) begin
        if (rst) begin
            beat_reg     <= 0;
            flushing_reg <= 1'b0;
            s1_valid_reg <= 1'b0;
        end else begin
            if (take) begin
                beat_reg     <= last_in ? {BEATS_W{1'b0}} : beat_reg + ONE_BEAT;
                flushing_reg <= last_in && s_desc_flush;
            end else if (drain) begin
                flushing_reg <= 1'b0;
            end
            if (s1_free) s1_valid_reg <= take || drain;
        end
    end

    genvar i;
    generate
        for (i = 0; i < LANES; i = i + 1) begin : g_lane
            assign m_w_data[i*8 +: 8] = {8{s1_strb_reg[i]}}
                                      & (s1_keep_reg[i] ? carry_reg[i*8 +: 8] : s1_data_reg[i*8 +: 8]);
        end
    endgenerate

    assign m_w_valid = s1_valid_reg;
    assign m_w_strb  = s1_strb_reg;
    assign m_w_last  = s1_last_reg;
    assign busy      = s1_valid_reg || flushing_reg;

endmodule

`default_nettype wire
