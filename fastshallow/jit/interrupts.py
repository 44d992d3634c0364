"""Ctrl-C that waits for the end of a step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["ctrl_c_noted"]


class _Noting:
    """A handler of Ctrl-C: the first one is noted, the second raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, number: int, frame: Any) -> None:
        self.seen.append(number)
        if len(self.seen) > 1:
            raise KeyboardInterrupt


@contextmanager
def ctrl_c_noted() -> Iterator[list[int]]:
    """Let the first Ctrl-C only add to a list, so that nothing is cut in two.

    The second one raises KeyboardInterrupt at once. An exception that is raised while kernels are
    compiled, or modules imported, may fall into a callback of LLVM's or a weak reference's, where
    Python can only ignore it: so whoever compiles looks at the list when a kernel is done. Within
    another ``with`` of this kind the list is the outer one's. Where the program handles the signal
    in its own way, or this is not the main thread, nothing is changed and the list stays empty.

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
