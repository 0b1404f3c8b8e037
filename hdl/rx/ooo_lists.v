// ooo_lists: what one step changes in a connection's lists of out-of-order buffers. Combinational.
//
// Why a block: eight lists of head, tail and count beside the in-order list; delivery_step only says what happens.
//
// s_used, s_head, s_tail, s_count: the lists as in the dcb; m_*: after the step. At most one of
//   s_add   buffer `s_buffer` goes to list `s_slot`, behind what it holds (s_app) and in front of list `s_slot2` (s_pre)
//   s_pop   the first buffer of list `s_list` goes; `s_next` is the one behind it
//   s_move  list `s_list` leaves as a whole
// m_first, m_last, m_length: of list `s_list` before the step.
// m_link_*: next[addr] = data, for s_add; a second link when the buffer comes to stand between two.
// An empty list has head, tail and count 0 and its bit in `used` is 0.
`include "chimney_layout.vh"
`default_nettype none

module ooo_lists (
    input  wire [`DCB_OOO_USED_W-1:0]  s_used,
    input  wire [`DCB_OOO_HEAD_W-1:0]  s_head,
    input  wire [`DCB_OOO_TAIL_W-1:0]  s_tail,
    input  wire [`DCB_OOO_COUNT_W-1:0] s_count,

    input  wire                        s_add,
    input  wire                        s_app,
    input  wire                        s_pre,
    input  wire [2:0]                  s_slot,
    input  wire [2:0]                  s_slot2,
    input  wire [15:0]                 s_buffer,
    input  wire                        s_pop,
    input  wire                        s_move,
    input  wire [2:0]                  s_list,
    input  wire [15:0]                 s_next,

    output wire [`DCB_OOO_USED_W-1:0]  m_used,
    output wire [`DCB_OOO_HEAD_W-1:0]  m_head,
    output wire [`DCB_OOO_TAIL_W-1:0]  m_tail,
    output wire [`DCB_OOO_COUNT_W-1:0] m_count,
    output wire [15:0]                 m_first,
    output wire [15:0]                 m_last,
    output wire [15:0]                 m_length,
    output wire                        m_link_we,
    output wire [15:0]                 m_link_addr,
    output wire [15:0]                 m_link_data,
    output wire                        m_link2_we,
    output wire [15:0]                 m_link2_addr,
    output wire [15:0]                 m_link2_data
);

    wire [6:0] slot_at  = {s_slot, 4'd0};              // bit positions of 16-bit numbers
    wire [6:0] slot2_at = {s_slot2, 4'd0};
    wire [6:0] list_at  = {s_list, 4'd0};

    assign m_first  = s_head[list_at +: 16];
    assign m_last   = s_tail[list_at +: 16];
    assign m_length = s_count[list_at +: 16];

    wire empties = s_move || (s_pop && m_length == 16'd1);

    wire [15:0] joined = 16'd1 + (s_app ? s_count[slot_at +: 16] : 16'd0) + (s_pre ? s_count[slot2_at +: 16] : 16'd0);

    reg [`DCB_OOO_USED_W-1:0]  used;
    reg [`DCB_OOO_HEAD_W-1:0]  head;
    reg [`DCB_OOO_TAIL_W-1:0]  tail;
    reg [`DCB_OOO_COUNT_W-1:0] count;
    always @* begin
        used  = s_used;
        head  = s_head;
        tail  = s_tail;
        count = s_count;
        if (s_add) begin
            if (s_pre) begin
                used[s_slot2]         = 1'b0;
                head[slot2_at +: 16]  = 16'd0;
                tail[slot2_at +: 16]  = 16'd0;
                count[slot2_at +: 16] = 16'd0;
            end
            used[s_slot]         = 1'b1;
            head[slot_at +: 16]  = s_app ? s_head[slot_at +: 16] : s_buffer;
            tail[slot_at +: 16]  = s_pre ? s_tail[slot2_at +: 16] : s_buffer;
            count[slot_at +: 16] = joined;
        end else if (empties) begin
            used[s_list]         = 1'b0;
            head[list_at +: 16]  = 16'd0;
            tail[list_at +: 16]  = 16'd0;
            count[list_at +: 16] = 16'd0;
        end else if (s_pop) begin
            head[list_at +: 16]  = s_next;
            count[list_at +: 16] = m_length - 16'd1;
        end
    end

    assign m_used  = used;
    assign m_head  = head;
    assign m_tail  = tail;
    assign m_count = count;

    assign m_link_we    = s_add && s_app;
    assign m_link_addr  = s_tail[slot_at +: 16];
    assign m_link_data  = s_buffer;
    assign m_link2_we   = s_add && s_pre;
    assign m_link2_addr = s_buffer;
    assign m_link2_data = s_head[slot2_at +: 16];

endmodule

`default_nettype wire
