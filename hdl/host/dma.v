// dma: AXI4 master shared by all blocks that reach host memory.
//
// Why a block: one place owns the bus, its burst rules, fairness between clients and what "visible" means.
//
// s_rd_req_*, m_rd_*: read clients, see dma_read. s_wr_req_*, s_wr_*, m_wr_done_*: write clients, see dma_write.
//   Vectors are flattened, client i at [i*W +: W]; any byte address, length 1..65535 bytes.
// m_axi_*: AXI4, all IDs 0, INCR bursts at the full bus width, none crosses 4 KiB or a boundary of
//   MAX_BURST_BEATS beats; `awuser` / `aruser` carry the client number for monitors.
// busy: a request, a transfer or a response is pending. Reset only while not busy, or reset the slave too:
//   AXI has no way to call off a burst.
`default_nettype none

module dma #(
    parameter DATA_W          = 64,                            // bits: 64, 128, 256, 512
    parameter RD_CLIENTS      = 4,                             // 1..256
    parameter WR_CLIENTS      = 4,                             // 1..256
    parameter RD_OUTSTANDING  = 16,                            // bursts in flight, a power of two >= 2
    parameter WR_OUTSTANDING  = 32,                            // bursts in flight, a power of two >= 2
    parameter MAX_BURST_BEATS = 32,                            // beats, a power of two, 2..256
    parameter RD_URGENT       = 0,                             // 1: read client 0 overtakes, see dma_read
    parameter FLIGHT_BEATS    = 128,                           // beats of reads in flight, see dma_read
    parameter LANE_W          = $clog2(DATA_W / 8)             // derived, do not override
) (
    input  wire                         clk,
    input  wire                         rst,

    input  wire [RD_CLIENTS-1:0]        s_rd_req_valid,
    output wire [RD_CLIENTS-1:0]        s_rd_req_ready,
    input  wire [RD_CLIENTS*64-1:0]     s_rd_req_addr,
    input  wire [RD_CLIENTS*16-1:0]     s_rd_req_len,

    output wire [RD_CLIENTS-1:0]        m_rd_valid,
    input  wire [RD_CLIENTS-1:0]        m_rd_ready,
    output wire [DATA_W-1:0]            m_rd_data,
    output wire                         m_rd_last,
    output wire [LANE_W:0]              m_rd_bytes,
    output wire                         m_rd_error,

    input  wire [WR_CLIENTS-1:0]        s_wr_req_valid,
    output wire [WR_CLIENTS-1:0]        s_wr_req_ready,
    input  wire [WR_CLIENTS*64-1:0]     s_wr_req_addr,
    input  wire [WR_CLIENTS*16-1:0]     s_wr_req_len,

    input  wire [WR_CLIENTS-1:0]        s_wr_valid,
    output wire [WR_CLIENTS-1:0]        s_wr_ready,
    input  wire [WR_CLIENTS*DATA_W-1:0] s_wr_data,
    input  wire [WR_CLIENTS-1:0]        s_wr_last,

    output wire [WR_CLIENTS-1:0]        m_wr_done_valid,
    output wire                         m_wr_done_error,

    output wire [3:0]                   m_axi_awid,
    output wire [63:0]                  m_axi_awaddr,
    output wire [7:0]                   m_axi_awlen,
    output wire [2:0]                   m_axi_awsize,
    output wire [1:0]                   m_axi_awburst,
    output wire [7:0]                   m_axi_awuser,
    output wire                         m_axi_awvalid,
    input  wire                         m_axi_awready,
    output wire [DATA_W-1:0]            m_axi_wdata,
    output wire [DATA_W/8-1:0]          m_axi_wstrb,
    output wire                         m_axi_wlast,
    output wire                         m_axi_wvalid,
    input  wire                         m_axi_wready,
    input  wire [3:0]                   m_axi_bid,
    input  wire [1:0]                   m_axi_bresp,
    input  wire                         m_axi_bvalid,
    output wire                         m_axi_bready,
    output wire [3:0]                   m_axi_arid,
    output wire [63:0]                  m_axi_araddr,
    output wire [7:0]                   m_axi_arlen,
    output wire [2:0]                   m_axi_arsize,
    output wire [1:0]                   m_axi_arburst,
    output wire [7:0]                   m_axi_aruser,
    output wire                         m_axi_arvalid,
    input  wire                         m_axi_arready,
    input  wire [3:0]                   m_axi_rid,
    input  wire [DATA_W-1:0]            m_axi_rdata,
    input  wire [1:0]                   m_axi_rresp,
    input  wire                         m_axi_rlast,
    input  wire                         m_axi_rvalid,
    output wire                         m_axi_rready,

    output wire                         busy
);

    generate
        if (DATA_W != 64 && DATA_W != 128 && DATA_W != 256 && DATA_W != 512) begin : g_illegal_width
            dma_DATA_W_must_be_64_128_256_or_512 illegal();
        end
        if (MAX_BURST_BEATS < 2 || MAX_BURST_BEATS > 256
            || (MAX_BURST_BEATS & (MAX_BURST_BEATS - 1)) != 0) begin : g_illegal_burst
            dma_MAX_BURST_BEATS_must_be_a_power_of_two_2_to_256 illegal();
        end
    endgenerate

    localparam [1:0]  INCR        = 2'b01;
    localparam [31:0] LANE_BITS   = LANE_W;
    localparam [2:0]  FULL_WIDTH  = LANE_BITS[2:0];

    wire rd_busy, wr_busy;

    assign m_axi_awid    = 4'd0;
    assign m_axi_awsize  = FULL_WIDTH;
    assign m_axi_awburst = INCR;
    assign m_axi_arid    = 4'd0;
    assign m_axi_arsize  = FULL_WIDTH;
    assign m_axi_arburst = INCR;
    assign busy          = rd_busy || wr_busy;

    dma_read #(
        .DATA_W(DATA_W), .CLIENTS(RD_CLIENTS), .OUTSTANDING(RD_OUTSTANDING),
        .MAX_BURST_BEATS(MAX_BURST_BEATS), .URGENT(RD_URGENT), .FLIGHT_BEATS(FLIGHT_BEATS)
    ) read (
        .clk(clk), .rst(rst),
        .s_rd_req_valid(s_rd_req_valid), .s_rd_req_ready(s_rd_req_ready),
        .s_rd_req_addr(s_rd_req_addr), .s_rd_req_len(s_rd_req_len),
        .m_rd_valid(m_rd_valid), .m_rd_ready(m_rd_ready), .m_rd_data(m_rd_data),
        .m_rd_last(m_rd_last), .m_rd_bytes(m_rd_bytes), .m_rd_error(m_rd_error),
        .m_axi_araddr(m_axi_araddr), .m_axi_arlen(m_axi_arlen), .m_axi_aruser(m_axi_aruser),
        .m_axi_arvalid(m_axi_arvalid), .m_axi_arready(m_axi_arready),
        .m_axi_rdata(m_axi_rdata), .m_axi_rresp(m_axi_rresp), .m_axi_rlast(m_axi_rlast),
        .m_axi_rvalid(m_axi_rvalid), .m_axi_rready(m_axi_rready),
        .busy(rd_busy)
    );

    dma_write #(
        .DATA_W(DATA_W), .CLIENTS(WR_CLIENTS), .OUTSTANDING(WR_OUTSTANDING),
        .MAX_BURST_BEATS(MAX_BURST_BEATS)
    ) write (
        .clk(clk), .rst(rst),
        .s_wr_req_valid(s_wr_req_valid), .s_wr_req_ready(s_wr_req_ready),
        .s_wr_req_addr(s_wr_req_addr), .s_wr_req_len(s_wr_req_len),
        .s_wr_valid(s_wr_valid), .s_wr_ready(s_wr_ready), .s_wr_data(s_wr_data), .s_wr_last(s_wr_last),
        .m_wr_done_valid(m_wr_done_valid), .m_wr_done_error(m_wr_done_error),
        .m_axi_awaddr(m_axi_awaddr), .m_axi_awlen(m_axi_awlen), .m_axi_awuser(m_axi_awuser),
        .m_axi_awvalid(m_axi_awvalid), .m_axi_awready(m_axi_awready),
        .m_axi_wdata(m_axi_wdata), .m_axi_wstrb(m_axi_wstrb), .m_axi_wlast(m_axi_wlast),
        .m_axi_wvalid(m_axi_wvalid), .m_axi_wready(m_axi_wready),
        .m_axi_bresp(m_axi_bresp), .m_axi_bvalid(m_axi_bvalid), .m_axi_bready(m_axi_bready),
        .busy(wr_busy)
    );

    wire unused = &{1'b0, m_axi_bid, m_axi_rid};

endmodule

`default_nettype wire
