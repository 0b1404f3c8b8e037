"""Taps at the NDIS faces and on the wire: what crosses them becomes records for the contract monitors.

Calls down are seen where NDIS makes them into a miniport (`FaceTap`, in the place of the miniport), calls up where the
miniport makes them into NDIS (the observer of its Adapter). Which record a call makes follows from the names of its
parameters as the faces of `model.ndis` declare them.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, Final, TypeAlias, cast

from model.layout.generated import Cqe, Sqe
from model.ndis.binding import Adapter
from model.ndis.calls import MiniportFace
from model.ndis.enums import NblInfo
from model.ndis.memory import HostMemory
from model.ndis.miniport import MiniportDriver
from model.ndis.netbuffer import NetBufferList, iterate
from model.ndis.offload_state import OffloadBlock, OffloadHandle, TcpDelegated, nodes_once
from model.ndis.registration import OffloadAttributes, ProviderGeneric, ProviderTcp, TcpEventHandlers
from tb.monitors.contract.everything import SECTIONS
from tb.monitors.contract.monitor import Breach, ContractMonitors
from tb.monitors.contract.trace import (
    Buffer,
    Counters,
    Enter,
    Frame,
    Leave,
    List,
    Node,
    PassedUp,
    PortEntry,
    Record,
    RegisterValue,
    Setting,
    State,
    Tree,
    Value,
)
from tb.session.contract_apart import MonitorsApart

DOWN: Final = {
    "initiate_offload": "MiniportInitiateOffload",
    "terminate_offload": "MiniportTerminateOffload",
    "update_offload": "MiniportUpdateOffload",
    "query_offload": "MiniportQueryOffload",
    "invalidate_offload": "MiniportInvalidateOffload",
    "tcp_offload_send": "MiniportTcpOffloadSend",
    "tcp_offload_receive": "MiniportTcpOffloadReceive",
    "tcp_offload_receive_return": "MiniportTcpOffloadReceiveReturn",
    "tcp_offload_disconnect": "MiniportTcpOffloadDisconnect",
    "tcp_offload_forward": "MiniportTcpOffloadForward",
    "oid_request": "MiniportOidRequest",
}
"""Calls into a miniport, by method of MiniportFace."""

RAW_INDICATE: Final = "NdisMIndicateReceiveNetBufferLists"
SET_HANDLERS: Final = "NdisSetOptionalHandlers"
INITIALIZE: Final = "MiniportInitializeEx"

PROVIDER_TYPES: Final = {ProviderGeneric: 0x8F, ProviderTcp: 0x94}
"""NDIS_OBJECT_TYPE of what a miniport registers (NDIS sheet, 3.1)."""

_WITH_DATA: Final = frozenset(
    {
        "MiniportInitiateOffload",
        "MiniportTcpOffloadSend",
        "MiniportTcpOffloadDisconnect",
        "MiniportTcpOffloadForward",
        "NdisTcpOffloadReceiveHandler",
    }
)
"""Calls whose lists hold data that their maker put there."""
_RECEIVE_COMPLETE: Final = "NdisTcpOffloadReceiveComplete"
_STATUS_INDICATION: Final = "NdisMIndicateStatusEx"


Watchers: TypeAlias = ContractMonitors | MonitorsApart
"""Who is fed: in this process, or apart."""


class Identities:
    """A number for every object, the same as long as the object exists; None for None."""

    def __init__(self) -> None:
        self._numbers: dict[int, tuple[int, object]] = {}

    def of(self, thing: object) -> int | None:
        """The number of an object; integers stand for themselves."""
        if thing is None or isinstance(thing, int):
            return thing
        known = self._numbers.get(id(thing))
        if known is None:  # the object is kept, so that no later one can have its address
            known = self._numbers[id(thing)] = (1_000_000 + len(self._numbers), thing)
        return known[0]

    def always(self, thing: object) -> int:
        """The number of an object that exists."""
        number = self.of(thing)
        if number is None:
            raise ValueError("NULL has no identity")
        return number


class ContractTap:
    """Makes the records and feeds the monitors. ``now`` gives the tick."""

    def __init__(
        self, memory: HostMemory, now: Callable[[], int], adapter: str = "nic0", watchers: Watchers | None = None
    ) -> None:
        self._watchers = watchers or ContractMonitors(SECTIONS)
        self.adapter = adapter
        self.records = 0
        #: Called with every record, beside the monitors.
        self.listeners: list[Callable[[Record], None]] = []
        #: The device's time; the host's may lag behind it while an interrupt is served.
        self.now = now
        self._memory = memory
        self._identities = Identities()
        self._calls = 0
        #: Frames on the ordinary send path, and the ticks at which the host gave them.
        self._raw: defaultdict[bytes, deque[int]] = defaultdict(deque)
        self._finished = False

    @property
    def monitors(self) -> ContractMonitors:
        """Those of this process, to be asked at any time."""
        if not isinstance(self._watchers, ContractMonitors):
            raise TypeError("the monitors of this session are in a process of their own")
        return self._watchers

    # ---- what is watched ----

    def watch(self, face: MiniportFace, layer: int = 0) -> MiniportFace:
        """Watch a miniport from now on: bind what is returned in its place. Its registration is recorded here."""
        adapter: Adapter = face.adapter
        early = [name for name, _, _ in adapter.unobserved]
        starts = early.index(next((name for name in early if name != SET_HANDLERS), early[-1])) if early else 0
        calls = Counter[str]()

        def observe(name: str, arguments: dict[str, Any], make: Callable[[], Any]) -> Any:
            calls["all"] += 1
            if calls["all"] == starts + 1:
                self._bare(INITIALIZE, layer)
            return self.up(name, layer, arguments, make)

        adapter.observe(observe)
        return cast(MiniportFace, FaceTap(self, face, layer))

    def _bare(self, name: str, layer: int) -> None:
        self._calls += 1
        self.feed(Enter(**self._place(layer), call=self._calls, function=name))
        self.feed(Leave(**self._place(layer), call=self._calls, function=name))

    def setting(self, name: str, value: Value) -> None:
        """Something the run was configured with."""
        self.feed(Setting(**self._place(0), name=name, value=value))

    def counters(self, used: dict[str, int], *, of_device: bool = False) -> None:
        """What is in use in the target now, by the driver's books or in the tables ``of_device``."""
        self.feed(Counters(**self._place(0), used=used, of_device=of_device))

    def watch_rings(self, driver: MiniportDriver) -> None:
        """Record the entries of the device's rings, and registers that are read."""

        def seen(entry: Sqe | Cqe, submission: bool) -> None:
            fields = {field.name: int(getattr(entry, field.name)) for field in dataclasses.fields(entry)}
            owner = self._identities.of(driver.handle_at(entry.conn))
            self.feed(PortEntry(**self._place(0), submission=submission, entry=fields, owner=owner))

        def read(offset: int, value: int) -> None:
            self.feed(RegisterValue(**self._place(0), offset=offset, value=value))

        driver.watch_rings(lambda entry: seen(entry, True), lambda entry: seen(entry, False))
        driver.watch_registers(read)
        driver.watch_shortages(lambda handle: self.setting("allocation_failed", self._identities.of(handle)))

    def sent(self, frame: bytes, tick: int) -> None:
        """The target sent a frame."""
        waiting = self._raw.get(frame)
        given = waiting.popleft() if waiting else None
        if not waiting:
            self._raw.pop(frame, None)
        self.feed(Frame(**self._place(0, tick), sent=True, data=frame, raw=given is not None, given=given))

    def received(self, frame: bytes, tick: int) -> None:
        """A frame entered the target."""
        self.feed(Frame(**self._place(0, tick), data=frame))

    def passed_up(self, frame: bytes) -> None:
        """The target indicated a received frame on the ordinary path."""
        self.feed(PassedUp(**self._place(0), data=frame))

    def given_to_send(self, frame: bytes) -> None:
        """The host gave a frame to the ordinary send path."""
        self._raw[frame].append(self.now())

    def result(self) -> dict[str, Any]:
        """What the plan wants to know of the run: triggers by rule, those at the device, both by chapter; breaches."""
        breaches = [str(breach) for breach in self.verdict()]
        monitors = self._watchers
        return {
            "triggers": dict(sorted(monitors.triggers.items())),
            "at_device": {rule: count for rule, count in sorted(monitors.at_device.items()) if count},
            "breaches": breaches,
            "chapters": {
                chapter: {"triggers": dict(triggers), "at_device": dict(at_device)}
                for chapter, (triggers, at_device) in sorted(monitors.chapters.items())
            },
        }

    def verdict(self) -> list[Breach]:
        """The run is over: everything that did not hold, in order."""
        if not self._finished:
            self._finished = True
            self.setting("end", self.now())
            self._watchers.finish()
        return self._watchers.breaches

    def feed(self, record: Record) -> None:
        """A record, made here or outside."""
        self.records += 1
        self._watchers.feed(record)
        for listener in self.listeners:
            listener(record)

    # ---- calls ----

    def up(self, name: str, layer: int, arguments: dict[str, Any], make: Callable[[], Any]) -> Any:
        """A call of a miniport into NDIS."""
        if name == RAW_INDICATE:
            if layer == 0:
                self.passed_up(arguments["frame"])
            return make()
        return self.call(name, layer, arguments, make)

    def call(self, name: str, layer: int, arguments: dict[str, Any], make: Callable[[], Any]) -> Any:
        """Record a call, make it, record its return."""
        self._calls += 1
        number = self._calls
        nbl, root = arguments.get("nbl"), arguments.get("root", arguments.get("block_list", arguments.get("block")))
        target = next((arguments[n] for n in ("context", "offload_handle", "handle") if n in arguments), None)
        request, code = arguments.get("request"), arguments.get("code")
        is_status = name == _STATUS_INDICATION
        flags = int(request.set) if request is not None else _number(arguments.get("flags"))
        self.feed(
            Enter(
                **self._place(layer), call=number, function=name, target=self._identities.of(target),
                lists=self._lists(nbl, name), tree=self._tree(root, name), flags=flags,
                status=_status(code if is_status else arguments.get("status")),
                event=_number(arguments.get("event", None if is_status else code)), info=_number(arguments.get("info")),
                oid=_number(getattr(request, "oid", None)), buffer=_payload(arguments),
            )
        )  # fmt: skip
        answer = make()
        result, consumed = _answer(answer)
        self.feed(
            Leave(
                **self._place(layer), call=number, function=name, result=result, consumed=consumed,
                lists=self._lists(nbl, name), tree=self._tree(root, name), buffer=_payload(arguments, answer),
            )
        )  # fmt: skip
        return answer

    def _place(self, layer: int, tick: int | None = None) -> dict[str, Any]:
        now = self.now() if tick is None else tick
        return {"order": self.records, "tick": now, "adapter": self.adapter, "layer": layer}

    # ---- values ----

    def _lists(self, head: NetBufferList | None, function: str) -> tuple[List, ...]:
        return tuple(self._list(nbl, function) for nbl in iterate(head))

    def _list(self, nbl: NetBufferList, function: str = "") -> List:
        transferred = nbl.info.get(NblInfo.TCP_OFFLOAD_BYTES_TRANSFERRED)
        number = self._identities.always
        buffers = tuple(
            Buffer(
                number(nb), nb.data_length, nb.data_offset, tuple((number(m), m.byte_count) for m in nb.mdl_chain)
            )
            for nb in nbl.net_buffers
        )  # fmt: skip
        data = b""
        if function in _WITH_DATA:
            data = b"".join(self._memory.read(addr, length) for addr, length in nbl.elements())
        elif function == _RECEIVE_COMPLETE and transferred:
            data = self._placed(nbl, transferred)
        return List(
            number(nbl), buffers, _status(nbl.status), transferred, nbl.no_push,
            nbl.info.get(NblInfo.TCP_RECEIVE_BYTES_TRANSFERRED, 0), self._identities.of(nbl.source_handle), data,
        )  # fmt: skip

    def _placed(self, nbl: NetBufferList, count: int) -> bytes:
        """The bytes in front of the data start, which the target placed."""
        (buffer,) = nbl.net_buffers
        before = max(0, buffer.data_offset - count)
        return b"".join(self._memory.read(a, n) for a, n in buffer.elements(before, buffer.data_offset - before))

    def _tree(self, root: OffloadBlock | None, function: str) -> Tree | None:
        if root is None:
            return None
        nodes = [self._node(block, function) for block in nodes_once(root)]
        return Tree(self._identities.always(root), {node.ident: node for node in nodes})

    def _node(self, block: OffloadBlock, function: str) -> Node:
        of = self._identities.of
        location = block.miniport_offload_context
        delegated = block.delegated
        chain = tuple(self._list(nbl, function) for nbl in iterate(block.net_buffer_list_chain))
        tcp = delegated if isinstance(delegated, TcpDelegated) else None
        ends = (None, None) if tcp is None else (of(tcp.send_data_head), of(tcp.send_data_tail))
        held = iterate(None if tcp is None else tcp.buffered_data)
        buffered = tuple(self._list(nbl, "NdisTcpOffloadReceiveHandler") for nbl in held)
        reserved = (*block.ndis_reserved, *block.protocol_reserved, *block.im_reserved, block.source_handle)
        return Node(
            self._identities.always(block), int(block.type), of(location),
            location.miniport_offload_context if isinstance(location, OffloadHandle) else None,
            of(block.ndis_offload_handle), of(block.next_block), of(block.dependent_block_list), _status(block.status),
            block.port_number, tuple(of(entry) for entry in reserved), _state(block.const), _state(block.cached),
            _state(delegated), chain, ends, buffered,
        )  # fmt: skip


