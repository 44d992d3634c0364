"""What kernels that users call do with sizes that do not fit: no answer that looks like one.

Such a kernel fills its output with what no answer is, NaN or -1, and raises. It does not raise
where nobody would hear of it: Numba forgets an exception of a ``prange``, and with it what was left
of that thread's share, so that a caller would find memory as it was. There the kernel returns its
status, and the loop goes on.
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


# Whether an exception is heard ---------------------------------------------------------------


def in_parallel_loop() -> int:
    """Return whether this thread, one of Python's, takes its share of a ``prange``.

    With the omp layer only. With workqueue it never does; with tbb it cannot be told, and Numba
    raises SystemError from what is raised here.
    """
    layer = sys.modules.get("numba.np.ufunc.omppool")
    try:
        return int(ctypes.CDLL(layer.__file__).omp_get_level() > 0)  # type: ignore[union-attr]
    except (AttributeError, OSError, TypeError):  # not loaded, or of a system that hides it
        return 0


_ASK = ctypes.CFUNCTYPE(ctypes.c_int)(in_parallel_loop)
_STATE, _LOOP = "fastshallow.jit.refusals.thread_state", "fastshallow.jit.refusals.in_parallel_loop"
for _name, _function in ((_STATE, ctypes.pythonapi.PyGILState_GetThisThreadState), (_LOOP, _ASK)):
    llvm.add_symbol(_name, ctypes.cast(_function, ctypes.c_void_p).value)


@intrinsic
def _heard(typingctx: Any) -> tuple[Any, Callable[..., ir.Value]]:
    """Return whether an exception that is raised here comes to Python.

    Not in a thread of Numba's own: Python does not know it. It must not be asked for the other
    answer there, or it would wait for the thread that waits for it.
    """

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        answer = cgutils.alloca_once_value(builder, ir.Constant(ir.IntType(1), 0))
        pointer, integer = ir.IntType(8).as_pointer(), ir.IntType(32)
        state = cgutils.get_or_insert_function(builder.module, ir.FunctionType(pointer, ()), _STATE)
        known = cgutils.is_not_null(builder, builder.call(state, ()))
        with builder.if_then(known):
            ask = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(integer, ()), _LOOP
            )
            inside = builder.call(ask, ())
            builder.store(builder.icmp_signed("==", inside, ir.Constant(integer, 0)), answer)
        return builder.load(answer)

    return types.boolean(), codegen


# What no answer is ---------------------------------------------------------------------------


@intrinsic
def _no_answer(typingctx: Any, array: types.Array) -> tuple[Any, Callable[..., ir.Value]]:
    """Return what no answer of an array's dtype is: NaN, or -1 among class numbers."""
    dtype = array.dtype

    def codegen(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        value = float("nan") if isinstance(dtype, types.Float) else -1
        return context.get_constant(dtype, value)

    return dtype(array), codegen


if config.DISABLE_JIT:

    def heard() -> bool:
        """Return True: Python hears of everything."""
        return True

    def no_answer(array: np.ndarray) -> float:
        """Return what no answer of an array's dtype is: NaN, or -1 among class numbers."""
        return np.nan if array.dtype.kind == "f" else -1

else:
    heard, no_answer = _heard, _no_answer


@jit(internal=True)
def holds_values(array: np.ndarray) -> bool:
    """Return whether an array holds more than class numbers."""
    floats: bool = np.isnan(no_answer(array))
    return floats


@jit(internal=True)
def fill(array: np.ndarray) -> None:
    """Fill a 1-D array with what no answer is."""
    for i in range(array.size):
        array[i] = no_answer(array)
