// ooo_pick: which list of out-of-order buffers the next CONTINUE works on, if any. Combinational.
//
// Why a block: the choice comes before the memories are read, as it says whose first buffer is read; delivery_step then
// only does it.
//
// s_go: a CONTINUE, all pieces of the message are handled. s_gone, s_join, s_slot: what the message left to do.
// m_valid: list `m_list` loses its first buffer, `m_head` (J-1, J-2, W-5a), or joins the in-order list (J-3).
// m_wait: the length of the head request decides (W-2 comes before W-5a); ask again with `s_req_known`.
`include "chimney_layout.vh"
`default_nettype none

module ooo_pick (
    input  wire               s_go,
    input  wire [`DCB_W-1:0]  s_dcb,
    input  wire [7:0]         s_gone,
    input  wire               s_join,
    input  wire [2:0]         s_slot,
    input  wire               s_req_known,
    input  wire               s_req_zero,

    output wire               m_valid,
    output wire [2:0]         m_list,
    output wire [15:0]        m_head,
    output wire               m_wait
);

    wire [7:0]   used    = s_dcb[`DCB_OOO_USED];
    wire [127:0] heads   = s_dcb[`DCB_OOO_HEAD];
    wire [7:0]   gone    = s_gone & used;
    wire         aborted = s_dcb[`DCB_ABORTED];

    wire free_some = gone != 8'd0;                                     // J-1
    wire join_one  = !free_some && s_join && used[s_slot];             // J-2, J-3
    wire give_up   = !free_some && !join_one && used != 8'd0           // W-5a, if W-2 does not apply
                   && s_dcb[`DCB_LOADED] && !s_dcb[`DCB_D] && (s_dcb[`DCB_FROZEN] || aborted);
    wire copies    = !aborted && s_dcb[`DCB_LIST_COUNT] != 16'd0 && s_dcb[`DCB_REQ_COUNT] != 8'd0;

    wire [7:0] among = free_some ? gone : used;
    reg  [2:0] lowest;
    integer    i;
    always @* begin
        lowest = 3'd0;
        for (i = 7; i >= 0; i = i - 1) if (among[i]) lowest = i[2:0];
    end

    assign m_wait  = s_go && give_up && copies && !s_req_known;
    assign m_valid = s_go && (free_some || join_one || (give_up && (!copies || (s_req_known && s_req_zero))));
    assign m_list  = join_one ? s_slot : lowest;
    assign m_head  = heads[{m_list, 4'd0} +: 16];

    wire unused = &{1'b0, s_dcb};

endmodule

`default_nettype wire
