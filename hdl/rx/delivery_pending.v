// delivery_pending: collects consumed bytes and returned credits and offers them to tcp_engine.
//
// Why a block: the way back from delivery_engine to tcp_engine must never be a full FIFO; here it is a sum a
// connection and one counter, which grow while tcp_engine is busy.
//
// s_*: one pulse a commit, at least two cycles apart, never refused: bytes consumed, threshold, `flush` (offer even
//   below the threshold), `clear` (LOAD: forget the sum), credits returned.
//   `s_credit_flush` (FLUSH): offer the credits too.
// A small number of credits waits for more: AGE_SHORT cycles while tcp_engine is short of them (it has fewer than CONNS
//   and a batch: `s_free`, the buffers that are free, less those pending), else AGE_LONG. (A full-size frame takes 190
//   cycles at 64 bits: in bulk, credits travel in batches and cost tcp_engine no event a segment.) Credits go ahead of
//   consumed bytes: tcp_engine must never take a connection for one without a buffer while that buffer is still on its
//   way back (C.11).
// m_consumed_*, m_credit_*: valid/ready sources.
// Sums lie in a RAM that LOAD clears; connections whose sum is due wait in a queue, once each.
`include "chimney_layout.vh"
`default_nettype none

module delivery_pending #(
    parameter CONNS  = 16,                     // connections, a power of two, 4..1024
    parameter CONN_W = 4                       // log2(CONNS)
) (
    input  wire              clk,
    input  wire              rst,

    input  wire              s_valid,
    input  wire [CONN_W-1:0] s_conn,
    input  wire [7:0]        s_gen,
    input  wire [31:0]       s_bytes,
    input  wire [31:0]       s_threshold,
    input  wire              s_flush,
    input  wire              s_clear,
    input  wire [4:0]        s_credits,
    input  wire              s_credit_flush,
    input  wire [15:0]       s_free,

    output wire              m_consumed_valid,
    input  wire              m_consumed_ready,
    output wire [CONN_W-1:0] m_consumed_conn,
    output wire [7:0]        m_consumed_gen,
    output wire [31:0]       m_consumed_bytes,

    output wire              m_credit_valid,
    input  wire              m_credit_ready,
    output wire [15:0]       m_credit_count,

    output wire              busy
);

    localparam [CONNS-1:0] BIT_0 = 1;
    localparam [31:0]      BATCH = `CREDIT_BATCH;
    localparam [15:0]      ENOUGH    = CONNS[15:0] + BATCH[15:0];
    localparam [11:0]      AGE_SHORT = 12'd256;    // cycles
    localparam [11:0]      AGE_LONG  = 12'd2048;

    // ---- add: read the sum in the cycle of the commit, write it back in the next one. Commits without bytes pass:
    // the sum of a connection that was never loaded is not defined.
    wire             add = s_valid && (s_bytes != 32'd0 || s_flush || s_clear);
    reg              add_reg;
    reg              fresh_reg;                // the sum read is stale: cleared, or taken in the same cycle
    reg              flush_reg;
    reg [CONN_W-1:0] conn_reg;
    reg [7:0]        gen_reg;
    reg [31:0]       bytes_reg, threshold_reg;

    // ---- take: read the sum of the connection at the head of the queue, then write zero
    reg              take_reg;
    reg [CONN_W-1:0] take_conn_reg;
    reg              offer_valid_reg;          // bytes are taken from the sums
    reg              show_reg;                 // and the credits of their commits are with tcp_engine
    reg [CONN_W-1:0] offer_conn_reg;
    reg [7:0]        offer_gen_reg;
    reg [31:0]       offer_bytes_reg;

    reg  [CONNS-1:0] due_reg;
    wire             due_valid, due_ready;
    wire [CONN_W-1:0] due_conn;
    wire [CONN_W:0]  due_count;

    wire take = due_valid && !add && !add_reg && !take_reg && !offer_valid_reg;

    wire [39:0] ram_rdata;
    wire [31:0] sum_old  = fresh_reg ? 32'd0 : ram_rdata[31:0];
    wire [31:0] sum_new  = sum_old + bytes_reg;
    wire        is_due   = sum_new != 32'd0 && (flush_reg || sum_new >= threshold_reg);
    wire        due_push = add_reg && is_due && !due_reg[conn_reg];

    ram_sdp #(.WIDTH(40), .DEPTH(CONNS)) sums (
        .clk(clk),
        .we(add_reg || take_reg),
        .waddr(add_reg ? conn_reg : take_conn_reg),
        .wdata(add_reg ? {gen_reg, sum_new} : 40'd0),
        .re(add || take),
        .raddr(add ? s_conn : due_conn),
        .rdata(ram_rdata)
    );

    fifo #(.WIDTH(CONN_W), .DEPTH(CONNS)) due (
        .clk(clk), .rst(rst),
        .s_data(conn_reg), .s_valid(due_push), .s_ready(due_ready),
        .m_data(due_conn), .m_valid(due_valid), .m_ready(take),
        .count(due_count)
    );

    always @(posedge clk) begin
        if (add) begin
            fresh_reg     <= s_clear || (take_reg && take_conn_reg == s_conn);
            flush_reg     <= s_flush;
            conn_reg      <= s_conn;
            gen_reg       <= s_gen;
            bytes_reg     <= s_bytes;
            threshold_reg <= s_threshold;
        end
        if (take) take_conn_reg <= due_conn;
        if (take_reg) begin
            offer_conn_reg  <= take_conn_reg;
            offer_gen_reg   <= ram_rdata[39:32];
            offer_bytes_reg <= ram_rdata[31:0];
        end
    end

    wire [CONNS-1:0] due_set   = due_push ? BIT_0 << conn_reg : {CONNS{1'b0}};
    wire [CONNS-1:0] due_clear = take ? BIT_0 << due_conn : {CONNS{1'b0}};

    // ---- credits
    reg        credit_valid_reg;
    reg [15:0] credit_offer_reg, credit_sum_reg;

    reg  [11:0] age_reg;                       // cycles since the first of the credits, stops at AGE_LONG
    reg         short_reg;                     // tcp_engine is short of credits
    reg         hurry_reg;                     // a FLUSH asked for them

    wire        none       = credit_sum_reg == 16'd0;
    wire        aged       = age_reg == AGE_LONG || (short_reg && age_reg >= AGE_SHORT);
    wire        credit_go  = !credit_valid_reg && !none
                             && (credit_sum_reg >= BATCH[15:0] || aged || hurry_reg
                                 || (offer_valid_reg && !show_reg));
    wire [15:0] credit_add = s_valid ? {11'd0, s_credits} : 16'd0;

    always @(posedge clk) begin
        if (rst) begin
            add_reg          <= 1'b0;
            take_reg         <= 1'b0;
            due_reg          <= 0;
            offer_valid_reg  <= 1'b0;
            credit_valid_reg <= 1'b0;
            credit_sum_reg   <= 16'd0;
            show_reg         <= 1'b0;
            age_reg          <= 12'd0;
            short_reg        <= 1'b0;
            hurry_reg        <= 1'b0;
        end else begin
            if (none || credit_go)        age_reg <= 12'd0;
            else if (age_reg != AGE_LONG) age_reg <= age_reg + 12'd1;
            short_reg <= s_free < credit_sum_reg + ENOUGH;
            if (s_valid && s_credit_flush) hurry_reg <= 1'b1;
            else if (none || credit_go)    hurry_reg <= 1'b0;
            add_reg  <= add;
            take_reg <= take;
            if (due_push || take) due_reg <= (due_reg & ~due_clear) | due_set;
            if (take_reg)              offer_valid_reg <= ram_rdata[31:0] != 32'd0;
            else if (show_reg && m_consumed_ready) offer_valid_reg <= 1'b0;
            if (show_reg)                                          show_reg <= !m_consumed_ready;
            else if (offer_valid_reg && none && !credit_valid_reg) show_reg <= 1'b1;
            if (credit_go)           credit_valid_reg <= 1'b1;
            else if (m_credit_ready) credit_valid_reg <= 1'b0;
            credit_sum_reg <= (credit_go ? 16'd0 : credit_sum_reg) + credit_add;
        end
    end

    always @(posedge clk) begin
        if (credit_go) credit_offer_reg <= credit_sum_reg;
    end

    assign m_consumed_valid = show_reg;
    assign m_consumed_conn  = offer_conn_reg;
    assign m_consumed_gen   = offer_gen_reg;
    assign m_consumed_bytes = offer_bytes_reg;
    assign m_credit_valid   = credit_valid_reg;
    assign m_credit_count   = credit_offer_reg;

    assign busy = add_reg || take_reg || due_valid || offer_valid_reg || credit_valid_reg || credit_sum_reg != 16'd0;

    wire unused = &{1'b0, due_ready, due_count};

endmodule

`default_nettype wire
