// delivery_pending: no credit is lost, made or kept for ever, and credits go ahead of consumed bytes.
// `owed` is what went in and was not taken by tcp_engine.
`default_nettype none

module delivery_pending_proof #(
    parameter CONNS  = 4,
    parameter CONN_W = 2
) (
    input wire              clk,
    input wire              rst,
    input wire              s_valid, s_flush, s_clear, s_credit_flush,
    input wire [CONN_W-1:0] s_conn,
    input wire [7:0]        s_gen,
    input wire [31:0]       s_bytes, s_threshold,
    input wire [4:0]        s_credits,
    input wire [15:0]       s_free,
    input wire              consumed_ready, credit_ready
);
    wire              consumed_valid, credit_valid, busy;
    wire [CONN_W-1:0] consumed_conn;
    wire [7:0]        consumed_gen;
    wire [31:0]       consumed_bytes;
    wire [15:0]       credit_count;

    delivery_pending #(.CONNS(CONNS), .CONN_W(CONN_W)) dut (
        .clk(clk), .rst(rst), .s_valid(s_valid), .s_conn(s_conn), .s_gen(s_gen), .s_bytes(s_bytes),
        .s_threshold(s_threshold), .s_flush(s_flush), .s_clear(s_clear), .s_credits(s_credits),
        .s_credit_flush(s_credit_flush), .s_free(s_free),
        .m_consumed_valid(consumed_valid), .m_consumed_ready(consumed_ready), .m_consumed_conn(consumed_conn),
        .m_consumed_gen(consumed_gen), .m_consumed_bytes(consumed_bytes),
        .m_credit_valid(credit_valid), .m_credit_ready(credit_ready), .m_credit_count(credit_count), .busy(busy)
    );

    (* peek = "dut.credit_sum_reg" *)  wire [15:0] sum;
    (* peek = "dut.age_reg" *)         wire [11:0] age;

    localparam LONGEST = 2049;                 // cycles: AGE_LONG, and the one in which it is offered

    `include "proof.svh"

    reg        was_kept;
    reg [15:0] was_count;
    reg [31:0] owed;
    reg        was_consumed, was_owing;
    reg [12:0] idle_wait;                      // cycles that credits wait while none is on offer
    wire [4:0] came = s_valid ? s_credits : 5'd0;

    always @(posedge clk) begin
        was_kept     <= credit_valid && !credit_ready && !rst;
        was_count    <= credit_count;
        was_consumed <= consumed_valid;
        was_owing    <= owed != 0;
        if (rst) owed <= 32'd0;
        else owed <= owed + came - (credit_valid && credit_ready ? {16'd0, credit_count} : 32'd0);
        if (rst || credit_valid || owed == 0) idle_wait <= 13'd0;
        else idle_wait <= idle_wait + 13'd1;
    end

    always @* begin
        assume (owed + came <= 32'd65535);     // the driver has no more buffers than the counter holds
    end

    always @* if (started) begin
        conserved: assert (owed == {16'd0, sum} + (credit_valid ? {16'd0, credit_count} : 32'd0));  // what went in and was not taken is on offer or in the sum
        if (credit_valid) some: assert (credit_count != 0);  // an offer has at least one credit
        if (was_kept) stays: assert (credit_valid && credit_count == was_count);  // an offer stays as it is until it is taken
        if (consumed_valid && !was_consumed && !was_rst) ahead: assert (!was_owing);  // consumed bytes are offered only when no credit was pending
        goes_out: assert (idle_wait <= LONGEST);  // credits wait at most 2049 cycles for their offer
        if (owed != 0) told: assert (busy);  // the block is busy while it has credits
        inv_age: assert (age <= 12'd2048 && (credit_valid || idle_wait <= {1'b0, age}));  // the age counts the cycles of the wait
    end

    always @* if (started && !rst) begin
        batch: cover (credit_valid && credit_ready && credit_count > 16);  // a large offer is taken
        flushed: cover (credit_valid && credit_count == 1 && !was_rst);  // a single credit is offered
        both: cover (consumed_valid && !credit_valid);  // consumed bytes are offered
    end
endmodule

`default_nettype wire
