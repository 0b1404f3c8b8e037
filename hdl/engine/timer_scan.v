// timer_scan: watches one deadline a connection, one connection a cycle.
//
// Why a block: timers of both engines are a RAM and a counter, whatever the number of connections.
//
// s_set_*: always accepted; stores deadline (absolute tick) and generation, or switches the entry off.
// m_due_*: valid/ready source of a connection whose deadline is not after `now` (signed difference). On acceptance
//   the entry is off until it is set again (a set in the cycle of acceptance counts). The offer is withdrawn by an
//   s_set_* of the same connection that makes it not due, and only by that.
// Late bound: one round of CONNS cycles (the scan stands still while an offer waits). init_done: usable, at once.
// All entries are off after reset; the RAM needs no initialisation.
`default_nettype none

module timer_scan #(
    parameter CONNS  = 64,                         // entries, power of two, >= 2
    parameter CONN_W = $clog2(CONNS)               // derived, do not override
) (
    input  wire              clk,
    input  wire              rst,
    input  wire [31:0]       now,

    input  wire              s_set_valid,
    input  wire [CONN_W-1:0] s_set_conn,
    input  wire              s_set_on,
    input  wire [31:0]       s_set_deadline,
    input  wire [7:0]        s_set_gen,

    output wire              m_due_valid,
    input  wire              m_due_ready,
    output wire [CONN_W-1:0] m_due_conn,
    output wire [7:0]        m_due_gen,

    output wire              init_done
);

    `include "../engine/seq.vh"

    localparam [CONN_W-1:0] STEP = 1;

    reg [CONNS-1:0]  on_reg;
    reg [CONN_W-1:0] scan_reg;                     // entry being read in this cycle
    reg              look_valid_reg;               // the RAM output shows entry look_reg
    reg [CONN_W-1:0] look_reg;
    reg              due_valid_reg;
    reg [CONN_W-1:0] due_conn_reg;
    reg [7:0]        due_gen_reg;

    wire [31:0] look_deadline;
    wire [7:0]  look_gen;

    // a set in the cycle of the read, or of the look, makes what was read old
    wire set_scan = s_set_valid && s_set_conn == scan_reg;
    wire set_look = s_set_valid && s_set_conn == look_reg;
    wire set_due  = s_set_valid && s_set_conn == due_conn_reg;
    wire still    = s_set_on && seq_le(s_set_deadline, now);
    wire run      = !due_valid_reg;
    wire found    = run && look_valid_reg && !set_look && on_reg[look_reg] && seq_le(look_deadline, now);
    wire again    = run && look_valid_reg && set_look;
    wire accept   = due_valid_reg && m_due_ready;

    assign m_due_valid = due_valid_reg;
    assign m_due_conn  = due_conn_reg;
    assign m_due_gen   = due_gen_reg;
    assign init_done   = 1'b1;

    ram_sdp #(.WIDTH(40), .DEPTH(CONNS)) ram (
        .clk(clk),
        .we(s_set_valid && s_set_on), .waddr(s_set_conn), .wdata({s_set_gen, s_set_deadline}),
        .re(run), .raddr(scan_reg), .rdata({look_gen, look_deadline})
    );

    always @(posedge clk) begin
        if (found) begin
            due_conn_reg <= look_reg;
            due_gen_reg  <= look_gen;
        end else if (set_due) begin
            due_gen_reg  <= s_set_gen;
        end
        if (run) look_reg <= scan_reg;
    end

    always @(posedge clk) begin
        if (rst) begin
            on_reg         <= {CONNS{1'b0}};
            scan_reg       <= {CONN_W{1'b0}};
            look_valid_reg <= 1'b0;
            due_valid_reg  <= 1'b0;
        end else begin
            if (accept)      on_reg[due_conn_reg] <= 1'b0;
            if (s_set_valid) on_reg[s_set_conn]   <= s_set_on;

            if (found)                              due_valid_reg <= 1'b1;
            else if (accept || (set_due && !still)) due_valid_reg <= 1'b0;

            if (found)                      scan_reg <= look_reg + STEP;
            else if (again)                 scan_reg <= look_reg;
            else if (run && !set_scan)      scan_reg <= scan_reg + STEP;
            look_valid_reg <= run && !found && !again && !set_scan;
        end
    end

endmodule

`default_nettype wire
