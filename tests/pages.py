"""Memory between pages that must not be touched."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np


def guarded(n, dtype, at_end):
    """Return n values at the end, or the beginning, of memory between two forbidden pages."""
    size = n * dtype.itemsize
    pages = max(1, -(-size // mmap.PAGESIZE))
    memory = mmap.mmap(-1, (pages + 2) * mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for page in (0, pages + 1):
        forbidden = ctypes.c_void_p(start + page * mmap.PAGESIZE)
        assert ctypes.CDLL(None).mprotect(forbidden, mmap.PAGESIZE, 0) == 0
    offset = (pages + 1) * mmap.PAGESIZE - size if at_end else mmap.PAGESIZE
    return np.frombuffer(memory, dtype, n, offset)
