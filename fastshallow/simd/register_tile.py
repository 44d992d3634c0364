"""The register tile, the innermost loop of every matrix product.

.. math:: C_{rj} = D_{rj} + \\sum_k A_{rk} B_{kj}

A tile has MR rows r and NV vectors of columns j. Its sums stay in registers for all k. A scalar of
A is broadcast to all lanes, so A may have any strides. Rows of B, C and D are contiguous. Each
element is one chain of fused multiply-adds in rising k, so its bits do not depend on the tile's
shape.

`dots` and `columns` are for products of few columns, which would leave most lanes idle.
`fastshallow.simd.matmul` chooses among the three.
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
    SUM_VECTORS,
    VECTOR_BYTES,
    Vectors,
    integer,
    opaque,
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

# PANEL is the number NV of vectors in a full panel. ROWS[NV] are the possible heights MR of a tile.
# NV * MR sums, NV vectors of B and a broadcast fit into the registers, and 12 or more independent
# sums hide the latency of the FMA units. Leftover rows take the lowest tile that holds them all,
# because several lower tiles would have too few independent sums.
PANEL = 4 if REGISTERS == 32 else 2
ROWS = {1: (12, 8, 4, 1), 2: (12, 8, 4, 1), 3: (8, 4, 1), 4: (6, 4, 2, 1)}
if REGISTERS == 16:
    # 8 sums just fill the FMA units, and 10 tolerate a delay
    ROWS = {1: (10, 5, 1), 2: (6, 4, 1), 3: (4, 1)}

# Largest number of vectors in the last panel. With 16 registers a last panel of 3 vectors is faster
# than two panels of 2 and 1: a panel of 1 needs a load for every multiply-add.
PANEL_MOST = PANEL + 1 if REGISTERS == 16 else PANEL

# Number of k per iteration. One address, which `opaque` hides from LLVM, serves the rows of B of an
# iteration: 22 instructions instead of 28 for 12 multiply-adds (AVX2).
UNROLL = 2

# Number of vectors in a panel of a product of one row.
ROW_PANEL = 8


@intrinsic
def sizes(typingctx, zero):
    """Return the bytes of a value and the lanes of a vector as LLVM constants."""
    itemsize = SCALARS[zero][1]

    def codegen(context, builder, signature, arguments):
        sizes = integer(itemsize), integer(VECTOR_BYTES // itemsize)
        return context.make_tuple(builder, signature.return_type, sizes)

    return types.UniTuple(types.intp, 2)(zero), codegen


def _starts(vectors, operand, first, left, size, step):
    """Return addresses of ``size`` rows or columns; beyond ``left`` the last one is repeated."""
    builder = vectors.builder
    found = [vectors.at(operand, builder.mul(first, step))]
    for i in range(1, size):
        is_there = builder.icmp_signed("<", integer(i), left)
        found.append(vectors.at(found[-1], builder.select(is_there, step, integer(0))))
    return found


def _emit_tile(vectors, rows, columns, operands, r, K, left):
    """Emit the register tile of ``rows`` rows from row ``r`` on, of which ``left`` exist.

    ``columns`` has the first column and the mask of each vector; None means all lanes. Vectors may
    overlap, and rows beyond ``left`` repeat the last one: equal values are stored twice.
    """
    builder = vectors.builder
    c, c_row, d, d_row, a, a_row, a_col, b, b_row = operands
    masks = [mask for _, mask in columns]

    def row_vectors(start):
        """Return the addresses of the vectors of a row."""
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
        """Emit the multiply-adds of the next ``count`` values of k."""
        from_k, to_k = builder.load(left_k), builder.load(right_k)
        for i in range(count):
            row = builder.add(to_k, builder.mul(down, integer(i)))
            y = [vectors.load(at, mask) for at, mask in zip(row_vectors(row), masks, strict=True)]
            for places, offset in zip(sums, apart, strict=True):
                x = vectors.broadcast(builder.add(from_k, offset))
                for place, y_v in zip(places, y, strict=True):
                    builder.store(builder.call(vectors.fma, [x, y_v, builder.load(place)]), place)
            from_k = opaque(builder, builder.add(from_k, along))
        builder.store(from_k, left_k)
        below = builder.add(to_k, builder.mul(down, integer(count)))
        builder.store(opaque(builder, below), right_k)

    with cgutils.for_range(builder, builder.sdiv(K, integer(UNROLL))):
        add_products(UNROLL)
    with cgutils.for_range(builder, builder.srem(K, integer(UNROLL))):
        add_products(1)
    to = [row_vectors(start) for start in _starts(vectors, c, r, left, rows, c_row)]
    for v, mask in enumerate(masks):
        values = [builder.load(places[v]) for places in sums]
        vectors.store_all(values, [row[v] for row in to], mask)


def panel_columns(vectors, NV, width):
    """Return the first columns and the masks of the NV vectors of a panel of ``width`` columns.

    The last vector ends at the end of the panel and overlaps the one before, which is faster than a
    mask. A single vector has a mask.
    """
    if NV == 1:
        return [(integer(0), vectors.first_lanes(width))]
    columns = [(integer(v * vectors.lanes), None) for v in range(NV - 1)]
    return [*columns, (vectors.builder.sub(width, integer(vectors.lanes)), None)]


def _make_panel(NV, full=False):
    """Return a function that computes all M rows of a panel of NV vectors."""

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

    # One function per panel: in a function of all panels, LLVM would compute the addresses of all
    # panels before the first one.
    @jit(internal=True)
    def alone(zero, c, c_row, d, d_row, a, a_row, a_col, b, b_row, M, K, width):
        standalone()
        panel(zero, c, c_row, d, d_row, a, a_row, a_col, b, b_row, M, K, width)

    return alone


_panel_full = _make_panel(PANEL, full=True)
# names of larger panels, which are never called, refer to the largest one
_panels = {NV: _make_panel(NV) for NV in range(1, PANEL_MOST + 1)}
_panel_1, _panel_2, _panel_3, _panel_4 = (_panels[min(NV, PANEL_MOST)] for NV in (1, 2, 3, 4))


@intrinsic
def _single_row(typingctx, zero, c, d, a, a_col, b, b_row, N, K):
    """Emit a product of one row in panels of `ROW_PANEL` vectors.

    This many sums hide the latency of the FMA units, and B is read almost sequentially.
    """
    signature = types.void(zero, *[types.intp] * 8)

    def codegen(context, builder, signature, arguments):
        _, c, d, a, a_col, b, b_row, N, K = arguments
        vectors = Vectors(builder, signature.args[0])
        zero, one = integer(0), integer(1)

        starts = [integer(v * vectors.lanes) for v in range(ROW_PANEL)]

        def panel(j, masks):
            c_j, d_j, b_j = (vectors.at(operand, j) for operand in (c, d, b))
            operands = (c_j, zero, d_j, zero, a, zero, a_col, b_j, b_row)
            columns = list(zip(starts, masks, strict=True))
            _emit_tile(vectors, 1, columns, operands, zero, K, one)

        width = integer(ROW_PANEL * vectors.lanes)
        whole = builder.sdiv(N, width)
        with cgutils.for_range(builder, whole) as loop:
            panel(builder.mul(loop.index, width), [None] * ROW_PANEL)
        j = builder.mul(whole, width)
        left = builder.sub(N, j)
        with builder.if_then(builder.icmp_signed(">", left, zero)):
            panel(j, [vectors.first_lanes(builder.sub(left, start)) for start in starts])
        return context.get_dummy_value()

    return signature, codegen


# Rows and columns of the blocks of `dots`, for one row of C or for several, and how many of the
# `SUM_VECTORS` have a loop over k together. Their sums stay in registers. Blocks of 12 or 16 sums
# need 7 or 8 loads, and hide the latency of the FMA units.
DOT_BLOCKS = {"one": (1, 8, 1), "several": (4 if REGISTERS == 32 else 3, 4, 1)}
if REGISTERS == 16:
    DOT_BLOCKS = {"one": (1, 4, 2), "several": (3, 4, 1)}


def _load_rows(vectors, starts, step, mask):
    """Return a vector of each row if the step is 1, else the row's first element in all lanes."""
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


