// dma_split: the bursts of a request cover it exactly, in order, and axi4_checker never fires at the AR channel.
// `at` and `left` are what the bursts of the request under way have still to cover.
`default_nettype none

module dma_split_proof #(
    parameter DATA_W = 64
) (
    input wire        clk,
    input wire        rst,
    input wire        req_valid,
    input wire [1:0]  req_client,
    input wire [63:0] req_addr,
    input wire [15:0] req_len,
    input wire        go,
    input wire        burst_ready
);
    localparam BEATS = 32;                     // of the longest burst
    localparam BYTES = DATA_W / 8;
    localparam BOUND = BEATS * BYTES;

    wire        req_ready, issue, issue_last, burst_valid, busy, violation;
    wire [1:0]  issue_client, burst_client;
    wire [63:0] burst_addr;
    wire [7:0]  burst_len, code;

    dma_split #(.DATA_W(DATA_W), .MAX_BURST_BEATS(BEATS)) dut (
        .clk(clk), .rst(rst), .s_req_valid(req_valid), .s_req_ready(req_ready), .s_req_client(req_client),
        .s_req_addr(req_addr), .s_req_len(req_len), .go(go), .issue(issue), .issue_last(issue_last),
        .issue_client(issue_client), .m_burst_valid(burst_valid), .m_burst_ready(burst_ready),
        .m_burst_client(burst_client), .m_burst_addr(burst_addr), .m_burst_len(burst_len), .busy(busy)
    );
    axi4_checker #(.DATA_W(DATA_W), .WAIT_MAX(0)) chk (
        .clk(clk), .rst(rst), .awid(4'd0), .awaddr(64'd0), .awlen(8'd0), .awsize(3'd0), .awburst(2'd0), .awuser(8'd0),
        .awvalid(1'b0), .awready(1'b0), .wdata({DATA_W{1'b0}}), .wstrb({BYTES{1'b0}}), .wlast(1'b0), .wvalid(1'b0),
        .wready(1'b0), .bid(4'd0), .bresp(2'd0), .bvalid(1'b0), .bready(1'b0), .arid(4'd0), .araddr(burst_addr),
        .arlen(burst_len), .arsize(3'd3), .arburst(2'd1), .aruser({6'd0, burst_client}), .arvalid(burst_valid),
        .arready(burst_ready), .rid(4'd0), .rdata({DATA_W{1'b0}}), .rresp(2'd0), .rlast(1'b0), .rvalid(1'b0),
        .rready(1'b0), .violation(violation), .code(code)
    );

    (* peek = "dut.cur_valid_reg" *) wire        cur;
    (* peek = "dut.cur_addr_reg" *)  wire [63:0] cur_addr;
    (* peek = "dut.cur_len_reg" *)   wire [15:0] cur_len;
    (* peek = "dut.cur_client_reg" *) wire [1:0] cur_client;
    (* peek = "chk.ar_wait" *)       wire        chk_wait;
    (* peek = "chk.ar_held" *)       wire [88:0] chk_ar;
    (* peek = "chk.aw_wait" *)       wire        chk_aw_wait;
    (* peek = "chk.w_wait" *)        wire        chk_w_wait;
    (* peek = "chk.b_wait" *)        wire        chk_b_wait;
    (* peek = "chk.r_wait" *)        wire        chk_r_wait;
    (* peek = "chk.rst_q" *)         wire        chk_rst;

    `include "proof.svh"

    reg         open;                          // a request was accepted and is not covered
    reg  [63:0] at;
    reg  [16:0] left;
    reg  [1:0]  client;
    reg         kept;
    reg  [73:0] was_burst;
    reg         was_issue, was_last;
    reg  [63:0] was_at;
    reg  [16:0] was_left;
    reg  [1:0]  was_client;

    // bytes of the burst on offer, and of the part of the request that it covers
    wire [63:0] bus_at  = {burst_addr[63:3], 3'd0};
    wire [63:0] bus_end = bus_at + (({56'd0, burst_len} + 64'd1) << 3);
    wire [63:0] was_end = was_at + {47'd0, was_left};
    wire [63:0] next_at = {at[63:8], 8'd0} + BOUND;
    wire [63:0] end_at  = at + {47'd0, left};

    always @(posedge clk) begin
        kept       <= burst_valid && !burst_ready && !rst;
        was_burst  <= {burst_client, burst_addr, burst_len};
        was_issue  <= issue && !rst;
        was_last   <= issue_last;
        was_at     <= at;
        was_left   <= left;
        was_client <= client;
        if (rst) open <= 1'b0;
        else if (req_valid && req_ready) begin
            open   <= 1'b1;
            at     <= req_addr;
            left   <= {1'b0, req_len};
            client <= req_client;
        end else if (issue) begin
            open   <= next_at < end_at;
            at     <= next_at;
            left   <= left - (BOUND - {9'd0, at[7:0]});
        end
    end

    always @* begin
        if (req_valid) assume (req_len != 0);  // a request has 1..65535 bytes
        if (req_valid) assume (req_addr < 64'hffff_ffff_fff0_0000);  // and does not wrap the address space
    end

    always @* if (started) begin
        master: assert (!violation);  // axi4_checker never fires: bursts stay inside of a page and wait unchanged
        if (was_issue) covers: assert (burst_valid && burst_addr == was_at && burst_client == was_client && bus_end >= (was_last ? was_end : was_at) && bus_end - 64'd8 < was_end);  // a burst begins where the one before ended, and none has a beat that its request does not need
        if (was_issue) to_boundary: assert (was_last ? was_left <= BOUND - {9'd0, was_at[7:0]} : bus_end[7:0] == 8'd0 && bus_end < was_end);  // a burst ends at a boundary of 256 bytes, the last one with its request
        if (was_issue) length: assert (burst_len < BEATS);  // no burst has more than 32 beats
        if (kept) stays: assert (burst_valid && {burst_client, burst_addr, burst_len} == was_burst);  // a burst that waits stays as it is
        if (issue) permitted: assert (go && open);  // a burst is issued only with permission
        if (!open) free: assert (req_ready);  // a request is taken whenever none is under way
        inv_cur: assert (cur == open);  // both know of the request
        if (open) inv_left: assert (cur_addr == at && {1'b0, cur_len} == left && cur_client == client && left != 0);  // both know what is left
        if (open) inv_end: assert (at < end_at && end_at <= 64'hffff_ffff_fff1_0000);  // no address wraps
        if (burst_valid) inv_page: assert ({4'd0, burst_addr[11:3], 3'd0} + (({8'd0, burst_len} + 16'd1) << 3) <= 16'd4096);  // the burst on offer ends in its page
        inv_quiet: assert (!chk_aw_wait && !chk_w_wait && !chk_b_wait && !chk_r_wait && chk_rst == was_rst);  // nothing else is at the port
        if (was_rst) inv_reset: assert (!burst_valid && !chk_wait && !open);  // nothing is left behind a reset
        inv_wait: assert (chk_wait == kept);  // both know that a burst waits
        if (chk_wait) inv_held: assert (chk_ar == {4'd0, burst_addr, burst_len, 3'd3, 2'd1, 6'd0, burst_client});  // and which
    end

    always @* if (started && !rst) begin
        cut: cover (was_issue && !was_last && was_at[7:0] == 8'hf9 && was_left > 17'd300);  // a request from an odd address is cut
        page: cover (was_issue && !was_last && bus_end[11:0] == 12'd0);  // a burst ends at a page
        whole: cover (was_issue && was_last && burst_len == 8'd31);  // a burst of full length ends its request
    end
endmodule

`default_nettype wire
