"""Transposing: a copy of a matrix whose rows become columns.

.. math:: T_{ji} = A_{ij}

As many rows as a vector has lanes go through registers together: pairs of them trade every other
value, then every other two, and so on (Eklundh, "A fast computer method for matrix transposing",
IEEE Transactions on Computers, 1972). Value by value it takes four times as long.
"""

from __future__ import annotations

from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from ..jit.compile import jit
from ..jit.linking import INT, out_of_line
from .intrinsics import address, standalone
from .vectors import Vectors, integer, pick

__all__ = ["transpose"]


@intrinsic
def _transpose(typingctx, zero, a, a_row, t, t_row, M, N):
    """Emit the copy: all arguments but ``zero``, which gives the dtype, are in elements."""
    signature = types.void(zero, *[types.intp] * 6)

    def codegen(context, builder, signature, arguments):
        _, a, a_row, t, t_row, M, N = arguments
        vectors = Vectors(builder, signature.args[0])
        lanes = vectors.lanes

        def blocks(n):
            return builder.sdiv(builder.add(n, integer(lanes - 1)), integer(lanes))

        with cgutils.for_range(builder, blocks(M)) as down:
            i = builder.mul(down.index, integer(lanes))
            rows = builder.sub(M, i)
            with cgutils.for_range(builder, blocks(N)) as across:
                j = builder.mul(across.index, integer(lanes))
                columns = builder.sub(N, j)
                start, mask = vectors.at(a, builder.mul(i, a_row), j), vectors.first_lanes(columns)
                values = []
                for r in range(lanes):  # the last row stands for those beyond it
                    values.append(vectors.load(start, mask))
                    more = builder.icmp_signed("<", integer(r + 1), rows)
                    start = vectors.at(start, builder.select(more, a_row, integer(0)))
                values = _trade(builder, values, lanes)
                mask = vectors.first_lanes(rows)
                start = vectors.at(t, builder.mul(j, t_row), i)
                for c in range(lanes):
                    with builder.if_then(builder.icmp_signed("<", integer(c), columns)):
                        where = vectors.at(start, builder.mul(integer(c), t_row))
                        vectors.store(values[c], where, mask)
        return context.get_dummy_value()

    return signature, codegen


def _trade(builder, values, lanes):
    """Emit the transpose of as many vectors as they have lanes."""
    distance = 1
    while distance < lanes:
        # lanes of x and, from their number on, of y
        first = [lane - distance + lanes if lane & distance else lane for lane in range(lanes)]
        second = [lane + lanes if lane & distance else lane + distance for lane in range(lanes)]
        traded = list(values)
        for i in range(lanes):
            if not i & distance:
                x, y = values[i], values[i + distance]
                traded[i] = pick(builder, x, y, first)
                traded[i + distance] = pick(builder, x, y, second)
        values, distance = traded, 2 * distance
    return values


@out_of_line(lambda zero, *_: (zero,), lambda dtype: (dtype, *[INT] * 6), internal=True)
def transpose_at(zero, a, a_row, t, t_row, M, N):
    """Transpose what lies at addresses; strides are in elements."""
    standalone()
    _transpose(zero, a, a_row, t, t_row, M, N)


def transpose_loops(source, start, row, out, at, to_row, M, N):
    """Do what `transpose` does, in plain loops."""
    for i in range(M):
        for j in range(N):
            out[at + j * to_row + i] = source[start + i * row + j]


@jit(internal=True)
def transpose(source, start, row, out, at, to_row, M, N):
    """Copy the transpose of a matrix, (M, N), whose rows are contiguous.

    Parameters
    ----------
    source : ndarray, 1-D
        Row i begins at ``start + i * row``.
    out : ndarray, 1-D, of the same dtype
        Modified in place: column j of the matrix begins at ``at + j * to_row``.
    M, N : int
        Rows and columns.
    """
    zero = out.dtype.type(0)
    transpose_at(zero, address(source, start), row, address(out, at), to_row, M, N)


if config.DISABLE_JIT:
    transpose = transpose_loops
