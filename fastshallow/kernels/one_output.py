"""Backward through an output layer of one unit, in one pass over the layer before it.

With a = A[L-1], w = W[L] and, for every example i, one number dz_i of dZ[L]:

.. math::
    dA_{ij} = dz_i w_j, \\quad dZ_{ij} = dA_{ij} g'(a_{ij}), \\quad
    dW_j = \\sum_i dz_i a_{ij}, \\quad db_j = \\sum_i dZ_{ij}

(dZ and db are those of layer L - 1.) dA has rank one, so that it is never written, and a row of A
is read once for all three.
"""

from __future__ import annotations

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from ..jit.compile import jit
from ..jit.linking import INT, REAL, out_of_line
from ..simd.intrinsics import address, standalone
from ..simd.matmul import PACKED, unpacked
from ..simd.register_tile import PANEL_MOST, panel_columns, panel_width, sizes
from ..simd.vectors import Vectors, integer
from .activations import LEAKY_RELU, LINEAR, RELU, SIGMOID, TANH, dg, dg_steps
from .layout import FAN_OUT, LANES_OVER_EXAMPLES, G

__all__ = ["has_one_pass", "rank_one"]

# Activations of layer L - 1 that the pass is written for.
CODES = (LINEAR, SIGMOID, TANH, RELU, LEAKY_RELU)


@jit(internal=True)
def has_one_pass(layers):
    """Return whether backward goes through the output layer in this pass."""
    if layers.shape[0] == 1 or layers[-1, FAN_OUT] > 1 or layers[-1, LANES_OVER_EXAMPLES]:
        return False
    return layers[-2, G] in CODES


def _tanh_slope(vectors, x, one, up, down):
    builder = vectors.builder
    return builder.call(vectors.fma, [builder.fneg(x), x, one])


def _sigmoid_slope(vectors, x, one, up, down):
    return vectors.builder.fmul(vectors.builder.fsub(one, x), x)


def _step_slope(vectors, x, one, up, down):
    builder, zeros = vectors.builder, ir.Constant(vectors.type, [0.0] * vectors.lanes)
    step = builder.select(builder.fcmp_ordered(">", x, zeros), up, down)
    return builder.call(vectors.fma, [x, zeros, step])  # NaN stays NaN


def _make_pass(emit_slope):
    """Return the pass over the units of a panel; ``emit_slope`` emits g'(a)."""

    @intrinsic
    def panel_pass(typingctx, up, down, fresh, a, a_row, dz, w, below, below_row, dw, db, n, size):
        signature = types.void(*[up] * 2, *[types.intp] * 11)

        def codegen(context, builder, signature, arguments):
            vectors = Vectors(builder, up)
            up_, down_ = (vectors.splat(x) for x in arguments[:2])
            fresh, a, a_row, dz, w, below, below_row, dw, db, n, size = arguments[2:]
            zeros, ones = (ir.Constant(vectors.type, [x] * vectors.lanes) for x in (0.0, 1.0))
            is_fresh = builder.icmp_signed("!=", fresh, integer(0))

            def pass_over(columns):
                """Emit the pass over some vectors of units, as `panel_columns` gives them."""
                weights = [vectors.load(vectors.at(w, j), mask) for j, mask in columns]
                sums = [[cgutils.alloca_once(builder, vectors.type) for _ in "Wb"] for _ in columns]
                for (j, mask), places in zip(columns, sums, strict=True):
                    for start, place in zip((dw, db), places, strict=True):
                        before = vectors.load(vectors.at(start, j), mask)
                        builder.store(builder.select(is_fresh, zeros, before), place)

                def add_example(i):
                    d = vectors.broadcast(vectors.at(dz, i))
                    row = vectors.at(a, builder.mul(i, a_row))
                    to = vectors.at(below, builder.mul(i, below_row))
                    for (j, mask), w_j, (dW, db_) in zip(columns, weights, sums, strict=True):
                        x = vectors.load(vectors.at(row, j), mask)
                        slope = emit_slope(vectors, x, ones, up_, down_)
                        dZ = builder.fmul(builder.fmul(d, w_j), slope)
                        vectors.store(dZ, vectors.at(to, j), mask)
                        builder.store(builder.call(vectors.fma, [d, x, builder.load(dW)]), dW)
                        builder.store(builder.fadd(builder.load(db_), dZ), db_)

                with cgutils.for_range(builder, n) as loop:
                    add_example(loop.index)
                for (j, mask), places in zip(columns, sums, strict=True):
                    for start, place in zip((dw, db), places, strict=True):
                        vectors.store(builder.load(place), vectors.at(start, j), mask)

            for NV in range(1, PANEL_MOST + 1):
                least, most = (integer(k * vectors.lanes) for k in (NV - 1, NV))
                fits = builder.icmp_signed("<=", size, most)
                with builder.if_then(builder.and_(fits, builder.icmp_signed(">", size, least))):
                    pass_over(panel_columns(vectors, NV, size))
            return context.get_dummy_value()

        return signature, codegen

    return panel_pass


