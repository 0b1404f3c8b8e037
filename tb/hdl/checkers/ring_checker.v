// ring_checker: rules of the submission and the completion ring, watched at the register port and the memory port.
//
// It knows the rings from the register writes (CONTROL, *_BASE, *_SIZE_LOG2, SQ_TAIL, CQ_HEAD; values the contract says
// are ignored are ignored) and checks while CONTROL[0] was set after the last reset, hard or soft.
// `violation` is high for one cycle with `code` naming the lowest rule broken in the cycle before:
//   1 a descriptor read is not at the next entry of the submission ring (order, size, wrap)
//   2 a descriptor read goes past SQ_TAIL: an entry the driver has not written
//   3 a completion write is not at the next byte of the completion ring (order, size, wrap, one burst an entry)
//   4 a completion entry overruns CQ_HEAD: tail + 1 == head is full
//   5 the phase, the last byte of a completion entry, is not that of the lap
//   6 another client writes into one of the rings, or the device writes into the submission ring
//   7 the driver moves CQ_HEAD past what was written
//   8 the driver moves SQ_TAIL over an entry that was not fetched
// One register write at a time; memory bursts are INCR of full width, data after its address (axi4_checker).
`default_nettype none
`include "chimney_layout.vh"
module ring_checker #(
    parameter DATA_W = 64
) (
    input  wire                clk,
    input  wire                rst,
    // register port
    input  wire [15:0]         s_awaddr,
    input  wire                s_awvalid,
    input  wire                s_awready,
    input  wire [31:0]         s_wdata,
    input  wire                s_wvalid,
    input  wire                s_wready,
    // memory port
    input  wire [63:0]         awaddr,
    input  wire [7:0]          awuser,
    input  wire                awvalid,
    input  wire                awready,
    input  wire [DATA_W-1:0]   wdata,
    input  wire [DATA_W/8-1:0] wstrb,
    input  wire                wlast,
    input  wire                wvalid,
    input  wire                wready,
    input  wire [63:0]         araddr,
    input  wire [7:0]          arlen,
    input  wire [7:0]          aruser,
    input  wire                arvalid,
    input  wire                arready,
    output reg                 violation,
    output reg  [7:0]          code
);
    localparam BYTES = DATA_W / 8;
    localparam DEPTH = 64;                    // bursts under way, more than any slave here takes
    localparam [63:0] ALIGN = ~64'd0 * BYTES; // mask of the bus word
    localparam [63:0] SQE_SIZE = `SQE_BYTES;
    localparam [63:0] CQE_SIZE = `CQE_BYTES;

    // ---- the rings, as the driver set them
    reg [63:0] sq_base, cq_base;
    reg [3:0]  sq_log2, cq_log2;
    reg [31:0] sq_tail, sq_next;              // driver's doorbell; next entry to be read
    reg [31:0] cq_head, cq_tail;              // driver's doorbell; entry being written
    reg [31:0] cq_byte;                       // bytes of it that are written
    reg        phase, active;

    // ---- one register write
    reg        have_a, have_d;
    reg [15:0] reg_addr;
    reg [31:0] reg_data;

    // ---- write bursts
    reg [71:0] queue [0:DEPTH-1];             // client, address
    reg [31:0] q_wr, q_rd;
    reg        w_first;
    reg [63:0] w_addr;                        // bus word of the next beat
    reg [7:0]  w_client;
    reg [63:0] at;                            // first byte of the beat
    reg [31:0] bytes;
    reg [7:0]  last_byte;
    reg [7:0]  found;
    integer    i;

    wire [31:0] sq_mask = (32'd1 << sq_log2) - 32'd1;
    wire [31:0] cq_mask = (32'd1 << cq_log2) - 32'd1;
    wire [63:0] sq_size = SQE_SIZE << sq_log2;
    wire [63:0] cq_size = CQE_SIZE << cq_log2;
    wire [31:0] read_entries = (({24'd0, arlen} + 32'd1) * BYTES) / `SQE_BYTES;
    wire        moving = (s_awvalid && s_awready) || (s_wvalid && s_wready) || (awvalid && awready)
                         || (wvalid && wready) || (arvalid && arready);

    task forget;
        begin
            sq_base = 64'd0; cq_base = 64'd0; sq_log2 = 4'd2; cq_log2 = 4'd2;
            sq_tail = 32'd0; sq_next = 32'd0; cq_head = 32'd0; cq_tail = 32'd0; cq_byte = 32'd0;
            phase = 1'b1; active = 1'b0;
        end
    endtask

    task register_write;
        case (reg_addr)
            `CSR_CONTROL:      if (reg_data[1]) forget; else if (reg_data[0]) active = 1'b1;
            `CSR_SQ_BASE_LO:   sq_base[31:0]  = {reg_data[31:6], 6'd0};
            `CSR_SQ_BASE_HI:   sq_base[63:32] = reg_data;
            `CSR_CQ_BASE_LO:   cq_base[31:0]  = {reg_data[31:6], 6'd0};
            `CSR_CQ_BASE_HI:   cq_base[63:32] = reg_data;
            `CSR_SQ_SIZE_LOG2: if (reg_data >= 32'd2 && reg_data <= 32'd12) sq_log2 = reg_data[3:0];
            `CSR_CQ_SIZE_LOG2: if (reg_data >= 32'd2 && reg_data <= 32'd12) cq_log2 = reg_data[3:0];
            `CSR_SQ_TAIL:
                if (reg_data <= sq_mask) begin
                    if (active && ((reg_data - sq_tail) & sq_mask) > ((sq_next - sq_tail - 32'd1) & sq_mask))
                        found = 8'd8;
                    sq_tail = reg_data;
                end
            `CSR_CQ_HEAD:
                if (reg_data <= cq_mask) begin
                    if (active && ((reg_data - cq_head) & cq_mask) > ((cq_tail - cq_head) & cq_mask)) found = 8'd7;
                    cq_head = reg_data;
                end
            default: ;
        endcase
    endtask

    task write_beat;
        begin
            at        = w_addr;
            bytes     = BYTES;
            last_byte = wdata[DATA_W-8 +: 8];
            if (!(&wstrb)) begin
                for (i = BYTES - 1; i >= 0; i = i - 1) if (wstrb[i]) at = w_addr + i;
                bytes = 32'd0;
                for (i = 0; i < BYTES; i = i + 1)
                    if (wstrb[i]) begin
                        bytes     = bytes + 32'd1;
                        last_byte = wdata[i * 8 +: 8];
                    end
            end
            if (w_client != `WR_CLIENT_COMPLETION) begin
                if (at + bytes > cq_base && at < cq_base + cq_size) found = 8'd6;
            end else begin
                if (cq_byte == 32'd0 && ((cq_tail + 32'd1) & cq_mask) == cq_head) found = 8'd4;
                if (at != cq_base + cq_tail * `CQE_BYTES + cq_byte || cq_byte + bytes > `CQE_BYTES) found = 8'd3;
                cq_byte = cq_byte + bytes;
                if (found == 8'd0 && (cq_byte == `CQE_BYTES) != wlast) found = 8'd3;
                if (cq_byte >= `CQE_BYTES) begin
                    if (found == 8'd0 && last_byte !== {7'd0, phase}) found = 8'd5;
                    cq_byte = 32'd0;
                    if (cq_tail == cq_mask) phase = !phase;
                    cq_tail = (cq_tail + 32'd1) & cq_mask;
                end
            end
            if (at + bytes > sq_base && at < sq_base + sq_size) found = 8'd6;
        end
    endtask

    task descriptor_read;
        begin
            if (read_entries > ((sq_tail - sq_next) & sq_mask)) found = 8'd2;
            if (araddr != sq_base + sq_next * `SQE_BYTES || sq_next + read_entries > sq_mask + 32'd1
                || read_entries * `SQE_BYTES != ({24'd0, arlen} + 32'd1) * BYTES)
                found = 8'd1;
            sq_next = (sq_next + read_entries) & sq_mask;
        end
    endtask

    initial begin
        violation = 1'b0; code = 8'd0; have_a = 1'b0; have_d = 1'b0; w_first = 1'b1; q_wr = 32'd0; q_rd = 32'd0;
        w_addr = 64'd0; w_client = 8'd0; last_byte = 8'd0; reg_addr = 16'd0; reg_data = 32'd0;
        forget;
    end

    always @(posedge clk) begin
        if (rst) begin
            have_a = 1'b0; have_d = 1'b0; w_first = 1'b1; q_wr = 32'd0; q_rd = 32'd0;
            violation <= 1'b0;
            forget;
        end else if (moving === 1'b1 || violation) begin
            found = 8'd0;
            if (s_awvalid && s_awready) begin
                have_a   = 1'b1;
                reg_addr = {s_awaddr[15:2], 2'd0};
            end
            if (s_wvalid && s_wready) begin
                have_d   = 1'b1;
                reg_data = s_wdata;
            end
            if (have_a && have_d) begin
                have_a = 1'b0;
                have_d = 1'b0;
                register_write;
            end
            if (wvalid && wready) begin
                if (w_first) {w_client, w_addr} = queue[q_rd % DEPTH] & {8'hff, ALIGN};
                if (active) write_beat;
                w_addr  = w_addr + BYTES;
                w_first = wlast;
                if (wlast) q_rd = q_rd + 32'd1;
            end
            if (awvalid && awready) begin
                queue[q_wr % DEPTH] = {awuser, awaddr};
                q_wr = q_wr + 32'd1;
            end
            if (arvalid && arready && active && aruser == `RD_CLIENT_DESCRIPTOR) descriptor_read;
            violation <= (found != 8'd0);
            code      <= found;
        end
    end
endmodule
`default_nettype wire