def _emit_dots(vectors, lefts, rights, K, together):
    """Return the sums over k of a block, row by row: each is a list of `SUM_VECTORS` vectors.

    There is one loop over k for ``together`` of the vectors: those of a whole block may not fit
    into the registers.
    """
    builder, step = vectors.builder, integer(SUM_VECTORS * vectors.lanes)
    whole = builder.sdiv(K, step)
    rest = builder.mul(whole, step)
    sums: list[list[ir.Value]] = [[] for _ in lefts for _ in rights]

    def pass_over(offsets):
        places = [[cgutils.alloca_once(builder, vectors.type) for _ in sums] for _ in offsets]
        for place in itertools.chain(*places):
            builder.store(ir.Constant(vectors.type, None), place)

        def add_products(k, left=None):
            for offset, of_block in zip(offsets, places, strict=True):
                at, mask = builder.add(k, offset), None
                if left is not None:
                    mask = vectors.first_lanes(builder.sub(left, offset))
                x = [vectors.load(vectors.at(start, at), mask) for start in lefts]
                for j, start in enumerate(rights):
                    y = vectors.load(vectors.at(start, at), mask)
                    for i, x_i in enumerate(x):
                        place = of_block[i * len(rights) + j]
                        total = builder.call(vectors.fma, [x_i, y, builder.load(place)])
                        builder.store(total, place)

        with cgutils.for_range(builder, whole) as loop:
            add_products(builder.mul(loop.index, step))
        left = builder.sub(K, rest)
        with builder.if_then(builder.icmp_signed(">", left, offsets[0])):
            add_products(rest, left)
        for of_block in places:
            for parts, place in zip(sums, of_block, strict=True):
                parts.append(builder.load(place))

    offsets = [integer(part * vectors.lanes) for part in range(SUM_VECTORS)]
    for first in range(0, SUM_VECTORS, together):
        pass_over(offsets[first : first + together])
    return sums


