// commit_stats: what a commit of tcp_engine adds to the statistics (hostport, Statistics).
//
// Why a block: it only watches; no rule of the engine depends on it.
//
// check: the state of the connection before the event is at `before_*`. commit, a later cycle: `after_*`, the segment
//   and its verdict. stat_*: pulses at the commit, meaning as in offload_stats; stat_ipv6: whose they are.
//   Combinational but for what is kept of `before_*`.
`default_nettype none
`include "chimney_layout.vh"

module commit_stats (
    input  wire                clk,

    input  wire                check,
    input  wire [1:0]          before_phase,
    input  wire [3:0]          before_state,
    input  wire [7:0]          before_family,

    input  wire                commit,
    input  wire                written,        // the connection's state is stored
    input  wire [1:0]          after_phase,
    input  wire [3:0]          after_state,
    input  wire [7:0]          after_family,
    input  wire                is_segment,     // of a connection that was found
    input  wire                is_packet,      // from the wire, not of a FORWARD
    input  wire [1:0]          verdict,
    input  wire [`RX_SEG_W-1:0] seg,

    output wire                stat_in,
    output wire                stat_in_packet,
    output wire [15:0]         stat_in_octets,
    output wire                stat_opened,
    output wire                stat_closed,
    output wire                stat_reset,
    output wire                stat_ipv6
);

    localparam [15:0] ETHERNET = 16'd14, TAG = 16'd4;              // bytes

    reg  before_reg, before_ipv6_reg;
    wire before_open = before_phase != `PHASE_FREE
                       && (before_state == `TCP_STATE_ESTABLISHED || before_state == `TCP_STATE_CLOSE_WAIT);
    wire after_open  = after_phase != `PHASE_FREE
                       && (after_state == `TCP_STATE_ESTABLISHED || after_state == `TCP_STATE_CLOSE_WAIT);

    always @(posedge clk) begin
        if (check) before_reg      <= before_open;
        if (check) before_ipv6_reg <= before_family == `FAMILY_IPV6;
    end

    assign stat_in        = commit && is_segment && verdict != `VERDICT_PASS_UP;
    assign stat_in_packet = is_packet;
    assign stat_in_octets = seg[`RX_SEG_PAY_OFF] + seg[`RX_SEG_PAY_LEN] - ETHERNET - (seg[`RX_SEG_TAGGED] ? TAG : 16'd0);
    assign stat_opened    = commit && written && after_open && !before_reg;
    assign stat_closed    = commit && written && !after_open && before_reg;
    assign stat_reset     = stat_closed && after_phase != `PHASE_FREE && after_state == `TCP_STATE_CLOSED;
    // an opened connection is new, of a closed one nothing may be left
    assign stat_ipv6      = stat_opened ? after_family == `FAMILY_IPV6 : before_ipv6_reg;

    wire unused = &{1'b0, seg};

endmodule

`default_nettype wire
