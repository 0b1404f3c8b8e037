// dma_read_align: turns bus beats of a read at any address into packed beats of its client.
//
// Why a block: the data path of reads alone, without any AXI or credit rule.
//
// s_desc_*: one descriptor a request, in the order of the data, present before the data. `flush`: the bytes
//   carried over from the last bus beat need an output beat of their own.
// s_beat_*: valid/ready sink of bus beats; the beats of a request follow each other without gaps in address.
// s_beat_urgent: the beat belongs to client 0, whose requests are whole bus words: it passes between the beats of
//   others without a descriptor; `s_beat_urgent_last`: the last of its request.
// m_*: packed beats, byte 0 of the request in lane 0 of its first beat, all beats full but the last; lanes
//   above `m_bytes` are zero. `m_error` counts on the last beat only: any beat of the request was bad.
// Latency 2. One beat a cycle; a request that does not start in lane 0 costs at most one more cycle.
//
//   bus beats  | . . a b | c d e . |       off = 2, rotate by off, keep lanes < LANES - off from before
//   rotated    | a b . . | e . c d |
//   merged               | a b c d |  flush: | e . . . |
`default_nettype none

module dma_read_align #(
    parameter DATA_W   = 64,                       // bits: 64, 128, 256, 512
    parameter CLIENTS  = 4,                        // >= 1
    parameter CLIENT_W = 2,                        // bits of a client number, >= 1
    parameter BEATS_W  = 14,                       // bits of a request's beats - 1
    parameter LANE_W   = $clog2(DATA_W / 8)        // derived, do not override
) (
    input  wire                clk,
    input  wire                rst,

    input  wire                s_desc_valid,
    output wire                s_desc_ready,
    input  wire [CLIENT_W-1:0] s_desc_client,
    input  wire [LANE_W-1:0]   s_desc_off,         // lane of the first byte
    input  wire [LANE_W-1:0]   s_desc_tail,        // bytes of the last output beat, minus 1
    input  wire [BEATS_W-1:0]  s_desc_beats_m1,    // bus beats, minus 1
    input  wire                s_desc_flush,

    input  wire                s_beat_valid,
    output wire                s_beat_ready,
    input  wire [DATA_W-1:0]   s_beat_data,
    input  wire                s_beat_error,
    input  wire                s_beat_urgent,
    input  wire                s_beat_urgent_last,

    output wire [CLIENTS-1:0]  m_valid,
    input  wire [CLIENTS-1:0]  m_ready,
    output wire [DATA_W-1:0]   m_data,
    output wire                m_last,
    output wire [LANE_W:0]     m_bytes,
    output wire                m_error,

    output wire                busy
);

    localparam LANES = DATA_W / 8;
    localparam [LANES-1:0]   ALL_LANES = {LANES{1'b1}};
    localparam [BEATS_W-1:0] ONE_BEAT  = 1;
    localparam [LANE_W:0]    ONE_BYTE  = 1;
    localparam [CLIENTS-1:0] CLIENT_0  = 1;

    // stage 0: which beat of which request
    reg [BEATS_W-1:0] beat_reg;            // bus beats of this request already taken
    reg               flushing_reg;        // all bus beats taken, the carried bytes are to come out
    reg               error_reg;           // a beat of this request already taken was bad
    reg               urgent_error_reg;    // the same of client 0's request

    // stage 1: the rotated beat
    reg                s1_valid_reg;
    reg                s1_emit_reg;        // makes an output beat (else it is only carried)
    reg                s1_last_reg;
    reg                s1_error_reg;
    reg                s1_urgent_reg;
    reg [CLIENT_W-1:0] s1_client_reg;
    reg [LANE_W:0]     s1_bytes_reg;
    reg [LANES-1:0]    s1_keep_reg;        // lanes taken from the beat before
    reg [LANES-1:0]    s1_show_reg;        // lanes that hold bytes of the request
    reg [DATA_W-1:0]   s1_data_reg;

    // stage 2: the carried beat and the output beat
    reg [DATA_W-1:0]   carry_reg;
    reg [CLIENTS-1:0]  out_valid_reg;
    reg                out_last_reg;
    reg                out_error_reg;
    reg [LANE_W:0]     out_bytes_reg;
    reg [DATA_W-1:0]   out_data_reg;

    wire out_free = (out_valid_reg & ~m_ready) == 0;
    wire s1_move  = s1_valid_reg && (out_free || !s1_emit_reg);
    wire s1_free  = !s1_valid_reg || s1_move;

    wire first    = beat_reg == 0;
    wire last_in  = beat_reg == s_desc_beats_m1;
    wire aligned  = s_desc_off == 0;
    wire take     = s_desc_valid && s_beat_valid && !s_beat_urgent && !flushing_reg && s1_free;
    wire pass     = s_beat_valid && s_beat_urgent && !flushing_reg && s1_free;
    wire drain    = flushing_reg && s1_free;
    wire last_out = flushing_reg || (last_in && !s_desc_flush);
    wire error    = s_beat_error || (error_reg && !first);

    assign s_beat_ready = (s_desc_valid || s_beat_urgent) && !flushing_reg && s1_free;
    assign s_desc_ready = (take && last_in && !s_desc_flush) || drain;

    wire [DATA_W-1:0] rotated;

    byte_rotate #(.DATA_W(DATA_W)) rotator (
        .s_data(s_beat_data), .amount(s_desc_off), .m_data(rotated)
    );

    always @(posedge clk) begin
        if (take || drain) begin
            s1_emit_reg   <= flushing_reg || aligned || !first || last_in;
            s1_last_reg   <= last_out;
            s1_error_reg  <= flushing_reg ? error_reg : error;
            s1_client_reg <= s_desc_client;
            s1_bytes_reg  <= last_out ? {1'b0, s_desc_tail} + ONE_BYTE : {1'b1, {LANE_W{1'b0}}};
            s1_show_reg   <= last_out ? ALL_LANES >> ~s_desc_tail : ALL_LANES;
            s1_keep_reg   <= (aligned || (first && !flushing_reg)) ? {LANES{1'b0}} : ALL_LANES >> s_desc_off;
        end
        if (take) begin
            s1_data_reg <= rotated;
            error_reg   <= error;
        end
        if (take || drain) s1_urgent_reg <= 1'b0;
        if (pass) begin
            s1_urgent_reg <= 1'b1;
            s1_emit_reg   <= 1'b1;
            s1_last_reg   <= s_beat_urgent_last;
            s1_error_reg  <= s_beat_error || urgent_error_reg;
            s1_client_reg <= {CLIENT_W{1'b0}};
            s1_bytes_reg  <= {1'b1, {LANE_W{1'b0}}};
            s1_show_reg   <= ALL_LANES;
            s1_keep_reg   <= {LANES{1'b0}};
            s1_data_reg   <= s_beat_data;
        end
    end

    always @(posedge clk) begin
        if (rst) begin
            beat_reg     <= 0;
            flushing_reg <= 1'b0;
            s1_valid_reg <= 1'b0;
            urgent_error_reg <= 1'b0;
        end else begin
            if (pass) urgent_error_reg <= !s_beat_urgent_last && (s_beat_error || urgent_error_reg);
            if (take) begin
                beat_reg     <= last_in ? {BEATS_W{1'b0}} : beat_reg + ONE_BEAT;
                flushing_reg <= last_in && s_desc_flush;
            end else if (drain) begin
                flushing_reg <= 1'b0;
            end
            if (s1_free) s1_valid_reg <= take || drain || pass;
        end
    end

    wire [DATA_W-1:0] merged;

    genvar i;
    generate
        for (i = 0; i < LANES; i = i + 1) begin : g_lane
            assign merged[i*8 +: 8] = {8{s1_show_reg[i]}}
                                    & (s1_keep_reg[i] ? carry_reg[i*8 +: 8] : s1_data_reg[i*8 +: 8]);
        end
    endgenerate

    always @(posedge clk) begin
        if (s1_move && !s1_urgent_reg) carry_reg <= s1_data_reg;
        if (s1_move && s1_emit_reg) begin
            out_last_reg  <= s1_last_reg;
            out_error_reg <= s1_error_reg;
            out_bytes_reg <= s1_bytes_reg;
            out_data_reg  <= merged;
        end
    end

    always @(posedge clk) begin
        if (rst)           out_valid_reg <= 0;
        else if (out_free) out_valid_reg <= (s1_valid_reg && s1_emit_reg) ? CLIENT_0 << s1_client_reg
                                                                           : {CLIENTS{1'b0}};
    end

    assign m_valid = out_valid_reg;
    assign m_data  = out_data_reg;
    assign m_last  = out_last_reg;
    assign m_bytes = out_bytes_reg;
    assign m_error = out_error_reg;
    assign busy    = s1_valid_reg || flushing_reg || (out_valid_reg != 0);

endmodule

`default_nettype wire