_tanh_pass, _sigmoid_pass, _step_pass = map(_make_pass, (_tanh_slope, _sigmoid_slope, _step_slope))


@out_of_line(lambda zero, *_: (zero,), lambda dtype: (dtype, INT, REAL, *[INT] * 10), internal=True)
def rank_one_at(zero, code, slope, fresh, packed, a, dz, w, below, dw, db, n, width):
    """Do what `rank_one` does with what lies at addresses, panel by panel."""
    standalone()
    of, (up, down) = type(zero), dg_steps(code, slope)
    up, down, (itemsize, _) = of(up), of(down), sizes(zero)
    j = 0
    while j < width:
        size = panel_width(width - j, itemsize)
        at = j * itemsize
        a_j, w_j, dw_j, db_j = a + at, w + at, dw + at, db + at
        # packed, a panel begins behind all rows of those before, and its rows are its own
        to, row = (below + at * n, size) if packed else (below + at, width)
        if code == TANH:
            _tanh_pass(up, down, fresh, a_j, width, dz, w_j, to, row, dw_j, db_j, n, size)
        elif code == SIGMOID:
            _sigmoid_pass(up, down, fresh, a_j, width, dz, w_j, to, row, dw_j, db_j, n, size)
        else:
            _step_pass(up, down, fresh, a_j, width, dz, w_j, to, row, dw_j, db_j, n, size)
        j += size


def rank_one_loops(code, slope, A, dZ, W, below, dW, db, n, width, fresh):
    """Do what `rank_one` does, in plain loops."""
    for j in range(width):
        if fresh:
            dW.data[dW.start + j] = db.data[db.start + j] = 0
        for i in range(n):
            a, d = A.data[A.start + i * width + j], dZ.data[dZ.start + i]
            value = d * W.data[W.start + j] * dg(code, a, slope)
            below.data[unpacked(below, i, j, width, n)] = value
            dW.data[dW.start + j] += d * a
            db.data[db.start + j] += value


@jit(internal=True)
def rank_one(code, slope, A, dZ, W, below, dW, db, n, width, fresh):
    """Differentiate an output layer of one unit, and the activations of the layer before it.

    Parameters
    ----------
    code, slope : int, float
        Of the activation of layer L - 1: see `fastshallow.kernels.activations.dg`.
    A, dZ, W : Matrix
        A[L-1], (n, width), dZ[L], (n, 1), and W[L], (width, 1): views into flat arrays, whose
        rows lie one behind the other.
    below, dW, db : Matrix
        dZ[L-1], (n, width), dW[L], (width, 1), and db[L-1], (width,), likewise; dZ[L-1] may be
        `fastshallow.simd.matmul.pack`ed. Modified in place: dZ[L-1] is written, the others are
        added to.
    n, width : int
        Examples, and units of layer L - 1.
    fresh : int
        Whether the sums start here: dW and db are overwritten, not added to.

    Notes
    -----
    Every sum is one chain of additions in rising i.
    """
    zero, packed = A.data.dtype.type(0), below.row == PACKED
    a, dz, w = address(A.data, A.start), address(dZ.data, dZ.start), address(W.data, W.start)
    to, dw = address(below.data, below.start), address(dW.data, dW.start)
    rank_one_at(
        zero, code, slope, fresh, packed, a, dz, w, to, dw, address(db.data, db.start), n, width
    )


if config.DISABLE_JIT:
    rank_one = rank_one_loops
