"""Section 9.3, refusals: values of a new offload that the target must refuse, or must not.

Settings, each optional: ``max_initial_rcv_wnd`` and ``max_path_mtu`` of the target in bytes (without them a refusal
is compared with what was accepted), ``source_macs`` that it can take besides its own ``interface_mac``,
``interface_vlans`` as one number or as bytes of 16-bit numbers (OID_GEN_VLAN_ID sets them, too).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.initiate_walk import Walked
from tb.monitors.contract.offload_books import Face, Offloaded, level_of, mac, number
from tb.monitors.contract.offload_monitor import BookMonitor
from tb.monitors.contract.trace import Enter, Frame, Node, Record

_HW_ADDRESS_ENTRIES: Final = 0xC0231008
_VLAN_ENTRIES: Final = 0xC0231009
_RCV_WINDOW: Final = 0xC023100C
_VLAN_MISMATCH: Final = 0xC023100D
_EXHAUSTED: Final = frozenset({ndis.RESOURCES, *range(0xC0231004, 0xC023100C)})
"""Want of resources of any kind: a node may lack them besides its own fault."""
_OID_VLAN_ID: Final = 0x0001021C
_VLAN_BITS: Final = 0xFFF


class InitiateRefusals(BookMonitor):
    """Values that the target must, or must not, refuse."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-061": "an InitialRcvWnd above the maximum, and no other, is refused OFFLOAD_TCP_RCV_WINDOW",
        "CH-062": "a DlSourceAddress is used, or refused OFFLOAD_HW_ADDRESS_ENTRIES",
        "CH-063": "a VlanId that is none of the interface's is refused OFFLOAD_VLAN_MISMATCH",
        "CH-064": "a VlanId of zero is no reason to refuse",
        "CH-065": "a PathMtu above the maximum, and no other, is refused OFFLOAD_PATH_MTU, or FAILURE (G-13)",
    }

    def __init__(self) -> None:
        super().__init__()
        self._accepted: dict[tuple[Face, str], int] = {}
        """Largest value that was accepted."""
        self._refused: dict[tuple[Face, str], int] = {}
        """Smallest value that was refused."""
        self._vlans: dict[str, frozenset[int]] = {}

    def see(self, face: Face, record: Record) -> None:
        """Look at completed initiates, and at the source addresses of frames."""
        if face.layer != 0:
            return
        if isinstance(record, Enter):
            if record.function == ndis.INITIATED and record.tree is not None:
                call = face.state_call(record)
                if call is not None:
                    self._judge(face, Walked(call, record.tree))
            elif record.function == ndis.OID and record.oid == _OID_VLAN_ID and record.flags & 1:
                ids = {value for value in record.buffer.values() if isinstance(value, int) and value}
                self._vlans[record.adapter] = frozenset(ids)
        elif isinstance(record, Frame) and record.sent and not record.raw:
            found = face.of_frame(record)
            if found is not None and found[0].live:
                self._source(found[0], record.data)

    def _judge(self, face: Face, walked: Walked) -> None:
        for node, _ in walked.nodes:
            if not walked.attempted(node):
                continue
            status, level = walked.status(node) or 0, level_of(node)
            if level == ndis.TCP_LEVEL:
                wnd = number(node.cached, "initial_rcv_wnd")
                self._limit(face, "CH-061", "max_initial_rcv_wnd", wnd, status, frozenset({_RCV_WINDOW}))
            elif level == ndis.PATH_LEVEL:
                mtu = number(node.cached, "path_mtu")
                self._limit(face, "CH-065", "max_path_mtu", mtu, status, frozenset({ndis.PATH_MTU, ndis.FAILURE}))
            elif level == ndis.NEIGHBOR_LEVEL:
                self._address(face, node, status)
                self._vlan(face, node, status)

    def _limit(self, face: Face, rule: str, name: str, value: int, status: int, codes: frozenset[int]) -> None:
        code = max(codes - {ndis.FAILURE})
        refused, accepted = status == code, status in ndis.OFFLOADED
        limit = face.settings.get(name)
        key = (face, name)
        if isinstance(limit, int):
            if value > limit:
                right = status in codes or status in _EXHAUSTED
                self.check(rule, right, f"{value} is above the maximum {limit} and ends {status:#x}")
            elif refused:
                self.breach(rule, f"{value} is refused, the maximum is {limit}")
        elif refused:
            text = f"{value} is refused, {self._accepted.get(key)} was accepted"
            self.check(rule, value > self._accepted.get(key, -1), text)
            self._refused[key] = min(value, self._refused.get(key, value))
        elif accepted:
            if key in self._refused:
                text = f"{value} is accepted, {self._refused[key]} was refused"
                self.check(rule, value < self._refused[key], text)
            self._accepted[key] = max(value, self._accepted.get(key, 0))

    def _address(self, face: Face, node: Node, status: int) -> None:
        address, room = mac(node.const, "dl_source_address"), face.settings.get("source_macs")
        refused = status == _HW_ADDRESS_ENTRIES
        if not any(address):
            if refused:
                self.breach("CH-062", f"neighbor {node.ident} has no DlSourceAddress and is refused for it")
        elif refused:
            self.trigger("CH-062")
        elif room == 0 and address != face.settings.get("interface_mac"):
            right = status in _EXHAUSTED
            self.check("CH-062", right, f"DlSourceAddress {address.hex(':')} is unsupported and ends {status:#x}")

    def _source(self, connection: Offloaded, frame: bytes) -> None:
        path = connection.parent
        hops = [] if path is None else [hop for hop in (path.parent, *path.links) if hop is not None]
        given = [mac(hop.const, "dl_source_address") for hop in hops]
        if given and all(any(address) for address in given):
            self.check(
                "CH-062", frame[6:12] in given, f"accepted source address, but a frame has {frame[6:12].hex(':')}"
            )

    def _interface_vlans(self, face: Face) -> frozenset[int] | None:
        value = face.settings.get("interface_vlans")
        if face.adapter in self._vlans or value is None:
            return self._vlans.get(face.adapter)
        if isinstance(value, int):
            return frozenset({value} - {0})
        return frozenset(int.from_bytes(value[at : at + 2], "big") for at in range(0, len(value), 2)) - {0}

    def _vlan(self, face: Face, node: Node, status: int) -> None:
        vlan, own = number(node.const, "vlan_id") & _VLAN_BITS, self._interface_vlans(face)
        if vlan == 0:
            refused = status in (_VLAN_MISMATCH, _VLAN_ENTRIES)
            self.check("CH-064", not refused, f"neighbor {node.ident} without VlanId ends {status:#x}")
        elif own and vlan not in own:
            right = status == _VLAN_MISMATCH or status in _EXHAUSTED
            self.check("CH-063", right, f"VlanId {vlan} is not of the interface {sorted(own)} and ends {status:#x}")
        elif own is not None and status == _VLAN_MISMATCH:
            self.breach("CH-063", f"VlanId {vlan} is refused, the interface has {sorted(own) or 'none'}")
