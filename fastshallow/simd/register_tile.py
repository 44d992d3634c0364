"""The register tile, of which every matrix product is made.

.. math:: C_{rj} = D_{rj} + \\sum_k A_{rk} B_{kj}

for MR rows r and NV vectors of lanes j, which stay in registers for the whole sum over k. A is read
one scalar at a time and broadcast to all lanes, so it may have any strides; rows of B, C and D are
contiguous. Each element is one chain of fused multiply-adds in rising k, whatever the tile's shape:
the same bits wherever a row or column falls.

`dots` and `columns` are for products of few columns, which would leave most lanes idle.
`fastshallow.simd.matmul` chooses among them; its plain loops are what they are tested against.
"""

from __future__ import annotations

import itertools

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..jit.compile import jit
from ..jit.linking import INT, out_of_line
from .intrinsics import standalone
from .vectors import (
    REGISTERS,
    SCALARS,
    SHORT_BYTES,
    SPLIT,
    VECTOR_BYTES,
    Vectors,
    hidden,
    integer,
    vector_sums,
)

__all__ = [
    "PACKED",
    "PANEL_MOST",
    "columns",
    "dots",
    "panel_columns",
    "panel_width",
    "product",
    "sizes",
]

# Vectors of a full panel, and heights of its tiles by their number. NV * MR accumulators, NV
# vectors of B and a broadcast fit the registers, and 12 or more chains hide the latency of the FMA
# units. Rows that are left over take the lowest tile that holds them: lower ones would wait for the
# FMA units (dW of 10 x 16 over 192 examples: 0.77 us in tiles of 4, 4, 1 and 1 rows, 0.50 us in one
# of 12); but 8 rows may have one of 8 (4-32-16-4 on one thread of an Intel Xeon: 3 % less).
PANEL = 4 if REGISTERS == 32 else 2
ROWS = {1: (12, 8, 4, 1), 2: (12, 8, 4, 1), 3: (8, 4, 1), 4: (6, 4, 2, 1)}
if REGISTERS == 16:
    # 8 rows of one vector are as many chains as the FMA units take: none may be late, so 10
    ROWS = {1: (10, 5, 1), 2: (6, 4, 1), 3: (4, 1)}

# Vectors of the last panel, at most. With 16 registers one of 3 is faster than panels of 2 and 1,
# which loads a value for every multiply-add (a step of 64-40-10 over 1,500 examples: 309 us, so
# 292; of 30-100-1 1 % less). With all of 3, 30-96-1 takes 2 to 3 % more.
PANEL_MOST = PANEL + 1 if REGISTERS == 16 else PANEL

# Sums over k go on by so many at once. With addresses that LLVM does not see through, and one for
# the rows of B of a round, 12 multiply-adds take 22 instructions; without, it computes the address
# of each row from that of the one before, 28 instructions. A core that two threads share starts
# half as many in a cycle: there a step of 30-100-1 was 7 % faster with 23, and products are 3 to
# 5 % faster with 22; alone on its core it is as fast (AVX2).
ROUND = 2

# Vectors of a panel of a product of one row (one example of 784-128-10: 5.9 us in panels of 4,
# 3.7 us of 8, 4.6 us of 16).
WIDE = 8


