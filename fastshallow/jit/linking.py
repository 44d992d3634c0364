"""Kernels that are compiled once and called through a pointer.

Numba inlines callees and optimises them again in every caller, three times in a ``prange``. A call
through a pointer avoids this and takes a nanosecond more.

The pointer is stored in a cell, and the linker knows the cell by name. Cached machine code contains
the name only. A process must therefore fill the cells with `prepare` before it runs such code;
otherwise a call raises RuntimeError.
"""

from __future__ import annotations

import ctypes
import functools
import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin

from . import argument_types
from .compile import jit
from .interrupts import ctrl_c_noted

__all__ = ["INT", "REAL", "out_of_line", "prepare", "vector"]

Dtypes = Callable[..., tuple[types.Float, ...]]
Arguments = Callable[..., tuple[types.Type, ...]]

_FLOATS = (types.float32, types.float64)
_kernels: list[_OutOfLine] = []
_prepared: set[tuple[np.dtype, np.dtype, tuple[str, ...]]] = set()

INT, REAL = types.intp, types.float64


def vector(dtype: types.Float) -> types.Array:
    """Return the type of a contiguous 1-D array; a call may also pass a read-only array."""
    return types.Array(dtype, 1, "C")


class _OutOfLine:
    """A kernel with one compiled form and one address cell for each combination of dtypes."""

    def __init__(
        self,
        function: Callable[..., Any],
        dtypes: Dtypes,
        arguments: Arguments,
        result: types.Type | None,
        group: str,
        options: Mapping[str, bool],
    ):
        self.function = function
        self.kernel = jit(function, linked=False, takes=self.check, **options)
        self.dtypes, self.arguments = dtypes, arguments
        self.result, self.group = result, group
        self.choices = len(inspect.signature(arguments).parameters)
        self.name = f"{function.__module__}.{function.__name__}"
        self.cells: dict[tuple[types.Float, ...], ctypes.c_void_p] = {}
        for choice in itertools.product(_FLOATS, repeat=self.choices):
            self.cells[choice] = ctypes.c_void_p(0)
            llvm.add_symbol(self.cell_name(choice), ctypes.addressof(self.cells[choice]))
        _kernels.append(self)

    def cell_name(self, dtypes: tuple[types.Float, ...]) -> str:
        return ".".join([self.name, *map(str, dtypes)])

    def check(self, given: tuple[types.Type, ...]) -> None:
        """Raise unless the arguments can be cast to those of one compiled form."""
        choices = [self.arguments(*choice) for choice in self.cells]
        argument_types.check_exact(self.function, choices, given)

    def compile(self, dtypes: tuple[types.Float, ...]) -> types.Type:
        """Compile one form, store its address in the cell, and return its result type."""
        arguments = self.arguments(*dtypes)
        self.kernel.compile(arguments)
        compiled = self.kernel.overloads[arguments]
        address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
        self.cells[dtypes].value = address
        return compiled.signature.return_type

    def emit_call(
        self,
        context: Any,
        builder: ir.IRBuilder,
        result: types.Type,
        given: Sequence[types.Type],
        values: Sequence[ir.Value],
    ) -> ir.Value:
        """Emit LLVM code for a call through the cell."""
        dtypes = self.dtypes(*given)
        wanted = self.arguments(*dtypes)
        values = [
            # literals and read-only arrays have the same LLVM type, also within tuples
            value
            if value.type == context.get_value_type(to)
            else context.cast(builder, value, from_, to)
            for value, from_, to in zip(values, given, wanted, strict=True)
        ]
        name, pointer = self.cell_name(dtypes), ir.IntType(8).as_pointer()
        cell = builder.module.globals.get(name)
        if cell is None:
            cell = cgutils.add_global_variable(builder.module, pointer, name)
        address = builder.load(cell)
        with cgutils.if_unlikely(builder, cgutils.is_null(builder, address)):
            message = "fastshallow: call fastshallow.warmup() before code that numba has cached"
            context.call_conv.return_user_exc(builder, RuntimeError, (message,))
        function = context.call_conv.get_function_type(result, wanted)
        status, value = context.call_conv.call_function(
            builder, builder.bitcast(address, function.as_pointer()), result, wanted, values
        )
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return value


def out_of_line(
    dtypes: Dtypes,
    arguments: Arguments,
    result: types.Type | None = None,
    group: str = "",
    **options: bool,
) -> Callable[..., Callable[..., Any]]:
    """Return a decorator that compiles a kernel alone, to be called through a pointer.

    The decorated kernel is called like any other, from Python and from ``@njit`` code.

    Parameters
    ----------
    dtypes : callable
        Maps the argument types of a call to the dtypes, float32 or float64, that select the
        compiled form.
    arguments : callable
        Maps these dtypes to the types of all arguments. A call casts its arguments to them.
    result : type
        Type of the result. If given, callers can be compiled before the kernel.
    group : str
        Name of an optional group: `prepare` compiles the kernel only if the group is named. Needs
        ``result``.
    **options
        Options of `jit`.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        if config.DISABLE_JIT:
            return function
        kernel = _OutOfLine(function, dtypes, arguments, result, group, options)

        @functools.wraps(function)
        def call(*values: Any) -> Any:
            return kernel.kernel(*values)

        class Typing(AbstractTemplate):
            key = call

            def generic(self, args: tuple[types.Type, ...], kws: dict[str, types.Type]) -> Any:
                kernel.check(args)
                result = kernel.result or kernel.compile(kernel.dtypes(*args))
                return signature(result, *args)

        call.kernel = kernel.kernel  # type: ignore[attr-defined]
        infer_global(call, types.Function(Typing))

        @lower_builtin(call, types.VarArg(types.Any))
        def lower(
            context: Any, builder: ir.IRBuilder, sig: Any, args: Sequence[ir.Value]
        ) -> ir.Value:
            return kernel.emit_call(context, builder, sig.return_type, sig.args, args)

        return call

    return decorate


def prepare(dtype: np.dtype, x_dtype: np.dtype | None = None, groups: tuple[str, ...] = ()) -> None:
    """Compile or load all kernels called through a pointer, for these dtypes of parameters and X.

    Kernels of a group ("parallel", "large", "batches" or "few") are included if ``groups`` names
    it. Ctrl-C raises KeyboardInterrupt when the current kernel is compiled.
    """
    wanted = (dtype, x_dtype or dtype, groups)
    if wanted in _prepared:
        return
    floats = tuple(types.float32 if d == np.float32 else types.float64 for d in wanted[:2])
    with ctrl_c_noted() as ctrl_c:
        for kernel in _kernels:
            if not kernel.group or kernel.group in groups:
                kernel.compile(floats[: kernel.choices])
            if ctrl_c:
                raise KeyboardInterrupt
    _prepared.add(wanted)
