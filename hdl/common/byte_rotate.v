// byte_rotate: rotates a bus word by whole bytes, towards lane 0. Combinational.
//
// Why a block: alignment of reads, of writes and of frames is one rotator plus a lane mask each.
//
// m_data lane i = s_data lane (i + amount) modulo the number of lanes. To rotate towards the top lane by k,
// give the two's complement of k. log2(lanes) levels of 2:1 multiplexers.
`default_nettype none

module byte_rotate #(
    parameter DATA_W = 64,                         // bits, 8 times a power of two, >= 16
    parameter LANE_W = $clog2(DATA_W / 8)          // derived, do not override
) (
    input  wire [DATA_W-1:0] s_data,
    input  wire [LANE_W-1:0] amount,
    output wire [DATA_W-1:0] m_data
);

    reg [DATA_W-1:0] level;
    integer          k;

    always @* begin
        level = s_data;
        for (k = 0; k < LANE_W; k = k + 1) begin
            if (amount[k]) level = (level >> (8 << k)) | (level << (DATA_W - (8 << k)));
        end
    end

    assign m_data = level;

endmodule

`default_nettype wire
