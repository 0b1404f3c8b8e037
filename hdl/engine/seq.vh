// Sequence, tick and size arithmetic of the engine cluster, included inside a module body.
// seq_*: numbers modulo 2^32, compared by signed difference (RFC 9293 3.4, RFC 7323 5.2).
// Included as ../engine/seq.vh, so that hdl/include is the only include folder a tool has to know.
// *32: plain unsigned numbers. This is the only place that knows how a wrap is compared.
function seq_lt;
    input [31:0] a;
    input [31:0] b;
    seq_lt = $signed(a - b) < $signed(32'd0);
endfunction

function seq_le;
    input [31:0] a;
    input [31:0] b;
    seq_le = $signed(a - b) <= $signed(32'd0);
endfunction

function [31:0] min32;
    input [31:0] a;
    input [31:0] b;
    min32 = (a < b) ? a : b;
endfunction

function [31:0] max32;
    input [31:0] a;
    input [31:0] b;
    max32 = (a > b) ? a : b;
endfunction

// the largest power of two that is not above `value`; 0 of 0
function [31:0] pow2_floor32;
    input [31:0] value;
    reg   [31:0] filled;                           // every bit below the highest one set, too
    begin
        filled = value | (value >> 1);
        filled = filled | (filled >> 2);
        filled = filled | (filled >> 4);
        filled = filled | (filled >> 8);
        filled = filled | (filled >> 16);
        pow2_floor32 = filled & ~(filled >> 1);
    end
endfunction

// (value << min(shift, 16)), at most `limit`; nothing is lost to the 32 bits
function [31:0] backoff32;
    input [31:0] value;
    input [7:0]  shift;
    input [31:0] limit;
    reg   [47:0] wide;
    begin
        wide = {16'd0, value} << ((shift > 8'd16) ? 5'd16 : shift[4:0]);
        backoff32 = (wide > {16'd0, limit}) ? limit : wide[31:0];
    end
endfunction

// (srtt / 8) + max(1 tick, rttvar) between the limits (RFC 6298 2.3; srtt in ticks x 8, rttvar in ticks x 4)
function [31:0] rto_of;
    input [15:0] smoothed;
    input [15:0] variation;
    input [31:0] floor;
    input [31:0] ceiling;
    reg   [31:0] raw_rto;
    begin
        raw_rto = ({16'd0, smoothed} >> 3) + {16'd0, (variation == 16'd0) ? 16'd1 : variation};
        rto_of  = (raw_rto < floor) ? floor : (raw_rto > ceiling) ? ceiling : raw_rto;
    end
endfunction
