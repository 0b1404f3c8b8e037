"""Commands that name no connection (B-1, B-2, B-10 to B-12): global parameters, paths, neighbors."""

from __future__ import annotations

from dataclasses import replace

from model.layout.generated import (
    Family,
    NbrRec,
    NeighborImage,
    Object,
    Opcode,
    ParamImage,
    Params,
    PathImage,
    PathRec,
    Sqe,
    Status,
    TxHdrNbr,
    TxHdrPath,
    TxKind,
    Txq,
)
from model.tcp.messages import complete
from model.tcp.seq import MASK
from model.tcp.types import Command, Context, StepError
from model.tcp.update import barrier

_NAMES_AN_OBJECT = frozenset((Opcode.QUERY, Opcode.INVALIDATE))
_GLOBAL = frozenset((Opcode.PARAM_WRITE, Opcode.PATH_WRITE, Opcode.NEIGHBOR_WRITE, Opcode.NEIGHBOR_ANSWER))
_UPDATE = 1
_OBJECT_MASK = 3


def object_of(sqe: Sqe) -> int:
    """What a QUERY or INVALIDATE is about (enum object; 3 is none)."""
    return sqe.flags & _OBJECT_MASK


def without_connection(sqe: Sqe) -> bool:
    """The command of tcp_engine names a path, a neighbor or nothing: its record has no TCB."""
    return sqe.opcode in _GLOBAL or (sqe.opcode in _NAMES_AN_OBJECT and object_of(sqe) != Object.CONNECTION)


def names_neighbor(sqe: Sqe) -> bool:
    """The number in ``conn`` is a neighbor's."""
    if sqe.opcode in _NAMES_AN_OBJECT:
        return object_of(sqe) == Object.NEIGHBOR
    return sqe.opcode in (Opcode.NEIGHBOR_WRITE, Opcode.NEIGHBOR_ANSWER)


def names_path(sqe: Sqe) -> bool:
    """The number in ``conn`` is a path's."""
    if sqe.opcode in _NAMES_AN_OBJECT:
        return object_of(sqe) == Object.PATH
    return sqe.opcode == Opcode.PATH_WRITE


def updates(sqe: Sqe) -> bool:
    """A PATH_WRITE or NEIGHBOR_WRITE of an object that is in use."""
    return bool(sqe.flags & _UPDATE)


def address_number(field: int, family: int) -> int:
    """The address in a 16-byte image field as a number, byte 0 the highest.

    One of IPv4 is in the first four bytes (a.b.c.d = a<<24 | ..), one of IPv6 fills the field (byte 0 in 127:120).
    """
    if family == Family.IPV6:
        return int.from_bytes(field.to_bytes(16, "little"), "big")
    return int.from_bytes((field & MASK).to_bytes(4, "little"), "big")


def on_object(c: Context, command: Command) -> None:
    """One of the commands of this page."""
    opcode, image = command.sqe.opcode, command.image
    if isinstance(image, ParamImage):
        _write_params(c, command, image)
    elif isinstance(image, PathImage):
        _write_path(c, command, image)
    elif isinstance(image, NeighborImage):
        _write_neighbor(c, command, image)
    elif opcode == Opcode.QUERY:
        _query(c, command)
    elif opcode == Opcode.INVALIDATE:
        _invalidate(c, command)
    elif opcode == Opcode.NEIGHBOR_ANSWER:
        _answered(c, command)
    else:
        raise StepError(f"opcode {opcode}: give the step the image command_decode read for it")


def _refused(c: Context, command: Command) -> None:
    c.cpl = complete(command.sqe, command.sq_index, Status.BAD_STATE)


def _known_neighbor(c: Context) -> NbrRec | None:
    return c.neighbor if c.neighbor is not None and c.neighbor.valid else None


def _known_path(c: Context) -> PathRec | None:
    return c.path if c.path is not None and c.path.valid else None


