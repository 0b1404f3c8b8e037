// skid: register slice that cuts valid, data and ready, at full throughput.
//
// Why a block: a chain of valid/ready stages joins its ready wires into one long path; this ends it.
//
// s_: valid/ready sink; `s_ready` is a register.
// m_: valid/ready source; `m_valid` and `m_data` are registers, stable while waiting.
// Latency 1, one word a cycle. Costs two words of storage: the second catches the word that arrives in the
// cycle in which the output stalls.
`default_nettype none

module skid #(
    parameter WIDTH = 32                   // bits a word, >= 1
) (
    input  wire             clk,
    input  wire             rst,

    input  wire [WIDTH-1:0] s_data,
    input  wire             s_valid,
    output wire             s_ready,

    output wire [WIDTH-1:0] m_data,
    output wire             m_valid,
    input  wire             m_ready
);

    reg             out_valid_reg;
    reg             held_valid_reg;        // never set while the output register is free
    reg [WIDTH-1:0] out_data_reg;
    reg [WIDTH-1:0] held_data_reg;

    wire push     = s_valid && !held_valid_reg;
    wire out_free = !out_valid_reg || m_ready;

    assign s_ready = !held_valid_reg;
    assign m_valid = out_valid_reg;
    assign m_data  = out_data_reg;

    always @(posedge clk) begin
        if (out_free) begin
            if (held_valid_reg) out_data_reg <= held_data_reg;
            else if (push)      out_data_reg <= s_data;
        end
        if (push && !out_free) held_data_reg <= s_data;
    end

    always @(posedge clk) begin
        if (rst) begin
            out_valid_reg  <= 1'b0;
            held_valid_reg <= 1'b0;
        end else if (out_free) begin
            out_valid_reg  <= held_valid_reg || push;
            held_valid_reg <= 1'b0;
        end else if (push) begin
            held_valid_reg <= 1'b1;
        end
    end

endmodule

`default_nettype wire
