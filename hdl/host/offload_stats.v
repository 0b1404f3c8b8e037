// offload_stats: the statistics of the offloaded connections, registers ST4_* and ST6_* (hostport, Statistics).
//
// Why a block: the counters are wide and fed from both ends of the device; csr only passes their reads on.
//
// in_*: pulse at the commit of a segment that came in; `in_packet`: with an IP packet of its own, of `in_octets` bytes
//   (a FORWARD comes without). opened / closed: pulses, a connection became ESTABLISHED or CLOSE_WAIT, or ceased to be
//   one; reset_one: with `closed`, by going to CLOSED. in_ipv6: family of the connection they are of.
// out_*: pulse when a segment has left, or `out_lost`: was discarded; IP total length `out_octets` in bytes;
//   out_ipv6: family of its connection.
// addr, data, known: combinational read; not known: no register of this block.
// A pulse is counted two cycles later. Free-running, modulo the width.
`default_nettype none
`include "chimney_layout.vh"

module offload_stats (
    input  wire        clk,
    input  wire        rst,

    input  wire        in_ipv6,
    input  wire        in_valid,
    input  wire        in_packet,
    input  wire [15:0] in_octets,
    input  wire        opened,
    input  wire        closed,
    input  wire        reset_one,

    input  wire        out_ipv6,
    input  wire        out_valid,
    input  wire        out_lost,
    input  wire [15:0] out_octets,
    input  wire        out_old,            // an octet that was sent before
    input  wire        out_new,            // one that was not, or none at all
    input  wire        out_rst,

    input  wire [15:0] addr,
    output wire [31:0] data,
    output wire        known
);

    // one stage: the sources are far away
    reg        in_reg, packet_reg, opened_reg, closed_reg, reset_reg, out_reg, lost_reg, old_reg, new_reg, rst_reg;
    reg [15:0] in_octets_reg, out_octets_reg;
    reg        in_ipv6_reg, out_ipv6_reg;

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
        in_ipv6_reg    <= in_ipv6;
        out_ipv6_reg   <= out_ipv6;
    end

    wire [31:0] data4, data6;
    wire        known4, known6;

    stat_counters #(.BASE(`CSR_ST4_IN_SEGMENTS_LO)) ipv4 (
        .clk(clk), .rst(rst),
        .in_segment(in_reg && !in_ipv6_reg), .in_packet(packet_reg && !in_ipv6_reg), .in_octets(in_octets_reg),
        .opened(opened_reg && !in_ipv6_reg), .closed(closed_reg && !in_ipv6_reg), .reset_one(reset_reg && !in_ipv6_reg),
        .out(out_reg && !out_ipv6_reg), .out_lost(lost_reg && !out_ipv6_reg), .out_octets(out_octets_reg),
        .out_old(old_reg && !out_ipv6_reg), .out_new(new_reg && !out_ipv6_reg), .out_rst(rst_reg && !out_ipv6_reg),
        .addr(addr), .data(data4), .known(known4)
    );

    stat_counters #(.BASE(`CSR_ST6_IN_SEGMENTS_LO)) ipv6 (
        .clk(clk), .rst(rst),
        .in_segment(in_reg && in_ipv6_reg), .in_packet(packet_reg && in_ipv6_reg), .in_octets(in_octets_reg),
        .opened(opened_reg && in_ipv6_reg), .closed(closed_reg && in_ipv6_reg), .reset_one(reset_reg && in_ipv6_reg),
        .out(out_reg && out_ipv6_reg), .out_lost(lost_reg && out_ipv6_reg), .out_octets(out_octets_reg),
        .out_old(old_reg && out_ipv6_reg), .out_new(new_reg && out_ipv6_reg), .out_rst(rst_reg && out_ipv6_reg),
        .addr(addr), .data(data6), .known(known6)
    );

    assign data  = data4 | data6;                          // 0 of the one that does not know the address
    assign known = known4 || known6;

endmodule

`default_nettype wire
