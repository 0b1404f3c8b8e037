// fault_queue: holds the FAULT of each connection until tcp_engine takes it.
//
// Why a block: rx_placer must never wait for tcp_engine, which may wait for it; so faults are pending state, one
// bit a connection, and merge.
//
// s_fault_*: a pulse that cannot be refused. m_fault_*: valid/ready source, in order of the first fault. A fault of
// a connection that is already pending is dropped. Latency 1.
`default_nettype none

module fault_queue #(
    parameter CONNS  = 16,                     // connections, a power of two, 4..1024
    parameter CONN_W = 4                       // log2(CONNS)
) (
    input  wire              clk,
    input  wire              rst,

    input  wire              s_fault_valid,
    input  wire [CONN_W-1:0] s_fault_conn,
    input  wire [7:0]        s_fault_gen,

    output wire              m_fault_valid,
    input  wire              m_fault_ready,
    output wire [CONN_W-1:0] m_fault_conn,
    output wire [7:0]        m_fault_gen
);

    localparam [CONNS-1:0] BIT_0 = 1;

    reg  [CONNS-1:0] pending_reg;

    wire push = s_fault_valid && !pending_reg[s_fault_conn];
    wire pop  = m_fault_valid && m_fault_ready;
    wire [CONNS-1:0] set   = push ? BIT_0 << s_fault_conn : {CONNS{1'b0}};
    wire [CONNS-1:0] clear = pop ? BIT_0 << m_fault_conn : {CONNS{1'b0}};
    wire             queue_ready;
    wire [CONN_W:0]  queue_count;

    always @(posedge clk) begin
        if (rst)              pending_reg <= 0;
        else if (push || pop) pending_reg <= (pending_reg & ~clear) | set;
    end

    fifo #(.WIDTH(CONN_W + 8), .DEPTH(CONNS)) queue (
        .clk(clk), .rst(rst),
        .s_data({s_fault_conn, s_fault_gen}), .s_valid(push), .s_ready(queue_ready),
        .m_data({m_fault_conn, m_fault_gen}), .m_valid(m_fault_valid), .m_ready(m_fault_ready),
        .count(queue_count)
    );

    wire unused = &{1'b0, queue_ready, queue_count};

endmodule

`default_nettype wire
