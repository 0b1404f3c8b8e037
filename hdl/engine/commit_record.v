// commit_record: one record a commit of tcp_engine, for lockstep comparison.
//
// Why a block: it exists only with COMMIT_PORT; the engine itself reads nothing of it.
//
// `commit` with the event, the state after it and its actions; one cycle later rec_tcp_valid pulses with rec_tcp.
// Never stalls. Fields that do not belong to the kind of event are 0.
`default_nettype none
`include "chimney_layout.vh"

module commit_record (
    input  wire                  clk,
    input  wire                  rst,

    input  wire                  commit,
    input  wire [31:0]           tick,
    input  wire [3:0]            kind,
    input  wire [15:0]           conn,
    input  wire [7:0]            gen,
    input  wire [31:0]           cause,
    input  wire [7:0]            opcode,
    input  wire [`RX_SEG_W-1:0]  seg,
    input  wire [`TCB_W-1:0]     tcb,
    input  wire [15:0]           credits,
    input  wire [1:0]            verdict,
    input  wire                  tx0_valid,
    input  wire [`TXQ_W-1:0]     tx0,
    input  wire                  tx1_valid,
    input  wire [`TXQ_W-1:0]     tx1,
    input  wire                  dlv_valid,
    input  wire [`DLV_MSG_W-1:0] dlv,
    input  wire                  cpl_valid,
    input  wire [`CQE_W-1:0]     cpl,
    input  wire                  img_valid,
    input  wire                  room,

    output wire                  rec_tcp_valid,
    output wire [`REC_TCP_W-1:0] rec_tcp
);

    reg [31:0]           order_reg;
    reg                  valid_reg;
    reg [`REC_TCP_W-1:0] rec_reg;
    reg [`REC_TCP_W-1:0] rec_next;

    always @* begin
        rec_next = {`REC_TCP_W{1'b0}};
        rec_next[`REC_TCP_ORDER]     = order_reg;
        rec_next[`REC_TCP_TICK]      = tick;
        rec_next[`REC_TCP_KIND]      = kind;
        rec_next[`REC_TCP_CONN]      = conn;
        rec_next[`REC_TCP_GEN]       = gen;
        rec_next[`REC_TCP_CAUSE]     = cause;
        rec_next[`REC_TCP_TCB]       = tcb;
        rec_next[`REC_TCP_CREDITS]   = credits;
        rec_next[`REC_TCP_TX0_VALID] = tx0_valid;
        rec_next[`REC_TCP_TX1_VALID] = tx1_valid;
        rec_next[`REC_TCP_DLV_VALID] = dlv_valid;
        rec_next[`REC_TCP_CPL_VALID] = cpl_valid;
        rec_next[`REC_TCP_IMG_VALID] = img_valid;
        rec_next[`REC_TCP_ROOM]      = room;
        if (kind == `TCP_EVT_COMMAND) rec_next[`REC_TCP_OPCODE] = opcode;
        if (kind == `TCP_EVT_COMMAND && opcode == `OPCODE_FORWARD) rec_next[`REC_TCP_RX] = seg;
        if (kind == `TCP_EVT_RX_SEGMENT) begin
            rec_next[`REC_TCP_RX]      = seg;
            rec_next[`REC_TCP_VERDICT] = verdict;
        end
        if (tx0_valid) rec_next[`REC_TCP_TX0] = tx0;
        if (tx1_valid) rec_next[`REC_TCP_TX1] = tx1;
        if (dlv_valid) rec_next[`REC_TCP_DLV] = dlv;
        if (cpl_valid) rec_next[`REC_TCP_CPL] = cpl;
    end

    always @(posedge clk) begin
        if (commit) rec_reg <= rec_next;
    end

    always @(posedge clk) begin
        if (rst) begin
            order_reg <= 32'd0;
            valid_reg <= 1'b0;
        end else begin
            valid_reg <= commit;
            if (commit) order_reg <= order_reg + 32'd1;
        end
    end

    assign rec_tcp_valid = valid_reg;
    assign rec_tcp       = rec_reg;

endmodule

`default_nettype wire
