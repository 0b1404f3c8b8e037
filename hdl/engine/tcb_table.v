// tcb_table: the connection states, one word a connection in a synchronous-read RAM.
//
// Why a block: it alone knows that after reset every connection is FREE although the RAM holds anything: a word
// that was not written since reset reads as all zeros (phase FREE).
//
// Read: `re` shows the state of `raddr` in `rdata` one cycle later, until the next `re`. Write: `we`, one cycle.
// One read and one write a cycle; a read of the word being written in the same cycle gives the old one.
`default_nettype none
`include "chimney_layout.vh"

module tcb_table #(
    parameter CONNS  = 64,                         // connections, power of two, 4..1024
    parameter CONN_W = $clog2(CONNS)               // derived, do not override
) (
    input  wire              clk,
    input  wire              rst,

    input  wire              re,
    input  wire [CONN_W-1:0] raddr,
    output wire [`TCB_W-1:0] rdata,

    input  wire              we,
    input  wire [CONN_W-1:0] waddr,
    input  wire [`TCB_W-1:0] wdata
);

    reg  [CONNS-1:0]  written_reg;
    reg               known_reg;                   // the word read was written
    wire [`TCB_W-1:0] word;

    assign rdata = known_reg ? word : {`TCB_W{1'b0}};

    ram_sdp #(.WIDTH(`TCB_W), .DEPTH(CONNS)) ram (
        .clk(clk),
        .we(we), .waddr(waddr), .wdata(wdata),
        .re(re), .raddr(raddr), .rdata(word)
    );

    always @(posedge clk) begin
        if (rst)     written_reg <= {CONNS{1'b0}};
        else if (we) written_reg[waddr] <= 1'b1;
    end

    always @(posedge clk) begin
        if (rst)     known_reg <= 1'b0;
        else if (re) known_reg <= written_reg[raddr];
    end

endmodule

`default_nettype wire