class FaceTap:
    """Stands for a miniport: calls of the chimney are recorded, every other attribute is the miniport's own."""

    def __init__(self, tap: ContractTap, inner: MiniportFace, layer: int) -> None:
        self._tap, self._inner, self._layer = tap, inner, layer
        self._parameters = {
            method: list(inspect.signature(getattr(MiniportFace, method)).parameters)[1:] for method in DOWN
        }

    def __getattr__(self, method: str) -> Any:
        inner = getattr(self._inner, method)
        if method == "send_raw" and self._layer == 0:

            def send_raw(adapter_context: object, frame: bytes) -> None:
                self._tap.given_to_send(frame)
                inner(adapter_context, frame)

            return send_raw
        if method not in DOWN:
            return inner

        def tapped(*values: Any) -> Any:
            arguments = dict(zip(self._parameters[method], values, strict=True))
            return self._tap.call(DOWN[method], self._layer, arguments, lambda: inner(*values))

        return tapped


def _number(value: Any) -> int:
    return 0 if value is None else int(value)


def _status(value: Any) -> int | None:
    return None if value is None else int(value)


def _answer(answer: Any) -> tuple[int | None, int | None]:
    """Status and BytesConsumed of what a call returned."""
    if not isinstance(answer, tuple):
        return _status(answer), None
    status, second = answer
    return _status(status), second if isinstance(second, int) else None


