// dma_read: the read half of the DMA engine.
//
// Why a block: reads and writes share nothing but the AXI port group; each half stands and is tested alone.
//
// s_rd_req_*: requests of the clients, flattened (client i at [i*W +: W]); byte address, length 1..65535.
// m_rd_*: packed response beats on one shared bus, valid and ready one bit a client, in the order in which
//   the requests were accepted; client 0 with URGENT goes ahead. `m_rd_error` with `m_rd_last`: some beat of the request had a bad RRESP.
// m_axi_ar / m_axi_r: AXI4 read channels, one ID, so in order; bursts always at the full bus width.
// Up to RD_OUTSTANDING bursts and as many requests are in flight. A request is accepted every cycle, a beat
//   returned every cycle; an unaligned request costs at most one more cycle. A client that does not take
//   its beats holds up the others: clients ask only for what they have room to sink.
// Of what is in flight at most FLIGHT_BEATS + MAX_BURST_BEATS beats stand before a new burst: what it waits for beyond
//   the memory's latency. FLIGHT_BEATS must cover that latency, or the bus idles.
`default_nettype none

module dma_read #(
    parameter DATA_W          = 64,                            // bits: 64, 128, 256, 512
    parameter CLIENTS         = 4,                             // 1..256
    parameter OUTSTANDING     = 16,                            // bursts in flight, a power of two >= 2
    parameter MAX_BURST_BEATS = 32,                            // beats, a power of two, 2..256
    parameter FLIGHT_BEATS    = 128,                           // no new burst while so many beats are in flight
    parameter URGENT          = 0,                             // 1: client 0 overtakes, burst by burst; its requests
                                                               // are whole bus words, it has one at a time
    parameter LANE_W          = $clog2(DATA_W / 8)             // derived, do not override
) (
    input  wire                  clk,
    input  wire                  rst,

    input  wire [CLIENTS-1:0]    s_rd_req_valid,
    output wire [CLIENTS-1:0]    s_rd_req_ready,
    input  wire [CLIENTS*64-1:0] s_rd_req_addr,
    input  wire [CLIENTS*16-1:0] s_rd_req_len,

    output wire [CLIENTS-1:0]    m_rd_valid,
    input  wire [CLIENTS-1:0]    m_rd_ready,
    output wire [DATA_W-1:0]     m_rd_data,
    output wire                  m_rd_last,
    output wire [LANE_W:0]       m_rd_bytes,
    output wire                  m_rd_error,

    output wire [63:0]           m_axi_araddr,
    output wire [7:0]            m_axi_arlen,
    output wire [7:0]            m_axi_aruser,
    output wire                  m_axi_arvalid,
    input  wire                  m_axi_arready,
    input  wire [DATA_W-1:0]     m_axi_rdata,
    input  wire [1:0]            m_axi_rresp,
    input  wire                  m_axi_rlast,
    input  wire                  m_axi_rvalid,
    output wire                  m_axi_rready,

    output wire                  busy
);

    localparam CLIENT_W = (CLIENTS > 1) ? $clog2(CLIENTS) : 1;
    localparam BEATS_W  = 17 - LANE_W;
    localparam DESC_W   = CLIENT_W + 2 * LANE_W + BEATS_W + 1;
    localparam FLIGHT_W = $clog2(OUTSTANDING) + 1;
    localparam [FLIGHT_W-1:0] ONE = 1;
    localparam [BEATS_W-1:0] ONE_LEFT = 1;

    // client 0 with URGENT: one request at a time, ahead of whatever has not been issued
    localparam IS_URGENT = URGENT != 0;
    localparam [CLIENTS-1:0] CLIENT_0 = 1;

    reg                urgent_reg;         // a request of client 0 is in work
    reg  [BEATS_W-1:0] urgent_left_reg;    // its beats that have not come
    wire               urgent_split_ready, urgent_valid, urgent_ready, urgent_split_busy, urgent_issue, urgent_last;
    wire [CLIENT_W-1:0] urgent_client, urgent_issue_client;
    wire [63:0]        urgent_addr;
    wire [7:0]         urgent_len;
    wire [CLIENTS-1:0] normal_ready;
    wire               urgent_ask  = IS_URGENT && s_rd_req_valid[0] && !urgent_reg;
    wire               urgent_take = urgent_ask && urgent_split_ready;
    wire [CLIENTS-1:0] normal_mask = IS_URGENT ? ~CLIENT_0 : {CLIENTS{1'b1}};

    assign s_rd_req_ready = normal_ready | (urgent_take ? CLIENT_0 : {CLIENTS{1'b0}});

    dma_split #(.DATA_W(DATA_W), .MAX_BURST_BEATS(MAX_BURST_BEATS), .CLIENT_W(CLIENT_W)) urgent_split (
        .clk(clk), .rst(rst),
        .s_req_valid(urgent_ask), .s_req_ready(urgent_split_ready),
        .s_req_client({CLIENT_W{1'b0}}), .s_req_addr(s_rd_req_addr[63:0]), .s_req_len(s_rd_req_len[15:0]),
        .go(1'b1), .issue(urgent_issue), .issue_last(urgent_last), .issue_client(urgent_issue_client),
        .m_burst_valid(urgent_valid), .m_burst_ready(urgent_ready),
        .m_burst_client(urgent_client), .m_burst_addr(urgent_addr), .m_burst_len(urgent_len),
        .busy(urgent_split_busy)
    );

    // one stream of requests of all others
    wire                req_valid, req_ready;
    wire [CLIENT_W-1:0] req_client;
    wire [63:0]         req_addr;
    wire [15:0]         req_len;

    dma_request #(.CLIENTS(CLIENTS)) request (
        .clk(clk), .rst(rst),
        .s_req_valid(s_rd_req_valid & normal_mask), .s_req_ready(normal_ready),
        .s_req_addr(s_rd_req_addr), .s_req_len(s_rd_req_len),
        .m_req_valid(req_valid), .m_req_ready(req_ready),
        .m_req_client(req_client), .m_req_addr(req_addr), .m_req_len(req_len)
    );

    // a request goes to the splitter and, as a descriptor, to the aligner: both or none
    wire split_ready, queue_ready;
    assign req_ready = split_ready && queue_ready;

    reg  [FLIGHT_W-1:0] flight_reg;        // bursts issued whose last beat has not come
    wire                issue;
    wire                burst_done = m_axi_rvalid && m_axi_rready && m_axi_rlast && !tag_urgent;

    wire                burst_valid, burst_ready;
    wire [63:0]         burst_addr;
    wire [7:0]          burst_len;
    wire [CLIENT_W-1:0] burst_client;
    wire                split_busy;
    wire                issue_last;        // not needed for reads: descriptors carry the length
    wire [CLIENT_W-1:0] issue_client;

    dma_split #(.DATA_W(DATA_W), .MAX_BURST_BEATS(MAX_BURST_BEATS), .CLIENT_W(CLIENT_W)) split (
        .clk(clk), .rst(rst),
        .s_req_valid(req_valid && queue_ready), .s_req_ready(split_ready),
        .s_req_client(req_client), .s_req_addr(req_addr), .s_req_len(req_len),
        .go(!flight_reg[FLIGHT_W-1]),
        .issue(issue), .issue_last(issue_last), .issue_client(issue_client),
        .m_burst_valid(burst_valid), .m_burst_ready(burst_ready),
        .m_burst_client(burst_client), .m_burst_addr(burst_addr), .m_burst_len(burst_len),
        .busy(split_busy)
    );

    // ---- AR: an urgent burst first; a burst on offer stays
    localparam IN_FLIGHT_W = $clog2(FLIGHT_BEATS + 4 * MAX_BURST_BEATS) + 1;
    localparam [31:0] FLIGHT_BEATS_32 = FLIGHT_BEATS;
    localparam [IN_FLIGHT_W-1:0] ONE_BEAT = 1;

    reg                    held_reg, held_urgent_reg;
    reg  [IN_FLIGHT_W-1:0] beats_reg;      // beats asked for that have not come
    wire                   pick_urgent = held_reg ? held_urgent_reg : urgent_valid;
    wire                   may_ask     = beats_reg < FLIGHT_BEATS_32[IN_FLIGHT_W-1:0];
    wire                   asked       = m_axi_arvalid && m_axi_arready;
    wire                   came        = m_axi_rvalid && m_axi_rready;

    assign m_axi_arvalid = pick_urgent ? urgent_valid : burst_valid && may_ask;
    assign m_axi_araddr  = pick_urgent ? urgent_addr : burst_addr;
    assign m_axi_arlen   = pick_urgent ? urgent_len : burst_len;
    assign m_axi_aruser  = {{(8-CLIENT_W){1'b0}}, pick_urgent ? urgent_client : burst_client};
    assign burst_ready   = m_axi_arready && !pick_urgent && may_ask;
    assign urgent_ready  = m_axi_arready && pick_urgent;

    always @(posedge clk) begin
        held_urgent_reg <= pick_urgent;
    end

    always @(posedge clk) begin
        if (rst) begin
            held_reg  <= 1'b0;
            beats_reg <= 0;
        end else begin
            held_reg  <= m_axi_arvalid && !m_axi_arready;
            beats_reg <= beats_reg + (asked ? {{(IN_FLIGHT_W-8){1'b0}}, m_axi_arlen} + ONE_BEAT : {IN_FLIGHT_W{1'b0}})
                       - (came ? ONE_BEAT : {IN_FLIGHT_W{1'b0}});
        end
    end

    // whose beats come: one tag a burst, in their order
    wire                         tag_room, tag_valid, tag_urgent;
    wire [$clog2(OUTSTANDING)+1:0] tag_count;

    fifo #(.WIDTH(1), .DEPTH(2 * OUTSTANDING)) tags (
        .clk(clk), .rst(rst),
        .s_data(pick_urgent), .s_valid(asked), .s_ready(tag_room),
        .m_data(tag_urgent), .m_valid(tag_valid), .m_ready(came && m_axi_rlast), .count(tag_count)
    );

    always @(posedge clk) begin
        if (rst)                       flight_reg <= 0;
        else if (issue && !burst_done) flight_reg <= flight_reg + ONE;
        else if (burst_done && !issue) flight_reg <= flight_reg - ONE;
    end

    wire [LANE_W-1:0]  off      = req_addr[LANE_W-1:0];
    wire [16:0]        len_m1   = {1'b0, req_len} - 17'd1;
    wire [16:0]        end_m1   = len_m1 + {{(17-LANE_W){1'b0}}, off};
    wire [BEATS_W-1:0] bus_m1   = end_m1[16:LANE_W];           // bus beats, minus 1
    wire [BEATS_W-1:0] packed_m1 = len_m1[16:LANE_W];          // output beats, minus 1
    wire               flush    = off != 0 && bus_m1 == packed_m1 && bus_m1 != 0;

    wire                desc_valid, desc_ready;
    wire [DESC_W-1:0]   desc;
    wire [CLIENT_W-1:0] desc_client;
    wire [LANE_W-1:0]   desc_off, desc_tail;
    wire [BEATS_W-1:0]  desc_beats_m1;
    wire                desc_flush;
    wire [FLIGHT_W-1:0] desc_count;

    assign {desc_client, desc_off, desc_tail, desc_beats_m1, desc_flush} = desc;

    fifo #(.WIDTH(DESC_W), .DEPTH(OUTSTANDING)) descriptors (
        .clk(clk), .rst(rst),
        .s_data({req_client, off, len_m1[LANE_W-1:0], bus_m1, flush}),
        .s_valid(req_valid && split_ready), .s_ready(queue_ready),
        .m_data(desc), .m_valid(desc_valid), .m_ready(desc_ready),
        .count(desc_count)
    );

    wire              beat_valid, beat_ready;
    wire [DATA_W-1:0] beat_data;
    wire              beat_error, beat_urgent;
    wire              urgent_end  = urgent_left_reg == ONE_LEFT;
    wire              urgent_came = beat_valid && beat_ready && beat_urgent;

    always @(posedge clk) begin
        if (rst)                            urgent_reg <= 1'b0;
        else if (urgent_take)               urgent_reg <= 1'b1;
        else if (urgent_came && urgent_end) urgent_reg <= 1'b0;
        if (urgent_take)      urgent_left_reg <= {{(BEATS_W+LANE_W-16){1'b0}}, s_rd_req_len[15:LANE_W]};
        else if (urgent_came) urgent_left_reg <= urgent_left_reg - ONE_LEFT;
    end

    skid #(.WIDTH(DATA_W + 2)) beats (
        .clk(clk), .rst(rst),
        .s_data({tag_urgent, m_axi_rresp[1], m_axi_rdata}), .s_valid(m_axi_rvalid), .s_ready(m_axi_rready),
        .m_data({beat_urgent, beat_error, beat_data}), .m_valid(beat_valid), .m_ready(beat_ready)
    );

    wire align_busy;

    dma_read_align #(
        .DATA_W(DATA_W), .CLIENTS(CLIENTS), .CLIENT_W(CLIENT_W), .BEATS_W(BEATS_W)
    ) align (
        .clk(clk), .rst(rst),
        .s_desc_valid(desc_valid), .s_desc_ready(desc_ready), .s_desc_client(desc_client),
        .s_desc_off(desc_off), .s_desc_tail(desc_tail), .s_desc_beats_m1(desc_beats_m1),
        .s_desc_flush(desc_flush),
        .s_beat_valid(beat_valid), .s_beat_ready(beat_ready),
        .s_beat_data(beat_data), .s_beat_error(beat_error),
        .s_beat_urgent(beat_urgent), .s_beat_urgent_last(urgent_end),
        .m_valid(m_rd_valid), .m_ready(m_rd_ready), .m_data(m_rd_data),
        .m_last(m_rd_last), .m_bytes(m_rd_bytes), .m_error(m_rd_error),
        .busy(align_busy)
    );

    assign busy = (s_rd_req_valid != 0) || req_valid || split_busy || desc_valid || align_busy || urgent_reg;

    wire unused = &{1'b0, issue_last, issue_client, desc_count, end_m1[LANE_W-1:0], m_axi_rresp[0],
                    urgent_issue, urgent_last, urgent_issue_client, urgent_split_busy, tag_room, tag_valid, tag_count};

endmodule

`default_nettype wire
