// bench_top: the traffic of an earlier run, played by HDL alone; tb/bench.py measures how fast that is.
//
// Two threads read what Python did then (tb/tests/rtl/bench_test.py writes it down): +play_host=PATH with memory and
// register accesses, +play_wire=PATH with frames. Each record says how many frames the device had sent and how many
// completions it had written when Python acted; the thread waits until that is so again, give or take SLACK frames (the
// device may cut a request's tail otherwise), and an acknowledgment until its data was sent. Ticks run freely; a frame
// waits for its own, too, since what it brings about may depend on it (an event a number of ticks behind another one).
//   host: 32 bytes {kind, 0[15:0], sent[31:0], completed[31:0], length[15:0], address[63:0], value[31:0]} from bit 255 down,
//         kind 1 memory (512 bytes of data follow, reversed), 2 register write, 3 register read
//   wire: 16 bytes {sent[31:0], completed[31:0], length[15:0], tick[31:0], 0[15:0]}, then 2048 bytes of frame, reversed
// Ends when both are through and the device is idle: prints "played <cycles> <frames sent>".
`default_nettype none
`include "chimney_layout.vh"
module bench_top #(
    parameter DATA_W      = 64,
    parameter CONNS       = 64,
    parameter COMMIT_PORT = 1,
    parameter MEM_BYTES   = 33554432
);
    tb_top #(.DATA_W (DATA_W), .CONNS (CONNS), .COMMIT_PORT (COMMIT_PORT), .MEM_BYTES (MEM_BYTES)) t ();

    reg [8*1024-1:0] host_path, wire_path;
    reg [255:0]      head;
    reg [4095:0]     data;
    reg [127:0]      wire_head;
    reg [16383:0]    wire_data;
    integer          host_fd, wire_fd, got, wire_got, quiet;
    reg              host_done, wire_done;
    reg [31:0]       completed;              // recorded 64 cycles ago: by now they are in memory
    reg [63:0]       recent;
    reg [31:0]       rounds;

    initial begin
        completed = 32'd0;
        recent    = 64'd0;
    end
    localparam [31:0] SLACK = 32'd8;
    reg  [31:0] snd_max;
    reg         live;                        // the connection is offloaded
    wire [`TCB_W-1:0] tcb = t.rec_tcp[`REC_TCP_TCB];
    wire [31:0] ack = {wire_data[8*42 +: 8], wire_data[8*43 +: 8], wire_data[8*44 +: 8], wire_data[8*45 +: 8]};
    wire [31:0] ahead = snd_max - ack;
    wire [31:0] need  = live ? SLACK : 32'd0;
    initial begin
        snd_max = 32'd0;
        live    = 1'b0;
    end
    always @(posedge t.clk) begin
        if (t.rec_tcp_valid && tcb[`TCB_PHASE] != 0) begin
            snd_max <= tcb[`TCB_SND_MAX];
            live    <= 1'b1;
        end
        recent <= {recent[62:0], t.rec_cq_valid && !t.rst};
        if (recent[63]) completed <= completed + 32'd1;
    end

    initial begin
        host_done = 1'b0;
        #1 t.hold_idle = 1'b1;
        t.tick_limit = 32'h7fff_ffff;
        t.s_axil_bready = 1'b1;
        t.s_axil_rready = 1'b1;
        @(negedge t.clk);
        while (!t.rst_done) @(negedge t.clk);
        repeat (8) @(negedge t.clk);
        host_fd = 0;
        if ($value$plusargs("play_host=%s", host_path)) host_fd = $fopen(host_path, "rb");
        got = 32;
        while (host_fd != 0 && got == 32) begin
            got = $fread(head, host_fd);
            if (got == 32) begin
                while (t.snk_seq + need < head[231:200] || completed < head[199:168]) @(negedge t.clk);
                if (head[255:248] == 8'd1) begin
                    got = ($fread(data, host_fd) == 512) ? 32 : 0;
                    t.bd_addr  = head[151:88];
                    t.bd_len   = head[167:152];
                    t.bd_wdata = data;
                    t.bd_we    = 1'b1;
                    t.bd_go    = !t.bd_go;
                    #0.001;
                end else if (head[255:248] == 8'd2) begin
                    @(negedge t.clk);
                    t.s_axil_awaddr  = head[103:88];
                    t.s_axil_wdata   = head[87:56];
                    t.s_axil_wstrb   = 4'hf;
                    t.s_axil_awvalid = 1'b1;
                    t.s_axil_wvalid  = 1'b1;
                    rounds = 32'd0;
                    while (t.s_axil_awvalid || t.s_axil_wvalid) begin
                        @(posedge t.clk);
                        if (t.s_axil_awready) rounds[0] = 1'b1;
                        if (t.s_axil_wready)  rounds[1] = 1'b1;
                        @(negedge t.clk);
                        if (rounds[0]) t.s_axil_awvalid = 1'b0;
                        if (rounds[1]) t.s_axil_wvalid = 1'b0;
                    end
                    while (!t.s_axil_bvalid) @(negedge t.clk);
                    @(negedge t.clk);
                end else begin
                    @(negedge t.clk);
                    t.s_axil_araddr  = head[103:88];
                    t.s_axil_arvalid = 1'b1;
                    rounds = 32'd0;
                    while (t.s_axil_arvalid) begin
                        @(posedge t.clk);
                        rounds[0] = t.s_axil_arready;
                        @(negedge t.clk);
                        if (rounds[0]) t.s_axil_arvalid = 1'b0;
                    end
                    while (!t.s_axil_rvalid) @(negedge t.clk);
                    @(negedge t.clk);
                end
            end
        end
        host_done = 1'b1;
    end

    initial begin
        wire_done = 1'b0;
        #1;
        wire_fd = 0;
        if ($value$plusargs("play_wire=%s", wire_path)) wire_fd = $fopen(wire_path, "rb");
        wire_got = 16;
        while (wire_fd != 0 && wire_got == 16) begin
            wire_got = $fread(wire_head, wire_fd);
            if (wire_got == 16) begin
                wire_got = ($fread(wire_data, wire_fd) == 2048) ? 16 : 0;
                while (t.snk_seq + need < wire_head[127:96] || completed < wire_head[95:64] || (live && ahead[31])
                       || t.tick_count < wire_head[47:16]) @(negedge t.clk);
                t.src_frame = wire_data;
                t.src_len   = wire_head[63:48];
                t.src_go    = !t.src_go;
                @(negedge t.clk);
                while (t.src_done != t.src_go) @(negedge t.clk);
            end
        end
        wire_done = 1'b1;
        quiet = 0;
        while (!host_done || quiet < 400) begin
            @(negedge t.clk);
            quiet = t.tb_idle ? quiet + 1 : 0;
        end
        $display("played %0d %0d", t.cycle, t.snk_seq);
        $finish;
    end

    // a run that stands still ends too, and says so
    always @(posedge t.clk) if (t.cycle == 64'd3_000_000) begin
        $display("standstill %0d %0d %0d %0d", host_done, wire_done, t.snk_seq, completed);
        $finish;
    end
endmodule
`default_nettype wire
