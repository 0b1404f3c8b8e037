// free_queue: FIFO of free pool buffers; takes up to four numbers a cycle, gives one.
//
// Why a block: a POOL_POST carries 16 buffers and must not hold up delivery for 16 cycles.
//
// s_push_*: `count` (0..4) numbers, lowest first in the queue, in bits 15:0 first; never refused. The driver owns at
//   most DEPTH buffers, so the queue cannot overflow.
// m_head: oldest number, valid two cycles after the push or pop that made it the head, and `held` > 0.
// pop: takes the head. held: numbers in the queue, registered.
// Four banks, number n of the stream in bank n modulo 4.
`default_nettype none

module free_queue #(
    parameter DEPTH   = 1024,                  // numbers, a power of two, 16..32768
    parameter COUNT_W = $clog2(DEPTH) + 1      // derived, do not override
) (
    input  wire               clk,
    input  wire               rst,

    input  wire [2:0]         s_push_count,
    input  wire [63:0]        s_push,
    input  wire               pop,
    output wire [15:0]        m_head,
    output wire [COUNT_W-1:0] held
);

    localparam PTR_W = COUNT_W - 1;
    localparam ROW_W = PTR_W - 2;
    localparam [ROW_W-1:0] ONE_ROW = 1;

    reg [PTR_W-1:0]   wr_ptr_reg, rd_ptr_reg;
    reg [COUNT_W-1:0] held_reg;
    reg [1:0]         bank_reg;                // bank of the number being read

    wire [COUNT_W-1:0] push_count = {{(COUNT_W-3){1'b0}}, s_push_count};
    wire [COUNT_W-1:0] pop_count  = {{(COUNT_W-1){1'b0}}, pop};
    wire [63:0]        bank_rdata;

    genvar b;
    generate
        for (b = 0; b < 4; b = b + 1) begin : g_bank
            localparam [1:0] BANK = b;
            wire [1:0]       which = BANK - wr_ptr_reg[1:0];       // which of the pushed numbers comes here
            wire             we    = {1'b0, which} < s_push_count;
            wire [2:0]       ahead = {1'b0, which} + {1'b0, wr_ptr_reg[1:0]};      // 4 or more: in the next row
            wire [ROW_W-1:0] row   = wr_ptr_reg[PTR_W-1:2] + (ahead[2] ? ONE_ROW : {ROW_W{1'b0}});
            wire             unused = &{1'b0, ahead};

            ram_sdp #(.WIDTH(16), .DEPTH(DEPTH / 4)) bank (
                .clk(clk),
                .we(we), .waddr(row), .wdata(s_push[{which, 4'd0} +: 16]),
                .re(1'b1), .raddr(rd_ptr_reg[PTR_W-1:2]), .rdata(bank_rdata[b*16 +: 16])
            );
        end
    endgenerate

    assign m_head = bank_rdata[{bank_reg, 4'd0} +: 16];
    assign held   = held_reg;

    always @(posedge clk) begin
        bank_reg <= rd_ptr_reg[1:0];
        if (rst) begin
            wr_ptr_reg <= 0;
            rd_ptr_reg <= 0;
            held_reg   <= 0;
        end else begin
            wr_ptr_reg <= wr_ptr_reg + push_count[PTR_W-1:0];
            rd_ptr_reg <= rd_ptr_reg + pop_count[PTR_W-1:0];
            held_reg   <= held_reg + push_count - pop_count;
        end
    end

endmodule

`default_nettype wire
