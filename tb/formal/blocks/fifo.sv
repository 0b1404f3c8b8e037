// fifo: what goes in comes out, once, in order; a well-formed stream in is a well-formed stream out.
// `queue` is what the FIFO should hold, oldest word lowest. Words are beats of a stream: {last, keep, data}.
`default_nettype none

module fifo_proof #(
    parameter DATA_W    = 16,
    parameter DEPTH     = 4,
    parameter MAX_BYTES = 6
) (
    input wire                clk,
    input wire                rst,
    input wire [DATA_W-1:0]   s_data,
    input wire [DATA_W/8-1:0] s_keep,
    input wire                s_last,
    input wire                s_valid,
    input wire                m_ready
);
    localparam BYTES  = DATA_W / 8;
    localparam WIDTH  = DATA_W + BYTES + 1;
    localparam ADDR_W = $clog2(DEPTH);

    wire [WIDTH-1:0]  s_word = {s_last, s_keep, s_data};
    wire              s_ready, m_valid;
    wire [WIDTH-1:0]  m_word;
    wire [ADDR_W:0]   count;
    wire              violation;
    wire [7:0]        code;

    fifo #(.WIDTH(WIDTH), .DEPTH(DEPTH)) dut (
        .clk(clk), .rst(rst), .s_data(s_word), .s_valid(s_valid), .s_ready(s_ready),
        .m_data(m_word), .m_valid(m_valid), .m_ready(m_ready), .count(count)
    );
    axis_checker #(.DATA_W(DATA_W), .MAX_BYTES(MAX_BYTES)) chk (
        .clk(clk), .rst(rst), .tdata(m_word[DATA_W-1:0]), .tkeep(m_word[DATA_W+:BYTES]), .tlast(m_word[WIDTH-1]),
        .tvalid(m_valid), .tready(m_ready), .violation(violation), .code(code)
    );

    (* peek = "dut.rd_ptr_reg" *)      wire [ADDR_W-1:0]      rd_ptr;
    (* peek = "dut.wr_ptr_reg" *)      wire [ADDR_W-1:0]      wr_ptr;
    (* peek = "dut.storage.mem[3:0]" *) wire [DEPTH*WIDTH-1:0] mem;
    (* peek = "chk.waiting" *)         wire                   chk_waiting;
    (* peek = "chk.held_data" *)       wire [DATA_W-1:0]      chk_data;
    (* peek = "chk.held_keep" *)       wire [BYTES-1:0]       chk_keep;
    (* peek = "chk.held_last" *)       wire                   chk_last;
    (* peek = "chk.bytes" *)           wire [31:0]            chk_bytes;
    (* peek = "chk.rst_q" *)           wire                   chk_rst;

    // ---- what the FIFO should hold
    reg [DEPTH*WIDTH-1:0] queue;
    reg [ADDR_W:0]        held;
    wire                  push = s_valid && s_ready;
    wire                  pop  = m_valid && m_ready;

    `define PROOF_STREAM
    `include "proof.svh"

    wire [ADDR_W:0]       end_of_queue = held - {{ADDR_W{1'b0}}, pop};
    integer               i, j;

    always @(posedge clk) begin
        if (rst) begin
            held    <= 0;
        end else begin
            held <= end_of_queue + {{ADDR_W{1'b0}}, push};
            if (pop)  queue <= queue >> WIDTH;
            if (push) for (i = 0; i < DEPTH; i = i + 1) if (i == end_of_queue) queue[i*WIDTH +: WIDTH] <= s_word;
        end
    end

    reg        same, formed, fits;
    reg [31:0] frame;
    always @* begin
        same = 1'b1; formed = 1'b1; fits = 1'b1; frame = chk_bytes;
        for (j = 0; j < DEPTH; j = j + 1) if (j < held) begin
            if (j > 0 && mem[((rd_ptr + j) % DEPTH) * WIDTH +: WIDTH] != queue[j*WIDTH +: WIDTH]) same = 1'b0;
            if (!well_formed(queue[j*WIDTH +: WIDTH])) formed = 1'b0;
            if (frame + queue[j*WIDTH+DATA_W] + queue[j*WIDTH+DATA_W+1] > MAX_BYTES) fits = 1'b0;
            frame = queue[j*WIDTH+WIDTH-1] ? 0 : frame + BYTES;
        end
    end

    always @* if (started) begin
        counts: assert (count == held && held <= DEPTH);  // `count` is the number of words that went in and did not come out
        room: assert (s_ready == (held != DEPTH));  // a word is taken whenever there is room, and never without room
        offers: assert (m_valid == (held != 0));  // a word is offered exactly while one is held
        if (held != 0) order: assert (m_word == queue[WIDTH-1:0]);  // words come out once, unchanged, in the order in which they went in
        stream: assert (!violation);  // axis_checker at the output never fires behind a well-formed stream
        inv_pointers: assert (wr_ptr == rd_ptr + held[ADDR_W-1:0]);  // the pointers are as far apart as words are held
        inv_storage: assert (same);  // behind the oldest word the memory holds the queue
        inv_formed: assert (formed && fits);  // held beats are well-formed and their frames not too long
        inv_frame: assert (frame == s_bytes && s_bytes < MAX_BYTES);  // the bytes of the open frame are those that went in
        if (chk_waiting) inv_waits: assert (held != 0 && {chk_last, chk_keep, chk_data} == queue[WIDTH-1:0]);  // what waits is the oldest word
        if (chk_rst) inv_reset: assert (held == 0 && !chk_waiting);  // nothing is held behind a reset
    end

    always @* if (started && !rst) begin
        full: cover (held == DEPTH && !s_ready);  // the FIFO is full
        wrapped: cover (held == DEPTH && rd_ptr == DEPTH - 1);  // it is full across the end of its memory
        passes: cover (push && pop && held == 1);  // a word goes in while the only one leaves
        frames: cover (pop && m_word[WIDTH-1] && chk_bytes != 0);  // a frame of several beats leaves
    end
endmodule

`default_nettype wire
