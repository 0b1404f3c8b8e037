// ram_sdp: simple dual-port RAM, one write port and one read port on one clock.
//
// Why a block: every table of the device is one of these, so a technology's memory is mapped in one place.
//
// Write: `we` stores `wdata` at `waddr` on the clock edge.
// Read:  `re` makes `rdata` show the word at `raddr` one cycle later; without `re` the last word stays.
// Latency 1, throughput one read and one write a cycle. A read of the address being written in the same
// cycle gives the OLD word. The contents are undefined until written: the owner clears what it needs.
`default_nettype none

module ram_sdp #(
    parameter WIDTH = 32,                  // bits a word, >= 1
    parameter DEPTH = 16,                  // words, >= 2
    parameter ADDR_W = $clog2(DEPTH)       // derived, do not override
) (
    input  wire              clk,

    input  wire              we,
    input  wire [ADDR_W-1:0] waddr,
    input  wire [WIDTH-1:0]  wdata,

    input  wire              re,
    input  wire [ADDR_W-1:0] raddr,
    output wire [WIDTH-1:0]  rdata
);

    reg [WIDTH-1:0] mem [0:DEPTH-1];
    reg [WIDTH-1:0] rdata_reg;

    assign rdata = rdata_reg;

    always @(posedge clk) begin
        if (we) mem[waddr] <= wdata;
    end

    always @(posedge clk) begin
        if (re) rdata_reg <= mem[raddr];
    end

endmodule

`default_nettype wire
