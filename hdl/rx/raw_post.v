// raw_post: keeps the posted raw buffers in order.
//
// Why a block: a RAW_POST entry names up to 16 buffers, rx_placer takes one a frame.
//
// s_rawpost_*: RAW_POST entries; ready pulses when the last number of the list was taken (one number a cycle).
// m_*: valid/ready source of buffer numbers. Numbers beyond RAW_BUFS are dropped: the driver owns no more buffers.
`include "chimney_layout.vh"
`default_nettype none

module raw_post #(
    parameter RAW_BUFS = 64                    // raw buffers, a power of two, 2..32768
) (
    input  wire              clk,
    input  wire              rst,

    input  wire              s_rawpost_valid,
    output wire              s_rawpost_ready,
    input  wire [`SQE_W-1:0] s_rawpost_sqe,

    output wire              m_valid,
    input  wire              m_ready,
    output wire [15:0]       m_index
);

    reg  [3:0] place_reg;
    wire [4:0] count = s_rawpost_sqe[`SQE_COUNT_LSB +: 5];
    wire       last  = {1'b0, place_reg} + 5'd1 >= count;
    wire       room;
    wire [$clog2(RAW_BUFS):0] held;

    assign s_rawpost_ready = last;

    always @(posedge clk) begin
        if (rst)                  place_reg <= 4'd0;
        else if (s_rawpost_valid) place_reg <= last ? 4'd0 : place_reg + 4'd1;
    end

    fifo #(.WIDTH(16), .DEPTH(RAW_BUFS)) numbers (
        .clk(clk), .rst(rst),
        .s_data(s_rawpost_sqe[`SQE_ADDR2_LSB + {place_reg, 4'd0} +: 16]),
        .s_valid(s_rawpost_valid), .s_ready(room),
        .m_data(m_index), .m_valid(m_valid), .m_ready(m_ready),
        .count(held)
    );

    wire unused = &{1'b0, room, held, s_rawpost_sqe};

endmodule

`default_nettype wire
