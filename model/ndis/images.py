"""NDIS state structures to device images and back, and the statuses of both sides.

NDIS structures keep ports in network byte order (G-10) and pointers; device images hold numbers only
(docs/layout.md).
"""

from __future__ import annotations

from dataclasses import replace

from model.layout.generated import (
    CachedImage,
    DelegatedImage,
    Family,
    NeighborImage,
    ParamImage,
    PathImage,
    Status,
    TcpImage,
)
from model.ndis.enums import TcpCachedFlags, TcpConnectionState, TcpConstFlags
from model.ndis.offload_state import (
    KeepAlive,
    NeighborCached,
    NeighborConst,
    NeighborDelegated,
    PathCached,
    PathConst,
    Retransmit,
    TcpCached,
    TcpConst,
    TcpDelegated,
    structure_port,
)
from model.ndis.registration import TcpConnectionOffloadParameters
from model.ndis.status import CompletionKind, NdisStatus

#: Device status of INITIATE, PATH_WRITE, NEIGHBOR_WRITE; what is not here is FAILURE.
_INITIATE = {
    Status.OK: NdisStatus.SUCCESS,
    Status.NO_RESOURCES: NdisStatus.RESOURCES,
    Status.TABLE_FULL: NdisStatus.OFFLOAD_TCP_ENTRIES,
    Status.RCV_WINDOW: NdisStatus.OFFLOAD_TCP_RCV_WINDOW,
    Status.PATH_MTU: NdisStatus.OFFLOAD_PATH_MTU,
}
_FORWARD = {
    Status.OK: NdisStatus.SUCCESS,
    Status.BAD_LENGTH: NdisStatus.SUCCESS,
    Status.BAD_IMAGE: NdisStatus.SUCCESS,
    Status.ABORTED: NdisStatus.REQUEST_ABORTED,
}
_IO = {
    Status.OK: NdisStatus.SUCCESS,
    Status.UPLOAD: NdisStatus.UPLOAD_IN_PROGRESS,
}


def initiate_status(status: int) -> NdisStatus:
    """NDIS status of an initiate node for a device status."""
    return next((ndis for device, ndis in _INITIATE.items() if device == status), NdisStatus.FAILURE)


def io_status(kind: CompletionKind, status: int) -> NdisStatus:
    """NDIS status of a send, receive or disconnect; device refusals count as an abort (table 4.2)."""
    if kind is CompletionKind.RECEIVE and status == Status.INVALID_STATE:
        return NdisStatus.INVALID_STATE
    return _IO.get(Status(status), NdisStatus.REQUEST_ABORTED)


def forward_status(status: int) -> NdisStatus:
    """NDIS status of a forward; a segment too damaged to be looked at is dropped like one from the wire."""
    return _FORWARD.get(Status(status), NdisStatus.UPLOAD_IN_PROGRESS)


def _little(data: bytes, size: int) -> int:
    """Bytes that keep their memory order in a little-endian image, zero-filled to ``size``."""
    return int.from_bytes(data[:size].ljust(size, b"\0"), "little")


def neighbor_image(const: NeighborConst, cached: NeighborCached, delegated: NeighborDelegated) -> bytes:
    """NEIGHBOR_WRITE image."""
    return NeighborImage(
        dl_src=_little(const.dl_source_address, 6),
        vlan_id=const.vlan_id,
        dl_dst=_little(cached.dl_destination_address, 6),
        host_reachability_delta=cached.host_reachability_delta,
        nic_reachability_delta=delegated.nic_reachability_delta,
    ).to_bytes()


def family_of(const: PathConst) -> int:
    """Version of IP of a path, which its addresses tell."""
    return Family.IPV4 if len(const.source_address) == 4 else Family.IPV6


def path_image(const: PathConst, cached: PathCached, neighbor_id: int) -> bytes:
    """PATH_WRITE image."""
    return PathImage(
        family=family_of(const),
        neighbor_id=neighbor_id,
        path_mtu=cached.path_mtu,
        src_addr=_little(const.source_address, 16),
        dst_addr=_little(const.destination_address, 16),
    ).to_bytes()


def tcp_image(const: TcpConst, cached: TcpCached, delegated: TcpDelegated, path_id: int, family: int) -> bytes:
    """INITIATE image."""
    return TcpImage(
        family=family,
        const_flags=int(const.flags),
        remote_port=structure_port(const.remote_port),
        local_port=structure_port(const.local_port),
        snd_wind_scale=const.snd_wind_scale,
        rcv_wind_scale=const.rcv_wind_scale,
        remote_mss=const.remote_mss,
        hash_value=const.hash_value,
        path_id=path_id,
        cached_flags=int(cached.flags),
        initial_rcv_wnd=cached.initial_rcv_wnd,
        rcv_indication_size=cached.rcv_indication_size,
        ka_probe_count=cached.ka_probe_count,
        ka_timeout=cached.ka_timeout,
        ka_interval=cached.ka_interval,
        max_rt=cached.max_rt,
        flow_label=cached.flow_label,
        ttl=cached.ttl_or_hop_limit,
        tos=cached.tos_or_traffic_class,
        user_priority=cached.user_priority,
        state=int(delegated.state),
        dlg_flags=delegated.flags,
        rcv_nxt=delegated.rcv_nxt,
        rcv_wnd=delegated.rcv_wnd,
        snd_una=delegated.snd_una,
        snd_nxt=delegated.snd_nxt,
        snd_max=delegated.snd_max,
        snd_wnd=delegated.snd_wnd,
        max_snd_wnd=delegated.max_snd_wnd,
        snd_wl1=delegated.send_wl1,
        cwnd=delegated.c_wnd,
        ssthresh=delegated.ss_thresh,
        srtt=delegated.s_rtt,
        rttvar=delegated.rtt_var,
        ts_recent=delegated.ts_recent,
        ts_recent_age=delegated.ts_recent_age,
        ts_time=delegated.ts_time,
        total_rt=delegated.total_rt,
        dup_ack_count=delegated.dup_ack_count,
        snd_wnd_probe_count=delegated.snd_wnd_probe_count,
        ka_probes_sent=delegated.keep_alive.probe_count,
        rtx_count=delegated.retransmit.count,
        ka_timeout_delta=delegated.keep_alive.timeout_delta,
        rtx_timeout_delta=delegated.retransmit.timeout_delta,
        send_backlog_size=delegated.send_backlog_size,
        receive_backlog_size=delegated.receive_backlog_size,
        dwnd=delegated.d_wnd,
    ).to_bytes()


