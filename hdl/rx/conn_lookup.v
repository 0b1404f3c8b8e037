// conn_lookup: hash table from addresses and ports to the number of an offloaded connection.
//
// Why a block: finds the connection of every received frame at one frame a cycle; its cost grows with the
// number of connections in RAM only. Two tables of CONNS/4 buckets (at least 2) of 4 ways with a
// hash each, an entry goes to the emptier of its two buckets, and to a small stash if both are full.
//
// s_lkp_*: valid/ready sink of keys; ready falls after reset and for one cycle an insert.
// m_lkp_*: answers in order, exactly 5 cycles later, not to be refused; conn and gen are 0 without a hit.
// s_ins_*: valid/ready; answered by one pulse of m_ins_done with status 0 ok, 1 duplicate (the key is in the
//   table, or the connection number is), 2 no room. s_del_*: valid/ready; answered by one pulse of m_del_done,
//   without effect for a connection that is not in the table. Every look-up accepted in the cycle of such a
//   pulse or later sees the change; earlier ones may or may not.
// init_done: low while the tables are cleared after reset (CONNS cycles).
`default_nettype none

module conn_lookup #(
    parameter CONNS  = 16,                         // connections, a power of two, 4..1024
    parameter CONN_W = 4,                          // bits of a connection number, >= log2(CONNS)
    parameter TAG_W  = 8,                          // bits carried along with a look-up, >= 1
    parameter KEY_W  = 296,                        // bits: is_ipv6 1, reserved 7, addresses 2 x 128, ports 2 x 16
    parameter GEN_W  = 8,                          // bits of a connection's generation
    parameter STASH  = 4                           // places outside the tables, 1..8
) (
    input  wire              clk,
    input  wire              rst,
    output wire              init_done,

    input  wire              s_lkp_valid,
    output wire              s_lkp_ready,
    input  wire [KEY_W-1:0]  s_lkp_key,
    input  wire [TAG_W-1:0]  s_lkp_tag,

    output wire              m_lkp_valid,
    output wire              m_lkp_hit,
    output wire [CONN_W-1:0] m_lkp_conn,
    output wire [GEN_W-1:0]  m_lkp_gen,
    output wire [TAG_W-1:0]  m_lkp_tag,

    input  wire              s_ins_valid,
    output wire              s_ins_ready,
    input  wire [KEY_W-1:0]  s_ins_key,
    input  wire [CONN_W-1:0] s_ins_conn,
    input  wire [GEN_W-1:0]  s_ins_gen,
    output wire              m_ins_done,
    output wire [1:0]        m_ins_status,

    input  wire              s_del_valid,
    output wire              s_del_ready,
    input  wire [CONN_W-1:0] s_del_conn,
    output wire              m_del_done
);

    generate
        if (CONNS < 4 || CONNS > 1024 || (CONNS & (CONNS - 1)) != 0) begin : g_illegal
            conn_lookup_CONNS_must_be_a_power_of_two_4_to_1024 illegal();
        end
    endgenerate

    localparam BUCKETS  = (CONNS > 8) ? CONNS / 4 : 2;     // a table
    localparam BUCKET_W = $clog2(BUCKETS);
    localparam SLOTS    = 8;                               // {table, way}
    localparam PLACES   = SLOTS + STASH;                   // compared for each key, whatever CONNS is
    localparam OWNER_W  = GEN_W + CONN_W;
    localparam ENTRY_W  = 1 + OWNER_W + KEY_W;             // {occupied, gen, conn, key}

    // stage 1: hashed; 2: buckets known, reading; 3: comparing; 4: selecting; 5: answer
    reg                s1_valid_reg, s2_valid_reg, s3_valid_reg, s4_valid_reg, s5_valid_reg;
    reg                s1_probe_reg, s2_probe_reg, s3_probe_reg, s4_probe_reg;
    reg [KEY_W-1:0]    s1_key_reg,   s2_key_reg,   s3_key_reg;
    reg [TAG_W-1:0]    s1_tag_reg,   s2_tag_reg,   s3_tag_reg,   s4_tag_reg,   s5_tag_reg;
    reg [31:0]         s1_hash_reg;
    reg [BUCKET_W-1:0] s2_bucket_a_reg, s2_bucket_b_reg;
    reg [BUCKET_W-1:0] probe_bucket_a_reg, probe_bucket_b_reg;
    reg [PLACES-1:0]   s4_match_reg;
    reg [PLACES-1:0]   s4_occupied_reg;
    reg [PLACES*OWNER_W-1:0] s4_owner_reg;
    reg                s5_hit_reg;
    reg [OWNER_W-1:0]  s5_owner_reg;

    wire                probe;
    wire [KEY_W-1:0]    probe_key;
    wire [SLOTS-1:0]    tbl_we;
    wire [BUCKET_W-1:0] tbl_bucket;
    wire [STASH-1:0]    stash_we;
    wire [ENTRY_W-1:0]  new_entry;

    conn_lookup_ctrl #(
        .CONNS(CONNS), .CONN_W(CONN_W), .KEY_W(KEY_W), .GEN_W(GEN_W), .BUCKET_W(BUCKET_W), .STASH(STASH)
    ) ctrl (
        .clk(clk), .rst(rst), .init_done(init_done),
        .s_ins_valid(s_ins_valid), .s_ins_ready(s_ins_ready), .s_ins_key(s_ins_key),
        .s_ins_conn(s_ins_conn), .s_ins_gen(s_ins_gen),
        .m_ins_done(m_ins_done), .m_ins_status(m_ins_status),
        .s_del_valid(s_del_valid), .s_del_ready(s_del_ready), .s_del_conn(s_del_conn),
        .m_del_done(m_del_done),
        .m_probe(probe), .m_probe_key(probe_key),
        .s_probed_valid(s4_probe_reg), .s_probed_match(s4_match_reg != 0),
        .s_probed_occupied(s4_occupied_reg[SLOTS-1:0]), .s_probed_stash(s4_occupied_reg[PLACES-1:SLOTS]),
        .s_probed_bucket_a(probe_bucket_a_reg), .s_probed_bucket_b(probe_bucket_b_reg),
        .m_tbl_we(tbl_we), .m_tbl_bucket(tbl_bucket), .m_stash_we(stash_we), .m_entry(new_entry)
    );

    assign s_lkp_ready = init_done && !probe;

    wire                lookup = s_lkp_valid && s_lkp_ready;
    wire [KEY_W-1:0]    s0_key = probe ? probe_key : s_lkp_key;
    wire [31:0]         s0_hash;
    wire [BUCKET_W-1:0] s1_bucket_a, s1_bucket_b;

    key_hash #(.KEY_W(KEY_W)) hash (.s_key(s0_key), .m_hash(s0_hash));

    bucket_mix #(.BUCKET_W(BUCKET_W)) mix (
        .s_hash(s1_hash_reg), .m_bucket_a(s1_bucket_a), .m_bucket_b(s1_bucket_b)
    );

    // all places that may hold the key: one bucket of each table from RAM, and the stash from registers
    wire [PLACES*ENTRY_W-1:0] entries;
    wire [PLACES-1:0]         s3_match, s3_occupied;
    wire [PLACES*OWNER_W-1:0] s3_owner;

    genvar i;
    generate
        for (i = 0; i < SLOTS; i = i + 1) begin : g_slot
            ram_sdp #(.WIDTH(ENTRY_W), .DEPTH(BUCKETS)) slot (
                .clk(clk),
                .we(tbl_we[i]), .waddr(tbl_bucket), .wdata(new_entry),
                .re(s2_valid_reg || s2_probe_reg),
                .raddr((i < SLOTS / 2) ? s2_bucket_a_reg : s2_bucket_b_reg),
                .rdata(entries[i*ENTRY_W +: ENTRY_W])
            );
        end
        for (i = SLOTS; i < PLACES; i = i + 1) begin : g_stash
            reg [ENTRY_W-1:0] entry_reg;
            always @(posedge clk) begin
                if (stash_we[i-SLOTS]) entry_reg <= new_entry;
            end
            assign entries[i*ENTRY_W +: ENTRY_W] = entry_reg;
        end
        for (i = 0; i < PLACES; i = i + 1) begin : g_compare
            assign s3_occupied[i] = entries[(i+1)*ENTRY_W-1];
            assign s3_match[i]    = s3_occupied[i] && entries[i*ENTRY_W +: KEY_W] == s3_key_reg;
            assign s3_owner[i*OWNER_W +: OWNER_W] = entries[i*ENTRY_W+KEY_W +: OWNER_W];
        end
    endgenerate

    reg [OWNER_W-1:0] s4_selected;
    integer           k;

    always @* begin
        s4_selected = 0;
        for (k = 0; k < PLACES; k = k + 1) begin
            s4_selected = s4_selected | ({OWNER_W{s4_match_reg[k]}} & s4_owner_reg[k*OWNER_W +: OWNER_W]);
        end
    end

    always @(posedge clk) begin
        if (lookup || probe) begin
            s1_key_reg  <= s0_key;
            s1_tag_reg  <= s_lkp_tag;
            s1_hash_reg <= s0_hash;
        end
        if (s1_valid_reg || s1_probe_reg) begin
            s2_key_reg      <= s1_key_reg;
            s2_tag_reg      <= s1_tag_reg;
            s2_bucket_a_reg <= s1_bucket_a;
            s2_bucket_b_reg <= s1_bucket_b;
        end
        if (s2_probe_reg) begin
            probe_bucket_a_reg <= s2_bucket_a_reg;
            probe_bucket_b_reg <= s2_bucket_b_reg;
        end
        if (s2_valid_reg || s2_probe_reg) begin
            s3_key_reg <= s2_key_reg;
            s3_tag_reg <= s2_tag_reg;
        end
        if (s3_valid_reg || s3_probe_reg) begin
            s4_match_reg    <= s3_match;
            s4_occupied_reg <= s3_occupied;
            s4_owner_reg    <= s3_owner;
            s4_tag_reg      <= s3_tag_reg;
        end
        if (s4_valid_reg) begin
            s5_hit_reg   <= s4_match_reg != 0;
            s5_owner_reg <= s4_selected;
            s5_tag_reg   <= s4_tag_reg;
        end
    end

    always @(posedge clk) begin
        if (rst) begin
            {s1_valid_reg, s2_valid_reg, s3_valid_reg, s4_valid_reg, s5_valid_reg} <= 5'd0;
            {s1_probe_reg, s2_probe_reg, s3_probe_reg, s4_probe_reg}               <= 4'd0;
        end else begin
            {s1_valid_reg, s2_valid_reg, s3_valid_reg, s4_valid_reg, s5_valid_reg} <=
                {lookup, s1_valid_reg, s2_valid_reg, s3_valid_reg, s4_valid_reg};
            {s1_probe_reg, s2_probe_reg, s3_probe_reg, s4_probe_reg} <=
                {probe, s1_probe_reg, s2_probe_reg, s3_probe_reg};
        end
    end

    assign m_lkp_valid = s5_valid_reg;
    assign m_lkp_hit   = s5_hit_reg;
    assign m_lkp_tag   = s5_tag_reg;
    assign {m_lkp_gen, m_lkp_conn} = s5_owner_reg;

endmodule

`default_nettype wire
