// generated from model/layout/layout.toml by `make layout`; do not edit

function [119:0] opcode_word(input [7:0] value);
    case (value)
        8'd0: opcode_word = "NOP";
        8'd1: opcode_word = "INITIATE";
        8'd2: opcode_word = "START";
        8'd3: opcode_word = "SEND";
        8'd4: opcode_word = "RECEIVE";
        8'd5: opcode_word = "ANSWER";
        8'd6: opcode_word = "DISCONNECT";
        8'd7: opcode_word = "FORWARD";
        8'd8: opcode_word = "UPDATE";
        8'd9: opcode_word = "QUERY";
        8'd10: opcode_word = "INVALIDATE";
        8'd11: opcode_word = "TERMINATE";
        8'd12: opcode_word = "PATH_WRITE";
        8'd13: opcode_word = "NEIGHBOR_WRITE";
        8'd14: opcode_word = "PARAM_WRITE";
        8'd15: opcode_word = "RAW_SEND";
        8'd16: opcode_word = "RAW_POST";
        8'd17: opcode_word = "POOL_POST";
        8'd18: opcode_word = "RESUME";
        8'd19: opcode_word = "NEIGHBOR_ANSWER";
        8'd20: opcode_word = "UPLOAD";
        default: opcode_word = 120'd0;
    endcase
endfunction

function [87:0] tcp_state_word(input [7:0] value);
    case (value)
        8'd0: tcp_state_word = "CLOSED";
        8'd1: tcp_state_word = "LISTEN";
        8'd2: tcp_state_word = "SYN_SENT";
        8'd3: tcp_state_word = "SYN_RCVD";
        8'd4: tcp_state_word = "ESTABLISHED";
        8'd5: tcp_state_word = "FIN_WAIT_1";
        8'd6: tcp_state_word = "FIN_WAIT_2";
        8'd7: tcp_state_word = "CLOSE_WAIT";
        8'd8: tcp_state_word = "CLOSING";
        8'd9: tcp_state_word = "LAST_ACK";
        8'd10: tcp_state_word = "TIME_WAIT";
        default: tcp_state_word = 88'd0;
    endcase
endfunction

function [55:0] phase_word(input [7:0] value);
    case (value)
        8'd0: phase_word = "FREE";
        8'd1: phase_word = "LOADED";
        8'd2: phase_word = "RUNNING";
        8'd3: phase_word = "FROZEN";
        default: phase_word = 56'd0;
    endcase
endfunction

function [79:0] tcp_evt_word(input [7:0] value);
    case (value)
        8'd0: tcp_evt_word = "NONE";
        8'd1: tcp_evt_word = "COMMAND";
        8'd2: tcp_evt_word = "RX_SEGMENT";
        8'd3: tcp_evt_word = "TX_GRANT";
        8'd4: tcp_evt_word = "TIMER";
        8'd5: tcp_evt_word = "CONSUMED";
        8'd6: tcp_evt_word = "CREDIT";
        8'd7: tcp_evt_word = "FENCE_DONE";
        8'd8: tcp_evt_word = "FAULT";
        default: tcp_evt_word = 80'd0;
    endcase
endfunction

function [71:0] dlv_evt_word(input [7:0] value);
    case (value)
        8'd0: dlv_evt_word = "NONE";
        8'd1: dlv_evt_word = "DELIVER";
        8'd2: dlv_evt_word = "LOAD";
        8'd3: dlv_evt_word = "START";
        8'd4: dlv_evt_word = "FREEZE";
        8'd5: dlv_evt_word = "NOTIFY";
        8'd6: dlv_evt_word = "RECEIVE";
        8'd7: dlv_evt_word = "ANSWER";
        8'd8: dlv_evt_word = "RESUME";
        8'd9: dlv_evt_word = "POOL_POST";
        8'd10: dlv_evt_word = "TIMER";
        8'd11: dlv_evt_word = "CONTINUE";
        8'd12: dlv_evt_word = "DROP_DCB";
        8'd13: dlv_evt_word = "UPDATE";
        8'd14: dlv_evt_word = "FLUSH";
        8'd15: dlv_evt_word = "HOLD";
        default: dlv_evt_word = 72'd0;
    endcase
endfunction

function [95:0] tx_kind_word(input [7:0] value);
    case (value)
        8'd0: tx_kind_word = "NONE";
        8'd1: tx_kind_word = "SEGMENT";
        8'd2: tx_kind_word = "APPEND";
        8'd3: tx_kind_word = "RELEASE";
        8'd4: tx_kind_word = "FENCE";
        8'd5: tx_kind_word = "HDR_CONN";
        8'd6: tx_kind_word = "HDR_PATH";
        8'd7: tx_kind_word = "HDR_NEIGHBOR";
        8'd8: tx_kind_word = "BARRIER";
        default: tx_kind_word = 96'd0;
    endcase
endfunction

function [55:0] verdict_word(input [7:0] value);
    case (value)
        8'd0: verdict_word = "NONE";
        8'd1: verdict_word = "DELIVER";
        8'd2: verdict_word = "DROP";
        8'd3: verdict_word = "PASS_UP";
        default: verdict_word = 56'd0;
    endcase
endfunction
