"""Gathering: a copy of rows of a matrix in a given order.

.. math:: G_{ij} = A_{o_i j}

Rows in random order are in no cache. So the cache lines of a row are prefetched some rows before it
is copied in whole vectors.
"""

from __future__ import annotations

from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from ..jit.compile import jit
from .intrinsics import address
from .vectors import LINE_BYTES, Vectors, integer

__all__ = ["gather_rows"]

# Number of rows between a prefetch and its copy.
PREFETCH_ROWS = 16


@intrinsic
def _gather(typingctx, zero, a, a_row, order, first, last, width, out):
    """Emit the copy: ``order`` is the address of int64 numbers, ``zero`` gives the dtype."""
    signature = types.void(zero, *[types.intp] * 7)

    def codegen(context, builder, signature, arguments):
        _, a, a_row, order, first, last, width, out = arguments
        vectors = Vectors(builder, signature.args[0])
        lanes, bytes_ = integer(vectors.lanes), integer(vectors.itemsize)
        whole = builder.sdiv(width, lanes)
        rest = builder.mul(whole, lanes)
        mask = vectors.first_lanes(builder.sub(width, rest))
        # a row may begin anywhere in a line
        reach = builder.add(builder.mul(width, bytes_), integer(2 * LINE_BYTES - 2))
        lines, final = builder.sdiv(reach, integer(LINE_BYTES)), builder.sub(last, integer(1))

        def row(i):
            """Emit the address of row order[i]."""
            place = builder.add(order, builder.mul(i, integer(8)))
            number = builder.load(builder.inttoptr(place, width.type.as_pointer()), typ=width.type)
            return vectors.at(a, builder.mul(number, a_row))

        with cgutils.for_range(builder, builder.sub(last, first)) as loop:
            i = builder.add(first, loop.index)
            later = builder.add(i, integer(PREFETCH_ROWS))
            later = builder.select(builder.icmp_signed("<", later, final), later, final)
            start = row(later)
            with cgutils.for_range(builder, lines) as line:
                vectors.prefetch(builder.add(start, builder.mul(line.index, integer(LINE_BYTES))))
            start, copy = row(i), vectors.at(out, builder.mul(i, width))
            with cgutils.for_range(builder, whole) as part:
                j = builder.mul(part.index, lanes)
                vectors.store(vectors.load(vectors.at(start, j)), vectors.at(copy, j))
            vectors.store(vectors.load(vectors.at(start, rest), mask), vectors.at(copy, rest), mask)
        return context.get_dummy_value()

    return signature, codegen


@jit(internal=True)
def gather_rows_loops(source, order, width, out, first, last):
    """Compute `gather_rows` in plain loops."""
    for i in range(first, last):
        start = source.start + order[i] * source.row
        for j in range(width):
            out[i * width + j] = source.data[start + j * source.col]


@jit(internal=True)
def gather_rows(source, order, width, out, first, last):
    """Copy rows order[first] ... order[last - 1] of a matrix to rows first ... last - 1 of another.

    Parameters
    ----------
    source : Matrix
        Any strides; the dtype of ``out``.
    order : ndarray of int64, 1-D
        Row numbers.
    width : int
        Number of columns.
    out : ndarray, 1-D
        Modified in place: contiguous rows of ``width`` values.
    first, last : int
        Range of ``order``.
    """
    if source.col == 1 and width > 1:
        a, to = address(source.data, source.start), address(out, 0)
        zero = out.dtype.type(0)
        _gather(zero, a, source.row, address(order, 0), first, last, width, to)
        return
    gather_rows_loops(source, order, width, out, first, last)


if config.DISABLE_JIT:
    gather_rows = gather_rows_loops
