// rx_reader: reads bytes from the receive buffer and packs them from lane 0.
//
// Why a block: the data path of rx_buffer; the pointers and verdicts of frames stay outside.
//
// s_cmd_*: `len` bytes from lane `lane` of beat `ptr`; `retire`: everything before `end` is free afterwards.
// ram_*: read port of the buffer, data one cycle after `ram_re`.
// m_: packed beats, `last` with the last one of each command; registered (skid).
// retire: pulse for each command with `retire`, together with `free_ptr` moving.
// A command takes as many cycles as it touches beats of the buffer; commands follow each other without a gap:
// a beat is held until the next one has filled its upper lanes, whichever command that belongs to.
`default_nettype none

module rx_reader #(
    parameter DATA_W = 64,                     // bits: 64, 128, 256, 512
    parameter PTR_W  = 14,                     // bits of a beat pointer: address and one more
    parameter LANE_W = $clog2(DATA_W / 8)      // derived, do not override
) (
    input  wire              clk,
    input  wire              rst,

    input  wire              s_cmd_valid,
    output wire              s_cmd_ready,
    input  wire [PTR_W-1:0]  s_cmd_ptr,
    input  wire [PTR_W-1:0]  s_cmd_end,
    input  wire [LANE_W-1:0] s_cmd_lane,
    input  wire [15:0]       s_cmd_len,        // 0: nothing is read
    input  wire              s_cmd_retire,

    output wire              ram_re,
    output wire [PTR_W-2:0]  ram_raddr,
    input  wire [DATA_W-1:0] ram_rdata,

    output wire              m_valid,
    input  wire              m_ready,
    output wire [DATA_W-1:0] m_data,
    output wire              m_last,

    output wire              retire,
    output wire [PTR_W-1:0]  free_ptr,
    output wire              busy
);

    localparam LANES = DATA_W / 8;

    // ---- issue: beat number `seq` of the command at the head of the queue
    reg [15:0]      seq_reg;
    reg [PTR_W-1:0] free_ptr_reg;
    reg             retire_reg;

    wire [16:0] len_m1   = {1'b0, s_cmd_len} - 17'd1;
    wire [16:0] span_m1  = len_m1 + {{(17-LANE_W){1'b0}}, s_cmd_lane};
    wire [16:0] src_m1   = span_m1 >> LANE_W;              // beats touched, minus 1
    wire [16:0] out_m1   = len_m1 >> LANE_W;               // beats produced, minus 1
    wire        empty    = s_cmd_len == 16'd0;
    wire        src_last = {1'b0, seq_reg} == src_m1;
    wire        stage_free;
    wire        issue    = s_cmd_valid && !empty && stage_free;
    wire        finish   = s_cmd_valid && (empty || (issue && src_last));

    assign s_cmd_ready = empty || (stage_free && src_last);
    assign ram_re      = issue;

    wire [PTR_W-1:0] seq_ptr = s_cmd_ptr + seq_reg[PTR_W-1:0];
    assign ram_raddr = seq_ptr[PTR_W-2:0];

    always @(posedge clk) begin
        if (rst) begin
            seq_reg      <= 16'd0;
            free_ptr_reg <= 0;
            retire_reg   <= 1'b0;
        end else begin
            if (finish)     seq_reg <= 16'd0;
            else if (issue) seq_reg <= seq_reg + 16'd1;
            retire_reg <= finish && s_cmd_retire;
            if (finish && s_cmd_retire) free_ptr_reg <= s_cmd_end;
        end
    end

    assign retire   = retire_reg;
    assign free_ptr = free_ptr_reg;

    // ---- stage 1: the beat at the RAM's output
    reg              s1_valid_reg;
    reg [LANE_W-1:0] s1_lane_reg;
    reg              s1_tail_reg;              // only fills the upper lanes of the beat before it
    reg              s1_alone_reg;             // needs no later beat
    reg              s1_last_reg;              // gives the last output beat of its command

    wire s1_take;                              // stage 1 moves on
    assign stage_free = !s1_valid_reg || s1_take;

    always @(posedge clk) begin
        if (issue) begin
            s1_lane_reg  <= s_cmd_lane;
            s1_tail_reg  <= {1'b0, seq_reg} > out_m1;
            s1_alone_reg <= s_cmd_lane == 0 || src_last;
            s1_last_reg  <= {1'b0, seq_reg} == out_m1;
        end
    end

    always @(posedge clk) begin
        if (rst)             s1_valid_reg <= 1'b0;
        else if (stage_free) s1_valid_reg <= issue;
    end

    wire [DATA_W-1:0] rotated;
    byte_rotate #(.DATA_W(DATA_W)) rotate (.s_data(ram_rdata), .amount(s1_lane_reg), .m_data(rotated));

    // ---- stage 2: a rotated beat that waits for its upper lanes
    reg              s2_valid_reg;
    reg [DATA_W-1:0] s2_data_reg;
    reg [LANE_W-1:0] s2_lane_reg;
    reg              s2_alone_reg;
    reg              s2_last_reg;

    wire out_valid = s2_valid_reg && (s2_alone_reg || s1_valid_reg);
    wire out_ready;
    wire out_fire  = out_valid && out_ready;
    wire s2_free   = !s2_valid_reg || out_fire;

    assign s1_take = s1_valid_reg && s2_free;

    always @(posedge clk) begin
        if (s1_take && !s1_tail_reg) begin
            s2_data_reg  <= rotated;
            s2_lane_reg  <= s1_lane_reg;
            s2_alone_reg <= s1_alone_reg;
            s2_last_reg  <= s1_last_reg;
        end
    end

    always @(posedge clk) begin
        if (rst)          s2_valid_reg <= 1'b0;
        else if (s2_free) s2_valid_reg <= s1_take && !s1_tail_reg;
    end

    // lanes below LANES - lane come from the held beat, the others from the next one
    wire [DATA_W-1:0] merged;
    genvar g;
    generate
        for (g = 0; g < LANES; g = g + 1) begin : g_merge
            localparam [31:0] FROM_TOP = LANES - g;
            assign merged[g*8 +: 8] = ({1'b0, s2_lane_reg} < FROM_TOP[LANE_W:0]) ? s2_data_reg[g*8 +: 8]
                                                                       : rotated[g*8 +: 8];
        end
    endgenerate

    skid #(.WIDTH(DATA_W + 1)) out (
        .clk(clk), .rst(rst),
        .s_data({s2_last_reg, merged}), .s_valid(out_valid), .s_ready(out_ready),
        .m_data({m_last, m_data}), .m_valid(m_valid), .m_ready(m_ready)
    );

    assign busy = s_cmd_valid || s1_valid_reg || s2_valid_reg || m_valid;

    wire unused = &{1'b0, seq_reg, seq_ptr[PTR_W-1]};

endmodule

`default_nettype wire
