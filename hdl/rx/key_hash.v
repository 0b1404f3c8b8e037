// key_hash: hash of a connection key, the low bits of a 16-bit CRC. Combinational.
//
// Why a block: the function is linear, so each result bit is the parity of a constant selection of key bits;
// the selections are computed at elaboration from the polynomial, and two tables differ by it alone.
//
// m_hash = (key as polynomial, bit 0 = x^0) modulo (x^16 + POLY), low HASH_W bits.
`default_nettype none

module key_hash #(
    parameter        KEY_W  = 296,                 // bits, >= 16
    parameter        HASH_W = 8,                   // bits, 1..16
    parameter [15:0] POLY   = 16'h100B             // polynomial without its x^16 term
) (
    input  wire [KEY_W-1:0]  s_key,
    output wire [HASH_W-1:0] m_hash
);

    // key bits that take part in hash bit `which`
    function [KEY_W-1:0] selection;
        input integer which;
        integer    j;
        reg [15:0] power;                          // x^j modulo the polynomial
        begin
            power = 16'd1;
            for (j = 0; j < KEY_W; j = j + 1) begin
                selection[j] = power[which];
                power = {power[14:0], 1'b0} ^ (power[15] ? POLY : 16'd0);
            end
        end
    endfunction

    genvar i;
    generate
        for (i = 0; i < HASH_W; i = i + 1) begin : g_bit
            localparam [KEY_W-1:0] SELECTION = selection(i);
            assign m_hash[i] = ^(s_key & SELECTION);
        end
    endgenerate

endmodule

`default_nettype wire
