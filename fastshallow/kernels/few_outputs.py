"""Backward through an output layer of one to three units, in one pass over the layer before it.

With a = A[L-1], w = W[L] and, for every example i and output c, one number dz_ic of dZ[L]:

.. math::
    dA_{ij} = \\sum_c dz_{ic} w_{jc}, \\quad dZ_{ij} = dA_{ij} g'(a_{ij}), \\quad
    dW_{jc} = \\sum_i dz_{ic} a_{ij}, \\quad db_j = \\sum_i dZ_{ij}

(dZ and db are those of layer L - 1.) dA has a rank of three at most, so that it is never written,
and a row of A is read once for all three.
"""

from __future__ import annotations

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from ..jit.compile import ONE, ZERO, jit
from ..jit.linking import INT, REAL, out_of_line
from ..simd.intrinsics import address, standalone
from ..simd.matmul import FEW, PACKED, unpacked
from ..simd.register_tile import PANEL_MOST, panel_columns, panel_width, sizes
from ..simd.vectors import Vectors, integer
from .activations import LEAKY_RELU, LINEAR, RELU, SIGMOID, TANH, dg, dg_steps
from .layout import FAN_OUT, LANES_OVER_EXAMPLES, G

__all__ = ["has_one_pass", "output_pass"]

# Vectors of units that the pass for several outputs goes through at a time. Each has a sum for
# every output, and one for db.
TOGETHER = 2

# Activations of layer L - 1 that the pass is written for.
CODES = (LINEAR, SIGMOID, TANH, RELU, LEAKY_RELU)


@jit(internal=True)
def has_one_pass(layers):
    """Return whether backward goes through the output layer in this pass."""
    if layers.shape[0] == 1 or layers[-1, FAN_OUT] > FEW or layers[-2, LANES_OVER_EXAMPLES]:
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


def _make_pass(outputs, emit_slope):
    """Return the pass over the units of a panel; ``emit_slope`` emits g'(a)."""

    @intrinsic
    def panel_pass(typingctx, up, down, fresh, a, dz, w, below, dw, db, steps, n, size):
        # steps: from row to row of A and of dZ[L-1]; from output to output of dZ[L]; from row to
        # row of dZ[L]; from output to output of W and dW
        steps_type = types.UniTuple(types.intp, 5)
        signature = types.void(*[up] * 2, *[types.intp] * 7, steps_type, *[types.intp] * 2)

        def codegen(context, builder, signature, arguments):
            vectors = Vectors(builder, up)
            up_, down_ = (vectors.splat(x) for x in arguments[:2])
            fresh, a, dz, w, below, dw, db, steps, n, size = arguments[2:]
            a_row, below_row, dz_col, dz_row, w_col = cgutils.unpack_tuple(builder, steps)
            zeros, ones = (ir.Constant(vectors.type, [x] * vectors.lanes) for x in (0.0, 1.0))
            is_fresh = builder.icmp_signed("!=", fresh, integer(0))

            def of_output(start, c, step):
                return vectors.at(start, builder.mul(integer(c), step)) if c else start

            w_c, dw_c, dz_c = (
                [of_output(start, c, step) for c in range(outputs)]
                for start, step in ((w, w_col), (dw, w_col), (dz, dz_col))
            )

            def pass_over(columns):
                """Emit the pass over some vectors of units, as `panel_columns` gives them."""
                weights = [
                    [vectors.load(vectors.at(start, j), mask) for start in w_c]
                    for j, mask in columns
                ]
                sums = [
                    [cgutils.alloca_once(builder, vectors.type) for _ in [*dw_c, db]]
                    for _ in columns
                ]
                for (j, mask), places in zip(columns, sums, strict=True):
                    for start, place in zip([*dw_c, db], places, strict=True):
                        before = zeros
                        if outputs == 1 or start is db:
                            before = vectors.load(vectors.at(start, j), mask)
                            before = builder.select(is_fresh, zeros, before)
                        builder.store(before, place)

                def add_example(i):
                    along = builder.mul(i, dz_row)
                    d = [vectors.broadcast(vectors.at(start, along)) for start in dz_c]
                    row = vectors.at(a, builder.mul(i, a_row))
                    to = vectors.at(below, builder.mul(i, below_row))
                    for (j, mask), w_j, (*dW, db_) in zip(columns, weights, sums, strict=True):
                        x = vectors.load(vectors.at(row, j), mask)
                        slope = emit_slope(vectors, x, ones, up_, down_)
                        dA = builder.fmul(d[0], w_j[0])
                        for d_c, w_jc in zip(d[1:], w_j[1:], strict=True):
                            dA = builder.call(vectors.fma, [d_c, w_jc, dA])
                        dZ = builder.fmul(dA, slope)
                        vectors.store(dZ, vectors.at(to, j), mask)
                        for d_c, place in zip(d, dW, strict=True):
                            total = builder.call(vectors.fma, [d_c, x, builder.load(place)])
                            builder.store(total, place)
                        builder.store(builder.fadd(builder.load(db_), dZ), db_)

                with cgutils.for_range(builder, n) as loop:
                    add_example(loop.index)
                for (j, mask), places in zip(columns, sums, strict=True):
                    for start, place in zip([*dw_c, db], places, strict=True):
                        vectors.store(builder.load(place), vectors.at(start, j), mask)

            for NV in range(1, 1 + (PANEL_MOST if outputs == 1 else TOGETHER)):
                least, most = (integer(k * vectors.lanes) for k in (NV - 1, NV))
                fits = builder.icmp_signed("<=", size, most)
                with builder.if_then(builder.and_(fits, builder.icmp_signed(">", size, least))):
                    pass_over(panel_columns(vectors, NV, size))
            return context.get_dummy_value()

        return signature, codegen

    return panel_pass


