"""A few threads that compute answers, so that health is told at once while they work."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from serving.schemas import Refused

Answer = TypeVar("Answer")


class Pool:
    """Nobody waits longer than ``max_queue_s`` for a thread: who would is told to come back.

    A thread that outlives its caller's deadline keeps its place until it is done, so that hung work never
    grows beyond ``threads``.
    """

    def __init__(self, threads: int, max_queue_s: float) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="answer")
        self._free = asyncio.Semaphore(threads)
        self._max_queue_s = max_queue_s

    async def run(self, call: Callable[[], Answer]) -> Answer:
        """Compute one answer in a thread."""
        try:
            async with asyncio.timeout(self._max_queue_s):
                await self._free.acquire()
        except TimeoutError:
            raise Refused(429, "too_many_requests", "busy; try again shortly") from None
        loop = asyncio.get_running_loop()

        def release(_: Future[Answer]) -> None:
            with suppress(RuntimeError):  # the loop ended before the work did
                loop.call_soon_threadsafe(self._free.release)

        job = self._threads.submit(call)
        job.add_done_callback(release)
        return await asyncio.wrap_future(job)

    def close(self) -> None:
        """Take no more work; what runs may end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
