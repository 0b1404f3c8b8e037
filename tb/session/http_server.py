"""An HTTP server on the host side of the chimney, and `curl` on the kernel's side that fetches a file from it.

The kernel of this machine opens the connection; the host's software TCP accepts it, the connection is offloaded, the
request comes up through receive indications and the file goes down in send requests, as in any session.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from model.ndis.calls import NdisCall
from model.ndis.file_transfer import AppPhase, FileTransferConfig
from model.ndis.framing import Endpoint
from model.ndis.hoststack import StackConnection
from model.ndis.memory import HostMemory, PageAllocator
from model.ndis.soft_tcp import SoftTcpConfig
from tb.config import ConfigError, RunConfig
from tb.device.model_loop import ModelRun
from tb.peers.headers import ip_text
from tb.peers.linux_peer import LinuxPeer
from tb.session.bench import BulkApp
from tb.session.network import NIC_ADDRESS, PEER_ADDRESS, PEER_MAC
from tb.session.transfer import Transfer

HTTP_PORT: Final = 80
NAME: Final = "file"
#: Real seconds that curl may take.
CURL_SECONDS: Final = 900
_END_OF_REQUEST: Final = b"\r\n\r\n"


class HttpServerApp(BulkApp):
    """Accepts one connection, answers one request, closes (HTTP/1.0)."""

    def serve(self, content: bytes) -> None:
        """What `GET /file` gets."""
        self.content = content
        self.request = b""
        self.config = replace(self.config, refuse=0.0, accept_part=0.0, receive_windows=(0,))

    def _connect(self) -> bool:
        self.host.stack.listen(self.local_port, self.config.tcp, self._accepted)
        self.phase = AppPhase.CONNECTING
        return True

    def _accepted(self, connection: StackConnection) -> None:
        self._stack = connection

    def _offload(self) -> bool:
        return self._stack is not None and super()._offload()

    def _send(self) -> bool:
        if not self.request and _END_OF_REQUEST in self.sink:
            self.request, _, _ = bytes(self.sink).partition(b"\r\n")
            self.data = self._answer()
        return bool(self.request) and super()._send()

    def _disconnect(self) -> bool:
        return bool(self.request) and super()._disconnect()

    def _answer(self) -> bytes:
        words = self.request.split()
        if words[:2] == [b"GET", f"/{NAME}".encode()]:
            return _response("200 OK", self.content)
        return _response("404 Not Found", b"")


def _response(status: str, content: bytes) -> bytes:
    fields = ("Content-Type: application/octet-stream", f"Content-Length: {len(content)}", "Connection: close")
    return "\r\n".join((f"HTTP/1.0 {status}", *fields, "", "")).encode() + content


class HttpTransfer(Transfer):
    """A session in which curl fetches the file from the host."""

    def __init__(
        self,
        config: RunConfig,
        memory: HostMemory,
        allocator: PageAllocator,
        *,
        capture: Path | None = None,
        issue: Callable[[NdisCall], None] | None = None,
        app_config: FileTransferConfig | None = None,
    ) -> None:
        if config.peer != "linux" or shutil.which("curl") is None:
            raise ConfigError("no curl behind a kernel", f"PEER={config.peer}", "apt-get install curl, take PEER=linux")
        super().__init__(config, memory, allocator, capture=capture, issue=issue, app_config=app_config)
        self.host.clients.clear()
        settings = replace(
            app_config or FileTransferConfig(),
            tcp=SoftTcpConfig(initial_seq=0xFFFF_F000, initial_ts=0xFFFF_FF00),
            seed=config.seed,
        )
        curl = Endpoint(PEER_MAC, PEER_ADDRESS[config.family], 0)
        self.server = HttpServerApp(self.host, settings, b"", curl, HTTP_PORT)
        self.server.serve(self.data)
        self.apps = [self.server]
        self.output, self._messages = config.out / "fetched.bin", config.out / "curl.log"
        self._started = False

    @property
    def kernel(self) -> LinuxPeer:
        """The peer, as what it is here."""
        if not isinstance(self.network.peer, LinuxPeer):
            raise TypeError("an HTTP session needs the kernel")
        return self.network.peer

    def pump(self) -> bool:
        """Start curl when the host listens."""
        moved = super().pump()
        if not self._started and self.server.phase is not AppPhase.START:
            self._started = moved = True
            self.output.unlink(missing_ok=True)
            url = f"http://{ip_text(NIC_ADDRESS[self.config.family])}:{HTTP_PORT}/{NAME}"
            command = ["curl", "--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", str(CURL_SECONDS)]
            self.kernel.run([*command, "--output", str(self.output), url], self._messages)
        return moved

    @property
    def over(self) -> bool:
        """The host is through, and so is curl."""
        return super().over and self._started and None not in self.kernel.statuses()

    @property
    def progress(self) -> float:
        """Share of the answer that went out."""
        return self.server.progress if self.server.data else 0.0

    def peer_data(self) -> bytes:
        """What curl wrote."""
        return self.output.read_bytes() if self.output.exists() else b""

    def received_data(self) -> bytes:
        """What the server sent, without its header; nothing comes back."""
        return self.server.data.partition(_END_OF_REQUEST)[2]

    def problems(self) -> list[str]:
        """As of any session, and what curl complains of; the request may come before the offload."""
        found = [line for line in super().problems() if "came back in software" not in line]
        if any(self.kernel.statuses()):
            found.append(f"curl ended with {self.kernel.statuses()}: {self._messages.read_text().strip()}")
        return found


class ServeRun(ModelRun):
    """The HTTP session on the golden device."""

    transfer_type = HttpTransfer
