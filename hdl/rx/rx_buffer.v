// rx_buffer: FIFO of whole received frames; the head frame can be read piece by piece from any byte.
//
// Why a block: frames wait here for their verdict and for their place in host memory, in arrival order.
//
// s_wr_*: beats of frames, no back pressure. With `s_wr_last`: `s_wr_keep` keeps the frame, else the write
//   pointer goes back to its first beat. `m_wr_room` (combinational, with the last beat): all its beats were
//   stored and one of FRAMES places is free; without room the writer must not keep it. `m_wr_fill`: beats held.
// s_desc_*: class of the kept frames, in order, some cycles later. Never refused.
// s_verdict_*: verdicts of the frames of class SEGMENT, in order.
// m_head_*: the oldest frame and what is to be done with it (PLACE: a DELIVER verdict; RAW: to a raw buffer).
// s_rd_*: a read of `len` bytes from byte `offset` of the head frame (len 0: none), and, with `retire`, the end of
//   the frame: `m_head_*` moves on at once, its beats are free when they have been read.
// m_rd_*: the bytes of the reads in order, packed from lane 0, `last` with the last beat of each read.
// One beat a cycle at any alignment, without a gap between reads.
`include "chimney_layout.vh"
`default_nettype none

module rx_buffer #(
    parameter DATA_W   = 64,                   // bits: 64, 128, 256, 512
    parameter RX_BEATS = 8192,                 // beats, a power of two, at least two frames of FRAME_MAX
    parameter FRAMES   = 256                   // frames held at most, a power of two
) (
    input  wire              clk,
    input  wire              rst,

    input  wire              s_wr_valid,
    input  wire [DATA_W-1:0] s_wr_data,
    input  wire              s_wr_last,
    input  wire              s_wr_keep,
    output wire              m_wr_room,
    output wire [15:0]       m_wr_fill,

    input  wire              s_desc_valid,
    input  wire [1:0]        s_desc_class,
    input  wire [31:0]       s_desc_arrival,
    input  wire [15:0]       s_desc_len,

    input  wire              s_verdict_valid,
    output wire              s_verdict_ready,
    input  wire [1:0]        s_verdict,

    output wire              m_head_valid,
    output wire              m_head_place,     // a PLACE with its arrival number reads it
    output wire              m_head_raw,       // the whole frame goes to the host; neither: it is dropped
    output wire [31:0]       m_head_arrival,
    output wire [15:0]       m_head_len,

    input  wire              s_rd_valid,
    output wire              s_rd_ready,
    input  wire [15:0]       s_rd_offset,
    input  wire [15:0]       s_rd_len,
    input  wire              s_rd_retire,

    output wire              m_rd_valid,
    input  wire              m_rd_ready,
    output wire [DATA_W-1:0] m_rd_data,
    output wire              m_rd_last,

    output wire              busy
);

    localparam LANE_W  = $clog2(DATA_W / 8);
    localparam ADDR_W  = $clog2(RX_BEATS);
    localparam SLOT_W  = $clog2(FRAMES);
    localparam DESC_W  = 2 + 32 + 16;
    localparam [ADDR_W:0] ONE_BEAT  = 1;
    localparam [SLOT_W:0] ONE_FRAME = 1;
    localparam [31:0]     LANES_M1  = DATA_W / 8 - 1;

    // ---- write side: pointers have one bit more than the address
    reg [ADDR_W:0] wr_ptr_reg;                 // next beat
    reg [ADDR_W:0] start_ptr_reg;              // first beat of the frame being written
    reg            overflow_reg;               // a beat of this frame was not stored
    reg [SLOT_W:0] frames_reg;                 // frames kept and not retired
    wire [ADDR_W:0] free_ptr;                  // oldest beat still needed

    wire [ADDR_W:0] held  = wr_ptr_reg - free_ptr;
    wire            full  = held[ADDR_W];
    wire            store = s_wr_valid && !full && !overflow_reg;
    wire            keep  = s_wr_valid && s_wr_last && s_wr_keep;
    wire            retire;

    assign m_wr_room = !full && !overflow_reg && !frames_reg[SLOT_W];
    assign m_wr_fill = {{(15-ADDR_W){1'b0}}, held};

    always @(posedge clk) begin
        if (rst) begin
            wr_ptr_reg    <= 0;
            start_ptr_reg <= 0;
            overflow_reg  <= 1'b0;
            frames_reg    <= 0;
        end else begin
            if (s_wr_valid) begin
                overflow_reg <= !s_wr_last && (overflow_reg || full);
                if (s_wr_last && !s_wr_keep) wr_ptr_reg <= start_ptr_reg;
                else if (store)              wr_ptr_reg <= wr_ptr_reg + ONE_BEAT;
            end
            if (keep) start_ptr_reg <= wr_ptr_reg + ONE_BEAT;
            if (keep && !retire)      frames_reg <= frames_reg + ONE_FRAME;
            else if (retire && !keep) frames_reg <= frames_reg - ONE_FRAME;
        end
    end

    // ---- frames in order; the head takes its verdict when it gets there
    wire              desc_ready, desc_valid;
    wire [DESC_W-1:0] desc;
    wire [SLOT_W:0]   desc_count;
    wire [1:0]        desc_class;
    wire [31:0]       desc_arrival;
    wire [15:0]       desc_len;
    assign {desc_class, desc_arrival, desc_len} = desc;

    reg        head_valid_reg, head_place_reg, head_raw_reg;
    reg [31:0] head_arrival_reg;
    reg [15:0] head_len_reg;

    wire is_segment = desc_class == `RX_CLASS_SEGMENT;
    wire head_load  = !head_valid_reg && desc_valid && (!is_segment || s_verdict_valid);

    fifo #(.WIDTH(DESC_W), .DEPTH(FRAMES)) descriptors (
        .clk(clk), .rst(rst),
        .s_data({s_desc_class, s_desc_arrival, s_desc_len}), .s_valid(s_desc_valid), .s_ready(desc_ready),
        .m_data(desc), .m_valid(desc_valid), .m_ready(head_load),
        .count(desc_count)
    );

    assign s_verdict_ready = !head_valid_reg && desc_valid && is_segment;
    assign m_head_valid    = head_valid_reg;
    assign m_head_place    = head_place_reg;
    assign m_head_raw      = head_raw_reg;
    assign m_head_arrival  = head_arrival_reg;
    assign m_head_len      = head_len_reg;

    wire rd_fire     = s_rd_valid && s_rd_ready;
    wire head_retire = rd_fire && s_rd_retire;

    always @(posedge clk) begin
        if (head_load) begin
            head_place_reg   <= is_segment && s_verdict == `VERDICT_DELIVER;
            head_raw_reg     <= !is_segment || s_verdict == `VERDICT_PASS_UP;
            head_arrival_reg <= desc_arrival;
            head_len_reg     <= desc_len;
        end
    end

    // ---- reads: turned into beats of the buffer here, executed in order behind a short queue
    reg [ADDR_W:0] head_ptr_reg;               // first beat of the head frame

    localparam CMD_W = 2 * (ADDR_W + 1) + LANE_W + 16 + 1;
    wire [15:0]      head_beats = (head_len_reg + LANES_M1[15:0]) >> LANE_W;
    wire [ADDR_W:0]  next_head  = head_ptr_reg + head_beats[ADDR_W:0];
    wire [15:0]      first_beat = s_rd_offset >> LANE_W;
    wire [CMD_W-1:0] cmd_new    = {head_ptr_reg + first_beat[ADDR_W:0], next_head,
                                   s_rd_offset[LANE_W-1:0], s_rd_len, s_rd_retire};
    wire             cmd_valid, cmd_ready;
    wire [CMD_W-1:0] cmd;
    wire [2:0]       cmd_count;

    fifo #(.WIDTH(CMD_W), .DEPTH(4)) commands (
        .clk(clk), .rst(rst),
        .s_data(cmd_new), .s_valid(s_rd_valid), .s_ready(s_rd_ready),
        .m_data(cmd), .m_valid(cmd_valid), .m_ready(cmd_ready),
        .count(cmd_count)
    );

    always @(posedge clk) begin
        if (rst) begin
            head_valid_reg <= 1'b0;
            head_ptr_reg   <= 0;
        end else begin
            if (head_load)        head_valid_reg <= 1'b1;
            else if (head_retire) head_valid_reg <= 1'b0;
            if (head_retire)      head_ptr_reg   <= next_head;
        end
    end

    wire              ram_re;
    wire [ADDR_W-1:0] ram_raddr;
    wire [DATA_W-1:0] ram_rdata;
    wire              reader_busy;

    rx_reader #(.DATA_W(DATA_W), .PTR_W(ADDR_W + 1)) reader (
        .clk(clk), .rst(rst),
        .s_cmd_valid(cmd_valid), .s_cmd_ready(cmd_ready),
        .s_cmd_ptr(cmd[CMD_W-1 -: ADDR_W+1]), .s_cmd_end(cmd[CMD_W-2-ADDR_W -: ADDR_W+1]),
        .s_cmd_lane(cmd[17 +: LANE_W]), .s_cmd_len(cmd[16:1]), .s_cmd_retire(cmd[0]),
        .ram_re(ram_re), .ram_raddr(ram_raddr), .ram_rdata(ram_rdata),
        .m_valid(m_rd_valid), .m_ready(m_rd_ready), .m_data(m_rd_data), .m_last(m_rd_last),
        .retire(retire), .free_ptr(free_ptr), .busy(reader_busy)
    );

    ram_sdp #(.WIDTH(DATA_W), .DEPTH(RX_BEATS)) storage (
        .clk(clk),
        .we(store), .waddr(wr_ptr_reg[ADDR_W-1:0]), .wdata(s_wr_data),
        .re(ram_re), .raddr(ram_raddr), .rdata(ram_rdata)
    );

    assign busy = frames_reg != 0 || wr_ptr_reg != start_ptr_reg || cmd_valid || reader_busy;

    wire unused = &{1'b0, desc_ready, desc_count, cmd_count, head_beats[15:ADDR_W], first_beat[15:ADDR_W]};

endmodule

`default_nettype wire
