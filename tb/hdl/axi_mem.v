// axi_mem: the host's memory as an AXI4 slave, with a back door for Python.
//
// Reads and writes are answered in order, each no earlier than a latency drawn from lat_min..lat_max after its address
// (after the last data beat for writes); up to 32 of each are outstanding and data then flows at one beat a cycle.
// p_* are probabilities in 1/256 of withholding arready, awready, wready, and of a pause before an R beat or a B.
// The memory is [mem_base, mem_base + MEM_BYTES); set mem_base, a multiple of 4096, before the first access.
// Faults: a beat (aligned bus word) that overlaps an enabled window [base, base+size) answers SLVERR and writes nothing,
// one outside the memory DECERR; give windows aligned to 64 bytes and the bus width does not matter.
// Contents at time 0 are pseudo-random, a function of mem_seed and the place (tb/sim/contents.py has the same one):
// 64-bit lane n from mem_base holds mix(n ^ {mem_seed, mem_seed}). It is filled in 4 KiB blocks at the first touch.
// Back door: Python writes bd_addr, bd_len (1..512 bytes), bd_we, bd_wdata and toggles bd_go: done in zero time, bd_ack
// follows bd_go. bd_rdata holds the bytes from bd_addr on, byte 0 in bits 7:0. Outside the memory bd_fault is set.
// Many writes at once: Python fills the file +batch=PATH with records of 528 bytes (length and address, 8 bytes each,
// then 512 of data, all in reverse order) up to a length of 0, and flips bd_batch; bd_batched follows.
// Only INCR bursts of full bus width (tb/hdl/checkers/axi4_checker.v sees to that).
`default_nettype none
module axi_mem #(
    parameter DATA_W    = 64,            // bits: 64, 128, 256, 512
    parameter MEM_BYTES = 33554432       // bytes from mem_base, a multiple of 4096
) (
    input  wire                clk,
    input  wire                rst,
    // settings
    input  wire [31:0]         mem_seed,
    input  wire [63:0]         mem_base,
    input  wire [31:0]         seed,
    input  wire [15:0]         lat_min,
    input  wire [15:0]         lat_max,
    input  wire [7:0]          p_ar, p_r, p_aw, p_w, p_b,
    input  wire [255:0]        err_base,      // four windows of 64 bits
    input  wire [127:0]        err_size,      // four sizes of 32 bits, bytes
    input  wire [3:0]          err_rd,
    input  wire [3:0]          err_wr,
    output reg  [31:0]         stall_cycles,  // cycles with something withheld by a p_*
    output wire                busy,          // a burst is outstanding
    // back door
    input  wire [63:0]         bd_addr,
    input  wire [15:0]         bd_len,
    input  wire [4095:0]       bd_wdata,
    output reg  [4095:0]       bd_rdata,
    input  wire                bd_we,
    input  wire                bd_go,
    output reg                 bd_ack,
    output reg                 bd_fault,
    input  wire                bd_batch,      // toggle: carry out the file +batch=PATH
    output reg                 bd_batched,    // follows bd_batch
    input  wire                bd_dump,       // toggle: write every touched block to the file +memory=PATH
    output reg                 bd_dumped,     // follows bd_dump
    // the beat that the next W handshake writes, for the recorder
    output reg  [63:0]         wr_addr,
    output reg  [7:0]          wr_client,
    output reg  [1:0]          wr_resp,
    // AXI4
    input  wire [3:0]          s_axi_awid,
    input  wire [63:0]         s_axi_awaddr,
    input  wire [7:0]          s_axi_awlen,
    input  wire [7:0]          s_axi_awuser,
    input  wire                s_axi_awvalid,
    output reg                 s_axi_awready,
    input  wire [DATA_W-1:0]   s_axi_wdata,
    input  wire [DATA_W/8-1:0] s_axi_wstrb,
    input  wire                s_axi_wlast,
    input  wire                s_axi_wvalid,
    output reg                 s_axi_wready,
    output reg  [3:0]          s_axi_bid,
    output reg  [1:0]          s_axi_bresp,
    output reg                 s_axi_bvalid,
    input  wire                s_axi_bready,
    input  wire [3:0]          s_axi_arid,
    input  wire [63:0]         s_axi_araddr,
    input  wire [7:0]          s_axi_arlen,
    input  wire                s_axi_arvalid,
    output reg                 s_axi_arready,
    output reg  [3:0]          s_axi_rid,
    output reg  [DATA_W-1:0]   s_axi_rdata,
    output reg  [1:0]          s_axi_rresp,
    output reg                 s_axi_rlast,
    output reg                 s_axi_rvalid,
    input  wire                s_axi_rready
);
    localparam BYTES  = DATA_W / 8;
    localparam WORDS  = MEM_BYTES / BYTES;
    localparam LANES  = DATA_W / 64;
    localparam BLOCKS = MEM_BYTES / 4096;
    localparam BLOCK_WORDS = 4096 / BYTES;
    localparam DEPTH  = 32;                    // outstanding bursts of a direction
    localparam [63:0] SIZE  = MEM_BYTES;
    localparam [63:0] ALIGN = ~64'd0 * BYTES;  // mask of the aligned address

    reg [DATA_W-1:0] mem    [0:WORDS-1];
    reg              filled [0:BLOCKS-1];

    // ---------------------------------------------------------------- contents
    integer            fill_i, fill_l;
    reg [63:0]         lane;
    reg [DATA_W-1:0]   fill_word;

    // Fill the 4 KiB block of a word index, once.
    task touch(input [31:0] word);
        begin
            if (!filled[word / BLOCK_WORDS]) begin
                filled[word / BLOCK_WORDS] = 1'b1;
                for (fill_i = 0; fill_i < BLOCK_WORDS; fill_i = fill_i + 1) begin
                    for (fill_l = 0; fill_l < LANES; fill_l = fill_l + 1) begin
                        lane = (word / BLOCK_WORDS) * 512 + fill_i * LANES + fill_l;
                        lane = lane ^ {mem_seed, mem_seed};
                        lane = lane * 64'h9e37_79b9_7f4a_7c15;
                        lane = lane ^ (lane >> 32);
                        lane = lane * 64'hd6e8_feb8_6659_fd93;
                        lane = lane ^ (lane >> 32);
                        fill_word[fill_l * 64 +: 64] = lane;
                    end
                    mem[(word / BLOCK_WORDS) * BLOCK_WORDS + fill_i] = fill_word;
                end
            end
        end
    endtask

    integer b;
    initial for (b = 0; b < BLOCKS; b = b + 1) filled[b] = 1'b0;

    // ---------------------------------------------------------------- faults
    integer w;
    function [1:0] response(input [63:0] address, input [3:0] enable);
        begin
            response = ((address & ALIGN) - mem_base > SIZE - BYTES) ? 2'b11 : 2'b00;
            if (enable != 4'd0)
                for (w = 0; w < 4; w = w + 1)
                    if (enable[w] && (address & ALIGN) + BYTES > err_base[w * 64 +: 64]
                        && (address & ALIGN) < err_base[w * 64 +: 64] + {32'd0, err_size[w * 32 +: 32]})
                        response = 2'b10;
        end
    endfunction

    // ---------------------------------------------------------------- back door
    reg [4095+DATA_W:0] bd_window;             // the words covered, aligned
    reg [63:0]          bd_end;
    integer             bd_i, bd_words, bd_byte, bd_shift;
    reg [DATA_W-1:0]    bd_word;

    initial begin
        bd_ack   = 1'b0;
        bd_fault = 1'b0;
        bd_rdata = 40932'd0;
    end

    reg [63:0]          at;                    // the access under way
    reg [15:0]          at_len;

    // One access at `at`, from here on the place in memory: `write` stores bd_window's low bytes, else it is loaded.
    task access(input write);
        begin
            at       = at - mem_base;
            bd_shift = at & (BYTES - 1);
            bd_end   = at + {48'd0, at_len};
            bd_words = (bd_shift + at_len + BYTES - 1) / BYTES;
            if (at_len > 16'd512 || bd_end > SIZE || bd_end < at) begin
                bd_fault = 1'b1;
            end else begin
                if (write && bd_shift != 0) bd_window = bd_window << (bd_shift * 8);
                for (bd_i = 0; bd_i < bd_words; bd_i = bd_i + 1) begin
                    touch(at / BYTES + bd_i);
                    if (!write) begin
                        bd_window[bd_i * DATA_W +: DATA_W] = mem[at / BYTES + bd_i];
                    end else if ((bd_i == 0 && bd_shift != 0)
                                 || (bd_i == bd_words - 1 && bd_shift + at_len != bd_words * BYTES)) begin
                        bd_word = mem[at / BYTES + bd_i];
                        for (bd_byte = 0; bd_byte < BYTES; bd_byte = bd_byte + 1)
                            if (bd_i * BYTES + bd_byte >= bd_shift && bd_i * BYTES + bd_byte < bd_shift + at_len)
                                bd_word[bd_byte * 8 +: 8] = bd_window[(bd_i * BYTES + bd_byte) * 8 +: 8];
                        mem[at / BYTES + bd_i] = bd_word;
                    end else begin
                        mem[at / BYTES + bd_i] = bd_window[bd_i * DATA_W +: DATA_W];
                    end
                end
                if (!write) bd_window = bd_window >> (bd_shift * 8);
            end
        end
    endtask

    always @(bd_go) if (bd_go != bd_ack) begin
        at        = bd_addr;
        at_len    = bd_len;
        bd_window = {{DATA_W{1'b0}}, bd_wdata};
        access(bd_we);
        if (!bd_we) bd_rdata = bd_window[4095:0];
        bd_ack <= bd_go;  // after all that it announces
    end

    // The batch: records until one of length 0 or the end of the file.
    reg [8*1024-1:0] batch_path;
    reg [127:0]      batch_head;
    reg [4095:0]     batch_data;
    integer          batch_fd, batch_got;

    initial bd_batched = 1'b0;

    always @(bd_batch) if (bd_batch != bd_batched) begin
        batch_fd = 0;
        if ($value$plusargs("batch=%s", batch_path)) batch_fd = $fopen(batch_path, "rb");
        if (batch_fd == 0) begin
            bd_fault = 1'b1;
        end else begin
            batch_got = $fread(batch_head, batch_fd);
            while (batch_got == 16 && batch_head[79:64] != 16'd0) begin
                batch_got = $fread(batch_data, batch_fd);
                if (batch_got != 512) bd_fault = 1'b1;
                at        = batch_head[63:0];
                at_len    = batch_head[79:64];
                bd_window = {{DATA_W{1'b0}}, batch_data};
                access(1'b1);
                batch_got = $fread(batch_head, batch_fd);
            end
            $fclose(batch_fd);
        end
        bd_batched <= bd_batch;
    end

    // The dump: for each touched block its number (32 bits) and its 4096 bytes, little-endian.
    reg [8*1024-1:0] dump_path;
    reg [31:0]       dump_block;
    integer          dump_fd, dump_i;

    initial bd_dumped = 1'b0;

    always @(bd_dump) if (bd_dump != bd_dumped) begin
        dump_fd = 0;
        if ($value$plusargs("memory=%s", dump_path)) dump_fd = $fopen(dump_path, "wb");
        if (dump_fd != 0) begin
            for (dump_block = 0; dump_block < BLOCKS; dump_block = dump_block + 1)
                if (filled[dump_block]) begin
                    $fwrite(dump_fd, "%u", dump_block);
                    for (dump_i = 0; dump_i < BLOCK_WORDS; dump_i = dump_i + 1)
                        $fwrite(dump_fd, "%u", mem[dump_block * BLOCK_WORDS + dump_i]);
                end
            $fclose(dump_fd);
        end
        bd_dumped <= bd_dump;
    end

    // ---------------------------------------------------------------- AXI
    reg [63:0] ar_addr [0:DEPTH-1];
    reg [7:0]  ar_len  [0:DEPTH-1];
    reg [3:0]  ar_id   [0:DEPTH-1];
    reg [31:0] ar_due  [0:DEPTH-1];
    reg [63:0] aw_addr [0:DEPTH-1];
    reg [7:0]  aw_user [0:DEPTH-1];
    reg [3:0]  aw_id   [0:DEPTH-1];
    reg [3:0]  b_id    [0:DEPTH-1];
    reg [1:0]  b_resp  [0:DEPTH-1];
    reg [31:0] b_due   [0:DEPTH-1];
    reg [31:0] ar_wr, ar_rd, aw_wr, aw_rd, b_wr, b_rd;  // counters; their low five bits index

    reg [31:0] now;
    reg [63:0] rnd;
    reg        r_active, w_active, w_error, withheld;
    reg [63:0] r_addr, w_addr;
    reg [8:0]  r_left;
    reg [1:0]  resp;
    reg [15:0] latency;
    reg [DATA_W-1:0] word;
    integer    k;

    wire any_p = |{p_ar, p_r, p_aw, p_w, p_b};
    assign busy = (ar_wr != ar_rd) || (aw_wr != aw_rd) || (b_wr != b_rd) || s_axi_rvalid || s_axi_bvalid;

    initial begin
        s_axi_awready = 1'b0; s_axi_wready = 1'b0; s_axi_bvalid = 1'b0;
        s_axi_arready = 1'b0; s_axi_rvalid = 1'b0;
        s_axi_bid = 4'd0; s_axi_bresp = 2'd0; s_axi_rid = 4'd0; s_axi_rresp = 2'd0; s_axi_rlast = 1'b0;
        s_axi_rdata = {DATA_W{1'b0}};
        ar_wr = 32'd0; ar_rd = 32'd0; aw_wr = 32'd0; aw_rd = 32'd0; b_wr = 32'd0; b_rd = 32'd0;
        now = 32'd0; rnd = 64'd0; r_active = 1'b0; w_active = 1'b0; w_error = 1'b0;
        stall_cycles = 32'd0; wr_addr = 64'd0; wr_client = 8'd0; wr_resp = 2'd0; resp = 2'd0;
        r_addr = 64'd0; w_addr = 64'd0; r_left = 9'd0;
    end

    task draw;                                 // next random number (xorshift64)
        begin
            if (rnd == 64'd0) rnd = {seed, ~seed} ^ 64'h5eed_0003_0000_0007;
            rnd = rnd ^ (rnd << 13);
            rnd = rnd ^ (rnd >> 7);
            rnd = rnd ^ (rnd << 17);
        end
    endtask

    task draw_latency;
        begin
            latency = lat_min;
            if (lat_max > lat_min) begin
                draw;
                latency = lat_min + rnd[55:40] % (lat_max - lat_min + 16'd1);
            end
        end
    endtask

    always @(posedge clk) begin
        now = now + 32'd1;
        if (rst) begin
            ar_wr = 32'd0; ar_rd = 32'd0; aw_wr = 32'd0; aw_rd = 32'd0; b_wr = 32'd0; b_rd = 32'd0;
            r_active = 1'b0; w_active = 1'b0; w_error = 1'b0;
            s_axi_rvalid  <= 1'b0; s_axi_bvalid <= 1'b0;
            s_axi_arready <= 1'b0; s_axi_awready <= 1'b0; s_axi_wready <= 1'b0;
        end else if (s_axi_arvalid || s_axi_awvalid || s_axi_wvalid || busy || !s_axi_arready || !s_axi_awready) begin
            withheld = 1'b0;
            if (any_p) draw;

            // ---- write address, data, response
            if (s_axi_awvalid && s_axi_awready) begin
                aw_addr[aw_wr[4:0]] = s_axi_awaddr;
                aw_user[aw_wr[4:0]] = s_axi_awuser;
                aw_id[aw_wr[4:0]]   = s_axi_awid;
                aw_wr = aw_wr + 32'd1;
            end
            if (s_axi_wvalid && s_axi_wready) begin
                if (wr_resp == 2'b00) begin
                    touch((w_addr - mem_base) / BYTES);
                    if (&s_axi_wstrb) begin
                        mem[(w_addr - mem_base) / BYTES] = s_axi_wdata;
                    end else begin
                        word = mem[(w_addr - mem_base) / BYTES];
                        for (k = 0; k < BYTES; k = k + 1)
                            if (s_axi_wstrb[k]) word[k * 8 +: 8] = s_axi_wdata[k * 8 +: 8];
                        mem[(w_addr - mem_base) / BYTES] = word;
                    end
                end
                w_error = w_error || (wr_resp != 2'b00);
                w_addr  = (w_addr & ALIGN) + BYTES;
                if (s_axi_wlast) begin
                    draw_latency;
                    b_id[b_wr[4:0]]   = aw_id[aw_rd[4:0]];
                    b_resp[b_wr[4:0]] = w_error ? ((wr_resp == 2'b11) ? 2'b11 : 2'b10) : 2'b00;
                    b_due[b_wr[4:0]]  = now + {132'd0, latency};
                    b_wr     = b_wr + 32'd1;
                    aw_rd    = aw_rd + 32'd1;
                    w_active = 1'b0;
                    w_error  = 1'b0;
                end
            end
            if (!w_active && aw_rd != aw_wr) begin
                w_active = 1'b1;
                w_addr   = aw_addr[aw_rd[4:0]];
                wr_client <= aw_user[aw_rd[4:0]];
            end
            wr_addr <= w_addr & ALIGN;
            wr_resp <= response(w_addr, err_wr);
            s_axi_wready  <= w_active && (b_wr - b_rd < DEPTH) && !(rnd[7:0] < p_w);
            if (w_active && rnd[7:0] < p_w) withheld = 1'b1;
            s_axi_awready <= (aw_wr - aw_rd < DEPTH - 1) && !(rnd[15:8] < p_aw);
            if (s_axi_awvalid && rnd[15:8] < p_aw) withheld = 1'b1;

            if (!s_axi_bvalid || s_axi_bready) begin
                s_axi_bvalid <= 1'b0;
                if (b_rd != b_wr && $signed(now - b_due[b_rd[4:0]]) >= 0) begin
                    if (rnd[23:16] < p_b) begin
                        withheld = 1'b1;
                    end else begin
                        s_axi_bvalid <= 1'b1;
                        s_axi_bid    <= b_id[b_rd[4:0]];
                        s_axi_bresp  <= b_resp[b_rd[4:0]];
                        b_rd = b_rd + 32'd1;
                    end
                end
            end

            // ---- read address, data
            if (s_axi_arvalid && s_axi_arready) begin
                draw_latency;
                ar_addr[ar_wr[4:0]] = s_axi_araddr;
                ar_len[ar_wr[4:0]]  = s_axi_arlen;
                ar_id[ar_wr[4:0]]   = s_axi_arid;
                ar_due[ar_wr[4:0]]  = now + {132'd0, latency};
                ar_wr = ar_wr + 32'd1;
            end
            s_axi_arready <= (ar_wr - ar_rd < DEPTH - 1) && !(rnd[31:24] < p_ar);
            if (s_axi_arvalid && rnd[31:24] < p_ar) withheld = 1'b1;

            if (!s_axi_rvalid || s_axi_rready) begin
                s_axi_rvalid <= 1'b0;
                if (!r_active && ar_rd != ar_wr && $signed(now - ar_due[ar_rd[4:0]]) >= 0) begin
                    r_active = 1'b1;
                    r_addr   = ar_addr[ar_rd[4:0]];
                    r_left   = {1'b0, ar_len[ar_rd[4:0]]};
                end
                if (r_active && rnd[39:32] < p_r) begin
                    withheld = 1'b1;
                end else if (r_active) begin
                    resp = response(r_addr, err_rd);
                    s_axi_rvalid <= 1'b1;
                    s_axi_rid    <= ar_id[ar_rd[4:0]];
                    s_axi_rresp  <= resp;
                    s_axi_rlast  <= (r_left == 9'd0);
                    if (resp == 2'b00) begin
                        touch((r_addr - mem_base) / BYTES);
                        s_axi_rdata <= mem[(r_addr - mem_base) / BYTES];
                    end else begin
                        s_axi_rdata <= {LANES{64'hbad0_da7a_bad0_da7a}};
                    end
                    r_addr = (r_addr & ALIGN) + BYTES;
                    if (r_left == 9'd0) begin
                        r_active = 1'b0;
                        ar_rd    = ar_rd + 32'd1;
                    end
                    r_left = r_left - 9'd1;
                end
            end
            if (withheld) stall_cycles <= stall_cycles + 32'd1;
        end
    end
endmodule
`default_nettype wire
