// axis_sink: collects the frames that the device transmits.
//
// With the last beat of a frame `snk_frame` (byte 0 in bits 7:0), `snk_len`, `snk_seq` and `snk_cycle` take its values
// and `snk_toggle` flips. Python wakes on the flip in the same time step, before the next clock edge can bring
// another frame, so nothing is lost even when one-beat frames come back to back; `snk_seq` proves it (it must step by
// one). `snk_head` is the first 128 bytes, for a cheap read of short frames. Bits of `snk_frame` behind the last byte
// are left over from earlier frames. tready is withheld with probability p_stall/256 a cycle.
// A frame over 2048 bytes is cut there and its length given as 65535.
`default_nettype none
module axis_sink #(
    parameter DATA_W = 64        // bits: 64, 128, 256, 512
) (
    input  wire                clk,
    input  wire                rst,
    // Python's side
    output reg  [16383:0]      snk_frame,
    output wire [1023:0]       snk_head,
    output reg  [15:0]         snk_len,      // bytes
    output reg  [31:0]         snk_seq,      // frames so far
    output reg  [63:0]         snk_cycle,    // cycle of the first beat
    output reg                 snk_toggle,
    output wire                snk_busy,     // in the middle of a frame
    // settings
    input  wire [63:0]         cycle,
    input  wire [31:0]         seed,
    input  wire [7:0]          p_stall,
    output reg  [31:0]         stall_cycles, // cycles with tvalid high and tready withheld
    // the stream
    input  wire [DATA_W-1:0]   s_axis_tdata,
    input  wire [DATA_W/8-1:0] s_axis_tkeep,
    input  wire                s_axis_tlast,
    input  wire                s_axis_tvalid,
    output reg                 s_axis_tready
);
    localparam BYTES = DATA_W / 8;
    localparam BEATS = 2048 / BYTES;

    reg [15:0]  beat;            // beats of the frame under way
    reg [63:0]  first_cycle;
    reg [31:0]  lfsr;
    reg [15:0]  last_bytes;
    reg         flip;
    reg [16383:0] frame;         // collected here, where nothing else looks at each beat
    integer     i;

    assign snk_busy = s_axis_tvalid || (beat != 16'd0);
    assign snk_head = snk_frame[1023:0];

    // Python wakes on this flip: it comes after all that it announces has reached the top level's wires.
    always @(flip) snk_toggle <= flip;

    initial begin
        snk_len       = 16'd0;
        snk_seq       = 32'd0;
        snk_cycle     = 64'd0;
        flip          = 1'b0;
        stall_cycles  = 32'd0;
        s_axis_tready = 1'b0;
        beat          = 16'd0;
        lfsr          = 32'd0;
        snk_frame     = 16384'd0;
        frame         = 16384'd0;
    end

    always @(posedge clk) begin
        if (rst) begin
            beat           = 16'd0;
            s_axis_tready <= 1'b1;
        end else begin
            if (s_axis_tvalid && s_axis_tready) begin
                if (beat == 16'd0) first_cycle = cycle;
                if (beat < BEATS)
                    frame[beat * DATA_W +: DATA_W] = s_axis_tdata;
                if (s_axis_tlast) begin
                    last_bytes = BYTES;
                    if (!(&s_axis_tkeep))
                        for (i = BYTES - 1; i >= 0; i = i - 1)
                            if (!s_axis_tkeep[i]) last_bytes = i;
                    snk_len    <= (beat < BEATS) ? beat * BYTES + last_bytes : 16'hffff;
                    snk_seq    <= snk_seq + 32'd1;
                    snk_cycle  <= first_cycle;
                    snk_frame  <= frame;
                    flip       <= ~flip;
                    beat        = 16'd0;
                end else if (beat != 16'hffff) begin
                    beat = beat + 16'd1;
                end
            end
            if (p_stall != 8'd0) begin
                if (s_axis_tvalid && !s_axis_tready) stall_cycles <= stall_cycles + 32'd1;
                if (lfsr == 32'd0) lfsr = seed ^ 32'h5eed_0002;
                lfsr = lfsr ^ (lfsr << 13);
                lfsr = lfsr ^ (lfsr >> 17);
                lfsr = lfsr ^ (lfsr << 5);
                s_axis_tready <= !(lfsr[7:0] < p_stall);
            end else if (!s_axis_tready) begin
                s_axis_tready <= 1'b1;
            end
        end
    end
endmodule
`default_nettype wire
