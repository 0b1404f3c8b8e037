// conn_lookup_ctrl: the slow side of conn_lookup: clearing sweep, insert, delete.
//
// Why a block: it is the only writer of the table, and changes at another pace than the look-up pipeline.
//
// s_ins_*, s_del_*, m_ins_*, m_del_*: see conn_lookup. One operation at a time, deletes first.
// m_probe / m_probe_key: asks the pipeline to look a key up in this cycle, never refused.
// s_probed_*: its answer: occupied and matching slots, and the two bucket numbers.
// m_tbl_*: write port of all slots of one bucket number; slot = {table, way}. m_stash_*: the same for the stash.
// Insert takes 7 cycles, delete 2.
`default_nettype none

module conn_lookup_ctrl #(
    parameter CONNS    = 16,                       // connections, a power of two, 4..1024
    parameter CONN_W   = 4,                        // bits of a connection number, >= log2(CONNS)
    parameter KEY_W    = 296,                      // bits
    parameter GEN_W    = 8,                        // bits
    parameter BUCKET_W = 2,                        // bits of a bucket number
    parameter STASH    = 4,                        // places outside the tables, 1..8
    parameter ENTRY_W  = 1 + GEN_W + CONN_W + KEY_W    // derived, do not override
) (
    input  wire                clk,
    input  wire                rst,
    output wire                init_done,

    input  wire                s_ins_valid,
    output wire                s_ins_ready,
    input  wire [KEY_W-1:0]    s_ins_key,
    input  wire [CONN_W-1:0]   s_ins_conn,
    input  wire [GEN_W-1:0]    s_ins_gen,
    output wire                m_ins_done,
    output wire [1:0]          m_ins_status,

    input  wire                s_del_valid,
    output wire                s_del_ready,
    input  wire [CONN_W-1:0]   s_del_conn,
    output wire                m_del_done,

    output wire                m_probe,
    output wire [KEY_W-1:0]    m_probe_key,
    input  wire                s_probed_valid,
    input  wire                s_probed_match,
    input  wire [7:0]          s_probed_occupied,
    input  wire [STASH-1:0]    s_probed_stash,     // occupied places of the stash
    input  wire [BUCKET_W-1:0] s_probed_bucket_a,
    input  wire [BUCKET_W-1:0] s_probed_bucket_b,

    output wire [7:0]          m_tbl_we,
    output wire [BUCKET_W-1:0] m_tbl_bucket,
    output wire [STASH-1:0]    m_stash_we,
    output wire [ENTRY_W-1:0]  m_entry
);

    localparam BUCKETS = 1 << BUCKET_W;
    localparam SWEEP   = (CONNS > BUCKETS) ? CONNS : BUCKETS;
    localparam SWEEP_W = $clog2(SWEEP);
    localparam LOC_W   = 1 + 8 + STASH + BUCKET_W;         // {present, slot one-hot, stash one-hot, bucket}
    localparam LOC_A   = $clog2(CONNS);
    localparam [SWEEP_W-1:0] STEP = 1;
    localparam [STASH-1:0]   STASH_ONE = 1;

    localparam [1:0] STATUS_OK = 2'd0, STATUS_DUPLICATE = 2'd1, STATUS_NO_ROOM = 2'd2;

    localparam [2:0] CLEAR  = 3'd0,        // after reset: write empty entries everywhere
                     IDLE   = 3'd1,
                     PROBE  = 3'd2,        // send the key of the insert through the pipeline
                     WAIT   = 3'd3,        // until the probe comes back
                     INSERT = 3'd4,        // write the entry and its location, or refuse
                     DELETE = 3'd5;        // the location is read: empty the entry

    reg [2:0]          state_reg;
    reg [SWEEP_W-1:0]  sweep_reg;
    reg [KEY_W-1:0]    key_reg;
    reg [CONN_W-1:0]   conn_reg;
    reg [GEN_W-1:0]    gen_reg;
    reg                refuse_dup_reg;
    reg [7:0]          slot_reg;           // chosen slot, one-hot, 0: none
    reg [STASH-1:0]    place_reg;          // chosen place in the stash, one-hot, 0: none
    reg [BUCKET_W-1:0] bucket_reg;
    reg                ins_done_reg;
    reg [1:0]          ins_status_reg;
    reg                del_done_reg;

    wire take_del = state_reg == IDLE && s_del_valid;
    wire take_ins = state_reg == IDLE && s_ins_valid && !s_del_valid;

    assign init_done    = state_reg != CLEAR;
    assign s_del_ready  = state_reg == IDLE;
    assign s_ins_ready  = state_reg == IDLE && !s_del_valid;
    assign m_probe      = state_reg == PROBE;
    assign m_probe_key  = key_reg;
    assign m_ins_done   = ins_done_reg;
    assign m_ins_status = ins_status_reg;
    assign m_del_done   = del_done_reg;

    // where each connection's entry is
    wire [LOC_W-1:0]    loc;
    wire                loc_present;
    wire [7:0]          loc_slot;
    wire [STASH-1:0]    loc_place;
    wire [BUCKET_W-1:0] loc_bucket;
    wire                room = slot_reg != 0 || place_reg != 0;
    wire                store = state_reg == INSERT && !refuse_dup_reg && room;
    wire                clear = state_reg == CLEAR;
    wire [CONN_W-1:0]   op_conn = s_del_valid ? s_del_conn : s_ins_conn;

    assign {loc_present, loc_slot, loc_place, loc_bucket} = loc;

    ram_sdp #(.WIDTH(LOC_W), .DEPTH(CONNS)) locations (
        .clk(clk),
        .we(clear || store || state_reg == DELETE),
        .waddr(clear ? sweep_reg[LOC_A-1:0] : conn_reg[LOC_A-1:0]),
        .wdata(store ? {1'b1, slot_reg, place_reg, bucket_reg} : {LOC_W{1'b0}}),
        .re(take_del || take_ins), .raddr(op_conn[LOC_A-1:0]), .rdata(loc)
    );

    // the emptier bucket of the two, table A on a tie; the stash when both are full
    wire [2:0] load_a = {2'd0, s_probed_occupied[0]} + {2'd0, s_probed_occupied[1]}
                      + {2'd0, s_probed_occupied[2]} + {2'd0, s_probed_occupied[3]};
    wire [2:0] load_b = {2'd0, s_probed_occupied[4]} + {2'd0, s_probed_occupied[5]}
                      + {2'd0, s_probed_occupied[6]} + {2'd0, s_probed_occupied[7]};
    wire       use_b  = load_b < load_a;
    wire [3:0] ways   = use_b ? s_probed_occupied[7:4] : s_probed_occupied[3:0];
    wire [3:0] free_way         = ~ways & (ways + 4'd1);                   // lowest free, 0 when full
    wire [STASH-1:0] free_place = ~s_probed_stash & (s_probed_stash + STASH_ONE);

    always @(posedge clk) begin
        if (take_ins) begin
            key_reg  <= s_ins_key;
            gen_reg  <= s_ins_gen;
        end
        if (take_ins || take_del) conn_reg <= op_conn;
        if (state_reg == WAIT && s_probed_valid) begin
            refuse_dup_reg <= s_probed_match || loc_present;
            slot_reg       <= use_b ? {free_way, 4'd0} : {4'd0, free_way};
            place_reg      <= (free_way == 0) ? free_place : {STASH{1'b0}};
            bucket_reg     <= use_b ? s_probed_bucket_b : s_probed_bucket_a;
        end
        if (state_reg == INSERT) begin
            ins_status_reg <= refuse_dup_reg ? STATUS_DUPLICATE : room ? STATUS_OK : STATUS_NO_ROOM;
        end
    end

    always @(posedge clk) begin
        if (rst) begin
            state_reg    <= CLEAR;
            sweep_reg    <= 0;
            ins_done_reg <= 1'b0;
            del_done_reg <= 1'b0;
        end else begin
            ins_done_reg <= state_reg == INSERT;
            del_done_reg <= state_reg == DELETE;
            case (state_reg)
                CLEAR: begin
                    sweep_reg <= sweep_reg + STEP;
                    if (&sweep_reg) state_reg <= IDLE;
                end
                IDLE: begin
                    if (take_del)      state_reg <= DELETE;
                    else if (take_ins) state_reg <= PROBE;
                end
                PROBE:   state_reg <= WAIT;
                WAIT:    if (s_probed_valid) state_reg <= INSERT;
                default: state_reg <= IDLE;        // INSERT, DELETE
            endcase
        end
    end

    wire erase = state_reg == DELETE && loc_present;

    assign m_tbl_we     = clear ? 8'hFF : store ? slot_reg : erase ? loc_slot : 8'h00;
    assign m_tbl_bucket = clear ? sweep_reg[BUCKET_W-1:0] : store ? bucket_reg : loc_bucket;
    assign m_stash_we   = clear ? {STASH{1'b1}} : store ? place_reg : erase ? loc_place : {STASH{1'b0}};
    assign m_entry      = store ? {1'b1, gen_reg, conn_reg, key_reg} : {ENTRY_W{1'b0}};

endmodule

`default_nettype wire
