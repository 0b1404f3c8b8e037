// command_decode: checks a submission entry, fetches what it points to, and hands it to the engine it is for.
// Why a block: engines never wait for DMA and never see a malformed command; every check of docs/contract/hostport.md
//   lives here, in its order, and each failure is one completion with a status and no other effect.
// s_sqe_*: entries in order. m_rd_*: dma read client for state images.
// m_tcp_*: command for tcp_engine (ready at its commit), a FORWARD with its parsed header. m_dcmd_*: for delivery_engine (ready at its commit).
// m_raw_*: RAW_SEND, m_rawpost_*: RAW_POST. m_ins_*: insertion into conn_lookup, answered by s_ins_done.
// m_cpl_*: error completions and NOP. append/pop/free pulses keep the send-table count and the in-use bits.
// One command at a time; latency 3 cycles plus image fetch and the engine's commit; a FORWARD's options take up to 42.
`default_nettype none
`include "chimney_layout.vh"
module command_decode #(
    parameter DATA_W    = 64,
    parameter CONNS     = 4,
    parameter SENDS     = 16,   // send-table entries a connection
    parameter POOL_BUFS = 1024,
    parameter RAW_BUFS  = 64,
    parameter PATHS     = 8,
    parameter NEIGHBORS = 8
) (
    input  wire              clk,
    input  wire              rst,
    input  wire              s_sqe_valid,
    output wire              s_sqe_ready,
    input  wire [511:0]      s_sqe,
    input  wire [15:0]       s_sqe_index,
    // image fetch
    output reg               m_rd_req_valid,
    input  wire              m_rd_req_ready,
    output wire [63:0]       m_rd_req_addr,
    output reg  [15:0]       m_rd_req_len,
    input  wire              s_rd_valid,
    output wire              s_rd_ready,
    input  wire [DATA_W-1:0] s_rd_data,
    input  wire              s_rd_last,
    input  wire              s_rd_error,
    // engines
    output wire              m_tcp_valid,
    input  wire              m_tcp_ready,
    output wire [511:0]      m_tcp_sqe,
    output wire [15:0]       m_tcp_sq_index,
    output wire [2047:0]     m_tcp_image,
    output wire [`RX_SEG_W-1:0] m_tcp_seg,
    output wire              m_dcmd_valid,
    input  wire              m_dcmd_ready,
    output wire [511:0]      m_dcmd_sqe,
    output wire [15:0]       m_dcmd_sq_index,
    output wire              m_raw_valid,
    input  wire              m_raw_ready,
    output wire [63:0]       m_raw_addr,
    output wire [15:0]       m_raw_len,
    output wire [63:0]       m_raw_cookie,
    output wire [15:0]       m_raw_sq_index,
    output wire              m_rawpost_valid,
    input  wire              m_rawpost_ready,
    output wire [511:0]      m_rawpost_sqe,
    output wire [15:0]       m_rawpost_sq_index,
    // look-up table
    output wire              m_ins_valid,
    input  wire              m_ins_ready,
    output wire [`LKP_KEY_W-1:0] m_ins_key,
    output wire [15:0]       m_ins_conn,
    output wire [7:0]        m_ins_gen,
    input  wire              s_ins_done,
    input  wire [1:0]        s_ins_status,
    // bookkeeping
    input  wire              append_pulse,
    input  wire [15:0]       append_conn,
    input  wire              pop_pulse,
    input  wire [15:0]       pop_conn,
    input  wire              free_pulse,
    input  wire [15:0]       free_conn,
    output wire              m_cpl_valid,
    input  wire              m_cpl_ready,
    output reg  [255:0]      m_cpl,
    output wire              start_pulse,   // a command that will be completed leaves this block
    output wire              error_pulse,
    output wire              idle
);
  localparam CONN_W = $clog2(CONNS);
  localparam PATH_W = $clog2(PATHS);
  localparam NBR_W  = $clog2(NEIGHBORS);
  localparam BEATS  = `TCP_IMAGE_BYTES * 8 / DATA_W;
  localparam BEAT_W = $clog2(BEATS);
  localparam [3:0] INIT = 4'd0, IDLE = 4'd1, CHECK = 4'd2, FETCH = 4'd3, VALUES = 4'd4, INSERT = 4'd5, INSERTED = 4'd6,
                   TCP = 4'd7, DELIVERY = 4'd8, RAW = 4'd9, RAWPOST = 4'd10, REPORT = 4'd11, OPTIONS = 4'd12;
  localparam [1:0] INS_OK = 2'd0, INS_DUPLICATE = 2'd1;
  localparam [15:0] CONNS16 = CONNS[15:0], PATHS16 = PATHS[15:0], NEIGHBORS16 = NEIGHBORS[15:0],
                    POOL16 = POOL_BUFS[15:0], RAW16 = RAW_BUFS[15:0];
  localparam [7:0]  SENDS8 = SENDS[7:0];
  localparam [15:0] HEAD_BYTES = `FORWARD_HEAD_BYTES;

  reg [3:0]    state;
  reg [511:0]  sqe;
  reg [15:0]   index;
  reg [2047:0] image;
  reg [BEAT_W-1:0] beat;
  reg          read_bad;

  wire [7:0]  op    = sqe[`SQE_OPCODE];
  wire [7:0]  flags = sqe[`SQE_FLAGS];
  wire [15:0] conn  = sqe[`SQE_CONN];
  wire [15:0] count = sqe[`SQE_COUNT];
  wire [31:0] len   = sqe[`SQE_LENGTH];
  wire [CONN_W-1:0] ci = conn[CONN_W-1:0];

  // ---- what the command is ----
  wire is_send     = op == `OPCODE_SEND;
  wire is_disc     = op == `OPCODE_DISCONNECT;
  wire is_finish   = is_disc & ~flags[1];    // graceful, check 1 lets one of the two through
  wire is_abort    = is_disc & flags[1];
  wire is_inherit  = is_disc & flags[2];     // the FIN that came with the connection: no completion
  wire is_initiate = op == `OPCODE_INITIATE;
  wire is_path     = op == `OPCODE_PATH_WRITE;
  wire is_nbr      = op == `OPCODE_NEIGHBOR_WRITE;
  wire is_param    = op == `OPCODE_PARAM_WRITE;
  wire is_receive  = op == `OPCODE_RECEIVE;
  wire is_answer   = op == `OPCODE_ANSWER;
  wire is_resume   = op == `OPCODE_RESUME;
  wire is_rawsend  = op == `OPCODE_RAW_SEND;
  wire is_rawpost  = op == `OPCODE_RAW_POST;
  wire is_poolpost = op == `OPCODE_POOL_POST;
  wire is_start    = op == `OPCODE_START;
  wire is_term     = op == `OPCODE_TERMINATE;
  wire is_nop      = op == `OPCODE_NOP;
  wire is_forward  = op == `OPCODE_FORWARD;
  wire is_update   = op == `OPCODE_UPDATE;
  wire is_query    = op == `OPCODE_QUERY;
  wire is_inval    = op == `OPCODE_INVALIDATE;
  wire is_nanswer  = op == `OPCODE_NEIGHBOR_ANSWER;
  wire is_upload   = op == `OPCODE_UPLOAD;
  wire is_object   = is_query | is_inval;    // of a connection, a path or a neighbor
  wire of_conn     = {6'd0, flags[1:0]} == `OBJECT_CONNECTION;
  wire of_path     = {6'd0, flags[1:0]} == `OBJECT_PATH;
  wire of_nbr      = {6'd0, flags[1:0]} == `OBJECT_NEIGHBOR;
  wire no_object   = (is_object & ~of_conn & ~of_path & ~of_nbr) | (is_query & of_path);
  wire has_conn    = is_send | is_disc | is_initiate | is_receive | is_answer | is_resume | is_start | is_term |
                     is_forward | is_update | is_upload | (is_object & of_conn);
  wire has_image   = is_initiate | is_path | is_nbr | is_param | is_forward | is_update;
  wire known       = has_conn | has_image | is_object | is_nanswer | is_rawsend | is_rawpost | is_poolpost | is_nop;
  wire completes   = is_nop | is_initiate | is_start | is_term | is_path | is_nbr | is_param | (is_send & flags[0]) |
                     (is_disc & ~is_inherit) | is_receive | is_rawsend | is_forward | is_update | is_upload |
                     is_object;

  wire is_silent   = is_answer | is_resume | is_rawpost | is_poolpost | is_nanswer;  // an entry only in error, not reserved

  // ---- send-table room and connections in use ----
  reg [7:0] appended [0:CONNS-1];
  reg [7:0] popped   [0:CONNS-1];
  reg [CONNS-1:0] in_use;
  reg [CONN_W-1:0] sweep;
  wire [7:0] queued = appended[ci] - popped[ci];
  always @(posedge clk) begin
    if (state == INIT) appended[sweep] <= 8'd0;
    else if (append_pulse) appended[append_conn[CONN_W-1:0]] <= appended[append_conn[CONN_W-1:0]] + 8'd1;
    if (state == INIT) popped[sweep] <= 8'd0;
    else if (pop_pulse) popped[pop_conn[CONN_W-1:0]] <= popped[pop_conn[CONN_W-1:0]] + 8'd1;
  end

  // ---- keys and neighbors of the paths ----
  reg [255:0]      path_key [0:PATHS-1];     // {dst, src} as numbers
  reg [PATHS-1:0]  path_ipv6;                // its family
  reg [NBR_W-1:0]  path_nbr [0:PATHS-1];
  reg [PATHS-1:0]  path_known;
  reg [NEIGHBORS-1:0] nbr_known;
  wire [127:0] img_src, img_dst;             // network byte order as numbers; an IPv4 address is on top
  genvar g;
  generate
    for (g = 0; g < 16; g = g + 1) begin : g_address
      assign img_src[8*(15-g) +: 8] = image[`PATH_IMAGE_SRC_ADDR_LSB + 8*g +: 8];
      assign img_dst[8*(15-g) +: 8] = image[`PATH_IMAGE_DST_ADDR_LSB + 8*g +: 8];
    end
  endgenerate
  wire img_path_ipv6 = image[`PATH_IMAGE_FAMILY] == `FAMILY_IPV6;
  wire img_conn_ipv6 = image[`TCP_IMAGE_FAMILY] == `FAMILY_IPV6;
  wire [PATH_W-1:0] img_path = image[`TCP_IMAGE_PATH_ID_LSB +: PATH_W];
  wire [PATH_W-1:0] this_path = conn[PATH_W-1:0];
  wire other_family = flags[0] && path_known[this_path] && path_ipv6[this_path] != img_path_ipv6;
  wire [255:0] key_pair = path_key[img_path];
  reg [`LKP_KEY_W-1:0] key;
  always @* begin
    key = {`LKP_KEY_W{1'b0}};
    key[`LKP_KEY_IS_IPV6]     = img_conn_ipv6;
    key[`LKP_KEY_LOCAL_IP]    = key_pair[127:0];
    key[`LKP_KEY_REMOTE_IP]   = key_pair[255:128];
    key[`LKP_KEY_LOCAL_PORT]  = image[`TCP_IMAGE_LOCAL_PORT];
    key[`LKP_KEY_REMOTE_PORT] = image[`TCP_IMAGE_REMOTE_PORT];
  end

  // ---- checks on the entry alone ----
  reg bad_index;
  integer k;
  always @* begin
    bad_index = 1'b0;
    for (k = 0; k < `POST_MAX; k = k + 1)
      if (k[15:0] < count && sqe[256 + 16*k +: 16] >= (is_rawpost ? RAW16 : POOL16)) bad_index = 1'b1;
  end
  wire too_long = len > `SEND_LEN_MAX;
  wire bad_len = (is_send & (len == 32'd0 || too_long || count == 16'd0 || count > `SG_MAX)) |
                 (is_abort & (len != 32'd0 || count != 16'd0)) |
                 (is_inherit & (len != 32'd0 || count != 16'd0)) |
                 (is_finish & (too_long || count > `SG_MAX || ((len == 32'd0) != (count == 16'd0)))) |
                 (is_receive & too_long) | (is_rawsend & (len < 32'd14 || len > `FRAME_MAX)) |
                 ((is_rawpost | is_poolpost) & (count == 16'd0 || count > `POST_MAX)) |
                 (is_forward & (len < `FORWARD_MIN || len > `FORWARD_MAX));
  wire bad_conn = (has_conn & (conn >= CONNS16)) | ((is_path | (is_object & of_path)) & (conn >= PATHS16)) |
                  ((is_nbr | is_nanswer | (is_object & of_nbr)) & (conn >= NEIGHBORS16));
  reg [7:0] check;
  always @* begin
    if (!known) check = `STATUS_BAD_OPCODE;
    else if (no_object || (is_disc && flags[0] == flags[1]) || (is_inherit && ~flags[0])) check = `STATUS_NOT_SUPPORTED;
    else if (bad_conn) check = `STATUS_BAD_CONN;
    else if (bad_len) check = `STATUS_BAD_LENGTH;
    else if ((is_rawpost || is_poolpost) && bad_index) check = `STATUS_BAD_INDEX;
    else if ((is_send || is_finish) && queued >= SENDS8) check = `STATUS_NO_RESOURCES;
    else if (is_initiate && in_use[ci]) check = `STATUS_BAD_STATE;
    else check = `STATUS_OK;
  end

  // ---- checks on the image, and on what earlier images wrote ----
  wire [7:0] checked;
  image_check #(.PATHS(PATHS), .NEIGHBORS(NEIGHBORS)) image_values (
      .op(op), .image(image), .other_family(other_family), .status(checked));
  wire head_bad, seg_valid;
  forward_header header (
      .clk(clk), .rst(rst), .s_head(image[479:0]), .s_len(len[15:0]), .s_conn(conn), .s_gen(sqe[`SQE_GEN]),
      .bad(head_bad), .s_valid(state == VALUES && is_forward && values == `STATUS_OK),
      .m_valid(seg_valid), .m_ready(m_tcp_valid && m_tcp_ready && is_forward), .m_seg(m_tcp_seg));
  wire routed = path_known[img_path] && path_ipv6[img_path] == img_conn_ipv6 && nbr_known[path_nbr[img_path]];
  wire [7:0] values = read_bad ? `STATUS_READ_ERROR : (checked != `STATUS_OK) ? checked :
                      ((is_initiate && !routed) || (is_forward && head_bad)) ? `STATUS_BAD_IMAGE : `STATUS_OK;

  wire unused = &{1'b0, append_conn, pop_conn, free_conn, flags};

  // ---- outputs ----
  assign s_sqe_ready   = state == IDLE;
  assign m_rd_req_addr = sqe[`SQE_ADDR];
  assign s_rd_ready    = 1'b1;
  assign m_tcp_valid   = state == TCP;
  assign m_tcp_sqe = sqe, m_tcp_sq_index = index, m_tcp_image = image;
  assign m_dcmd_valid  = state == DELIVERY;
  assign m_dcmd_sqe = sqe, m_dcmd_sq_index = index;
  assign m_raw_valid   = state == RAW;
  assign m_raw_addr = sqe[`SQE_ADDR], m_raw_len = len[15:0], m_raw_cookie = sqe[`SQE_COOKIE], m_raw_sq_index = index;
  assign m_rawpost_valid = state == RAWPOST;
  assign m_rawpost_sqe = sqe, m_rawpost_sq_index = index;
  assign m_ins_valid = state == INSERT;
  assign m_ins_key = key, m_ins_conn = conn, m_ins_gen = sqe[`SQE_GEN];
  assign m_cpl_valid = state == REPORT;
  assign start_pulse = (state == CHECK) & (completes | ((check != `STATUS_OK) & ~is_silent));
  assign error_pulse = m_cpl_valid & m_cpl_ready & (m_cpl[`CQE_STATUS] != `STATUS_OK);
  assign idle        = state == IDLE & ~s_sqe_valid;

  // ---- completion of what goes no further ----
  wire [7:0] verdict = (state == CHECK) ? check : (state == VALUES) ? values :
                       (s_ins_status == INS_DUPLICATE) ? `STATUS_DUPLICATE_KEY : `STATUS_TABLE_FULL;
  wire report = ((state == CHECK) & (check != `STATUS_OK || is_nop)) | ((state == VALUES) & (values != `STATUS_OK)) |
                ((state == INSERTED) & s_ins_done & (s_ins_status != INS_OK));
  always @(posedge clk) begin
    if (report) begin
      m_cpl <= 256'd0;
      m_cpl[`CQE_KIND] <= (is_send | is_disc) ? `CQ_KIND_SEND : is_receive ? `CQ_KIND_RECEIVE :
                          is_rawsend ? `CQ_KIND_RAW_TX : is_forward ? `CQ_KIND_FORWARD : `CQ_KIND_COMMAND;
      m_cpl[`CQE_STATUS]   <= verdict;
      m_cpl[`CQE_CONN]     <= conn;
      m_cpl[`CQE_GEN]      <= sqe[`SQE_GEN];
      m_cpl[`CQE_CODE]     <= op;
      m_cpl[`CQE_COOKIE]   <= sqe[`SQE_COOKIE];
      m_cpl[`CQE_SQ_INDEX] <= index;
    end
  end

  // ---- data registers ----
  always @(posedge clk) begin
    if (s_sqe_valid & s_sqe_ready) begin
      sqe   <= s_sqe;
      index <= s_sqe_index;
    end
    if (s_rd_valid) image[beat*DATA_W +: DATA_W] <= s_rd_data;
    if (state == VALUES && is_path && values == `STATUS_OK) begin
      path_key[this_path]  <= img_path_ipv6 ? {img_dst, img_src} : {96'd0, img_dst[127:96], 96'd0, img_src[127:96]};
      path_ipv6[this_path] <= img_path_ipv6;
      path_nbr[this_path]  <= image[`PATH_IMAGE_NEIGHBOR_ID_LSB +: NBR_W];
    end
    case (op)
      `OPCODE_INITIATE:      m_rd_req_len <= `TCP_IMAGE_BYTES;
      `OPCODE_PATH_WRITE:    m_rd_req_len <= `PATH_IMAGE_BYTES;
      `OPCODE_NEIGHBOR_WRITE: m_rd_req_len <= `NEIGHBOR_IMAGE_BYTES;
      `OPCODE_UPDATE:        m_rd_req_len <= `CACHED_IMAGE_BYTES;
      `OPCODE_FORWARD:       m_rd_req_len <= (len[15:0] < HEAD_BYTES) ? len[15:0] : HEAD_BYTES;
      default:               m_rd_req_len <= `PARAM_IMAGE_BYTES;
    endcase
  end

  // ---- control ----
  always @(posedge clk) begin
    if (rst) begin
      state          <= INIT;
      sweep          <= {CONN_W{1'b0}};
      in_use         <= {CONNS{1'b0}};
      path_known     <= {PATHS{1'b0}};
      nbr_known      <= {NEIGHBORS{1'b0}};
      m_rd_req_valid <= 1'b0;
      beat           <= {BEAT_W{1'b0}};
      read_bad       <= 1'b0;
    end else begin
      if (free_pulse) in_use[free_conn[CONN_W-1:0]] <= 1'b0;
      case (state)
        INIT: begin
          sweep <= sweep + 1'b1;
          if (&sweep) state <= IDLE;
        end
        IDLE: if (s_sqe_valid) state <= CHECK;
        CHECK: begin
          beat     <= {BEAT_W{1'b0}};
          read_bad <= 1'b0;
          if (report) state <= REPORT;
          else if (has_image) begin
            state          <= FETCH;
            m_rd_req_valid <= 1'b1;
          end else if (is_rawsend) state <= RAW;
          else if (is_rawpost) state <= RAWPOST;
          else if (is_receive || is_answer || is_resume || is_poolpost) state <= DELIVERY;
          else state <= TCP;
        end
        FETCH: begin
          if (m_rd_req_ready) m_rd_req_valid <= 1'b0;
          if (s_rd_valid) begin
            beat <= beat + 1'b1;
            if (s_rd_last) begin
              read_bad <= s_rd_error;
              state    <= VALUES;
            end
          end
        end
        VALUES: begin
          if (report) state <= REPORT;
          else state <= is_initiate ? INSERT : is_forward ? OPTIONS : TCP;
          // an UPDATE of what was never written is refused by tcp_engine
          if (is_path && values == `STATUS_OK && ~flags[0]) path_known[this_path] <= 1'b1;
          if (is_nbr && values == `STATUS_OK && ~flags[0]) nbr_known[conn[NBR_W-1:0]] <= 1'b1;
        end
        OPTIONS: if (seg_valid) state <= TCP;
        INSERT: if (m_ins_ready) state <= INSERTED;
        INSERTED: if (s_ins_done) begin
          state <= (s_ins_status == INS_OK) ? TCP : REPORT;
          if (s_ins_status == INS_OK) in_use[ci] <= 1'b1;
        end
        TCP: if (m_tcp_ready) state <= IDLE;
        DELIVERY: if (m_dcmd_ready) state <= IDLE;
        RAW: if (m_raw_ready) state <= IDLE;
        RAWPOST: if (m_rawpost_ready) state <= IDLE;
        REPORT: if (m_cpl_ready) state <= IDLE;
        default: state <= IDLE;
      endcase
    end
  end
endmodule
`default_nettype wire
