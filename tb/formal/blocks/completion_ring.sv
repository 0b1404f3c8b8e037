// completion_ring: never over the driver's head, in order, with the phase of the lap; ring_checker never fires.
// The driver moves CQ_HEAD only over entries that were written; memory takes an address, then its data, and answers
// later. The rings do not lie over each other. `queue_base` is that of the submission ring, which nobody may write.
`default_nettype none
`include "chimney_layout.vh"

module completion_ring_proof #(
    parameter SOURCES = 4
) (
    input wire                   clk,
    input wire                   rst,
    input wire [SOURCES-1:0]     valid,
    input wire [SOURCES*256-1:0] entries,
    input wire                   req_ready,
    input wire                   data_ready,
    input wire                   done,
    input wire                   done_error,
    input wire                   write,        // the driver writes a register
    input wire [2:0]             which,        // which one
    input wire [31:0]            value
);
    localparam DATA_W = 256;                   // an entry is one beat
    wire [7:0] client = `WR_CLIENT_COMPLETION;

    `include "proof.svh"

    // ---- the registers, as csr has them; the driver sets them up before it switches the device on
    reg         on;
    reg  [63:0] base;
    reg  [3:0]  log2;
    reg  [15:0] head;
    wire [15:0] mask = (16'd1 << log2) - 16'd1;

    wire [SOURCES-1:0] ready;
    wire [15:0]        tail, free, req_len;
    wire               req_valid, data_valid, data_last, taken, written, error, idle, rec_valid, violation;
    wire [63:0]        req_addr;
    wire [255:0]       data, taken_entry;
    wire [`REC_CQ_W-1:0] rec;
    wire [7:0]         code;
    wire               data_go = data_ready && !req_valid;     // data behind its address

    completion_ring #(.DATA_W(DATA_W), .SOURCES(SOURCES), .COMMIT_PORT(0)) dut (
        .clk(clk), .rst(rst), .base(base), .size_log2(log2), .head(head), .tail(tail), .free(free),
        .s_cpl_valid(on ? valid : {SOURCES{1'b0}}), .s_cpl_ready(ready), .s_cpl(entries),
        .m_wr_req_valid(req_valid), .m_wr_req_ready(req_ready), .m_wr_req_addr(req_addr), .m_wr_req_len(req_len),
        .m_wr_valid(data_valid), .m_wr_ready(data_go), .m_wr_data(data), .m_wr_last(data_last),
        .s_wr_done(done), .s_wr_done_error(done_error), .taken_pulse(taken), .taken_entry(taken_entry),
        .written_pulse(written), .error_pulse(error), .idle(idle), .rec_cq_valid(rec_valid), .rec_cq(rec)
    );

    wire [15:0] register = which == 0 ? `CSR_CQ_BASE_LO : which == 1 ? `CSR_CQ_BASE_HI
                           : which == 2 ? `CSR_CQ_SIZE_LOG2 : which == 3 ? `CSR_CONTROL : `CSR_CQ_HEAD;
    ring_checker #(.DATA_W(DATA_W)) chk (
        .clk(clk), .rst(rst), .s_awaddr(register), .s_awvalid(write), .s_awready(1'b1), .s_wdata(value),
        .s_wvalid(write), .s_wready(1'b1), .awaddr(req_addr), .awuser(client), .awvalid(req_valid),
        .awready(req_ready), .wdata(data), .wstrb({DATA_W/8{1'b1}}), .wlast(data_last), .wvalid(data_valid),
        .wready(data_go), .araddr(64'd0), .arlen(8'd0), .aruser(8'd0), .arvalid(1'b0), .arready(1'b0),
        .violation(violation), .code(code)
    );

    (* peek = "dut.phase" *)       wire        phase;
    (* peek = "dut.pending" *)     wire [15:0] pending;
    (* peek = "dut.entry" *)       wire [255:0] entry;
    (* peek = "dut.last" *)        wire [1:0]  last;
    (* peek = "chk.sq_base" *)     wire [63:0] chk_sq_base;
    (* peek = "chk.sq_log2" *)     wire [3:0]  chk_sq_log2;
    (* peek = "chk.cq_base" *)     wire [63:0] chk_base;
    (* peek = "chk.cq_log2" *)     wire [3:0]  chk_log2;
    (* peek = "chk.cq_head" *)     wire [31:0] chk_head;
    (* peek = "chk.cq_tail" *)     wire [31:0] chk_tail;
    (* peek = "chk.cq_byte" *)     wire [31:0] chk_byte;
    (* peek = "chk.phase" *)       wire        chk_phase;
    (* peek = "chk.active" *)      wire        chk_active;
    (* peek = "chk.have_a" *)      wire        chk_have_a;
    (* peek = "chk.have_d" *)      wire        chk_have_d;
    (* peek = "chk.w_first" *)     wire        chk_first;
    (* peek = "chk.q_wr" *)        wire [31:0] chk_wr;
    (* peek = "chk.q_rd" *)        wire [31:0] chk_rd;
    (* peek = "chk.queue[1:0]" *)  wire [2*72-1:0] chk_queue;

    // ---- what is in the ring
    reg  [15:0]  told;                         // entries whose data memory has
    reg  [255:0] sent;                         // the entry taken last, with the phase it must have
    reg          lap;                          // phase of the lap that the entry at `tail` belongs to
    reg          was_kept;
    reg  [256+64-1:0] was_out;
    (* anyconst *) wire [1:0] k;
    reg  [2:0]   passed;
    wire         data_moves = data_valid && data_go;
    wire [1:0]   to_k = k - last - 2'd1;
    wire [15:0]  used = (tail - head) & mask;
    wire         under_way = data_valid;       // an entry was taken and memory does not have it

    always @(posedge clk) begin
        was_kept <= data_valid && !data_moves && !rst;
        was_out  <= {data, req_addr};
        if (rst) begin
            on <= 1'b0; base <= 64'd0; log2 <= 4'd2; head <= 16'd0; told <= 16'd0; lap <= 1'b1; passed <= 3'd0;
        end else begin
            if (write) case (which)
                0: base[31:0]  <= {value[31:6], 6'd0};
                1: base[63:32] <= value;
                2: if (value >= 2 && value <= 12) log2 <= value[3:0];
                3: on <= on || value[0];
                default: head <= value[15:0];
            endcase
            if (data_moves) told <= (told + 16'd1) & mask;
            if (taken) sent <= {7'd0, lap, taken_entry[247:0]};
            if (taken && tail == mask) lap <= !lap;
            if (!on || !valid[k] || ready[k]) passed <= 3'd0;
            else if (taken) passed <= passed + 3'd1;
        end
    end

    always @* begin
        // the driver
        assume (which <= 4);
        if (write && which == 3) assume (value == 32'd1);
        if (write && which == 4) assume (on && value <= {16'd0, mask} && ((value[15:0] - head) & mask) <= ((told - head) & mask));
        if (on) assume (!write || which >= 3);
        // the rings do not lie over each other; the submission ring was left at address 0, with 4 entries
        if (on || (write && which == 3)) assume (base >= 64'h1000 && base < 64'h0001_0000_0000_0000);
        assume (pending < 16'h8000);           // memory does not leave so many writes unanswered
        if (done) assume (pending > (data_valid ? 16'd1 : 16'd0));
    end

    always @* if (started) begin
        rules: assert (!violation);  // ring_checker never fires: place, order, size, phase, room
        if (taken) room: assert (((tail + 16'd1) & mask) != head);  // an entry is taken only with room for it
        one_each: assert ((ready & (ready - 4'd1)) == 0 && (ready & ~valid) == 0 && taken == (ready != 0));  // one source at a time, and only one that has an entry
        if (data_valid) content: assert (data == sent);  // what is written is the entry taken, with the phase of its lap
        if (was_kept) stays: assert (data_valid && {data, req_addr} == was_out);  // an entry waits unchanged
        fair: assert (passed < SOURCES);  // a source that has an entry waits for at most three others
        inv_tail: assert (tail == ((told + {15'd0, under_way}) & mask) && tail <= mask && told <= mask && head <= mask);  // of the entries taken memory lacks at most one
        inv_used: assert (((told - head) & mask) <= used && used <= mask);  // the head is never past what was written
        inv_phase: assert (phase == lap);  // both know the lap
        inv_passed: assert (passed + {1'b0, to_k} < SOURCES);  // each that is served brings the turn nearer
        inv_set: assert (chk_base == base && chk_log2 == log2 && chk_active == on && chk_head == {16'd0, head} && log2 >= 2 && log2 <= 12 && base[5:0] == 0);  // both know the ring
        inv_at: assert (chk_tail == {16'd0, told} && chk_byte == 0 && chk_first && !chk_have_a && !chk_have_d && chk_sq_base == 0 && chk_sq_log2 == 2);  // the checker is between two entries
        inv_chk: assert (chk_phase == (under_way && tail == 16'd0 ? !lap : lap));  // the checker's lap is that of the entry it waits for
        inv_bursts: assert (chk_wr - chk_rd == (data_valid && !req_valid));  // an address waits for its data
        if (!on) inv_off: assert (!data_valid && !req_valid && tail == 0 && head == 0 && told == 0 && lap && pending == 0);  // nothing happens before the device is on
        if (on) inv_base: assert (base >= 64'h1000 && base < 64'h0001_0000_0000_0000);  // the ring lies where the driver put it
        if (data_valid) inv_addr: assert (req_addr == base + {43'd0, told, 5'd0} && pending != 0);  // the address of the entry under way
        if (data_valid) inv_sent: assert (sent[255:248] == {7'd0, chk_phase});  // its phase is the one the checker waits for
        if (req_valid) inv_both: assert (data_valid);  // an address comes with data
        if (data_valid && !req_valid) inv_queue: assert (chk_queue[chk_rd[0]*72 +: 72] == {client, req_addr});  // the checker has the address
    end

    always @* if (started && !rst) begin
        full: cover (on && free == 0 && valid != 0 && !data_valid);  // the ring is full and a source waits
        second_lap: cover (data_moves && !lap && told == 0);  // the first entry of the second lap is written
        all_wait: cover (passed == 3 && ready[k]);  // a source waits for the three others
    end
endmodule

`default_nettype wire
