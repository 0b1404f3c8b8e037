"""Images of the packed vectors, for test_layout_images.py: the bytes from bit 0 up, the last one filled with zeros.

The fields were laid side by side from the tables of docs/layout.md, without the generated codecs. Fields of one
width have different values; of the flags every second is set, and each alone is in FLAGS.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Image:
    """Bytes as they lie in memory (or, for a packed vector, from bit 0 up) and what each field must be."""

    text: str
    fields: dict[str, int]
    width: int = 0
    """Bits; 0: all of the bytes."""
    struct: str = ""
    """Name of the layout when it is not the image's."""

    @property
    def data(self) -> bytes:
        """The bytes."""
        return bytes.fromhex(self.text)

    @property
    def value(self) -> int:
        """The vector."""
        return int.from_bytes(self.data, "little")

    @property
    def bits(self) -> int:
        """Width of the vector."""
        return self.width or 8 * len(self.data)


#: A completion entry inside a vector.
CQE = int.from_bytes(bytes.fromhex("040DCDAB 7E052301 8899AABB CCDDEEFF 10203040 50607080 5634BC9A D1D2D301"), "little")

VECTORS: dict[str, Image] = {}


def _whole(name: str) -> int:
    """The vector of another image, where it is a field."""
    return VECTORS[name].value


