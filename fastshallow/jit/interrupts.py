"""A context manager that delays Ctrl-C until the current step is done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["ctrl_c_noted"]


class _Noting:
    """A signal handler: the first Ctrl-C is noted, the second raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, number: int, frame: Any) -> None:
        self.seen.append(number)
        if len(self.seen) > 1:
            raise KeyboardInterrupt


@contextmanager
def ctrl_c_noted() -> Iterator[list[int]]:
    """Yield a list: the first Ctrl-C is added to it, the second raises KeyboardInterrupt.

    The caller reads the list between steps. An exception raised during compilation or an import
    may reach a callback of LLVM or of a weak reference, where Python ignores it. A nested ``with``
    yields the list of the outer one. If the program has its own handler of the signal, or this is
    not the main thread, nothing changes and the list stays empty.

    Examples
    --------
    >>> import signal
    >>> from fastshallow.jit.interrupts import ctrl_c_noted
    >>> with ctrl_c_noted() as seen:
    ...     signal.raise_signal(signal.SIGINT)
    ...     with ctrl_c_noted() as the_same:
    ...         len(the_same)
    1
    """
    noting = _Noting()
    if threading.current_thread() is not threading.main_thread():
        yield noting.seen
        return
    handler = signal.getsignal(signal.SIGINT)
    if isinstance(handler, _Noting):
        noting = handler
    if handler is not signal.default_int_handler:
        yield noting.seen
        return
    signal.signal(signal.SIGINT, noting)
    try:
        yield noting.seen
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
