"""The follower and the wire: check 2, records of frames sent, verdicts on frames received."""

from __future__ import annotations

from model.device.core import RAW_LOST, RxFrame
from model.device.decode import Decoded
from model.device.divergence import Halt, first_difference
from model.device.follow_completions import FollowCompletions
from model.device.follow_state import Released
from model.device.report import frame_difference
from model.device.rxparse import Parsed, parse
from model.device.txpath import TxFrame
from model.layout.generated import (
    CqSource,
    Csr,
    Object,
    RecRx,
    RecTx,
    RxClass,
    RxReason,
    TxKind,
    TxRecKind,
    TxRelease,
)
from model.tcp.seq import MASK


class FollowWire(FollowCompletions):
    """Frames in both directions."""

    def _raw_send(self, decoded: Decoded) -> None:
        data = self.core.raw_frame(decoded)
        self._raw_records.append((self._raw_sent, decoded.sqe.length, data is not None))
        self._raw_sent += 1
        if data is not None:
            self._raw_frames.append(data)
        self._collect(CqSource.RAW_TX)

    def _transmit(self) -> None:
        item = self.core.txq[0]
        entries = self.core.txpath.entries(item.conn)
        effect = self.core.execute_txq()
        if effect.frame is not None:
            self._tx_issued += 1
            self._tx_records.append(effect.frame)
            self.live.begin("wire", effect.frame.order, self._cycle)
            if effect.frame.data is not None:
                self._frames.append(effect.frame)
        early = self.config.tx_slots
        rst = item.kind == TxKind.RELEASE and TxRelease.unpack(item.body).cpl
        if item.kind == TxKind.FENCE or rst:
            early = 0  # every earlier frame is out; so is the RST of an abortive disconnect (CH-184)
        self._collect(CqSource.SEND, need=max(self._tx_issued - early, 0))
        popped = entries - self.core.txpath.entries(item.conn)
        if popped > 0:
            self._released.append(Released(self._tx_issued, item.conn, popped, self._numbers[CqSource.SEND]))
            self._unproven[item.conn] += popped

    def _barrier(self, barred: tuple[Object, int]) -> None:
        """An INVALIDATE took effect: frames of its object that have not begun are not sent."""
        found = frozenset(f.order for f in self._tx_records if barred in f.objects)
        self._barred |= found
        self._barriers.append(found)
        self._collect(CqSource.INVALIDATE)

    def _frame_out(self, frame: bytes) -> None:
        self.frames_compared += 1
        if self._raw_frames and self._raw_frames[0] == frame:
            self._raw_frames.popleft()
            return
        while self._frames and self._frames[0].order in self._barred and self._frames[0].data != frame:
            self._mute.add(self._frames.popleft().order)  # its record must say that it was discarded
        if self._frames and self._frames[0].data == frame:
            self._frames.popleft()
            return
        self.frames_compared -= 1
        if self._frames and self._frames[0].data is not None:
            golden = self._frames[0]
            field, e, g = frame_difference(self._frames[0].data, frame)
            raise Halt(
                self._finding(
                    2,
                    "wire",
                    field,
                    e,
                    g,
                    "M3, G-3, G-4: the frame of a SEGMENT",
                    conn=golden.conn,
                    event=f"SEGMENT {golden.order}",
                    order=golden.order,
                    frame=frame,
                )
            )
        expected = "no frame" if not self._raw_frames else "the next raw frame"
        raise Halt(self._finding(2, "wire", "frame", expected, f"{len(frame)} bytes", "M3", frame=frame))

    def _tx(self, rec: RecTx) -> None:
        if rec.kind == TxRecKind.RAW or (rec.kind == TxRecKind.DISCARDED and rec.conn == RAW_LOST):
            self._raw_tx(rec)
            return
        if not self._tx_records:
            raise self._not_due("tx", "SEGMENT", rec.conn, "no SEGMENT is under way", f"order {rec.order}", "order")
        frame = self._tx_records.popleft()
        kind = TxRecKind.SEGMENT if frame.data is not None else TxRecKind.DISCARDED
        if frame.data is not None and frame.order in self._barred:
            kind = self._barred_frame(frame, TxRecKind(rec.kind))
        expected = RecTx(kind, frame.order & MASK, frame.conn, frame.length)
        if expected != rec:
            name, e, g = first_difference(RecTx, expected.pack(), rec.pack())
            raise self._not_due("tx", f"SEGMENT {frame.order}", frame.conn, str(e), str(g), name)
        self.live.end("wire", frame.order, self._cycle)
        self._tx_seen += 1
        self._prove()

    def _barred_frame(self, frame: TxFrame, seen: TxRecKind) -> TxRecKind:
        """A frame that an INVALIDATE may have kept back: the device's word, but where it is known already."""
        self._barred.discard(frame.order)
        must = frame.order in self._mute
        self._mute.discard(frame.order)
        left = not must and frame not in self._frames
        if left or (not must and seen == TxRecKind.SEGMENT):
            return TxRecKind.SEGMENT
        self.core.regs.count(Csr.CNT_TX_SEGMENTS, -1)
        self.core.regs.count(Csr.CNT_TX_DISCARDED)
        self.core.statistics.kept_back(frame)
        if frame in self._frames:
            self._frames.remove(frame)
        return TxRecKind.DISCARDED

    def _raw_tx(self, rec: RecTx) -> None:
        if not self._raw_records:
            raise self._not_due("tx", "RAW_SEND", None, "no RAW_SEND is under way", f"order {rec.order}", "order")
        order, length, sent = self._raw_records.popleft()
        kind = TxRecKind.RAW if sent else TxRecKind.DISCARDED
        expected = RecTx(kind, order, 0 if sent else RAW_LOST, length)
        if expected != rec:
            name, e, g = first_difference(RecTx, expected.pack(), rec.pack())
            raise self._not_due("tx", f"RAW_SEND {order}", None, str(e), str(g), name)

    def _rx(self, rec: RecRx) -> None:
        if not self._entered:
            raise self._not_due("rx", "frame", None, "no frame entered", f"arrival {rec.arrival}", "arrival")
        arrival, data, entered = self._entered.popleft()
        self.live.end("frame", arrival, self._cycle)
        parsed = parse(data)
        beats = -(-len(data) // self.config.lanes)
        self._space.look(self.core.by_arrival, self._placed.finished, self._raw_placed.finished, entered, self._cycle)
        expected = self._verdict(rec, arrival, beats, parsed, entered)
        if (rec.arrival, rec.class_, rec.reason, rec.conn, rec.gen) != (
            expected.arrival,
            expected.class_,
            expected.reason,
            expected.conn,
            expected.gen,
        ):
            name, e, g = first_difference(RecRx, expected.pack(), rec.pack())
            rule = "docs/contract/blocks.md: verdicts of rx_parser"
            raise Halt(
                self._finding(
                    5, "rx", name, str(e), str(g), rule, conn=expected.conn, event="frame", order=arrival, frame=data
                )
            )
        if rec.reason != RxReason.DISABLED and not self._space.legal_fill(rec.fill, beats):
            allowed = f"{self._space.sure} to {self._space.most} beats, and {beats} of its own"
            raise self._not_due("rx", "frame", expected.conn, allowed, f"{rec.fill} beats", "fill")
        self.core.count_verdict(RxClass(rec.class_), RxReason(rec.reason))
        if rec.class_ == RxClass.DROP:
            if rec.reason == RxReason.NO_SPACE:
                self.frames_without_room.append(arrival)
            return
        self._space.accepted(arrival, beats)
        raw = rec.class_ == RxClass.RAW
        frame = RxFrame(arrival, data, RxClass(rec.class_), parsed.segment, rec.conn, rec.gen, final=raw, raw=raw)
        self.core.frames.append(frame)
        self.core.by_arrival[arrival] = frame
        if raw:
            self._retire()
        else:
            self._segments.append(frame)
            self.live.begin("segment", arrival, self._cycle)

    def _verdict(self, rec: RecRx, arrival: int, beats: int, parsed: Parsed, entered: int) -> RecRx:
        """The record this frame must have; where the device may choose, its own choice if that was legal."""
        if rec.reason == RxReason.DISABLED and not self._running():
            return RecRx(arrival, RxClass.DROP, RxReason.DISABLED, 0, 0, rec.fill)
        chosen = rec.reason == RxReason.NO_SPACE and self._space.may_lack(beats)
        if parsed.reason != RxReason.TOO_LONG and (chosen or self._space.must_lack(beats)):
            return RecRx(arrival, RxClass.DROP, RxReason.NO_SPACE, 0, 0, rec.fill)
        if parsed.segment is None:
            return RecRx(arrival, parsed.class_, parsed.reason, 0, 0, rec.fill)
        key = parsed.segment.key
        miss = RecRx(arrival, RxClass.RAW, RxReason.NOT_OFFLOADED, 0, 0, rec.fill)
        must = self._lookup.must_hit(key, entered, self._cycle)
        if rec.class_ == RxClass.SEGMENT and self._lookup.can_hit(key, rec.conn, rec.gen, entered, self._cycle):
            return RecRx(arrival, RxClass.SEGMENT, RxReason.NONE, rec.conn, rec.gen, rec.fill)
        if must is None or (must in self.core.fence_tx and must in self.core.fence_dlv):
            return miss
        return RecRx(arrival, RxClass.SEGMENT, RxReason.NONE, must[0], must[1], rec.fill)

    def _running(self) -> bool:
        """Enabled for long enough that a frame is surely taken: some command was carried out."""
        return self.core.regs.enabled and self.commits_compared > 0
