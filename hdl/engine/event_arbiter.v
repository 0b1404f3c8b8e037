// event_arbiter: which event tcp_engine takes next.
//
// Why a block: fairness between event classes, and the promise that a started event never waits for a queue.
//
// s_*: valid/ready sinks, one a class. `ready` of the class pulses when its event is committed; until then the
//   payload stays, so the wide arguments (command, segment) go past this block straight to the engine.
// room_*: the queue has space for the worst case of one event, one more just committed included.
// m_evt_*: valid/ready source; kind, connection, generation, cause (rec_tcp.cause). Stable until ready.
// Round robin over the classes; a class without room is passed over. One cycle from request to m_evt_valid.
`default_nettype none
`include "chimney_layout.vh"

module event_arbiter (
    input  wire                 clk,
    input  wire                 rst,

    input  wire                 s_cmd_valid,
    output wire                 s_cmd_ready,
    input  wire [15:0]          s_cmd_conn,
    input  wire [7:0]           s_cmd_gen,
    input  wire [15:0]          s_cmd_sq_index,
    input  wire                 s_cmd_img,         // the command may write an image

    input  wire                 s_rx_valid,
    output wire                 s_rx_ready,
    input  wire [15:0]          s_rx_conn,
    input  wire [7:0]           s_rx_gen,
    input  wire [31:0]          s_rx_arrival,

    input  wire                 s_grant_valid,
    output wire                 s_grant_ready,
    input  wire [15:0]          s_grant_conn,

    input  wire                 s_timer_valid,
    output wire                 s_timer_ready,
    input  wire [15:0]          s_timer_conn,
    input  wire [7:0]           s_timer_gen,

    input  wire                 s_consumed_valid,
    output wire                 s_consumed_ready,
    input  wire [15:0]          s_consumed_conn,
    input  wire [7:0]           s_consumed_gen,
    input  wire [31:0]          s_consumed_bytes,

    input  wire                 s_credit_valid,
    output wire                 s_credit_ready,
    input  wire [15:0]          s_credit_count,

    input  wire                 s_fence_valid,
    output wire                 s_fence_ready,
    input  wire [15:0]          s_fence_conn,
    input  wire [7:0]           s_fence_gen,

    input  wire                 s_fault_valid,
    output wire                 s_fault_ready,
    input  wire [15:0]          s_fault_conn,
    input  wire [7:0]           s_fault_gen,

    input  wire                 s_cmd_bars,        // INVALIDATE: asks for little room, it must not wait for the wire
    input  wire                 room_bar,
    input  wire                 s_room,            // rule C.12, as it is when the event is chosen
    input  wire                 s_full,            // the completion ring is full: nothing may wait for room_cpl
    input  wire                 room_txq,
    input  wire                 room_dlv,          // for an event that asked for nothing of the host
    input  wire                 room_host,         // for one that the host waits for, or that brings text
    input  wire                 room_verdict,
    input  wire                 room_cpl,
    input  wire                 room_img,

    output wire                 m_evt_valid,
    input  wire                 m_evt_ready,
    output reg  [3:0]           m_evt_kind,        // enum tcp_evt
    output reg  [15:0]          m_evt_conn,
    output reg  [7:0]           m_evt_gen,         // 0 for TX_GRANT: the engine takes the one of the TCB
    output reg  [31:0]          m_evt_cause,
    output wire                 m_evt_room         // rule C.12, of the choice
);

    localparam CLASSES = 8;
    localparam CMD = 0, RX = 1, GRANT = 2, TIMER = 3, CONSUMED = 4, CREDIT = 5, FENCE = 6, FAULT = 7;

    wire [CLASSES-1:0] request;
    assign request[CMD]      = s_cmd_valid && room_cpl
                               && (s_cmd_bars ? room_bar : room_txq && room_host && (room_img || !s_cmd_img));
    assign request[RX]       = s_rx_valid && room_dlv && (room_host || !s_room) && room_verdict;
    assign request[GRANT]    = s_grant_valid && room_txq && room_dlv && (room_cpl || !s_room || s_full);
    assign request[TIMER]    = s_timer_valid && room_dlv;
    assign request[CONSUMED] = s_consumed_valid && room_dlv;
    assign request[CREDIT]   = s_credit_valid;
    assign request[FENCE]    = s_fence_valid && room_img;
    assign request[FAULT]    = s_fault_valid && room_dlv;

    reg  [CLASSES-1:0] chosen_reg;                 // one-hot, 0: none
    reg                room_reg;
    wire [CLASSES-1:0] choice;
    wire [2:0]         choice_index;
    wire               choice_valid;
    wire               idle = chosen_reg == {CLASSES{1'b0}};

    rr_arb #(.N(CLASSES)) turn (
        .clk(clk), .rst(rst),
        .req(request), .advance(idle),
        .grant(choice), .index(choice_index), .valid(choice_valid)
    );

    always @(posedge clk) begin
        if (rst)              chosen_reg <= {CLASSES{1'b0}};
        else if (m_evt_ready) chosen_reg <= {CLASSES{1'b0}};
        else if (idle)        chosen_reg <= choice;
    end

    always @(posedge clk) begin
        if (idle) room_reg <= s_room && (room_cpl || !choice[GRANT]);
    end

    assign m_evt_valid = !idle;
    assign m_evt_room  = room_reg;

    wire [CLASSES-1:0] done = m_evt_ready ? chosen_reg : {CLASSES{1'b0}};
    assign s_cmd_ready      = done[CMD];
    assign s_rx_ready       = done[RX];
    assign s_grant_ready    = done[GRANT];
    assign s_timer_ready    = done[TIMER];
    assign s_consumed_ready = done[CONSUMED];
    assign s_credit_ready   = done[CREDIT];
    assign s_fence_ready    = done[FENCE];
    assign s_fault_ready    = done[FAULT];

    always @* begin
        m_evt_kind  = `TCP_EVT_NONE;
        m_evt_conn  = 16'd0;
        m_evt_gen   = 8'd0;
        m_evt_cause = 32'd0;
        if (chosen_reg[CMD]) begin
            m_evt_kind  = `TCP_EVT_COMMAND;
            m_evt_conn  = s_cmd_conn;
            m_evt_gen   = s_cmd_gen;
            m_evt_cause = {16'd0, s_cmd_sq_index};
        end else if (chosen_reg[RX]) begin
            m_evt_kind  = `TCP_EVT_RX_SEGMENT;
            m_evt_conn  = s_rx_conn;
            m_evt_gen   = s_rx_gen;
            m_evt_cause = s_rx_arrival;
        end else if (chosen_reg[GRANT]) begin
            m_evt_kind  = `TCP_EVT_TX_GRANT;
            m_evt_conn  = s_grant_conn;
        end else if (chosen_reg[TIMER]) begin
            m_evt_kind  = `TCP_EVT_TIMER;
            m_evt_conn  = s_timer_conn;
            m_evt_gen   = s_timer_gen;
        end else if (chosen_reg[CONSUMED]) begin
            m_evt_kind  = `TCP_EVT_CONSUMED;
            m_evt_conn  = s_consumed_conn;
            m_evt_gen   = s_consumed_gen;
            m_evt_cause = s_consumed_bytes;
        end else if (chosen_reg[CREDIT]) begin
            m_evt_kind  = `TCP_EVT_CREDIT;
            m_evt_cause = {16'd0, s_credit_count};
        end else if (chosen_reg[FENCE]) begin
            m_evt_kind  = `TCP_EVT_FENCE_DONE;
            m_evt_conn  = s_fence_conn;
            m_evt_gen   = s_fence_gen;
        end else if (chosen_reg[FAULT]) begin
            m_evt_kind  = `TCP_EVT_FAULT;
            m_evt_conn  = s_fault_conn;
            m_evt_gen   = s_fault_gen;
        end
    end

    wire unused = &{1'b0, choice_index, choice_valid};

endmodule

`default_nettype wire
