"""Send (section 9.5): every rule has a trace that breaks it and one that keeps it."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.send import SendFrameMonitor, SendMonitor
from tb.monitors.wire_headers import ACK, PSH, RST, SYN, URG
from tb.tests.model.contract.face_traces import (
    CONN,
    LATE,
    LATER,
    OTHER_MAC,
    OWN_MAC,
    PEER_MAC,
    SND_UNA,
    Story,
    Tales,
    done,
    nbl,
)
from tb.tests.model.contract.section_tests import FaceSection

SECTIONS: Final = (SendMonitor, SendFrameMonitor)
RULES: Final = sorted(rule for section in SECTIONS for rule in section.RULES)
TALES: Final = Tales()
breaks, keeps = TALES.breaks, TALES.keeps
DATA: Final = bytes(range(100))
MORE: Final = bytes(range(100, 200))
SECOND: Final = 31


def stamps(value: int) -> bytes:
    return b"\x01\x01" + struct.pack(">BBII", 8, 10, value, 0)


# --- submission ----------------------------------------------------------------------------------------------


@breaks("CH-097")
def _(s: Story) -> None:
    s.offload().send(1, DATA, result=ndis.SUCCESS)


@keeps("CH-097", "CH-098", "CH-099", "CH-101", "CH-102", "CH-103", "CH-104", "CH-109", "CH-111", "CH-113")
def _(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).send(2, MORE).out(100, MORE)
    s.into(ack=100).back("send", 1).into(ack=200).back("send", 2)


@breaks("CH-098")
def _(s: Story) -> None:
    s.offload().send(1, DATA).back("send", 1, status=ndis.RESOURCES)


@breaks("CH-098")
def a_send_is_aborted_on_a_running_connection(s: Story) -> None:
    s.offload().send(1, DATA).back("send", 1, status=ndis.REQUEST_ABORTED)


@breaks("CH-098")
def a_send_comes_back_for_an_upload_that_never_comes(s: Story) -> None:
    s.offload().send(1, DATA).back("send", 1, status=ndis.UPLOAD_IN_PROGRESS).wait(LATE)


@keeps("CH-098")
def the_target_gives_sends_back_just_before_it_asks_for_the_upload(s: Story) -> None:
    s.offload().send(1, DATA).back("send", 1, status=ndis.UPLOAD_IN_PROGRESS).retrieve(ndis.UPLOAD_WANTED).wait(LATE)


@breaks("CH-110")
def _(s: Story) -> None:
    s.offload()
    first = s.request(ndis.SEND, [nbl(1, DATA)])
    s.send(2, MORE).leave(first, result=ndis.PENDING)


@keeps("CH-110", "CH-112")
def _(s: Story) -> None:
    s.offload().offload(SECOND)
    first = s.request(ndis.SEND, [nbl(1, DATA)])
    s.send(2, MORE, conn=SECOND).leave(first, result=ndis.PENDING)


@keeps("CH-110")
def the_layers_of_one_send(s: Story) -> None:
    s.call("MiniportTcpOffloadReceive", result=ndis.PENDING, layer=1, target=77)
    s.offload()
    upper = s.request(ndis.SEND, [nbl(1, DATA)], layer=1)
    s.send(1, DATA).leave(upper, result=ndis.PENDING)


@breaks("CH-111")
def _(s: Story) -> None:
    s.offload().send(1, DATA).send(2, MORE, result=ndis.RESOURCES)


@breaks("CH-112")
def _(s: Story) -> None:
    s.offload().offload(SECOND)
    first = s.request(ndis.SEND, [nbl(1, DATA)])
    s.send(2, MORE, conn=SECOND, result=ndis.RESOURCES).leave(first, result=ndis.PENDING)


# --- completion ----------------------------------------------------------------------------------------------


@breaks("CH-101")
def _(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).into(ack=99).back("send", 1)


@breaks("CH-101")
def the_acknowledgment_had_a_wrong_checksum(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).into(ack=100)
    bad = s.records[-1]
    s.records[-1] = replace(bad, data=bad.data[:40] + b"\xff\xff" + bad.data[42:])  # type: ignore[attr-defined,call-arg]
    s.back("send", 1)


@keeps("CH-101")
def the_acknowledgment_came_in_before_the_hand_over(s: Story) -> None:
    s.into(ack=100).offload(chain=[nbl(1, DATA)])
    s.complete("send", done(nbl(1, DATA)))


@keeps("CH-101")
def the_acknowledgment_was_forwarded(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).forward(9, s.segment_in(ack=100)).back("send", 1)


@breaks("CH-102")
def _(s: Story) -> None:
    s.offload().send(1, DATA).send(2, MORE).out(0, DATA).out(100, MORE).into(ack=200).back("send", 2).back("send", 1)


@keeps("CH-102", "CH-108")
def the_first_lies_in_the_terminate_chain(s: Story) -> None:
    s.offload().send(1, DATA).send(2, MORE)
    tree = s.terminate()
    s.back("send", 2, status=ndis.UPLOAD_IN_PROGRESS).end(ndis.TERMINATE, tree, chain=(nbl(1, DATA),))


@breaks("CH-103")
def _(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).into(ack=100)
    s.complete("send", replace(done(s.lists[1]), transferred=99))


@breaks("CH-104")
def the_second_buffer_is_advanced_first(s: Story) -> None:
    s.offload().send(1, DATA, MORE).out(0, DATA).into(ack=100).abort()
    right = done(s.lists[1], ndis.REQUEST_ABORTED, 100)
    first, second = s.lists[1].buffers
    wrong = (first, replace(second, data_length=0, data_offset=100))
    s.complete("send", replace(right, buffers=wrong))


@breaks("CH-104")
def an_mdl_is_freed(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).into(ack=100)
    right = done(s.lists[1])
    s.complete("send", replace(right, buffers=(replace(right.buffers[0], mdls=()),)))


@breaks("CH-104")
def bytes_are_counted_that_were_not_acknowledged(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).into(ack=40).abort()
    s.back("send", 1, status=ndis.REQUEST_ABORTED, transferred=60)


@breaks("CH-104")
def no_count_is_written(s: Story) -> None:
    s.offload().send(1, DATA).abort()
    s.complete("send", replace(done(s.lists[1], ndis.REQUEST_ABORTED, 0), transferred=None))


@keeps("CH-104", "CH-105", "CH-106", "CH-107")
def vector_a6(s: Story) -> None:
    s.offload()
    half = bytes(500)
    s.leave(s.request(ndis.SEND, [nbl(1, half, half), nbl(2, half, half)]), result=ndis.PENDING)
    s.out(0, half).out(500, half).out(1000, half).into(ack=700).into(flags=RST).abort()
    first = done(s.lists[1], ndis.REQUEST_ABORTED, 700)
    assert [buffer.data_offset for buffer in first.buffers] == [500, 200]
    s.complete("send", first, done(s.lists[2], ndis.REQUEST_ABORTED, 0))


@breaks("CH-105")
def _(s: Story) -> None:
    s.offload().send(1, DATA).send(2, MORE).out(0, DATA).out(100, MORE).into(ack=200)
    s.complete("send", done(s.lists[1], ndis.FAILURE, 0), done(s.lists[2]))


@breaks("CH-105")
def data_behind_the_failed_send_go_out(s: Story) -> None:
    s.offload().send(1, DATA).send(2, MORE).out(0, DATA).back("send", 1, status=ndis.FAILURE).wait(LATER).out(100, MORE)


@breaks("CH-106")
def _(s: Story) -> None:
    s.offload().send(1, DATA).send(2, MORE).out(0, DATA).out(100, MORE).into(ack=200).abort()
    aborted = ndis.REQUEST_ABORTED
    s.complete("send", done(s.lists[1], aborted, 50), done(s.lists[2], aborted, 50))


@breaks("CH-107")
def _(s: Story) -> None:
    s.offload().send(1, DATA).into(flags=RST).abort().back("send", 1, status=ndis.UPLOAD_IN_PROGRESS)


@breaks("CH-107")
def a_send_goes_back_as_uploaded_behind_a_reset_that_is_not_told_yet(s: Story) -> None:
    s.offload().send(1, DATA).into(flags=RST).back("send", 1, status=ndis.UPLOAD_IN_PROGRESS)


@keeps("CH-107")
def a_send_is_aborted_by_a_reset_that_is_told_behind_it(s: Story) -> None:
    s.offload().send(1, DATA).into(flags=RST).back("send", 1, status=ndis.REQUEST_ABORTED).abort()


@breaks("CH-107")
def a_send_succeeds_behind_the_abort(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).into(ack=100).into(flags=RST).abort().back("send", 1)


@breaks("CH-107")
def a_send_fails_otherwise_after_an_abortive_disconnect(s: Story) -> None:
    s.offload().send(1, DATA).kill(5).reset().back("send", 1, status=ndis.FAILURE)


@keeps("CH-107")
def an_acknowledgment_overtakes_the_abortive_disconnect(s: Story) -> None:
    s.offload().send(1, DATA).send(2, MORE).out(0, DATA).into(ack=100).kill(5).reset().back("send", 1)
    s.back("send", 2, status=ndis.REQUEST_ABORTED).back("disconnect", 5)


@breaks("CH-108")
def _(s: Story) -> None:
    s.offload().send(1, DATA)
    s.terminate()
    s.back("send", 1, status=ndis.REQUEST_ABORTED)


@breaks("CH-109")
def a_list_comes_back_twice(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).into(ack=100).back("send", 1).back("send", 1)


@breaks("CH-109")
def a_list_is_lost_in_an_upload(s: Story) -> None:
    s.offload().send(1, DATA).end(ndis.TERMINATE, s.terminate())


@breaks("CH-109")
def a_list_comes_back_in_both_ways(s: Story) -> None:
    s.offload().send(1, DATA)
    tree = s.terminate()
    s.back("send", 1, status=ndis.UPLOAD_IN_PROGRESS).end(ndis.TERMINATE, tree, chain=(nbl(1, DATA),))


@keeps("CH-109")
def an_identity_is_used_again(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).into(ack=100).back("send", 1)
    s.send(1, MORE).out(100, MORE).into(ack=200).back("send", 1)


@keeps("CH-109")
def sends_of_several_calls_come_back_together(s: Story) -> None:
    s.offload().offload(SECOND).send(1, DATA).send(2, MORE, conn=SECOND).send(3, DATA)
    s.out(0, DATA).out(0, MORE, conn=SECOND).out(100, DATA)
    s.into(ack=200).into(ack=100, conn=SECOND).back("send", 1, 2, 3)


@keeps("CH-109")
def the_connection_is_offloaded_again(s: Story) -> None:
    s.offload().send(1, DATA).end(ndis.TERMINATE, s.terminate(), chain=(nbl(1, DATA),))
    tree = s.offloading(SECOND, chain=[nbl(1, DATA)])
    s.offloaded(tree).out(0, DATA, conn=SECOND).into(ack=100, conn=SECOND).back("send", 1)


# --- frames --------------------------------------------------------------------------------------------------


@breaks("CH-099")
def the_second_send_goes_first(s: Story) -> None:
    s.offload().send(1, DATA).send(2, MORE).out(0, MORE)


@breaks("CH-099")
def bytes_go_out_that_nobody_gave(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA + b"x")


@keeps("CH-099")
def a_probe_holds_a_byte_of_its_own(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).into(ack=100).back("send", 1).wait(LATER).out(99, b"?").send(2, MORE)
    s.out(100, MORE)


@keeps("CH-099")
def inherited_data_go_first(s: Story) -> None:
    s.offload(chain=[nbl(1, DATA)]).send(2, MORE).out(0, DATA + MORE)


@breaks("CH-100")
def _(s: Story) -> None:
    s.offload().send(1, DATA, MORE).out(0, MORE + DATA)


@keeps("CH-100")
def _(s: Story) -> None:
    s.offload().send(1, DATA, MORE).out(0, DATA + MORE)


@breaks("CH-113")
def _(s: Story) -> None:
    s.offload().send(1, DATA)
    s.out(0, DATA, flags=ACK, push=False)


@keeps("CH-113")
def only_the_last_segment_of_the_queue_has_it(s: Story) -> None:
    s.offload().send(1, DATA).send(2, MORE).out(0, DATA, push=False).out(100, MORE)


@breaks("CH-114")
def _(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA, flags=ACK | URG)


@breaks("CH-115")
def df_is_clear(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA, fragment=0)


@breaks("CH-115")
def a_fragment_goes_out(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA, fragment=0x6000)


@breaks("CH-116")
def _(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA, ident=0x7FFF)


@keeps("CH-114", "CH-115", "CH-116", "CH-117", "CH-119", "CH-120", "CH-121", "CH-122")
def _(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA, ident=0xFFFF).out(0, ident=0x10, raw=True, flags=SYN)


@breaks("CH-117")
def _(s: Story) -> None:
    s.offload().out(0, flags=SYN)


@breaks("CH-118")
def _(s: Story) -> None:
    s.offload().reset()


@breaks("CH-118")
def an_rst_after_the_connection_was_offloaded_again(s: Story) -> None:
    s.offload().kill(5).reset().back("disconnect", 5).end(ndis.TERMINATE, s.terminate()).wait(5)
    s.offload().reset()


@keeps("CH-118")
def _(s: Story) -> None:
    s.offload().kill(5).reset().back("disconnect", 5)


@breaks("CH-119")
def a_stamp_is_missing(s: Story) -> None:
    s.offload(const={"flags": 1}).out()


@breaks("CH-119")
def a_stamp_that_nobody_enabled(s: Story) -> None:
    s.offload().out(options=stamps(7000))


@breaks("CH-119")
def the_clock_did_not_go_on_from_ts_time(s: Story) -> None:
    s.offload(const={"flags": 1}).wait(100).out(options=stamps(7050))


@keeps("CH-119")
def the_clock_goes_on_from_ts_time(s: Story) -> None:
    s.offload(const={"flags": 1}, delegated={"ts_time": 0xFFFFFFF0}).wait(100).out(options=stamps(84))


@breaks("CH-120")
def _(s: Story) -> None:
    s.offload().out(macs=(OTHER_MAC, PEER_MAC))


@breaks("CH-120")
def dl_source_address_is_ignored(s: Story) -> None:
    s.offload(neighbor={"dl_source_address": OTHER_MAC}).out(macs=(OWN_MAC, PEER_MAC))


@keeps("CH-120")
def dl_source_address_is_used(s: Story) -> None:
    s.offload(neighbor={"dl_source_address": OTHER_MAC}).out(macs=(OTHER_MAC, PEER_MAC))


@breaks("CH-121")
def a_tag_is_missing(s: Story) -> None:
    s.offload(neighbor={"vlan_id": 5}).out()


@breaks("CH-121")
def a_tag_too_many(s: Story) -> None:
    s.offload().out(tag=0)


@breaks("CH-121")
def cfi_is_set(s: Story) -> None:
    s.offload(neighbor={"vlan_id": 5}).out(tag=0x1005)


@keeps("CH-121")
def the_table_of_5_10(s: Story) -> None:
    s.offload(neighbor={"vlan_id": 5}, cached={"user_priority": 3}).out(tag=0x6005)
    s.update(CONN, user_priority=0).out(tag=0x6005).wait(LATER).out(tag=0x0005)


@breaks("CH-122")
def remote_mss_is_exceeded(s: Story) -> None:
    s.offload().send(1, bytes(1200)).out(0, bytes(1001), push=False)


@breaks("CH-122")
def path_mtu_is_exceeded(s: Story) -> None:
    s.offload().send(1, bytes(1000)).update(20, path_mtu=600).wait(LATER).out(0, bytes(600), push=False)


@keeps("CH-122")
def an_update_of_path_mtu_is_in_progress(s: Story) -> None:
    s.offload().send(1, bytes(1200))
    tree = s.updating(20, path_mtu=600)
    s.out(0, bytes(700), push=False).end(ndis.UPDATE, tree).wait(LATER).out(700, bytes(500), flags=ACK | PSH)


# --- what the peer acknowledged -------------------------------------------------------------------------------


@breaks("CH-104")
def acknowledged_bytes_are_not_reported(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).into(ack=40).wait(5000).into(flags=RST).abort()
    s.back("send", 1, status=ndis.REQUEST_ABORTED, transferred=0)


@keeps("CH-104")
def acknowledged_bytes_are_reported(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).into(ack=40).wait(5000).into(flags=RST).abort()
    s.back("send", 1, status=ndis.REQUEST_ABORTED, transferred=40)


@breaks("CH-107")
def a_send_that_was_done_long_ago_is_aborted(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).into(ack=100).wait(300).kill(9).reset()
    s.back("send", 1, status=ndis.REQUEST_ABORTED, transferred=100)


@breaks("CH-108")
def a_send_that_was_done_long_ago_is_handed_back(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).into(ack=100).wait(300)
    s.terminate()
    s.back("send", 1, status=ndis.UPLOAD_IN_PROGRESS, transferred=100)


@breaks("CH-106")
def bytes_behind_a_list_that_is_not_whole(s: Story) -> None:
    s.offload().send(1, DATA).send(2, MORE).out(0, DATA).out(100, MORE).into(ack=200).into(flags=RST).abort()
    s.back("send", 1, status=ndis.REQUEST_ABORTED, transferred=0)
    s.back("send", 2, status=ndis.REQUEST_ABORTED, transferred=100)


@breaks("CH-104")
def what_an_upload_reports_is_not_snd_una(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).into(ack=40)
    tree = s.terminate()
    s.back("send", 1, status=ndis.UPLOAD_IN_PROGRESS, transferred=0)
    s.end(ndis.TERMINATE, tree, delegated={**s.states[CONN][2], "snd_una": (SND_UNA + 40) % (1 << 32)})


@breaks("CH-109")
def an_acknowledged_send_never_comes_back(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).into(ack=100).wait(400)


@keeps("CH-109")
def an_acknowledged_send_comes_back_soon(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).into(ack=100).wait(50).back("send", 1).wait(1000)


@breaks("CH-098")
def data_on_an_idle_connection_never_leaves(s: Story) -> None:
    s.offload().send(1, DATA).wait(1001)


class TestSend(FaceSection):
    rules = RULES
    tales = TALES