def _make_dots(rows, columns, together):
    """Return an intrinsic that computes `dots` in blocks of ``rows`` by ``columns``."""

    @intrinsic
    def block_dots(typingctx, zero, c, c_row, d, d_row, d_col, a, a_row, b, b_col, M, N, K):
        signature = types.void(zero, *[types.intp] * 12)

        def codegen(context, builder, signature, arguments):
            _, c, c_row, d, d_row, d_col, a, a_row, b, b_col, M, N, K = arguments
            dtype = signature.args[0]
            vectors, short = (Vectors(builder, dtype, size) for size in (VECTOR_BYTES, SHORT_BYTES))

            def add_sums(i, j, rows_left, columns_left, sums):
                """Write the block to C in short vectors; repeated rows store equal values twice."""
                from_rows = _starts(vectors, d, i, rows_left, rows, d_row)
                to_rows = _starts(vectors, c, i, rows_left, rows, c_row)
                for s in range(0, columns, short.lanes):
                    first = builder.add(j, integer(s))
                    mask = short.first_lanes(builder.sub(columns_left, integer(s)))
                    along = builder.mul(first, d_col)
                    at = [vectors.at(row, along) for row in from_rows]
                    totals = _load_rows(short, at, d_col, mask)
                    for r in range(rows):
                        group = sums[r * columns + s : r * columns + s + short.lanes]
                        totals[r] = builder.fadd(totals[r], vector_sums(builder, dtype, group))
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
                sums = _emit_dots(vectors, lefts, rights, K, together)
                add_sums(i, j, rows_left, columns_left, sums)
            return context.get_dummy_value()

        return signature, codegen

    return block_dots


_dots_one, _dots_several = (_make_dots(*DOT_BLOCKS[name]) for name in ("one", "several"))


def _make_columns(N):
    """Return an intrinsic that computes `columns` for N columns."""

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


#: Row stride of a packed B: panels are stored one after the other, each row by row.
PACKED = np.int64(-1)


@jit(internal=True)
def panel_width(left, itemsize):
    """Return the number of columns of the next panel if ``left`` columns remain."""
    return (
        left if left * itemsize <= PANEL_MOST * VECTOR_BYTES else PANEL * VECTOR_BYTES // itemsize
    )


@out_of_line(lambda zero, *_: (zero,), lambda dtype: (dtype, *[INT] * 12), internal=True)
def product(zero, c, c_row, d, d_row, a, a_row, a_col, b, b_row, M, N, K):
    """Compute C = D + A B with lanes over columns; rows of B, C and D are contiguous.

    Operands are addresses, and strides in elements; ``zero`` gives the dtype. `matmul_add` is the
    function to call.
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
    """Compute C = D + A B with lanes over k; rows of A and columns of B are contiguous.

    Rows of C and D are contiguous, or ``d_col`` is 0. A single column has ``c_row`` 1 and ``d_row``
    0 or 1. See `product` for the arguments.
    """
    standalone()
    if N == 1:  # transposed: the only column becomes a row; D's stride is arbitrary if M = 1
        d_step = d_row if M > 1 else np.int64(0)
        _dots_one(zero, c, c_row, d, d_col, d_step, b, b_col, a, a_row, N, M, K)
    else:
        _dots_several(zero, c, c_row, d, d_row, d_col, a, a_row, b, b_col, M, N, K)


@out_of_line(lambda zero, *_: (zero,), lambda dtype: (dtype, *[INT] * 14), internal=True)
def columns(zero, c, c_row, c_col, d, d_row, d_col, a, a_col, b, b_row, b_col, M, N, K):
    """Compute C = D + A B with lanes over rows, for up to 3 columns; columns of A are contiguous.

    Each element is the sum of `SPLIT` interleaved sums over k; see `product` for the arguments.
    """
    standalone()
    if N == 1:
        _columns_1(zero, c, c_row, c_col, d, d_row, d_col, a, a_col, b, b_row, b_col, M, K)
    elif N == 2:
        _columns_2(zero, c, c_row, c_col, d, d_row, d_col, a, a_col, b, b_row, b_col, M, K)
    else:
        _columns_3(zero, c, c_row, c_col, d, d_row, d_col, a, a_col, b, b_row, b_col, M, K)
