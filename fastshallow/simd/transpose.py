"""Transposing: a copy of the transpose of a matrix.

.. math:: T_{ji} = A_{ij}

Square blocks, with as many rows as a vector has lanes, are transposed in registers: pairs of rows
exchange every second value, then every second pair of values, and so on (Eklundh, "A fast computer
method for matrix transposing", IEEE Transactions on Computers, 1972).
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
    """Emit the copy. ``zero`` gives the dtype, and strides are in elements."""
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
                for r in range(lanes):  # rows beyond the last one repeat it
                    values.append(vectors.load(start, mask))
                    more = builder.icmp_signed("<", integer(r + 1), rows)
                    start = vectors.at(start, builder.select(more, a_row, integer(0)))
                values = _transpose_block(builder, values, lanes)
                mask = vectors.first_lanes(rows)
                start = vectors.at(t, builder.mul(j, t_row), i)
                for c in range(lanes):
                    with builder.if_then(builder.icmp_signed("<", integer(c), columns)):
                        where = vectors.at(start, builder.mul(integer(c), t_row))
                        vectors.store(values[c], where, mask)
        return context.get_dummy_value()

    return signature, codegen


def _transpose_block(builder, values, lanes):
    """Emit the transpose of a square block of vectors."""
    distance = 1
    while distance < lanes:
        # indices for `pick`
        first = [lane - distance + lanes if lane & distance else lane for lane in range(lanes)]
        second = [lane + lanes if lane & distance else lane + distance for lane in range(lanes)]
        exchanged = list(values)
        for i in range(lanes):
            if not i & distance:
                x, y = values[i], values[i + distance]
                exchanged[i] = pick(builder, x, y, first)
                exchanged[i + distance] = pick(builder, x, y, second)
        values, distance = exchanged, 2 * distance
    return values


@out_of_line(lambda zero, *_: (zero,), lambda dtype: (dtype, *[INT] * 6), internal=True)
def transpose_at(zero, a, a_row, t, t_row, M, N):
    """Compute `transpose` on addresses; strides are in elements."""
    standalone()
    _transpose(zero, a, a_row, t, t_row, M, N)


def transpose_loops(source, start, row, out, at, to_row, M, N):
    """Compute `transpose` in plain loops."""
    for i in range(M):
        for j in range(N):
            out[at + j * to_row + i] = source[start + i * row + j]


@jit(internal=True)
def transpose(source, start, row, out, at, to_row, M, N):
    """Copy the transpose of a matrix, (M, N), with contiguous rows.

    Parameters
    ----------
    source : ndarray, 1-D
        Row i starts at ``start + i * row``.
    out : ndarray, 1-D, of the same dtype
        Modified in place: row j of the transpose starts at ``at + j * to_row``.
    M, N : int
        Rows and columns of the matrix.
    """
    zero = out.dtype.type(0)
    transpose_at(zero, address(source, start), row, address(out, at), to_row, M, N)


if config.DISABLE_JIT:
    transpose = transpose_loops
