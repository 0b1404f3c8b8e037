// window_top: tb_top's name, clock and records, and nothing else, for the test of wave_window alone.
`default_nettype none
`include "chimney_layout.vh"
module tb_top;
    // ================================================================ PYTHON
    wire        clk;
    wire        rst;
    wire [63:0] cycle;
    // ============================================================ END PYTHON
    wire                  rst_done;
    reg  [`REC_TCP_W-1:0] tcp;
    wire                  valid = cycle == 64'd230 || cycle == 64'd240;

    clk_rst clk_rst_i (.clk (clk), .rst (rst), .cycle (cycle), .rst_req (1'b0), .rst_done (rst_done));

    initial begin
        tcp                                  = {`REC_TCP_W{1'b0}};
        tcp[`REC_TCP_KIND]                   = `TCP_EVT_RX_SEGMENT;
        tcp[`REC_TCP_CONN]                   = 16'd3;
        tcp[`REC_TCP_CAUSE]                  = 32'd7;
        tcp[`REC_TCP_TCB_LSB + `TCB_STATE_LSB +: `TCB_STATE_W]     = `TCP_STATE_ESTABLISHED;
        tcp[`REC_TCP_TCB_LSB + `TCB_SND_UNA_LSB +: `TCB_SND_UNA_W] = 32'd4711;
    end

    wave_window wave_window_i (
        .clk (clk), .rst (rst), .cycle (cycle),
        .tcp_valid (valid), .tcp_data (tcp), .dlv_valid (1'b0), .dlv_data ({`REC_DLV_W{1'b0}})
    );
endmodule
`default_nettype wire
