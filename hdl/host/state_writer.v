// state_writer: writes the delegated image of a connection that TERMINATE has freed, then completes the command.
// Why a block: engines never wait for DMA; the snapshot is one commit's TCB, handed over whole.
// s_img_*: TCB and tick of the FENCE_DONE commit. m_wr_*: dma write client. m_cpl_*: the TERMINATE completion,
//   offered after the B response of the image (or at once when the image address is 0).
// Latency: image write plus 3 cycles; one snapshot at a time.
`default_nettype none
`include "chimney_layout.vh"
module state_writer #(
    parameter DATA_W = 64  // bus width in bits
) (
    input  wire              clk,
    input  wire              rst,
    input  wire              s_img_valid,
    output wire              s_img_ready,
    input  wire [`TCB_W-1:0] s_img_tcb,
    input  wire [31:0]       s_img_tick,
    output reg               m_wr_req_valid,
    input  wire              m_wr_req_ready,
    output reg  [63:0]       m_wr_req_addr,
    output wire [15:0]       m_wr_req_len,
    output wire              m_wr_valid,
    input  wire              m_wr_ready,
    output wire [DATA_W-1:0] m_wr_data,
    output wire              m_wr_last,
    input  wire              s_wr_done,
    input  wire              s_wr_done_error,
    input  wire [15:0]       s_img_conn,
    output wire              m_cpl_valid,
    input  wire              m_cpl_ready,
    output reg  [255:0]      m_cpl,
    output wire              idle
);
  localparam BEATS = `DELEGATED_IMAGE_W / DATA_W;
  localparam BEAT_W = $clog2(BEATS);
  localparam [1:0] IDLE = 2'd0, WRITE = 2'd1, WAIT = 2'd2, REPORT = 2'd3;

  reg [1:0] state;
  reg       data_valid;
  reg [BEAT_W-1:0] beat;
  reg [`DELEGATED_IMAGE_W-1:0] image;

  wire [31:0] left    = s_img_tcb[`TCB_RTX_DEADLINE] - s_img_tick;
  wire        expired = left[31] | (left == 32'd0);

  reg [`DELEGATED_IMAGE_W-1:0] built;
  always @* begin
    built = {`DELEGATED_IMAGE_W{1'b0}};
    built[`DELEGATED_IMAGE_STATE]               = {28'd0, s_img_tcb[`TCB_STATE]};
    built[`DELEGATED_IMAGE_DLG_FLAGS]           = s_img_tcb[`TCB_DLG_FLAGS];
    built[`DELEGATED_IMAGE_RCV_NXT]             = s_img_tcb[`TCB_RCV_NXT];
    built[`DELEGATED_IMAGE_RCV_WND]             = s_img_tcb[`TCB_RCV_ADV] - s_img_tcb[`TCB_RCV_NXT];
    built[`DELEGATED_IMAGE_SND_UNA]             = s_img_tcb[`TCB_SND_UNA];
    built[`DELEGATED_IMAGE_SND_NXT]             = s_img_tcb[`TCB_SND_NXT];
    built[`DELEGATED_IMAGE_SND_MAX]             = s_img_tcb[`TCB_SND_MAX];
    built[`DELEGATED_IMAGE_SND_WND]             = s_img_tcb[`TCB_SND_WND];
    built[`DELEGATED_IMAGE_MAX_SND_WND]         = s_img_tcb[`TCB_MAX_SND_WND];
    built[`DELEGATED_IMAGE_SND_WL1]             = s_img_tcb[`TCB_SND_WL1];
    built[`DELEGATED_IMAGE_CWND]                = s_img_tcb[`TCB_CWND];
    built[`DELEGATED_IMAGE_SSTHRESH]            = s_img_tcb[`TCB_SSTHRESH];
    built[`DELEGATED_IMAGE_SRTT]                = s_img_tcb[`TCB_SRTT];
    built[`DELEGATED_IMAGE_RTTVAR]              = s_img_tcb[`TCB_RTTVAR];
    built[`DELEGATED_IMAGE_TS_RECENT]           = s_img_tcb[`TCB_TS_RECENT];
    built[`DELEGATED_IMAGE_TS_RECENT_AGE]       = s_img_tick - s_img_tcb[`TCB_TS_RECENT_TICK];
    built[`DELEGATED_IMAGE_TS_TIME]             = s_img_tick + s_img_tcb[`TCB_TS_DELTA];
    built[`DELEGATED_IMAGE_TOTAL_RT]            = s_img_tcb[`TCB_TOTAL_RT];
    built[`DELEGATED_IMAGE_DUP_ACK_COUNT]       = s_img_tcb[`TCB_DUP_ACKS];
    built[`DELEGATED_IMAGE_SND_WND_PROBE_COUNT] = s_img_tcb[`TCB_SND_WND_PROBE_COUNT];
    built[`DELEGATED_IMAGE_KA_PROBES_SENT]      = s_img_tcb[`TCB_KA_PROBES_SENT];
    built[`DELEGATED_IMAGE_RTX_COUNT]           = s_img_tcb[`TCB_RTX_COUNT];
    built[`DELEGATED_IMAGE_KA_TIMEOUT_DELTA]    = s_img_tcb[`TCB_KA_TIMEOUT_DELTA];
    built[`DELEGATED_IMAGE_RTX_TIMEOUT_DELTA]   = ~s_img_tcb[`TCB_RTX_ON] ? `TIMER_OFF : expired ? 32'd0 : left;
    built[`DELEGATED_IMAGE_SEND_BACKLOG_SIZE]   = s_img_tcb[`TCB_SEND_BACKLOG_SIZE];
    built[`DELEGATED_IMAGE_RECEIVE_BACKLOG_SIZE] = s_img_tcb[`TCB_RECEIVE_BACKLOG_SIZE];
    built[`DELEGATED_IMAGE_DWND]                = s_img_tcb[`TCB_DWND];
  end

  wire unused = &{1'b0, s_img_tcb};
  wire take      = s_img_valid & s_img_ready;
  wire no_image  = s_img_tcb[`TCB_IMG_ADDR] == 64'd0;
  wire last_beat = &beat;
  assign s_img_ready  = state == IDLE;
  assign m_wr_req_len = `DELEGATED_IMAGE_BYTES;
  assign m_wr_valid   = data_valid;
  assign m_wr_last    = last_beat;
  assign m_wr_data    = image[DATA_W-1:0];
  assign m_cpl_valid  = state == REPORT;
  assign idle         = state == IDLE;

  always @(posedge clk) begin
    if (take) begin
      image <= built;
      m_wr_req_addr <= s_img_tcb[`TCB_IMG_ADDR];
      m_cpl <= 256'd0;
      m_cpl[`CQE_KIND]     <= `CQ_KIND_COMMAND;
      m_cpl[`CQE_CONN]     <= s_img_conn;
      m_cpl[`CQE_GEN]      <= s_img_tcb[`TCB_GEN];
      m_cpl[`CQE_CODE]     <= `OPCODE_TERMINATE;
      m_cpl[`CQE_COOKIE]   <= s_img_tcb[`TCB_IMG_COOKIE];
      m_cpl[`CQE_SQ_INDEX] <= s_img_tcb[`TCB_IMG_SQ_INDEX];
    end else begin
      if (data_valid & m_wr_ready) image <= image >> DATA_W;
      if (state == WAIT && s_wr_done) m_cpl[`CQE_STATUS] <= s_wr_done_error ? `STATUS_WRITE_ERROR : `STATUS_OK;
    end
  end
  always @(posedge clk) begin
    if (rst) begin
      state <= IDLE;
      m_wr_req_valid <= 1'b0;
      data_valid <= 1'b0;
      beat <= {BEAT_W{1'b0}};
    end else begin
      if (m_wr_req_valid & m_wr_req_ready) m_wr_req_valid <= 1'b0;
      if (data_valid & m_wr_ready) begin
        beat <= beat + 1'b1;
        if (last_beat) data_valid <= 1'b0;
      end
      case (state)
        IDLE: if (take) begin
          state <= no_image ? REPORT : WRITE;
          m_wr_req_valid <= ~no_image;
          data_valid <= ~no_image;
          beat <= {BEAT_W{1'b0}};
        end
        WRITE: if (data_valid & m_wr_ready & last_beat) state <= WAIT;
        WAIT: if (s_wr_done) state <= REPORT;
        default: if (m_cpl_ready) state <= IDLE;
      endcase
    end
  end
endmodule
`default_nettype wire
