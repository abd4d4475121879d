"""Work ahead in a thread: the next batches are made while the present one is used."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Generator, Iterator
from queue import SimpleQueue
from typing import Any

_END, _ITEM, _ERROR = range(3)


class Prefetch(Iterator[Any]):
    """The items of a generator, made by a thread that is up to `depth` of them ahead.

    What the generator raises is raised here, with its traceback, after the items before it.
    The thread ends with the generator, by `close`, and when this iterator is forgotten.
    """

    def __init__(self, source: Generator[Any, None, None], depth: int) -> None:
        self._ready: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        self._room = threading.Semaphore(depth)
        self._stop = threading.Event()
        self.thread = threading.Thread(
            target=_work, args=(source, self._ready, self._room, self._stop),
            name="graphc-prefetch", daemon=True,
        )  # fmt: skip
        self._finish = weakref.finalize(self, _end, self.thread, self._room, self._stop)
        self.thread.start()

    def __next__(self) -> Any:
        if self._stop.is_set():
            raise StopIteration
        kind, value = self._ready.get()
        if kind == _ITEM:
            self._room.release()
            return value
        self.close()
        if kind == _ERROR:
            raise value
        raise StopIteration

    def close(self) -> None:
        """End the thread and wait for it."""
        self._finish()


def _work(
    source: Generator[Any, None, None], ready: SimpleQueue[tuple[int, Any]],
    room: threading.Semaphore, stop: threading.Event,
) -> None:  # fmt: skip
    try:
        while True:
            room.acquire()
            if stop.is_set():
                break
            try:
                item = next(source)
            except StopIteration:
                break
            ready.put((_ITEM, item))
        ready.put((_END, None))
    except BaseException as error:  # whatever it is, the consumer is to see it
        ready.put((_ERROR, error))
    finally:
        source.close()


def _end(thread: threading.Thread, room: threading.Semaphore, stop: threading.Event) -> None:
    stop.set()
    room.release()
    if thread.is_alive() and thread is not threading.current_thread():
        thread.join(10)  # a source that waits forever shall not keep the program
