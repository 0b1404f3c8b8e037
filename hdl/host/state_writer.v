// state_writer: writes the image of a connection into host memory, then completes the command that asked for it:
//   the delegated part when TERMINATE has freed the connection, all of it for QUERY.
// Why a block: engines never wait for DMA; the snapshot is one commit's TCB, handed over whole.
// s_img_*: TCB and tick of the commit; `whole`: QUERY, 256 bytes, else 128. m_wr_*: dma write client. m_cpl_*: the
//   completion, offered after the B response of the image (or at once when TERMINATE's image address is 0).
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
    output reg  [15:0]       m_wr_req_len,
    output wire              m_wr_valid,
    input  wire              m_wr_ready,
    output wire [DATA_W-1:0] m_wr_data,
    output wire              m_wr_last,
    input  wire              s_wr_done,
    input  wire              s_wr_done_error,
    input  wire [15:0]       s_img_conn,
    input  wire              s_img_whole,
    input  wire [63:0]       s_img_addr,
    input  wire [63:0]       s_img_cookie,
    input  wire [15:0]       s_img_sq_index,
    input  wire [7:0]        s_img_opcode,
    output wire              m_cpl_valid,
    input  wire              m_cpl_ready,
    output reg  [255:0]      m_cpl,
    output wire              idle
);
  localparam BEAT_W = $clog2(`TCP_IMAGE_W / DATA_W);
  localparam FRONT_W = `TCP_IMAGE_W - `DELEGATED_IMAGE_W;    // const and cached part, bits
  localparam [BEAT_W-1:0] HALF = {1'b1, {(BEAT_W-1){1'b0}}};  // beats of the front: half of all
  localparam FLAG_TS = 0, FLAG_SACK = 1, FLAG_WS = 2, FLAG_ECN = 3, FLAG_CUBIC = 4;     // inside const_flags
  localparam [1:0] IDLE = 2'd0, WRITE = 2'd1, WAIT = 2'd2, REPORT = 2'd3;

  reg [1:0] state;
  reg       data_valid;
  reg [BEAT_W-1:0] beat;
  reg [`TCP_IMAGE_W-1:0] image;

  wire        loaded  = s_img_tcb[`TCB_PHASE] == `PHASE_LOADED;    // deadlines hold remaining ticks

  // what an image says of a timer
  function [31:0] remaining(input on, input [31:0] deadline, input [31:0] tick, input still);
    reg [31:0] left;
    begin
      left = deadline - tick;
      remaining = ~on ? `TIMER_OFF : still ? deadline : left[31] ? 32'd0 : left;
    end
  endfunction
  wire [31:0] rtx_left = remaining(s_img_tcb[`TCB_RTX_ON], s_img_tcb[`TCB_RTX_DEADLINE], s_img_tick, loaded);
  wire [31:0] ka_left  = remaining(s_img_tcb[`TCB_KA_ON], s_img_tcb[`TCB_KA_DEADLINE], s_img_tick, loaded);
  wire [31:0] unread  = s_img_tcb[`TCB_RCV_NXT] - s_img_tcb[`TCB_CONSUMED_SEQ];

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
    built[`DELEGATED_IMAGE_KA_TIMEOUT_DELTA]    = ka_left;
    built[`DELEGATED_IMAGE_RTX_TIMEOUT_DELTA]   = rtx_left;
    built[`DELEGATED_IMAGE_SEND_BACKLOG_SIZE]   = s_img_whole ? s_img_tcb[`TCB_BACKLOG_TOLD]
                                                              : s_img_tcb[`TCB_SEND_BACKLOG_SIZE];
    built[`DELEGATED_IMAGE_RECEIVE_BACKLOG_SIZE] = s_img_whole ? unread : s_img_tcb[`TCB_RECEIVE_BACKLOG_SIZE];
    built[`DELEGATED_IMAGE_DWND]                = s_img_tcb[`TCB_DWND];
  end

  reg [15:0] const_flags;
  reg [`TCP_IMAGE_W-1:0] front;
  always @* begin
    const_flags          = 16'd0;
    const_flags[FLAG_TS]   = s_img_tcb[`TCB_TS_EN];
    const_flags[FLAG_SACK] = s_img_tcb[`TCB_SACK_EN];
    const_flags[FLAG_WS]   = s_img_tcb[`TCB_WS_EN];
    const_flags[FLAG_ECN]  = s_img_tcb[`TCB_ECN_EN];
    const_flags[FLAG_CUBIC] = s_img_tcb[`TCB_CUBIC_EN];
    front = {`TCP_IMAGE_W{1'b0}};
    front[`TCP_IMAGE_FAMILY]              = s_img_tcb[`TCB_FAMILY];
    front[`TCP_IMAGE_CONST_FLAGS]         = const_flags;
    front[`TCP_IMAGE_REMOTE_PORT]         = s_img_tcb[`TCB_REMOTE_PORT];
    front[`TCP_IMAGE_LOCAL_PORT]          = s_img_tcb[`TCB_LOCAL_PORT];
    front[`TCP_IMAGE_SND_WIND_SCALE]      = {4'd0, s_img_tcb[`TCB_SND_WS]};
    front[`TCP_IMAGE_RCV_WIND_SCALE]      = {4'd0, s_img_tcb[`TCB_RCV_WS]};
    front[`TCP_IMAGE_REMOTE_MSS]          = s_img_tcb[`TCB_REMOTE_MSS];
    front[`TCP_IMAGE_HASH_VALUE]          = s_img_tcb[`TCB_HASH_VALUE];
    front[`TCP_IMAGE_PATH_ID]             = s_img_tcb[`TCB_PATH_ID];
    front[`TCP_IMAGE_CACHED_FLAGS]        = s_img_tcb[`TCB_CACHED_FLAGS];
    front[`TCP_IMAGE_INITIAL_RCV_WND]     = s_img_tcb[`TCB_INIT_RCV_WND];
    front[`TCP_IMAGE_RCV_INDICATION_SIZE] = s_img_tcb[`TCB_RCV_INDICATION_SIZE];
    front[`TCP_IMAGE_KA_PROBE_COUNT]      = s_img_tcb[`TCB_KA_PROBE_COUNT];
    front[`TCP_IMAGE_KA_TIMEOUT]          = s_img_tcb[`TCB_KA_TIMEOUT];
    front[`TCP_IMAGE_KA_INTERVAL]         = s_img_tcb[`TCB_KA_INTERVAL];
    front[`TCP_IMAGE_MAX_RT]              = s_img_tcb[`TCB_MAX_RT];
    front[`TCP_IMAGE_FLOW_LABEL]          = {12'd0, s_img_tcb[`TCB_FLOW_LABEL]};
    front[`TCP_IMAGE_TTL]                 = s_img_tcb[`TCB_TTL];
    front[`TCP_IMAGE_TOS]                 = s_img_tcb[`TCB_TOS];
    front[`TCP_IMAGE_OLD_SEGS]            = s_img_tcb[`TCB_OLD_SEGS];
    front[`TCP_IMAGE_OOO_SEGS]            = s_img_tcb[`TCB_OOO_SEGS];
    front[`TCP_IMAGE_USER_PRIORITY]       = {5'd0, s_img_tcb[`TCB_USER_PRIORITY]};
  end

  wire unused = &{1'b0, s_img_tcb, front[`TCP_IMAGE_W-1:FRONT_W]};
  wire take      = s_img_valid & s_img_ready;
  wire no_image  = ~s_img_whole & (s_img_addr == 64'd0);
  wire last_beat = &beat;
  assign s_img_ready  = state == IDLE;
  assign m_wr_valid   = data_valid;
  assign m_wr_last    = last_beat;
  assign m_wr_data    = image[DATA_W-1:0];
  assign m_cpl_valid  = state == REPORT;
  assign idle         = state == IDLE;

  always @(posedge clk) begin
    if (take) begin
      image <= s_img_whole ? {built, front[FRONT_W-1:0]} : {{FRONT_W{1'b0}}, built};
      m_wr_req_addr <= s_img_addr;
      m_wr_req_len  <= s_img_whole ? `TCP_IMAGE_BYTES : `DELEGATED_IMAGE_BYTES;
      m_cpl <= 256'd0;
      m_cpl[`CQE_KIND]     <= `CQ_KIND_COMMAND;
      m_cpl[`CQE_CONN]     <= s_img_conn;
      m_cpl[`CQE_GEN]      <= s_img_tcb[`TCB_GEN];
      m_cpl[`CQE_CODE]     <= s_img_opcode;
      m_cpl[`CQE_COOKIE]   <= s_img_cookie;
      m_cpl[`CQE_SQ_INDEX] <= s_img_sq_index;
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
          beat <= s_img_whole ? {BEAT_W{1'b0}} : HALF;       // it ends with the last beat of the whole
        end
        WRITE: if (data_valid & m_wr_ready & last_beat) state <= WAIT;
        WAIT: if (s_wr_done) state <= REPORT;
        default: if (m_cpl_ready) state <= IDLE;
      endcase
    end
  end
endmodule
`default_nettype wire
