// key_hash: 32-bit CRC of a connection key. Combinational.
//
// Why a block: the function is linear, so each result bit is the parity of a constant selection of key bits;
// the selections are computed at elaboration from the polynomial.
//
// m_hash = (SEED times the key as polynomial, bit 0 = x^0) modulo (x^32 + POLY). SEED spreads the low bits of
// the key, which are the port numbers, over the whole hash. Keys that differ by a multiple of the polynomial
// share the hash.
`default_nettype none

module key_hash #(
    parameter        KEY_W = 296,                  // bits, >= 1
    parameter [31:0] POLY  = 32'h1EDC6F41,         // CRC-32C, without its x^32 term
    parameter [31:0] SEED  = 32'h9E3779B9          // not 0
) (
    input  wire [KEY_W-1:0] s_key,
    output wire [31:0]      m_hash
);

    // key bits that take part in hash bit `which`
    function [KEY_W-1:0] selection;
        input [4:0] which;
        integer     j;
        reg [31:0]  power;                         // SEED * x^j modulo the polynomial
        begin
            power = SEED;
            for (j = 0; j < KEY_W; j = j + 1) begin
                selection[j] = power[which];
                power = {power[30:0], 1'b0} ^ (power[31] ? POLY : 32'd0);
            end
        end
    endfunction

    genvar i;
    generate
        for (i = 0; i < 32; i = i + 1) begin : g_bit
            localparam [KEY_W-1:0] SELECTION = selection(i[4:0]);
            assign m_hash[i] = ^(s_key & SELECTION);
        end
    endgenerate

endmodule

`default_nettype wire
