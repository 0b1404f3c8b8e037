// fence_join: offers FENCE_DONE of a connection when both halves of its fence were seen.
//
// Why a block: the halves end in different clusters in either order; nobody may wait for the other.
//
// s_tx_*: transmit half (send_completer), valid/ready. s_rx_*: receive half (rx_placer), a pulse that cannot be
//   refused; in its cycle s_tx_ready is low.
// m_fence_*: valid/ready source. Each connection has at most one fence under way, so the queue has a place for all.
// Latency 1. One bit a connection: set by the half that comes first, cleared by the other.
`default_nettype none

module fence_join #(
    parameter CONNS  = 16,                     // connections, a power of two, 4..1024
    parameter CONN_W = 4                       // log2(CONNS)
) (
    input  wire              clk,
    input  wire              rst,

    input  wire              s_tx_valid,
    output wire              s_tx_ready,
    input  wire [CONN_W-1:0] s_tx_conn,
    input  wire [7:0]        s_tx_gen,

    input  wire              s_rx_valid,
    input  wire [CONN_W-1:0] s_rx_conn,
    input  wire [7:0]        s_rx_gen,

    output wire              m_fence_valid,
    input  wire              m_fence_ready,
    output wire [CONN_W-1:0] m_fence_conn,
    output wire [7:0]        m_fence_gen
);

    localparam [CONNS-1:0] BIT_0 = 1;

    reg  [CONNS-1:0]  half_reg;

    wire              any    = s_rx_valid || s_tx_valid;
    wire [CONN_W-1:0] conn   = s_rx_valid ? s_rx_conn : s_tx_conn;
    wire [7:0]        gen    = s_rx_valid ? s_rx_gen : s_tx_gen;
    wire              second = half_reg[conn];
    wire              queue_ready;
    wire [CONN_W:0]   queue_count;

    assign s_tx_ready = !s_rx_valid;

    always @(posedge clk) begin
        if (rst)      half_reg <= 0;
        else if (any) half_reg <= half_reg ^ (BIT_0 << conn);
    end

    fifo #(.WIDTH(CONN_W + 8), .DEPTH(CONNS)) queue (
        .clk(clk), .rst(rst),
        .s_data({conn, gen}), .s_valid(any && second), .s_ready(queue_ready),
        .m_data({m_fence_conn, m_fence_gen}), .m_valid(m_fence_valid), .m_ready(m_fence_ready),
        .count(queue_count)
    );

    wire unused = &{1'b0, queue_ready, queue_count};

endmodule

`default_nettype wire
