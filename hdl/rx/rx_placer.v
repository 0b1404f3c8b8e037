// rx_placer: moves received bytes to host memory and releases what is said about them when they are visible.
//
// Why a block: the only writer of payload; order between placements, copies, raw frames and entries is kept here.
//
// s_plq_*: actions of delivery_engine, in order. s_head_* / m_rd_* / s_buf_*: head frame, reads and bytes of
//   rx_buffer. s_raw_*: numbers of posted raw buffers. m_crd_* / s_crd_*: read client COPY. m_pwr_*: write client
//   PLACER, at most WRITES requests outstanding.
// m_dcpl_*: entries of the actions; m_rcpl_*: RAW_RX entries. An entry leaves when its write and all earlier ones
//   have their done. freeze_done_*: pulse, behind the entry. fault_*: pulse, an action's read or write failed.
// One action a cycle is started when its write request, its read and its place in the queues are free; the bytes
// follow while the next ones start. A COPY waits until every placement is visible, since it may read what they wrote;
// copies follow each other at once (copy_store) and hold up what is behind them until their writes were requested,
// or, with `barrier`, until their bytes are visible.
// s_cq_full: the host leaves the completion ring full. Then a raw frame behind RAW_WAIT raw entries is dropped, so
//   that the frame behind it gets its turn, and up to PLACES actions wait for their entry; else QUEUE.
// A COPY whose read fails writes nothing; if it was one of a forwarded segment, the entry of the FORWARD behind it says
// ABORTED. A frame without a raw buffer is dropped (`drop_pulse`).
`include "chimney_layout.vh"
`default_nettype none

