// tx_scheduler: one pending bit a connection, served round robin.
//
// Why a block: who may send next is decided here and nowhere else; a grant is only a hint, the engine looks again.
//
// s_set_*: always accepted; the bit of a connection after an event.
// m_grant_*: valid/ready source. On acceptance the turn moves behind the connection; its bit stays until it is set
//   again. The offer is withdrawn when its bit falls. `any`: some bit is set.
// The bits are looked at in words of up to 32: at most CONNS/32 + 2 cycles from a set bit to its offer when no
// other connection waits.
`default_nettype none

module tx_scheduler #(
    parameter CONNS  = 64,                         // connections, power of two, 4..1024
    parameter CONN_W = $clog2(CONNS)               // derived, do not override
) (
    input  wire              clk,
    input  wire              rst,

    input  wire              s_set_valid,
    input  wire [CONN_W-1:0] s_set_conn,
    input  wire              s_set_pending,

    output wire              m_grant_valid,
    input  wire              m_grant_ready,
    output wire [CONN_W-1:0] m_grant_conn,

    output wire              any
);

    localparam WORD   = (CONNS < 32) ? CONNS : 32;
    localparam BIT_W  = $clog2(WORD);
    localparam [CONN_W-1:0] STEP = 1;
    localparam [WORD-1:0]   ALL = {WORD{1'b1}};

    reg [CONNS-1:0]  pending_reg;
    reg [CONN_W-1:0] turn_reg;                     // first connection to look at
    reg              offer_reg;
    reg [CONN_W-1:0] conn_reg;

    wire [CONN_W-1:0] base  = (turn_reg >> BIT_W) << BIT_W;
    wire [WORD-1:0]   mask  = ALL << turn_reg[BIT_W-1:0];
    wire [WORD-1:0]   word  = pending_reg[base +: WORD] & mask;

    reg [CONN_W-1:0] first;
    integer i;
    always @* begin
        first = {CONN_W{1'b0}};
        for (i = WORD - 1; i >= 0; i = i - 1) begin
            if (word[i]) first = i[CONN_W-1:0];
        end
    end

    wire [CONN_W-1:0] next_base = ((turn_reg >> BIT_W) + STEP) << BIT_W;

    // A connection that is pending again with nobody else waiting is offered at once, without a look at the words.
    localparam [CONNS-1:0] ONE = 1;
    wire alone = (pending_reg & ~(ONE << conn_reg)) == {CONNS{1'b0}};
    wire again = s_set_valid && s_set_conn == conn_reg && alone;

    wire valid  = offer_reg && pending_reg[conn_reg];
    wire accept = valid && m_grant_ready;

    assign m_grant_valid = valid;
    assign m_grant_conn  = conn_reg;
    assign any           = pending_reg != {CONNS{1'b0}};

    always @(posedge clk) begin
        if (rst) begin
            pending_reg <= {CONNS{1'b0}};
            turn_reg    <= {CONN_W{1'b0}};
            offer_reg   <= 1'b0;
        end else begin
            if (s_set_valid) pending_reg[s_set_conn] <= s_set_pending;
            if (accept) begin
                offer_reg <= again;        // its bit decides
                turn_reg  <= conn_reg + STEP;
            end else if (!valid) begin
                offer_reg <= word != {WORD{1'b0}};
                if (word == {WORD{1'b0}} && any) turn_reg <= next_base;
            end
        end
    end

    always @(posedge clk) begin
        if (!valid && word != {WORD{1'b0}}) conn_reg <= base | first;
    end

endmodule

`default_nettype wire
