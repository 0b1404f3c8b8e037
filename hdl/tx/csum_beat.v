// csum_beat: sum of the big-endian 16-bit words of a bus beat. Combinational.
//
// Why a block: the adder tree of the Internet checksum at any width, to be registered by its user.
//
// The sum is exact (no end-around carry yet): 16 + log2(words) bits. Lanes that do not count must be zero.
`default_nettype none

module csum_beat #(
    parameter DATA_W = 64,                             // bits: 64, 128, 256, 512
    parameter SUM_W  = 16 + $clog2(DATA_W / 16)        // derived, do not override
) (
    input  wire [DATA_W-1:0] s_data,
    output wire [SUM_W-1:0]  m_sum
);

    localparam WORDS  = DATA_W / 16;
    localparam LEVELS = $clog2(WORDS);

    // node[n] = node[2n] + node[2n+1]; leaves are WORDS .. 2*WORDS-1, the root is node 1
    wire [SUM_W-1:0] node [1:2*WORDS-1];

    genvar i;
    generate
        for (i = 0; i < WORDS; i = i + 1) begin : g_leaf
            assign node[WORDS + i] = {{LEVELS{1'b0}}, s_data[i*16 +: 8], s_data[i*16 + 8 +: 8]};
        end
        for (i = 1; i < WORDS; i = i + 1) begin : g_node
            assign node[i] = node[2*i] + node[2*i + 1];
        end
    endgenerate

    assign m_sum = node[1];

endmodule

`default_nettype wire
