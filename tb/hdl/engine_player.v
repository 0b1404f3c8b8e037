// engine_player: plays a file of events into engine_top, back to back, and writes down everything that comes out of it.
//
// Why a block: with Python at every clock a commit costs milliseconds. Here Python writes the events of a batch, flips
// `go`, and wakes at the next flip of `done`, when the file of the batch's records is closed.
//
// +batch=PATH, read at `go`: lines "<op> <argument>", both hexadecimal, carried out in order, at most one a cycle. A line
//   waits until its place is free, so that all six sinks of engine_top are fed at once:
//   1 COMMAND {seg, image, sqe, sq_index[15:0]}   2 RX_SEGMENT {seg}         3 CONSUMED {bytes[31:0], gen[7:0], conn[15:0]}
//   4 CREDIT {count[15:0]}                        5 FENCE {gen, conn}        6 FAULT {gen, conn}
//   7 TICK {now[31:0]}     9 WAIT {cycles[15:0]}  A DRAIN: go on when the cluster has nothing to do any more
//   8 LEVEL {cq_full, room, stall}: stall has 4 bits for each of txq, bar, dlv, verdict, cpl, img from bit 0 up; that
//     queue is taken from in (16 - n) of 16 cycles
// The batch is over when every line was taken. Grants and timers that still wait go on in the next one.
// +records=PATH, written anew each batch: lines "<tag> <cycle, decimal> <fields, hexadecimal>":
//   T commit record   Q txq   B bar   D dlv   V verdict   C cpl   X connection whose look-up entry goes
//   I image {tcb tick conn whole addr cookie sq_index opcode}   A append conn   F free conn
//   N statistics {in, packet, octets, opened, closed, reset, ipv6}   S now   L level   Z 0: drained, 1: stands still
// Stands still: no commit and no line carried out in STUCK cycles. What comes out is written in the cycle it is taken in.
`default_nettype none
`include "chimney_layout.vh"

