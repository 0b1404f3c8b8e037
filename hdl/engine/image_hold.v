// image_hold: one image of a connection on its way to state_writer (FENCE_DONE, QUERY).
//
// Why a block: tcp_engine goes on while the writer is busy; event_arbiter holds the next event with an image back.
//
// `put`: pulse, never while m_valid; `query`: the command `sqe` asks for the whole image, else TERMINATE's own fields
// of the TCB say where it goes. m_*: valid/ready source, one cycle later, one entry.
`default_nettype none
`include "chimney_layout.vh"

module image_hold (
    input  wire              clk,
    input  wire              rst,

    input  wire              put,
    input  wire              query,
    input  wire [`TCB_W-1:0] tcb,
    input  wire [31:0]       tick,
    input  wire [15:0]       conn,
    input  wire [`SQE_W-1:0] sqe,
    input  wire [15:0]       sq_index,

    output wire              m_valid,
    input  wire              m_ready,
    output wire [`TCB_W-1:0] m_tcb,
    output wire [31:0]       m_tick,
    output wire [15:0]       m_conn,
    output wire              m_whole,
    output wire [63:0]       m_addr,
    output wire [63:0]       m_cookie,
    output wire [15:0]       m_sq_index,
    output wire [7:0]        m_opcode
);

    reg              valid_reg, query_reg;
    reg [`TCB_W-1:0] tcb_reg;
    reg [31:0]       tick_reg;
    reg [15:0]       conn_reg, index_reg;
    reg [63:0]       addr_reg, cookie_reg;

    assign m_valid    = valid_reg;
    assign m_tcb      = tcb_reg;
    assign m_tick     = tick_reg;
    assign m_conn     = conn_reg;
    assign m_whole    = query_reg;
    assign m_addr     = addr_reg;
    assign m_cookie   = cookie_reg;
    assign m_sq_index = index_reg;
    assign m_opcode   = query_reg ? `OPCODE_QUERY : `OPCODE_TERMINATE;

    always @(posedge clk) begin
        if (rst)          valid_reg <= 1'b0;
        else if (put)     valid_reg <= 1'b1;
        else if (m_ready) valid_reg <= 1'b0;
    end

    always @(posedge clk) begin
        if (put) begin
            tcb_reg    <= tcb;
            tick_reg   <= tick;
            conn_reg   <= conn;
            query_reg  <= query;
            addr_reg   <= query ? sqe[`SQE_ADDR]   : tcb[`TCB_IMG_ADDR];
            cookie_reg <= query ? sqe[`SQE_COOKIE] : tcb[`TCB_IMG_COOKIE];
            index_reg  <= query ? sq_index         : tcb[`TCB_IMG_SQ_INDEX];
        end
    end

    wire unused = &{1'b0, sqe};

endmodule

`default_nettype wire
