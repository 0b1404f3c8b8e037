// engine_tables: global parameters, path table, neighbor table; written by COMMAND events only (rules B-1, B-2).
//
// Why a block: everything tcp_engine reads beside the TCB, so that one order of events holds for all of it.
//
// Write: `image` is the image of the command; param_we / path_we / nbr_we store it (path, neighbor under `id`).
// m_path / m_nbr show the image as a table entry at any time (for the HDR_* items).
// Read: `path_re` makes path_mtu, path_valid and nbr_valid (of the path's neighbor, only with path_valid) show entry
// `path_id` one cycle later. Valid bits and parameters are flip-flops with reset; entries are RAM. Of the neighbors
// only the valid bits are read; their entries are kept for the reachability rules.
`default_nettype none
`include "chimney_layout.vh"

module engine_tables #(
    parameter PATHS     = 8,                       // entries, power of two, 2..65536
    parameter NEIGHBORS = 8                        // entries, power of two, 2..65536
) (
    input  wire                    clk,
    input  wire                    rst,
    input  wire [31:0]             now,

    input  wire [`TCP_IMAGE_W-1:0] image,
    input  wire [15:0]             id,
    input  wire                    param_we,
    input  wire                    path_we,
    input  wire                    nbr_we,
    output reg  [`PATH_REC_W-1:0]  m_path,
    output reg  [`NBR_REC_W-1:0]   m_nbr,

    output wire [`PARAMS_W-1:0]    params,
    input  wire                    path_re,
    input  wire [15:0]             path_id,
    output wire [31:0]             path_mtu,       // bytes
    output wire                    path_valid,
    output wire                    nbr_valid
);

    localparam PATH_W = $clog2(PATHS);
    localparam NBR_W  = $clog2(NEIGHBORS);

    localparam [7:0] FAMILY_IPV4 = 8'd4;

    // an address as a number: IPv4 lies in the first four bytes of the field, in network byte order
    function [127:0] address;
        input [7:0]   family;
        input [127:0] field;
        integer i;
        begin
            for (i = 0; i < 16; i = i + 1) address[8*i +: 8] = field[8*(15-i) +: 8];
            if (family == FAMILY_IPV4) address = address >> 96;
        end
    endfunction

    wire [15:0] vlan_id = image[`NEIGHBOR_IMAGE_VLAN_ID];

    always @* begin
        m_path = {`PATH_REC_W{1'b0}};
        m_path[`PATH_REC_VALID]       = 1'b1;
        m_path[`PATH_REC_FAMILY]      = image[`PATH_IMAGE_FAMILY];
        m_path[`PATH_REC_NEIGHBOR_ID] = image[`PATH_IMAGE_NEIGHBOR_ID];
        m_path[`PATH_REC_PATH_MTU]    = image[`PATH_IMAGE_PATH_MTU];
        m_path[`PATH_REC_SRC_ADDR]    = address(image[`PATH_IMAGE_FAMILY], image[`PATH_IMAGE_SRC_ADDR]);
        m_path[`PATH_REC_DST_ADDR]    = address(image[`PATH_IMAGE_FAMILY], image[`PATH_IMAGE_DST_ADDR]);

        m_nbr = {`NBR_REC_W{1'b0}};
        m_nbr[`NBR_REC_VALID]   = 1'b1;
        m_nbr[`NBR_REC_DL_SRC]  = image[`NEIGHBOR_IMAGE_DL_SRC];
        m_nbr[`NBR_REC_DL_DST]  = image[`NEIGHBOR_IMAGE_DL_DST];
        m_nbr[`NBR_REC_VLAN_ID] = vlan_id[`NBR_REC_VLAN_ID_W-1:0];
        m_nbr[`NBR_REC_HRT]     = now - image[`NEIGHBOR_IMAGE_HOST_REACHABILITY_DELTA];
        m_nbr[`NBR_REC_NRT]     = now - image[`NEIGHBOR_IMAGE_NIC_REACHABILITY_DELTA];
    end

    // ---- parameters ------------------------------------------------------------------------------------------
    reg [`PARAMS_W-1:0] params_reg;
    reg [`PARAMS_W-1:0] params_reset;
    reg [`PARAMS_W-1:0] params_image;
    assign params = params_reg;

    wire [31:0] threshold = image[`PARAM_IMAGE_DUP_ACK_THRESHOLD];

    always @* begin
        params_reset = {`PARAMS_W{1'b0}};
        params_reset[`PARAMS_ACK_FREQUENCY]       = 8'd2;
        params_reset[`PARAMS_DELAYED_ACK_TICKS]   = 8'd100;
        params_reset[`PARAMS_MAX_RETRANSMISSIONS] = 8'd5;
        params_reset[`PARAMS_DUP_ACK_THRESHOLD]   = 8'd3;
        params_reset[`PARAMS_PUSH_TICKS]          = 32'd500;
        params_reset[`PARAMS_RTO_MIN]             = 32'd300;
        params_reset[`PARAMS_RTO_MAX]             = 32'd60000;
        params_reset[`PARAMS_RTO_INITIAL]         = 32'd1000;
        params_reset[`PARAMS_NCE_STALE_TICKS]     = 32'd30000;

        params_image = {`PARAMS_W{1'b0}};
        params_image[`PARAMS_ACK_FREQUENCY]       = image[`PARAM_IMAGE_ACK_FREQUENCY];
        params_image[`PARAMS_DELAYED_ACK_TICKS]   = image[`PARAM_IMAGE_DELAYED_ACK_TICKS];
        params_image[`PARAMS_MAX_RETRANSMISSIONS] = image[`PARAM_IMAGE_MAX_RETRANSMISSIONS];
        params_image[`PARAMS_DUP_ACK_THRESHOLD]   = threshold[`PARAMS_DUP_ACK_THRESHOLD_W-1:0];
        params_image[`PARAMS_PUSH_TICKS]          = image[`PARAM_IMAGE_PUSH_TICKS];
        params_image[`PARAMS_RTO_MIN]             = image[`PARAM_IMAGE_RTO_MIN];
        params_image[`PARAMS_RTO_MAX]             = image[`PARAM_IMAGE_RTO_MAX];
        params_image[`PARAMS_RTO_INITIAL]         = image[`PARAM_IMAGE_RTO_INITIAL];
        params_image[`PARAMS_NCE_STALE_TICKS]     = image[`PARAM_IMAGE_NCE_STALE_TICKS];
    end

    always @(posedge clk) begin
        if (rst)           params_reg <= params_reset;
        else if (param_we) params_reg <= params_image;
    end

    // ---- paths and neighbors ---------------------------------------------------------------------------------
    reg  [PATHS-1:0]       path_set_reg;
    reg  [NEIGHBORS-1:0]   nbr_set_reg;
    reg                    path_valid_reg;
    wire [`PATH_REC_W-1:0] path_rec;
    wire [`NBR_REC_W-1:0]  nbr_unused;

    always @(posedge clk) begin
        if (rst)          path_set_reg <= {PATHS{1'b0}};
        else if (path_we) path_set_reg[id[PATH_W-1:0]] <= 1'b1;
    end

    always @(posedge clk) begin
        if (rst)         nbr_set_reg <= {NEIGHBORS{1'b0}};
        else if (nbr_we) nbr_set_reg[id[NBR_W-1:0]] <= 1'b1;
    end

    always @(posedge clk) begin
        if (path_re) path_valid_reg <= path_set_reg[path_id[PATH_W-1:0]];
    end

    assign path_valid = path_valid_reg;
    assign path_mtu   = path_rec[`PATH_REC_PATH_MTU];
    assign nbr_valid  = nbr_set_reg[path_rec[`PATH_REC_NEIGHBOR_ID_LSB +: NBR_W]];

    ram_sdp #(.WIDTH(`PATH_REC_W), .DEPTH(PATHS)) path_ram (
        .clk(clk),
        .we(path_we), .waddr(id[PATH_W-1:0]), .wdata(m_path),
        .re(path_re), .raddr(path_id[PATH_W-1:0]), .rdata(path_rec)
    );

    ram_sdp #(.WIDTH(`NBR_REC_W), .DEPTH(NEIGHBORS)) nbr_ram (
        .clk(clk),
        .we(nbr_we), .waddr(id[NBR_W-1:0]), .wdata(m_nbr),
        .re(1'b0), .raddr({NBR_W{1'b0}}), .rdata(nbr_unused)
    );

    wire unused = &{1'b0, image, threshold, vlan_id, id, path_id, path_rec};

endmodule

`default_nettype wire
