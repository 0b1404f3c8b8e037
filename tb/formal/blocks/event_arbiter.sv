// event_arbiter: an event is kept until the engine takes it, goes to one class, had its room, and no class starves.
// Sinks keep their payload until ready; rooms, and the engine's ready, do as they like.
// `k` is one class that the solver picks once, so what holds of it holds of all.
`default_nettype none
`include "chimney_layout.vh"

module event_arbiter_proof (
    input wire        clk,
    input wire        rst,
    input wire [7:0]  valid,                   // CMD, RX, GRANT, TIMER, CONSUMED, CREDIT, FENCE, FAULT from bit 0
    input wire [15:0] cmd_conn, cmd_sq_index, rx_conn, grant_conn, timer_conn, consumed_conn, credit_count,
    input wire [15:0] fence_conn, fault_conn,
    input wire [7:0]  cmd_gen, rx_gen, timer_gen, consumed_gen, fence_gen, fault_gen,
    input wire [31:0] rx_arrival, consumed_bytes,
    input wire        cmd_img, cmd_bars, s_room, s_full,
    input wire        room_bar, room_txq, room_dlv, room_host, room_verdict, room_cpl, room_img,
    input wire        evt_ready
);
    localparam CMD = 0, RX = 1, GRANT = 2, TIMER = 3, CONSUMED = 4, CREDIT = 5, FENCE = 6, FAULT = 7;

    wire [7:0]  ready;
    wire        evt_valid, evt_room;
    wire [3:0]  kind;
    wire [15:0] conn;
    wire [7:0]  gen;
    wire [31:0] cause;

    event_arbiter dut (
        .clk(clk), .rst(rst),
        .s_cmd_valid(valid[CMD]), .s_cmd_ready(ready[CMD]), .s_cmd_conn(cmd_conn), .s_cmd_gen(cmd_gen),
        .s_cmd_sq_index(cmd_sq_index), .s_cmd_img(cmd_img),
        .s_rx_valid(valid[RX]), .s_rx_ready(ready[RX]), .s_rx_conn(rx_conn), .s_rx_gen(rx_gen), .s_rx_arrival(rx_arrival),
        .s_grant_valid(valid[GRANT]), .s_grant_ready(ready[GRANT]), .s_grant_conn(grant_conn),
        .s_timer_valid(valid[TIMER]), .s_timer_ready(ready[TIMER]), .s_timer_conn(timer_conn), .s_timer_gen(timer_gen),
        .s_consumed_valid(valid[CONSUMED]), .s_consumed_ready(ready[CONSUMED]), .s_consumed_conn(consumed_conn),
        .s_consumed_gen(consumed_gen), .s_consumed_bytes(consumed_bytes),
        .s_credit_valid(valid[CREDIT]), .s_credit_ready(ready[CREDIT]), .s_credit_count(credit_count),
        .s_fence_valid(valid[FENCE]), .s_fence_ready(ready[FENCE]), .s_fence_conn(fence_conn), .s_fence_gen(fence_gen),
        .s_fault_valid(valid[FAULT]), .s_fault_ready(ready[FAULT]), .s_fault_conn(fault_conn), .s_fault_gen(fault_gen),
        .s_cmd_bars(cmd_bars), .room_bar(room_bar), .s_room(s_room), .s_full(s_full), .room_txq(room_txq),
        .room_dlv(room_dlv), .room_host(room_host), .room_verdict(room_verdict), .room_cpl(room_cpl), .room_img(room_img),
        .m_evt_valid(evt_valid), .m_evt_ready(evt_ready), .m_evt_kind(kind), .m_evt_conn(conn), .m_evt_gen(gen),
        .m_evt_cause(cause), .m_evt_room(evt_room)
    );

    (* peek = "dut.chosen_reg" *)     wire [7:0] chosen;
    (* peek = "dut.turn.after_reg" *) wire [7:0] after;
    (* anyconst *)                    wire [2:0] k;

    // ---- the rooms of a class, as the header of event_arbiter has them
    wire [7:0] may;
    assign may[CMD]      = room_cpl && (cmd_bars ? room_bar : room_txq && room_host && (!cmd_img || room_img));
    assign may[RX]       = room_dlv && room_verdict && (room_host || !s_room);
    assign may[GRANT]    = room_txq && room_dlv && (room_cpl || !s_room || s_full);
    assign may[TIMER]    = room_dlv;
    assign may[CONSUMED] = room_dlv;
    assign may[CREDIT]   = 1'b1;
    assign may[FENCE]    = room_img;
    assign may[FAULT]    = room_dlv;

    // ---- what a class brings: flags, connection, generation, the rest
    localparam P = 58;
    wire [8*P-1:0] payload;
    assign payload[CMD*P +: P]      = {cmd_img, cmd_bars, cmd_conn, cmd_gen, 16'd0, cmd_sq_index};
    assign payload[RX*P +: P]       = {2'd0, rx_conn, rx_gen, rx_arrival};
    assign payload[GRANT*P +: P]    = {2'd0, grant_conn, 8'd0, 32'd0};
    assign payload[TIMER*P +: P]    = {2'd0, timer_conn, timer_gen, 32'd0};
    assign payload[CONSUMED*P +: P] = {2'd0, consumed_conn, consumed_gen, consumed_bytes};
    assign payload[CREDIT*P +: P]   = {2'd0, 16'd0, 8'd0, 16'd0, credit_count};
    assign payload[FENCE*P +: P]    = {2'd0, fence_conn, fence_gen, 32'd0};
    assign payload[FAULT*P +: P]    = {2'd0, fault_conn, fault_gen, 32'd0};

    `include "proof.svh"

    reg         was_waiting, was_idle;
    reg [7:0]   was_valid, was_ready, was_may;
    reg [8*P-1:0] was_payload;
    reg [60:0]  was_event;
    reg [2:0]   last;                          // class chosen last
    reg [3:0]   passed;                        // others chosen while class k could have been
    integer     n;
    reg [2:0]   number;                        // of the class under way

    always @* begin
        number = 3'd0;
        for (n = 0; n < 8; n = n + 1) if (chosen[n]) number = number | n[2:0];
    end

    wire       starts = !evt_valid && (valid & may) != 0;       // a choice is made in this cycle
    wire [2:0] to_k   = k - last - 3'd1;

    always @(posedge clk) begin
        was_valid   <= valid;
        was_ready   <= ready;
        was_may     <= may;
        was_payload <= payload;
        was_waiting <= evt_valid && !evt_ready;
        was_idle    <= !evt_valid;
        was_event   <= {kind, conn, gen, cause, evt_room};
        if (rst) last <= 3'd7;
        else if (evt_valid) last <= number;
        // while k asks and has room in every cycle in which a choice is made
        if (rst || !valid[k] || (chosen[k] && evt_valid) || (!evt_valid && !may[k])) passed <= 4'd0;
        else if (evt_valid && evt_ready) passed <= passed + 4'd1;
    end

    integer i;
    always @* begin
        // a sink that waits keeps valid and payload
        if (started && !was_rst) begin
            assume ((was_valid & ~was_ready & ~valid) == 8'd0);
            for (i = 0; i < 8; i = i + 1)
                if (was_valid[i] && !was_ready[i]) assume (payload[i*P +: P] == was_payload[i*P +: P]);
        end
        if (!evt_valid) assume (!evt_ready);   // the engine takes what is offered
    end

    wire [3:0] wanted_kind = number == CMD ? `TCP_EVT_COMMAND : number == RX ? `TCP_EVT_RX_SEGMENT
                             : number == GRANT ? `TCP_EVT_TX_GRANT : number == TIMER ? `TCP_EVT_TIMER
                             : number == CONSUMED ? `TCP_EVT_CONSUMED : number == CREDIT ? `TCP_EVT_CREDIT
                             : number == FENCE ? `TCP_EVT_FENCE_DONE : `TCP_EVT_FAULT;
    wire [P-1:0] brought = payload[number*P +: P];

    always @* if (started) begin
        one_class: assert ((chosen & (chosen - 8'd1)) == 8'd0 && evt_valid == (chosen != 0));  // an event under way is of one class
        answers_one: assert ((ready & (ready - 8'd1)) == 8'd0);  // at most one class gets ready
        answers_taken: assert ((ready != 0) == (evt_valid && evt_ready) && (ready & ~chosen) == 0);  // its class gets ready exactly when the engine takes the event
        if (was_waiting && !was_rst) stays: assert (evt_valid && {kind, conn, gen, cause, evt_room} == was_event);  // an event that waits stays as it is
        if (!was_rst) real_one: assert ((chosen & ~valid) == 8'd0);  // an event is only of a class that asks
        if (evt_valid) named: assert (kind == wanted_kind && {conn, gen, cause} == brought[55:0]);  // kind, connection, generation and cause are those of the class
        if (evt_valid && was_idle && !was_rst) had_room: assert ((chosen & ~(was_valid & was_may)) == 8'd0);  // a class is chosen only with the room that it may need
        if (evt_valid && was_idle && !was_rst) at_once: assert ((was_valid & was_may) != 8'd0);  // an event starts one cycle after a class may
        no_starving: assert (passed < 4'd8);  // a class that asks and has room waits for at most seven others
        inv_turn: assert (after == (evt_valid ? ~(chosen | (chosen - 8'd1)) : ~((8'd1 << last) | ((8'd1 << last) - 8'd1))));  // the turn is behind the class chosen last
        if (evt_valid && valid[k] && !chosen[k]) inv_on: assert (passed + {1'b0, k - number - 3'd1} < 4'd7);  // with an event under way the turn is nearer to k
        if (!evt_valid) inv_passed: assert (passed + {1'b0, to_k} < 4'd8);  // each event brings the turn nearer to k
    end

    always @* if (started && !rst) begin
        each_in_turn: cover (passed == 4'd7 && evt_valid && chosen[k]);  // a class waits for all seven others
        waits: cover (evt_valid && was_waiting && chosen[FAULT]);  // the engine lets an event wait
        passed_over: cover (evt_valid && valid[CMD] && chosen[CREDIT] && !may[CMD]);  // a command without room is passed over
    end
endmodule

`default_nettype wire