SLOPES = _tanh_slope, _sigmoid_slope, _step_slope
_tanh_1, _sigmoid_1, _step_1 = (_make_pass(1, slope) for slope in SLOPES)
_tanh_2, _sigmoid_2, _step_2 = (_make_pass(2, slope) for slope in SLOPES)
_tanh_3, _sigmoid_3, _step_3 = (_make_pass(3, slope) for slope in SLOPES)


@out_of_line(lambda zero, *_: (zero,), lambda dtype: (dtype, INT, REAL, *[INT] * 10), internal=True)
def rank_one_at(zero, code, slope, fresh, packed, a, dz, w, below, dw, db, n, width):
    """Do what `output_pass` does for one output with what lies at addresses, panel by panel."""
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
        steps = (width, row, ZERO, ONE, ZERO)
        if code == TANH:
            _tanh_1(up, down, fresh, a_j, dz, w_j, to, dw_j, db_j, steps, n, size)
        elif code == SIGMOID:
            _sigmoid_1(up, down, fresh, a_j, dz, w_j, to, dw_j, db_j, steps, n, size)
        else:
            _step_1(up, down, fresh, a_j, dz, w_j, to, dw_j, db_j, steps, n, size)
        j += size


@out_of_line(lambda zero, *_: (zero,), lambda dtype: (dtype, INT, REAL, *[INT] * 13), internal=True)
def rank_few_at(
    zero, code, slope, fresh, packed, a, dz, w, below, dw, db, n, width, outputs, dz_row, dz_col
):
    """Do the same for two or three outputs; W and dW lie output by output."""
    standalone()
    of, (up, down) = type(zero), dg_steps(code, slope)
    up, down, (itemsize, lanes) = of(up), of(down), sizes(zero)
    j = 0
    while j < width:
        panel = panel_width(width - j, itemsize)
        first = j
        while j < first + panel:
            size = min(first + panel - j, TOGETHER * lanes)
            at = j * itemsize
            a_j, w_j, dw_j, db_j = a + at, w + at, dw + at, db + at
            to, row = below + at, width
            if packed:
                to, row = below + first * itemsize * n + (j - first) * itemsize, panel
            steps = (width, row, dz_col, dz_row, width)
            if outputs == 2:
                if code == TANH:
                    _tanh_2(up, down, fresh, a_j, dz, w_j, to, dw_j, db_j, steps, n, size)
                elif code == SIGMOID:
                    _sigmoid_2(up, down, fresh, a_j, dz, w_j, to, dw_j, db_j, steps, n, size)
                else:
                    _step_2(up, down, fresh, a_j, dz, w_j, to, dw_j, db_j, steps, n, size)
            elif code == TANH:
                _tanh_3(up, down, fresh, a_j, dz, w_j, to, dw_j, db_j, steps, n, size)
            elif code == SIGMOID:
                _sigmoid_3(up, down, fresh, a_j, dz, w_j, to, dw_j, db_j, steps, n, size)
            else:
                _step_3(up, down, fresh, a_j, dz, w_j, to, dw_j, db_j, steps, n, size)
            j += size


def output_pass_loops(code, slope, A, dZ, W, below, dW, db, n, width, outputs, fresh):
    """Do what `output_pass` does, in plain loops."""
    for j in range(width):
        if fresh:
            db.data[db.start + j] = 0
        for c in range(outputs):
            if fresh or outputs > 1:
                dW.data[dW.start + c * width + j] = 0
        for i in range(n):
            a = A.data[A.start + i * width + j]
            dA = a * 0
            for c in range(outputs):
                d = dZ.data[dZ.start + i * dZ.row + c * dZ.col]
                dA += d * W.data[W.start + c * width + j]
                dW.data[dW.start + c * width + j] += d * a
            value = dA * dg(code, a, slope)
            below.data[unpacked(below, i, j, width, n)] = value
            db.data[db.start + j] += value


@jit(internal=True)
def output_pass(code, slope, A, dZ, W, below, dW, db, n, width, outputs, fresh):
    """Differentiate an output layer of a few units, and the activations of the layer before it.

    Parameters
    ----------
    code, slope : int, float
        Of the activation of layer L - 1: see `fastshallow.kernels.activations.dg`.
    A, dZ, W : Matrix
        A[L-1], (n, width), whose rows lie one behind the other; dZ[L], (n, outputs); W[L], output
        by output: views into flat arrays.
    below, dW, db : Matrix
        dZ[L-1], (n, width), dW[L], output by output, and db[L-1], (width,); dZ[L-1] may be
        `fastshallow.simd.matmul.pack`ed. Modified in place: dZ[L-1] is written, as is dW[L] of
        several outputs; db, and dW[L] of one output, are added to.
    n, width, outputs : int
        Examples, units of layer L - 1, and units of layer L, at most `FEW`.
    fresh : int
        Whether the sums start here: what would be added to is overwritten.

    Notes
    -----
    Every sum is one chain of additions in rising i.
    """
    zero, packed = A.data.dtype.type(0), below.row == PACKED
    a, dz, w = address(A.data, A.start), address(dZ.data, dZ.start), address(W.data, W.start)
    to, dw = address(below.data, below.start), address(dW.data, dW.start)
    sums = address(db.data, db.start)
    if outputs == 1:
        rank_one_at(zero, code, slope, fresh, packed, a, dz, w, to, dw, sums, n, width)
        return
    row, col = dZ.row, dZ.col
    rank_few_at(
        zero, code, slope, fresh, packed, a, dz, w, to, dw, sums, n, width, outputs, row, col
    )


if config.DISABLE_JIT:
    output_pass = output_pass_loops
