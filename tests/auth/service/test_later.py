"""Work that no answer waits for."""

import asyncio
import inspect

from specchem.auth.service.later import AT_ONCE, Later


async def test_what_is_broken_off_before_its_turn_is_closed() -> None:
    later, begun, never = Later(), asyncio.Event(), asyncio.Event()

    async def endless() -> None:
        begun.set()
        await never.wait()

    for _ in range(AT_ONCE):
        later.do(endless())
    await begun.wait()
    waiting = endless()
    later.do(waiting)
    await later.drain(0)
    for _ in range(3):
        await asyncio.sleep(0)
    assert inspect.getcoroutinestate(waiting) == inspect.CORO_CLOSED
