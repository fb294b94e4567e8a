"""Real sockets between the product and its auth service, which can fail in each of the ways that networks do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

Mode: TypeAlias = Literal["forward", "hang", "cut", "refuse", "answer"]


@dataclass
class Wire:
    """A port that passes everything on to another, until ``fail`` says otherwise; ``said`` is what came in."""

    port: int = 0
    target: tuple[str, int] = ("127.0.0.1", 1)
    mode: Mode = "forward"
    canned: bytes = b""
    said: list[bytes] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def to(self, address: str) -> None:
        parts = urlsplit(address)
        self.target = (parts.hostname or "", parts.port or 0)

    async def fail(self, mode: Mode, canned: bytes = b"") -> None:
        """From now on; connections that are open are cut."""
        self.mode, self.canned = mode, canned
        if mode == "refuse":
            await self.close()
        elif self._server is None:
            await self.open()
        self._cut()
        await asyncio.sleep(0.01)  # both ends hear of it

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._cut()
            await self._server.wait_closed()
            self._server = None

    def _cut(self) -> None:
        for one in self._open:
            one.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            with suppress(OSError):
                if self.mode == "forward":
                    await self._forward(reader, writer)
                elif self.mode != "cut":
                    while said := await reader.read(65536):
                        self.said.append(said)
                        if self.mode == "answer" and b"\r\n\r\n" in said:
                            writer.write(self.canned)
        finally:
            self._open.discard(writer)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inward, outward = await asyncio.open_connection(*self.target)
        self._open.add(outward)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, keep: bool) -> None:
            with suppress(OSError):
                while said := await source.read(65536):
                    if keep:
                        self.said.append(said)
                    sink.write(said)
                    await sink.drain()
            sink.close()

        await asyncio.gather(pump(reader, outward, True), pump(inward, writer, False))
        self._open.discard(outward)


def http(status: int, body: bytes = b"", *headers: str, kind: str = "application/json") -> bytes:
    """An answer as it goes over the wire."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", f"Content-Type: {kind}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@asynccontextmanager
async def wire() -> AsyncIterator[Wire]:
    """A port of this kind, while it is needed."""
    made = Wire()
    await made.open()
    try:
        yield made
    finally:
        await made.close()
