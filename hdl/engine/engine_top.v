// engine_top: the engine cluster: event_arbiter, tcp_engine, tx_scheduler, timer_scan and the output queues.
//
// Why a block: the cluster's border, with the ports of docs/contract/blocks.md.
//
// s_*: valid/ready sinks; every `ready` pulses at the commit of the event. m_*: valid/ready sources out of FIFOs.
// An event starts only when every queue its class may use has room (4 transmit items: two of the event, two of
// the one before that may still be on their way), so a stalled wire never stops receive, timers or credits.
`default_nettype none
`include "chimney_layout.vh"

module engine_top #(
    parameter CONNS       = 64,                    // connections, power of two, 4..1024
    parameter CONN_W      = $clog2(CONNS),         // derived, do not override
    parameter PATHS       = 8,                     // path table entries, power of two, 2..65536
    parameter NEIGHBORS   = 8,                     // neighbor table entries, power of two, 2..65536
    parameter OOO_RANGES  = `OOO_MAX,              // out-of-order ranges a connection, 1..OOO_MAX
    parameter COMMIT_PORT = 1                      // 0: no commit records
) (
    input  wire                    clk,
    input  wire                    rst,
    input  wire [31:0]             now,

    input  wire                    s_cmd_valid,
    output wire                    s_cmd_ready,
    input  wire [`SQE_W-1:0]       s_cmd_sqe,
    input  wire [15:0]             s_cmd_sq_index,
    input  wire [`TCP_IMAGE_W-1:0] s_cmd_image,
    input  wire [`RX_SEG_W-1:0]    s_cmd_seg,      // FORWARD: its parsed header

    input  wire                    s_rx_valid,
    output wire                    s_rx_ready,
    input  wire [`RX_SEG_W-1:0]    s_rx_seg,

    input  wire                    s_consumed_valid,
    output wire                    s_consumed_ready,
    input  wire [15:0]             s_consumed_conn,
    input  wire [7:0]              s_consumed_gen,
    input  wire [31:0]             s_consumed_bytes,

    input  wire                    s_credit_valid,
    output wire                    s_credit_ready,
    input  wire [15:0]             s_credit_count,

    input  wire                    s_fence_valid,
    output wire                    s_fence_ready,
    input  wire [15:0]             s_fence_conn,
    input  wire [7:0]              s_fence_gen,

    input  wire                    s_fault_valid,
    output wire                    s_fault_ready,
    input  wire [15:0]             s_fault_conn,
    input  wire [7:0]              s_fault_gen,

    input  wire                    s_room,         // 0: the host leaves the completion ring full (rule C.12)
    input  wire                    s_cq_full,      // the completion ring has no free entry

    output wire                    m_txq_valid,
    input  wire                    m_txq_ready,
    output wire [`TXQ_W-1:0]       m_txq,

    output wire                    m_bar_valid,    // a BARRIER, ahead of its place in m_txq
    input  wire                    m_bar_ready,
    output wire [`TXQ_W-1:0]       m_bar,

    output wire                    m_dlv_valid,
    input  wire                    m_dlv_ready,
    output wire [`DLV_MSG_W-1:0]   m_dlv,

    output wire                    m_verdict_valid,
    input  wire                    m_verdict_ready,
    output wire [1:0]              m_verdict,

    output wire                    m_cpl_valid,
    input  wire                    m_cpl_ready,
    output wire [`CQE_W-1:0]       m_cpl,

    output wire                    m_img_valid,
    input  wire                    m_img_ready,
    output wire [`TCB_W-1:0]       m_img_tcb,
    output wire [31:0]             m_img_tick,
    output wire [15:0]             m_img_conn,
    output wire                    m_img_whole,    // 1: QUERY, all 256 bytes; 0: TERMINATE, the delegated 128
    output wire [63:0]             m_img_addr,
    output wire [63:0]             m_img_cookie,
    output wire [15:0]             m_img_sq_index,
    output wire [7:0]              m_img_opcode,

    output wire                    m_del_valid,
    input  wire                    m_del_ready,
    output wire [15:0]             m_del_conn,
    input  wire                    s_del_done,

    output wire                    append_pulse,
    output wire [15:0]             append_conn,
    output wire                    free_pulse,
    output wire [15:0]             free_conn,

    output wire                    stat_in,        // pulses, as in offload_stats
    output wire                    stat_in_packet,
    output wire [15:0]             stat_in_octets,
    output wire                    stat_opened,
    output wire                    stat_closed,
    output wire                    stat_reset,
    output wire                    stat_ipv6,      // family of the connection that they are of

    output wire                    rec_tcp_valid,
    output wire [`REC_TCP_W-1:0]   rec_tcp,
    output wire                    idle
);

    localparam QUEUE = 16, CPL_QUEUE = 4, BARS = 4;
    localparam TXQ_QUEUE = 2 * QUEUE;              // the second half is for BARRIERs alone
    localparam [5:0] TXQ_LIMIT = QUEUE - 4, BAR_LIMIT = TXQ_QUEUE - 4;
    localparam [4:0] LIMIT = QUEUE - 2;
    // what a connection may have to say without the host: FIN, ABORT, RETRIEVE; these never wait for it
    localparam DLV_QUEUE = (CONNS < 16) ? 4 * QUEUE : 4 * CONNS, DLV_W = $clog2(DLV_QUEUE);
    localparam [31:0] DLV_FULL32 = DLV_QUEUE - 2, DLV_LIMIT32 = QUEUE - 2;
    localparam [DLV_W:0] FULL_DLV = DLV_FULL32[DLV_W:0], LIMIT_DLV = DLV_LIMIT32[DLV_W:0];
    localparam [2:0] CPL_LIMIT = CPL_QUEUE - 2, BARS_LIMIT = BARS - 2;

    generate
        if (CONNS < 4 || CONNS > 1024 || (CONNS & (CONNS - 1)) != 0) begin : g_illegal
            engine_top_CONNS_must_be_a_power_of_two_4_to_1024 illegal();
        end
    endgenerate

    wire        evt_valid, evt_ready, evt_room;
    wire [3:0]  evt_kind;
    wire [15:0] evt_conn;
    wire [7:0]  evt_gen;
    wire [31:0] evt_cause;

    wire              put_txq_valid, put_dlv_valid, put_verdict_valid, put_cpl_valid;
    wire [`TXQ_W-1:0] put_txq;
    wire [`DLV_MSG_W-1:0] put_dlv;
    wire [1:0]        put_verdict;
    wire [`CQE_W-1:0] put_cpl;
    wire [5:0]        txq_count;
    wire [DLV_W:0]    dlv_count;
    wire [4:0]        verdict_count;
    wire [2:0]        cpl_count, bar_count;
    wire              txq_space, dlv_space, verdict_space, cpl_space, bar_space;
    wire              put_bar = put_txq_valid && put_txq[`TXQ_KIND] == `TX_KIND_BARRIER;

    wire              set_valid, set_pending, set_deadline_on;
    wire [CONN_W-1:0] set_conn;
    wire [31:0]       set_deadline;
    wire [7:0]        set_gen;
    wire              grant_valid, grant_ready, due_valid, due_ready, any_pending, scan_ready, engine_idle;
    wire [CONN_W-1:0] grant_conn, due_conn;
    wire [7:0]        due_gen;

    wire [7:0] cmd_opcode = s_cmd_sqe[`SQE_OPCODE];
    wire [7:0] cmd_flags  = s_cmd_sqe[`SQE_FLAGS];
    wire       cmd_query  = cmd_opcode == `OPCODE_QUERY && {6'd0, cmd_flags[1:0]} == `OBJECT_CONNECTION;

    event_arbiter arbiter (
        .clk(clk), .rst(rst),
        .s_cmd_valid(s_cmd_valid), .s_cmd_ready(s_cmd_ready), .s_cmd_conn(s_cmd_sqe[`SQE_CONN]),
        .s_cmd_gen(s_cmd_sqe[`SQE_GEN]), .s_cmd_sq_index(s_cmd_sq_index), .s_cmd_img(cmd_query),
        .s_cmd_bars(cmd_opcode == `OPCODE_INVALIDATE), .room_bar(txq_count <= BAR_LIMIT && bar_count <= BARS_LIMIT),
        .s_rx_valid(s_rx_valid), .s_rx_ready(s_rx_ready), .s_rx_conn(s_rx_seg[`RX_SEG_CONN]),
        .s_rx_gen(s_rx_seg[`RX_SEG_GEN]), .s_rx_arrival(s_rx_seg[`RX_SEG_ARRIVAL]),
        .s_grant_valid(grant_valid), .s_grant_ready(grant_ready), .s_grant_conn({{(16-CONN_W){1'b0}}, grant_conn}),
        .s_timer_valid(due_valid && scan_ready), .s_timer_ready(due_ready),
        .s_timer_conn({{(16-CONN_W){1'b0}}, due_conn}), .s_timer_gen(due_gen),
        .s_consumed_valid(s_consumed_valid), .s_consumed_ready(s_consumed_ready), .s_consumed_conn(s_consumed_conn),
        .s_consumed_gen(s_consumed_gen), .s_consumed_bytes(s_consumed_bytes),
        .s_credit_valid(s_credit_valid), .s_credit_ready(s_credit_ready), .s_credit_count(s_credit_count),
        .s_fence_valid(s_fence_valid), .s_fence_ready(s_fence_ready), .s_fence_conn(s_fence_conn),
        .s_fence_gen(s_fence_gen),
        .s_fault_valid(s_fault_valid), .s_fault_ready(s_fault_ready), .s_fault_conn(s_fault_conn),
        .s_fault_gen(s_fault_gen),
        .s_room(s_room), .s_full(s_cq_full), .room_host(dlv_count <= LIMIT_DLV),
        .room_txq(txq_count <= TXQ_LIMIT), .room_dlv(dlv_count <= FULL_DLV), .room_verdict(verdict_count <= LIMIT),
        .room_cpl(cpl_count <= CPL_LIMIT), .room_img(!m_img_valid),
        .m_evt_valid(evt_valid), .m_evt_ready(evt_ready), .m_evt_kind(evt_kind), .m_evt_conn(evt_conn),
        .m_evt_gen(evt_gen), .m_evt_cause(evt_cause), .m_evt_room(evt_room)
    );

    tcp_engine #(
        .CONNS(CONNS), .PATHS(PATHS), .NEIGHBORS(NEIGHBORS), .OOO_RANGES(OOO_RANGES), .COMMIT_PORT(COMMIT_PORT)
    ) engine (
        .clk(clk), .rst(rst), .now(now),
        .s_evt_valid(evt_valid), .s_evt_ready(evt_ready), .s_evt_kind(evt_kind), .s_evt_conn(evt_conn),
        .s_evt_gen(evt_gen), .s_evt_cause(evt_cause), .s_evt_room(evt_room),
        .s_cmd_sqe(s_cmd_sqe), .s_cmd_image(s_cmd_image), .s_cmd_seg(s_cmd_seg), .s_rx_seg(s_rx_seg),
        .put_txq_valid(put_txq_valid), .put_txq(put_txq), .put_dlv_valid(put_dlv_valid), .put_dlv(put_dlv),
        .put_verdict_valid(put_verdict_valid), .put_verdict(put_verdict),
        .put_cpl_valid(put_cpl_valid), .put_cpl(put_cpl),
        .set_valid(set_valid), .set_conn(set_conn), .set_pending(set_pending), .set_deadline_on(set_deadline_on),
        .set_deadline(set_deadline), .set_gen(set_gen),
        .m_img_valid(m_img_valid), .m_img_ready(m_img_ready), .m_img_tcb(m_img_tcb), .m_img_tick(m_img_tick), .m_img_conn(m_img_conn),
        .m_img_whole(m_img_whole), .m_img_addr(m_img_addr), .m_img_cookie(m_img_cookie),
        .m_img_sq_index(m_img_sq_index), .m_img_opcode(m_img_opcode),
        .m_del_valid(m_del_valid), .m_del_ready(m_del_ready), .m_del_conn(m_del_conn), .s_del_done(s_del_done),
        .append_pulse(append_pulse), .append_conn(append_conn), .free_pulse(free_pulse), .free_conn(free_conn),
        .stat_in(stat_in), .stat_in_packet(stat_in_packet), .stat_in_octets(stat_in_octets),
        .stat_opened(stat_opened), .stat_closed(stat_closed), .stat_reset(stat_reset),
        .stat_ipv6(stat_ipv6),
        .rec_tcp_valid(rec_tcp_valid), .rec_tcp(rec_tcp), .idle(engine_idle)
    );

    tx_scheduler #(.CONNS(CONNS)) scheduler (
        .clk(clk), .rst(rst),
        .s_set_valid(set_valid), .s_set_conn(set_conn), .s_set_pending(set_pending),
        .m_grant_valid(grant_valid), .m_grant_ready(grant_ready), .m_grant_conn(grant_conn), .any(any_pending)
    );

    timer_scan #(.CONNS(CONNS)) timers (
        .clk(clk), .rst(rst), .now(now),
        .s_set_valid(set_valid), .s_set_conn(set_conn), .s_set_on(set_deadline_on),
        .s_set_deadline(set_deadline), .s_set_gen(set_gen),
        .m_due_valid(due_valid), .m_due_ready(due_ready), .m_due_conn(due_conn), .m_due_gen(due_gen),
        .init_done(scan_ready)
    );

    fifo #(.WIDTH(`TXQ_W), .DEPTH(BARS)) bar_fifo (
        .clk(clk), .rst(rst), .s_data(put_txq), .s_valid(put_bar), .s_ready(bar_space),
        .m_data(m_bar), .m_valid(m_bar_valid), .m_ready(m_bar_ready), .count(bar_count)
    );

    fifo #(.WIDTH(`TXQ_W), .DEPTH(TXQ_QUEUE)) txq_fifo (
        .clk(clk), .rst(rst), .s_data(put_txq), .s_valid(put_txq_valid), .s_ready(txq_space),
        .m_data(m_txq), .m_valid(m_txq_valid), .m_ready(m_txq_ready), .count(txq_count)
    );

    fifo #(.WIDTH(`DLV_MSG_W), .DEPTH(DLV_QUEUE)) dlv_fifo (
        .clk(clk), .rst(rst), .s_data(put_dlv), .s_valid(put_dlv_valid), .s_ready(dlv_space),
        .m_data(m_dlv), .m_valid(m_dlv_valid), .m_ready(m_dlv_ready), .count(dlv_count)
    );

    fifo #(.WIDTH(2), .DEPTH(QUEUE)) verdict_fifo (
        .clk(clk), .rst(rst), .s_data(put_verdict), .s_valid(put_verdict_valid), .s_ready(verdict_space),
        .m_data(m_verdict), .m_valid(m_verdict_valid), .m_ready(m_verdict_ready), .count(verdict_count)
    );

    fifo #(.WIDTH(`CQE_W), .DEPTH(CPL_QUEUE)) cpl_fifo (
        .clk(clk), .rst(rst), .s_data(put_cpl), .s_valid(put_cpl_valid), .s_ready(cpl_space),
        .m_data(m_cpl), .m_valid(m_cpl_valid), .m_ready(m_cpl_ready), .count(cpl_count)
    );

    assign idle = engine_idle && !evt_valid && !any_pending && !due_valid
                  && !m_txq_valid && !m_bar_valid && !m_dlv_valid && !m_verdict_valid && !m_cpl_valid
                  && !s_cmd_valid && !s_rx_valid && !s_consumed_valid && !s_credit_valid
                  && !s_fence_valid && !s_fault_valid;

    wire unused = &{1'b0, bar_space, txq_space, dlv_space, verdict_space, cpl_space, cmd_flags[7:2]};

`ifdef CHIMNEY_ASSERT
    // event_arbiter must never let the engine run into a full queue
    always @(posedge clk) begin
        if (!rst && ((put_txq_valid && !txq_space) || (put_dlv_valid && !dlv_space)
                     || (put_verdict_valid && !verdict_space) || (put_bar && !bar_space)
                     || (put_cpl_valid && !cpl_space))) begin
            $display("ASSERT %m: push into a full queue");
            $finish;
        end
    end
`endif

endmodule

`default_nettype wire