@intrinsic
def sizes(typingctx, zero):
    """Return the bytes of a value, and the lanes of a vector, as constants to LLVM."""
    itemsize = SCALARS[zero][1]

    def codegen(context, builder, signature, arguments):
        sizes = integer(itemsize), integer(VECTOR_BYTES // itemsize)
        return context.make_tuple(builder, signature.return_type, sizes)

    return types.UniTuple(types.intp, 2)(zero), codegen


def _starts(vectors, operand, first, left, size, step):
    """Return where ``size`` rows or columns begin; if fewer are left, the last stands for more."""
    builder = vectors.builder
    found = [vectors.at(operand, builder.mul(first, step))]
    for i in range(1, size):
        is_there = builder.icmp_signed("<", integer(i), left)
        found.append(vectors.at(found[-1], builder.select(is_there, step, integer(0))))
    return found


def _emit_tile(vectors, rows, columns, operands, r, K, left):
    """Emit the register tile of ``rows`` rows, the first of them row ``r``.

    Its vectors of columns are given by where they begin, and a mask of their lanes; None is all.
    What stands in two of them is computed twice from the same values, and stored to the same place.
    So are rows: if only ``left`` are left, the last of them stands for the others too.
    """
    builder = vectors.builder
    c, c_row, d, d_row, a, a_row, a_col, b, b_row = operands
    masks = [mask for _, mask in columns]

    def row_vectors(start):
        """Return where the vectors of a row begin."""
        return [vectors.at(start, column) for column, _ in columns]

    sums = [[cgutils.alloca_once(builder, vectors.type) for _ in columns] for _ in range(rows)]
    for places, start in zip(sums, _starts(vectors, d, r, left, rows, d_row), strict=True):
        for place, at, mask in zip(places, row_vectors(start), masks, strict=True):
            builder.store(vectors.load(at, mask), place)
    lefts = _starts(vectors, a, r, left, rows, a_row)
    apart = [builder.sub(start, lefts[0]) for start in lefts]
    along, down = (builder.mul(n, integer(vectors.itemsize)) for n in (a_col, b_row))
    left_k, right_k = (cgutils.alloca_once_value(builder, start) for start in (lefts[0], b))

    def add_products(count):
        """Emit so many k, and go on to the next."""
        from_k, to_k = builder.load(left_k), builder.load(right_k)
        for i in range(count):
            row = builder.add(to_k, builder.mul(down, integer(i)))
            y = [vectors.load(at, mask) for at, mask in zip(row_vectors(row), masks, strict=True)]
            for places, offset in zip(sums, apart, strict=True):
                x = vectors.broadcast(builder.add(from_k, offset))
                for place, y_v in zip(places, y, strict=True):
                    builder.store(builder.call(vectors.fma, [x, y_v, builder.load(place)]), place)
            from_k = hidden(builder, builder.add(from_k, along))
        builder.store(from_k, left_k)
        below = builder.add(to_k, builder.mul(down, integer(count)))
        builder.store(hidden(builder, below), right_k)

    with cgutils.for_range(builder, builder.sdiv(K, integer(ROUND))):
        add_products(ROUND)
    with cgutils.for_range(builder, builder.srem(K, integer(ROUND))):
        add_products(1)
    to = [row_vectors(start) for start in _starts(vectors, c, r, left, rows, c_row)]
    for v, mask in enumerate(masks):
        values = [builder.load(places[v]) for places in sums]
        vectors.store_all(values, [row[v] for row in to], mask)


def panel_columns(vectors, NV, width):
    """Return where the NV vectors of a panel of this width begin, and masks of their lanes.

    The last one ends where the panel does, and so begins within the one before; of one alone lanes
    are left out. (With a mask in its place, products of 142 x 30 x 100 took 2 % longer, and 6 % on
    a core that two threads share.)
    """
    if NV == 1:
        return [(integer(0), vectors.first_lanes(width))]
    columns = [(integer(v * vectors.lanes), None) for v in range(NV - 1)]
    return [*columns, (vectors.builder.sub(width, integer(vectors.lanes)), None)]


def _make_panel(NV, full=False):
    """Return a function that computes all M rows of a panel of NV vectors of columns."""

    @intrinsic
    def panel(typingctx, zero, c, c_row, d, d_row, a, a_row, a_col, b, b_row, M, K, width):
        signature = types.void(zero, *[types.intp] * 12)

        def codegen(context, builder, signature, arguments):
            *operands, M, K, width = arguments[1:]
            vectors = Vectors(builder, signature.args[0])
            size = integer(NV * vectors.lanes) if full else width
            columns = panel_columns(vectors, NV, size)
            tall, *lower = ROWS[NV]
            whole = builder.sdiv(M, integer(tall))
            with cgutils.for_range(builder, whole) as loop:
                r = builder.mul(loop.index, integer(tall))
                _emit_tile(vectors, tall, columns, operands, r, K, integer(tall))
            r = builder.mul(whole, integer(tall))
            left = builder.sub(M, r)
            for rows, under in itertools.pairwise((tall, *lower, 0)):
                fits = builder.icmp_signed("<=", left, integer(rows))
                with builder.if_then(
                    builder.and_(fits, builder.icmp_signed(">", left, integer(under)))
                ):
                    _emit_tile(vectors, rows, columns, operands, r, K, left)
            return context.get_dummy_value()

        return signature, codegen

    # A function of its own: of all panels in one, LLVM computes every address before the first of
    # them (a product of 6 x 16: 186 cycles beside its multiply-adds, 110 so).
    @jit(internal=True)
    def alone(zero, c, c_row, d, d_row, a, a_row, a_col, b, b_row, M, K, width):
        standalone()
        panel(zero, c, c_row, d, d_row, a, a_row, a_col, b, b_row, M, K, width)

    return alone


_panel_full = _make_panel(PANEL, full=True)
# panels of more vectors than there can be are never called, and so no others
_panels = {NV: _make_panel(NV) for NV in range(1, PANEL_MOST + 1)}
_panel_1, _panel_2, _panel_3, _panel_4 = (_panels[min(NV, PANEL_MOST)] for NV in (1, 2, 3, 4))


@intrinsic
def _single_row(typingctx, zero, c, d, a, a_col, b, b_row, N, K):
    """Emit a product of one row, in panels of as many vectors as hide the latency of their sums.

    B is read nearly in its order, which is how it comes from the cache fastest.
    """
    signature = types.void(zero, *[types.intp] * 8)

    def codegen(context, builder, signature, arguments):
        _, c, d, a, a_col, b, b_row, N, K = arguments
        vectors = Vectors(builder, signature.args[0])
        zero, one = integer(0), integer(1)

        starts = [integer(v * vectors.lanes) for v in range(WIDE)]

        def panel(j, masks):
            c_j, d_j, b_j = (vectors.at(operand, j) for operand in (c, d, b))
            operands = (c_j, zero, d_j, zero, a, zero, a_col, b_j, b_row)
            columns = list(zip(starts, masks, strict=True))
            _emit_tile(vectors, 1, columns, operands, zero, K, one)

        width = integer(WIDE * vectors.lanes)
        whole = builder.sdiv(N, width)
        with cgutils.for_range(builder, whole) as loop:
            panel(builder.mul(loop.index, width), [None] * WIDE)
        j = builder.mul(whole, width)
        left = builder.sub(N, j)
        with builder.if_then(builder.icmp_signed(">", left, zero)):
            panel(j, [vectors.first_lanes(builder.sub(left, start)) for start in starts])
        return context.get_dummy_value()

    return signature, codegen


# Rows and columns whose sums `dots` keeps in registers: of one row, or of several, where 7 or 8
# loads serve 12 or 16 products. (With 16 registers, 8 sums would wait for the FMA units: 33 x 16
# over 150 examples in blocks of 4 x 2 9.5 thousand cycles, of 3 x 4 7.6.)
DOT_BLOCKS = {"one": (1, 8), "several": (4 if REGISTERS == 32 else 3, 4)}


def _load_rows(vectors, starts, step, mask):
    """Return vectors of rows whose elements are contiguous, or, if the step is 0, all the same."""
    builder = vectors.builder
    with builder.if_else(builder.icmp_signed("==", step, integer(1))) as (each, one):
        with each:
            loaded, there = [vectors.load(start, mask) for start in starts], builder.block
        with one:
            same, here = [vectors.broadcast(start) for start in starts], builder.block
    found = [builder.phi(vectors.type) for _ in starts]
    for phi, x, y in zip(found, loaded, same, strict=True):
        phi.add_incoming(x, there)
        phi.add_incoming(y, here)
    return found


def _make_dots(rows, columns):
    """Return an intrinsic that computes C block by block of so many rows and columns: `dots`."""

    @intrinsic
    def block_dots(typingctx, zero, c, c_row, d, d_row, d_col, a, a_row, b, b_col, M, N, K):
        signature = types.void(zero, *[types.intp] * 12)

        def codegen(context, builder, signature, arguments):
            _, c, c_row, d, d_row, d_col, a, a_row, b, b_col, M, N, K = arguments
            vectors, short = (
                Vectors(builder, signature.args[0], size) for size in (VECTOR_BYTES, SHORT_BYTES)
            )
            lanes = integer(vectors.lanes)
            whole = builder.sdiv(builder.sub(K, integer(1)), lanes)  # the rest is not empty
            rest = builder.mul(whole, lanes)
            mask = vectors.first_lanes(builder.sub(K, rest))
            places = [
                [cgutils.alloca_once(builder, vectors.type) for _ in range(columns)]
                for _ in range(rows)
            ]

            def add_products(lefts, rights, k, mask=None):
                x = [vectors.load(vectors.at(left, k), mask) for left in lefts]
                for j, right in enumerate(rights):
                    y = vectors.load(vectors.at(right, k), mask)
                    for i in range(rows):
                        place = places[i][j]
                        total = builder.call(vectors.fma, [x[i], y, builder.load(place)])
                        builder.store(total, place)

            def add_sums(i, j, rows_left, columns_left):
                """Write the block to C: columns in short vectors, all rows of each together.

                A row that stands for others is computed from the same values, and stored to the
                same place.
                """
                from_rows = _starts(vectors, d, i, rows_left, rows, d_row)
                to_rows = _starts(vectors, c, i, rows_left, rows, c_row)
                for s in range(0, columns, short.lanes):
                    first = builder.add(j, integer(s))
                    mask = short.first_lanes(builder.sub(columns_left, integer(s)))
                    along = builder.mul(first, d_col)
                    at = [vectors.at(row, along) for row in from_rows]
                    totals = _load_rows(short, at, d_col, mask)
                    for r, row in enumerate(places):
                        group = [builder.load(place) for place in row[s : s + short.lanes]]
                        totals[r] = builder.fadd(totals[r], vector_sums(vectors, group))
                    short.store_all(totals, [vectors.at(row, first) for row in to_rows], mask)

            def count(n, size):
                return builder.sdiv(builder.add(n, integer(size - 1)), integer(size))

            with (
                cgutils.for_range(builder, count(N, columns)) as across,
                cgutils.for_range(builder, count(M, rows)) as down,
            ):
                i = builder.mul(down.index, integer(rows))
                j = builder.mul(across.index, integer(columns))
                rows_left, columns_left = builder.sub(M, i), builder.sub(N, j)
                lefts = _starts(vectors, a, i, rows_left, rows, a_row)
                rights = _starts(vectors, b, j, columns_left, columns, b_col)
                for place in itertools.chain(*places):
                    builder.store(ir.Constant(vectors.type, None), place)
                with cgutils.for_range(builder, whole) as loop:
                    add_products(lefts, rights, builder.mul(loop.index, lanes))
                add_products(lefts, rights, rest, mask)
                add_sums(i, j, rows_left, columns_left)
            return context.get_dummy_value()

        return signature, codegen

    return block_dots


_dots_one, _dots_several = (_make_dots(*DOT_BLOCKS[name]) for name in ("one", "several"))


def _make_columns(N):
    """Return an intrinsic that computes N columns of C, lanes over rows: see `columns`."""

    @intrinsic
    def columns(typingctx, zero, c, c_row, c_col, d, d_row, d_col, a, a_col, b, b_row, b_col, M, K):
        signature = types.void(zero, *[types.intp] * 13)

        def codegen(context, builder, signature, arguments):
            _, c, c_row, c_col, d, d_row, d_col, a, a_col, b, b_row, b_col, M, K = arguments
            vectors = Vectors(builder, signature.args[0])
            lanes, split = integer(vectors.lanes), integer(SPLIT)
            parts = builder.sdiv(builder.add(M, integer(vectors.lanes - 1)), lanes)
            rounds = builder.sdiv(K, split)
            kept = cgutils.alloca_once(builder, vectors.type)
            places = [
                [cgutils.alloca_once(builder, vectors.type) for _ in range(SPLIT)] for _ in range(N)
            ]
            with cgutils.for_range(builder, parts) as part:
                r = builder.mul(part.index, lanes)
                rest = builder.sub(M, r)
                n = builder.select(builder.icmp_signed("<", rest, lanes), rest, lanes)
                mask = vectors.first_lanes(n)
                column = vectors.at(a, r)

                def add_products(k, s, mask=mask, column=column):
                    x = vectors.load(vectors.at(column, builder.mul(k, a_col)), mask)
                    b_k = vectors.at(b, builder.mul(k, b_row))
                    for j in range(N):
                        y = vectors.broadcast(vectors.at(b_k, builder.mul(integer(j), b_col)))
                        total = builder.call(vectors.fma, [x, y, builder.load(places[j][s])])
                        builder.store(total, places[j][s])

                for place in itertools.chain(*places):
                    builder.store(ir.Constant(vectors.type, None), place)
                with cgutils.for_range(builder, rounds) as loop:
                    k = builder.mul(loop.index, split)
                    for s in range(SPLIT):
                        add_products(builder.add(k, integer(s)), s)
                with cgutils.for_range(builder, K, start=builder.mul(rounds, split)) as loop:
                    add_products(loop.index, 0)
                for j in range(N):
                    s0, s1, s2, s3 = (builder.load(place) for place in places[j])
                    builder.store(builder.fadd(builder.fadd(s0, s1), builder.fadd(s2, s3)), kept)
                    c_j = vectors.at(c, builder.mul(integer(j), c_col))
                    d_j = vectors.at(d, builder.mul(integer(j), d_col))
                    with cgutils.for_range(builder, n) as loop:  # C and D may have any stride
                        i = builder.add(r, loop.index)
                        total = vectors.load_scalar(
                            vectors.at(builder.ptrtoint(kept, M.type), loop.index)
                        )
                        start = vectors.load_scalar(vectors.at(d_j, builder.mul(i, d_row)))
                        where = vectors.at(c_j, builder.mul(i, c_row))
                        vectors.store_scalar(builder.fadd(start, total), where)
            return context.get_dummy_value()

        return signature, codegen

    return columns


_columns_1, _columns_2, _columns_3 = (_make_columns(N) for N in (1, 2, 3))


#: As the row stride of B: its panels lie one behind the other, each row by row.
PACKED = np.int64(-1)


@jit(internal=True)
def panel_width(left, itemsize):
    """Return how many columns the next panel has, of so many that are left."""
    return (
        left if left * itemsize <= PANEL_MOST * VECTOR_BYTES else PANEL * VECTOR_BYTES // itemsize
    )


@out_of_line(lambda zero, *_: (zero,), lambda dtype: (dtype, *[INT] * 12), internal=True)
def product(zero, c, c_row, d, d_row, a, a_row, a_col, b, b_row, M, N, K):
    """C = D + A B, lanes over the columns of C: rows of B, C and D are contiguous.

    Operands are addresses and strides in elements; ``zero`` gives their dtype. `matmul_add` is
    the function to call.
    """
    standalone()
    itemsize, lanes = sizes(zero)
    full = PANEL * lanes
    if M == 1 and N > full and b_row != PACKED:
        _single_row(zero, c, d, a, a_col, b, b_row, N, K)
        return
    j = 0
    while j < N:
        width = panel_width(N - j, itemsize)
        c_j, d_j = c + j * itemsize, d + j * itemsize
        if b_row == PACKED:
            b_j, row = b + j * K * itemsize, width
        else:
            b_j, row = b + j * itemsize, b_row
        NV = (width + lanes - 1) // lanes
        if width == full:
            _panel_full(zero, c_j, c_row, d_j, d_row, a, a_row, a_col, b_j, row, M, K, width)
        elif NV == 1:
            _panel_1(zero, c_j, c_row, d_j, d_row, a, a_row, a_col, b_j, row, M, K, width)
        elif NV == 2:
            _panel_2(zero, c_j, c_row, d_j, d_row, a, a_row, a_col, b_j, row, M, K, width)
        elif NV == 3:
            _panel_3(zero, c_j, c_row, d_j, d_row, a, a_row, a_col, b_j, row, M, K, width)
        else:
            _panel_4(zero, c_j, c_row, d_j, d_row, a, a_row, a_col, b_j, row, M, K, width)
        j += width


@out_of_line(lambda zero, *_: (zero,), lambda dtype: (dtype, *[INT] * 12), internal=True)
def dots(zero, c, c_row, d, d_row, d_col, a, a_row, b, b_col, M, N, K):
    """C = D + A B, lanes over k: rows of A and columns of B are contiguous.

    So are rows of C and D, or ``d_col`` is 0. A single column has ``c_row`` 1 and ``d_row`` 0 or 1.
    Every element is D plus a sum of its own; see `product` for the arguments.
    """
    standalone()
    if N == 1:  # the only column as a row; of one element, D's stride may be any
        d_step = d_row if M > 1 else np.int64(0)
        _dots_one(zero, c, c_row, d, d_col, d_step, b, b_col, a, a_row, N, M, K)
    else:
        _dots_several(zero, c, c_row, d, d_row, d_col, a, a_row, b, b_col, M, N, K)


@out_of_line(lambda zero, *_: (zero,), lambda dtype: (dtype, *[INT] * 14), internal=True)
def columns(zero, c, c_row, c_col, d, d_row, d_col, a, a_col, b, b_row, b_col, M, N, K):
    """C = D + A B for up to 3 columns, lanes over rows: A is contiguous in them.

    The sum over k is split into chains of every `SPLIT`-th k, added up in the end; see `product`
    for the arguments.
    """
    standalone()
    if N == 1:
        _columns_1(zero, c, c_row, c_col, d, d_row, d_col, a, a_col, b, b_row, b_col, M, K)
    elif N == 2:
        _columns_2(zero, c, c_row, c_col, d, d_row, d_col, a, a_col, b, b_row, b_col, M, K)
    else:
        _columns_3(zero, c, c_row, c_col, d, d_row, d_col, a, a_col, b, b_row, b_col, M, K)
