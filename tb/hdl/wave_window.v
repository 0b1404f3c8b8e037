// wave_window: writes the waves of tb_top from a cycle on, and the commit stream as rows that people read.
//
// Plusargs: +wave_file=PATH switches the waves on; +wave_from=CYCLE is where they begin (default 0, the start).
// `commit_row` and `delivery_row` are ASCII: the last commit of tcp_engine and of delivery_engine, by the names of the
// layout's enumerations. They change with the rising edge that retires the record, the edge whose cycle every report
// names. The signals beside them are the record's fields; GTKWave shows the enumerations as words (tb/waves.py).
// In the build only with the macro WAVES.
`default_nettype none
`include "chimney_layout.vh"
module wave_window (
    input  wire                  clk,
    input  wire                  rst,
    input  wire [63:0]           cycle,
    input  wire                  tcp_valid,
    input  wire [`REC_TCP_W-1:0] tcp_data,
    input  wire                  dlv_valid,
    input  wire [`REC_DLV_W-1:0] dlv_data
);
    `include "layout_words.vh"

    localparam ROW = 96;                     // characters

    reg [8*ROW-1:0] commit_row, delivery_row;
    reg [63:0]      commit_cycle;            // of the edge that retired it; `cycle` itself counts on with that edge
    reg [31:0]      order, tick, cause;
    reg [15:0]      conn;
    reg [3:0]       tcp_evt, tcp_state;
    reg [1:0]       phase, verdict;
    reg [7:0]       opcode;
    reg [3:0]       tx_kind;                 // what went into the transmit queue, or NONE
    reg [31:0]      snd_una, snd_nxt, snd_max, snd_wnd, rcv_nxt, cwnd, ssthresh;
    reg [15:0]      delivery_conn;
    reg [3:0]       dlv_evt;
    reg [7:0]       delivery_opcode;

    wire [`TCB_W-1:0] tcb = tcp_data[`REC_TCP_TCB];
    wire [`TXQ_W-1:0] txq = tcp_data[`REC_TCP_TX0];

    initial begin
        commit_row      = {8*ROW{1'b0}};
        delivery_row    = {8*ROW{1'b0}};
        commit_cycle    = 64'd0;
        {order, tick, cause, conn, tcp_evt, tcp_state, phase, verdict, opcode, tx_kind} = 0;
        {snd_una, snd_nxt, snd_max, snd_wnd, rcv_nxt, cwnd, ssthresh} = 0;
        {delivery_conn, dlv_evt, delivery_opcode} = 0;
    end

    always @(posedge clk) begin
        if (tcp_valid && !rst) begin
            commit_cycle = cycle;
            order     = tcp_data[`REC_TCP_ORDER];
            tick      = tcp_data[`REC_TCP_TICK];
            cause     = tcp_data[`REC_TCP_CAUSE];
            conn      = tcp_data[`REC_TCP_CONN];
            tcp_evt   = tcp_data[`REC_TCP_KIND];
            opcode    = tcp_data[`REC_TCP_OPCODE];
            verdict   = tcp_data[`REC_TCP_VERDICT];
            tx_kind   = tcp_data[`REC_TCP_TX0_VALID] ? txq[`TXQ_KIND] : 4'd0;
            phase     = tcb[`TCB_PHASE];
            tcp_state = tcb[`TCB_STATE];
            snd_una   = tcb[`TCB_SND_UNA];
            snd_nxt   = tcb[`TCB_SND_NXT];
            snd_max   = tcb[`TCB_SND_MAX];
            snd_wnd   = tcb[`TCB_SND_WND];
            rcv_nxt   = tcb[`TCB_RCV_NXT];
            cwnd      = tcb[`TCB_CWND];
            ssthresh  = tcb[`TCB_SSTHRESH];
            if (tcp_evt == `TCP_EVT_COMMAND)
                $swrite(commit_row, "c%0d %0s %0d: %0s %0s una %0d nxt %0d rcv %0d %0s", conn,
                        opcode_word(opcode), cause, phase_word({6'd0, phase}), tcp_state_word({4'd0, tcp_state}),
                        snd_una, snd_nxt, rcv_nxt, tx_kind == 4'd0 ? "" : tx_kind_word({4'd0, tx_kind}));
            else
                $swrite(commit_row, "c%0d %0s %0d: %0s una %0d nxt %0d rcv %0d cwnd %0d %0s", conn,
                        tcp_evt_word({4'd0, tcp_evt}), cause, tcp_state_word({4'd0, tcp_state}),
                        snd_una, snd_nxt, rcv_nxt, cwnd, tx_kind == 4'd0 ? "" : tx_kind_word({4'd0, tx_kind}));
        end
        if (dlv_valid && !rst) begin
            delivery_conn   = dlv_data[`REC_DLV_CONN];
            dlv_evt         = dlv_data[`REC_DLV_KIND];
            delivery_opcode = dlv_data[`REC_DLV_OPCODE];
            $swrite(delivery_row, "c%0d %0s %0d: consumed %0d", delivery_conn, dlv_evt_word({4'd0, dlv_evt}),
                    dlv_data[`REC_DLV_CAUSE], dlv_data[`REC_DLV_CONSUMED]);
        end
    end

    initial begin : window
        reg [8*1024-1:0] path;
        reg [63:0]       from;
        if ($value$plusargs("wave_file=%s", path)) begin
            if (!$value$plusargs("wave_from=%d", from)) from = 64'd0;
            while (cycle < from) @(negedge clk);
            $dumpfile(path);
            $dumpvars(0, tb_top);
        end
    end
endmodule
`default_nettype wire
