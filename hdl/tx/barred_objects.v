// barred_objects: objects of which no frame begins, from their INVALIDATE until its BARRIER has come by.
//
// Why a block: an INVALIDATE must not wait for the wire (CH-092), so it overtakes the transmit queue; the frames that
// it overtook are known by being in front of its BARRIER, which stays in the queue.
//
// mark: pulse, an INVALIDATE of {object, number}; only with `room`. pass: pulse, a BARRIER came by, in the order of
//   the marks, also ahead of its own mark: then nothing is in front of it any more. Never both in one cycle.
// dead: a frame of this connection, path and neighbor must not begin. Combinational, valid the cycle after the mark.
// Entries are a queue that is compared as a whole: an object that is marked twice stays until its second BARRIER.
`default_nettype none
`include "chimney_layout.vh"

module barred_objects #(
    parameter DEPTH  = 16,                             // INVALIDATEs ahead of their BARRIERs, a power of two >= 2
    parameter CONN_W = 6,                              // bits of a connection number, 2..10
    parameter PATH_W = 3,                              // bits of a path number, 1..16
    parameter NBR_W  = 3,                              // bits of a neighbor number, 1..16
    parameter IDX_W  = $clog2(DEPTH)                   // derived, do not override
) (
    input  wire                clk,
    input  wire                rst,

    output wire                room,
    input  wire                mark,
    input  wire [1:0]          mark_object,            // enum object
    input  wire [15:0]         mark_number,
    input  wire                pass,

    input  wire [CONN_W-1:0]   conn,
    input  wire [PATH_W-1:0]   path,
    input  wire [NBR_W-1:0]    nbr,
    output wire                dead
);

    localparam OTHER_W  = (PATH_W > NBR_W) ? PATH_W : NBR_W;
    localparam NUMBER_W = (CONN_W > OTHER_W) ? CONN_W : OTHER_W;
    localparam [IDX_W:0] ONE = 1;
    localparam [7:0] OF_CONNECTION = `OBJECT_CONNECTION, OF_PATH = `OBJECT_PATH;
    localparam [1:0] CONNECTION = OF_CONNECTION[1:0], PATH = OF_PATH[1:0];

    reg  [DEPTH-1:0]    valid_reg;
    reg  [1:0]          object_reg [0:DEPTH-1];
    reg  [NUMBER_W-1:0] number_reg [0:DEPTH-1];
    reg  [IDX_W-1:0]    head_reg, tail_reg;
    reg  [IDX_W:0]      early_reg;                     // BARRIERs that came by ahead of their marks

    wire early = early_reg != 0;
    wire push  = mark && !early;
    wire pop   = pass && valid_reg[head_reg];

    assign room = early || !valid_reg[tail_reg];

    always @(posedge clk) begin
        if (push) begin
            object_reg[tail_reg] <= mark_object;
            number_reg[tail_reg] <= mark_number[NUMBER_W-1:0];
        end
    end

    always @(posedge clk) begin
        if (rst) begin
            valid_reg <= {DEPTH{1'b0}};
            head_reg  <= {IDX_W{1'b0}};
            tail_reg  <= {IDX_W{1'b0}};
            early_reg <= {(IDX_W+1){1'b0}};
        end else begin
            if (push) begin
                valid_reg[tail_reg] <= 1'b1;
                tail_reg            <= tail_reg + ONE[IDX_W-1:0];
            end
            if (pop) begin
                valid_reg[head_reg] <= 1'b0;
                head_reg            <= head_reg + ONE[IDX_W-1:0];
            end
            if (mark && early)     early_reg <= early_reg - ONE;
            else if (pass && !pop) early_reg <= early_reg + ONE;
        end
    end

    wire [DEPTH-1:0] hit;
    genvar i;
    generate
        for (i = 0; i < DEPTH; i = i + 1) begin : g_entry
            wire [1:0]          object = object_reg[i];
            wire [NUMBER_W-1:0] number = number_reg[i];
            assign hit[i] = valid_reg[i] && (object == CONNECTION ? number[CONN_W-1:0] == conn
                                           : object == PATH       ? number[PATH_W-1:0] == path
                                                                  : number[NBR_W-1:0] == nbr);
        end
    endgenerate
    assign dead = |hit;

    wire unused = &{1'b0, mark_number};

`ifdef CHIMNEY_ASSERT
    always @(posedge clk) begin
        if (!rst && ((mark && !room) || (mark && pass) || (pass && !pop && early_reg[IDX_W]))) begin
            $display("ASSERT %m: a mark without room, or more BARRIERs than INVALIDATEs");
            $finish;
        end
    end
`endif

endmodule

`default_nettype wire
