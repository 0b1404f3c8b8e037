// send_completer: tail of the transmit path; takes entries out of the send tables and completes requests.
//
// Why a block: releases and fences arrive here behind the last segment that may read a request's buffer. What they
// complete is owed, connection by connection, until the completion ring has room: the segments behind them go on.
//
// s_tok: RELEASE or FENCE, with the end of the connection's ring at the time it passed send_mapper; never waits for
//   a completion. A later token of a connection says all that the one before said (its una and end of the ring are
//   not behind), so one record a connection is enough. With a status other than OK it takes every entry; with
//   `cpl` it then completes a command.
// s_cmd: that command, there before its token: an abortive DISCONNECT, which ends behind the entries. A connection
//   has one at most, and a FENCE is its last token: then nothing comes before m_fdone was taken.
//   A FIN without `last` came with the connection (B-6): nobody waits for it, whatever becomes of it.
// s_ent: entries written by send_mapper at APPEND. head_*: ring heads, for send_mapper's search.
// m_cpl: completions SEND / DISCONNECT, a register; in order for each connection, connections take turns.
// pop: an entry left the table. m_fdone: after a FENCE, when all its completions were taken.
// An entry a cycle. Clears its tables after reset (CONNS cycles).
`default_nettype none
`include "chimney_layout.vh"

