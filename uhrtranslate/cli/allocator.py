"""How the process takes memory from the system."""

import ctypes
import os
import sys

# Of glibc's malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
M_ARENA_MAX = -8


def keep_memory() -> None:
    """Have large blocks reused, and taken in large pages; before torch is imported.

    Feature maps of hundreds of MB come and go with every layer. Left alone, glibc gives each back
    to the system, which clears its pages before they are used again: a quarter of a translation's
    time (measured, tiles of 1664 px on two cores). On other systems only the pages are asked for.
    """
    # Read by torch: pages of 2 MB instead of 4 kB for large tensors.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return
    mallopt(M_ARENA_MAX, 1)  # the blocks of all threads in one place; others hold 64 MB at most
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, -1)
