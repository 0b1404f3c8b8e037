// completion_ring: writes completion entries to host memory, in the order it takes them.
// Why a block: completions and indications share one ring because NDIS orders them against each other; the phase
//   bit, the tail and the interrupt are kept in this one place.
// s_cpl_*: SOURCES streams of 256-bit entries without phase (index = enum cq_source); round robin, each in order.
// m_wr_*: dma write client; an entry is one request, its last byte (phase) in the last beat.
// A full ring (tail + 1 == head) stalls the sources; it never overruns. The interrupt cause follows the B response.
// A write error stops the ring until reset (mechanisms M7).
// Latency: 2 cycles to the request; several entries may be on their way.
`default_nettype none
`include "chimney_layout.vh"
module completion_ring #(
    parameter DATA_W  = 64,  // bus width in bits
    parameter SOURCES = 8,   // enum cq_source
    parameter COMMIT_PORT = 1
) (
    input  wire                   clk,
    input  wire                   rst,
    input  wire [63:0]            base,
    input  wire [3:0]             size_log2,
    input  wire [15:0]            head,
    output reg  [15:0]            tail,
    output wire [15:0]            free,
    input  wire [SOURCES-1:0]     s_cpl_valid,
    output wire [SOURCES-1:0]     s_cpl_ready,
    input  wire [SOURCES*256-1:0] s_cpl,
    output reg                    m_wr_req_valid,
    input  wire                   m_wr_req_ready,
    output reg  [63:0]            m_wr_req_addr,
    output wire [15:0]            m_wr_req_len,
    output wire                   m_wr_valid,
    input  wire                   m_wr_ready,
    output wire [DATA_W-1:0]      m_wr_data,
    output wire                   m_wr_last,
    input  wire                   s_wr_done,
    input  wire                   s_wr_done_error,
    output wire                   taken_pulse,     // an entry was taken from a source
    output wire [255:0]           taken_entry,
    output wire                   written_pulse,
    output wire                   error_pulse,
    output wire                   idle,
    output reg                    rec_cq_valid,
    output reg  [`REC_CQ_W-1:0]   rec_cq
);
  localparam SRC_W = $clog2(SOURCES);
  localparam BEATS = (256 > DATA_W) ? 256 / DATA_W : 1;
  localparam BEAT_W = (BEATS > 1) ? $clog2(BEATS) : 1;

  wire [15:0] mask = (16'd1 << size_log2) - 16'd1;
  assign free = (head - tail - 16'd1) & mask;

  reg  phase, dead;
  reg  [15:0] pending;                       // entries whose B is outstanding
  reg  [255:0] entry;
  reg  data_valid;
  reg  [BEAT_W-1:0] beat;

  // ---- round robin over the sources: two passes, the ones above the last winner first ----
  reg  [SRC_W-1:0] last;
  reg  [SRC_W-1:0] pick;
  reg              found;
  integer i;
  always @* begin
    pick  = {SRC_W{1'b0}};
    found = 1'b0;
    for (i = SOURCES - 1; i >= 0; i = i - 1)
      if (s_cpl_valid[i] && i[SRC_W-1:0] <= last) begin
        pick  = i[SRC_W-1:0];
        found = 1'b1;
      end
    for (i = SOURCES - 1; i >= 0; i = i - 1)
      if (s_cpl_valid[i] && i[SRC_W-1:0] > last) begin
        pick  = i[SRC_W-1:0];
        found = 1'b1;
      end
  end
  wire busy = m_wr_req_valid | data_valid;
  wire take = found & ~busy & ~dead & (free != 16'd0);
  assign s_cpl_ready = take ? ({{(SOURCES-1){1'b0}}, 1'b1} << pick) : {SOURCES{1'b0}};

  wire [255:0] chosen = s_cpl[pick*256 +: 256];
  reg  [255:0] stamped;
  always @* begin
    stamped = chosen;
    stamped[`CQE_PHASE] = {7'd0, phase};
  end

  wire last_beat = (BEATS == 1) || (&beat);
  assign m_wr_req_len = `CQE_BYTES;
  assign m_wr_valid   = data_valid;
  assign m_wr_last    = last_beat;
  generate
    if (DATA_W >= 256) begin : wide
      if (DATA_W == 256) begin : exact
        assign m_wr_data = entry;
      end else begin : pad
        assign m_wr_data = {{(DATA_W-256){1'b0}}, entry};
      end
    end else begin : narrow
      assign m_wr_data = entry[beat*DATA_W +: DATA_W];
    end
  endgenerate
  assign taken_pulse   = take;
  assign taken_entry   = chosen;
  assign written_pulse = s_wr_done & ~s_wr_done_error;
  assign error_pulse   = s_wr_done & s_wr_done_error;
  assign idle          = ~busy & (pending == 16'd0) & ~(|s_cpl_valid);

  always @(posedge clk) begin
    if (take) entry <= stamped;
    if (take) m_wr_req_addr <= base + {43'd0, tail, 5'd0};
  end
  always @(posedge clk) begin
    if (rst) begin
      tail <= 16'd0;
      phase <= 1'b1;
      dead <= 1'b0;
      pending <= 16'd0;
      last <= {SRC_W{1'b0}};
      m_wr_req_valid <= 1'b0;
      data_valid <= 1'b0;
      beat <= {BEAT_W{1'b0}};
      rec_cq_valid <= 1'b0;
    end else begin
      rec_cq_valid <= (COMMIT_PORT != 0) & take;
      pending <= pending + (take ? 16'd1 : 16'd0) - (s_wr_done ? 16'd1 : 16'd0);
      if (error_pulse) dead <= 1'b1;
      if (take) begin
        last           <= pick;
        tail           <= (tail + 16'd1) & mask;
        phase          <= (tail == mask) ? ~phase : phase;
        m_wr_req_valid <= 1'b1;
        data_valid     <= 1'b1;
        beat           <= {BEAT_W{1'b0}};
      end
      if (m_wr_req_valid & m_wr_req_ready) m_wr_req_valid <= 1'b0;
      if (data_valid & m_wr_ready) begin
        beat <= beat + 1'b1;
        if (last_beat) data_valid <= 1'b0;
      end
    end
  end
  always @(posedge clk) begin
    if (take && COMMIT_PORT != 0) begin
      rec_cq[`REC_CQ_INDEX]  <= tail;
      rec_cq[`REC_CQ_SOURCE] <= {{(4-SRC_W){1'b0}}, pick};
      rec_cq[`REC_CQ_CQE]    <= stamped;
    end
  end
endmodule
`default_nettype wire
