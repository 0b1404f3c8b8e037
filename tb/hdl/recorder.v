// recorder: writes everything the lockstep needs to know as lines of text into the file +records=PATH.
//
//   <tag> <cycle, decimal> <fields, hexadecimal, separated by one space>
//   T D R X C   one field: the record vector of tcp_engine, delivery_engine, rx, tx, completion ring
//   W           client addr strb data resp: bytes written to host memory (resp 0 written, 2 or 3 refused). addr is that
//               of a line of 256 bytes. Beats of one burst in one line share a record, unless another record comes between.
//   F           number bytes: the last beat of a received frame was accepted by the device (numbers from 0)
//   S           tick: the value after this strobe
//   I           level: the interrupt line changed
//   E           checker code: a protocol rule was broken (tb/hdl/checkers)
//   B           wait whole: the segment that tcp_engine commits here waited so many cycles for room behind the engine:
//               since the commit before with the engine free, and in all; the T of it follows. No line, no wait. A wait
//               that lasts is told every 1024 cycles of it, too, with no T
//   A           memory source sink: cycles stalled on purpose by each transactor, when `mark` toggles
//
// The file is flushed in the cycle of the line, so Python, awake in the same time step, sees it. `rec_count` counts
// lines; `rec_wake` toggles when `rec_batch` lines have come since the last wake (0: never).
// Lines of one cycle stand in the order T D C X R W F S I E B A.
`default_nettype none
module recorder #(
    parameter TCP_W  = 8,
    parameter DLV_W  = 8,
    parameter RX_W   = 8,
    parameter TX_W   = 8,
    parameter CQ_W   = 8,
    parameter DATA_W = 64,
    parameter CHECKERS = 1
) (
    input  wire                    clk,
    input  wire [63:0]             cycle,
    input  wire                    tcp_valid,
    input  wire [TCP_W-1:0]        tcp_data,
    input  wire                    dlv_valid,
    input  wire [DLV_W-1:0]        dlv_data,
    input  wire                    rx_valid,
    input  wire [RX_W-1:0]         rx_data,
    input  wire                    tx_valid,
    input  wire [TX_W-1:0]         tx_data,
    input  wire                    cq_valid,
    input  wire [CQ_W-1:0]         cq_data,
    input  wire                    wr_valid,
    input  wire [7:0]              wr_client,
    input  wire [63:0]             wr_addr,
    input  wire [DATA_W/8-1:0]     wr_strb,
    input  wire [DATA_W-1:0]       wr_data,
    input  wire [1:0]              wr_resp,
    input  wire                    wr_last,
    input  wire                    frame_beat,
    input  wire                    frame_last,
    input  wire [DATA_W/8-1:0]     frame_keep,
    input  wire                    tick_strobe,
    input  wire [31:0]             tick,
    input  wire                    irq,
    input  wire [CHECKERS-1:0]     violation,
    input  wire [CHECKERS*8-1:0]   violation_code,
    input  wire                    room_valid,
    input  wire [31:0]             room_wait,
    input  wire [31:0]             room_whole,
    input  wire [31:0]             stall_mem,
    input  wire [31:0]             stall_source,
    input  wire [31:0]             stall_sink,
    input  wire                    mark,         // toggle
    input  wire [31:0]             rec_batch,
    output reg  [31:0]             rec_count,
    output reg                     rec_wake,     // toggle
    output reg  [31:0]             violations
);
    reg [8*1024-1:0] path;
    integer          fd;
    integer          i;
    reg              mark_seen, irq_seen;
    wire             other = tcp_valid || dlv_valid || rx_valid || tx_valid || cq_valid || tick_strobe || (|violation)
                             || room_valid || mark != mark_seen || irq != irq_seen || (frame_beat && frame_last);

    // the line of LINE bytes that is being written, not recorded yet
    localparam LINE = 256, BEAT = DATA_W / 8;
    reg              open;
    reg [7:0]        line_client;
    reg [1:0]        line_resp;
    reg [63:0]       line_addr, line_cycle;
    reg [LINE-1:0]   line_strb;
    reg [8*LINE-1:0] line_data;
    wire [63:0]      beat_line = {wr_addr[63:8], 8'd0};
    wire [LINE-1:0]  beat_strb = {{(LINE - BEAT){1'b0}}, wr_strb} << wr_addr[7:0];
    wire [8*LINE-1:0] beat_data = {{(8*LINE - DATA_W){1'b0}}, wr_data} << {wr_addr[7:0], 3'd0};
    wire             joins = open && wr_client == line_client && wr_resp == line_resp && beat_line == line_addr
                             && (beat_strb & line_strb) == {LINE{1'b0}};
    reg [31:0]       lines, at_wake, frame_number, frame_bytes;

    // Python wakes on this flip: it comes after all that it announces has reached the top level's wires.
    reg flip;
    always @(flip) rec_wake <= flip;

    initial begin
        rec_count    = 32'd0;
        flip         = 1'b0;
        violations   = 32'd0;
        lines        = 32'd0;
        at_wake      = 32'd0;
        frame_number = 32'd0;
        frame_bytes  = 32'd0;
        mark_seen    = 1'b0;
        irq_seen     = 1'b0;
        open         = 1'b0;
        fd           = 0;
        if ($value$plusargs("records=%s", path)) fd = $fopen(path, "w");
        if (fd == 0) fd = $fopen("/dev/null", "w");
    end

    task put_line;
        begin
            $fwrite(fd, "W %0d %h %h %h %h %h\n", line_cycle, line_client, line_addr, line_strb, line_data, line_resp);
            lines = lines + 1;
            open  = 1'b0;
        end
    endtask

    always @(posedge clk) begin
        if (frame_beat) begin
            if (&frame_keep)
                frame_bytes = frame_bytes + DATA_W / 8;
            else
                for (i = 0; i < DATA_W / 8; i = i + 1)
                    frame_bytes = frame_bytes + {31'd0, frame_keep[i]};
        end
        if (open && (other || (wr_valid && !joins))) put_line;
        if (other || wr_valid) begin
            if (tcp_valid) begin $fwrite(fd, "T %0d %h\n", cycle, tcp_data); lines = lines + 1; end
            if (dlv_valid) begin $fwrite(fd, "D %0d %h\n", cycle, dlv_data); lines = lines + 1; end
            if (cq_valid)  begin $fwrite(fd, "C %0d %h\n", cycle, cq_data);  lines = lines + 1; end
            if (tx_valid)  begin $fwrite(fd, "X %0d %h\n", cycle, tx_data);  lines = lines + 1; end
            if (rx_valid)  begin $fwrite(fd, "R %0d %h\n", cycle, rx_data);  lines = lines + 1; end
            if (wr_valid) begin
                line_strb   = beat_strb | (open ? line_strb : {LINE{1'b0}});
                line_data   = beat_data | (open ? line_data : {8*LINE{1'b0}});
                line_client = wr_client;
                line_resp   = wr_resp;
                line_addr   = beat_line;
                line_cycle  = cycle;
                open        = 1'b1;
                if (other || wr_last || line_strb[LINE-1]) put_line;
            end
            if (frame_beat && frame_last) begin
                $fwrite(fd, "F %0d %h %h\n", cycle, frame_number, frame_bytes);
                lines        = lines + 1;
                frame_number = frame_number + 1;
                frame_bytes  = 32'd0;
            end
            if (tick_strobe) begin $fwrite(fd, "S %0d %h\n", cycle, tick); lines = lines + 1; end
            if (irq != irq_seen) begin
                $fwrite(fd, "I %0d %h\n", cycle, irq);
                irq_seen = irq;
                lines    = lines + 1;
            end
            for (i = 0; i < CHECKERS; i = i + 1)
                if (violation[i]) begin
                    $fwrite(fd, "E %0d %h %h\n", cycle, i[7:0], violation_code[i * 8 +: 8]);
                    $display("protocol violation: checker %0d, code %0d, cycle %0d", i, violation_code[i * 8 +: 8], cycle);
                    violations <= violations + 32'd1;
                    lines = lines + 1;
                end
            if (room_valid) begin $fwrite(fd, "B %0d %h %h\n", cycle, room_wait, room_whole); lines = lines + 1; end
            if (mark != mark_seen) begin
                $fwrite(fd, "A %0d %h %h %h\n", cycle, stall_mem, stall_source, stall_sink);
                mark_seen = mark;
                lines     = lines + 1;
            end
            if (!open || other) $fflush(fd);
            rec_count <= lines;
            if (rec_batch != 32'd0 && lines - at_wake >= rec_batch) begin
                at_wake   = lines;
                flip    <= ~flip;
            end
        end
    end
endmodule
`default_nettype wire
