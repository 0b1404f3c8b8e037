// tiny_memory: copies bytes between host memory and the work memory of tiny_core, one request at a time.
// Why a block: alignment, the 4 KiB rule and the AXI handshakes are here and nowhere else.
// go (one cycle) with write, client, addr, len (at least 1), at: `len` bytes at host address `addr`, and at `at` in the
//   work memory. done is high for one cycle behind the last byte; for writes behind the last B, so that what follows
//   cannot be seen before it. error: an answer was not OKAY.
// b_*: bytes that were read; lane i goes to work address b_at + i where b_strb[i]. g_at: lane 0 of what is written now;
//   g_data is answered in the same cycle.
// Bursts: INCR, 8 bytes wide, no longer than to the next 4 KiB boundary; one is under way at a time.
`default_nettype none
module tiny_memory (
    input  wire        clk,
    input  wire        rst,
    input  wire        go,
    input  wire        write,
    input  wire [7:0]  client,
    input  wire [63:0] addr,
    input  wire [15:0] len,
    input  wire [12:0] at,
    output reg         done,
    output reg         error,
    output wire [7:0]  b_strb,
    output wire [12:0] b_at,
    output wire [63:0] b_data,
    output wire [12:0] g_at,
    input  wire [63:0] g_data,
    // AXI4
    output wire [63:0] m_axi_awaddr,
    output wire [7:0]  m_axi_awlen,
    output wire [7:0]  m_axi_awuser,
    output wire        m_axi_awvalid,
    input  wire        m_axi_awready,
    output wire [63:0] m_axi_wdata,
    output wire [7:0]  m_axi_wstrb,
    output wire        m_axi_wlast,
    output wire        m_axi_wvalid,
    input  wire        m_axi_wready,
    input  wire [1:0]  m_axi_bresp,
    input  wire        m_axi_bvalid,
    output wire        m_axi_bready,
    output wire [63:0] m_axi_araddr,
    output wire [7:0]  m_axi_arlen,
    output wire [7:0]  m_axi_aruser,
    output wire        m_axi_arvalid,
    input  wire        m_axi_arready,
    input  wire [63:0] m_axi_rdata,
    input  wire [1:0]  m_axi_rresp,
    input  wire        m_axi_rlast,
    input  wire        m_axi_rvalid,
    output wire        m_axi_rready
);
  localparam [2:0] REST = 3'd0, ADDRESS = 3'd1, READ = 3'd2, WRITE = 3'd3, ANSWER = 3'd4;

  reg [2:0]  state;
  reg        writes;
  reg [7:0]  who;
  reg [63:0] first, last, beat;   // first and last byte of the request, address of the next beat
  reg [8:0]  beats;               // left in the burst
  reg [12:0] base;                // work address of `first`

  // ---- the next burst ----
  wire [60:0] words   = last[63:3] - beat[63:3];             // behind this one
  wire [8:0]  to_page = 9'd511 - beat[11:3];                 // beats behind this one in its 4 KiB
  wire [8:0]  less    = words < {52'd0, to_page} ? words[8:0] : to_page;
  wire [7:0]  burst   = less > 9'd255 ? 8'd255 : less[7:0];  // as AXI counts: one less

  assign m_axi_araddr  = beat;
  assign m_axi_awaddr  = beat;
  assign m_axi_arlen   = burst;
  assign m_axi_awlen   = burst;
  assign m_axi_aruser  = who;
  assign m_axi_awuser  = who;
  assign m_axi_arvalid = state == ADDRESS && !writes;
  assign m_axi_awvalid = state == ADDRESS && writes;

  // ---- lanes of the beat that lie inside the request ----
  reg  [7:0] lanes;
  integer    i;
  always @* begin
    for (i = 0; i < 8; i = i + 1)
      lanes[i] = beat + {32'd0, i} >= first && beat + {32'd0, i} <= last;
  end
  wire [12:0] here = base + (beat[12:0] - first[12:0]);
  assign b_at   = here;
  assign g_at   = here;
  assign b_data = m_axi_rdata;
  assign b_strb = lanes & {8{state == READ && m_axi_rvalid}};
  assign m_axi_rready = state == READ;
  assign m_axi_wvalid = state == WRITE;
  assign m_axi_wdata  = {{8{lanes[7]}}, {8{lanes[6]}}, {8{lanes[5]}}, {8{lanes[4]}}, {8{lanes[3]}}, {8{lanes[2]}},
                         {8{lanes[1]}}, {8{lanes[0]}}} & g_data;
  assign m_axi_wstrb  = lanes;
  assign m_axi_wlast  = beats == 9'd1;
  assign m_axi_bready = state == ANSWER;

  wire over = beat > last;

  always @(posedge clk) begin
    done <= 1'b0;
    if (rst) begin
      state <= REST;
      error <= 1'b0;
    end else case (state)
      REST: if (go) begin
        writes <= write;
        who    <= client;
        first  <= addr;
        last   <= addr + {48'd0, len} - 64'd1;
        beat   <= {addr[63:3], 3'd0};
        base   <= at;
        error  <= 1'b0;
        state  <= ADDRESS;
      end
      ADDRESS: if (writes ? m_axi_awready : m_axi_arready) begin
        beats <= {1'b0, burst} + 9'd1;
        state <= writes ? WRITE : READ;
      end
      READ: if (m_axi_rvalid) begin
        beat <= beat + 64'd8;
        if (m_axi_rresp != 2'b00) error <= 1'b1;
        if (m_axi_rlast) begin
          if (beat + 64'd8 > last) done <= 1'b1;
          state <= beat + 64'd8 > last ? REST : ADDRESS;
        end
      end
      WRITE: if (m_axi_wready) begin
        beat  <= beat + 64'd8;
        beats <= beats - 9'd1;
        if (m_axi_wlast) state <= ANSWER;
      end
      ANSWER: if (m_axi_bvalid) begin
        if (m_axi_bresp != 2'b00) error <= 1'b1;
        done  <= over;
        state <= over ? REST : ADDRESS;
      end
      default: state <= REST;
    endcase
  end
endmodule
`default_nettype wire