VECTORS["path_rec"] = Image(
    "014B8595 CF0942DE 19528CC6 003B75AF E9235C96 D00A4529 629CD610 4B85BFF9 336CA6E0 1A558F01",
    {
        "valid": 1,
        "family": 0x80,
        "neighbor_id": 0xC2A5,
        "path_mtu": 0x2104_E7CA,
        "src_addr": 0xA285_684B_2E11_F4D7_BA9D_8063_4629_0CEF,
        "dst_addr": 0xC7AA_8D70_5336_19FC_DFC2_A588_6B4E_3114,
        "invalid": 0,
    },
    width=314,
)
VECTORS["nbr_rec"] = Image(
    "73ACE620 5B95BDF6 306BA5DF 0701B558 FCBF59FD 8044",
    {
        "valid": 1,
        "dl_src": 0xCAAD_9073_5639,
        "dl_dst": 0xEFD2_B598_7B5E,
        "vlan_id": 0x083,
        "hrt": 0xFFE2_C5A8,
        "nrt": 0x2407_EACD,
        "invalid": 0,
        "query": 1,
    },
    width=175,
)
VECTORS["params"] = Image(
    "F2173C61 86A3C0DD ABC8E502 D0ED0A27 F5122F4C 1A375471 3F5C7996",
    {
        "ack_frequency": 0xF2,
        "delayed_ack_ticks": 0x17,
        "max_retransmissions": 0x3C,
        "dup_ack_threshold": 0x61,
        "push_ticks": 0xDDC0_A386,
        "rto_min": 0x02E5_C8AB,
        "rto_max": 0x270A_EDD0,
        "rto_initial": 0x4C2F_12F5,
        "nce_stale_ticks": 0x7154_371A,
        "ticks_per_second": 0x9679_5C3F,
    },
    width=224,
)
VECTORS["cubic"] = Image(
    "5BDC8214 2FB297DC 7C015FAE 186A4C3F A1D3F2C4 A5ACAD74 02E59DA9 836FC105",
    {
        "epoch": 1,
        "start": 0x8A41_6E2D,
        "last": 0x6E4B_D917,
        "dry": 0,
        "w_max": 0x2B97_C05F,
        "prior": 0x4FD3_1A86,
        "gap": 0x713C_B4E8,
        "k": 0x1_6B29,
        "k_bits": 21,
        "w_est": 0x9DE5_0274,
        "est_acc": 0x5_C16F_83A9,
    },
    width=251,
)
VECTORS["tcb"] = Image(
    "FE5CBB4D 9668EABA 3C0D8F5F D1A17345 27F47546 18EACB98 6A3C1E6B 3D0FD1B2 8F512305 D2A37557 24F66A8F A68DCEF6 "
    "DFC0A91A 01EAD243 2A13FC6C 533C2596 7C654EBF A58E77E0 CEB79809 F0D8C162 3204D6B7 8456280A D7A87A5C 29FBCCAE "
    "7B4D1FF1 CD9F6143 10E2B3F5 7368CDA5 C89B4EE5 6F1A3C4D 1C4E26CA A048474D A1FFB818 665E1625 48107EA4 57205F12 "
    "23D03130 F0933BBB BA30632A EB08B21D 28BBC4D1 EB9DCE03 99EBEC6D B3A13213 6D8D0258 D6F638D0 CB16B720 C58BEC25 "
    "375FC097 2B861AD3 4FE8B43C 71296B2B 9D407967 EAE05B70 A5549DD6 E620316B A5DFF76A DF5388FF 73E47840 12E4C512 "
    "653709DB 6C13B75A 1EB85CE0 8347E184 28EC8529 CD902ACE 71759EE5 2CB4E72E 76BD35F0 AF6B27E3 9E5A16D2 8D4905FD "
    "B8742CE8 A7631FDB 96520ECA 85413DF9 B4707430 ECAB6723 DF9A5612 CE89453D F9B46C28 E4A35F1B D7924E0A C6817D39 "
    "F5B05487 8D626B72 79786957 45D3CDBB A9370CDE AF01BD40 E4872BCF 72B641E5 882CD073 175BE6E9 2961984F 8CC33A32 "
    "BD2A9986 724E25FC 5A0E19C7 53A749FE 0B",
    {
        "phase": 2,
        "gen": 0x3F,
        "state": 7,
        "terminating": 1,
        "aborted": 0,
        "abort_owed": 1,
        "ts_en": 1,
        "sack_en": 0,
        "ws_en": 1,
        "snd_ws": 11,
        "rcv_ws": 13,
        "family": 0x64,
        "path_id": 0xA689,
        "local_port": 0xCBAE,
        "remote_port": 0xF0D3,
        "remote_mss": 0x15F8,
        "hash_value": 0x7457_3A1D,
        "cached_flags": 0x5F42,
        "init_rcv_wnd": 0xBEA1_8467,
        "rcv_indication_size": 0xE3C6_A98C,
        "ka_probe_count": 0xB1,
        "ka_timeout": 0x2D10_F3D6,
        "ka_interval": 0x5235_18FB,
        "max_rt": 0x775A_3D20,
        "flow_label": 0xF_6245,
        "ttl": 0x6A,
        "tos": 0x8F,
        "user_priority": 6,
        "dlg_flags": 0xD1B4,
        "ka_probes_sent": 0xD9,
        "ka_timeout_delta": 0x5538_1BFE,
        "send_backlog_size": 0x7A5D_4023,
        "receive_backlog_size": 0x9F82_6548,
        "dwnd": 0xC4A7_8A6D,
        "snd_una": 0xE9CC_AF92,
        "snd_nxt": 0x0EF1_D4B7,
        "snd_max": 0x3316_F9DC,
        "snd_end": 0x583B_1E01,
        "fin_queued": 0,
        "snd_wnd": 0x7D60_4326,
        "max_snd_wnd": 0xA285_684B,
        "snd_wl1": 0xC7AA_8D70,
        "cwnd": 0xECCF_B295,
        "ssthresh": 0x11F4_D7BA,
        "cwnd_acc": 0x3619_FCDF,
        "recover": 0x5B3E_2104,
        "in_recovery": 1,
        "sb_n": 15,
        "sb_left": 0xD23F_0824_128B_2F33_0C5C_7FD0_A6A3_A450_6513_270E_269E_0D37_F2A7_4DE4_52E6_B439,
        "sb_right": 0xB6F6_75CC_81E7_4EF5_E8E2_5D94_0ED9_0475_9531_985D_5D9D_C9F8_1818_E811_892F_902B,
        "high_rxt": 0x8999_50D9,
        "rescued": 0,
        "last_tx_tick": 0x9600_A35B,
        "ecn_en": 1,
        "ecn_ece": 0,
        "ecn_cwr": 1,
        "ecn_edge": 0x5E81_C7B6,
        "cubic_en": 0,
        "cc": _whole("cubic"),
        "partial_seen": 0,
        "dup_acks": 0x29,
        "rtx_head": 1,
        "probe_owed": 0,
        "release_owed": 1,
        "ack_now": 0,
        "dup_owed": 5,
        "srtt": 0x6B4E,
        "rttvar": 0x9073,
        "rto": 0xEFD2_B598,
        "rtt_active": 1,
        "rtt_seq": 0x14F7_DABD,
        "rtt_tick": 0x391C_FFE2,
        "rtx_on": 0,
        "persist": 1,
        "rtx_deadline": 0x5E41_2407,
        "rtx_count": 0x2C,
        "snd_wnd_probe_count": 0x51,
        "total_rt": 0xCDB0_9376,
        "dack_on": 0,
        "dack_deadline": 0xF2D5_B89B,
        "unacked_segs": 0xC0,
        "rcv_nxt": 0x3C1F_02E5,
        "rcv_adv": 0x6144_270A,
        "consumed_seq": 0x8669_4C2F,
        "last_ack_sent": 0xAB8E_7154,
        "fin_rcvd": 1,
        "ts_recent": 0xD0B3_9679,
        "ts_recent_tick": 0xF5D8_BB9E,
        "rr_n": 6,
        "rr_left": 0x1C2D_3E4F_5061_7283_94A5_B6C7_D8E9_FA0B_1D2E_3F41_5263_7485_96A7_B8C9_DAEB_FC0D,
        "rr_right": 0x2C3D_4E5F_6071_8293_A4B5_C6D7_E8F9_0A1B_2D3E_4F51_6273_8495_A6B7_C8D9_EAFB_0C1D,
        "rr_slot": 0xA3_61D5,
        "ooo_fin": 0,
        "ooo_fin_seq": 0x0F2E_4D6C,
        "dsack": 1,
        "dsack_left": 0x3455_7697,
        "dsack_right": 0x7A9B_BCDD,
        "ts_delta": 0x1AFD_E0C3,
        "retrieve_sent": 0,
        "img_addr": 0xB396_795C_3F22_05E8,
        "img_cookie": 0xD8BB_9E81_6447_2A0D,
        "img_sq_index": 0x4F32,
        "invalid": 1,
        "backlog_told": 0x3E61_84A7,
        "backlog_tick": 0xC8EB_0E31,
        "ka_on": 0,
        "ka_deadline": 0x0D32_557A,
        "ka_challenge": 1,
        "ka_probe_owed": 0,
        "rst_challenged": 1,
        "syn_challenged": 0,
        "syn_tick": 0x5F84_A9CE,
        "answered": 1,
        "answer_tick": 0x3C71_90E5,
        "old_segs": 0x9A75,
        "ooo_segs": 0xBFE4,
    },
    width=3204,
)
VECTORS["dcb"] = Image(
    "AF145F66 85FA6EE3 1B8F0374 AC239408 41D468DD 51C6FE71 9206279B BB2FA014 89FD71E6 4EC09806 FCBB7733 EFAA6622 "
    "DE995511 CD88447C 34ECA75F 17CF867E 36EEA55D 15CD84BC 742CE49F 570FC7BE 762EE69D 550DC500",
    {
        "loaded": 1,
        "gen": 0x57,
        "hold": 0,
        "frozen": 1,
        "freeze_done": 0,
        "aborted": 1,
        "d": 0,
        "token": 0x997C,
        "refused": 1,
        "fin_mark": 0,
        "fin_done": 1,
        "push_on": 0,
        "push_deadline": 0xF8DB_BEA1,
        "push_ticks": 0x1D00_E3C6,
        "consumed_thr": 0x4225_08EB,
        "req_head": 0x10,
        "req_count": 0x35,
        "req_filled": 0xB194_775A,
        "list_head": 0x9C7F,
        "list_tail": 0xC1A4,
        "list_count": 0xE6C9,
        "freeze_addr": 0xB99C_7F62_4528_0BEE,
        "freeze_count": 0x3013,
        "ooo_used": 0xA6,
        "ooo_head": 0x1122_3344_5566_7788_99AA_BBCC_DDEE_FF01,
        "ooo_tail": 0x2133_4557_697B_8D9F_A1B3_C5D7_E9FB_0D1F,
        "ooo_count": 0x3143_5567_798B_9DAF_B1C3_D5E7_F90B_1D2F,
    },
    width=698,
)
VECTORS["rcv_req"] = Image(
    "3855728F ACC9E603 5D7A97B4 053F79B3 ED27609A 02",
    {
        "addr": 0x03E6_C9AC_8F72_5538,
        "length": 0xB497_7A5D,
        "nopush": 1,
        "cookie": 0x4D30_13F6_D9BC_9F82,
        "prefill": 1,
    },
    width=162,
)
VECTORS["pool_node"] = Image(
    "A7C4CCE9 F10E01",
    {
        "next": 0xC4A7,
        "offset": 0xE9CC,
        "length": 0x0EF1,
        "psh": 1,
    },
    width=49,
)
VECTORS["rx_seg"] = Image(
    "1633506D 3B586085 A2BFDCAA C7E401CF ECF49C72 86CD149C CF165EA5 FB69D948 B82F9F0E FE6DDD4C BC2B9B0A 7AEA59C9 "
    "38A81F8F 7EEE5DCD 3CAC1B8B 1A03442C 05",
    {
        "arrival": 0x6D50_3316,
        "conn": 0x583B,
        "gen": 0x60,
        "seq": 0xDCBF_A285,
        "ack": 0x01E4_C7AA,
        "wnd": 0xECCF,
        "flags": 0xF4,
        "tagged": 0,
        "vlan_id": 0x94E,
        "ts_present": 1,
        "tsval": 0x7053_3619,
        "tsecr": 0x9578_5B3E,
        "ip_ecn": 2,
        "sack_n": 3,
        "sack_left": 0x4153_6577_899B_ADBF_C1D3_E5F7_091B_2D3F,
        "sack_right": 0x5163_7587_99AB_BDCF_D1E3_F507_192B_3D4F,
        "pay_off": 0x8063,
        "pay_len": 0xA588,
    },
    width=515,
)
VECTORS["dlv_msg"] = Image(
    "D5AA2C7D 4F11E3C4 9113E455 668BA8C5 E2B0CDEA 07D5F2FA 1734516E 8BA8C5C9 0F549AE0 266DB36B 362E7302",
    {
        "kind": 5,
        "conn": 0xCAAD,
        "gen": 0xD2,
        "arrival": 0x4E31_14F7,
        "offset": 0x391C,
        "len": 0x5E41,
        "psh": 1,
        "fin": 0,
        "hold": 1,
        "aborted": 0,
        "event": 0x66,
        "info": 0xE2C5_A88B,
        "push_ticks": 0x07EA_CDB0,
        "sq_index": 0xF2D5,
        "a": 0xC5A8_8B6E_5134_17FA,
        "fwd": 1,
        "cookie": 0xD9B6_9370_4D2A_07E4,
        "slot": 5,
        "join": 0,
        "skip": 0x71B3,
        "app": 1,
        "pre": 0,
        "slot2": 6,
        "free": 0x9C,
    },
    width=346,
)
VECTORS["tx_segment"] = Image(
    "1F3C5976 4461698E ABC8E5B3 D0B1EB25 5EFA356E A8448EDA BE9A7652 2E0AE6C3 BF9B7753 2F0BE7C2 DEBA9672 4E2A06E2 "
    "DFBB9773 4F2B07E3 00",
    {
        "seq": 0x7659_3C1F,
        "len": 0x6144,
        "flags": 0x69,
        "ack": 0xE5C8_AB8E,
        "wnd": 0xD0B3,
        "ts_en": 1,
        "tsval": 0x2F12_F5D8,
        "tsecr": 0x5437_1AFD,
        "ttl": 0x22,
        "tos": 0x47,
        "user_priority": 5,
        "has_old": 1,
        "has_new": 0,
        "sack_n": 3,
        "sack_left": 0x6173_8597_A9BB_CDDF_E1F3_0517_293B_4D5F,
        "sack_right": 0x7183_95A7_B9CB_DDEF_F103_1527_394B_5D6F,
    },
    width=449,
)
VECTORS["tx_append"] = Image(
    "6C89A6C3 91AECBE8 B6D3F00D 2A476481 DBF8001D 3A577491 AECB9528 9D01",
    {
        "start_seq": 0xC3A6_896C,
        "end_seq": 0xE8CB_AE91,
        "list_addr": 0x8164_472A_0DF0_D3B6,
        "count": 0xF8DB,
        "cookie": 0xCBAE_9174_573A_1D00,
        "last": 1,
        "fin": 0,
        "opcode": 0x25,
        "sq_index": 0x674A,
    },
    width=234,
)
VECTORS["tx_release"] = Image(
    "6F8CA9C6 9429629C D6104B85 BFBBF400",
    {
        "una": 0xC6A9_8C6F,
        "status": 0x94,
        "cpl": 1,
        "cookie": 0xDFC2_A588_6B4E_3114,
        "sq_index": 0x7A5D,
    },
    width=121,
)
VECTORS["tx_hdr_conn"] = Image(
    "B9D6DEFB 0320284D 6A07",
    {
        "local_port": 0xD6B9,
        "remote_port": 0xFBDE,
        "path_id": 0x2003,
        "family": 0x28,
        "flow_label": 0x7_6A4D,
    },
    width=76,
)
VECTORS["tx_hdr_path"] = Image(
    "728F97BC D9F61330 4D6A87A4 C1DEFB18 35526FE1 FE1B3855 728FACC9 E603203D 5A7794",
    {
        "neighbor_id": 0x8F72,
        "family": 0x97,
        "src_addr": 0x6F52_3518_FBDE_C1A4_876A_4D30_13F6_D9BC,
        "dst_addr": 0x9477_5A3D_2003_E6C9_AC8F_7255_381B_FEE1,
    },
    width=280,
)
VECTORS["tx_hdr_nbr"] = Image(
    "0623405D 7A972B48 65829FBC 500D",
    {
        "dl_src": 0x977A_5D40_2306,
        "dl_dst": 0xBC9F_8265_482B,
        "vlan_id": 0xD50,
    },
    width=108,
)
VECTORS["tx_barrier"] = Image(
    "9ABDE003 26496C8F 54773B02",
    {
        "cookie": 0x8F6C_4926_03E0_BD9A,
        "sq_index": 0x7754,
        "opcode": 0x3B,
        "object": 2,
    },
    width=90,
)
VECTORS["txq_segment"] = Image(
    "5127A9F9 C1936547 1496E6B8 8A5C3E0B 1DBB5EE2 A55FE386 4AE4A8ED AB6927E5 A2603EFC BB7937F5 B2702EEC AD6B29E7 "
    "A46220FE BD7B39F7 B472300E 00",
    {
        "kind": 1,
        "conn": 0x9275,
        "gen": 0x9A,
        "body": _whole("tx_segment"),
    },
    width=484,
    struct="txq",
)
VECTORS["txq_append"] = Image(
    "F2CB4DCE 96683A1C E9BA8C6E 3B0DDFA0 724416B8 8D0FD0A1 734517E9 BA5C89D2 19000000 00000000 00000000 00000000 "
    "00000000 00000000 00000000 00",
    {
        "kind": 2,
        "conn": 0xDCBF,
        "gen": 0xE4,
        "body": _whole("tx_append"),
    },
    width=484,
    struct="txq",
)
VECTORS["txq_release"] = Image(
    "9360E2F2 C6986A4C 9922C669 0DB154F8 BB4B0F00 00000000 00000000 00000000 00000000 00000000 00000000 00000000 "
    "00000000 00000000 00000000 00",
    {
        "kind": 3,
        "conn": 0x2609,
        "gen": 0x2E,
        "body": _whole("tx_release"),
    },
    width=484,
    struct="txq",
)
VECTORS["txq_fence"] = Image(
    "340587F7 C6986A4C 9922C669 0DB154F8 BB4B0F00 00000000 00000000 00000000 00000000 00000000 00000000 00000000 "
    "00000000 00000000 00000000 00",
    {
        "kind": 4,
        "conn": 0x7053,
        "gen": 0x78,
        "body": _whole("tx_release"),
    },
    width=484,
    struct="txq",
)
VECTORS["txq_hdr_conn"] = Image(
    "D5A92B9C 6BEDBD3F 0082D2A4 76000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 "
    "00000000 00000000 00000000 00",
    {
        "kind": 5,
        "conn": 0xBA9D,
        "gen": 0xC2,
        "body": _whole("tx_hdr_conn"),
    },
    width=484,
    struct="txq",
)
VECTORS["txq_hdr_path"] = Image(
    "764EC020 F778C99B 6D3F01D3 A476481A ECBD8F51 23F516EE BF815325 F7C89A6C 3E00D2A3 75470900 00000000 00000000 "
    "00000000 00000000 00000000 00",
    {
        "kind": 6,
        "conn": 0x04E7,
        "gen": 0x0C,
        "body": _whole("tx_hdr_path"),
    },
    width=484,
    struct="txq",
)
VECTORS["txq_hdr_neighbor"] = Image(
    "17E36465 3002D4A5 77B98254 26F8C90B D5000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 "
    "00000000 00000000 00000000 00",
    {
        "kind": 7,
        "conn": 0x4E31,
        "gen": 0x56,
        "body": _whole("tx_hdr_nbr"),
    },
    width=484,
    struct="txq",
)
VECTORS["txq_barrier"] = Image(
    "F83618AC D90B3E60 92C4F648 75B72300 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 "
    "00000000 00000000 00000000 00",
    {
        "kind": 8,
        "conn": 0x836F,
        "gen": 0xC1,
        "body": _whole("tx_barrier"),
    },
    width=484,
    struct="txq",
)
VECTORS["plq"] = Image(
    "EE618216 8BFF73A8 1F3CB0A4 89725B44 2D16FFCF B29B846D 563F20F1 DBC4AD96 7F604912 4143F3AA 5FC14800 62A6EA2E"
    "73B7FB3F 04080C10 14181CA0 150DAF66 B4F47400",
    {
        "op": 2,
        "conn": 0x987B,
        "gen": 0xA0,
        "arrival": 0x1CFF_E2C5,
        "offset": 0x07EA,
        "len": 0x2C0F,
        "last": 1,
        "src": 0xFFE2_C5A8_8B6E_5134,
        "dst": 0x2407_EACD_B093_7659,
        "list_data": 0x492C_0FF2_D5B8_9B7E,
        "barrier": 0,
        "cqe_valid": 1,
        "freeze_done": 0,
        "cqe": CQE,
    },
    width=542,
)
VECTORS["rec_tcp"] = Image(
    "A3C0DDFA C8E5021F D9AE2071 4315E7C8 653103D5 B6830556 28FACBAD 7A4C1EF0 CC4ECF29 67D84CC1 F96CE155 BA9F968D "
    "84FBF2E9 E0DFD6CD C4BBB2A9 A0A79E95 8C83FAF1 E8E7DED5 CCC3BAB1 A83140C4 527FAEDD 264B3475 5D9E86C7 AFE8D0B9 "
    "A213FA3A 230CF565 4C351E8F B59E8768 D9C7A891 02E9D1BA 2B127BB5 47D34667 FB6FE054 8D0075E9 2195097E B6299E12 "
    "4BBE32A7 DF52C73B 70E75BCC 0478EC60 311902EB 5B422B14 856B543D AE947D66 D7BDA68F F8E6CFB0 2108F1D9 FA39B4E6 "
    "52E44DA7 F2370D9E 260E2713 6550A4A3 A6D07F5C 0C332F8B 1224083F D22B902F 8911E818 18F8C99D 5D5D9831 957504D9 "
    "0E945DE2 E8F54EE7 81CC75F6 B6D95099 89B64601 2C6B7B1C E8658B5B 90E245F6 929B2FE0 CB15438D E927745A 9EB894B5 "
    "954EA0BC 3375F02D B852AA4E 6B739098 B5D2EF7B B5EF29C4 FF39723C 2009F262 89B29B84 6DB6895B 2D0F5C2E F0C1A370 "
    "4214F6C2 94664815 E7B83ACF 7216DA73 17BBDE1A F8D7B593 714F2D0B E9C6A482 7E5C3A16 F4D3B18F 6D4B2907 E5C2A09E "
    "7C5A383A 18F6D5B3 916F4D2B 09E7C4A2 9E7C5A36 14F2D1AF 8D6B4927 05E3C0BE 9C7A58AA C346B135 B93CBCB4 ABA2E9E6 "
    "DDD41B06 EFD7805E 20F2C395 6739DBA0 724416E8 B98B2DF3 F49430CC 27C6611D 995E954C 4339A712 7E2D878C E3A9D324 "
    "FF0DF474 D4496A7E F064D911 85A539AE 2297CF42 C7AE9778 E9D7B8A1 12396AFB 6ADA49B9 28980FFF 6EDE4DBD 2C9C0B7B "
    "EB5ACA39 A918887F EF5ECE3D AD1C8C03 A02938BC 37C65463 CA14314E 6B88A5C2 DF5D7A00 00000000 00000000 00000000 "
    "00000000 00000000 00000000 00000000 00000000 00000000 00000000 80D5AA2C 7D4F11E3 C49113E4 55668BA8 C5E2B0CD "
    "EA07D5F2 FA173451 6E8BA8C5 C90F549A E0266DB3 6B362E73 2268685E F52B1809 40CC54DD 65EE76FF 87008101 82028303 "
    "B4A2E1D5 8C969E0E 18",
    {
        "order": 0xFADD_C0A3,
        "tick": 0x1F02_E5C8,
        "kind": 9,
        "conn": 0x0AED,
        "gen": 0x12,
        "cause": 0x8E71_5437,
        "opcode": 0x5C,
        "rx": _whole("rx_seg"),
        "tcb": _whole("tcb"),
        "credits": 0x9E81,
        "verdict": 2,
        "tx0_valid": 1,
        "tx0": _whole("txq_segment"),
        "tx1_valid": 0,
        "tx1": _whole("txq_fence"),
        "dlv_valid": 1,
        "dlv": _whole("dlv_msg"),
        "cpl_valid": 0,
        "cpl": CQE,
        "img_valid": 1,
        "room": 1,
    },
    width=5445,
)
VECTORS["rec_dlv"] = Image(
    "A6C3E0FD CBE80522 0BDF50A1 734517F9 45189A6A 3C0EE0BC FE4AF165 56A8EF36 BEF13840 C73A4289 10448DD6 1D65EC1F "
    "276970B2 B9FB024A 91D81F67 EE048C69 C0BF7B37 F3AE6A26 E29D5915 D18C48C4 47C37EFA 75F16CE8 67E35EDA 55D14CC8 "
    "4BC742FE 79F570EC 6BE762DE 59D5504C F730418B C5FF39D4 0F1E58D2 44B92DA2 168BFF67 D94DC236 AB1F90F8 6DE256CB "
    "3FB02489 A0A179D5 AF602400 31537597 B9DBFD1F 02040608 0A0C0ED0 8A865733 5A7A3A00",
    {
        "order": 0xFDE0_C3A6,
        "tick": 0x2205_E8CB,
        "kind": 11,
        "conn": 0x0DF0,
        "gen": 0x15,
        "cause": 0x9174_573A,
        "opcode": 0x5F,
        "credit_ret": 0xA184,
        "consumed": 0x00E3_C6A9,
        "pool_free": 0xEBCE,
        "dcb": _whole("dcb"),
        "plq_valid": 1,
        "plq": _whole("plq"),
    },
    width=1437,
)
VECTORS["rec_rx"] = Image(
    "F3102D4A 1E464D8F D81F",
    {
        "arrival": 0x4A2D_10F3,
        "class": 2,
        "reason": 7,
        "conn": 0x3518,
        "gen": 0x3D,
        "fill": 0x7F62,
    },
    width=78,
)
VECTORS["rec_tx"] = Image(
    "1E92067B B32647BB 03",
    {
        "kind": 2,
        "order": 0xDEC1_A487,
        "conn": 0xC9AC,
        "len": 0xEED1,
    },
    width=66,
)
VECTORS["rec_cq"] = Image(
    "F61345D0 D0BCEA57 30128098 A9BACBDC EDFE0F01 02030405 06076845 C3AB192D 3D1D00",
    {
        "index": 0x13F6,
        "source": 5,
        "cqe": CQE,
    },
    width=276,
)

