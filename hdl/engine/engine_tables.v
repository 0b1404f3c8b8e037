// engine_tables: global parameters, path table, neighbor table (rules B-1, B-2, B-11, B-12, E-9, E-10).
//
// Why a block: everything tcp_engine reads beside the TCB, so that one order of events holds for all of it.
//
// Read: `path_re` makes the path_* outputs show entry `path_id` one cycle later. The nbr_* outputs show the neighbor
// of that path (only with path_valid), or with `by_id` neighbor `id`; all outputs but nbr_id mean nothing without
// the valid bit.
// Write: `image` is the image of the command; param_we / path_we / nbr_we store it (path, neighbor under `id`;
// `update`: what belongs to the device stays). path_kill, nbr_kill: INVALIDATE. nbr_asked: a query was raised;
// nbr_answered: `answer` is the age of the host's confirmation; nbr_alive: the peer confirmed. These act on what the
// outputs show. m_path / m_nbr show the image as a table entry at any time (for the HDR_* items).
// Flags and parameters are flip-flops with reset; path entries are RAM, confirmation ticks are distributed RAM.
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
    input  wire                    update,
    input  wire                    path_kill,
    input  wire                    nbr_kill,
    input  wire                    nbr_asked,
    input  wire                    nbr_answered,
    input  wire [31:0]             answer,         // ticks
    input  wire                    nbr_alive,
    output reg  [`PATH_REC_W-1:0]  m_path,
    output reg  [`NBR_REC_W-1:0]   m_nbr,

    output wire [`PARAMS_W-1:0]    params,
    input  wire                    path_re,
    input  wire [15:0]             path_id,
    output wire [31:0]             path_mtu,       // bytes
    output wire                    path_ipv6,
    output wire                    path_valid,
    output wire                    path_invalid,
    input  wire                    by_id,
    output wire [15:0]             nbr_id,
    output wire                    nbr_valid,
    output wire                    nbr_invalid,
    output wire                    nbr_query,
    output wire [11:0]             nbr_vlan,
    output wire [31:0]             nbr_nic_tick,   // the device's last confirmation
    output wire [31:0]             nbr_host_age,   // ticks since the host's last confirmation
    output wire [31:0]             nbr_nic_age     // ticks since the device's last confirmation
);

    localparam PATH_W = $clog2(PATHS);
    localparam NBR_W  = $clog2(NEIGHBORS);

    // an address as a number: IPv4 lies in the first four bytes of the field, in network byte order
    function [127:0] address;
        input [7:0]   family;
        input [127:0] field;
        integer i;
        begin
            for (i = 0; i < 16; i = i + 1) address[8*i +: 8] = field[8*(15-i) +: 8];
            if (family == `FAMILY_IPV4) address = address >> 96;
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
        params_reset[`PARAMS_TICKS_PER_SECOND]    = 32'd1000;

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
        params_image[`PARAMS_TICKS_PER_SECOND]    = image[`PARAM_IMAGE_TICKS_PER_SECOND];
    end

    always @(posedge clk) begin
        if (rst)           params_reg <= params_reset;
        else if (param_we) params_reg <= params_image;
    end

    // ---- paths -----------------------------------------------------------------------------------------------
    reg  [PATHS-1:0]       path_set_reg;
    reg  [PATHS-1:0]       path_dead_reg;
    reg                    path_valid_reg;
    reg  [PATH_W-1:0]      path_index_reg;
    wire [`PATH_REC_W-1:0] path_rec;

    always @(posedge clk) begin
        if (path_re) begin
            path_valid_reg <= path_set_reg[path_id[PATH_W-1:0]];
            path_index_reg <= path_id[PATH_W-1:0];
        end
    end

    always @(posedge clk) begin
        if (rst) begin
            path_set_reg  <= {PATHS{1'b0}};
            path_dead_reg <= {PATHS{1'b0}};
        end else begin
            if (path_we)            path_set_reg[id[PATH_W-1:0]]  <= 1'b1;
            if (path_we && !update) path_dead_reg[id[PATH_W-1:0]] <= 1'b0;
            if (path_kill)          path_dead_reg[path_index_reg] <= 1'b1;
        end
    end

    assign path_valid   = path_valid_reg;
    assign path_invalid = path_dead_reg[path_index_reg];
    assign path_mtu     = path_rec[`PATH_REC_PATH_MTU];
    assign path_ipv6    = path_rec[`PATH_REC_FAMILY] == `FAMILY_IPV6;

    ram_sdp #(.WIDTH(`PATH_REC_W), .DEPTH(PATHS)) path_ram (
        .clk(clk),
        .we(path_we), .waddr(id[PATH_W-1:0]), .wdata(m_path),
        .re(path_re), .raddr(path_id[PATH_W-1:0]), .rdata(path_rec)
    );

    // ---- neighbors -------------------------------------------------------------------------------------------
    reg [NEIGHBORS-1:0] nbr_set_reg;
    reg [NEIGHBORS-1:0] nbr_dead_reg;
    reg [NEIGHBORS-1:0] nbr_query_reg;
    reg [11:0]          vlan      [0:NEIGHBORS-1];
    reg [31:0]          host_tick [0:NEIGHBORS-1];
    reg [31:0]          nic_tick  [0:NEIGHBORS-1];

    assign nbr_id = by_id ? id : path_rec[`PATH_REC_NEIGHBOR_ID];

    wire [NBR_W-1:0] nbr = nbr_id[NBR_W-1:0];

    assign nbr_valid    = nbr_set_reg[nbr];
    assign nbr_invalid  = nbr_dead_reg[nbr];
    assign nbr_query    = nbr_query_reg[nbr];
    assign nbr_vlan     = vlan[nbr];
    assign nbr_host_age = now - host_tick[nbr];
    assign nbr_nic_tick = nic_tick[nbr];
    assign nbr_nic_age  = now - nbr_nic_tick;

    always @(posedge clk) begin
        if (rst) begin
            nbr_set_reg   <= {NEIGHBORS{1'b0}};
            nbr_dead_reg  <= {NEIGHBORS{1'b0}};
            nbr_query_reg <= {NEIGHBORS{1'b0}};
        end else begin
            if (nbr_we) nbr_set_reg[nbr] <= 1'b1;
            if (nbr_we && !update) begin
                nbr_dead_reg[nbr]  <= 1'b0;
                nbr_query_reg[nbr] <= 1'b0;
            end
            if (nbr_kill)     nbr_dead_reg[nbr]  <= 1'b1;
            if (nbr_asked)    nbr_query_reg[nbr] <= 1'b1;
            if (nbr_answered) nbr_query_reg[nbr] <= 1'b0;
        end
    end

    always @(posedge clk) begin
        if (nbr_we)            vlan[nbr] <= m_nbr[`NBR_REC_VLAN_ID];
        if (nbr_we)            host_tick[nbr] <= m_nbr[`NBR_REC_HRT];
        else if (nbr_answered) host_tick[nbr] <= now - answer;
        if (nbr_we && !update) nic_tick[nbr] <= m_nbr[`NBR_REC_NRT];
        else if (nbr_alive)    nic_tick[nbr] <= now;
    end

    wire unused = &{1'b0, image, threshold, vlan_id, id, path_id, path_rec, nbr_id};

endmodule

`default_nettype wire
