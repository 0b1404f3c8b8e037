// bucket_mix: two bucket numbers from one 32-bit linear hash. Combinational.
//
// Why a block: with linear hashes alone, keys in a row (ports or addresses that count up) can fill few buckets
// of both tables. Carries break that: three 16-bit additions, with rotations, and the top bits of the halves.
`default_nettype none

module bucket_mix #(
    parameter BUCKET_W = 8                         // bits, 1..16
) (
    input  wire [31:0]         s_hash,
    output wire [BUCKET_W-1:0] m_bucket_a,
    output wire [BUCKET_W-1:0] m_bucket_b
);

    wire [15:0] a1 = s_hash[15:0] + s_hash[31:16];
    wire [15:0] b1 = {s_hash[26:16], s_hash[31:27]} ^ a1;      // rotate by 5
    wire [15:0] a2 = {a1[6:0], a1[15:7]} + b1;                 // rotate by 9
    wire [15:0] b2 = {b1[8:0], b1[15:9]} ^ a2;                 // rotate by 7
    wire [15:0] a3 = {a2[12:0], a2[15:13]} + b2;               // rotate by 3

    assign m_bucket_a = a3[15 -: BUCKET_W];
    assign m_bucket_b = b2[15 -: BUCKET_W];

    wire unused = &{1'b0, a3, b2};

endmodule

`default_nettype wire
