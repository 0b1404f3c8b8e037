// list_cache: scatter-gather lists of the entries being sent, kept on chip.
//
// Why a block: fetching a list again for each segment would eat the read bus. One line holds one list; a
// connection always uses line `conn mod LISTS`, so it keeps its current list while others send.
//
// conn, entry: the key all other inputs speak about. `hit` (combinational): that list is here.
// drop: forget the list of the key (its send-table entry is being rewritten).
// fetch: pulse while not `hit` and no fetch runs; reads `count` elements (1..16) at `addr` into the line.
//   `done` pulses at the end; with `error` the list was not read and the line stays empty.
// re, elem: element `elem` of the line of `conn` is at `elem_addr` / `elem_len` in the next cycle.
// m_lrd_*, s_lrd_*: dma read client LIST, one request at a time, response always taken.
`default_nettype none
`include "chimney_layout.vh"

module list_cache #(
    parameter DATA_W = 64,                             // bits: 64, 128, 256, 512
    parameter CONN_W = 4,                              // bits of a connection number
    parameter IDX_W  = 4,                              // bits of an entry number
    parameter LISTS  = 4,                              // lines, a power of two, 2..connections
    parameter LANE_W = $clog2(DATA_W / 8)              // derived, do not override
) (
    input  wire              clk,
    input  wire              rst,

    input  wire [CONN_W-1:0] conn,
    input  wire [IDX_W-1:0]  entry,
    output wire              hit,
    input  wire              drop,

    input  wire              fetch,
    input  wire [63:0]       addr,
    input  wire [4:0]        count,
    output wire              done,
    output wire              error,

    input  wire              re,
    input  wire [3:0]        elem,
    output wire [63:0]       elem_addr,
    output wire [31:0]       elem_len,

    output wire              m_lrd_req_valid,
    input  wire              m_lrd_req_ready,
    output wire [63:0]       m_lrd_req_addr,
    output wire [15:0]       m_lrd_req_len,
    input  wire              s_lrd_valid,
    output wire              s_lrd_ready,
    input  wire [DATA_W-1:0] s_lrd_data,
    input  wire              s_lrd_last,
    input  wire [LANE_W:0]   s_lrd_bytes,
    input  wire              s_lrd_error
);

    localparam LINE_W = $clog2(LISTS);
    localparam TAG_W  = CONN_W + IDX_W;
    localparam WORD_W = (DATA_W < `SG_ELEM_W) ? `SG_ELEM_W : DATA_W;   // as read: whole elements
    localparam EPW    = WORD_W / `SG_ELEM_W;                           // elements a word
    localparam EPW_W  = $clog2(EPW);
    localparam WSEL_W = 4 - EPW_W;                                     // bits of a word number in a line
    localparam KEEP_W = `SG_ELEM_ADDR_W + `SG_ELEM_LENGTH_W;           // kept of an element
    localparam [WSEL_W-1:0] ONE_WORD = 1;

    wire [LINE_W-1:0]  line = conn[LINE_W-1:0];
    wire [TAG_W-1:0]   key  = {conn, entry};

    reg  [LISTS-1:0]   valid_reg;
    reg  [TAG_W-1:0]   tag_reg [0:LISTS-1];
    reg                req_valid_reg;
    reg  [63:0]        req_addr_reg;
    reg  [15:0]        req_len_reg;
    reg  [WSEL_W-1:0]  word_reg;                       // next word of the line to be written

    assign hit             = valid_reg[line] && tag_reg[line] == key;
    assign s_lrd_ready     = 1'b1;
    assign done            = s_lrd_valid && s_lrd_last;
    assign error           = s_lrd_error;
    assign m_lrd_req_valid = req_valid_reg;
    assign m_lrd_req_addr  = req_addr_reg;
    assign m_lrd_req_len   = req_len_reg;

    // a beat is a word, or half a word when the bus is narrower than an element
    wire [WORD_W-1:0]  word_in;
    wire               word_we;

    generate
        if (DATA_W < `SG_ELEM_W) begin : g_halves
            reg              half_reg;
            reg [DATA_W-1:0] low_reg;
            always @(posedge clk) begin
                if (rst)              half_reg <= 1'b0;
                else if (s_lrd_valid) half_reg <= !half_reg && !s_lrd_last;
            end
            always @(posedge clk) begin
                if (s_lrd_valid && !half_reg) low_reg <= s_lrd_data;
            end
            assign word_in = {s_lrd_data, low_reg};
            assign word_we = s_lrd_valid && half_reg;
        end else begin : g_words
            assign word_in = s_lrd_data;
            assign word_we = s_lrd_valid;
        end
    endgenerate

    wire [EPW*KEEP_W-1:0] keep_in, keep_out;
    reg  [3:0]            elem_reg;

    genvar i;
    generate
        for (i = 0; i < EPW; i = i + 1) begin : g_keep
            wire [`SG_ELEM_W-1:0] e = word_in[i*`SG_ELEM_W +: `SG_ELEM_W];
            assign keep_in[i*KEEP_W +: KEEP_W] = {e[`SG_ELEM_LENGTH], e[`SG_ELEM_ADDR]};
            wire unused_rsvd = &{1'b0, e[`SG_ELEM_RSVD]};
        end
        if (EPW == 1) begin : g_one
            assign {elem_len, elem_addr} = keep_out;
        end else begin : g_select
            assign {elem_len, elem_addr} = keep_out[elem_reg[EPW_W-1:0]*KEEP_W +: KEEP_W];
        end
    endgenerate

    ram_sdp #(.WIDTH(EPW * KEEP_W), .DEPTH(LISTS << WSEL_W)) words (
        .clk(clk),
        .we(word_we), .waddr({line, word_reg}), .wdata(keep_in),
        .re(re), .raddr({line, elem[3:EPW_W]}), .rdata(keep_out)
    );

    always @(posedge clk) begin
        if (re) elem_reg <= elem;
        if (fetch) begin
            req_addr_reg  <= addr;
            req_len_reg   <= {7'd0, count, 4'd0};
            tag_reg[line] <= key;
        end
    end

    always @(posedge clk) begin
        if (rst) begin
            valid_reg     <= 0;
            req_valid_reg <= 1'b0;
            word_reg      <= 0;
        end else begin
            if (fetch || (drop && hit)) valid_reg[line] <= 1'b0;
            if (done)                   valid_reg[line] <= !s_lrd_error;

            if (fetch)                req_valid_reg <= 1'b1;
            else if (m_lrd_req_ready) req_valid_reg <= 1'b0;

            if (done)         word_reg <= 0;
            else if (word_we) word_reg <= word_reg + ONE_WORD;
        end
    end

    wire unused = &{1'b0, s_lrd_bytes, elem_reg};

endmodule

`default_nettype wire