def _payload(arguments: dict[str, Any], answer: Any = None) -> dict[str, Value]:
    """What a call carries beside lists and trees, by field name."""
    request = arguments.get("request")
    payload = arguments.get("buffer", request.buffer if request is not None else None)
    characteristics, attributes = arguments.get("characteristics"), arguments.get("attributes")
    if isinstance(attributes, OffloadAttributes):
        return {
            f"{entry.name}.{name}": value
            for entry in dataclasses.fields(attributes)
            if dataclasses.is_dataclass(structure := getattr(attributes, entry.name))
            for name, value in _fields(structure).items()
        }
    if characteristics is not None:
        return {"type": PROVIDER_TYPES[type(characteristics)]}
    if "chimney_type" in arguments:
        table = answer[1] if isinstance(answer, tuple) else None
        if isinstance(table, TcpEventHandlers):
            return {"type": int(table.type), "revision": table.revision, "size": table.size}
        return {} if answer is not None else {"chimney_type": int(arguments["chimney_type"])}
    return _fields(payload)


def _fields(payload: Any) -> dict[str, Value]:
    """Variables of a structure; a bare value stands under ``value``."""
    if payload is None:
        return {}
    if not dataclasses.is_dataclass(payload):
        return {"value": int(payload)}
    names = {"capacity": "tcp_connection_offload_capacity"}
    return {names.get(name, name): value for name, value in _variables(payload)}


def _state(structure: object) -> State | None:
    return None if structure is None else dict(_variables(structure))


def _variables(structure: Any, prefix: str = "") -> Iterator[tuple[str, Value]]:
    """Names and values of a state structure, nested structures flattened (``retransmit_count``)."""
    for entry in dataclasses.fields(structure):
        value = getattr(structure, entry.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, NetBufferList):
            yield from _variables(value, f"{prefix}{entry.name}_")
        elif isinstance(value, Enum | int):
            yield prefix + entry.name, int(cast(Any, value))
        elif isinstance(value, bytes):
            yield prefix + entry.name, value
