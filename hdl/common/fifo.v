// fifo: synchronous first-word-fall-through FIFO over a synchronous-read RAM.
//
// Why a block: queues between blocks are the joints of the device; all of them are this one.
//
// s_: valid/ready sink. `s_ready` depends on registers only and falls when DEPTH words are held.
// m_: valid/ready source. `m_data` is the oldest word and is stable while `m_valid` waits for `m_ready`.
// count: words held, 0..DEPTH, registered.
// Latency 1 cycle from s_ to m_ when empty; one word in and one word out every cycle.
//
// The RAM is read one word ahead. The word that would have to be read in the cycle in which it is written
// (FIFO empty, or emptied in this cycle) is kept in a bypass register instead.
`default_nettype none

module fifo #(
    parameter WIDTH = 32,                  // bits a word, >= 1
    parameter DEPTH = 16,                  // words, a power of two >= 2 (pointers wrap by overflow)
    parameter ADDR_W = $clog2(DEPTH)       // derived, do not override
) (
    input  wire             clk,
    input  wire             rst,

    input  wire [WIDTH-1:0] s_data,
    input  wire             s_valid,
    output wire             s_ready,

    output wire [WIDTH-1:0] m_data,
    output wire             m_valid,
    input  wire             m_ready,

    output wire [ADDR_W:0]  count
);

    generate
        if (DEPTH < 2 || (DEPTH & (DEPTH - 1)) != 0) begin : g_illegal
            fifo_DEPTH_must_be_a_power_of_two illegal();
        end
    endgenerate

    localparam [ADDR_W:0]   ONE  = 1;
    localparam [ADDR_W-1:0] STEP = 1;

    reg [ADDR_W-1:0] wr_ptr_reg;
    reg [ADDR_W-1:0] rd_ptr_reg;           // address of the word at m_data
    reg [ADDR_W:0]   count_reg;
    reg              bypass_reg;           // m_data is in byp_data_reg, not at the RAM output
    reg [WIDTH-1:0]  byp_data_reg;

    wire [WIDTH-1:0] ram_data;

    wire push  = s_valid && s_ready;
    wire pop   = m_valid && m_ready;
    wire empty = count_reg == 0;
    wire one   = count_reg == ONE;
    wire take  = push && (empty || (one && pop));    // the pushed word becomes the head at once
    wire fetch = pop && !one;                        // the next head comes from the RAM

    assign s_ready = !count_reg[ADDR_W];
    assign m_valid = !empty;
    assign m_data  = bypass_reg ? byp_data_reg : ram_data;
    assign count   = count_reg;

    ram_sdp #(.WIDTH(WIDTH), .DEPTH(DEPTH)) storage (
        .clk(clk),
        .we(push), .waddr(wr_ptr_reg), .wdata(s_data),
        .re(fetch), .raddr(rd_ptr_reg + STEP), .rdata(ram_data)
    );

    always @(posedge clk) begin
        if (take) byp_data_reg <= s_data;
    end

    always @(posedge clk) begin
        if (rst) begin
            wr_ptr_reg <= 0;
            rd_ptr_reg <= 0;
            count_reg  <= 0;
            bypass_reg <= 1'b0;
        end else begin
            if (push) wr_ptr_reg <= wr_ptr_reg + STEP;
            if (pop)  rd_ptr_reg <= rd_ptr_reg + STEP;
            if (push && !pop) count_reg <= count_reg + ONE;
            if (pop && !push) count_reg <= count_reg - ONE;
            if (take)       bypass_reg <= 1'b1;
            else if (fetch) bypass_reg <= 1'b0;
        end
    end

endmodule

`default_nettype wire
