// dma_request: takes one request at a time from the clients of a DMA direction, fair by request.
//
// Why a block: reads and writes accept requests in the same way; behind it there is one stream.
//
// s_req_*: flattened vectors, client i at [i*W +: W]. `s_req_ready` is one-hot and depends on
//   `s_req_valid`; a request is address and length in bytes, 1..65535 (a length of 0 is forbidden).
// m_req_*: valid/ready source of {client, address, length}, registered.
// Latency 1, one request a cycle.
`default_nettype none

module dma_request #(
    parameter CLIENTS  = 4,                                    // 1..256
    parameter CLIENT_W = (CLIENTS > 1) ? $clog2(CLIENTS) : 1   // derived, do not override
) (
    input  wire                  clk,
    input  wire                  rst,

    input  wire [CLIENTS-1:0]    s_req_valid,
    output wire [CLIENTS-1:0]    s_req_ready,
    input  wire [CLIENTS*64-1:0] s_req_addr,
    input  wire [CLIENTS*16-1:0] s_req_len,

    output wire                  m_req_valid,
    input  wire                  m_req_ready,
    output wire [CLIENT_W-1:0]   m_req_client,
    output wire [63:0]           m_req_addr,
    output wire [15:0]           m_req_len
);

    reg                valid_reg;
    reg [CLIENT_W-1:0] client_reg;
    reg [63:0]         addr_reg;
    reg [15:0]         len_reg;

    wire [CLIENTS-1:0]  grant;
    wire [CLIENT_W-1:0] chosen;
    wire                any;

    wire out_free = !valid_reg || m_req_ready;

    assign s_req_ready  = grant & {CLIENTS{out_free}};
    assign m_req_valid  = valid_reg;
    assign m_req_client = client_reg;
    assign m_req_addr   = addr_reg;
    assign m_req_len    = len_reg;

    rr_arb #(.N(CLIENTS)) turn (
        .clk(clk), .rst(rst),
        .req(s_req_valid), .advance(out_free),
        .grant(grant), .index(chosen), .valid(any)
    );

    always @(posedge clk) begin
        if (out_free && any) begin
            client_reg <= chosen;
            addr_reg   <= s_req_addr[chosen*64 +: 64];
            len_reg    <= s_req_len[chosen*16 +: 16];
        end
    end

    always @(posedge clk) begin
        if (rst)           valid_reg <= 1'b0;
        else if (out_free) valid_reg <= any;
    end

`ifdef CHIMNEY_ASSERT
    always @(posedge clk) begin
        if (!rst && valid_reg && len_reg == 0) begin
            $display("ASSERT %m: request of length 0 from client %0d", client_reg);
            $finish;
        end
    end
`endif

endmodule

`default_nettype wire
