"""Prefetching of cache lines, and flushing of subnormal numbers to 0.

Each function has a form in plain Python for ``NUMBA_DISABLE_JIT=1``.
"""

from __future__ import annotations

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from .vectors import LINE_BYTES, Vectors, integer

__all__ = ["flush_subnormals", "prefetch", "prefetch_to_write", "restore_subnormals"]

# The bit FTZ (subnormal results are 0) of x86's MXCSR. The bit DAZ (subnormal operands are 0) would
# accept a target of -1e-40, which is not valid.
FLUSH = 1 << 15


# Cache lines ---------------------------------------------------------------------------------


def _make_prefetch(to_write):
    """Return an intrinsic that prefetches a 1-D array from an index to its end."""

    @intrinsic
    def prefetch(typingctx, array, first):
        def codegen(context, builder, signature, arguments):
            values = context.make_array(signature.args[0])(context, builder, arguments[0])
            vectors = Vectors(builder, signature.args[0].dtype)
            start = vectors.at(builder.ptrtoint(values.data, ir.IntType(64)), arguments[1])
            left = builder.mul(builder.sub(values.nitems, arguments[1]), integer(vectors.itemsize))
            # the start may be anywhere in a cache line
            reach = builder.add(builder.and_(start, integer(LINE_BYTES - 1)), left)
            lines = builder.sdiv(builder.add(reach, integer(LINE_BYTES - 1)), integer(LINE_BYTES))
            with cgutils.for_range(builder, lines) as loop:
                line = builder.add(start, builder.mul(loop.index, integer(LINE_BYTES)))
                vectors.prefetch(line, to_write)
            return context.get_dummy_value()

        return types.void(array, types.intp), codegen

    return prefetch


_prefetch, _prefetch_to_write = _make_prefetch(False), _make_prefetch(True)


# Subnormal numbers ---------------------------------------------------------------------------


def _emit_control(builder, name, place):
    """Emit the instruction that reads or writes the MXCSR register of the thread."""
    byte = ir.IntType(8).as_pointer()
    function = ir.FunctionType(ir.VoidType(), [byte])
    function = cgutils.get_or_insert_function(builder.module, function, f"llvm.x86.sse.{name}")
    builder.call(function, [builder.bitcast(place, byte)])


def _rules_arithmetic(builder):
    return builder.module.triple.startswith(("x86_64", "i686"))


@intrinsic
def _flush_subnormals(typingctx):
    """Flush subnormal results of this thread to 0; return the register's old value."""

    def codegen(context, builder, signature, arguments):
        word = ir.IntType(32)
        place = cgutils.alloca_once_value(builder, ir.Constant(word, 0))
        if _rules_arithmetic(builder):
            _emit_control(builder, "stmxcsr", place)
        before = builder.load(place)
        if _rules_arithmetic(builder):
            builder.store(builder.or_(before, ir.Constant(word, FLUSH)), place)
            _emit_control(builder, "ldmxcsr", place)
        return builder.zext(before, ir.IntType(64))

    return types.int64(), codegen


@intrinsic
def _restore_subnormals(typingctx, before):
    """Restore the value that `_flush_subnormals` returned."""

    def codegen(context, builder, signature, arguments):
        if _rules_arithmetic(builder):
            word = builder.trunc(arguments[0], ir.IntType(32))
            _emit_control(builder, "ldmxcsr", cgutils.alloca_once_value(builder, word))
        return context.get_dummy_value()

    return types.void(types.int64), codegen


if config.DISABLE_JIT:

    def flush_subnormals():
        """Do nothing in plain Python."""
        return 0

    def restore_subnormals(before):
        """Do nothing in plain Python."""

    def prefetch(array, first):
        """Do nothing in plain Python."""

    def prefetch_to_write(array, first):
        """Do nothing in plain Python."""

else:
    flush_subnormals, restore_subnormals = _flush_subnormals, _restore_subnormals
    prefetch, prefetch_to_write = _prefetch, _prefetch_to_write
