// raw_tx: sends frames of the host's own stack, unchanged.
//
// Why a block: a raw frame is one item and one piece for segment_builder; only its completion differs.
//
// s_raw: RAW_SEND, taken when its piece was handed over.
// m_item, m_piece: to segment_builder, which keeps an item and its piece together. `m_item_order` counts.
// s_done: pulse a frame in order: it has left, or (`error`) was not sent because its read failed.
// m_cpl: completion RAW_TX.
// At most 4 frames are between s_raw and m_cpl, so s_done needs no ready.
`default_nettype none
`include "chimney_layout.vh"

module raw_tx (
    input  wire              clk,
    input  wire              rst,

    input  wire              s_raw_valid,
    output wire              s_raw_ready,
    input  wire [63:0]       s_raw_addr,
    input  wire [15:0]       s_raw_len,
    input  wire [63:0]       s_raw_cookie,
    input  wire [15:0]       s_raw_sq_index,

    output wire              m_item_valid,
    input  wire              m_item_ready,
    output wire [15:0]       m_item_len,
    output wire [31:0]       m_item_order,

    output wire              m_piece_valid,
    input  wire              m_piece_ready,
    output wire [63:0]       m_piece_addr,
    output wire [15:0]       m_piece_len,

    input  wire              s_done_valid,
    input  wire              s_done_error,

    output wire              m_cpl_valid,
    input  wire              m_cpl_ready,
    output wire [`CQE_W-1:0] m_cpl,

    output wire              idle
);

    localparam IN_FLIGHT = 4;

    reg         item_done_reg;                         // the item was taken, its piece not yet
    reg  [31:0] order_reg;

    wire        room, flight_valid, result_valid, result_error, result_ready;
    wire [63:0] cookie;
    wire [15:0] sq_index;
    wire [2:0]  flight_count, result_count;

    assign m_item_valid  = s_raw_valid && room && !item_done_reg;
    assign m_item_len    = s_raw_len;
    assign m_item_order  = order_reg;
    assign m_piece_valid = s_raw_valid && item_done_reg;
    assign m_piece_addr  = s_raw_addr;
    assign m_piece_len   = s_raw_len;
    assign s_raw_ready   = item_done_reg && m_piece_ready;

    always @(posedge clk) begin
        if (rst) begin
            item_done_reg <= 1'b0;
            order_reg     <= 32'd0;
        end else begin
            if (m_item_valid && m_item_ready)   item_done_reg <= 1'b1;
            if (m_piece_valid && m_piece_ready) begin
                item_done_reg <= 1'b0;
                order_reg     <= order_reg + 32'd1;
            end
        end
    end

    fifo #(.WIDTH(64 + 16), .DEPTH(IN_FLIGHT)) flight (
        .clk(clk), .rst(rst),
        .s_data({s_raw_cookie, s_raw_sq_index}), .s_valid(m_piece_valid && m_piece_ready), .s_ready(room),
        .m_data({cookie, sq_index}), .m_valid(flight_valid), .m_ready(m_cpl_valid && m_cpl_ready),
        .count(flight_count)
    );

    fifo #(.WIDTH(1), .DEPTH(IN_FLIGHT)) results (
        .clk(clk), .rst(rst),
        .s_data(s_done_error), .s_valid(s_done_valid), .s_ready(result_ready),
        .m_data(result_error), .m_valid(result_valid), .m_ready(m_cpl_valid && m_cpl_ready),
        .count(result_count)
    );

    reg [`CQE_W-1:0] cpl;

    always @* begin
        cpl = 0;
        cpl[`CQE_KIND]     = `CQ_KIND_RAW_TX;
        cpl[`CQE_STATUS]   = result_error ? `STATUS_READ_ERROR : `STATUS_OK;
        cpl[`CQE_CODE]     = `OPCODE_RAW_SEND;
        cpl[`CQE_COOKIE]   = cookie;
        cpl[`CQE_SQ_INDEX] = sq_index;
    end

    assign m_cpl       = cpl;
    assign m_cpl_valid = flight_valid && result_valid;
    assign idle        = !s_raw_valid && !flight_valid;

    wire unused = &{1'b0, result_ready, flight_count, result_count};

endmodule

`default_nettype wire
