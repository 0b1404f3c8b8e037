// tb_top: the device between its transactors. Everything Python touches is declared in the PYTHON section below (what
// stands there is made public for the simulator, and nothing else); Python wakes once a frame, batch or command.
//
//   Python --AXI4-Lite--> chimney <--AXI4--> axi_mem (host memory, back door for Python)
//   axis_source --frames--> chimney --frames--> axis_sink        tick_gen --strobe--> chimney
//   recorder: commit records, writes, ticks, violations --> file +records=PATH
//
// With OWN_DUT defined as a module's name that device stands in the place of chimney (docs/your-own-dut.md).
//
// Settings start from the plusargs of the same name (decimal, mem_base hexadecimal) and may be changed at run time:
// mem_seed, mem_base, seed, lat_min, lat_max, p_ar, p_r, p_aw, p_w, p_b, p_gap, p_stall, prescale, tick_limit, rec_batch.
`default_nettype none
`include "chimney_layout.vh"
module tb_top #(
    parameter DATA_W      = 64,
    parameter CONNS       = 64,
    parameter COMMIT_PORT = 1,
    parameter POOL_BUFS   = 1024,
    parameter OOO_RANGES  = 8,
    parameter MEM_BYTES   = 33554432
);
    // ================================================================ PYTHON
    // clock, reset, time
    wire         clk;
    wire         rst;
    wire [63:0]  cycle;
    reg          rst_req;
    wire         rst_done;
    reg  [31:0]  prescale;
    reg  [31:0]  tick_limit;
    wire [31:0]  tick_count;
    wire         tick_limit_hit;
    reg          hold_idle;          // Python has something to do: do not skip idle ticks
    wire         irq;
    wire         dut_idle;
    wire         tb_idle;            // the device and all transactors
    // registers (cocotb-bus AXI4LiteMaster)
    reg  [15:0]  s_axil_awaddr;
    reg          s_axil_awvalid;
    wire         s_axil_awready;
    reg  [31:0]  s_axil_wdata;
    reg  [3:0]   s_axil_wstrb;
    reg          s_axil_wvalid;
    wire         s_axil_wready;
    wire [1:0]   s_axil_bresp;
    wire         s_axil_bvalid;
    reg          s_axil_bready;
    reg  [15:0]  s_axil_araddr;
    reg          s_axil_arvalid;
    wire         s_axil_arready;
    wire [31:0]  s_axil_rdata;
    wire [1:0]   s_axil_rresp;
    wire         s_axil_rvalid;
    reg          s_axil_rready;
    // frames to the device
    reg  [16383:0] src_frame;
    reg  [1023:0]  src_head;
    reg            src_short;
    reg  [15:0]    src_len;
    reg  [15:0]    src_gap;
    reg            src_go;
    wire           src_done;
    wire [31:0]    src_count;
    wire           src_busy;
    // frames from the device
    wire [16383:0] snk_frame;
    wire [1023:0]  snk_head;
    wire [15:0]    snk_len;
    wire [31:0]    snk_seq;
    wire [63:0]    snk_cycle;
    wire           snk_toggle;
    // host memory, back door and faults
    reg  [63:0]    bd_addr;
    reg  [15:0]    bd_len;
    reg  [4095:0]  bd_wdata;
    wire [4095:0]  bd_rdata;
    reg            bd_we;
    reg            bd_go;
    wire           bd_ack;
    wire           bd_fault;
    reg            bd_batch;
    wire           bd_batched;
    reg            bd_dump;
    wire           bd_dumped;
    reg  [255:0]   err_base;
    reg  [127:0]   err_size;
    reg  [3:0]     err_rd;
    reg  [3:0]     err_wr;
    // settings of the transactors
    reg  [31:0]    seed;
    reg  [31:0]    mem_seed;
    reg  [63:0]    mem_base;         // first address of host memory, a multiple of 4096; set it before the first access
    reg  [15:0]    lat_min;
    reg  [15:0]    lat_max;
    reg  [7:0]     p_ar;
    reg  [7:0]     p_r;
    reg  [7:0]     p_aw;
    reg  [7:0]     p_w;
    reg  [7:0]     p_b;
    reg  [7:0]     p_gap;
    reg  [7:0]     p_stall;
    wire [31:0]    stall_mem;
    wire [31:0]    stall_source;
    wire [31:0]    stall_sink;
    // records
    reg  [31:0]    rec_batch;
    reg            rec_mark;
    wire [31:0]    rec_count;
    wire           rec_wake;
    wire [31:0]    violations;
    // ============================================================ END PYTHON

    initial begin
        rst_req = 1'b0; hold_idle = 1'b0;
        s_axil_awaddr = 16'd0; s_axil_awvalid = 1'b0; s_axil_wdata = 32'd0; s_axil_wstrb = 4'd0; s_axil_wvalid = 1'b0;
        s_axil_bready = 1'b0; s_axil_araddr = 16'd0; s_axil_arvalid = 1'b0; s_axil_rready = 1'b0;
        src_frame = 16384'd0; src_head = 1024'd0; src_short = 1'b0; src_len = 16'd0; src_gap = 16'd0; src_go = 1'b0;
        bd_addr = 64'd0; bd_len = 16'd0; bd_wdata = 4096'd0; bd_we = 1'b0; bd_go = 1'b0; bd_dump = 1'b0;
        bd_batch = 1'b0;
        err_base = 256'd0; err_size = 128'd0; err_rd = 4'd0; err_wr = 4'd0;
        rec_mark = 1'b0;
        if (!$value$plusargs("prescale=%d", prescale))     prescale   = 32'd1000;
        if (!$value$plusargs("tick_limit=%d", tick_limit)) tick_limit = 32'd0;
        if (!$value$plusargs("mem_base=%h", mem_base))     mem_base   = 64'd0;
        if (!$value$plusargs("seed=%d", seed))             seed       = 32'd1;
        if (!$value$plusargs("mem_seed=%d", mem_seed))     mem_seed   = 32'd1;
        if (!$value$plusargs("lat_min=%d", lat_min))       lat_min    = 16'd32;
        if (!$value$plusargs("lat_max=%d", lat_max))       lat_max    = 16'd32;
        if (!$value$plusargs("p_ar=%d", p_ar))             p_ar       = 8'd0;
        if (!$value$plusargs("p_r=%d", p_r))               p_r        = 8'd0;
        if (!$value$plusargs("p_aw=%d", p_aw))             p_aw       = 8'd0;
        if (!$value$plusargs("p_w=%d", p_w))               p_w        = 8'd0;
        if (!$value$plusargs("p_b=%d", p_b))               p_b        = 8'd0;
        if (!$value$plusargs("p_gap=%d", p_gap))           p_gap      = 8'd0;
        if (!$value$plusargs("p_stall=%d", p_stall))       p_stall    = 8'd0;
        if (!$value$plusargs("rec_batch=%d", rec_batch))   rec_batch  = 32'd64;
    end

    // ---------------------------------------------------------------- wires of the device
    wire                m_axi_awvalid, m_axi_awready, m_axi_wvalid, m_axi_wready, m_axi_wlast, m_axi_bvalid, m_axi_bready;
    wire                m_axi_arvalid, m_axi_arready, m_axi_rvalid, m_axi_rready, m_axi_rlast;
    wire [3:0]          m_axi_awid, m_axi_bid, m_axi_arid, m_axi_rid;
    wire [63:0]         m_axi_awaddr, m_axi_araddr;
    wire [7:0]          m_axi_awlen, m_axi_arlen, m_axi_awuser, m_axi_aruser;
    wire [2:0]          m_axi_awsize, m_axi_arsize;
    wire [1:0]          m_axi_awburst, m_axi_arburst, m_axi_bresp, m_axi_rresp;
    wire [DATA_W-1:0]   m_axi_wdata, m_axi_rdata;
    wire [DATA_W/8-1:0] m_axi_wstrb;
    wire [DATA_W-1:0]   rx_tdata, tx_tdata;
    wire [DATA_W/8-1:0] rx_tkeep, tx_tkeep;
    wire                rx_tlast, rx_tvalid, rx_tready, tx_tlast, tx_tvalid, tx_tready;
    wire                tick_strobe;
    wire                rec_tcp_valid, rec_dlv_valid, rec_rx_valid, rec_tx_valid, rec_cq_valid;
    wire [`REC_TCP_W-1:0] rec_tcp;
    wire [`REC_DLV_W-1:0] rec_dlv;
    wire [`REC_RX_W-1:0]  rec_rx;
    wire [`REC_TX_W-1:0]  rec_tx;
    wire [`REC_CQ_W-1:0]  rec_cq;
    wire [63:0]         wr_addr;
    wire [7:0]          wr_client;
    wire [1:0]          wr_resp;
    wire                mem_busy, snk_busy;
    wire [6:0]          violation;
    wire [55:0]         violation_code;

    assign tb_idle = dut_idle && !src_busy && !snk_busy && !mem_busy;

    // ---------------------------------------------------------------- the device
`ifdef OWN_DUT
    `OWN_DUT #(.DATA_W (DATA_W)) dut (
`else
    chimney #(
        .DATA_W      (DATA_W),
        .CONNS       (CONNS),
        .POOL_BUFS   (POOL_BUFS),
        .OOO_RANGES  (OOO_RANGES),
        .COMMIT_PORT (COMMIT_PORT)
    ) dut (
        .rec_tcp_valid (rec_tcp_valid), .rec_tcp (rec_tcp),
        .rec_dlv_valid (rec_dlv_valid), .rec_dlv (rec_dlv),
        .rec_rx_valid (rec_rx_valid), .rec_rx (rec_rx),
        .rec_tx_valid (rec_tx_valid), .rec_tx (rec_tx),
        .rec_cq_valid (rec_cq_valid), .rec_cq (rec_cq),
`endif
        .clk (clk), .rst (rst),
        .s_axil_awaddr (s_axil_awaddr), .s_axil_awvalid (s_axil_awvalid), .s_axil_awready (s_axil_awready),
        .s_axil_wdata (s_axil_wdata), .s_axil_wstrb (s_axil_wstrb),
        .s_axil_wvalid (s_axil_wvalid), .s_axil_wready (s_axil_wready),
        .s_axil_bresp (s_axil_bresp), .s_axil_bvalid (s_axil_bvalid), .s_axil_bready (s_axil_bready),
        .s_axil_araddr (s_axil_araddr), .s_axil_arvalid (s_axil_arvalid), .s_axil_arready (s_axil_arready),
        .s_axil_rdata (s_axil_rdata), .s_axil_rresp (s_axil_rresp),
        .s_axil_rvalid (s_axil_rvalid), .s_axil_rready (s_axil_rready),
        .m_axi_awid (m_axi_awid), .m_axi_awaddr (m_axi_awaddr), .m_axi_awlen (m_axi_awlen),
        .m_axi_awsize (m_axi_awsize), .m_axi_awburst (m_axi_awburst), .m_axi_awuser (m_axi_awuser),
        .m_axi_awvalid (m_axi_awvalid), .m_axi_awready (m_axi_awready),
        .m_axi_wdata (m_axi_wdata), .m_axi_wstrb (m_axi_wstrb), .m_axi_wlast (m_axi_wlast),
        .m_axi_wvalid (m_axi_wvalid), .m_axi_wready (m_axi_wready),
        .m_axi_bid (m_axi_bid), .m_axi_bresp (m_axi_bresp), .m_axi_bvalid (m_axi_bvalid), .m_axi_bready (m_axi_bready),
        .m_axi_arid (m_axi_arid), .m_axi_araddr (m_axi_araddr), .m_axi_arlen (m_axi_arlen),
        .m_axi_arsize (m_axi_arsize), .m_axi_arburst (m_axi_arburst), .m_axi_aruser (m_axi_aruser),
        .m_axi_arvalid (m_axi_arvalid), .m_axi_arready (m_axi_arready),
        .m_axi_rid (m_axi_rid), .m_axi_rdata (m_axi_rdata), .m_axi_rresp (m_axi_rresp), .m_axi_rlast (m_axi_rlast),
        .m_axi_rvalid (m_axi_rvalid), .m_axi_rready (m_axi_rready),
        .s_axis_rx_tdata (rx_tdata), .s_axis_rx_tkeep (rx_tkeep), .s_axis_rx_tlast (rx_tlast),
        .s_axis_rx_tvalid (rx_tvalid), .s_axis_rx_tready (rx_tready),
        .m_axis_tx_tdata (tx_tdata), .m_axis_tx_tkeep (tx_tkeep), .m_axis_tx_tlast (tx_tlast),
        .m_axis_tx_tvalid (tx_tvalid), .m_axis_tx_tready (tx_tready),
        .tick_strobe (tick_strobe), .irq (irq), .idle (dut_idle)
    );

    // ---------------------------------------------------------------- transactors
    clk_rst clk_rst_i (.clk (clk), .rst (rst), .cycle (cycle), .rst_req (rst_req), .rst_done (rst_done));

    wire        calm, fell_due;
    wire [31:0] still;
    wire        taken;                 // the event in tcp_engine is committed
    wire        no_room;               // a segment waits for room behind tcp_engine
    wire        short_of_room;         // and for nothing else: the engine is free
    wire        of_segment;            // `taken` is a segment
`ifdef OWN_DUT
    // Nobody knows the deadlines of a foreign device: time never leaps over idle ticks. It has no commit port.
    assign still    = 32'd0;
    assign fell_due = 1'b0;
    assign {taken, no_room, short_of_room, of_segment} = 4'd0;
    assign {rec_tcp_valid, rec_dlv_valid, rec_rx_valid, rec_tx_valid, rec_cq_valid} = 5'd0;
    assign rec_tcp = {`REC_TCP_W{1'b0}};
    assign rec_dlv = {`REC_DLV_W{1'b0}};
    assign rec_rx  = {`REC_RX_W{1'b0}};
    assign rec_tx  = {`REC_TX_W{1'b0}};
    assign rec_cq  = {`REC_CQ_W{1'b0}};
`else
    // Ticks until the nearest deadline of an idle device: both timer_scans know all there are.
    assign still    = calm ? nearest(dut.now) : 32'd0;
    assign fell_due = dut.u_engine.timers.m_due_valid || dut.u_rx.delivery.scan.m_due_valid;
    assign taken         = dut.u_engine.arbiter.m_evt_ready;
    assign of_segment    = dut.u_engine.arbiter.s_rx_ready;
    assign no_room       = dut.u_engine.arbiter.s_rx_valid
                           && !dut.u_engine.arbiter.chosen_reg[dut.u_engine.arbiter.RX]
                           && !dut.u_engine.arbiter.request[dut.u_engine.arbiter.RX];
    assign short_of_room = no_room && dut.u_engine.arbiter.idle;

    function [31:0] sooner(input [31:0] one, input [31:0] left);
        sooner = left[31] ? 32'd0 : (left < one) ? left : one;
    endfunction

    function [31:0] nearest(input [31:0] now);
        integer conn;
        begin
            nearest = 32'h7FFF_FFFF;
            for (conn = 0; conn < CONNS; conn = conn + 1) begin
                if (dut.u_engine.timers.on_reg[conn])
                    nearest = sooner(nearest, dut.u_engine.timers.ram.mem[conn][31:0] - now);
                if (dut.u_rx.delivery.scan.on_reg[conn])
                    nearest = sooner(nearest, dut.u_rx.delivery.scan.ram.mem[conn][31:0] - now);
            end
        end
    endfunction
`endif

    tick_gen #(.IDLE_GAP (CONNS + 16)) tick_gen_i (
        .clk (clk), .rst (rst), .idle (tb_idle && !hold_idle), .calm (calm), .still (still),
        .fell_due (fell_due),
        .prescale (prescale), .tick_limit (tick_limit),
        .tick_strobe (tick_strobe), .tick_count (tick_count), .tick_limit_hit (tick_limit_hit),
        .violation (violation[6]), .code (violation_code[55:48])
    );

    axi_mem #(.DATA_W (DATA_W), .MEM_BYTES (MEM_BYTES)) axi_mem_i (
        .clk (clk), .rst (rst),
        .mem_seed (mem_seed), .mem_base (mem_base), .seed (seed), .lat_min (lat_min), .lat_max (lat_max),
        .p_ar (p_ar), .p_r (p_r), .p_aw (p_aw), .p_w (p_w), .p_b (p_b),
        .err_base (err_base), .err_size (err_size), .err_rd (err_rd), .err_wr (err_wr),
        .stall_cycles (stall_mem), .busy (mem_busy),
        .bd_addr (bd_addr), .bd_len (bd_len), .bd_wdata (bd_wdata), .bd_rdata (bd_rdata), .bd_we (bd_we),
        .bd_go (bd_go), .bd_ack (bd_ack), .bd_fault (bd_fault), .bd_dump (bd_dump), .bd_dumped (bd_dumped),
        .bd_batch (bd_batch), .bd_batched (bd_batched),
        .wr_addr (wr_addr), .wr_client (wr_client), .wr_resp (wr_resp),
        .s_axi_awid (m_axi_awid), .s_axi_awaddr (m_axi_awaddr), .s_axi_awlen (m_axi_awlen), .s_axi_awuser (m_axi_awuser),
        .s_axi_awvalid (m_axi_awvalid), .s_axi_awready (m_axi_awready),
        .s_axi_wdata (m_axi_wdata), .s_axi_wstrb (m_axi_wstrb), .s_axi_wlast (m_axi_wlast),
        .s_axi_wvalid (m_axi_wvalid), .s_axi_wready (m_axi_wready),
        .s_axi_bid (m_axi_bid), .s_axi_bresp (m_axi_bresp), .s_axi_bvalid (m_axi_bvalid), .s_axi_bready (m_axi_bready),
        .s_axi_arid (m_axi_arid), .s_axi_araddr (m_axi_araddr), .s_axi_arlen (m_axi_arlen),
        .s_axi_arvalid (m_axi_arvalid), .s_axi_arready (m_axi_arready),
        .s_axi_rid (m_axi_rid), .s_axi_rdata (m_axi_rdata), .s_axi_rresp (m_axi_rresp), .s_axi_rlast (m_axi_rlast),
        .s_axi_rvalid (m_axi_rvalid), .s_axi_rready (m_axi_rready)
    );

    axis_source #(.DATA_W (DATA_W)) axis_source_i (
        .clk (clk), .rst (rst),
        .src_frame (src_frame), .src_head (src_head), .src_short (src_short), .src_len (src_len), .src_gap (src_gap),
        .src_go (src_go), .src_done (src_done), .src_count (src_count), .src_busy (src_busy),
        .seed (seed), .p_gap (p_gap), .stall_cycles (stall_source),
        .m_axis_tdata (rx_tdata), .m_axis_tkeep (rx_tkeep), .m_axis_tlast (rx_tlast),
        .m_axis_tvalid (rx_tvalid), .m_axis_tready (rx_tready)
    );

    axis_sink #(.DATA_W (DATA_W)) axis_sink_i (
        .clk (clk), .rst (rst),
        .snk_frame (snk_frame), .snk_head (snk_head), .snk_len (snk_len), .snk_seq (snk_seq), .snk_cycle (snk_cycle),
        .snk_toggle (snk_toggle), .snk_busy (snk_busy), .cycle (cycle),
        .seed (seed), .p_stall (p_stall), .stall_cycles (stall_sink),
        .s_axis_tdata (tx_tdata), .s_axis_tkeep (tx_tkeep), .s_axis_tlast (tx_tlast),
        .s_axis_tvalid (tx_tvalid), .s_axis_tready (tx_tready)
    );

    // ---------------------------------------------------------------- checkers: 0 memory, 1 registers, 2 rx, 3 tx, 4 rings, 5 X
    axi4_checker #(.DATA_W (DATA_W), .WAIT_MAX (16384)) check_axi4 (
        .clk (clk), .rst (rst),
        .awid (m_axi_awid), .awaddr (m_axi_awaddr), .awlen (m_axi_awlen), .awsize (m_axi_awsize),
        .awburst (m_axi_awburst), .awuser (m_axi_awuser), .awvalid (m_axi_awvalid), .awready (m_axi_awready),
        .wdata (m_axi_wdata), .wstrb (m_axi_wstrb), .wlast (m_axi_wlast), .wvalid (m_axi_wvalid), .wready (m_axi_wready),
        .bid (m_axi_bid), .bresp (m_axi_bresp), .bvalid (m_axi_bvalid), .bready (m_axi_bready),
        .arid (m_axi_arid), .araddr (m_axi_araddr), .arlen (m_axi_arlen), .arsize (m_axi_arsize),
        .arburst (m_axi_arburst), .aruser (m_axi_aruser), .arvalid (m_axi_arvalid), .arready (m_axi_arready),
        .rid (m_axi_rid), .rdata (m_axi_rdata), .rresp (m_axi_rresp), .rlast (m_axi_rlast),
        .rvalid (m_axi_rvalid), .rready (m_axi_rready),
        .violation (violation[0]), .code (violation_code[7:0])
    );
    axil_checker #(.ADDR_W (16), .WAIT_MAX (256)) check_axil (
        .clk (clk), .rst (rst),
        .awaddr (s_axil_awaddr), .awvalid (s_axil_awvalid), .awready (s_axil_awready),
        .wdata (s_axil_wdata), .wstrb (s_axil_wstrb), .wvalid (s_axil_wvalid), .wready (s_axil_wready),
        .bresp (s_axil_bresp), .bvalid (s_axil_bvalid), .bready (s_axil_bready),
        .araddr (s_axil_araddr), .arvalid (s_axil_arvalid), .arready (s_axil_arready),
        .rdata (s_axil_rdata), .rresp (s_axil_rresp), .rvalid (s_axil_rvalid), .rready (s_axil_rready),
        .violation (violation[1]), .code (violation_code[15:8])
    );
    axis_checker #(.DATA_W (DATA_W), .WAIT_MAX (1)) check_rx (
        .clk (clk), .rst (rst),
        .tdata (rx_tdata), .tkeep (rx_tkeep), .tlast (rx_tlast), .tvalid (rx_tvalid), .tready (rx_tready),
        .violation (violation[2]), .code (violation_code[23:16])
    );
    axis_checker #(.DATA_W (DATA_W), .MAX_BYTES (1522)) check_tx (
        .clk (clk), .rst (rst),
        .tdata (tx_tdata), .tkeep (tx_tkeep), .tlast (tx_tlast), .tvalid (tx_tvalid), .tready (tx_tready),
        .violation (violation[3]), .code (violation_code[31:24])
    );
    ring_checker #(.DATA_W (DATA_W)) check_rings (
        .clk (clk), .rst (rst),
        .s_awaddr (s_axil_awaddr), .s_awvalid (s_axil_awvalid), .s_awready (s_axil_awready),
        .s_wdata (s_axil_wdata), .s_wvalid (s_axil_wvalid), .s_wready (s_axil_wready),
        .awaddr (m_axi_awaddr), .awuser (m_axi_awuser), .awvalid (m_axi_awvalid), .awready (m_axi_awready),
        .wdata (m_axi_wdata), .wstrb (m_axi_wstrb), .wlast (m_axi_wlast), .wvalid (m_axi_wvalid), .wready (m_axi_wready),
        .araddr (m_axi_araddr), .arlen (m_axi_arlen), .aruser (m_axi_aruser),
        .arvalid (m_axi_arvalid), .arready (m_axi_arready),
        .violation (violation[4]), .code (violation_code[39:32])
    );
    // payloads of the other ports are judged by their own checkers, records by their reader
    known_checker #(.ALWAYS_W (19), .GROUPS (2), .GROUP_W (35)) check_known (
        .clk (clk), .rst (rst),
        .always_known ({s_axil_awready, s_axil_wready, s_axil_bvalid, s_axil_arready, s_axil_rvalid,
                        m_axi_awvalid, m_axi_wvalid, m_axi_bready, m_axi_arvalid, m_axi_rready,
                        rx_tready, tx_tvalid, irq, dut_idle,
                        rec_tcp_valid, rec_dlv_valid, rec_rx_valid, rec_tx_valid, rec_cq_valid}),
        .valid_known ({s_axil_rvalid, s_axil_rdata, s_axil_rresp, s_axil_bvalid, 32'd0, s_axil_bresp}),
        .violation (violation[5]), .code (violation_code[47:40])
    );

    // cycles since the last commit in which a segment waited for nothing but room behind tcp_engine, and since the last
    // segment all in which it had none; told with the segment's commit, and meanwhile, as there may never be one
    localparam TELL = 10;                        // log2 of cycles
    reg  [31:0] room_wait, room_whole;
    wire        room_told = COMMIT_PORT != 0 && !rst
                            && (of_segment ? room_whole != 32'd0 : no_room && (&room_whole[TELL-1:0]));
    always @(posedge clk) begin
        if (rst || taken) room_wait <= 32'd0;
        else if (short_of_room) room_wait <= room_wait + 32'd1;
        if (rst || of_segment) room_whole <= 32'd0;
        else if (no_room) room_whole <= room_whole + 32'd1;
    end

    recorder #(
        .TCP_W (`REC_TCP_W), .DLV_W (`REC_DLV_W), .RX_W (`REC_RX_W), .TX_W (`REC_TX_W), .CQ_W (`REC_CQ_W),
        .DATA_W (DATA_W), .CHECKERS (7)
    ) recorder_i (
        .clk (clk), .cycle (cycle),
        .tcp_valid (rec_tcp_valid && !rst), .tcp_data (rec_tcp),
        .dlv_valid (rec_dlv_valid && !rst), .dlv_data (rec_dlv),
        .rx_valid (rec_rx_valid && !rst), .rx_data (rec_rx),
        .tx_valid (rec_tx_valid && !rst), .tx_data (rec_tx),
        .cq_valid (rec_cq_valid && !rst), .cq_data (rec_cq),
        .wr_valid (m_axi_wvalid && m_axi_wready && !rst), .wr_client (wr_client), .wr_addr (wr_addr),
        .wr_strb (m_axi_wstrb), .wr_data (m_axi_wdata), .wr_resp (wr_resp), .wr_last (m_axi_wlast),
        .frame_beat (rx_tvalid && rx_tready && !rst), .frame_last (rx_tlast), .frame_keep (rx_tkeep),
        .tick_strobe (tick_strobe && !rst), .tick (tick_count), .irq (irq && !rst),
        .violation (violation), .violation_code (violation_code),
        .room_valid (room_told), .room_wait (room_wait), .room_whole (room_whole),
        .stall_mem (stall_mem), .stall_source (stall_source), .stall_sink (stall_sink),
        .mark (rec_mark), .rec_batch (rec_batch),
        .rec_count (rec_count), .rec_wake (rec_wake), .violations (violations)
    );

`ifdef WAVES
    wave_window wave_window_i (
        .clk (clk), .rst (rst), .cycle (cycle),
        .tcp_valid (rec_tcp_valid), .tcp_data (rec_tcp), .dlv_valid (rec_dlv_valid), .dlv_data (rec_dlv)
    );
`endif
endmodule
`default_nettype wire
