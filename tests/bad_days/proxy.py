"""A network between the program and PostgreSQL that breaks when it is told to."""

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass


@dataclass
class Line:
    """One connection: the program's end and the server's."""

    ours: asyncio.StreamWriter
    theirs: asyncio.StreamWriter
    dead: bool = False  # the server's end is gone, and the program has not noticed
    deaf: bool = False  # what the server says next is lost, and then the line

    def reset(self) -> None:
        """Both ends get an RST."""
        _abort(self.ours)
        _abort(self.theirs)


class Proxy:
    """A port that passes everything on to PostgreSQL's."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.lines: list[Line] = []
        self.lost = 0  # answers that PostgreSQL gave and nobody got
        self._deaf_to = b""

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        self.reset()
        await self._server.wait_closed()

    def reset(self) -> None:
        """Every line that is open."""
        for line in list(self.lines):
            line.reset()

    def die(self) -> int:
        """The server's ends are gone; the program learns of each when it next says something on it. How many."""
        for line in self.lines:
            line.dead = True
            _abort(line.theirs)
        return len(self.lines)

    def lose_the_answer_to(self, words: bytes) -> None:
        """Once: whoever says these words is heard, but does not hear the answer."""
        self._deaf_to = words

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answers, inward = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            _abort(writer)
            return
        line = Line(writer, inward)
        self.lines.append(line)
        tasks = [
            asyncio.create_task(self._forth(line, reader)),
            asyncio.create_task(self._back(line, answers)),
        ]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        self.lines.remove(line)
        line.reset()

    async def _forth(self, line: Line, said: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while words := await said.read(65536):
                if line.dead:
                    return
                if self._deaf_to and self._deaf_to in words:
                    self._deaf_to, line.deaf = b"", True
                line.theirs.write(words)
                await line.theirs.drain()

    async def _back(self, line: Line, said: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while words := await said.read(65536):
                if line.deaf:
                    self.lost += 1
                    return
                line.ours.write(words)
                await line.ours.drain()
        if line.dead:
            await asyncio.Event().wait()


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with an RST instead of a FIN."""
    found = writer.get_extra_info("socket")
    if found is not None:
        with suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
