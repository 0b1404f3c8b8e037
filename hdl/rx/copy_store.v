// copy_store: reads of COPY actions, several in flight; each is stored whole before a byte of it may be written.
//
// Why a block: the bus says at the end of a read whether its bytes are any good, and a request must not get bad ones;
//   and one copy at a time would take the latency of the memory twice for every segment.
//
// s_cp_*: a copy, 1..2048 bytes, accepted when a slot is free and the read request can go out.
// m_crd_* / s_crd_*: read client COPY. Reads end in the order of the copies.
// m_end_*: the oldest copy whose read has ended; `error`: it failed, nothing will come of it.
// m_*: the bytes of the copies taken at m_end without error, in order, `last` with the last beat of each.
// Latency: 3 cycles from m_end's handshake to the first beat; a beat every cycle after that.
`include "chimney_layout.vh"
`default_nettype none

module copy_store #(
    parameter DATA_W = 64,                     // bits: 64, 128, 256, 512
    parameter SLOTS  = 8                       // copies held, a power of two >= 2
) (
    input  wire              clk,
    input  wire              rst,

    input  wire              s_cp_valid,
    output wire              s_cp_ready,
    input  wire [63:0]       s_cp_src,
    input  wire [63:0]       s_cp_dst,
    input  wire [15:0]       s_cp_len,

    output wire              m_crd_req_valid,
    input  wire              m_crd_req_ready,
    output wire [63:0]       m_crd_req_addr,
    output wire [15:0]       m_crd_req_len,
    input  wire              s_crd_valid,
    output wire              s_crd_ready,
    input  wire [DATA_W-1:0] s_crd_data,
    input  wire              s_crd_last,
    input  wire              s_crd_error,

    output wire              m_end_valid,
    input  wire              m_end_ready,
    output wire [63:0]       m_end_dst,
    output wire [15:0]       m_end_len,
    output wire              m_end_error,

    output wire              m_valid,
    input  wire              m_ready,
    output wire [DATA_W-1:0] m_data,
    output wire              m_last
);

    localparam LANES  = DATA_W / 8;
    localparam BEATS  = (1 << `POOL_BUF_LOG2) / LANES;     // beats of a slot
    localparam BEAT_W = $clog2(BEATS);
    localparam SLOT_W = $clog2(SLOTS);
    localparam [SLOT_W:0]   ONE   = 1;
    localparam [SLOT_W-1:0] STEP  = 1;
    localparam [BEAT_W-1:0] BEAT1 = 1;

    // ---- a slot from the copy's acceptance until its last beat was read out
    reg  [SLOT_W:0] used_reg;
    reg             req_valid_reg;
    reg  [63:0]     req_addr_reg;
    reg  [15:0]     req_len_reg;
    wire            accept = s_cp_valid && s_cp_ready;
    wire            give_back;
    wire            waiting_ready;

    assign s_cp_ready      = !used_reg[SLOT_W] && !req_valid_reg && waiting_ready;
    assign m_crd_req_valid = req_valid_reg;
    assign m_crd_req_addr  = req_addr_reg;
    assign m_crd_req_len   = req_len_reg;

    always @(posedge clk) begin
        if (accept) begin
            req_addr_reg <= s_cp_src;
            req_len_reg  <= s_cp_len;
        end
    end

    always @(posedge clk) begin
        if (rst) begin
            used_reg      <= 0;
            req_valid_reg <= 1'b0;
        end else begin
            if (accept)               req_valid_reg <= 1'b1;
            else if (m_crd_req_ready) req_valid_reg <= 1'b0;
            if (accept && !give_back)      used_reg <= used_reg + ONE;
            else if (give_back && !accept) used_reg <= used_reg - ONE;
        end
    end

    wire            waiting_valid;
    wire [SLOT_W:0] waiting_count, ended_count, going_count;
    wire            end_fire = m_end_valid && m_end_ready;

    fifo #(.WIDTH(80), .DEPTH(SLOTS)) waiting (
        .clk(clk), .rst(rst),
        .s_data({s_cp_dst, s_cp_len}), .s_valid(accept), .s_ready(waiting_ready),
        .m_data({m_end_dst, m_end_len}), .m_valid(waiting_valid), .m_ready(end_fire),
        .count(waiting_count)
    );

    // ---- beats come in, slot after slot
    reg  [SLOT_W-1:0] in_slot_reg;
    reg  [BEAT_W-1:0] in_beat_reg;
    wire              put = s_crd_valid && s_crd_ready;
    wire              read_ends = put && s_crd_last;
    wire              ended_ready;

    assign s_crd_ready = ended_ready;

    always @(posedge clk) begin
        if (rst) begin
            in_slot_reg <= 0;
            in_beat_reg <= 0;
        end else if (put) begin
            in_beat_reg <= s_crd_last ? {BEAT_W{1'b0}} : in_beat_reg + BEAT1;
            if (s_crd_last) in_slot_reg <= in_slot_reg + STEP;
        end
    end

    wire              ended_valid;
    wire [BEAT_W-1:0] end_beat;

    fifo #(.WIDTH(1 + BEAT_W), .DEPTH(SLOTS)) ended (
        .clk(clk), .rst(rst),
        .s_data({s_crd_error, in_beat_reg}), .s_valid(read_ends), .s_ready(ended_ready),
        .m_data({m_end_error, end_beat}), .m_valid(ended_valid), .m_ready(end_fire),
        .count(ended_count)
    );

    wire going_ready;
    assign m_end_valid = waiting_valid && ended_valid && going_ready;

    // ---- beats go out, slot after slot; a failed copy only gives its slot back
    wire              going_valid, going_pop, skip;
    wire [BEAT_W-1:0] last_beat;
    reg  [SLOT_W-1:0] out_slot_reg;
    reg  [BEAT_W-1:0] out_beat_reg;
    reg               fetched_reg, fetched_last_reg;
    wire [2:0]        out_count;
    wire              out_ready;
    wire [DATA_W-1:0] ram_data;

    fifo #(.WIDTH(1 + BEAT_W), .DEPTH(SLOTS)) going (
        .clk(clk), .rst(rst),
        .s_data({m_end_error, end_beat}), .s_valid(end_fire), .s_ready(going_ready),
        .m_data({skip, last_beat}), .m_valid(going_valid), .m_ready(going_pop),
        .count(going_count)
    );

    wire room  = out_count + {2'd0, fetched_reg} < 3'd4;
    wire fetch = going_valid && !skip && room;
    wire at_last = out_beat_reg == last_beat;

    assign going_pop = going_valid && (skip || (fetch && at_last));
    assign give_back = going_pop;

    always @(posedge clk) begin
        if (rst) begin
            out_slot_reg     <= 0;
            out_beat_reg     <= 0;
            fetched_reg      <= 1'b0;
            fetched_last_reg <= 1'b0;
        end else begin
            fetched_reg      <= fetch;
            fetched_last_reg <= fetch && at_last;
            if (going_pop) begin
                out_slot_reg <= out_slot_reg + STEP;
                out_beat_reg <= 0;
            end else if (fetch) begin
                out_beat_reg <= out_beat_reg + BEAT1;
            end
        end
    end

    ram_sdp #(.WIDTH(DATA_W), .DEPTH(SLOTS * BEATS)) bytes (
        .clk(clk),
        .we(put), .waddr({in_slot_reg, in_beat_reg}), .wdata(s_crd_data),
        .re(fetch), .raddr({out_slot_reg, out_beat_reg}), .rdata(ram_data)
    );

    fifo #(.WIDTH(1 + DATA_W), .DEPTH(4)) out (
        .clk(clk), .rst(rst),
        .s_data({fetched_last_reg, ram_data}), .s_valid(fetched_reg), .s_ready(out_ready),
        .m_data({m_last, m_data}), .m_valid(m_valid), .m_ready(m_ready),
        .count(out_count)
    );

    wire unused = &{1'b0, waiting_count, ended_count, going_count, out_ready};

endmodule

`default_nettype wire
