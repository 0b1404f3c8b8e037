// image_check: may the device take the values of this image? (check 7 of docs/contract/hostport.md)
// Why a block: what the engines rely on without looking again stands in one list; what command_decode keeps of
//   earlier commands (paths, neighbors, connections in use) is not its business.
// Combinational: `status` of the image of opcode `op`, STATUS_OK for opcodes without an image. The first refusal in
//   the order of the page decides. `other_family`: the image is an UPDATE of a path that was written with another one.
// Legal: PATHS, NEIGHBORS 2..65535.
`default_nettype none
`include "chimney_layout.vh"
module image_check #(
    parameter PATHS     = 8,
    parameter NEIGHBORS = 8
) (
    input  wire [7:0]    op,
    input  wire [2047:0] image,
    input  wire          other_family,
    output reg  [7:0]    status
);
  localparam [15:0] PATHS16 = PATHS[15:0], NEIGHBORS16 = NEIGHBORS[15:0];
  localparam [7:0]  MAX_SCALE = 8'd14;
  localparam [31:0] MTU_MIN4 = 32'd576, MTU_MIN6 = 32'd1280, MTU_MAX = 32'd1500;   // bytes
  localparam [31:0] OFF = `TIMER_OFF;
  localparam FLAG_WS = 2;                  // inside const_flags

  // ---- INITIATE ----
  wire [15:0] const_flags  = image[`TCP_IMAGE_CONST_FLAGS];
  wire [15:0] cached_flags = image[`TCP_IMAGE_CACHED_FLAGS];
  wire [7:0]  snd_scale    = image[`TCP_IMAGE_SND_WIND_SCALE];
  wire [7:0]  rcv_scale    = image[`TCP_IMAGE_RCV_WIND_SCALE];
  wire [31:0] state        = image[`TCP_IMAGE_STATE];
  wire [31:0] rtx_left     = image[`TCP_IMAGE_RTX_TIMEOUT_DELTA];
  wire [31:0] ka_left      = image[`TCP_IMAGE_KA_TIMEOUT_DELTA];
  wire [31:0] ka_timeout   = image[`TCP_IMAGE_KA_TIMEOUT];
  wire [31:0] ka_interval  = image[`TCP_IMAGE_KA_INTERVAL];
  wire [31:0] snd_una      = image[`TCP_IMAGE_SND_UNA];
  wire [31:0] snd_nxt      = image[`TCP_IMAGE_SND_NXT];
  wire [31:0] snd_max      = image[`TCP_IMAGE_SND_MAX];
  wire [31:0] cwnd         = image[`TCP_IMAGE_CWND];
  wire [31:0] una_nxt      = snd_nxt - snd_una;
  wire [31:0] nxt_max      = snd_max - snd_nxt;

  // the largest window that the 16 bits of the header can say with this scale
  wire [31:0] snd_says  = 32'd65535 << (const_flags[FLAG_WS] ? snd_scale[3:0] : 4'd0);
  wire [31:0] rcv_says  = 32'd65535 << (const_flags[FLAG_WS] ? rcv_scale[3:0] : 4'd0);
  wire [31:0] snd_limit = (snd_says > `RCV_WND_MAX) ? `RCV_WND_MAX : snd_says;
  wire [31:0] rcv_limit = (rcv_says > `RCV_WND_MAX) ? `RCV_WND_MAX : rcv_says;

  wire not_offered = (image[`TCP_IMAGE_FAMILY] != `FAMILY_IPV4 && image[`TCP_IMAGE_FAMILY] != `FAMILY_IPV6) ||
                     (state != {28'd0, `TCP_STATE_ESTABLISHED} && state != {28'd0, `TCP_STATE_CLOSE_WAIT} &&
                      state != {28'd0, `TCP_STATE_FIN_WAIT_1} && state != {28'd0, `TCP_STATE_FIN_WAIT_2} &&
                      state != {28'd0, `TCP_STATE_CLOSING} && state != {28'd0, `TCP_STATE_LAST_ACK});
  wire bad_fixed = const_flags[15:5] != 11'd0 || cached_flags[15:5] != 11'd0 || image[`TCP_IMAGE_TTL] == 8'd0 ||
                   image[`TCP_IMAGE_USER_PRIORITY] > 8'd7 || image[`TCP_IMAGE_FLOW_LABEL] > 32'hFFFFF ||
                   (|rtx_left[31:30] && rtx_left != OFF) || (|ka_left[31:30] && ka_left != OFF) ||
                   |ka_timeout[31:30] || |ka_interval[31:30];
  wire bad_tcp = snd_scale > MAX_SCALE || rcv_scale > MAX_SCALE || image[`TCP_IMAGE_REMOTE_MSS] < 16'd64 ||
                 image[`TCP_IMAGE_PATH_ID] >= PATHS16 || una_nxt[31] || nxt_max[31] ||
                 image[`TCP_IMAGE_RCV_WND] > rcv_limit || image[`TCP_IMAGE_SND_WND] > snd_limit ||
                 image[`TCP_IMAGE_MAX_SND_WND] > snd_limit;
  wire bad_room = image[`TCP_IMAGE_INITIAL_RCV_WND] > rcv_limit;
  wire bad_cwnd = cwnd == 32'd0 || cwnd > `CWND_MAX;

  // ---- PATH_WRITE ----
  wire [7:0]  path_family = image[`PATH_IMAGE_FAMILY];
  wire [31:0] mtu         = image[`PATH_IMAGE_PATH_MTU];
  wire        mtu_short   = mtu < ((path_family == `FAMILY_IPV6) ? MTU_MIN6 : MTU_MIN4);

  // ---- PARAM_WRITE: deadlines are compared by signed difference, also with one that is overdue: below 2^30 ticks ----
  wire [31:0] rate        = image[`PARAM_IMAGE_TICKS_PER_SECOND];
  wire [31:0] threshold   = image[`PARAM_IMAGE_DUP_ACK_THRESHOLD];
  wire [31:0] rto_min     = image[`PARAM_IMAGE_RTO_MIN];
  wire [31:0] rto_max     = image[`PARAM_IMAGE_RTO_MAX];
  wire [31:0] rto_initial = image[`PARAM_IMAGE_RTO_INITIAL];
  wire [31:0] push_ticks  = image[`PARAM_IMAGE_PUSH_TICKS];
  wire [31:0] stale_ticks = image[`PARAM_IMAGE_NCE_STALE_TICKS];
  wire bad_param = (rate != 32'd10 && rate != 32'd100 && rate != 32'd1000) ||
                   image[`PARAM_IMAGE_ACK_FREQUENCY] == 8'd0 || threshold == 32'd0 || threshold > 32'd255 ||
                   rto_min == 32'd0 || rto_min > rto_max || rto_initial == 32'd0 || rto_initial > rto_max ||
                   |rto_max[31:30] || |push_ticks[31:30] || |stale_ticks[31:30];

  // ---- UPDATE: tcp_engine knows the wind scale and looks at the window again ----
  wire [15:0] new_flags     = image[`CACHED_IMAGE_CACHED_FLAGS];
  wire [31:0] new_timeout   = image[`CACHED_IMAGE_KA_TIMEOUT];
  wire [31:0] new_interval  = image[`CACHED_IMAGE_KA_INTERVAL];
  wire        bad_cached    = new_flags[15:5] != 11'd0 || image[`CACHED_IMAGE_TTL] == 8'd0 ||
                              image[`CACHED_IMAGE_USER_PRIORITY] > 8'd7 || image[`CACHED_IMAGE_FLOW_LABEL] > 32'hFFFFF ||
                              |new_timeout[31:30] || |new_interval[31:30];
  wire        bad_cached_wnd = image[`CACHED_IMAGE_INITIAL_RCV_WND] > `RCV_WND_MAX;

  always @* begin
    status = `STATUS_OK;
    case (op)
      `OPCODE_INITIATE:
        if (not_offered) status = `STATUS_NOT_SUPPORTED;
        else if (bad_fixed || bad_tcp) status = `STATUS_BAD_IMAGE;
        else if (bad_room) status = `STATUS_RCV_WINDOW;
        else if (bad_cwnd) status = `STATUS_BAD_IMAGE;
      `OPCODE_PATH_WRITE:
        if (path_family != `FAMILY_IPV4 && path_family != `FAMILY_IPV6) status = `STATUS_NOT_SUPPORTED;
        else if (mtu_short || other_family) status = `STATUS_BAD_IMAGE;
        else if (mtu > MTU_MAX) status = `STATUS_PATH_MTU;
        else if (image[`PATH_IMAGE_NEIGHBOR_ID] >= NEIGHBORS16) status = `STATUS_BAD_IMAGE;
      `OPCODE_UPDATE:
        if (bad_cached) status = `STATUS_BAD_IMAGE;
        else if (bad_cached_wnd) status = `STATUS_RCV_WINDOW;
      `OPCODE_PARAM_WRITE:    if (bad_param) status = `STATUS_BAD_IMAGE;
      `OPCODE_NEIGHBOR_WRITE: if (image[`NEIGHBOR_IMAGE_VLAN_ID] > 16'd4095) status = `STATUS_BAD_IMAGE;
      default: ;
    endcase
  end

  wire unused = &{1'b0, image, una_nxt, nxt_max, push_ticks, stale_ticks, ka_timeout, ka_interval, new_timeout,
                    new_interval, cached_flags, new_flags};
endmodule
`default_nettype wire
