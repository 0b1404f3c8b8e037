// tiny_core: everything that the tiny device decides, as one state machine over one work memory of bytes.
// Why a block: with one thing under way at a time there is nothing to arbitrate; each state is a sentence of
//   docs/contract/hostport.md or of RFC 9293. S_REST chooses what is next, the other states carry it out.
// go, write, client, addr, len, at, done, error, b_*, g_*: requests to tiny_memory. rx_*: the oldest frame.
// m_axis_*: frames out, copied from the work memory.
// Stop-and-wait: at most one segment is out (snd_nxt is SND.MAX); it is sent again as it was when rto has passed, at
//   twice the time each time. With nothing out, a window too small to use is probed in the same way.
// The rings: a command is fetched when the one before is done, a completion waits until its ring has room.
`default_nettype none
`include "chimney_layout.vh"
// Numbers in the work memory, little-endian (host) and big-endian (wire). Macros: a function that reads the memory would
// not be looked at again when the memory changes.
`define LE16(p) {ram[(p) + 13'd1], ram[p]}
`define LE32(p) {ram[(p) + 13'd3], ram[(p) + 13'd2], ram[(p) + 13'd1], ram[p]}
`define LE64(p) {ram[(p) + 13'd7], ram[(p) + 13'd6], ram[(p) + 13'd5], ram[(p) + 13'd4], `LE32(p)}
`define BE16(p) {ram[p], ram[(p) + 13'd1]}
`define BE32(p) {ram[p], ram[(p) + 13'd1], ram[(p) + 13'd2], ram[(p) + 13'd3]}
module tiny_core (
    input  wire         clk,
    input  wire         rst,
    input  wire         reset_ask,
    output reg          reset_done,
    input  wire         enable,
    input  wire [31:0]  now,
    input  wire [47:0]  mac_addr,
    input  wire [63:0]  sq_base,
    input  wire [3:0]   sq_log2,
    input  wire [15:0]  sq_tail,
    output reg  [15:0]  sq_head,
    input  wire [63:0]  cq_base,
    input  wire [3:0]   cq_log2,
    input  wire [15:0]  cq_head,
    output reg  [15:0]  cq_tail,
    output reg          cq_written,
    output reg          bus_error,
    input  wire [63:0]  pool_base,
    input  wire [63:0]  raw_base,
    // host memory
    output reg          go,
    output reg          write,
    output reg  [7:0]   client,
    output reg  [63:0]  addr,
    output reg  [15:0]  len,
    output reg  [12:0]  at,
    input  wire         done,
    input  wire         error,
    input  wire [7:0]   b_strb,
    input  wire [12:0]  b_at,
    input  wire [63:0]  b_data,
    input  wire [12:0]  g_at,
    output wire [63:0]  g_data,
    // frames
    input  wire         rx_valid,
    input  wire [11:0]  rx_len,
    output wire [7:0]   rx_at,
    input  wire [63:0]  rx_data,
    output reg          rx_pop,
    output reg  [63:0]  m_axis_tdata,
    output reg  [7:0]   m_axis_tkeep,
    output reg          m_axis_tlast,
    output reg          m_axis_tvalid,
    input  wire         m_axis_tready,
    output wire [351:0] stat,
    output wire         idle
);
  // ---- the work memory: where what lies ----
  localparam [12:0] TXF = 13'd0, RXF = 13'd2048, SQE = 13'd4096, CQE = 13'd4160, LEFT = 13'd4192, IMG = 13'd4352,
                    SGL = 13'd4608, PATH = 13'd5120, NBR = 13'd6144, PAR = 13'd7168;
  localparam [12:0] DLG = IMG + 13'd128;      // the delegated part of the image
  localparam        IP = 14, TCP = 34, TEXT = 54;
  reg [7:0] ram [0:8191];

  function [15:0] least16(input [15:0] a, input [15:0] b); least16 = a < b ? a : b; endfunction
  function [31:0] least(input [31:0] a, input [31:0] b); least = a < b ? a : b; endfunction

  task put8(input [12:0] p, input [7:0] v);   ram[p] <= v; endtask
  task put16(input [12:0] p, input [15:0] v); begin ram[p] <= v[7:0]; ram[p + 13'd1] <= v[15:8]; end endtask
  task put32(input [12:0] p, input [31:0] v); begin put16(p, v[15:0]); put16(p + 13'd2, v[31:16]); end endtask
  task net16(input [12:0] p, input [15:0] v); begin ram[p] <= v[15:8]; ram[p + 13'd1] <= v[7:0]; end endtask
  task net32(input [12:0] p, input [31:0] v); begin net16(p, v[31:16]); net16(p + 13'd2, v[15:0]); end endtask

  assign g_data = `LE64(g_at);

  // ---- states ----
  localparam [5:0] S_CLEAR = 6'd0, S_REST = 6'd1, S_WAIT = 6'd2, S_ROOM = 6'd3, S_ENTERED = 6'd4,
      S_DECODE = 6'd5, S_CONN = 6'd6, S_INITIATE = 6'd7, S_TAKEN = 6'd8, S_RAW_OUT = 6'd9, S_RAW_DONE = 6'd10,
      S_RST_OUT = 6'd12, S_RST_DONE = 6'd13, S_FORWARD = 6'd14, S_POST = 6'd15,
      S_GATHER = 6'd16, S_GATHERED = 6'd17, S_HEADER = 6'd18, S_SUM = 6'd19, S_IP_SUM = 6'd20, S_TCP_SUM = 6'd21,
      S_EMIT = 6'd22, S_SENT = 6'd23, S_COPY = 6'd24, S_LOOK = 6'd25, S_IP_CHECK = 6'd26, S_TCP_CHECK = 6'd27,
      S_RAW_IN = 6'd28, S_RAW_GIVE = 6'd29, S_SEGMENT = 6'd30, S_ADVANCE = 6'd31, S_STATE = 6'd32, S_PLACE = 6'd33,
      S_PLACED = 6'd34, S_FIN = 6'd35, S_OVER = 6'd36, S_LEFT = 6'd37, S_LEFT_PUT = 6'd38, S_LEFT_COUNT = 6'd39,
      S_WRITE_BACK = 6'd40, S_FREE = 6'd41, S_GONE = 6'd42, S_REACHED = 6'd43;
  reg [5:0] state, behind_memory, behind_entry, behind_frame, behind_sum;

  // ---- rings ----
  reg         phase_bit;
  reg [15:0]  fetched;
  wire [15:0] sq_mask = (16'd1 << sq_log2) - 16'd1;
  wire [15:0] cq_mask = (16'd1 << cq_log2) - 16'd1;
  wire        cq_full = ((cq_tail + 16'd1) & cq_mask) == cq_head;

  // ---- buffers: raw and pool (indices), and what was received and not taken (in order) ----
  reg [15:0] raw_q [0:63];
  reg [15:0] pool_q [0:1023];
  reg [15:0] node_buf [0:1023];
  reg [15:0] node_off [0:1023];
  reg [15:0] node_len [0:1023];
  reg [6:0]  raw_head, raw_tail;
  reg [10:0] pool_head, pool_tail, node_head, node_tail;
  wire       node_none = node_head == node_tail;

  // ---- the connection ----
  localparam [1:0] FREE = 2'd0, LOADED = 2'd1, RUNNING = 2'd2, FROZEN = 2'd3;
  localparam [3:0] CLOSED = 4'd0, ESTABLISHED = 4'd4, FIN_WAIT_1 = 4'd5, FIN_WAIT_2 = 4'd6, CLOSE_WAIT = 4'd7,
                   CLOSING = 4'd8, LAST_ACK = 4'd9, TIME_WAIT = 4'd10;
  reg [1:0]  phase;
  reg [3:0]  tcp;
  reg [7:0]  gen, ttl, tos;
  reg        aborted, hold;
  reg [3:0]  snd_ws, rcv_ws;
  reg [15:0] mss, local_port, remote_port, token;
  reg [31:0] src_ip, dst_ip, snd_una, snd_nxt, snd_wnd, max_snd_wnd, snd_wl1, rcv_nxt, rcv_adv, consumed_seq, init_wnd,
             cwnd, ssthresh, rto_base, rto, rtx_deadline, total_rt, max_rt, answer_tick;
  reg        rtx_on, answered, ack_owed, out, refused, fin_mark, fin_told, abort_owed, retrieve_owed, retrieve_told;
  reg [7:0]  rtx_count, reason;
  reg [12:0] neighbor;
  reg [7:0]  path_ok, nbr_ok;

  // ---- the one request that is being sent: a SEND or a graceful DISCONNECT ----
  reg        ent_valid, ent_fin, ent_last, ent_over;
  reg [7:0]  ent_op, ent_status;
  reg [63:0] ent_cookie;
  reg [15:0] ent_index;
  reg [31:0] ent_len, ent_acked;
  reg [4:0]  sg_at;                // element and byte of it that snd_una is in
  reg [31:0] sg_off;
  reg [15:0] out_len;              // of the segment that is out
  reg        out_fin, out_again;

  // ---- the frame that is being built, the one that is looked at, the sum that is being made ----
  reg [15:0] tx_len;
  reg [31:0] tx_seq;
  reg [7:0]  tx_flags;
  reg [4:0]  g_at_elem;
  reg [31:0] g_off, g_left;
  reg [12:0] g_to;
  reg [15:0] frame_len, frame_pos;
  reg [31:0] sum;
  reg [12:0] sum_at;
  reg [15:0] sum_left;
  reg        forwarded, turn, terminating;
  reg [31:0] seq, ack, adv_left, off, took;
  reg [15:0] wnd, pay;
  reg [5:0]  doff;
  reg [4:0]  flags;                // URG, ACK, RST, SYN, FIN
  reg [15:0] left_count, t_index;
  reg        rcv_held;             // the RECEIVE that waits for the upload
  reg [63:0] rcv_cookie;
  reg [63:0] t_cookie, t_addr, t_addr2;
  reg [31:0] counter [0:10];
  localparam IN_SEGMENTS = 0, IN_RECEIVES = 1, IN_OCTETS = 2, OUT_SEGMENTS = 3, OUT_REQUESTS = 4, OUT_OCTETS = 5,
             OUT_AGAIN = 6, OUT_RESETS = 7, RESET_ESTABLISHED = 8;
  wire [31:0] established = {31'd0, phase != FREE && (tcp == ESTABLISHED || tcp == CLOSE_WAIT)};
  assign stat = {32'd0, established, counter[8], counter[7], counter[6], counter[5], counter[4], counter[3], counter[2],
                 counter[1], counter[0]};

  // ---- the command ----
  wire [7:0]  op     = ram[SQE];
  wire [2:0]  sflags = ram[SQE + 13'd1][2:0];
  wire [15:0] sconn  = `LE16(SQE + 13'd2);
  wire [7:0]  sgen   = ram[SQE + 13'd4];
  wire [15:0] scount = `LE16(SQE + 13'd6);
  wire [63:0] cookie = `LE64(SQE + 13'd8);
  wire [63:0] saddr  = `LE64(SQE + 13'd16);
  wire [31:0] slen   = `LE32(SQE + 13'd24);
  wire [63:0] saddr2 = `LE64(SQE + 13'd32);
  wire        of_conn = op == `OPCODE_INITIATE || op == `OPCODE_START || op == `OPCODE_SEND || op == `OPCODE_RECEIVE ||
                        op == `OPCODE_ANSWER || op == `OPCODE_DISCONNECT || op == `OPCODE_FORWARD ||
                        op == `OPCODE_UPDATE || op == `OPCODE_TERMINATE || op == `OPCODE_RESUME || op == `OPCODE_UPLOAD;
  wire [7:0]  kind_of = (op == `OPCODE_SEND || op == `OPCODE_DISCONNECT) ? `CQ_KIND_SEND
                        : op == `OPCODE_RECEIVE ? `CQ_KIND_RECEIVE : op == `OPCODE_RAW_SEND ? `CQ_KIND_RAW_TX
                        : op == `OPCODE_FORWARD ? `CQ_KIND_FORWARD : `CQ_KIND_COMMAND;
  wire        graceful = op == `OPCODE_DISCONNECT && sflags == 3'b001;
  wire        abortive = op == `OPCODE_DISCONNECT && sflags[1:0] == 2'b10;
  wire        bad_length = op == `OPCODE_SEND ? slen == 32'd0 || slen > `SEND_LEN_MAX || scount == 16'd0 || scount > 16'd16
                         : graceful ? slen > `SEND_LEN_MAX || scount > 16'd16 || (slen == 32'd0) != (scount == 16'd0)
                         : abortive ? slen != 32'd0 || scount != 16'd0
                         : op == `OPCODE_RAW_SEND ? slen < 32'd14 || slen > `FRAME_MAX
                         : (op == `OPCODE_RAW_POST || op == `OPCODE_POOL_POST) ? scount == 16'd0 || scount > 16'd16
                         : op == `OPCODE_FORWARD ? slen < `FORWARD_MIN || slen > `FORWARD_MAX : 1'b0;
  wire [12:0] named_nbr = NBR + {3'd0, sconn[2:0], 7'd0};
  wire [31:0] rto_told = {19'd0, ram[DLG + 13'd49], ram[DLG + 13'd48][7:3]} + {16'd0, `LE16(DLG + 13'd50)};
  wire [15:0] path_mtu = `LE16(path_at + 13'd4);
  wire [12:0] path_at = PATH + {4'd0, ram[IMG + 13'd16][2:0], 6'd0};

  // ---- the segment in the work memory ----
  wire        is_ip   = `BE16(RXF + 13'd12) == 16'h0800 && ram[RXF + IP] == 8'h45 && frame_len >= 16'd54;
  wire [15:0] ip_len  = `BE16(RXF + IP + 13'd2);
  wire        is_tcp  = is_ip && ram[RXF + IP + 13'd9] == 8'd6 && (`BE16(RXF + IP + 13'd6) & 16'h3FFF) == 16'd0 &&
                        ip_len >= 16'd40 && ip_len <= frame_len - 16'd14;
  wire        is_ours = phase == RUNNING && tcp != TIME_WAIT && tcp != CLOSED && `BE32(RXF + IP + 13'd12) == dst_ip &&
                        `BE32(RXF + IP + 13'd16) == src_ip && `BE16(RXF + TCP) == remote_port &&
                        `BE16(RXF + TCP + 13'd2) == local_port;
  wire        f_fin = flags[0], f_syn = flags[1], f_rst = flags[2], f_ack = flags[3], f_urg = flags[4];
  wire [31:0] seg_len  = {16'd0, pay} + {31'd0, f_fin} + {31'd0, f_syn};
  wire [31:0] rcv_wnd  = rcv_adv - rcv_nxt;
  wire        in_front = seq - rcv_nxt < rcv_wnd;
  wire        reaches  = seq + seg_len - 32'd1 - rcv_nxt < rcv_wnd;
  wire        zero_probe = rcv_wnd == 32'd0 && seq == rcv_nxt;
  wire        acceptable = zero_probe || (rcv_wnd != 32'd0 && (in_front || (seg_len != 32'd0 && reaches)));
  wire        may_answer = ~answered || now - answer_tick >= 32'd500;
  wire        ack_too_high = $signed(ack - snd_nxt) > 0;
  wire        ack_too_low  = $signed(ack - (snd_una - max_snd_wnd)) < 0;
  wire        takes_text = tcp == ESTABLISHED || tcp == FIN_WAIT_1 || tcp == FIN_WAIT_2;
  wire        newer    = $signed(ack - snd_una) >= 0 && $signed(seq - snd_wl1) >= 0;
  wire [15:0] newly    = ack[15:0] - snd_una[15:0];
  wire [31:0] wnd_b    = {16'd0, wnd} << snd_ws;

  // ---- what may be sent ----
  wire [31:0] left     = ent_len - ent_acked;
  wire [31:0] most     = least(left, {16'd0, mss});
  wire [31:0] usable   = least(most, snd_wnd);
  wire        flight   = snd_nxt != snd_una;
  wire        may_send = phase == RUNNING && ent_valid && !ent_over && !flight && (tcp == ESTABLISHED || tcp == CLOSE_WAIT);
  wire        worth    = left == 32'd0 || (usable != 32'd0 && (usable == most || {usable[30:0], 1'b0} >= max_snd_wnd));
  wire        due      = rtx_on && $signed(now - rtx_deadline) >= 0 && phase == RUNNING;
  wire        at_limit = max_rt == 32'd0 ? rtx_count >= ram[PAR + 13'd6] : max_rt != 32'hFFFF_FFFF && total_rt >= max_rt;

  wire        own_mac = {`LE32(neighbor), `LE16(neighbor + 13'd4)} == 48'd0;   // the neighbor names no source

  // ---- the window of the next segment: the right edge never falls (docs/decisions/0004) ----
  wire [31:0] edge_wnd = consumed_seq + init_wnd - rcv_nxt;
  wire [31:0] true_wnd = edge_wnd[31] ? 32'd0 : edge_wnd;
  wire [31:0] shifted  = least(true_wnd >> rcv_ws, 32'd65535);
  wire [31:0] kept     = least((rcv_wnd + (32'd1 << rcv_ws) - 32'd1) >> rcv_ws, 32'd65535);
  wire [31:0] field    = (shifted << rcv_ws) < rcv_wnd ? kept : shifted;
  wire        opened   = $signed(consumed_seq + init_wnd - rcv_adv) >= $signed(least(init_wnd >> 1, {16'd0, mss}));

  // ---- what is left of the element that is read, and of the one that snd_una is in ----
  wire [31:0] g_rest  = `LE32(SGL + {4'd0, g_at_elem, 4'd8}) - g_off;
  wire [31:0] piece   = least(g_rest, g_left);
  wire [31:0] sg_rest = `LE32(SGL + {4'd0, sg_at, 4'd8}) - sg_off;
  wire [31:0] take    = off >= {16'd0, pay} ? 32'd0 : least({16'd0, pay} - off, rcv_wnd);

  wire resting = state == S_REST;
  wire sq_work = enable && sq_head != sq_tail;
  assign idle  = resting && !reset_ask && !sq_work && !ack_owed && !ent_over && !due && !(may_send && worth) &&
                 (node_none || out || refused || hold || phase != RUNNING);
  assign rx_at = frame_pos[10:3];

  // ---- sums: 8 bytes a cycle ----
  function [31:0] sum8(input [12:0] p, input [15:0] n);
    integer k;
    begin
      sum8 = 32'd0;
      for (k = 0; k < 8; k = k + 2) begin
        if (n > k[15:0])         sum8 = sum8 + {16'd0, ram[p + k[12:0]], 8'd0};
        if (n > k[15:0] + 16'd1) sum8 = sum8 + {24'd0, ram[p + k[12:0] + 13'd1]};
      end
    end
  endfunction
  function [15:0] folded(input [31:0] s);
    reg [31:0] t;
    begin
      t = {16'd0, s[31:16]} + {16'd0, s[15:0]};
      t = {16'd0, t[31:16]} + {16'd0, t[15:0]};
      folded = t[15:0];
    end
  endfunction

  // ---- the steps that many states take ----
  task memory(input w, input [7:0] c, input [63:0] a, input [15:0] n, input [12:0] p, input [5:0] then_state);
    begin
      go <= 1'b1; write <= w; client <= c; addr <= a; len <= n; at <= p;
      behind_memory <= then_state;
      state <= S_WAIT;
    end
  endtask
  task sum_up(input [31:0] start, input [12:0] p, input [15:0] n, input [5:0] then_state);
    begin
      sum <= start; sum_at <= p; sum_left <= n;
      behind_sum <= then_state;
      state <= S_SUM;
    end
  endtask
  // a completion entry: what it does not name is 0
  task entry(input [7:0] kind, input [7:0] status, input [7:0] code, input [63:0] its_cookie, input [31:0] nbytes,
             input [31:0] info, input [15:0] buffer, input [15:0] offset, input [15:0] index, input [5:0] then_state);
    begin
      put8(CQE, kind); put8(CQE + 13'd1, status); put16(CQE + 13'd2, 16'd0); put8(CQE + 13'd4, gen);
      put8(CQE + 13'd5, code); put16(CQE + 13'd6, offset); put32(CQE + 13'd8, its_cookie[31:0]);
      put32(CQE + 13'd12, its_cookie[63:32]); put32(CQE + 13'd16, nbytes); put32(CQE + 13'd20, info);
      put16(CQE + 13'd24, buffer); put16(CQE + 13'd26, index); put16(CQE + 13'd28, 16'd0); put8(CQE + 13'd30, 8'd0);
      behind_entry <= then_state;
      state <= S_ROOM;
    end
  endtask
  // the answer to the command in the work memory
  task answer(input [7:0] kind, input [7:0] status, input [31:0] nbytes, input [5:0] then_state);
    begin
      entry(kind, status, op, cookie, nbytes, 32'd0, 16'd0, 16'd0, fetched, then_state);
      put16(CQE + 13'd2, sconn);
      put8(CQE + 13'd4, sgen);
    end
  endtask
  task event_entry(input [7:0] code, input [31:0] info);
    entry(`CQ_KIND_EVENT, `STATUS_OK, code, 64'd0, 32'd0, info, 16'd0, 16'd0, 16'd0, S_REST);
  endtask
  // the request that is being sent ends; S_REST completes it
  task end_entry(input [7:0] status); begin ent_over <= ent_valid; ent_status <= status; end endtask
  task freeze(input [7:0] why, input tell);
    begin
      phase <= FROZEN; rtx_on <= 1'b0; ack_owed <= 1'b0;
      reason <= why; retrieve_owed <= tell & ~retrieve_told;
    end
  endtask
  task segment_out(input [31:0] s, input [15:0] n, input [7:0] f, input [5:0] then_state);
    begin
      tx_seq <= s; tx_len <= n; tx_flags <= f;
      g_at_elem <= sg_at; g_off <= sg_off; g_left <= {16'd0, n}; g_to <= TXF + TEXT;
      behind_frame <= then_state;
      state <= S_GATHER;
    end
  endtask
  task data_out(input [31:0] n, input fin, input again);
    begin
      out_len <= n[15:0]; out_fin <= fin; out_again <= again;
      segment_out(snd_una, n[15:0], 8'h10 | {7'd0, fin} | (n != 32'd0 && n == left ? 8'h08 : 8'h00), S_SENT);
    end
  endtask
  task answer_peer(input limited);
    if (!limited || may_answer) begin
      ack_owed <= 1'b1;
      if (limited) begin answered <= 1'b1; answer_tick <= now; end
    end
  endtask

  integer i;
  always @(posedge clk) begin
    go <= 1'b0; reset_done <= 1'b0; cq_written <= 1'b0; bus_error <= 1'b0; rx_pop <= 1'b0;
    for (i = 0; i < 8; i = i + 1) if (b_strb[i]) ram[b_at + i[12:0]] <= b_data[8 * i +: 8];
    if (rst) begin
      state <= S_CLEAR;
      m_axis_tvalid <= 1'b0;
    end else case (state)
      S_CLEAR: begin
        sq_head <= 16'd0; cq_tail <= 16'd0; phase_bit <= 1'b1; fetched <= 16'hFFFF;
        raw_head <= 7'd0; raw_tail <= 7'd0; pool_head <= 11'd0; pool_tail <= 11'd0; node_head <= 11'd0; node_tail <= 11'd0;
        phase <= FREE; tcp <= CLOSED; path_ok <= 8'd0; nbr_ok <= 8'd0; ent_valid <= 1'b0; ent_over <= 1'b0;
        ack_owed <= 1'b0; rtx_on <= 1'b0; out <= 1'b0; abort_owed <= 1'b0; retrieve_owed <= 1'b0; terminating <= 1'b0;
        turn <= 1'b0; snd_una <= 32'd0; snd_nxt <= 32'd0; token <= 16'd0; rtx_deadline <= 32'd0; ent_len <= 32'd0;
        ent_acked <= 32'd0; mss <= 16'd536; snd_wnd <= 32'd0; max_snd_wnd <= 32'd0; hold <= 1'b0; refused <= 1'b0;
        frame_pos <= 16'd0; fin_mark <= 1'b0; fin_told <= 1'b0; retrieve_told <= 1'b0; ent_fin <= 1'b0; rcv_held <= 1'b0;
        aborted <= 1'b0;
        for (i = 0; i < 11; i = i + 1) counter[i] <= 32'd0;
        state <= S_REST;
      end

      // ---- what is next ----
      S_REST: begin
        turn <= 1'b0;
        if (reset_ask) begin
          reset_done <= 1'b1;
          state <= S_CLEAR;
        end else if (!enable) state <= S_REST;
        else if (ent_over) begin
          ent_over <= 1'b0; ent_valid <= 1'b0;
          if (ent_last || ent_status != `STATUS_OK)
            entry(`CQ_KIND_SEND, ent_status, ent_op, ent_cookie, ent_acked, 32'd0, 16'd0, 16'd0, ent_index, S_REST);
        end else if (abort_owed) begin
          abort_owed <= 1'b0;
          event_entry(`TCP_EVENT_TYPE_ABORT, 32'd0);
        end else if (rcv_held && (terminating || aborted)) begin
          rcv_held <= 1'b0;
          entry(`CQ_KIND_RECEIVE, aborted ? `STATUS_ABORTED : `STATUS_UPLOAD, `OPCODE_RECEIVE, rcv_cookie, 32'd0, 32'd0,
                16'd0, 16'd0, 16'd0, S_REST);
        end else if (retrieve_owed) begin
          retrieve_owed <= 1'b0; retrieve_told <= 1'b1;
          event_entry(`TCP_EVENT_TYPE_RETRIEVE, {24'd0, reason});
        end else if (ack_owed && phase == RUNNING) segment_out(snd_nxt, 16'd0, 8'h10, S_REST);
        else if (terminating && !out) state <= S_OVER;
        else if (rx_valid && !(turn && sq_work)) begin
          frame_len <= {4'd0, rx_len}; frame_pos <= 16'd0; forwarded <= 1'b0;
          state <= S_COPY;
        end else if (sq_work) begin
          fetched <= fetched + 16'd1;
          memory(1'b0, `RD_CLIENT_DESCRIPTOR, sq_base + {42'd0, sq_head, 6'd0}, `SQE_BYTES, SQE, S_DECODE);
        end else if (phase == RUNNING && !out && !hold && !node_none && !refused) begin
          out <= 1'b1; token <= token + 16'd1;
          entry(`CQ_KIND_INDICATION, `STATUS_OK, 8'd0, 64'd0, {16'd0, node_len[node_head[9:0]]},
                {16'd0, token + 16'd1}, node_buf[node_head[9:0]], node_off[node_head[9:0]], 16'd0, S_REST);
        end else if (phase == RUNNING && !out && !hold && node_none && fin_mark && !fin_told) begin
          fin_told <= 1'b1;
          event_entry(`TCP_EVENT_TYPE_DISCONNECT, 32'd0);
        end else if (phase == RUNNING && tcp == TIME_WAIT && !retrieve_told) begin
          reason <= 8'd10; retrieve_owed <= 1'b1;   // UPLOAD_REQUESTED
        end else if (due && flight && at_limit) freeze(8'd8, 1'b1);   // TIMEOUT_EXPIRATION
        else if (due && flight) begin
          if (rtx_count == 8'd0) ssthresh <= {15'd0, mss, 1'b0};
          cwnd <= {16'd0, mss}; total_rt <= total_rt + rto; rtx_count <= rtx_count + 8'd1;
          rto <= least(rto << 1, `LE32(PAR + 13'd28));
          data_out({16'd0, out_len}, out_fin, 1'b1);
        end else if (may_send && worth) begin
          rtx_on <= 1'b0;
          data_out(usable, ent_fin && usable == left, 1'b0);
        end else if (due && may_send) data_out(usable == 32'd0 ? 32'd1 : usable, 1'b0, 1'b0);
        else if (may_send && !rtx_on) begin
          rtx_on <= 1'b1; rtx_deadline <= now + rto;
        end
      end

      // ---- host memory and completions ----
      S_WAIT: if (done) begin
        if (error && client == `RD_CLIENT_DESCRIPTOR) bus_error <= 1'b1;
        state <= behind_memory;
      end
      S_ROOM: if (!cq_full) begin
        put8(CQE + 13'd31, {7'd0, phase_bit});
        memory(1'b1, `WR_CLIENT_COMPLETION, cq_base + {43'd0, cq_tail, 5'd0}, `CQE_BYTES, CQE, S_ENTERED);
      end
      S_ENTERED: begin
        cq_tail <= (cq_tail + 16'd1) & cq_mask;
        if (cq_tail == cq_mask) phase_bit <= ~phase_bit;
        cq_written <= 1'b1;
        state <= behind_entry;
      end

      // ---- commands ----
      S_DECODE: begin
        sq_head <= (sq_head + 16'd1) & sq_mask;
        turn <= 1'b1;
        if (op > `OPCODE_UPLOAD) answer(kind_of, `STATUS_BAD_OPCODE, 32'd0, S_REST);
        else if ((op == `OPCODE_QUERY && sflags[1:0] != 2'd2) || op == `OPCODE_INVALIDATE || op == `OPCODE_UPDATE ||
                 (op == `OPCODE_DISCONNECT && !graceful && !abortive))
          answer(kind_of, `STATUS_NOT_SUPPORTED, 32'd0, S_REST);
        else if ((of_conn && sconn != 16'd0) ||
                 ((op == `OPCODE_PATH_WRITE || op == `OPCODE_NEIGHBOR_WRITE || op == `OPCODE_QUERY) && sconn > 16'd7))
          answer(kind_of, `STATUS_BAD_CONN, 32'd0, S_REST);
        else if (bad_length) answer(kind_of, `STATUS_BAD_LENGTH, 32'd0, S_REST);
        else case (op)
          `OPCODE_NOP: answer(kind_of, `STATUS_OK, 32'd0, S_REST);
          `OPCODE_PARAM_WRITE: memory(1'b0, `RD_CLIENT_IMAGE, saddr, `PARAM_IMAGE_BYTES, PAR, S_TAKEN);
          `OPCODE_PATH_WRITE: begin
            path_ok[sconn[2:0]] <= 1'b1;
            memory(1'b0, `RD_CLIENT_IMAGE, saddr, `PATH_IMAGE_BYTES, PATH + {4'd0, sconn[2:0], 6'd0}, S_TAKEN);
          end
          `OPCODE_NEIGHBOR_WRITE: begin
            nbr_ok[sconn[2:0]] <= 1'b1;
            memory(1'b0, `RD_CLIENT_IMAGE, saddr, `NEIGHBOR_IMAGE_BYTES, named_nbr, S_REACHED);
          end
          `OPCODE_QUERY:
            if (!nbr_ok[sconn[2:0]]) answer(kind_of, `STATUS_BAD_STATE, 32'd0, S_REST);
            else begin
              answer(kind_of, `STATUS_OK, now - `LE32(named_nbr + 13'd96), S_REST);
              put32(CQE + 13'd20, now - `LE32(named_nbr + 13'd100));
            end
          `OPCODE_RAW_SEND: memory(1'b0, `RD_CLIENT_PAYLOAD, saddr, slen[15:0], TXF, S_RAW_OUT);
          `OPCODE_RAW_POST, `OPCODE_POOL_POST: begin
            left_count <= 16'd0;
            state <= S_POST;
          end
          `OPCODE_NEIGHBOR_ANSWER: answer(kind_of, `STATUS_BAD_STATE, 32'd0, S_REST);   // nobody asked
          `OPCODE_INITIATE:
            if (phase != FREE) answer(kind_of, `STATUS_BAD_STATE, 32'd0, S_REST);
            else memory(1'b0, `RD_CLIENT_IMAGE, saddr, `TCP_IMAGE_BYTES, IMG, S_INITIATE);
          default:
            if (phase == FREE || sgen != gen) answer(kind_of, `STATUS_BAD_STATE, 32'd0, S_REST);
            else state <= S_CONN;
        endcase
      end
      S_REACHED: begin                                    // deltas become ticks (CH-225, CH-226)
        put32(named_nbr + 13'd96, now - `LE32(named_nbr + 13'd96));
        put32(named_nbr + 13'd100, now - `LE32(named_nbr + 13'd100));
        state <= S_TAKEN;
      end
      S_TAKEN: answer(kind_of, error ? `STATUS_READ_ERROR : `STATUS_OK, 32'd0, S_REST);
      S_POST: begin
        if (op == `OPCODE_RAW_POST) begin
          raw_q[raw_tail[5:0]] <= `LE16(SQE + 13'd32 + {left_count[11:0], 1'b0});
          raw_tail <= raw_tail + 7'd1;
        end else begin
          pool_q[pool_tail[9:0]] <= `LE16(SQE + 13'd32 + {left_count[11:0], 1'b0});
          pool_tail <= pool_tail + 11'd1;
        end
        left_count <= left_count + 16'd1;
        if (left_count + 16'd1 == scount) state <= S_REST;
      end
      S_RAW_OUT: begin
        frame_len <= slen[15:0]; frame_pos <= 16'd0; behind_frame <= S_RAW_DONE;
        state <= error ? S_RAW_DONE : S_EMIT;
      end
      S_RAW_DONE: answer(kind_of, error ? `STATUS_READ_ERROR : `STATUS_OK, 32'd0, S_REST);
      S_INITIATE: begin
        gen <= sgen; aborted <= 1'b0; tcp <= ram[DLG][3:0];
        if (error) answer(kind_of, `STATUS_READ_ERROR, 32'd0, S_REST);
        else if (ram[IMG] != `FAMILY_IPV4 || ram[IMG + 13'd2][0] || ram[IMG + 13'd2][4:3] != 2'd0 ||
                 `LE32(DLG) != {28'd0, ESTABLISHED} || `LE32(DLG + 13'd16) != `LE32(DLG + 13'd24) || ram[IMG + 13'd64][0])
          answer(kind_of, `STATUS_NOT_SUPPORTED, 32'd0, S_REST);
        else if (`LE16(IMG + 13'd16) > 16'd7 || !path_ok[ram[IMG + 13'd16][2:0]] || !nbr_ok[ram[path_at + 13'd2][2:0]])
          answer(kind_of, `STATUS_BAD_IMAGE, 32'd0, S_REST);
        else if (`LE16(NBR + {3'd0, ram[path_at + 13'd2][2:0], 7'd0} + 13'd32) != 16'd0)
          answer(kind_of, `STATUS_NOT_SUPPORTED, 32'd0, S_REST);                        // a VLAN
        else begin
          phase <= LOADED;
          neighbor <= NBR + {3'd0, ram[path_at + 13'd2][2:0], 7'd0};
          src_ip <= `BE32(path_at + 13'd16); dst_ip <= `BE32(path_at + 13'd32);
          remote_port <= `LE16(IMG + 13'd4); local_port <= `LE16(IMG + 13'd6);
          snd_ws <= ram[IMG + 13'd2][2] ? ram[IMG + 13'd8][3:0] : 4'd0;
          rcv_ws <= ram[IMG + 13'd2][2] ? ram[IMG + 13'd9][3:0] : 4'd0;
          mss <= least16(`LE16(IMG + 13'd10), path_mtu - 16'd40);
          init_wnd <= `LE32(IMG + 13'd68); max_rt <= `LE32(IMG + 13'd88); ttl <= ram[IMG + 13'd96]; tos <= ram[IMG + 13'd97];
          rcv_nxt <= `LE32(DLG + 13'd8); consumed_seq <= `LE32(DLG + 13'd8); rcv_adv <= `LE32(DLG + 13'd8) + `LE32(DLG + 13'd12);
          snd_una <= `LE32(DLG + 13'd16); snd_nxt <= `LE32(DLG + 13'd24); snd_wnd <= `LE32(DLG + 13'd28);
          max_snd_wnd <= `LE32(DLG + 13'd32); snd_wl1 <= `LE32(DLG + 13'd36);
          cwnd <= `LE32(DLG + 13'd40); ssthresh <= `LE32(DLG + 13'd44); total_rt <= `LE32(DLG + 13'd64);
          rto_base <= `LE16(DLG + 13'd48) == 16'd0 ? `LE32(PAR + 13'd32) : rto_told < `LE32(PAR + 13'd24) ? `LE32(PAR + 13'd24)
                      : rto_told;
          rcv_held <= 1'b0; rtx_on <= 1'b0; rtx_count <= 8'd0; answered <= 1'b0; ack_owed <= 1'b0; out <= 1'b0; refused <= 1'b0;
          fin_mark <= 1'b0; fin_told <= 1'b0; retrieve_told <= 1'b0; hold <= 1'b1;
          answer(kind_of, `STATUS_OK, 32'd0, S_REST);
        end
      end
      S_CONN: case (op)
        `OPCODE_START:
          if (phase != LOADED) answer(kind_of, `STATUS_BAD_STATE, 32'd0, S_REST);
          else begin
            phase <= RUNNING; hold <= sflags[0]; rto <= rto_base;
            answer(kind_of, `STATUS_OK, 32'd0, S_REST);
          end
        `OPCODE_RESUME: begin hold <= 1'b0; state <= S_REST; end
        `OPCODE_UPLOAD: begin
          if (phase == RUNNING) freeze(8'd10, 1'b1);
          answer(kind_of, phase == LOADED ? `STATUS_BAD_STATE : `STATUS_OK, 32'd0, S_REST);
        end
        `OPCODE_ANSWER:
          if (!out || `LE16(SQE + 13'd28) != token) answer(kind_of, `STATUS_BAD_TOKEN, 32'd0, S_REST);
          else if (slen > {16'd0, node_len[node_head[9:0]]}) answer(kind_of, `STATUS_BAD_LENGTH, 32'd0, S_REST);
          else begin
            out <= 1'b0; consumed_seq <= consumed_seq + slen;
            if (slen == {16'd0, node_len[node_head[9:0]]}) node_head <= node_head + 11'd1;
            else begin
              // what is left would wait for a receive, and this device takes none: the host must take it back
              node_off[node_head[9:0]] <= node_off[node_head[9:0]] + slen[15:0];
              node_len[node_head[9:0]] <= node_len[node_head[9:0]] - slen[15:0];
              refused <= 1'b1;
              if (phase == RUNNING) freeze(8'd10, 1'b1);
            end
            state <= S_STATE;
          end
        `OPCODE_SEND, `OPCODE_DISCONNECT:
          if (phase == FROZEN) answer(kind_of, aborted ? `STATUS_ABORTED : `STATUS_UPLOAD, 32'd0, S_REST);
          else if (abortive) begin
            if (phase != RUNNING) answer(kind_of, `STATUS_BAD_STATE, 32'd0, S_REST);
            else begin
              freeze(8'd0, 1'b0);
              aborted <= 1'b1; tcp <= CLOSED;
              counter[RESET_ESTABLISHED] <= counter[RESET_ESTABLISHED] + established;
              ent_valid <= 1'b0;
              if (ent_valid)
                entry(`CQ_KIND_SEND, `STATUS_ABORTED, ent_op, ent_cookie, ent_acked, 32'd0, 16'd0, 16'd0, ent_index, S_RST_OUT);
              else state <= S_RST_OUT;
            end
          end else if (tcp != ESTABLISHED && tcp != CLOSE_WAIT) answer(kind_of, `STATUS_BAD_STATE, 32'd0, S_REST);
          else if (ent_valid) answer(kind_of, `STATUS_NO_RESOURCES, 32'd0, S_REST);
          else begin
            ent_valid <= 1'b1; ent_fin <= graceful; ent_last <= sflags[0]; ent_op <= op; ent_cookie <= cookie;
            ent_index <= fetched; ent_len <= slen; ent_acked <= 32'd0; sg_at <= 5'd0; sg_off <= 32'd0;
            if (scount != 16'd0) memory(1'b0, `RD_CLIENT_LIST, saddr, {scount[11:0], 4'd0}, SGL, S_REST);
            else state <= S_REST;
          end
        `OPCODE_RECEIVE: begin                            // UPLOAD_REQUESTED: another device may take it
          if (phase == RUNNING) freeze(8'd10, 1'b1);
          if (rcv_held || terminating || aborted)
            answer(kind_of, aborted ? `STATUS_ABORTED : terminating ? `STATUS_UPLOAD : `STATUS_NO_RESOURCES, 32'd0, S_REST);
          else begin                                      // it goes back with the upload, not before
            rcv_held <= 1'b1; rcv_cookie <= cookie;
            state <= S_REST;
          end
        end
        `OPCODE_FORWARD:
          if (phase == FROZEN) answer(kind_of, aborted ? `STATUS_ABORTED : `STATUS_UPLOAD, 32'd0, S_REST);
          else if (phase == LOADED) answer(kind_of, `STATUS_BAD_STATE, 32'd0, S_REST);
          else memory(1'b0, `RD_CLIENT_COPY, saddr, slen[15:0], RXF + TCP, S_FORWARD);
        default: if (terminating) answer(kind_of, `STATUS_BAD_STATE, 32'd0, S_REST);
        else begin                                        // TERMINATE: it waits for the answer to an indication
          terminating <= 1'b1;
          t_cookie <= cookie; t_addr <= saddr; t_addr2 <= saddr2; t_index <= fetched;
          end_entry(aborted ? `STATUS_ABORTED : `STATUS_UPLOAD);
          if (phase == LOADED) rtx_on <= 1'b0;
          if (phase != FROZEN) phase <= FROZEN;
          state <= S_REST;
        end
      endcase
      S_RST_OUT: segment_out(snd_nxt, 16'd0, 8'h14, S_RST_DONE);
      S_RST_DONE: answer(kind_of, `STATUS_OK, 32'd0, S_REST);
      S_FORWARD: begin
        forwarded <= 1'b1; frame_len <= slen[15:0] + 16'd34;
        net16(RXF + IP + 13'd2, slen[15:0] + 16'd20);
        state <= error ? S_FREE : S_SEGMENT;
      end

      // ---- a segment out: text, header, sums, beats ----
      S_GATHER: begin
        if (g_left == 32'd0) state <= S_HEADER;
        else begin
          g_left <= g_left - piece; g_to <= g_to + piece[12:0];
          if (piece == g_rest) begin
            g_at_elem <= g_at_elem + 5'd1; g_off <= 32'd0;
          end else g_off <= g_off + piece;
          memory(1'b0, `RD_CLIENT_PAYLOAD, `LE64(SGL + {4'd0, g_at_elem, 4'd0}) + {32'd0, g_off}, piece[15:0], g_to, S_GATHERED);
        end
      end
      S_GATHERED:
        if (error) begin                                  // HARDWARE_FAILURE
          aborted <= 1'b1;
          freeze(8'd11, 1'b1);
          end_entry(`STATUS_ABORTED);
          state <= S_REST;
        end else state <= S_GATHER;
      S_HEADER: begin
        for (i = 0; i < 6; i = i + 1) begin
          put8(TXF + i[12:0], ram[neighbor + 13'd64 + i[12:0]]);
          put8(TXF + 13'd6 + i[12:0], own_mac ? mac_addr[8 * i +: 8] : ram[neighbor + i[12:0]]);
        end
        net32(TXF + 13'd12, {16'h0800, 8'h45, tos});
        net32(TXF + IP + 13'd2, {16'd40 + tx_len, 1'b1, counter[OUT_REQUESTS][14:0]});
        net32(TXF + IP + 13'd6, {16'h4000, ttl, 8'd6});
        net16(TXF + IP + 13'd10, 16'd0);
        net32(TXF + IP + 13'd12, src_ip);
        net32(TXF + IP + 13'd16, dst_ip);
        net32(TXF + TCP, {local_port, remote_port});
        net32(TXF + TCP + 13'd4, tx_seq);
        net32(TXF + TCP + 13'd8, rcv_nxt);
        net32(TXF + TCP + 13'd12, {8'h50, tx_flags, field[15:0]});
        net32(TXF + TCP + 13'd16, 32'd0);
        rcv_adv <= rcv_nxt + (field << rcv_ws);
        ack_owed <= 1'b0;
        sum_up(32'd0, TXF + IP, 16'd20, S_IP_SUM);
      end
      S_SUM:
        if (sum_left == 16'd0) state <= behind_sum;
        else begin
          sum <= sum + sum8(sum_at, sum_left);
          sum_at <= sum_at + 13'd8;
          sum_left <= sum_left > 16'd8 ? sum_left - 16'd8 : 16'd0;
        end
      S_IP_SUM: begin
        net16(TXF + IP + 13'd10, ~folded(sum));
        sum_up({16'd0, src_ip[31:16]} + {16'd0, src_ip[15:0]} + {16'd0, dst_ip[31:16]} + {16'd0, dst_ip[15:0]} + 32'd26 +
               {16'd0, tx_len}, TXF + TCP, 16'd20 + tx_len, S_TCP_SUM);
      end
      S_TCP_SUM: begin
        net16(TXF + TCP + 13'd16, ~folded(sum));
        counter[OUT_REQUESTS] <= counter[OUT_REQUESTS] + 32'd1;
        counter[OUT_OCTETS]   <= counter[OUT_OCTETS] + 32'd40 + {16'd0, tx_len};
        if (tx_flags[2]) counter[OUT_RESETS] <= counter[OUT_RESETS] + 32'd1;
        if (behind_frame == S_SENT && out_again) counter[OUT_AGAIN] <= counter[OUT_AGAIN] + 32'd1;
        else counter[OUT_SEGMENTS] <= counter[OUT_SEGMENTS] + 32'd1;
        frame_len <= 16'd54 + tx_len; frame_pos <= 16'd0;
        state <= S_EMIT;
      end
      S_EMIT:
        if (!m_axis_tvalid || m_axis_tready) begin
          m_axis_tvalid <= frame_pos < frame_len;
          for (i = 0; i < 8; i = i + 1) begin
            m_axis_tkeep[i] <= frame_pos + i[15:0] < frame_len;
            m_axis_tdata[8 * i +: 8] <= frame_pos + i[15:0] < frame_len ? ram[TXF + frame_pos[12:0] + i[12:0]] : 8'd0;
          end
          m_axis_tlast  <= frame_pos + 16'd8 >= frame_len;
          frame_pos     <= frame_pos + 16'd8;
          if (frame_pos >= frame_len) state <= behind_frame;
        end
      S_SENT: begin
        snd_nxt <= snd_una + {16'd0, out_len} + {31'd0, out_fin};
        rtx_on <= 1'b1; rtx_deadline <= now + rto;
        if (out_fin && !out_again) tcp <= tcp == CLOSE_WAIT ? LAST_ACK : FIN_WAIT_1;
        state <= S_REST;
      end

      // ---- a frame in ----
      S_COPY: begin
        for (i = 0; i < 8; i = i + 1) ram[RXF + frame_pos[12:0] + i[12:0]] <= rx_data[8 * i +: 8];
        frame_pos <= frame_pos + 16'd8;
        if (frame_pos + 16'd8 >= frame_len) begin
          rx_pop <= 1'b1;
          state <= S_LOOK;
        end
      end
      S_LOOK:
        if (is_tcp) sum_up(32'd0, RXF + IP, 16'd20, S_IP_CHECK);
        else state <= S_RAW_IN;
      S_IP_CHECK:
        if (folded(sum) != 16'hFFFF) state <= S_REST;
        else sum_up({16'd0, `BE16(RXF + 13'd26)} + {16'd0, `BE16(RXF + 13'd28)} + {16'd0, `BE16(RXF + 13'd30)} +
                    {16'd0, `BE16(RXF + 13'd32)} + 32'd6 + {16'd0, ip_len} - 32'd20, RXF + TCP, ip_len - 16'd20, S_TCP_CHECK);
      S_TCP_CHECK:
        if (folded(sum) != 16'hFFFF) state <= S_REST;
        else state <= is_ours ? S_SEGMENT : S_RAW_IN;
      S_RAW_IN:
        if (forwarded || raw_head == raw_tail) state <= S_FREE;
        else begin
          raw_head <= raw_head + 7'd1;
          memory(1'b1, `WR_CLIENT_PLACER, raw_base + {37'd0, raw_q[raw_head[5:0]], 11'd0}, frame_len, RXF, S_RAW_GIVE);
        end
      S_RAW_GIVE: begin
        entry(`CQ_KIND_RAW_RX, `STATUS_OK, 8'd0, 64'd0, {16'd0, frame_len}, 32'd0, raw_q[raw_head[5:0] - 6'd1], 16'd0,
              16'd0, S_REST);
        put8(CQE + 13'd4, 8'd0);
      end

      // ---- a segment in: the checks of RFC 9293 3.10.7.4 in their order ----
      S_SEGMENT: begin
        seq <= `BE32(RXF + TCP + 13'd4); ack <= `BE32(RXF + TCP + 13'd8); wnd <= `BE16(RXF + TCP + 13'd14);
        flags <= {ram[RXF + TCP + 13'd13][5:4], ram[RXF + TCP + 13'd13][2:0]};
        doff <= {ram[RXF + TCP + 13'd12][7:4], 2'd0};
        pay <= ip_len - 16'd20 - {10'd0, ram[RXF + TCP + 13'd12][7:4], 2'd0};
        counter[IN_SEGMENTS] <= counter[IN_SEGMENTS] + 32'd1;
        if (!forwarded) begin
          counter[IN_RECEIVES] <= counter[IN_RECEIVES] + 32'd1;
          counter[IN_OCTETS]   <= counter[IN_OCTETS] + {16'd0, ip_len};
        end
        // a header that does not fit is dropped with its frame
        state <= ram[RXF + TCP + 13'd12][7:4] < 4'd5 ||
                 {10'd0, ram[RXF + TCP + 13'd12][7:4], 2'd0} > ip_len - 16'd20 ? S_FREE : S_ADVANCE;
        adv_left <= 32'd0; off <= 32'hFFFF_FFFF;
      end
      // off is all ones until the acknowledgment was judged; then the list is walked, one element a cycle
      S_ADVANCE:
        if (off == 32'hFFFF_FFFF) begin
          off <= 32'd0;
          if (!acceptable) begin
            if (!f_rst) answer_peer(seg_len == 32'd0);
            state <= S_FREE;
          end else if (f_rst) begin
            if (seq == rcv_nxt) begin
              counter[RESET_ESTABLISHED] <= counter[RESET_ESTABLISHED] + established;
              aborted <= 1'b1; tcp <= CLOSED; abort_owed <= 1'b1;
              freeze(8'd0, 1'b0);
              end_entry(`STATUS_ABORTED);
            end else answer_peer(1'b1);
            state <= S_FREE;
          end else if (f_syn) begin
            if (seq == rcv_nxt) begin
              tcp <= CLOSED;
              freeze(8'd10, 1'b1);
            end else answer_peer(1'b1);
            state <= S_FREE;
          end else if (!f_ack) state <= S_FREE;
          else if (ack_too_high || ack_too_low) begin
            answer_peer(1'b1);
            state <= S_FREE;
          end else if (f_urg) begin
            freeze(8'd5, 1'b1);
            state <= S_RAW_IN;
          end else begin
            if (newer) begin
              snd_wnd <= wnd_b; snd_wl1 <= seq;
              if (wnd_b > max_snd_wnd) max_snd_wnd <= wnd_b;
            end
            if ($signed(ack - snd_una) > 0) begin
              put32(neighbor + 13'd100, now);             // forward progress: the neighbor is reachable
              snd_una <= ack; total_rt <= 32'd0; rtx_count <= 8'd0; rto <= rto_base;
              rtx_on <= ack != snd_nxt; rtx_deadline <= now + rto_base;
              if (cwnd < ssthresh) cwnd <= cwnd + least(ack - snd_una, {16'd0, mss});
              adv_left <= least(ack - snd_una, {16'd0, out_len});
              ent_acked <= ent_acked + least(ack - snd_una, {16'd0, out_len});
              out_len <= ack - snd_una < {16'd0, out_len} ? out_len - newly : 16'd0;
              if (out_fin && ack == snd_nxt)
                tcp <= tcp == FIN_WAIT_1 ? FIN_WAIT_2 : tcp == CLOSING ? TIME_WAIT : CLOSED;
            end
          end
        end else if (adv_left != 32'd0) begin
          adv_left <= adv_left - least(sg_rest, adv_left);
          if (sg_rest <= adv_left) begin
            sg_at <= sg_at + 5'd1; sg_off <= 32'd0;
          end else sg_off <= sg_off + adv_left;
        end else begin
          if (ent_valid && ent_acked == ent_len && !flight && (!ent_fin || (tcp != ESTABLISHED && tcp != CLOSE_WAIT)))
            end_entry(`STATUS_OK);
          off  <= $signed(rcv_nxt - seq) > 0 ? rcv_nxt - seq : 32'd0;
          state <= seg_len == 32'd0 ? S_FREE : S_PLACE;
        end

      // ---- text: in order, into a pool buffer of its own ----
      S_PLACE: begin
        took <= take;
        if (!takes_text || zero_probe || $signed(seq - rcv_nxt) > 0 || (take == 32'd0 && !(f_fin && off == {16'd0, pay})) ||
            (take != 32'd0 && pool_head == pool_tail)) begin
          answer_peer(1'b0);
          state <= S_FREE;
        end else if (take == 32'd0) state <= S_FIN;
        else memory(1'b1, `WR_CLIENT_PLACER, pool_base + {37'd0, pool_q[pool_head[9:0]], 11'd0}, take[15:0],
                    RXF + TCP + {7'd0, doff} + off[12:0], S_PLACED);
      end
      S_PLACED: begin
        pool_head <= pool_head + 11'd1;
        node_buf[node_tail[9:0]] <= pool_q[pool_head[9:0]];
        node_off[node_tail[9:0]] <= 16'd0;
        node_len[node_tail[9:0]] <= took[15:0];
        node_tail <= node_tail + 11'd1;
        rcv_nxt <= rcv_nxt + took;
        ack_owed <= 1'b1;
        state <= f_fin && off + took == {16'd0, pay} ? S_FIN : S_FREE;
      end
      S_FIN: begin
        rcv_nxt <= rcv_nxt + 32'd1; consumed_seq <= consumed_seq + 32'd1;
        if (rcv_wnd == 32'd0) rcv_adv <= rcv_nxt + 32'd1;
        fin_mark <= 1'b1; ack_owed <= 1'b1;
        tcp <= tcp == ESTABLISHED ? CLOSE_WAIT : tcp == FIN_WAIT_1 ? CLOSING : TIME_WAIT;
        state <= S_FREE;
      end
      // a frame or an ANSWER is done with
      S_FREE: if (forwarded) begin
        forwarded <= 1'b0;
        answer(`CQ_KIND_FORWARD, `STATUS_OK, 32'd0, S_REST);
      end else state <= S_REST;
      S_STATE: begin
        if (phase == RUNNING && opened) ack_owed <= 1'b1;
        state <= S_REST;
      end

      // ---- TERMINATE: left-over buffers, image, completion ----
      S_OVER: begin
        left_count <= 16'd0;
        state <= S_LEFT;
      end
      S_LEFT:
        if (node_none) begin
          put32(LEFT, {16'd0, left_count}); put32(LEFT + 13'd4, 32'd0);
          state <= S_LEFT_COUNT;
        end else if (t_addr2 == 64'd0 || aborted) begin
          pool_q[pool_tail[9:0]] <= node_buf[node_head[9:0]];
          pool_tail <= pool_tail + 11'd1; node_head <= node_head + 11'd1;
        end else begin
          put16(LEFT, node_buf[node_head[9:0]]); put16(LEFT + 13'd2, node_off[node_head[9:0]]);
          put16(LEFT + 13'd4, node_len[node_head[9:0]]); put16(LEFT + 13'd6, 16'd0);
          left_count <= left_count + 16'd1; node_head <= node_head + 11'd1;
          state <= S_LEFT_PUT;
        end
      S_LEFT_PUT: memory(1'b1, `WR_CLIENT_PLACER, t_addr2 + {45'd0, left_count, 3'd0}, 16'd8, LEFT, S_LEFT);
      S_LEFT_COUNT: begin
        put32(DLG, {28'd0, tcp}); put32(DLG + 13'd8, rcv_nxt); put32(DLG + 13'd12, rcv_wnd); put32(DLG + 13'd16, snd_una);
        put32(DLG + 13'd20, snd_nxt); put32(DLG + 13'd24, snd_nxt); put32(DLG + 13'd28, snd_wnd);
        put32(DLG + 13'd32, max_snd_wnd); put32(DLG + 13'd36, snd_wl1); put32(DLG + 13'd40, cwnd);
        put32(DLG + 13'd44, ssthresh); put32(DLG + 13'd64, total_rt); put8(DLG + 13'd68, 8'd0); put8(DLG + 13'd69, 8'd0);
        put8(DLG + 13'd71, flight ? rtx_count : 8'd0);
        put32(DLG + 13'd76, !rtx_on || !flight ? `TIMER_OFF : $signed(now - rtx_deadline) >= 0 ? 32'd0 : rtx_deadline - now);
        if (t_addr2 != 64'd0) memory(1'b1, `WR_CLIENT_PLACER, t_addr2, 16'd8, LEFT, S_WRITE_BACK);
        else state <= S_WRITE_BACK;
      end
      S_WRITE_BACK: begin
        terminating <= 1'b0; phase <= FREE; rtx_on <= 1'b0; retrieve_owed <= 1'b0; abort_owed <= 1'b0;
        if (t_addr != 64'd0) memory(1'b1, `WR_CLIENT_STATE, t_addr, `DELEGATED_IMAGE_BYTES, DLG, S_GONE);
        else state <= S_GONE;
      end
      S_GONE: entry(`CQ_KIND_COMMAND, t_addr != 64'd0 && error ? `STATUS_WRITE_ERROR : `STATUS_OK, `OPCODE_TERMINATE, t_cookie,
                    32'd0, {16'd0, left_count}, 16'd0, 16'd0, t_index, S_REST);
      default: state <= S_REST;
    endcase
  end
endmodule
`undef LE16
`undef LE32
`undef LE64
`undef BE16
`undef BE32
`default_nettype wire
