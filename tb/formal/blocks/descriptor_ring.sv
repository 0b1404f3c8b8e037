// descriptor_ring: entries are fetched in order, once, never before the driver wrote them; ring_checker never fires.
// The driver moves SQ_TAIL only over entries that were fetched; dma brings what was asked for, in beats of half an
// entry. `left` is the beats that are still to come.
`default_nettype none
`include "chimney_layout.vh"

module descriptor_ring_proof #(
    parameter MARGIN = 8
) (
    input wire        clk,
    input wire        rst,
    input wire        write,                   // the driver writes a register
    input wire [2:0]  which,                   // which one
    input wire [31:0] value,
    input wire [15:0] cq_free,
    input wire        start_pulse, done_pulse,
    input wire        req_ready,
    input wire        beat_valid, beat_error,
    input wire        sqe_ready
);
    localparam DATA_W = 256;
    wire [7:0] client = `RD_CLIENT_DESCRIPTOR;

    `include "proof.svh"

    // ---- the registers, as csr has them; the driver sets them up before it switches the device on
    reg         on;
    reg  [63:0] base;
    reg  [3:0]  log2;
    reg  [15:0] tail;
    reg  [3:0]  left;
    wire [15:0] mask = (16'd1 << log2) - 16'd1;

    wire         req_valid, rd_ready, sqe_valid, error, idle, violation;
    wire [63:0]  req_addr;
    wire [15:0]  head, req_len, sqe_index;
    wire [511:0] sqe;
    wire [7:0]   code;
    wire         beat = beat_valid && left != 0;
    wire         last = left == 1;
    wire [15:0]  bus_m1 = (req_len >> 5) - 16'd1;

    descriptor_ring #(.DATA_W(DATA_W), .MARGIN(MARGIN)) dut (
        .clk(clk), .rst(rst), .enable(on), .base(base), .size_log2(log2), .tail(tail), .head(head), .cq_free(cq_free),
        .start_pulse(start_pulse), .done_pulse(done_pulse), .m_rd_req_valid(req_valid), .m_rd_req_ready(req_ready),
        .m_rd_req_addr(req_addr), .m_rd_req_len(req_len), .s_rd_valid(beat), .s_rd_ready(rd_ready),
        .s_rd_data({DATA_W{1'b0}}), .s_rd_last(last), .s_rd_error(beat_error), .m_sqe_valid(sqe_valid),
        .m_sqe_ready(sqe_ready), .m_sqe(sqe), .m_sqe_index(sqe_index), .error_pulse(error), .idle(idle)
    );

    wire [15:0] register = which == 0 ? `CSR_SQ_BASE_LO : which == 1 ? `CSR_SQ_BASE_HI
                           : which == 2 ? `CSR_SQ_SIZE_LOG2 : which == 3 ? `CSR_CONTROL : `CSR_SQ_TAIL;
    ring_checker #(.DATA_W(DATA_W)) chk (
        .clk(clk), .rst(rst), .s_awaddr(register), .s_awvalid(write), .s_awready(1'b1), .s_wdata(value),
        .s_wvalid(write), .s_wready(1'b1), .awaddr(64'd0), .awuser(8'd0), .awvalid(1'b0), .awready(1'b0),
        .wdata({DATA_W{1'b0}}), .wstrb({DATA_W/8{1'b0}}), .wlast(1'b0), .wvalid(1'b0), .wready(1'b0),
        .araddr(req_addr), .arlen(bus_m1[7:0]), .aruser(client), .arvalid(req_valid), .arready(req_ready),
        .violation(violation), .code(code)
    );

    (* peek = "dut.busy" *)       wire        busy;
    (* peek = "dut.dead" *)       wire        dead;
    (* peek = "dut.ask_count" *)  wire [15:0] ask_count;
    (* peek = "dut.beat" *)       wire        half;
    (* peek = "dut.queued" *)     wire        queued;
    (* peek = "dut.entry_done" *) wire        entry_done;
    (* peek = "dut.u_queue.count_reg" *) wire [2:0] waiting;
    (* peek = "dut.in_flight" *)  wire [15:0] in_flight;
    (* peek = "chk.sq_base" *)    wire [63:0] chk_base;
    (* peek = "chk.sq_log2" *)    wire [3:0]  chk_log2;
    (* peek = "chk.sq_tail" *)    wire [31:0] chk_tail;
    (* peek = "chk.sq_next" *)    wire [31:0] chk_next;
    (* peek = "chk.active" *)     wire        chk_active;
    (* peek = "chk.have_a" *)     wire        chk_have_a;
    (* peek = "chk.have_d" *)     wire        chk_have_d;

    reg         was_req, was_kept;
    reg  [79:0] was_ask;
    reg         was_room;
    reg  [15:0] given;                         // entries handed to command_decode
    wire [15:0] ready_for = (tail - head) & mask;      // entries written and not fetched
    wire [3:0]  coming    = (left + 4'd1) >> 1;        // entries asked for and not fetched whole
    wire [15:0] batch     = ready_for < 4 ? (ready_for < mask + 16'd1 - head ? ready_for : mask + 16'd1 - head)
                            : (16'd4 < mask + 16'd1 - head ? 16'd4 : mask + 16'd1 - head);

    always @(posedge clk) begin
        was_req  <= req_valid;
        was_kept <= req_valid && !req_ready && !rst;
        was_ask  <= {req_addr, req_len};
        was_room <= {16'd0, cq_free} > {16'd0, in_flight} + {16'd0, batch} + MARGIN;
        if (rst) begin
            on <= 1'b0; base <= 64'd0; log2 <= 4'd2; tail <= 16'd0; left <= 4'd0; given <= 16'd0;
        end else begin
            if (write) case (which)
                0: base[31:0]  <= {value[31:6], 6'd0};
                1: base[63:32] <= value;
                2: if (value >= 2 && value <= 12) log2 <= value[3:0];
                3: on <= on || value[0];
                default: tail <= value[15:0];
            endcase
            if (req_valid && req_ready) left <= req_len >> 5;
            else if (beat) left <= left - 4'd1;
            if (sqe_valid && sqe_ready) given <= given + 16'd1;
        end
    end

    always @* begin
        assume (which <= 4);
        if (write && which == 3) assume (value == 32'd1);
        if (write && which == 4) assume (on && value <= {16'd0, mask} && ((value[15:0] - tail) & mask) <= ((head - tail - 16'd1) & mask));
        if (on) assume (!write || which >= 3);
        assume (in_flight < 16'h8000);         // the completion ring has at most 4096 entries
        if (start_pulse) assume (in_flight < 16'h7ff0);
    end

    always @* if (started) begin
        rules: assert (!violation);  // ring_checker never fires: place, order, size, never past the driver's tail
        if (req_valid) written: assert (ask_count != 0 && ask_count <= ready_for && ask_count <= 4);  // one to four entries are asked for, all of them written by the driver
        if (req_valid) inside: assert (head + ask_count <= mask + 16'd1 && req_addr == base + {42'd0, head, 6'd0} && req_len == ask_count << 6);  // a request does not go over the end of the ring
        if (req_valid && !was_req) room: assert (was_room);  // it is made only with completion entries for all commands in flight, for its own, and the margin
        if (was_kept) stays: assert (req_valid && {req_addr, req_len} == was_ask);  // a request that waits stays as it is
        if (sqe_valid) whole: assert (!busy && !dead);  // nothing of a batch is handed on before its last beat, nothing behind a read error
        numbered: assert (sqe_index == given);  // entries are numbered in the order in which they leave
        fits: assert (!(entry_done && waiting == 4));  // a fetched entry always has a place in the queue
        if (idle && on && !dead) no_rest: assert (ready_for == 0 && waiting == 0 && !req_valid);  // idle means that nothing is left to fetch or to hand on
        inv_set: assert (chk_base == base && chk_log2 == log2 && chk_active == on && chk_tail == {16'd0, tail} && log2 >= 2 && log2 <= 12);  // both know the ring
        inv_between: assert (!chk_have_a && !chk_have_d && head <= mask && tail <= mask && base[5:0] == 0);  // indices stay inside of the ring
        inv_next: assert (chk_next == {16'd0, (head + {12'd0, coming}) & mask});  // the checker is ahead by what is coming
        inv_busy: assert (busy == (req_valid || left != 0) && !(req_valid && left != 0));  // a request is asked for, then comes
        if (left != 0) inv_coming: assert ({12'd0, coming} <= ready_for && {12'd0, coming} + head <= mask + 16'd1 && coming <= 4);  // what comes was written
        inv_left: assert (left <= 8);  // at most four entries are coming
        inv_half: assert (half == (left[0]));  // an entry is two beats
        if (busy) inv_queue: assert (waiting + coming + {2'd0, entry_done} <= 4 && (!req_valid || waiting == 0 && !entry_done));  // what comes has its place
        inv_queued: assert (queued == (waiting != 0) && waiting + {2'd0, entry_done} <= 4);  // the queue never holds more than a batch
        if (!on) inv_off: assert (!busy && !dead && waiting == 0 && !entry_done && head == 0 && tail == 0);  // nothing happens before the device is on
    end

    always @* if (started && !rst) begin
        four: cover (sqe_valid && sqe_ready && waiting == 4);  // four entries were fetched at once
        wraps: cover (beat && last && head == mask);  // the entry at the end of the ring is fetched
        stops: cover (dead && !busy && ready_for != 0);  // a read error stopped the ring
    end
endmodule

`default_nettype wire
