"""A cache of decoded blocks, so that overlapping reads decode each block about once."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future

from uhrtranslate.pixels import Pixels

_most: list[int] = []  # bytes that a new cache keeps at most, if somebody has said so


def cap_caches(limit: int) -> None:
    """Let caches that are made from now on keep so many bytes at most.

    For programs that keep many slides open, each of which is read a little.
    """
    _most[:] = [limit]


class BlockCache:
    """Blocks of pixels; the least recently used are dropped first. Safe from several threads.

    If several threads want the same block at once, one of them makes it and the others wait.

    Args:
        limit: bytes to keep; the most recent block is kept even if it is larger.
    """

    def __init__(self, limit: int) -> None:
        self._limit = min([limit, *_most])
        self._size = 0
        self._blocks: OrderedDict[Hashable, Future[Pixels]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Pixels]) -> Pixels:
        """The block of a key, made if it is missing; it must not be written to."""
        with self._lock:
            block = self._blocks.get(key)
            if block is None:
                own = self._blocks[key] = Future()
            else:
                self._blocks.move_to_end(key)
        if block is not None:
            return block.result()
        try:
            pixels = make()
        except BaseException as error:
            with self._lock:
                del self._blocks[key]
            own.set_exception(error)
            raise
        own.set_result(pixels)
        with self._lock:
            self._size += pixels.nbytes
            self._drop_all_but(key)
        return pixels

    def clear(self) -> None:
        """Forget all blocks; none may be being made."""
        with self._lock:
            self._blocks.clear()
            self._size = 0

    def _drop_all_but(self, latest: Hashable) -> None:
        while self._size > self._limit:
            done = (k for k, block in self._blocks.items() if block.done() and k != latest)
            oldest = next(done, None)
            if oldest is None:
                return
            self._size -= self._blocks.pop(oldest).result().nbytes
