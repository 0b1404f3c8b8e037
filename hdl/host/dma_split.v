// dma_split: cuts a request into AXI bursts.
//
// Why a block: the only place that knows the AXI burst rules; reads and writes both use it.
//
// s_req_*: valid/ready sink of requests.
// m_burst_*: valid/ready source, registered, in the shape of an AR or AW channel. The first burst starts at
//   the exact byte address, all others at a burst boundary; every burst ends at a boundary or at the end of
//   the request. Boundaries lie every min(4096, MAX_BURST_BEATS * DATA_W/8) bytes, so no burst crosses 4 KiB.
// go: permission to issue a burst in this cycle (credit), may fall at any time.
// issue / issue_last / issue_client: in this cycle a burst is loaded into m_burst_ (the last of its request).
// Latency 2 from s_ to m_, one burst a cycle.
`default_nettype none

module dma_split #(
    parameter DATA_W          = 64,        // bits: 64, 128, 256, 512
    parameter MAX_BURST_BEATS = 32,        // beats, a power of two, 2..256
    parameter CLIENT_W        = 2          // bits of a client number, >= 1
) (
    input  wire                clk,
    input  wire                rst,

    input  wire                s_req_valid,
    output wire                s_req_ready,
    input  wire [CLIENT_W-1:0] s_req_client,
    input  wire [63:0]         s_req_addr,
    input  wire [15:0]         s_req_len,

    input  wire                go,
    output wire                issue,
    output wire                issue_last,
    output wire [CLIENT_W-1:0] issue_client,

    output wire                m_burst_valid,
    input  wire                m_burst_ready,
    output wire [CLIENT_W-1:0] m_burst_client,
    output wire [63:0]         m_burst_addr,
    output wire [7:0]          m_burst_len,

    output wire                busy
);

    localparam LANES       = DATA_W / 8;
    localparam LANE_W      = $clog2(LANES);
    localparam BOUND       = (MAX_BURST_BEATS * LANES > 4096) ? 4096 : MAX_BURST_BEATS * LANES;
    localparam BOUND_W     = $clog2(BOUND);            // address bits inside a boundary, <= 12
    localparam [31:0] SPAN_32    = BOUND;
    localparam [16:0] SPAN       = SPAN_32[16:0];

    // the request being cut: what is left of it
    reg                cur_valid_reg;
    reg [CLIENT_W-1:0] cur_client_reg;
    reg [63:0]         cur_addr_reg;
    reg [15:0]         cur_len_reg;

    // the burst on offer
    reg                out_valid_reg;
    reg [CLIENT_W-1:0] out_client_reg;
    reg [63:0]         out_addr_reg;
    reg [7:0]          out_len_reg;

    wire [16:0] bound_off     = {{(17-BOUND_W){1'b0}}, cur_addr_reg[BOUND_W-1:0]};
    wire [16:0] to_bound   = SPAN - bound_off;                        // bytes up to the boundary
    wire        last       = {1'b0, cur_len_reg} <= to_bound;
    wire [16:0] burst_len  = last ? {1'b0, cur_len_reg} : to_bound;
    wire [16:0] last_byte  = bound_off + burst_len - 17'd1;           // offset of the last byte, < BOUND
    wire [16:0] beats_m1   = (last_byte >> LANE_W) - (bound_off >> LANE_W);
    wire [16:0] left       = {1'b0, cur_len_reg} - burst_len;
    wire [63:0] next_addr  = {cur_addr_reg[63:BOUND_W] + {{(63-BOUND_W){1'b0}}, 1'b1}, {BOUND_W{1'b0}}};

    wire load = s_req_valid && s_req_ready;

    assign issue        = cur_valid_reg && go && (!out_valid_reg || m_burst_ready);
    assign issue_last   = last;
    assign issue_client = cur_client_reg;
    assign s_req_ready  = !cur_valid_reg || (issue && last);

    assign m_burst_valid  = out_valid_reg;
    assign m_burst_client = out_client_reg;
    assign m_burst_addr   = out_addr_reg;
    assign m_burst_len    = out_len_reg;
    assign busy           = cur_valid_reg || out_valid_reg;

    always @(posedge clk) begin
        if (load) begin
            cur_client_reg <= s_req_client;
            cur_addr_reg   <= s_req_addr;
            cur_len_reg    <= s_req_len;
        end else if (issue) begin
            cur_addr_reg   <= next_addr;
            cur_len_reg    <= left[15:0];
        end
        if (issue) begin
            out_client_reg <= cur_client_reg;
            out_addr_reg   <= cur_addr_reg;
            out_len_reg    <= beats_m1[7:0];
        end
    end

    always @(posedge clk) begin
        if (rst) begin
            cur_valid_reg <= 1'b0;
            out_valid_reg <= 1'b0;
        end else begin
            if (load)                cur_valid_reg <= 1'b1;
            else if (issue && last)  cur_valid_reg <= 1'b0;
            if (issue)               out_valid_reg <= 1'b1;
            else if (m_burst_ready)  out_valid_reg <= 1'b0;
        end
    end

    wire unused = &{1'b0, left[16], beats_m1[16:8]};

endmodule

`default_nettype wire
