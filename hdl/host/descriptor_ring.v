// descriptor_ring: fetches submission entries in order and hands them to command_decode.
// Why a block: it alone knows the ring arithmetic and the reservation of completion space.
// m_rd_*: dma read client. Up to FETCH entries are fetched in one request, never past the ring's end or the tail.
// m_sqe_*: one entry of 512 bits with its running number; payload stable while valid.
// An entry is fetched only while the completion ring has more than MARGIN entries that no fetched command may need
//   (`cq_free` - commands in flight). A read error stops the ring until reset (mechanisms M7).
// Latency: one memory read plus 64 / bus bytes beats for each entry of the request; then one entry a cycle.
`default_nettype none
`include "chimney_layout.vh"
module descriptor_ring #(
    parameter DATA_W = 64,   // bus width: 64, 128, 256 or 512 bits
    parameter MARGIN = 8     // completion entries kept for indications
) (
    input  wire              clk,
    input  wire              rst,
    input  wire              enable,
    input  wire [63:0]       base,
    input  wire [3:0]        size_log2,
    input  wire [15:0]       tail,
    output reg  [15:0]       head,
    input  wire [15:0]       cq_free,
    input  wire              start_pulse,       // a command that will be completed was dispatched
    input  wire              done_pulse,        // a completion entry of a command was taken by completion_ring
    output wire              m_rd_req_valid,
    input  wire              m_rd_req_ready,
    output wire [63:0]       m_rd_req_addr,
    output wire [15:0]       m_rd_req_len,
    input  wire              s_rd_valid,
    output wire              s_rd_ready,
    input  wire [DATA_W-1:0] s_rd_data,
    input  wire              s_rd_last,
    input  wire              s_rd_error,
    output wire              m_sqe_valid,
    input  wire              m_sqe_ready,
    output wire [511:0]      m_sqe,
    output reg  [15:0]       m_sqe_index,
    output reg               error_pulse,
    output wire              idle
);
  localparam FETCH = 4;
  localparam BEATS = 512 / DATA_W;              // beats an entry
  localparam BEAT_W = (BEATS > 1) ? $clog2(BEATS) : 1;
  localparam COUNT_W = $clog2(FETCH + 1);
  localparam [15:0] FETCH16 = FETCH;

  wire [15:0] mask    = (16'd1 << size_log2) - 16'd1;
  wire [15:0] waiting = (tail - head) & mask;
  wire [15:0] to_end  = mask + 16'd1 - head;
  wire [15:0] batch_a = waiting < FETCH16 ? waiting : FETCH16;
  wire [15:0] batch   = batch_a < to_end ? batch_a : to_end;

  reg         busy, dead, asking, entry_done;
  wire        queued;                           // entries wait for command_decode
  reg  [15:0] in_flight;                        // dispatched, completion entry not yet taken
  wire        room = cq_free > in_flight + batch + MARGIN;
  // a client of dma asks only for what it can sink: the whole batch must fit the queue, which is empty then
  wire        ask  = enable & ~busy & ~dead & (waiting != 16'd0) & room & ~queued & ~entry_done;

  reg  [15:0] ask_count;
  wire unused = &{1'b0, ask_count[15:10], unused_ready, unused_count};
  assign m_rd_req_valid = asking;
  assign m_rd_req_addr  = base + {42'd0, head, 6'd0};
  assign m_rd_req_len   = {ask_count[9:0], 6'd0};

  // ---- entries as they come ----
  reg  [511:0]      entry;
  reg  [BEAT_W-1:0] beat;
  wire              last_beat = (BEATS == 1) || (&beat);
  wire              take = s_rd_valid & s_rd_ready;
  wire              unused_ready;
  wire [COUNT_W-1:0] unused_count;
  assign s_rd_ready  = 1'b1;
  assign idle        = ~busy & (dead | (~entry_done & ~queued & ((waiting == 16'd0) | ~enable)));

  always @(posedge clk) begin
    if (take) entry[beat * DATA_W +: DATA_W] <= s_rd_data;
  end
  // the read error of a batch is known with its last beat: nothing of it leaves before
  assign m_sqe_valid = queued & ~busy & ~dead;
  fifo #(.WIDTH(512), .DEPTH(FETCH)) u_queue (
      .clk(clk), .rst(rst), .s_valid(entry_done), .s_ready(unused_ready), .s_data(entry),
      .m_valid(queued), .m_ready(m_sqe_ready & ~busy & ~dead), .m_data(m_sqe), .count(unused_count));

  always @(posedge clk) begin
    if (rst) begin
      head        <= 16'd0;
      busy        <= 1'b0;
      dead        <= 1'b0;
      asking      <= 1'b0;
      ask_count   <= 16'd0;
      in_flight   <= 16'd0;
      beat        <= {BEAT_W{1'b0}};
      entry_done  <= 1'b0;
      m_sqe_index <= 16'd0;
      error_pulse <= 1'b0;
    end else begin
      error_pulse <= 1'b0;
      // an error entry of a command that promised none may come on top: never below zero
      if (start_pulse & ~done_pulse) in_flight <= in_flight + 16'd1;
      else if (done_pulse & ~start_pulse & (in_flight != 16'd0)) in_flight <= in_flight - 16'd1;
      if (ask) begin
        busy      <= 1'b1;
        asking    <= 1'b1;
        ask_count <= batch;
      end
      if (asking & m_rd_req_ready) asking <= 1'b0;
      entry_done <= take & last_beat & ~dead & ~(s_rd_last & s_rd_error);
      if (m_sqe_valid & m_sqe_ready) m_sqe_index <= m_sqe_index + 16'd1;
      if (take) begin
        beat <= last_beat ? {BEAT_W{1'b0}} : beat + 1'b1;
        if (last_beat) head <= (head + 16'd1) & mask;
        if (s_rd_last) begin
          busy <= 1'b0;
          if (s_rd_error) begin
            dead        <= 1'b1;
            error_pulse <= 1'b1;
          end
        end
      end
    end
  end
endmodule
`default_nettype wire
