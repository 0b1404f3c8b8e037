// offload_stats: the statistics of the offloaded IPv4 connections, registers ST4_* (hostport, Statistics).
//
// Why a block: the counters are wide and fed from both ends of the device; csr only passes their reads on.
//
// in_*: pulse at the commit of a segment that came in; `in_packet`: with an IP packet of its own, of `in_octets` bytes
//   (a FORWARD comes without). opened / closed: pulses, a connection became ESTABLISHED or CLOSE_WAIT, or ceased to be
//   one; reset_one: with `closed`, by going to CLOSED.
// out_*: pulse when a segment has left, or `out_lost`: was discarded; IP total length `out_octets` in bytes.
// addr, data, known: combinational read; not known: no register of this block.
// A pulse is counted two cycles later. Free-running, modulo the width.
`default_nettype none
`include "chimney_layout.vh"

module offload_stats (
    input  wire        clk,
    input  wire        rst,

    input  wire        in_valid,
    input  wire        in_packet,
    input  wire [15:0] in_octets,
    input  wire        opened,
    input  wire        closed,
    input  wire        reset_one,

    input  wire        out_valid,
    input  wire        out_lost,
    input  wire [15:0] out_octets,
    input  wire        out_old,            // an octet that was sent before
    input  wire        out_new,            // one that was not, or none at all
    input  wire        out_rst,

    input  wire [15:0] addr,
    output reg  [31:0] data,
    output reg         known
);

    // one stage: the sources are far away
    reg        in_reg, packet_reg, opened_reg, closed_reg, reset_reg, out_reg, lost_reg, old_reg, new_reg, rst_reg;
    reg [15:0] in_octets_reg, out_octets_reg;

    always @(posedge clk) begin
        if (rst) begin
            {in_reg, packet_reg, opened_reg, closed_reg, reset_reg} <= 5'd0;
            {out_reg, lost_reg, old_reg, new_reg, rst_reg}          <= 5'd0;
        end else begin
            in_reg     <= in_valid;
            packet_reg <= in_valid && in_packet;
            opened_reg <= opened;
            closed_reg <= closed;
            reset_reg  <= reset_one;
            out_reg    <= out_valid;
            lost_reg   <= out_valid && out_lost;
            old_reg    <= out_valid && !out_lost && out_old;
            new_reg    <= out_valid && !out_lost && out_new;
            rst_reg    <= out_valid && !out_lost && out_rst;
        end
    end

    always @(posedge clk) begin
        in_octets_reg  <= in_octets;
        out_octets_reg <= out_octets;
    end

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
            if (in_reg)     in_segments_reg       <= in_segments_reg + 64'd1;
            if (packet_reg) in_receives_reg       <= in_receives_reg + 64'd1;
            if (packet_reg) in_octets_sum_reg     <= in_octets_sum_reg + {48'd0, in_octets_reg};
            if (new_reg)    out_segments_reg      <= out_segments_reg + 64'd1;
            if (out_reg)    out_requests_reg      <= out_requests_reg + 64'd1;
            if (out_reg && !lost_reg) out_octets_sum_reg <= out_octets_sum_reg + {48'd0, out_octets_reg};
            if (old_reg)    retransmitted_reg     <= retransmitted_reg + 32'd1;
            if (rst_reg)    out_resets_reg        <= out_resets_reg + 32'd1;
            if (reset_reg)  reset_established_reg <= reset_established_reg + 32'd1;
            if (lost_reg)   out_discards_reg      <= out_discards_reg + 32'd1;
            if (opened_reg != closed_reg)
                established_reg <= opened_reg ? established_reg + 32'd1 : established_reg - 32'd1;
        end
    end

    always @* begin
        known = 1'b1;
        case (addr)
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