def cached_image(cached: TcpCached) -> bytes:
    """UPDATE image."""
    return CachedImage(
        cached_flags=int(cached.flags),
        initial_rcv_wnd=cached.initial_rcv_wnd,
        rcv_indication_size=cached.rcv_indication_size,
        ka_probe_count=cached.ka_probe_count,
        ka_timeout=cached.ka_timeout,
        ka_interval=cached.ka_interval,
        max_rt=cached.max_rt,
        flow_label=cached.flow_label,
        ttl=cached.ttl_or_hop_limit,
        tos=cached.tos_or_traffic_class,
        user_priority=cached.user_priority,
    ).to_bytes()


def tcp_state(raw: bytes) -> tuple[TcpConst, TcpCached, TcpDelegated]:
    """The whole state QUERY wrote, without pointers."""
    image = TcpImage.from_bytes(raw)
    const = TcpConst(
        remote_port=structure_port(image.remote_port),
        local_port=structure_port(image.local_port),
        flags=TcpConstFlags(image.const_flags),
        snd_wind_scale=image.snd_wind_scale,
        rcv_wind_scale=image.rcv_wind_scale,
        remote_mss=image.remote_mss,
        hash_value=image.hash_value,
    )
    cached = TcpCached(
        flags=TcpCachedFlags(image.cached_flags),
        initial_rcv_wnd=image.initial_rcv_wnd,
        rcv_indication_size=image.rcv_indication_size,
        ka_probe_count=image.ka_probe_count,
        ka_timeout=image.ka_timeout,
        ka_interval=image.ka_interval,
        max_rt=image.max_rt,
        flow_label=image.flow_label,
        ttl_or_hop_limit=image.ttl,
        tos_or_traffic_class=image.tos,
        user_priority=image.user_priority,
    )
    return const, cached, _delegated(image)


def delegated_state(raw: bytes) -> TcpDelegated:
    """The delegated state TERMINATE wrote, without pointers."""
    return _delegated(DelegatedImage.from_bytes(raw))


def _delegated(image: DelegatedImage | TcpImage) -> TcpDelegated:
    return TcpDelegated(
        state=TcpConnectionState(image.state),
        flags=image.dlg_flags,
        rcv_nxt=image.rcv_nxt,
        rcv_wnd=image.rcv_wnd,
        snd_una=image.snd_una,
        snd_nxt=image.snd_nxt,
        snd_max=image.snd_max,
        snd_wnd=image.snd_wnd,
        max_snd_wnd=image.max_snd_wnd,
        send_wl1=image.snd_wl1,
        c_wnd=image.cwnd,
        ss_thresh=image.ssthresh,
        s_rtt=image.srtt,
        rtt_var=image.rttvar,
        ts_recent=image.ts_recent,
        ts_recent_age=image.ts_recent_age,
        ts_time=image.ts_time,
        total_rt=image.total_rt,
        dup_ack_count=image.dup_ack_count,
        snd_wnd_probe_count=image.snd_wnd_probe_count,
        keep_alive=KeepAlive(image.ka_probes_sent, image.ka_timeout_delta),
        retransmit=Retransmit(image.rtx_count, image.rtx_timeout_delta),
        send_backlog_size=image.send_backlog_size,
        receive_backlog_size=image.receive_backlog_size,
        d_wnd=image.dwnd,
    )


#: NDIS_TCP_CONNECTION_OFFLOAD_PARAMETERS and the device's own, as after a Windows-like set-up.
DEFAULT_PARAMETERS = ParamImage(
    ticks_per_second=1000,
    ack_frequency=2,
    delayed_ack_ticks=100,
    max_retransmissions=5,
    doubt_retransmissions=3,
    sws_ticks=200,
    dup_ack_threshold=3,
    push_ticks=500,
    nce_stale_ticks=30000,
    rto_min=300,
    rto_max=60000,
    rto_initial=1000,
)


def parameter_image(wanted: TcpConnectionOffloadParameters, own: ParamImage) -> ParamImage:
    """PARAM_WRITE image: what the host sets, and the device's own limits, which the host does not know (``own``)."""
    scale = wanted.ticks_per_second
    return replace(
        own,
        ticks_per_second=scale,
        ack_frequency=wanted.tcp_ack_frequency,
        delayed_ack_ticks=wanted.tcp_delayed_ack_ticks,
        max_retransmissions=wanted.tcp_maximum_retransmissions,
        doubt_retransmissions=wanted.tcp_doubt_reachability_retransmissions,
        sws_ticks=wanted.tcp_sws_prevention_ticks,
        dup_ack_threshold=wanted.tcp_duplicate_ack_threshold,
        push_ticks=wanted.tcp_push_ticks,
        nce_stale_ticks=wanted.nce_stale_ticks,
        rto_min=max(1, own.rto_min * scale // own.ticks_per_second),
        rto_max=max(1, own.rto_max * scale // own.ticks_per_second),
        rto_initial=max(1, own.rto_initial * scale // own.ticks_per_second),
    )
