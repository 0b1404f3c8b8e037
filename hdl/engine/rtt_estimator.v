// rtt_estimator: one round-trip sample into srtt, rttvar and rto (RFC 6298, RFC 7323 4), rule F-1.
//
// Why a block: the arithmetic of the retransmission timeout in one place.
//
// Combinational; the caller uses the outputs only when a sample is due. srtt is in ticks x 8, rttvar in ticks x 4,
// so both gains of the RFC are shifts. The sample is the timestamp echo when both sides use timestamps and the
// segment has one, otherwise the time since the measured segment left; it is taken as 1..8191 ticks.
`default_nettype none
`include "chimney_layout.vh"

module rtt_estimator (
    input  wire [`TCB_W-1:0] tcb,
    input  wire [31:0]       now,
    input  wire              ts_present,
    input  wire [31:0]       tsecr,
    input  wire [31:0]       rto_min,              // ticks
    input  wire [31:0]       rto_max,              // ticks

    output wire [15:0]       srtt,
    output wire [15:0]       rttvar,
    output wire [31:0]       rto
);

    `include "../engine/seq.vh"

    localparam [31:0] SAMPLE_MAX = 32'd8191;       // srtt and rttvar stay within 16 bits

    wire [15:0] old_srtt   = tcb[`TCB_SRTT];
    wire [15:0] old_rttvar = tcb[`TCB_RTTVAR];

    wire [31:0] raw = (tcb[`TCB_TS_EN] && ts_present) ? (now + tcb[`TCB_TS_DELTA]) - tsecr
                                                      : now - tcb[`TCB_RTT_TICK];
    wire [31:0] sample = (raw[31] || raw == 32'd0) ? 32'd1 : (raw > SAMPLE_MAX) ? SAMPLE_MAX : raw;

    wire        first    = old_srtt == 16'd0;
    wire [31:0] mean     = {19'd0, old_srtt[15:3]};
    wire        below    = sample < mean;
    wire [31:0] gap      = below ? mean - sample : sample - mean;
    wire [31:0] var_sum  = {16'd0, old_rttvar} + gap - {18'd0, old_rttvar[15:2]};
    wire [31:0] mean_sum = below ? {16'd0, old_srtt} - gap : {16'd0, old_srtt} + gap;

    wire [15:0] var_sat  = (var_sum[31:16] != 16'd0) ? 16'hFFFF : var_sum[15:0];
    wire [15:0] mean_sat = (mean_sum[31:16] != 16'd0) ? 16'hFFFF : (mean_sum == 32'd0) ? 16'd1 : mean_sum[15:0];

    assign srtt   = first ? {sample[12:0], 3'd0} : mean_sat;
    assign rttvar = first ? {2'd0, sample[12:0], 1'd0} : var_sat;
    assign rto    = rto_of(srtt, rttvar, rto_min, rto_max);

    wire unused = &{1'b0, tcb};

endmodule

`default_nettype wire