module engine_player #(
    parameter CONNS       = 64,                    // connections, power of two, 4..1024
    parameter COMMIT_PORT = 1                      // 1: nothing is compared without records
);
    // ================================================================ PYTHON
    reg          go;                               // toggles: play the file
    wire         done;                             // toggles: the batch is over
    // ============================================================ END PYTHON

    localparam [3:0] COMMAND = 4'd1, SEGMENT = 4'd2, CONSUMED = 4'd3, CREDIT = 4'd4, FENCE = 4'd5, FAULT = 4'd6,
                     TICK = 4'd7, LEVEL = 4'd8, WAIT = 4'd9, DRAIN = 4'd10;
    localparam CMD_W = 16 + `SQE_W + `TCP_IMAGE_W + `RX_SEG_W;
    localparam [31:0] STUCK = 4000;                // cycles
    localparam [31:0] QUIET = CONNS + 16;          // cycles in which timer_scan has seen every connection

    wire        clk, rst, rst_done;
    wire [63:0] cycle;
    clk_rst clock (.clk(clk), .rst(rst), .cycle(cycle), .rst_req(1'b0), .rst_done(rst_done));

    reg [8*1024-1:0] batch_path, record_path;
    integer          batch, out, got;
    reg              playing, have, go_seen;
    reg [3:0]        op;
    reg [CMD_W-1:0]  argument;                     // of the line that is next
    reg [15:0]       wait_left;
    reg [31:0]       quiet, silent;
    reg [31:0]       lfsr;                         // of the stalls

    reg [31:0]       now;
    reg              room, cq_full;
    reg [23:0]       stall;
    reg              cmd_valid, rx_valid, consumed_valid, credit_valid, fence_valid, fault_valid;
    reg [CMD_W-1:0]  cmd;
    reg [`RX_SEG_W-1:0] rx;
    reg [55:0]       consumed;
    reg [15:0]       credit;
    reg [23:0]       fence, fault;
    reg [2:0]        delete_left;                  // cycles until the look-up entry is gone

    wire             cmd_ready, rx_ready, consumed_ready, credit_ready, fence_ready, fault_ready, idle;
    wire             txq_valid, bar_valid, dlv_valid, verdict_valid, cpl_valid, img_valid, del_valid;
    wire [`TXQ_W-1:0] txq, bar;
    wire [`DLV_MSG_W-1:0] dlv;
    wire [1:0]       verdict;
    wire [`CQE_W-1:0] cpl;
    wire [`TCB_W-1:0] img_tcb;
    wire [31:0]      img_tick;
    wire [15:0]      img_conn, img_sq_index, del_conn, append_conn, free_conn, stat_octets;
    wire [63:0]      img_addr, img_cookie;
    wire [7:0]       img_opcode;
    wire             img_whole, append_pulse, free_pulse;
    wire             stat_in, stat_packet, stat_opened, stat_closed, stat_reset, stat_ipv6;
    wire             rec_valid;
    wire [`REC_TCP_W-1:0] rec;

    wire txq_ready     = lfsr[3:0]   >= stall[3:0];
    wire bar_ready     = lfsr[8:5]   >= stall[7:4];
    wire dlv_ready     = lfsr[12:9]  >= stall[11:8];
    wire verdict_ready = lfsr[17:14] >= stall[15:12];
    wire cpl_ready     = lfsr[22:19] >= stall[19:16];
    wire img_ready     = lfsr[27:24] >= stall[23:20];
    wire del_ready     = lfsr[30];
    wire del_done      = delete_left == 3'd1;

    engine_top #(.CONNS(CONNS), .COMMIT_PORT(COMMIT_PORT)) engines (
        .clk(clk), .rst(rst), .now(now),
        .s_cmd_valid(cmd_valid), .s_cmd_ready(cmd_ready), .s_cmd_sq_index(cmd[15:0]), .s_cmd_sqe(cmd[16 +: `SQE_W]),
        .s_cmd_image(cmd[16 + `SQE_W +: `TCP_IMAGE_W]), .s_cmd_seg(cmd[CMD_W-1 -: `RX_SEG_W]),
        .s_rx_valid(rx_valid), .s_rx_ready(rx_ready), .s_rx_seg(rx),
        .s_consumed_valid(consumed_valid), .s_consumed_ready(consumed_ready), .s_consumed_conn(consumed[15:0]),
        .s_consumed_gen(consumed[23:16]), .s_consumed_bytes(consumed[55:24]),
        .s_credit_valid(credit_valid), .s_credit_ready(credit_ready), .s_credit_count(credit),
        .s_fence_valid(fence_valid), .s_fence_ready(fence_ready), .s_fence_conn(fence[15:0]), .s_fence_gen(fence[23:16]),
        .s_fault_valid(fault_valid), .s_fault_ready(fault_ready), .s_fault_conn(fault[15:0]), .s_fault_gen(fault[23:16]),
        .s_room(room), .s_cq_full(cq_full),
        .m_txq_valid(txq_valid), .m_txq_ready(txq_ready), .m_txq(txq),
        .m_bar_valid(bar_valid), .m_bar_ready(bar_ready), .m_bar(bar),
        .m_dlv_valid(dlv_valid), .m_dlv_ready(dlv_ready), .m_dlv(dlv),
        .m_verdict_valid(verdict_valid), .m_verdict_ready(verdict_ready), .m_verdict(verdict),
        .m_cpl_valid(cpl_valid), .m_cpl_ready(cpl_ready), .m_cpl(cpl),
        .m_img_valid(img_valid), .m_img_ready(img_ready), .m_img_tcb(img_tcb), .m_img_tick(img_tick),
        .m_img_conn(img_conn), .m_img_whole(img_whole), .m_img_addr(img_addr), .m_img_cookie(img_cookie),
        .m_img_sq_index(img_sq_index), .m_img_opcode(img_opcode),
        .m_del_valid(del_valid), .m_del_ready(del_ready), .m_del_conn(del_conn), .s_del_done(del_done),
        .append_pulse(append_pulse), .append_conn(append_conn), .free_pulse(free_pulse), .free_conn(free_conn),
        .stat_in(stat_in), .stat_in_packet(stat_packet), .stat_in_octets(stat_octets), .stat_opened(stat_opened),
        .stat_closed(stat_closed), .stat_reset(stat_reset), .stat_ipv6(stat_ipv6),
        .rec_tcp_valid(rec_valid), .rec_tcp(rec), .idle(idle)
    );

    // Python wakes on this flip: the file is closed by then.
    reg flip;
    assign done = flip;

    wire any_valid = cmd_valid || rx_valid || consumed_valid || credit_valid || fence_valid || fault_valid;

    // whether the line that is next can be carried out in this cycle
    reg fits;
    always @* begin
        case (op)
            COMMAND:  fits = !cmd_valid || cmd_ready;
            SEGMENT:  fits = !rx_valid || rx_ready;
            CONSUMED: fits = !consumed_valid || consumed_ready;
            CREDIT:   fits = !credit_valid || credit_ready;
            FENCE:    fits = !fence_valid || fence_ready;
            FAULT:    fits = !fault_valid || fault_ready;
            DRAIN:    fits = quiet >= QUIET;
            default:  fits = 1'b1;
        endcase
        if (wait_left != 16'd0) fits = 1'b0;
    end

    initial begin
        go = 1'b0; go_seen = 1'b0; flip = 1'b0; playing = 1'b0; have = 1'b0; op = 4'd0;
        now = 32'd0; room = 1'b1; cq_full = 1'b0; stall = 24'd0; lfsr = 32'h1ACE_B00C; delete_left = 3'd0;
        wait_left = 16'd0; quiet = 32'd0; silent = 32'd0; batch = 0; out = 0;
        cmd_valid = 1'b0; rx_valid = 1'b0; consumed_valid = 1'b0; credit_valid = 1'b0; fence_valid = 1'b0;
        fault_valid = 1'b0; rx = 0; cmd = 0; consumed = 56'd0; credit = 16'd0; fence = 24'd0; fault = 24'd0;
        if (!$value$plusargs("batch=%s", batch_path)) $display("engine_player: +batch=PATH is missing");
        if (!$value$plusargs("records=%s", record_path)) $display("engine_player: +records=PATH is missing");
    end

    task write_down;
        begin
            if (rec_valid) $fwrite(out, "T %0d %h\n", cycle, rec);
            if (append_pulse) $fwrite(out, "A %0d %h\n", cycle, append_conn);
            if (free_pulse) $fwrite(out, "F %0d %h\n", cycle, free_conn);
            if (stat_in || stat_opened || stat_closed)
                $fwrite(out, "N %0d %h %h %h %h %h %h %h\n", cycle, stat_in, stat_packet, stat_octets, stat_opened,
                        stat_closed, stat_reset, stat_ipv6);
            if (txq_valid && txq_ready) $fwrite(out, "Q %0d %h\n", cycle, txq);
            if (bar_valid && bar_ready) $fwrite(out, "B %0d %h\n", cycle, bar);
            if (dlv_valid && dlv_ready) $fwrite(out, "D %0d %h\n", cycle, dlv);
            if (verdict_valid && verdict_ready) $fwrite(out, "V %0d %h\n", cycle, verdict);
            if (cpl_valid && cpl_ready) $fwrite(out, "C %0d %h\n", cycle, cpl);
            if (del_valid && del_ready) $fwrite(out, "X %0d %h\n", cycle, del_conn);
            if (img_valid && img_ready)
                $fwrite(out, "I %0d %h %h %h %h %h %h %h %h\n", cycle, img_tcb, img_tick, img_conn, img_whole, img_addr,
                        img_cookie, img_sq_index, img_opcode);
        end
    endtask

    task carry_out;
        begin
            case (op)
                COMMAND:  begin cmd_valid <= 1'b1; cmd <= argument; end
                SEGMENT:  begin rx_valid <= 1'b1; rx <= argument[`RX_SEG_W-1:0]; end
                CONSUMED: begin consumed_valid <= 1'b1; consumed <= argument[55:0]; end
                CREDIT:   begin credit_valid <= 1'b1; credit <= argument[15:0]; end
                FENCE:    begin fence_valid <= 1'b1; fence <= argument[23:0]; end
                FAULT:    begin fault_valid <= 1'b1; fault <= argument[23:0]; end
                TICK:     begin now <= argument[31:0]; $fwrite(out, "S %0d %h\n", cycle, argument[31:0]); end
                LEVEL: begin
                    {cq_full, room, stall} <= argument[25:0];
                    $fwrite(out, "L %0d %h\n", cycle, argument[25:0]);
                end
                WAIT:     wait_left <= argument[15:0];
                default:  $fwrite(out, "Z %0d 0\n", cycle);
            endcase
        end
    endtask

    task read_line;
        begin
            got  = $fscanf(batch, "%h %h", op, argument);
            have = got == 2;
        end
    endtask

    task finish;
        begin
            $fclose(batch);
            $fclose(out);
            playing <= 1'b0;
            flip    <= !flip;
        end
    endtask

    always @(posedge clk) begin
        lfsr <= {lfsr[30:0], lfsr[31] ^ lfsr[21] ^ lfsr[1] ^ lfsr[0]};
        if (del_valid && del_ready)    delete_left <= {1'b0, lfsr[1:0]} + 3'd1;
        else if (delete_left != 3'd0)  delete_left <= delete_left - 3'd1;
        if (wait_left != 16'd0)        wait_left <= wait_left - 16'd1;
        quiet  <= (idle && !any_valid && playing && !(have && fits)) ? quiet + 32'd1 : 32'd0;
        silent <= (playing && !rec_valid && !(have && fits)) ? silent + 32'd1 : 32'd0;

        if (cmd_ready)      cmd_valid      <= 1'b0;
        if (rx_ready)       rx_valid       <= 1'b0;
        if (consumed_ready) consumed_valid <= 1'b0;
        if (credit_ready)   credit_valid   <= 1'b0;
        if (fence_ready)    fence_valid    <= 1'b0;
        if (fault_ready)    fault_valid    <= 1'b0;

        if (playing) begin
            write_down;
            if (have && fits) begin
                carry_out;
                read_line;
            end else if (silent == STUCK) begin
                $fwrite(out, "Z %0d 1\n", cycle);
                finish;
            end else if (!have && !any_valid && wait_left == 16'd0) begin
                finish;
            end
        end else if (go != go_seen && !rst) begin
            go_seen <= go;
            playing <= 1'b1;
            batch   = $fopen(batch_path, "r");
            out     = $fopen(record_path, "w");
            read_line;
            write_down;
        end
    end

    wire unused = &{1'b0, rst_done};
endmodule
`default_nettype wire
