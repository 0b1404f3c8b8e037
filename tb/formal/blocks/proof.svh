// What harnesses share: the start and the reset, and where it is asked for (a macro in front of the include) the count
// of a stream's bytes or the account of broken rules. Properties stay in the harness, where their sentences are read.
// Included inside of a module with clk and rst, behind the declarations of what a part uses.

// ---- time: `started` is 0 in the first cycle alone, which is a reset; was_rst: the cycle before was one
reg started = 1'b0;
reg was_rst = 1'b0;

always @(posedge clk) begin
    started <= 1'b1;
    was_rst <= rst;
end

always @* if (!started) assume (rst);

// ---- PROOF_STREAM: words {last, keep, data} of two bytes go in with `push`; frames of at most MAX_BYTES, well formed
`ifdef PROOF_STREAM
reg [31:0] s_bytes;                            // of the open frame at the input

// a beat is full before the last one; the last one has its bytes from the first on
function well_formed(input [WIDTH-1:0] word);
    well_formed = word[WIDTH-1] ? word[DATA_W +: BYTES] == 2'b01 || word[DATA_W +: BYTES] == 2'b11
                                : word[DATA_W +: BYTES] == 2'b11;
endfunction

always @(posedge clk) begin
    if (rst)       s_bytes <= 0;
    else if (push) s_bytes <= s_last ? 0 : s_bytes + BYTES;
end

always @* begin
    if (s_valid) assume (well_formed(s_word));
    if (s_valid) assume (s_bytes + s_keep[0] + s_keep[1] <= MAX_BYTES);
    if (s_valid && !s_last) assume (s_bytes + BYTES < MAX_BYTES);
end
`endif

// ---- PROOF_RULES: the harness says which rules, 1 to RULES, are broken in a cycle, as bits of their numbers
`ifdef PROOF_RULES
reg [RULES:0] broken, was_broken;
reg           clean, was_clean;                // no rule was broken in any cycle since the reset, before this one
reg [7:0]     lowest;                          // of the rules broken in the cycle before; 0 without one
integer       rule;

always @(posedge clk) begin
    clean      <= (rst || clean) && broken == 0;
    was_clean  <= rst || clean;
    was_broken <= broken;
end

always @* begin
    lowest = 8'd0;
    for (rule = RULES; rule > 0; rule = rule - 1) if (was_broken[rule]) lowest = rule;
end
`endif
