// skid: what goes in comes out, once, in order; a well-formed stream in is a well-formed stream out.
// `queue` is what the slice should hold, oldest word lowest. Words are beats of a stream: {last, keep, data}.
`default_nettype none

module skid_proof #(
    parameter DATA_W    = 16,
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
    localparam BYTES = DATA_W / 8;
    localparam WIDTH = DATA_W + BYTES + 1;

    wire [WIDTH-1:0]  s_word = {s_last, s_keep, s_data};
    wire              s_ready, m_valid;
    wire [WIDTH-1:0]  m_word;
    wire              violation;
    wire [7:0]        code;

    skid #(.WIDTH(WIDTH)) dut (
        .clk(clk), .rst(rst), .s_data(s_word), .s_valid(s_valid), .s_ready(s_ready),
        .m_data(m_word), .m_valid(m_valid), .m_ready(m_ready)
    );
    axis_checker #(.DATA_W(DATA_W), .MAX_BYTES(MAX_BYTES)) chk (
        .clk(clk), .rst(rst), .tdata(m_word[DATA_W-1:0]), .tkeep(m_word[DATA_W+:BYTES]), .tlast(m_word[WIDTH-1]),
        .tvalid(m_valid), .tready(m_ready), .violation(violation), .code(code)
    );

    (* peek = "dut.held_data_reg" *) wire [WIDTH-1:0]  second;
    (* peek = "chk.waiting" *)       wire              chk_waiting;
    (* peek = "chk.held_data" *)     wire [DATA_W-1:0] chk_data;
    (* peek = "chk.held_keep" *)     wire [BYTES-1:0]  chk_keep;
    (* peek = "chk.held_last" *)     wire              chk_last;
    (* peek = "chk.bytes" *)         wire [31:0]       chk_bytes;
    (* peek = "chk.rst_q" *)         wire              chk_rst;

    reg [2*WIDTH-1:0] queue;
    reg [1:0]         held;
    wire              push = s_valid && s_ready;
    wire              pop  = m_valid && m_ready;

    `define PROOF_STREAM
    `include "proof.svh"

    always @(posedge clk) begin
        if (rst) begin
            held    <= 0;
        end else begin
            held <= held + {1'b0, push} - {1'b0, pop};
            if (pop) queue <= queue >> WIDTH;
            if (push && held == {1'b0, pop}) queue[0 +: WIDTH] <= s_word;
            if (push && held != {1'b0, pop}) queue[WIDTH +: WIDTH] <= s_word;
        end
    end

    reg        formed, fits;
    reg [31:0] frame;
    integer    j;
    always @* begin
        formed = 1'b1; fits = 1'b1; frame = chk_bytes;
        for (j = 0; j < 2; j = j + 1) if (j < held) begin
            if (!well_formed(queue[j*WIDTH +: WIDTH])) formed = 1'b0;
            if (frame + queue[j*WIDTH+DATA_W] + queue[j*WIDTH+DATA_W+1] > MAX_BYTES) fits = 1'b0;
            frame = queue[j*WIDTH+WIDTH-1] ? 0 : frame + BYTES;
        end
    end

    always @* if (started) begin
        room: assert (held <= 2 && s_ready == (held != 2));  // a word is taken exactly while fewer than two are held
        offers: assert (m_valid == (held != 0));  // a word is offered exactly while one is held
        if (held != 0) order: assert (m_word == queue[0 +: WIDTH]);  // words come out once, unchanged, in the order in which they went in
        stream: assert (!violation);  // axis_checker at the output never fires behind a well-formed stream
        if (held == 2) inv_second: assert (second == queue[WIDTH +: WIDTH]);  // the second register holds the second word
        inv_formed: assert (formed && fits);  // held beats are well-formed and their frames not too long
        inv_frame: assert (frame == s_bytes && s_bytes < MAX_BYTES);  // the bytes of the open frame are those that went in
        if (chk_waiting) inv_waits: assert (held != 0 && {chk_last, chk_keep, chk_data} == queue[0 +: WIDTH]);  // what waits is the oldest word
        if (chk_rst) inv_reset: assert (held == 0 && !chk_waiting);  // nothing is held behind a reset
    end

    reg [1:0] in_a_row;                       // words taken in this and the cycles before
    always @(posedge clk) in_a_row <= rst || !(push && pop) ? 0 : in_a_row == 3 ? 3 : in_a_row + 1;

    always @* if (started && !rst) begin
        full: cover (held == 2 && s_valid && !m_ready);  // both registers are full and a third word waits
        streams: cover (in_a_row == 3 && push && pop);  // a word goes in and one comes out, four cycles in a row
        frames: cover (pop && m_word[WIDTH-1] && chk_bytes != 0);  // a frame of several beats leaves
    end
endmodule

`default_nettype wire
