// dma_write: the write half of the DMA engine.
//
// Why a block: reads and writes share nothing but the AXI port group; each half stands and is tested alone.
//
// s_wr_req_*: requests of the clients, flattened (client i at [i*W +: W]); byte address, length 1..65535.
// s_wr_*: packed data beats of each client, for its requests in order; `s_wr_last` marks the last beat of a
//   request and must agree with the length. Data may come any time after, with or before its request.
// m_wr_done_valid: one pulse a request, in request order, when the B responses of all its bursts are in,
//   so the bytes are visible; `m_wr_done_error`, valid with it: some response was bad. Cannot be refused.
// m_axi_aw / m_axi_w / m_axi_b: AXI4 write channels, one ID, so in order; bursts at the full bus width. The
//   first W beat of a burst never comes before its AWVALID, and does not wait for AWREADY.
// Up to OUTSTANDING bursts wait for B. The data path belongs to one request at a time, in acceptance order:
//   a client that stalls its data stalls the writes behind it. One bus beat a cycle.
`default_nettype none

module dma_write #(
    parameter DATA_W          = 64,                            // bits: 64, 128, 256, 512
    parameter CLIENTS         = 4,                             // 1..256
    parameter OUTSTANDING     = 32,                            // bursts in flight, a power of two >= 2
    parameter MAX_BURST_BEATS = 32                             // beats, a power of two, 2..256
) (
    input  wire                      clk,
    input  wire                      rst,

    input  wire [CLIENTS-1:0]        s_wr_req_valid,
    output wire [CLIENTS-1:0]        s_wr_req_ready,
    input  wire [CLIENTS*64-1:0]     s_wr_req_addr,
    input  wire [CLIENTS*16-1:0]     s_wr_req_len,

    input  wire [CLIENTS-1:0]        s_wr_valid,
    output wire [CLIENTS-1:0]        s_wr_ready,
    input  wire [CLIENTS*DATA_W-1:0] s_wr_data,
    input  wire [CLIENTS-1:0]        s_wr_last,

    output wire [CLIENTS-1:0]        m_wr_done_valid,
    output wire                      m_wr_done_error,

    output wire [63:0]               m_axi_awaddr,
    output wire [7:0]                m_axi_awlen,
    output wire [7:0]                m_axi_awuser,
    output wire                      m_axi_awvalid,
    input  wire                      m_axi_awready,
    output wire [DATA_W-1:0]         m_axi_wdata,
    output wire [DATA_W/8-1:0]       m_axi_wstrb,
    output wire                      m_axi_wlast,
    output wire                      m_axi_wvalid,
    input  wire                      m_axi_wready,
    input  wire [1:0]                m_axi_bresp,
    input  wire                      m_axi_bvalid,
    output wire                      m_axi_bready,

    output wire                      busy
);

    localparam CLIENT_W = (CLIENTS > 1) ? $clog2(CLIENTS) : 1;
    localparam LANES    = DATA_W / 8;
    localparam LANE_W   = $clog2(LANES);
    localparam BEATS_W  = 17 - LANE_W;
    localparam BOUND    = (MAX_BURST_BEATS * LANES > 4096) ? 4096 : MAX_BURST_BEATS * LANES;
    localparam POS_W    = $clog2(BOUND) - LANE_W;
    localparam DESC_W   = CLIENT_W + 2 * LANE_W + BEATS_W + 1 + POS_W;
    localparam AHEAD_W  = $clog2(OUTSTANDING) + 1;
    localparam [AHEAD_W-1:0] ONE      = 1;
    localparam [CLIENTS-1:0] CLIENT_0 = 1;

    // one stream of requests
    wire                req_valid, req_ready;
    wire [CLIENT_W-1:0] req_client;
    wire [63:0]         req_addr;
    wire [15:0]         req_len;

    dma_request #(.CLIENTS(CLIENTS)) request (
        .clk(clk), .rst(rst),
        .s_req_valid(s_wr_req_valid), .s_req_ready(s_wr_req_ready),
        .s_req_addr(s_wr_req_addr), .s_req_len(s_wr_req_len),
        .m_req_valid(req_valid), .m_req_ready(req_ready),
        .m_req_client(req_client), .m_req_addr(req_addr), .m_req_len(req_len)
    );

    // a request goes to the splitter and, as a descriptor, to the aligner: both or none
    wire split_ready, queue_ready;
    assign req_ready = split_ready && queue_ready;

    wire                issue, issue_last;
    wire [CLIENT_W-1:0] issue_client, burst_client;
    wire                flight_room, split_busy;

    dma_split #(.DATA_W(DATA_W), .MAX_BURST_BEATS(MAX_BURST_BEATS), .CLIENT_W(CLIENT_W)) split (
        .clk(clk), .rst(rst),
        .s_req_valid(req_valid && queue_ready), .s_req_ready(split_ready),
        .s_req_client(req_client), .s_req_addr(req_addr), .s_req_len(req_len),
        .go(flight_room),
        .issue(issue), .issue_last(issue_last), .issue_client(issue_client),
        .m_burst_valid(m_axi_awvalid), .m_burst_ready(m_axi_awready),
        .m_burst_client(burst_client), .m_burst_addr(m_axi_awaddr), .m_burst_len(m_axi_awlen),
        .busy(split_busy)
    );

    assign m_axi_awuser = {{(8-CLIENT_W){1'b0}}, burst_client};

    // the shape of the request for the aligner
    wire [LANE_W-1:0]  off       = req_addr[LANE_W-1:0];
    wire [16:0]        len_m1    = {1'b0, req_len} - 17'd1;
    wire [16:0]        end_m1    = len_m1 + {{(17-LANE_W){1'b0}}, off};
    wire [BEATS_W-1:0] packed_m1 = len_m1[16:LANE_W];          // client beats, minus 1
    wire               flush     = end_m1[16:LANE_W] != packed_m1;

    wire                desc_valid, desc_ready;
    wire [DESC_W-1:0]   desc;
    wire [CLIENT_W-1:0] desc_client;
    wire [LANE_W-1:0]   desc_off, desc_end;
    wire [BEATS_W-1:0]  desc_beats_m1;
    wire                desc_flush;
    wire [POS_W-1:0]    desc_pos;
    wire [AHEAD_W-1:0]  desc_count;

    assign {desc_client, desc_off, desc_end, desc_beats_m1, desc_flush, desc_pos} = desc;

    fifo #(.WIDTH(DESC_W), .DEPTH(OUTSTANDING)) descriptors (
        .clk(clk), .rst(rst),
        .s_data({req_client, off, end_m1[LANE_W-1:0], packed_m1, flush, req_addr[LANE_W +: POS_W]}),
        .s_valid(req_valid && split_ready), .s_ready(queue_ready),
        .m_data(desc), .m_valid(desc_valid), .m_ready(desc_ready),
        .count(desc_count)
    );

    // the data path, held by the client of the oldest descriptor
    wire              beat_ready;
    wire              w_valid, w_ready, w_last, align_busy;
    wire [DATA_W-1:0] w_data;
    wire [LANES-1:0]  w_strb;

    assign s_wr_ready = beat_ready ? CLIENT_0 << desc_client : {CLIENTS{1'b0}};

    dma_write_align #(.DATA_W(DATA_W), .BEATS_W(BEATS_W), .POS_W(POS_W)) align (
        .clk(clk), .rst(rst),
        .s_desc_valid(desc_valid), .s_desc_ready(desc_ready),
        .s_desc_off(desc_off), .s_desc_end(desc_end), .s_desc_beats_m1(desc_beats_m1),
        .s_desc_flush(desc_flush), .s_desc_pos(desc_pos),
        .s_beat_valid(s_wr_valid[desc_client]), .s_beat_ready(beat_ready),
        .s_beat_data(s_wr_data[desc_client*DATA_W +: DATA_W]),
        .m_w_valid(w_valid), .m_w_ready(w_ready),
        .m_w_data(w_data), .m_w_strb(w_strb), .m_w_last(w_last),
        .busy(align_busy)
    );

    // W stays behind AW: bursts whose AWVALID was raised and whose last W beat has not passed
    reg  [AHEAD_W-1:0] ahead_reg;
    wire               aw_raised = ahead_reg != 0;
    wire               slice_ready;
    wire               burst_sent = w_valid && w_ready && w_last;

    assign w_ready = slice_ready && aw_raised;

    always @(posedge clk) begin
        if (rst)                       ahead_reg <= 0;
        else if (issue && !burst_sent) ahead_reg <= ahead_reg + ONE;
        else if (burst_sent && !issue) ahead_reg <= ahead_reg - ONE;
    end

    skid #(.WIDTH(DATA_W + LANES + 1)) beats (
        .clk(clk), .rst(rst),
        .s_data({w_last, w_strb, w_data}), .s_valid(w_valid && aw_raised), .s_ready(slice_ready),
        .m_data({m_axi_wlast, m_axi_wstrb, m_axi_wdata}), .m_valid(m_axi_wvalid), .m_ready(m_axi_wready)
    );

    // responses: the bursts in flight in order, each with its client and whether its request ends with it
    wire                flight_valid, flight_last;
    wire [CLIENT_W-1:0] flight_client;
    wire [AHEAD_W-1:0]  flight_count;

    fifo #(.WIDTH(CLIENT_W + 1), .DEPTH(OUTSTANDING)) flight (
        .clk(clk), .rst(rst),
        .s_data({issue_client, issue_last}), .s_valid(issue), .s_ready(flight_room),
        .m_data({flight_client, flight_last}), .m_valid(flight_valid), .m_ready(m_axi_bvalid),
        .count(flight_count)
    );

    reg               error_reg;           // an earlier burst of this request was bad
    reg [CLIENTS-1:0] done_reg;
    reg               done_error_reg;

    wire response = m_axi_bvalid && m_axi_bready;
    wire error    = error_reg || m_axi_bresp[1];

    assign m_axi_bready    = flight_valid;
    assign m_wr_done_valid = done_reg;
    assign m_wr_done_error = done_error_reg;

    always @(posedge clk) begin
        if (response) done_error_reg <= error;
    end

    always @(posedge clk) begin
        if (rst) begin
            error_reg <= 1'b0;
            done_reg  <= 0;
        end else begin
            if (response) error_reg <= error && !flight_last;
            done_reg <= (response && flight_last) ? CLIENT_0 << flight_client : {CLIENTS{1'b0}};
        end
    end

    assign busy = (s_wr_req_valid != 0) || req_valid || split_busy || desc_valid || align_busy
               || flight_valid || (done_reg != 0);

`ifdef CHIMNEY_ASSERT
    reg [BEATS_W-1:0] seen_reg;            // client beats of this request taken
    wire take = beat_ready && s_wr_valid[desc_client];

    always @(posedge clk) begin
        if (rst) seen_reg <= 0;
        else if (take) begin
            seen_reg <= (seen_reg == desc_beats_m1) ? 0 : seen_reg + 1;
            if (s_wr_last[desc_client] != (seen_reg == desc_beats_m1)) begin
                $display("ASSERT %m: s_wr_last of client %0d disagrees with the length", desc_client);
                $finish;
            end
        end
        if (!rst && m_axi_bvalid && !flight_valid) begin
            $display("ASSERT %m: response without a burst");
            $finish;
        end
    end
`endif

    wire unused = &{1'b0, s_wr_last, desc_count, flight_count, m_axi_bresp[0]};

endmodule

`default_nettype wire