def _write_params(c: Context, command: Command, image: ParamImage) -> None:
    """B-1."""
    c.new_params = Params(
        ack_frequency=image.ack_frequency,
        delayed_ack_ticks=image.delayed_ack_ticks,
        max_retransmissions=image.max_retransmissions,
        dup_ack_threshold=image.dup_ack_threshold & 0xFF,
        push_ticks=image.push_ticks,
        rto_min=image.rto_min,
        rto_max=image.rto_max,
        rto_initial=image.rto_initial,
        nce_stale_ticks=image.nce_stale_ticks,
        ticks_per_second=image.ticks_per_second,
    )
    c.cpl = complete(command.sqe, command.sq_index, Status.OK)


def _write_path(c: Context, command: Command, image: PathImage) -> None:
    """B-2; an UPDATE leaves the path as valid as it was (CH-075)."""
    sqe, old = command.sqe, _known_path(c)
    if updates(sqe) and old is None:
        _refused(c, command)
        return
    source, destination = (address_number(field, image.family) for field in (image.src_addr, image.dst_addr))
    record = PathRec(1, image.family, image.neighbor_id, image.path_mtu, source, destination)
    if updates(sqe) and old is not None:
        record = replace(record, invalid=old.invalid)
    c.new_path = (sqe.conn, record)
    body = TxHdrPath(image.neighbor_id, image.family, source, destination).pack()
    c.tx0 = Txq(kind=TxKind.HDR_PATH, conn=sqe.conn, gen=sqe.gen, body=body)
    c.cpl = complete(sqe, command.sq_index, Status.OK)


def _write_neighbor(c: Context, command: Command, image: NeighborImage) -> None:
    """B-2; an UPDATE leaves what the device knows of the neighbor itself."""
    sqe, old = command.sqe, _known_neighbor(c)
    if updates(sqe) and old is None:
        _refused(c, command)
        return
    vlan = image.vlan_id & 0xFFF
    hrt = (c.now - image.host_reachability_delta) & MASK
    nrt = (c.now - image.nic_reachability_delta) & MASK
    record = NbrRec(1, image.dl_src, image.dl_dst, vlan, hrt, nrt)
    if updates(sqe) and old is not None:
        record = replace(record, nrt=old.nrt, invalid=old.invalid, query=old.query)
    c.new_neighbor = (sqe.conn, record)
    body = TxHdrNbr(image.dl_src, image.dl_dst, vlan).pack()
    c.tx0 = Txq(kind=TxKind.HDR_NEIGHBOR, conn=sqe.conn, gen=sqe.gen, body=body)
    c.cpl = complete(sqe, command.sq_index, Status.OK)


def _query(c: Context, command: Command) -> None:
    """B-10 of a neighbor: how long ago host and device last heard of it (CH-226), in ticks."""
    neighbor = _known_neighbor(c)
    if neighbor is None:
        _refused(c, command)
        return
    ages = {"nbytes": (c.now - neighbor.hrt) & MASK, "info": (c.now - neighbor.nrt) & MASK}
    c.cpl = replace(complete(command.sqe, command.sq_index, Status.OK), **ages)


def _invalidate(c: Context, command: Command) -> None:
    """B-11 of a path or a neighbor."""
    sqe = command.sqe
    path, neighbor = _known_path(c), _known_neighbor(c)
    if names_path(sqe) and path is not None:
        c.new_path = (sqe.conn, replace(path, invalid=1))
    elif names_neighbor(sqe) and neighbor is not None:
        c.new_neighbor = (sqe.conn, replace(neighbor, invalid=1))
    else:
        _refused(c, command)
        return
    barrier(c, command)


def _answered(c: Context, command: Command) -> None:
    """B-12: the host's answer to NEIGHBOR_QUERY."""
    sqe, neighbor = command.sqe, _known_neighbor(c)
    if neighbor is None or not neighbor.query:
        _refused(c, command)
        return
    c.new_neighbor = (sqe.conn, replace(neighbor, hrt=(c.now - sqe.arg) & MASK, query=0))
