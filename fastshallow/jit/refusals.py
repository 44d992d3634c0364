"""Errors of public kernels: sizes that do not fit never give a plausible result.

On wrong sizes a kernel fills its output with an invalid value, NaN or -1, and raises. It must not
raise inside a ``prange``: Numba drops the exception and the remaining iterations of that thread,
and the output keeps its old contents. There the kernel returns an error status, and the loop goes
on.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from .compile import jit

__all__ = ["fill", "heard", "holds_values", "in_parallel_loop", "no_answer"]


# Whether an exception reaches Python ---------------------------------------------------------


def in_parallel_loop() -> int:
    """Return whether this Python thread runs iterations of a ``prange``; for the omp layer only.

    With workqueue it never does. With tbb there is no way to find out, and Numba turns the
    exception into a SystemError.
    """
    layer = sys.modules.get("numba.np.ufunc.omppool")
    try:
        return int(ctypes.CDLL(layer.__file__).omp_get_level() > 0)  # type: ignore[union-attr]
    except (AttributeError, OSError, TypeError):  # not loaded, or the symbol is hidden
        return 0


_CHECK = ctypes.CFUNCTYPE(ctypes.c_int)(in_parallel_loop)
_STATE, _LOOP = "fastshallow.jit.refusals.thread_state", "fastshallow.jit.refusals.in_parallel_loop"
for _name, _function in ((_STATE, ctypes.pythonapi.PyGILState_GetThisThreadState), (_LOOP, _CHECK)):
    llvm.add_symbol(_name, ctypes.cast(_function, ctypes.c_void_p).value)


@intrinsic
def _heard(typingctx: Any) -> tuple[Any, Callable[..., ir.Value]]:
    """Return whether an exception that is raised here reaches Python.

    It does not in a thread of Numba's own, which has no Python thread state. Such a thread must not
    call `in_parallel_loop`: it would wait for the GIL, and the GIL's owner waits for the thread.
    """

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        answer = cgutils.alloca_once_value(builder, ir.Constant(ir.IntType(1), 0))
        pointer, integer = ir.IntType(8).as_pointer(), ir.IntType(32)
        state = cgutils.get_or_insert_function(builder.module, ir.FunctionType(pointer, ()), _STATE)
        has_state = cgutils.is_not_null(builder, builder.call(state, ()))
        with builder.if_then(has_state):
            in_loop = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(integer, ()), _LOOP
            )
            inside = builder.call(in_loop, ())
            builder.store(builder.icmp_signed("==", inside, ir.Constant(integer, 0)), answer)
        return builder.load(answer)

    return types.boolean(), codegen


# The invalid value of a dtype ----------------------------------------------------------------


@intrinsic
def _no_answer(typingctx: Any, array: types.Array) -> tuple[Any, Callable[..., ir.Value]]:
    """Return the invalid value of an array's dtype: NaN, or -1 for integers (class numbers)."""
    dtype = array.dtype

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        value = float("nan") if isinstance(dtype, types.Float) else -1
        return context.get_constant(dtype, value)

    return dtype(array), codegen


if config.DISABLE_JIT:

    def heard() -> bool:
        """Return True: in plain Python every exception reaches the caller."""
        return True

    def no_answer(array: np.ndarray) -> float:
        """Return the invalid value of an array's dtype: NaN, or -1 for integers (class numbers)."""
        return np.nan if array.dtype.kind == "f" else -1

else:
    heard, no_answer = _heard, _no_answer


@jit(internal=True)
def holds_values(array: np.ndarray) -> bool:
    """Return whether an array holds floats, not class numbers."""
    floats: bool = np.isnan(no_answer(array))
    return floats


@jit(internal=True)
def fill(array: np.ndarray) -> None:
    """Fill a 1-D array with the invalid value; modified in place."""
    for i in range(array.size):
        array[i] = no_answer(array)
