// header_tables: connection, path and neighbor fields of the headers of outgoing segments.
//
// Why a block: the tables are written and read at one point of the transmit queue, so a segment sees all
// earlier HDR_* items and no later one; nobody else needs to know how connection, path and neighbor chain.
//
// conn_we / path_we / nbr_we: store the HDR_* body `w_body` under index `w_index` (index out of range: cut).
// lookup: pulse, with `lookup_conn`. Three cycles later `ready` rises and the outputs hold the fields until
//   the next lookup. No write may come between a lookup and its `ready`.
// ipv6 is the path's family (the frame's), conn_ipv6 the connection's (the statistics').
// Tables need no clearing: a connection is used only after its HDR_CONN.
`default_nettype none
`include "chimney_layout.vh"

module header_tables #(
    parameter CONNS     = 16,                          // connections, a power of two, 4..1024
    parameter PATHS     = 8,                           // paths, a power of two >= 2
    parameter NEIGHBORS = 8,                           // neighbors, a power of two >= 2
    parameter CONN_W    = $clog2(CONNS),               // derived, do not override
    parameter PATH_W    = $clog2(PATHS),               // derived, do not override
    parameter NBR_W     = $clog2(NEIGHBORS)            // derived, do not override
) (
    input  wire                    clk,
    input  wire                    rst,

    input  wire                    conn_we,
    input  wire                    path_we,
    input  wire                    nbr_we,
    input  wire [15:0]             w_index,
    input  wire [`TXQ_BODY_W-1:0]  w_body,

    input  wire                    lookup,
    input  wire [CONN_W-1:0]       lookup_conn,
    output wire                    ready,
    output wire [15:0]             local_port,
    output wire [15:0]             remote_port,
    output wire                    conn_ipv6,
    output wire [19:0]             flow_label,
    output wire                    ipv6,
    output wire [127:0]            src_addr,           // IPv4 in bits 31:0, rest 0
    output wire [127:0]            dst_addr,
    output wire [47:0]             dl_src,
    output wire [47:0]             dl_dst,
    output wire [11:0]             vlan_id,
    output wire [PATH_W-1:0]       path_index,
    output wire [NBR_W-1:0]        nbr_index
);

    wire [`TX_HDR_CONN_W-1:0] conn_body = w_body[`TX_HDR_CONN_W-1:0];
    wire [`TX_HDR_PATH_W-1:0] path_body = w_body[`TX_HDR_PATH_W-1:0];
    wire [`TX_HDR_NBR_W-1:0]  nbr_body  = w_body[`TX_HDR_NBR_W-1:0];
    wire [15:0]               path_id   = conn_body[`TX_HDR_CONN_PATH_ID];
    wire [15:0]               nbr_id    = path_body[`TX_HDR_PATH_NEIGHBOR_ID];

    wire conn_family = conn_body[`TX_HDR_CONN_FAMILY] == `FAMILY_IPV6;
    wire path_family = path_body[`TX_HDR_PATH_FAMILY] == `FAMILY_IPV6;

    reg               s1_reg, s2_reg, ready_reg;       // connection, path, neighbor is at its RAM output

    assign ready = ready_reg;

    ram_sdp #(.WIDTH(53 + PATH_W), .DEPTH(CONNS)) conns (
        .clk(clk),
        .we(conn_we), .waddr(w_index[CONN_W-1:0]),
        .wdata({path_id[PATH_W-1:0], conn_family, conn_body[`TX_HDR_CONN_FLOW_LABEL],
                conn_body[`TX_HDR_CONN_LOCAL_PORT], conn_body[`TX_HDR_CONN_REMOTE_PORT]}),
        .re(lookup), .raddr(lookup_conn),
        .rdata({path_index, conn_ipv6, flow_label, local_port, remote_port})
    );

    ram_sdp #(.WIDTH(257 + NBR_W), .DEPTH(PATHS)) paths (
        .clk(clk),
        .we(path_we), .waddr(w_index[PATH_W-1:0]),
        .wdata({nbr_id[NBR_W-1:0], path_family, path_body[`TX_HDR_PATH_SRC_ADDR], path_body[`TX_HDR_PATH_DST_ADDR]}),
        .re(s1_reg), .raddr(path_index),
        .rdata({nbr_index, ipv6, src_addr, dst_addr})
    );

    ram_sdp #(.WIDTH(108), .DEPTH(NEIGHBORS)) nbrs (
        .clk(clk),
        .we(nbr_we), .waddr(w_index[NBR_W-1:0]),
        .wdata({nbr_body[`TX_HDR_NBR_DL_SRC], nbr_body[`TX_HDR_NBR_DL_DST], nbr_body[`TX_HDR_NBR_VLAN_ID]}),
        .re(s2_reg), .raddr(nbr_index),
        .rdata({dl_src, dl_dst, vlan_id})
    );

    always @(posedge clk) begin
        if (rst) begin
            s1_reg    <= 1'b0;
            s2_reg    <= 1'b0;
            ready_reg <= 1'b0;
        end else begin
            s1_reg    <= lookup;
            s2_reg    <= s1_reg;
            ready_reg <= !lookup && (ready_reg || s2_reg);
        end
    end

    wire unused = &{1'b0, w_body[`TXQ_BODY_W-1:`TX_HDR_PATH_W], w_index, path_id, nbr_id};

endmodule

`default_nettype wire