#: Bit of each flag.
FLAGS: tuple[tuple[str, str, int], ...] = (
    ("path_rec", "valid", 0),
    ("path_rec", "invalid", 313),
    ("nbr_rec", "valid", 0),
    ("nbr_rec", "invalid", 173),
    ("nbr_rec", "query", 174),
    ("tcb", "terminating", 14),
    ("tcb", "aborted", 15),
    ("tcb", "abort_owed", 16),
    ("tcb", "ts_en", 17),
    ("tcb", "sack_en", 18),
    ("tcb", "ws_en", 19),
    ("tcb", "fin_queued", 635),
    ("tcb", "in_recovery", 860),
    ("tcb", "rescued", 1409),
    ("tcb", "ecn_en", 1442),
    ("tcb", "ecn_ece", 1443),
    ("tcb", "ecn_cwr", 1444),
    ("tcb", "cubic_en", 1477),
    ("tcb", "partial_seen", 1729),
    ("tcb", "rtx_head", 1738),
    ("tcb", "probe_owed", 1739),
    ("tcb", "release_owed", 1740),
    ("tcb", "ack_now", 1741),
    ("tcb", "rtt_active", 1809),
    ("tcb", "rtx_on", 1874),
    ("tcb", "persist", 1875),
    ("tcb", "dack_on", 1956),
    ("tcb", "fin_rcvd", 2125),
    ("tcb", "ooo_fin", 2730),
    ("tcb", "dsack", 2763),
    ("tcb", "retrieve_sent", 2860),
    ("tcb", "invalid", 3005),
    ("tcb", "ka_on", 3070),
    ("tcb", "ka_challenge", 3103),
    ("tcb", "ka_probe_owed", 3104),
    ("tcb", "answered", 3139),
    ("tcb", "rst_challenged", 3105),
    ("tcb", "syn_challenged", 3106),
    ("cubic", "epoch", 0),
    ("cubic", "dry", 65),
    ("dcb", "loaded", 0),
    ("dcb", "hold", 9),
    ("dcb", "frozen", 10),
    ("dcb", "freeze_done", 11),
    ("dcb", "aborted", 12),
    ("dcb", "d", 13),
    ("dcb", "refused", 30),
    ("dcb", "fin_mark", 31),
    ("dcb", "fin_done", 32),
    ("dcb", "push_on", 33),
    ("rcv_req", "nopush", 96),
    ("rcv_req", "prefill", 161),
    ("rx_seg", "tagged", 144),
    ("rx_seg", "ts_present", 157),
    ("dlv_msg", "psh", 92),
    ("dlv_msg", "fin", 93),
    ("dlv_msg", "hold", 94),
    ("dlv_msg", "aborted", 95),
    ("dlv_msg", "fwd", 248),
    ("dlv_msg", "join", 316),
    ("dlv_msg", "app", 333),
    ("dlv_msg", "pre", 334),
    ("tx_segment", "ts_en", 104),
    ("tx_segment", "has_old", 188),
    ("tx_segment", "has_new", 189),
    ("tx_append", "last", 208),
    ("tx_append", "fin", 209),
    ("tx_release", "cpl", 40),
    ("plq", "last", 90),
    ("plq", "barrier", 283),
    ("plq", "cqe_valid", 284),
    ("plq", "freeze_done", 285),
    ("rec_tcp", "tx0_valid", 3869),
    ("rec_tcp", "tx1_valid", 4354),
    ("rec_tcp", "dlv_valid", 4839),
    ("rec_tcp", "cpl_valid", 5186),
    ("rec_tcp", "img_valid", 5443),
    ("rec_tcp", "room", 5444),
    ("rec_dlv", "plq_valid", 894),
)