module rx_placer #(
    parameter DATA_W = 64,                     // bits: 64, 128, 256, 512
    parameter WRITES = 16,                     // write requests outstanding, a power of two
    parameter PLACES = 512                     // actions waiting for the host, a power of two: all that text which
                                               // was accepted, and messages in front of it, may have to say
) (
    input  wire              clk,
    input  wire              rst,
    input  wire [63:0]       raw_base,
    input  wire              s_cq_full,

    input  wire              s_plq_valid,
    output wire              s_plq_ready,
    input  wire [`PLQ_W-1:0] s_plq,
    input  wire              s_plq_fwd,        // the COPY is one of a forwarded segment

    input  wire              s_head_valid,
    input  wire              s_head_place,
    input  wire              s_head_raw,
    input  wire [31:0]       s_head_arrival,
    input  wire [15:0]       s_head_len,
    output wire              m_rd_valid,
    input  wire              m_rd_ready,
    output wire [15:0]       m_rd_offset,
    output wire [15:0]       m_rd_len,
    output wire              m_rd_retire,
    input  wire              s_buf_valid,
    output wire              s_buf_ready,
    input  wire [DATA_W-1:0] s_buf_data,
    input  wire              s_buf_last,

    input  wire              s_raw_valid,
    output wire              s_raw_ready,
    input  wire [15:0]       s_raw_index,

    output wire              m_crd_req_valid,
    input  wire              m_crd_req_ready,
    output wire [63:0]       m_crd_req_addr,
    output wire [15:0]       m_crd_req_len,
    input  wire              s_crd_valid,
    output wire              s_crd_ready,
    input  wire [DATA_W-1:0] s_crd_data,
    input  wire              s_crd_last,
    input  wire              s_crd_error,

    output wire              m_pwr_req_valid,
    input  wire              m_pwr_req_ready,
    output wire [63:0]       m_pwr_req_addr,
    output wire [15:0]       m_pwr_req_len,
    output wire              m_pwr_valid,
    input  wire              m_pwr_ready,
    output wire [DATA_W-1:0] m_pwr_data,
    output wire              m_pwr_last,
    input  wire              s_pwr_done,
    input  wire              s_pwr_done_error,

    output wire              m_dcpl_valid,
    input  wire              m_dcpl_ready,
    output wire [`CQE_W-1:0] m_dcpl,
    output wire              m_rcpl_valid,
    input  wire              m_rcpl_ready,
    output wire [`CQE_W-1:0] m_rcpl,

    output wire              freeze_done_valid,
    output wire [15:0]       freeze_done_conn,
    output wire [7:0]        freeze_done_gen,
    output wire              fault_valid,
    output wire [15:0]       fault_conn,
    output wire [7:0]        fault_gen,

    output wire              raw_pulse,        // a frame went to a raw buffer
    output wire              drop_pulse,       // a raw frame found no buffer
    output wire [15:0]       waiting,          // actions of the plq whose entry has not left
    output wire              busy
);

    localparam [1:0] FROM_BUFFER = 2'd0;
    localparam [1:0] FROM_COPY   = 2'd1;
    localparam [1:0] FROM_LIST   = 2'd2;
    localparam QUEUE   = 2 * WRITES;           // actions whose entry has not left, while the host reads
    localparam RAW_WAIT = 16;                  // raw frames among them
    localparam PLACE_W = $clog2(PLACES) + 1;
    localparam RAW_W   = $clog2(RAW_WAIT) + 1;
    localparam [31:0] USUAL32 = QUEUE, LEFT32 = PLACES - RAW_WAIT, RAW32 = RAW_WAIT;
    localparam [PLACE_W-1:0] ONE_PLACE = 1;
    localparam [RAW_W-1:0]   ONE_RAW   = 1;
    localparam COPIES  = 8;                    // copies being read or waiting for their write
    localparam COUNT_W = $clog2(WRITES) + 1;
    localparam COPY_W  = $clog2(COPIES) + 1;
    localparam ITEM_W  = 1 + 1 + 1 + 1 + 1 + 16 + 8 + `CQE_W;
    localparam [15:0]        LIST_BYTES = `LEFT_OVER_W / 8;
    localparam [COUNT_W-1:0] ONE        = 1;
    localparam [COPY_W-1:0]  ONE_COPY   = 1;

    // ---- what can start
    wire [1:0] op      = s_plq[`PLQ_OP];
    wire       op_copy = op == `PL_OP_COPY;
    wire       op_list = op == `PL_OP_LIST_WRITE;
    wire       op_put  = op == `PL_OP_PLACE;
    wire       op_none = op == `PL_OP_NONE;

    generate
        if (PLACES < 4 * QUEUE || (PLACES & (PLACES - 1)) != 0) begin : g_illegal
            rx_placer_PLACES_must_be_a_power_of_two_of_at_least_8_WRITES illegal();
        end
    endgenerate

    reg  [COUNT_W-1:0] writes_reg;             // write requests without a done
    reg                dirty_reg;              // one of them may be a placement
    reg  [COPY_W-1:0]  copies_reg;             // copies that have neither failed nor requested their write
    reg                turn_raw_reg;           // the last action was from the plq
    reg                barrier_reg;            // a copy that what follows may read is not visible
    wire               wreq_free, source_ready, item_ready, copy_ready;

    // ---- places for what waits for the host; the last RAW_WAIT are the raw frames'
    reg  [PLACE_W-1:0] plq_items_reg;
    reg  [RAW_W-1:0]   raw_items_reg;
    wire raw_place = raw_items_reg != RAW32[RAW_W-1:0];
    wire plq_place = plq_items_reg < (s_cq_full ? LEFT32[PLACE_W-1:0] : USUAL32[PLACE_W-1:0]);
    assign waiting = {{(16-PLACE_W){1'b0}}, plq_items_reg};

    wire write_room = wreq_free && source_ready && !writes_reg[COUNT_W-1];
    wire no_copies  = copies_reg == 0;
    wire start_ok   = plq_place && no_copies;
    wire head_mine  = s_head_valid && s_head_place && s_head_arrival == s_plq[`PLQ_ARRIVAL];

    wire op_waits   = s_plq_valid && plq_place && (op_copy || (barrier_reg && !op_none));
    wire raw_turn   = !op_waits || turn_raw_reg;
    wire raw_want   = s_head_valid && s_head_raw && no_copies && (raw_place || s_cq_full);
    wire raw_fire   = raw_want && raw_turn && s_raw_valid && raw_place && write_room && m_rd_ready;
    wire no_buffer  = raw_want && raw_turn && !(s_raw_valid && raw_place) && m_rd_ready;
    wire skip_fire  = s_head_valid && !s_head_raw && !s_head_place && m_rd_ready;
    wire frame_fire = raw_fire || no_buffer || skip_fire;
    wire raw_next   = s_head_valid && s_head_raw && turn_raw_reg;      // copies let a raw frame in between

    wire start_can = (op_none && !raw_fire)
                  || (op_put  && head_mine && write_room && m_rd_ready)
                  || (op_list && write_room && !raw_fire);
    wire copy_can  = plq_place && copy_ready && !dirty_reg && !raw_next && !raw_fire;
    wire plq_can   = (op_copy ? copy_can : start_ok && start_can) && (op_none || !barrier_reg);
    wire plq_fire  = s_plq_valid && plq_can;
    wire put_fire  = plq_fire && op_put;
    wire copy_fire = plq_fire && op_copy;

    assign s_plq_ready = plq_can;
    assign s_raw_ready = raw_fire;

    assign m_rd_valid  = frame_fire || put_fire;
    assign m_rd_offset = put_fire ? s_plq[`PLQ_OFFSET] : 16'd0;
    assign m_rd_len    = put_fire ? s_plq[`PLQ_LEN] : (raw_fire ? s_head_len : 16'd0);
    assign m_rd_retire = !put_fire || s_plq[`PLQ_LAST];

    // ---- copies: read first, written when all of their bytes are here and good
    wire              end_valid, end_error, copied_valid, copied_ready, copied_last;
    wire [63:0]       end_dst;
    wire [15:0]       end_len;
    wire [DATA_W-1:0] copied_data;
    wire              end_write = end_valid && !end_error && write_room;
    wire              end_fail  = end_valid && end_error && writes_reg == 0;    // its result comes behind theirs
    wire              end_fire  = end_write || end_fail;

    copy_store #(.DATA_W(DATA_W), .SLOTS(COPIES)) copies (
        .clk(clk), .rst(rst),
        .s_cp_valid(copy_fire), .s_cp_ready(copy_ready), .s_cp_src(s_plq[`PLQ_SRC]), .s_cp_dst(s_plq[`PLQ_DST]),
        .s_cp_len(s_plq[`PLQ_LEN]),
        .m_crd_req_valid(m_crd_req_valid), .m_crd_req_ready(m_crd_req_ready), .m_crd_req_addr(m_crd_req_addr),
        .m_crd_req_len(m_crd_req_len),
        .s_crd_valid(s_crd_valid), .s_crd_ready(s_crd_ready), .s_crd_data(s_crd_data), .s_crd_last(s_crd_last),
        .s_crd_error(s_crd_error),
        .m_end_valid(end_valid), .m_end_ready(end_fire), .m_end_dst(end_dst), .m_end_len(end_len),
        .m_end_error(end_error),
        .m_valid(copied_valid), .m_ready(copied_ready), .m_data(copied_data), .m_last(copied_last)
    );

    // ---- requests, registered
    reg         wreq_valid_reg;
    reg  [63:0] wreq_addr_reg;
    reg  [15:0] wreq_len_reg;

    wire start_write = raw_fire || (plq_fire && (op_put || op_list));
    wire write_fire  = start_write || end_write;
    wire [63:0] raw_addr = raw_base + {{(48-`POOL_BUF_LOG2){1'b0}}, s_raw_index, {`POOL_BUF_LOG2{1'b0}}};

    assign wreq_free = !wreq_valid_reg || m_pwr_req_ready;

    always @(posedge clk) begin
        if (write_fire) begin
            wreq_addr_reg <= end_write ? end_dst : (raw_fire ? raw_addr : s_plq[`PLQ_DST]);
            wreq_len_reg  <= end_write ? end_len : (raw_fire ? s_head_len : (op_list ? LIST_BYTES : s_plq[`PLQ_LEN]));
        end
    end

    assign m_pwr_req_valid = wreq_valid_reg;
    assign m_pwr_req_addr  = wreq_addr_reg;
    assign m_pwr_req_len   = wreq_len_reg;

    // ---- where the bytes of the write requests come from, in request order
    wire        source_valid, source_done;
    wire [1:0]  source;
    wire [63:0] list_data;
    wire [$clog2(QUEUE):0] source_count;

    fifo #(.WIDTH(66), .DEPTH(QUEUE)) sources (
        .clk(clk), .rst(rst),
        .s_data({end_write ? FROM_COPY : (raw_fire || op_put ? FROM_BUFFER : FROM_LIST), s_plq[`PLQ_LIST_DATA]}),
        .s_valid(write_fire), .s_ready(source_ready),
        .m_data({source, list_data}), .m_valid(source_valid), .m_ready(source_done),
        .count(source_count)
    );

    wire from_buffer = source_valid && source == FROM_BUFFER;
    wire from_copy   = source_valid && source == FROM_COPY;
    wire from_list   = source_valid && source == FROM_LIST;

    reg [DATA_W-1:0] pwr_data;
    always @* begin
        pwr_data = s_buf_data;
        if (source == FROM_COPY) pwr_data = copied_data;
        if (source == FROM_LIST) begin
            pwr_data = {DATA_W{1'b0}};
            pwr_data[63:0] = list_data;
        end
    end

    assign m_pwr_valid = (from_buffer && s_buf_valid) || (from_copy && copied_valid) || from_list;
    assign m_pwr_data  = pwr_data;
    assign m_pwr_last  = (source == FROM_BUFFER) ? s_buf_last : (source == FROM_COPY) ? copied_last : 1'b1;
    assign source_done = m_pwr_valid && m_pwr_ready && m_pwr_last;
    assign s_buf_ready = from_buffer && m_pwr_ready;
    assign copied_ready = from_copy && m_pwr_ready;

    always @(posedge clk) begin
        if (rst) begin
            wreq_valid_reg <= 1'b0;
            dirty_reg      <= 1'b0;
            copies_reg     <= 0;
            turn_raw_reg   <= 1'b0;
            barrier_reg    <= 1'b0;
            writes_reg     <= 0;
        end else begin
            if (write_fire)           wreq_valid_reg <= 1'b1;
            else if (m_pwr_req_ready) wreq_valid_reg <= 1'b0;
            if (start_write)          dirty_reg <= 1'b1;
            else if (writes_reg == 0) dirty_reg <= 1'b0;
            if (copy_fire && !end_fire)      copies_reg <= copies_reg + ONE_COPY;
            else if (end_fire && !copy_fire) copies_reg <= copies_reg - ONE_COPY;
            if (copy_fire && s_plq[`PLQ_BARRIER_LSB]) barrier_reg <= 1'b1;
            else if (no_copies && writes_reg == 0)    barrier_reg <= 1'b0;
            if (plq_fire)                   turn_raw_reg <= 1'b1;
            else if (raw_fire || no_buffer) turn_raw_reg <= 1'b0;
            if (write_fire && !s_pwr_done)      writes_reg <= writes_reg + ONE;
            else if (s_pwr_done && !write_fire) writes_reg <= writes_reg - ONE;
        end
    end

    // ---- results of the writes, in order; that of a copy that failed comes when no write is outstanding
    wire                 result_valid, result_ready, result_error, result_room;
    wire [$clog2(PLACES):0] result_count, item_count;

    fifo #(.WIDTH(1), .DEPTH(PLACES)) results (
        .clk(clk), .rst(rst),
        .s_data(end_fail || s_pwr_done_error), .s_valid(end_fail || s_pwr_done), .s_ready(result_room),
        .m_data(result_error), .m_valid(result_valid), .m_ready(result_ready),
        .count(result_count)
    );

    // ---- actions in order, waiting for their write
    reg [`CQE_W-1:0] raw_cqe;
    always @* begin
        raw_cqe = {`CQE_W{1'b0}};
        raw_cqe[`CQE_KIND]   = `CQ_KIND_RAW_RX;
        raw_cqe[`CQE_NBYTES] = {16'd0, s_head_len};
        raw_cqe[`CQE_BUF]    = s_raw_index;
    end

    wire              item_push = raw_fire || plq_fire;
    wire              item_valid, item_pop;
    wire              item_fwd, item_raw, item_write, item_cqe_valid, item_freeze;
    wire [15:0]       item_conn;
    wire [7:0]        item_gen;
    wire [`CQE_W-1:0] item_cqe;

    fifo #(.WIDTH(ITEM_W), .DEPTH(PLACES)) items (
        .clk(clk), .rst(rst),
        .s_data({copy_fire && s_plq_fwd, raw_fire, raw_fire || !op_none, raw_fire || s_plq[`PLQ_CQE_VALID], !raw_fire && s_plq[`PLQ_FREEZE_DONE],
                 s_plq[`PLQ_CONN], s_plq[`PLQ_GEN], raw_fire ? raw_cqe : s_plq[`PLQ_CQE]}),
        .s_valid(item_push), .s_ready(item_ready),
        .m_data({item_fwd, item_raw, item_write, item_cqe_valid, item_freeze, item_conn, item_gen, item_cqe}),
        .m_valid(item_valid), .m_ready(item_pop),
        .count(item_count)
    );

    wire raw_pop = item_pop && item_raw;
    wire plq_pop = item_pop && !item_raw;

    always @(posedge clk) begin
        if (rst) begin
            plq_items_reg <= 0;
            raw_items_reg <= 0;
        end else begin
            if (plq_fire && !plq_pop)      plq_items_reg <= plq_items_reg + ONE_PLACE;
            else if (plq_pop && !plq_fire) plq_items_reg <= plq_items_reg - ONE_PLACE;
            if (raw_fire && !raw_pop)      raw_items_reg <= raw_items_reg + ONE_RAW;
            else if (raw_pop && !raw_fire) raw_items_reg <= raw_items_reg - ONE_RAW;
        end
    end

    wire visible = item_valid && (!item_write || result_valid);
    wire failed  = item_write && result_error;

    // the copies of a forwarded segment and its entry follow each other, with nothing of another segment in between
    reg  lost_reg;                             // one of them failed
    wire item_forward = item_cqe_valid && !item_raw && item_cqe[`CQE_KIND] == `CQ_KIND_FORWARD;
    always @(posedge clk) begin
        if (rst)                           lost_reg <= 1'b0;
        else if (item_pop && item_forward) lost_reg <= 1'b0;
        else if (item_pop && item_fwd)     lost_reg <= lost_reg || failed;
    end

    reg [`CQE_W-1:0] cqe;
    always @* begin
        cqe = item_cqe;
        if (failed && item_raw)                                       cqe[`CQE_STATUS] = `STATUS_WRITE_ERROR;
        else if (failed && item_cqe[`CQE_KIND] == `CQ_KIND_RECEIVE)   cqe[`CQE_STATUS] = `STATUS_ABORTED;
        else if (item_forward && lost_reg)                            cqe[`CQE_STATUS] = `STATUS_ABORTED;
    end

    assign m_dcpl_valid = visible && item_cqe_valid && !item_raw;
    assign m_rcpl_valid = visible && item_cqe_valid && item_raw;
    assign m_dcpl       = cqe;
    assign m_rcpl       = cqe;
    assign item_pop     = visible && (!item_cqe_valid || (item_raw ? m_rcpl_ready : m_dcpl_ready));
    assign result_ready = item_pop && item_write;

    assign freeze_done_valid = item_pop && item_freeze;
    assign freeze_done_conn  = item_conn;
    assign freeze_done_gen   = item_gen;
    assign fault_valid       = item_pop && failed && !item_raw;
    assign fault_conn        = item_conn;
    assign fault_gen         = item_gen;

    assign raw_pulse  = raw_fire;
    assign drop_pulse = no_buffer;
    assign busy       = item_valid || source_valid || wreq_valid_reg;

`ifdef CHIMNEY_ASSERT
    always @(posedge clk) begin
        if (!rst && s_plq_valid && op_put && s_head_valid && s_head_place && !head_mine) begin
            $display("ASSERT %m: PLACE of frame %0d, but %0d is at the head", s_plq[`PLQ_ARRIVAL], s_head_arrival);
            $finish;
        end
        if (!rst && s_pwr_done && writes_reg == 0) begin
            $display("ASSERT %m: done without a request");
            $finish;
        end
    end
`endif

    wire unused = &{1'b0, source_count, result_count, result_room, item_ready, item_count};

endmodule

`default_nettype wire
