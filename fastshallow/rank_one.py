"""Backward through an output layer of one unit, in one pass over the layer before it.

With a = A[L-1], w = W[L] and, for every example i, one number dz_i of dZ[L]:

.. math::
    dA_{ij} = dz_i w_j, \\quad dZ_{ij} = dA_{ij} g'(a_{ij}), \\quad
    dW_j = \\sum_i dz_i a_{ij}, \\quad db_j = \\sum_i dZ_{ij}

(dZ and db are those of layer L - 1.) dA has rank one: it need not be written, and a row of A is
read once for all three. As products and `fastshallow.activations.multiply_dg` they take 1.1 us for
128 examples of 30-64-1, of 7.3 us in all; so, 0.4 us.
"""

from __future__ import annotations

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from ._jit import jit
from ._linking import INT, REAL, out_of_line
from .activations import dg, dg_terms
from .register_tile import PANEL
from .simd import address, standalone
from .vectors import Vectors, integer

__all__ = ["rank_one"]


@intrinsic
def _rank_one(typingctx, up, down, linear, square, fresh, a, dz, w, below, dw, db, n, width):
    """Emit the pass. The dtype is that of the first four, which `dg_terms` returns; then a flag
    that says whether the sums start at 0, the addresses of A, dZ[L], W[L], dZ[L-1], dW[L] and
    db[L-1], the number of examples, and the units of the layer before.
    """
    signature = types.void(*[up] * 4, *[types.intp] * 9)

    def codegen(context, builder, signature, arguments):
        vectors = Vectors(builder, up)
        up_, down_, linear_, square_ = (vectors.splat(x) for x in arguments[:4])
        fresh, a, dz, w, below, dw, db, n, width = arguments[4:]
        zeros = ir.Constant(vectors.type, [0.0] * vectors.lanes)
        empty = builder.icmp_signed("!=", fresh, integer(0))
        places = [[cgutils.alloca_once(builder, vectors.type) for _ in range(PANEL)] for _ in "Wb"]

        def panel(j, masks):
            """Emit the pass over as many vectors of units, from j on, as there are masks."""
            offsets = [builder.add(j, integer(v * vectors.lanes)) for v in range(len(masks))]
            columns = list(
                zip(offsets, masks, *(both[: len(masks)] for both in places), strict=True)
            )
            weights = [vectors.load(vectors.at(w, at), mask) for at, mask, _, _ in columns]
            for at, mask, *both in columns:
                for start, place in zip((dw, db), both, strict=True):
                    before = vectors.load(vectors.at(start, at), mask)
                    builder.store(builder.select(empty, zeros, before), place)
            with cgutils.for_range(builder, n) as loop:
                d, row = (
                    vectors.broadcast(vectors.at(dz, loop.index)),
                    builder.mul(loop.index, width),
                )
                for (at, mask, dW, db_), w_j in zip(columns, weights, strict=True):
                    x = vectors.load(vectors.at(a, row, at), mask)
                    slope = builder.call(vectors.fma, [square_, x, linear_])
                    step = builder.select(builder.fcmp_ordered(">", x, zeros), up_, down_)
                    slope = builder.call(vectors.fma, [slope, x, step])
                    dZ = builder.fmul(builder.fmul(d, w_j), slope)
                    vectors.store(dZ, vectors.at(below, row, at), mask)
                    builder.store(builder.call(vectors.fma, [d, x, builder.load(dW)]), dW)
                    builder.store(builder.fadd(builder.load(db_), dZ), db_)
            for at, mask, *both in columns:
                for start, place in zip((dw, db), both, strict=True):
                    vectors.store(builder.load(place), vectors.at(start, at), mask)

        step = integer(PANEL * vectors.lanes)
        whole = builder.sdiv(width, step)
        with cgutils.for_range(builder, whole) as loop:
            panel(builder.mul(loop.index, step), [None] * PANEL)
        first, lanes = builder.mul(whole, step), integer(vectors.lanes)
        left = builder.sub(width, first)
        singles = builder.sdiv(builder.add(left, integer(vectors.lanes - 1)), lanes)
        with cgutils.for_range(builder, singles) as loop:
            at = builder.mul(loop.index, lanes)
            panel(builder.add(first, at), [vectors.first_lanes(builder.sub(left, at))])
        return context.get_dummy_value()

    return signature, codegen


@out_of_line(lambda zero, *_: (zero,), lambda dtype: (dtype, INT, REAL, *[INT] * 9), internal=True)
def rank_one_at(zero, code, slope, fresh, a, dz, w, below, dw, db, n, width):
    """Do what `rank_one` does with what lies at addresses."""
    standalone()
    of, (up, down, linear, square) = type(zero), dg_terms(code, slope)
    up, down, linear, square = of(up), of(down), of(linear), of(square)
    _rank_one(up, down, linear, square, fresh, a, dz, w, below, dw, db, n, width)


def rank_one_loops(code, slope, A, dZ, W, below, dW, db, n, width, fresh):
    """Do what `rank_one` does, in plain loops."""
    for j in range(width):
        if fresh:
            dW.data[dW.start + j] = db.data[db.start + j] = 0
        for i in range(n):
            a, d = A.data[A.start + i * width + j], dZ.data[dZ.start + i]
            value = d * W.data[W.start + j] * dg(code, a, slope)
            below.data[below.start + i * width + j] = value
            dW.data[dW.start + j] += d * a
            db.data[db.start + j] += value


@jit(internal=True)
def rank_one(code, slope, A, dZ, W, below, dW, db, n, width, fresh):
    """Differentiate an output layer of one unit, and the activations of the layer before it.

    Parameters
    ----------
    code, slope : int, float
        Of the activation of layer L - 1: see `fastshallow.activations.dg`.
    A, dZ, W : Matrix
        A[L-1], (n, width), dZ[L], (n, 1), and W[L], (width, 1): views into flat arrays, whose
        rows lie one behind the other.
    below, dW, db : Matrix
        dZ[L-1], (n, width), dW[L], (width, 1), and db[L-1], (width,), likewise. Modified in place:
        dZ[L-1] is written, the others are added to.
    n, width : int
        Examples, and units of layer L - 1.
    fresh : int
        Whether the sums start here: dW and db are overwritten, not added to.

    Notes
    -----
    Every sum is one chain of additions in rising i.
    """
    rank_one_at(
        *(A.data.dtype.type(0), code, slope, fresh),
        *(address(A.data, A.start), address(dZ.data, dZ.start), address(W.data, W.start)),
        address(below.data, below.start),
        *(address(dW.data, dW.start), address(db.data, db.start), n, width),
    )


if config.DISABLE_JIT:
    rank_one = rank_one_loops