module send_completer #(
    parameter CONNS  = 16,                             // connections, a power of two, 4..1024
    parameter SENDS  = 16,                             // entries a connection, a power of two, 2..16
    parameter CONN_W = $clog2(CONNS),                  // derived, do not override
    parameter IDX_W  = $clog2(SENDS)                   // derived, do not override
) (
    input  wire                     clk,
    input  wire                     rst,

    input  wire                     s_tok_valid,
    output wire                     s_tok_ready,
    input  wire                     s_tok_fence,
    input  wire [15:0]              s_tok_conn,
    input  wire [7:0]               s_tok_gen,
    input  wire [31:0]              s_tok_una,
    input  wire [7:0]               s_tok_status,
    input  wire                     s_tok_cpl,
    input  wire [IDX_W:0]           s_tok_tail,

    input  wire                     s_cmd_valid,
    input  wire [15:0]              s_cmd_conn,
    input  wire [63:0]              s_cmd_cookie,
    input  wire [15:0]              s_cmd_sq_index,

    input  wire                     s_ent_we,
    input  wire [CONN_W+IDX_W-1:0]  s_ent_index,
    input  wire [`TX_APPEND_W-1:0]  s_ent,
    input  wire                     head_re,
    input  wire [CONN_W-1:0]        head_conn,
    output wire [IDX_W:0]           head_ptr,

    output wire                     m_cpl_valid,
    input  wire                     m_cpl_ready,
    output wire [`CQE_W-1:0]        m_cpl,
    output wire                     pop_pulse,
    output wire [15:0]              pop_conn,
    output wire                     m_fdone_valid,
    input  wire                     m_fdone_ready,
    output wire [15:0]              m_fdone_conn,
    output wire [7:0]               m_fdone_gen,
    output wire                     idle
);

    localparam PTR_W   = IDX_W + 1;
    localparam ENTRY_W = 32 + 32 + 1 + 1 + 64 + 8 + 16;
    localparam [PTR_W-1:0]  ONE_PTR  = 1;
    localparam [CONN_W-1:0] ONE_CONN = 1;

    localparam [2:0] ST_INIT  = 3'd0;
    localparam [2:0] ST_IDLE  = 3'd1;
    localparam [2:0] ST_HEAD  = 3'd2;                  // ring head at its RAM output
    localparam [2:0] ST_ENTRY = 3'd3;                  // entry at its RAM output
    localparam [2:0] ST_END   = 3'd4;                  // end of the token
    localparam [2:0] ST_FDONE = 3'd5;
    localparam [2:0] ST_CMD   = 3'd6;                  // the command of the token completes

    reg [2:0]        state_reg, state_next;
    reg [CONN_W-1:0] init_reg;
    reg [PTR_W-1:0]  ptr_reg, ptr_next;
    reg              ent_re;
    wire              in_init = state_reg == ST_INIT;

    // ---- what is owed: a bit for each connection that had a token, the last token itself, the command
    wire              due, owing;
    wire [CONN_W-1:0] due_conn;
    wire              take    = state_reg == ST_IDLE && due;    // the bit falls, the record is read
    wire              tok_in  = s_tok_valid && s_tok_ready;
    reg  [CONN_W-1:0] cid;                             // connection in work
    reg  [CONNS-1:0]  cmd_owed_reg;
    reg               with_cmd_reg;
    wire              fence;
    wire [7:0]        gen, tok_status;
    wire [31:0]       una;
    wire [PTR_W-1:0]  tail;
    wire [15:0]       conn    = {{(16-CONN_W){1'b0}}, cid};

    assign s_tok_ready = !in_init && !take;

    tx_scheduler #(.CONNS(CONNS)) turns (
        .clk(clk), .rst(rst),
        .s_set_valid(tok_in || take), .s_set_conn(take ? due_conn : s_tok_conn[CONN_W-1:0]), .s_set_pending(!take),
        .m_grant_valid(due), .m_grant_ready(take), .m_grant_conn(due_conn), .any(owing)
    );

    ram_sdp #(.WIDTH(1 + 8 + 32 + 8 + PTR_W), .DEPTH(CONNS)) tokens (
        .clk(clk), .we(tok_in), .waddr(s_tok_conn[CONN_W-1:0]),
        .wdata({s_tok_fence, s_tok_gen, s_tok_una, s_tok_status, s_tok_tail}),
        .re(take), .raddr(due_conn), .rdata({fence, gen, una, tok_status, tail})
    );

    wire [63:0] cmd_cookie;
    wire [15:0] cmd_sq_index;
    wire        cmd_done;

    ram_sdp #(.WIDTH(64 + 16), .DEPTH(CONNS)) commands (
        .clk(clk), .we(s_cmd_valid), .waddr(s_cmd_conn[CONN_W-1:0]), .wdata({s_cmd_cookie, s_cmd_sq_index}),
        .re(take), .raddr(due_conn), .rdata({cmd_cookie, cmd_sq_index})
    );

    // takes all: nothing of the connection stays in the table
    wire sweep = fence || tok_status != `STATUS_OK;

    // ---- ring heads, one copy for each reader; written with each pop: when the pop is known outside, the slot
    //      may be rewritten, and send_mapper must not start its search there any more
    wire              pop;
    wire              head_we    = in_init || pop;
    wire [CONN_W-1:0] head_waddr = in_init ? init_reg : cid;
    wire [PTR_W-1:0]  head_wdata = in_init ? {PTR_W{1'b0}} : ptr_reg + ONE_PTR;
    wire [PTR_W-1:0]  head;

    ram_sdp #(.WIDTH(PTR_W), .DEPTH(CONNS)) heads (
        .clk(clk), .we(head_we), .waddr(head_waddr), .wdata(head_wdata),
        .re(take), .raddr(due_conn), .rdata(head)
    );

    ram_sdp #(.WIDTH(PTR_W), .DEPTH(CONNS)) heads_mapper (
        .clk(clk), .we(head_we), .waddr(head_waddr), .wdata(head_wdata),
        .re(head_re), .raddr(head_conn), .rdata(head_ptr)
    );

    // ---- entries, the half that completes
    wire [31:0] ent_start, ent_end;
    wire        ent_last, ent_fin;
    wire [63:0] ent_cookie;
    wire [7:0]  ent_opcode;
    wire [15:0] ent_sq_index;

    ram_sdp #(.WIDTH(ENTRY_W), .DEPTH(CONNS * SENDS)) entries (
        .clk(clk),
        .we(s_ent_we), .waddr(s_ent_index),
        .wdata({s_ent[`TX_APPEND_START_SEQ], s_ent[`TX_APPEND_END_SEQ], s_ent[`TX_APPEND_LAST],
                s_ent[`TX_APPEND_FIN], s_ent[`TX_APPEND_COOKIE], s_ent[`TX_APPEND_OPCODE],
                s_ent[`TX_APPEND_SQ_INDEX]}),
        .re(ent_re), .raddr({cid, ptr_next[IDX_W-1:0]}),
        .rdata({ent_start, ent_end, ent_last, ent_fin, ent_cookie, ent_opcode, ent_sq_index})
    );

    // ---- what becomes of the entry
    wire [31:0] data_end  = ent_end - {31'd0, ent_fin};
    wire [31:0] data_len  = data_end - ent_start;
    wire [31:0] to_end    = una - ent_end;             // bit 31: not acknowledged to its end
    wire [31:0] to_data   = una - data_end;
    wire [31:0] acked     = una - ent_start;
    wire        ok        = !to_end[31];
    wire [31:0] nbytes    = !to_data[31] ? data_len : acked[31] ? 32'd0 : acked;
    wire        says      = ent_last || (!ok && !ent_fin);   // gives a completion
    reg         cpl_valid_reg;
    wire        cpl_free  = !cpl_valid_reg || m_cpl_ready;
    assign      pop       = state_reg == ST_ENTRY && (ok || sweep) && (cpl_free || !says);
    assign      cmd_done  = state_reg == ST_CMD && cpl_free;
    wire [2:0]  state_end = with_cmd_reg ? ST_CMD : ST_END;

    always @* begin
        state_next = state_reg;
        ptr_next   = ptr_reg;
        ent_re     = 1'b0;
        case (state_reg)
            ST_INIT:  if (&init_reg) state_next = ST_IDLE;
            ST_IDLE:  if (take) state_next = ST_HEAD;
            ST_HEAD: begin
                ptr_next   = head;
                ent_re     = head != tail;
                state_next = ent_re ? ST_ENTRY : state_end;
            end
            ST_ENTRY: begin
                if (pop) begin
                    ptr_next = ptr_reg + ONE_PTR;
                    ent_re   = ptr_next != tail;
                    if (!ent_re) state_next = state_end;
                end else if (!ok && !sweep) begin
                    state_next = state_end;
                end
            end
            ST_CMD:   if (cmd_done) state_next = ST_END;
            ST_END:   if (!fence) state_next = ST_IDLE;
                      else if (!cpl_valid_reg) state_next = ST_FDONE;
            ST_FDONE: if (m_fdone_ready) state_next = ST_IDLE;
            default:  state_next = ST_IDLE;
        endcase
    end

    wire             say = (pop && says) || cmd_done;
    reg [`CQE_W-1:0] cpl_reg, cpl_next;
    reg              pop_reg;
    reg [15:0]       pop_conn_reg;

    always @* begin
        cpl_next = 0;
        cpl_next[`CQE_KIND]     = `CQ_KIND_SEND;
        cpl_next[`CQE_STATUS]   = ok ? `STATUS_OK : tok_status;
        cpl_next[`CQE_CONN]     = conn;
        cpl_next[`CQE_GEN]      = gen;
        cpl_next[`CQE_CODE]     = ent_opcode;
        cpl_next[`CQE_COOKIE]   = ent_cookie;
        cpl_next[`CQE_NBYTES]   = nbytes;
        cpl_next[`CQE_SQ_INDEX] = ent_sq_index;
        if (cmd_done) begin
            cpl_next[`CQE_STATUS]   = `STATUS_OK;
            cpl_next[`CQE_CODE]     = `OPCODE_DISCONNECT;
            cpl_next[`CQE_COOKIE]   = cmd_cookie;
            cpl_next[`CQE_NBYTES]   = 32'd0;
            cpl_next[`CQE_SQ_INDEX] = cmd_sq_index;
        end
    end

    always @(posedge clk) begin
        ptr_reg <= ptr_next;
        if (take) begin
            cid          <= due_conn;
            with_cmd_reg <= cmd_owed_reg[due_conn];
        end
        if (say) cpl_reg      <= cpl_next;
        if (pop) pop_conn_reg <= conn;
    end

    always @(posedge clk) begin
        if (rst) begin
            state_reg     <= ST_INIT;
            init_reg      <= 0;
            cpl_valid_reg <= 1'b0;
            pop_reg       <= 1'b0;
            cmd_owed_reg  <= {CONNS{1'b0}};
        end else begin
            state_reg <= state_next;
            pop_reg   <= pop;
            if (cmd_done)            cmd_owed_reg[cid] <= 1'b0;
            if (tok_in && s_tok_cpl) cmd_owed_reg[s_tok_conn[CONN_W-1:0]] <= 1'b1;
            if (in_init)          init_reg      <= init_reg + ONE_CONN;
            if (say)              cpl_valid_reg <= 1'b1;
            else if (m_cpl_ready) cpl_valid_reg <= 1'b0;
        end
    end

    assign m_cpl_valid   = cpl_valid_reg;
    assign m_cpl         = cpl_reg;
    assign pop_pulse     = pop_reg;
    assign pop_conn      = pop_conn_reg;
    assign m_fdone_valid = state_reg == ST_FDONE;
    assign m_fdone_conn  = conn;
    assign m_fdone_gen   = gen;
    assign idle          = state_reg == ST_IDLE && !s_tok_valid && !owing && !cpl_valid_reg && !pop_reg;

    wire unused = &{1'b0, to_data[30:0], to_end[30:0], s_tok_conn, s_cmd_conn, s_ent[`TX_APPEND_LIST_ADDR],
                    s_ent[`TX_APPEND_COUNT]};

endmodule

`default_nettype wire
