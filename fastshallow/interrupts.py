"""Ctrl-C that waits for the end of a step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numba.core.compiler_lock import global_compiler_lock

__all__ = ["ctrl_c_noted"]


@contextmanager
def ctrl_c_noted() -> Iterator[list[int]]:
    """Let the first Ctrl-C only add to a list, so that nothing is cut in two.

    While kernels are compiled, which takes seconds and touches no data, it also raises
    KeyboardInterrupt at once, as the second one always does. Where the program handles the signal
    in its own way, or this is not the main thread, nothing is changed and the list stays empty.

    Examples
    --------
    >>> import signal
    >>> from fastshallow.interrupts import ctrl_c_noted
    >>> with ctrl_c_noted() as seen:
    ...     signal.raise_signal(signal.SIGINT)
    ...     len(seen)
    1
    """
    seen: list[int] = []

    def note(number: int, frame: Any) -> None:
        seen.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if global_compiler_lock.is_locked():  # by this thread, the main one
            raise KeyboardInterrupt

    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if not ours:
        yield seen
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
