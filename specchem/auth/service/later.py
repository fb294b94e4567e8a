"""Work that no answer waits for, so that how long it takes tells nobody whether there was any."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

AT_ONCE = 2  # the rest of the server goes on meanwhile
WAITING = 1000

log = logging.getLogger("specchem")


class Later:
    """Does things one after the other, a few at once, and ends what was begun."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(AT_ONCE)

    def do(self, work: Coroutine[Any, Any, object]) -> None:
        """Begin when there is room; what goes wrong is logged by its kind alone."""
        if len(self._tasks) >= WAITING:
            work.close()
            log.error("too much mail is waiting; one request for mail was dropped")
            return
        task = asyncio.create_task(self._do(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # of what was broken off before there was room

    async def drain(self, seconds: float | None = None) -> None:
        """Wait until all is done; what takes longer than ``seconds`` is broken off."""
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=seconds)
            for task in late:
                task.cancel()

    async def _do(self, work: Coroutine[Any, Any, object]) -> None:
        async with self._room:
            try:
                await work
            except Exception as error:  # whatever it is, nobody is there to be told
                log.error("mail was not sent: %s", type(error).__name__)
