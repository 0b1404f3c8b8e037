// stat_counters: the statistics of the offloaded connections of one family (hostport, Statistics).
//
// Why a block: both families count the same, each for itself.
//
// Inputs: pulses as in offload_stats; in_packet only with in_segment, out_old, out_new, out_rst only with `out` and
//   without out_lost. addr, data, known: combinational read; the registers lie as ST4_* do, the first at BASE; data is
//   0 where not known. Free-running, modulo the width.
`default_nettype none
`include "chimney_layout.vh"

module stat_counters #(
    parameter [15:0] BASE = `CSR_ST4_IN_SEGMENTS_LO    // bytes
) (
    input  wire        clk,
    input  wire        rst,

    input  wire        in_segment,
    input  wire        in_packet,          // with in_octets
    input  wire [15:0] in_octets,
    input  wire        opened,
    input  wire        closed,
    input  wire        reset_one,

    input  wire        out,                // with out_octets
    input  wire        out_lost,
    input  wire [15:0] out_octets,
    input  wire        out_old,
    input  wire        out_new,
    input  wire        out_rst,

    input  wire [15:0] addr,
    output reg  [31:0] data,
    output reg         known
);

    reg [63:0] in_segments_reg, in_receives_reg, in_octets_sum_reg;
    reg [63:0] out_segments_reg, out_requests_reg, out_octets_sum_reg;
    reg [31:0] retransmitted_reg, out_resets_reg, reset_established_reg, established_reg, out_discards_reg;

    always @(posedge clk) begin
        if (rst) begin
            in_segments_reg       <= 64'd0;
            in_receives_reg       <= 64'd0;
            in_octets_sum_reg     <= 64'd0;
            out_segments_reg      <= 64'd0;
            out_requests_reg      <= 64'd0;
            out_octets_sum_reg    <= 64'd0;
            retransmitted_reg     <= 32'd0;
            out_resets_reg        <= 32'd0;
            reset_established_reg <= 32'd0;
            established_reg       <= 32'd0;
            out_discards_reg      <= 32'd0;
        end else begin
            if (in_segment) in_segments_reg       <= in_segments_reg + 64'd1;
            if (in_packet)  in_receives_reg       <= in_receives_reg + 64'd1;
            if (in_packet)  in_octets_sum_reg     <= in_octets_sum_reg + {48'd0, in_octets};
            if (out_new)    out_segments_reg      <= out_segments_reg + 64'd1;
            if (out)        out_requests_reg      <= out_requests_reg + 64'd1;
            if (out && !out_lost) out_octets_sum_reg <= out_octets_sum_reg + {48'd0, out_octets};
            if (out_old)    retransmitted_reg     <= retransmitted_reg + 32'd1;
            if (out_rst)    out_resets_reg        <= out_resets_reg + 32'd1;
            if (reset_one)  reset_established_reg <= reset_established_reg + 32'd1;
            if (out_lost)   out_discards_reg      <= out_discards_reg + 32'd1;
            if (opened != closed)
                established_reg <= opened ? established_reg + 32'd1 : established_reg - 32'd1;
        end
    end

    always @* begin
        known = 1'b1;
        case (addr - BASE + `CSR_ST4_IN_SEGMENTS_LO)
            `CSR_ST4_IN_SEGMENTS_LO:    data = in_segments_reg[31:0];
            `CSR_ST4_IN_SEGMENTS_HI:    data = in_segments_reg[63:32];
            `CSR_ST4_IN_RECEIVES_LO:    data = in_receives_reg[31:0];
            `CSR_ST4_IN_RECEIVES_HI:    data = in_receives_reg[63:32];
            `CSR_ST4_IN_OCTETS_LO:      data = in_octets_sum_reg[31:0];
            `CSR_ST4_IN_OCTETS_HI:      data = in_octets_sum_reg[63:32];
            `CSR_ST4_OUT_SEGMENTS_LO:   data = out_segments_reg[31:0];
            `CSR_ST4_OUT_SEGMENTS_HI:   data = out_segments_reg[63:32];
            `CSR_ST4_OUT_REQUESTS_LO:   data = out_requests_reg[31:0];
            `CSR_ST4_OUT_REQUESTS_HI:   data = out_requests_reg[63:32];
            `CSR_ST4_OUT_OCTETS_LO:     data = out_octets_sum_reg[31:0];
            `CSR_ST4_OUT_OCTETS_HI:     data = out_octets_sum_reg[63:32];
            `CSR_ST4_RETRANSMITTED:     data = retransmitted_reg;
            `CSR_ST4_OUT_RESETS:        data = out_resets_reg;
            `CSR_ST4_RESET_ESTABLISHED: data = reset_established_reg;
            `CSR_ST4_ESTABLISHED:       data = established_reg;
            `CSR_ST4_OUT_DISCARDS:      data = out_discards_reg;
            default: begin
                data  = 32'd0;
                known = 1'b0;
            end
        endcase
    end

endmodule

`default_nettype wire
