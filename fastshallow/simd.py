"""Vector instructions: the only module that knows LLVM.

The register tile
    .. math:: C_{rj} = D_{rj} + \\sum_k A_{rk} B_{kj}

    for MR rows r and NV vectors of lanes j, which stay in registers for the whole sum over k.
    A is read one scalar at a time and broadcast to all lanes, so it may have any strides; rows
    of B, C and D are contiguous. Each element is one chain of fused multiply-adds in rising k,
    whatever the tile's shape: the same bits wherever a row or column falls.

The vector length is the CPU's (AVX-512: 64 bytes, AVX2: 32, else 16); the IR is portable. Lanes
beyond the last column are masked off in loads and stores: nothing outside is touched.

Everything here has a twin in plain Python for ``NUMBA_DISABLE_JIT=1``, where it has a meaning.
"""

from __future__ import annotations

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic

from ._jit import jit
from ._linking import INT, out_of_line

__all__ = [
    "PACKED",
    "PANEL_BYTES",
    "VECTOR_BYTES",
    "address",
    "column",
    "copysign",
    "dots",
    "fma",
    "power_of_two",
    "product",
    "split",
    "standalone",
    "view_as",
]


def _vector_bytes() -> tuple[int, int]:
    """Return the bytes of a vector and how many vector registers there are."""
    features = llvm.get_host_cpu_features()
    if config.CPU_NAME not in (None, "host"):  # another target was asked for: be cautious
        return (32, 16) if config.CPU_NAME in ("haswell", "znver3") else (16, 16)
    if features.get("avx512f"):
        return 64, 32
    if features.get("avx2") and features.get("fma"):
        return 32, 16
    return 16, 32 if features.get("neon") else 16


VECTOR_BYTES, REGISTERS = _vector_bytes()

# Vectors of a full panel and rows by the number of vectors. NV * MR accumulators, NV vectors of
# B and a broadcast fit the registers, and 12 or more chains hide the latency of the FMA units.
PANEL = 4 if REGISTERS == 32 else 2
PANEL_BYTES = PANEL * VECTOR_BYTES
ROWS = {1: (12, 4, 1), 2: (12, 4, 1), 3: (8, 4, 1), 4: (6, 4, 2, 1)}
if REGISTERS == 16:
    ROWS = {1: (8, 4, 1), 2: (6, 4, 2, 1)}

_SCALARS = {types.float32: (ir.FloatType(), 4, "f32"), types.float64: (ir.DoubleType(), 8, "f64")}


class _Vectors:
    """Loads, stores and arithmetic on vectors of one dtype, in one LLVM function."""

    def __init__(self, builder, dtype):
        self.builder = builder
        self.scalar, self.itemsize, suffix = _SCALARS[dtype]
        self.lanes = VECTOR_BYTES // self.itemsize
        self.type = ir.VectorType(self.scalar, self.lanes)
        name = f"v{self.lanes}{suffix}"
        pointer = self.type.as_pointer()
        self.mask_type = ir.VectorType(ir.IntType(1), self.lanes)
        # llvmlite's VectorType has no intrinsic_name, so declare_intrinsic cannot be used here
        self.fma = self._declare(f"llvm.fma.{name}", self.type, [self.type] * 3)
        self.masked_load = self._declare(
            f"llvm.masked.load.{name}.p0",
            self.type,
            [pointer, ir.IntType(32), self.mask_type, self.type],
        )
        self.masked_store = self._declare(
            f"llvm.masked.store.{name}.p0",
            ir.VoidType(),
            [self.type, pointer, ir.IntType(32), self.mask_type],
        )

    def _declare(self, name, result, arguments):
        signature = ir.FunctionType(result, arguments)
        return cgutils.get_or_insert_function(self.builder.module, signature, name)

    def splat(self, scalar):
        undefined = ir.Constant(ir.VectorType(scalar.type, self.lanes), ir.Undefined)
        zero = ir.Constant(ir.IntType(32), 0)
        first = self.builder.insert_element(undefined, scalar, zero)
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, undefined, zeros)

    def first_lanes(self, n):
        """Return the mask of lanes 0 ... n - 1."""
        lane = ir.IntType(64)
        numbers = ir.Constant(ir.VectorType(lane, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", numbers, self.splat(n))

    def at(self, address, *offsets):
        """Return the pointer to the element that the offsets, in elements, add up to."""
        for offset in offsets:
            bytes_ = self.builder.mul(offset, ir.Constant(offset.type, self.itemsize))
            address = self.builder.add(address, bytes_)
        return address

    def load(self, address, mask=None):
        pointer = self.builder.inttoptr(address, self.type.as_pointer())
        if mask is None:
            return self.builder.load(pointer, align=self.itemsize, typ=self.type)
        align = ir.Constant(ir.IntType(32), self.itemsize)
        zeros = ir.Constant(self.type, [0.0] * self.lanes)
        return self.builder.call(self.masked_load, [pointer, align, mask, zeros])

    def store(self, value, address, mask=None):
        pointer = self.builder.inttoptr(address, self.type.as_pointer())
        if mask is None:
            self.builder.store(value, pointer, align=self.itemsize)
        else:
            align = ir.Constant(ir.IntType(32), self.itemsize)
            self.builder.call(self.masked_store, [value, pointer, align, mask])

    def load_scalar(self, address):
        pointer = self.builder.inttoptr(address, self.scalar.as_pointer())
        return self.builder.load(pointer, align=self.itemsize, typ=self.scalar)

    def store_scalar(self, value, address):
        pointer = self.builder.inttoptr(address, self.scalar.as_pointer())
        self.builder.store(value, pointer, align=self.itemsize)

    def broadcast(self, address):
        return self.splat(self.load_scalar(address))


def _emit_tile(vectors, rows, NV, mask, operands, r, K):
    """Emit the register tile of ``rows`` rows, the first of them row ``r``."""
    builder = vectors.builder
    c, c_row, d, d_row, a, a_row, a_col, b, b_row = operands
    masks = [None] * (NV - 1) + [mask]
    constant = lambda value: ir.Constant(ir.IntType(64), value)  # noqa: E731
    step = constant(vectors.lanes)
    sums = []
    for i in range(rows):
        row = vectors.at(d, builder.mul(builder.add(r, constant(i)), d_row))
        for v in range(NV):
            place = cgutils.alloca_once(builder, vectors.type)
            value = vectors.load(vectors.at(row, builder.mul(step, constant(v))), masks[v])
            builder.store(value, place)
            sums.append(place)
    a_first = vectors.at(a, builder.mul(r, a_row))
    with cgutils.for_range(builder, K) as loop:
        b_k = vectors.at(b, builder.mul(loop.index, b_row))
        a_k = vectors.at(a_first, builder.mul(loop.index, a_col))
        b_vectors = [
            vectors.load(vectors.at(b_k, builder.mul(step, constant(v))), masks[v])
            for v in range(NV)
        ]
        for i in range(rows):
            x = vectors.broadcast(vectors.at(a_k, builder.mul(constant(i), a_row)))
            for v in range(NV):
                place = sums[i * NV + v]
                total = builder.call(vectors.fma, [x, b_vectors[v], builder.load(place)])
                builder.store(total, place)
    for i in range(rows):
        row = vectors.at(c, builder.mul(builder.add(r, constant(i)), c_row))
        for v in range(NV):
            address_ = vectors.at(row, builder.mul(step, constant(v)))
            vectors.store(builder.load(sums[i * NV + v]), address_, masks[v])


def _make_panel(NV, masked):
    """Return an intrinsic that computes all M rows of a panel of NV vectors of columns."""

    @intrinsic
    def panel(typingctx, zero, c, c_row, d, d_row, a, a_row, a_col, b, b_row, M, K, lanes):
        signature = types.void(zero, *[types.intp] * 12)

        def codegen(context, builder, signature, arguments):
            *operands, M, K, lanes = arguments[1:]
            vectors = _Vectors(builder, signature.args[0])
            mask = vectors.first_lanes(lanes) if masked else None
            at = ir.Constant(M.type, 0)
            for rows in ROWS[NV]:
                step = ir.Constant(M.type, rows)
                count = builder.sdiv(builder.sub(M, at), step)
                with cgutils.for_range(builder, count) as loop:
                    r = builder.add(at, builder.mul(loop.index, step))
                    _emit_tile(vectors, rows, NV, mask, operands, r, K)
                at = builder.add(at, builder.mul(count, step))
            return context.get_dummy_value()

        return signature, codegen

    return panel


_panel_full = _make_panel(PANEL, masked=False)
_panel_1, _panel_2, _panel_3, _panel_4 = (
    _make_panel(min(NV, PANEL), masked=True) for NV in (1, 2, 3, 4)
)


def _vector_sum(vectors, value):
    """Emit the sum of all lanes: halves are added to each other, as long as there are two."""
    builder, half = vectors.builder, vectors.lanes // 2
    while half >= 1:
        undefined = ir.Constant(value.type, ir.Undefined)
        pick = lambda first, n=half: ir.Constant(  # noqa: E731
            ir.VectorType(ir.IntType(32), n), [first + i for i in range(n)]
        )
        low = builder.shuffle_vector(value, undefined, pick(0))
        high = builder.shuffle_vector(value, undefined, pick(half))
        value = builder.fadd(low, high)
        half //= 2
    return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))


DOT_ROWS = (8, 4, 2, 1)


@intrinsic
def _dots(typingctx, zero, c, c_row, d, d_row, a, a_row, b, M, K):
    """Emit C[r] = D[r] + sum_k A[r, k] b[k], lanes over k: A and b contiguous in k."""
    signature = types.void(zero, *[types.intp] * 9)

    def codegen(context, builder, signature, arguments):
        _, c, c_row, d, d_row, a, a_row, b, M, K = arguments
        vectors = _Vectors(builder, signature.args[0])
        constant = lambda value: ir.Constant(M.type, value)  # noqa: E731
        whole = builder.sdiv(K, constant(vectors.lanes))
        first = builder.mul(whole, constant(vectors.lanes))
        mask = vectors.first_lanes(builder.sub(K, first))
        at = constant(0)
        for rows in DOT_ROWS:
            count = builder.sdiv(builder.sub(M, at), constant(rows))
            with cgutils.for_range(builder, count) as block:
                r = builder.add(at, builder.mul(block.index, constant(rows)))
                places = [
                    cgutils.alloca_once_value(builder, ir.Constant(vectors.type, None))
                    for _ in range(rows)
                ]
                row = lambda i, r=r: builder.add(r, constant(i))  # noqa: E731

                def add_products(k, mask=None, rows=rows, places=places, row=row):
                    w = vectors.load(vectors.at(b, k), mask)
                    for i in range(rows):
                        x = vectors.load(vectors.at(a, builder.mul(row(i), a_row), k), mask)
                        total = builder.call(vectors.fma, [x, w, builder.load(places[i])])
                        builder.store(total, places[i])

                for place in places:
                    builder.store(ir.Constant(vectors.type, None), place)
                with cgutils.for_range(builder, whole) as loop:
                    add_products(builder.mul(loop.index, constant(vectors.lanes)))
                add_products(first, mask)
                for i in range(rows):
                    total = _vector_sum(vectors, builder.load(places[i]))
                    bias = vectors.load_scalar(vectors.at(d, builder.mul(row(i), d_row)))
                    where = vectors.at(c, builder.mul(row(i), c_row))
                    vectors.store_scalar(builder.fadd(bias, total), where)
            at = builder.add(at, builder.mul(count, constant(rows)))
        return context.get_dummy_value()

    return signature, codegen


SPLIT = 4  # chains that a sum over k is split into, to hide the latency of the FMA units


@intrinsic
def _column(typingctx, zero, c, c_row, d, d_row, a, a_col, b, b_row, M, K):
    """Emit C[r] = D[r] + sum_k A[r, k] b[k], lanes over r: A contiguous in r, any other strides.

    The sum over k is split into chains of every SPLIT-th k.
    """
    signature = types.void(zero, *[types.intp] * 10)

    def codegen(context, builder, signature, arguments):
        _, c, c_row, d, d_row, a, a_col, b, b_row, M, K = arguments
        vectors = _Vectors(builder, signature.args[0])
        constant = lambda value: ir.Constant(M.type, value)  # noqa: E731
        lanes = constant(vectors.lanes)
        parts = builder.sdiv(builder.add(M, constant(vectors.lanes - 1)), lanes)
        kept = cgutils.alloca_once(builder, vectors.type)
        places = [cgutils.alloca_once(builder, vectors.type) for _ in range(SPLIT)]
        with cgutils.for_range(builder, parts) as part:
            r = builder.mul(part.index, lanes)
            rest = builder.sub(M, r)
            n = builder.select(builder.icmp_signed("<", rest, lanes), rest, lanes)
            mask = vectors.first_lanes(n)
            column = vectors.at(a, r)

            def add_product(k, place, mask=mask, column=column):
                x = vectors.load(vectors.at(column, builder.mul(k, a_col)), mask)
                y = vectors.broadcast(vectors.at(b, builder.mul(k, b_row)))
                builder.store(builder.call(vectors.fma, [x, y, builder.load(place)]), place)

            for place in places:
                builder.store(ir.Constant(vectors.type, None), place)
            split = constant(SPLIT)
            rounds = builder.sdiv(K, split)
            with cgutils.for_range(builder, rounds) as loop:
                k = builder.mul(loop.index, split)
                for s in range(SPLIT):
                    add_product(builder.add(k, constant(s)), places[s])
            with cgutils.for_range(builder, K, start=builder.mul(rounds, split)) as loop:
                add_product(loop.index, places[0])
            s0, s1, s2, s3 = (builder.load(place) for place in places)
            builder.store(builder.fadd(builder.fadd(s0, s1), builder.fadd(s2, s3)), kept)
            address_of_kept = builder.ptrtoint(kept, M.type)
            with cgutils.for_range(builder, n) as loop:  # C and D may have any stride
                i = builder.add(r, loop.index)
                total = vectors.load_scalar(vectors.at(address_of_kept, loop.index))
                start = vectors.load_scalar(vectors.at(d, builder.mul(i, d_row)))
                where = vectors.at(c, builder.mul(i, c_row))
                vectors.store_scalar(builder.fadd(start, total), where)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def _all_finite(typingctx, zero, a, n):
    """Return whether n values from an address on are finite: else x * 0 is NaN."""
    signature = types.boolean(zero, types.intp, types.intp)

    def codegen(context, builder, signature, arguments):
        _, a, n = arguments
        vectors = _Vectors(builder, signature.args[0])
        constant = lambda value: ir.Constant(n.type, value)  # noqa: E731
        zeros = ir.Constant(vectors.type, [0.0] * vectors.lanes)
        places = [cgutils.alloca_once(builder, vectors.type) for _ in range(SPLIT)]
        for place in places:
            builder.store(zeros, place)

        def add(at, place, mask=None):
            x = vectors.load(vectors.at(a, at), mask)
            builder.store(builder.call(vectors.fma, [x, zeros, builder.load(place)]), place)

        wide = constant(SPLIT * vectors.lanes)
        rounds = builder.sdiv(n, wide)
        with cgutils.for_range(builder, rounds) as loop:
            at = builder.mul(loop.index, wide)
            for s, place in enumerate(places):
                add(builder.add(at, constant(s * vectors.lanes)), place)
        rest = builder.mul(rounds, wide)
        for s, place in enumerate(places):
            at = builder.add(rest, constant(s * vectors.lanes))
            add(at, place, vectors.first_lanes(builder.sub(n, at)))
        total = builder.load(places[0])
        for place in places[1:]:
            total = builder.fadd(total, builder.load(place))
        first = ir.Constant(vectors.scalar, 0.0)
        return builder.fcmp_ordered("ord", _vector_sum(vectors, total), first)

    return signature, codegen


@intrinsic
def _address(typingctx, array, index):
    """Return the address of an element of a 1-D array, as an integer."""
    signature = types.intp(array, types.intp)

    def codegen(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.ptrtoint(builder.gep(data, [arguments[1]]), ir.IntType(64))

    return signature, codegen


@intrinsic
def _view_as(typingctx, array, like):
    """Return a 1-D array's memory as an array of the type of ``like``."""

    def codegen(context, builder, signature, arguments):
        source = context.make_array(signature.args[0])(context, builder, arguments[0])
        view = context.make_array(signature.return_type)(context, builder)
        for field in ("meminfo", "parent", "nitems", "itemsize", "shape", "strides"):
            setattr(view, field, getattr(source, field))
        view.data = builder.bitcast(source.data, view.data.type)
        return impl_ret_borrowed(context, builder, signature.return_type, view._getvalue())

    return like(array, like), codegen


@intrinsic
def _standalone(typingctx):
    """Keep the calling function out of its callers, and its loops on the widest vectors.

    LLVM prefers 256-bit vectors on CPUs that have 512-bit ones.
    """

    def codegen(context, builder, signature, arguments):
        # llvmlite knows the plain attributes only, so this one goes past its check
        wide = f'"prefer-vector-width"="{8 * VECTOR_BYTES}"'
        set.add(builder.function.attributes, wide)
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def _fma(typingctx, a, b, c):
    """Return a * b + c, rounded once."""

    def codegen(context, builder, signature, arguments):
        scalar, _, suffix = _SCALARS[signature.return_type]
        name = f"llvm.fma.{suffix}"
        function = ir.FunctionType(scalar, [scalar] * 3)
        fma = cgutils.get_or_insert_function(builder.module, function, name)
        return builder.call(fma, arguments)

    return a(a, a, a), codegen


@intrinsic
def _copysign(typingctx, a, b):
    """Return a with the sign of b."""

    def codegen(context, builder, signature, arguments):
        scalar, _, suffix = _SCALARS[signature.return_type]
        name = f"llvm.copysign.{suffix}"
        function = ir.FunctionType(scalar, [scalar] * 2)
        return builder.call(
            cgutils.get_or_insert_function(builder.module, function, name), arguments
        )

    return a(a, a), codegen


@intrinsic
def _power_of_two(typingctx, t):
    """Return 2^k from t = k + the shift and bias of `elementary`: k is t's last bits."""
    mantissa, width = (23, 32) if t == types.float32 else (52, 64)

    def codegen(context, builder, signature, arguments):
        integer = ir.IntType(width)
        bits = builder.shl(builder.bitcast(arguments[0], integer), ir.Constant(integer, mantissa))
        return builder.bitcast(bits, _SCALARS[signature.return_type][0])

    return t(t), codegen


@intrinsic
def _split(typingctx, x):
    """Return m and e of a positive normal x = m 2^e with 1 <= m < 2."""
    mantissa, bias, width = (23, 127, 32) if x == types.float32 else (52, 1023, 64)

    def codegen(context, builder, signature, arguments):
        integer, scalar = ir.IntType(width), _SCALARS[x][0]
        constant = lambda value: ir.Constant(integer, value)  # noqa: E731
        bits = builder.bitcast(arguments[0], integer)
        exponent = builder.sub(builder.lshr(bits, constant(mantissa)), constant(bias))
        kept = builder.and_(bits, constant((1 << mantissa) - 1))
        m = builder.bitcast(builder.or_(kept, constant(bias << mantissa)), scalar)
        e = builder.sitofp(exponent, scalar)
        return context.make_tuple(builder, signature.return_type, (m, e))

    return types.UniTuple(x, 2)(x), codegen


if config.DISABLE_JIT:

    def copysign(a, b):
        """Return a with the sign of b."""
        return np.copysign(a, b)

    def fma(a, b, c):
        """Return a * b + c."""
        return a * b + c

    def power_of_two(t):
        """Return 2^k from t = k + the shift and bias of `elementary`."""
        integer, mantissa = (np.int32, 23) if isinstance(t, np.float32) else (np.int64, 52)
        bits = np.left_shift(np.asarray(t).view(integer), mantissa, dtype=integer)
        return bits.view(np.asarray(t).dtype)[()]

    def address(array, index):
        """Return the address of an element of a 1-D array."""
        return array.ctypes.data + index * array.itemsize

    def split(x):
        """Return m and e of a positive x = m 2^e with 1 <= m < 2."""
        m, e = np.frexp(x)
        return m + m, type(x)(e - 1)

    def view_as(array, like):
        """Return the array: plain Python does not mind its type."""
        return array

    def all_finite(array, start, n):
        """Return whether n values of a 1-D array are finite."""
        return bool(np.isfinite(array[start : start + n]).all())

    def standalone():
        """Do nothing: there is no compiled code to keep apart."""

else:
    address, copysign, fma, power_of_two, split, standalone, view_as = (
        _address,
        _copysign,
        _fma,
        _power_of_two,
        _split,
        _standalone,
        _view_as,
    )

    @jit
    def all_finite(array, start, n):
        """Return whether n values of a 1-D array are finite."""
        return _all_finite(array.dtype.type(0), address(array, start), n)


#: As the row stride of B: its panels lie one behind the other, each row by row.
PACKED = -1


@out_of_line(lambda zero, *_: (zero,), lambda dtype: (dtype, *[INT] * 13))
def product(zero, itemsize, c, c_row, d, d_row, a, a_row, a_col, b, b_row, M, N, K):
    """C = D + A B, lanes over the columns of C: rows of B, C and D are contiguous.

    Operands are addresses and strides in elements; ``zero`` gives their dtype. `matmul_add` is
    the function to call.
    """
    standalone()
    lanes = VECTOR_BYTES // itemsize
    width = PANEL * lanes
    for j in range(0, N, width):
        left = min(width, N - j)
        c_j, d_j = c + j * itemsize, d + j * itemsize
        if b_row == PACKED:
            b_j, row = b + j * K * itemsize, left
        else:
            b_j, row = b + j * itemsize, b_row
        NV = (left + lanes - 1) // lanes
        last = left - (NV - 1) * lanes
        if left == width:
            _panel_full(zero, c_j, c_row, d_j, d_row, a, a_row, a_col, b_j, row, M, K, lanes)
        elif NV == 1:
            _panel_1(zero, c_j, c_row, d_j, d_row, a, a_row, a_col, b_j, row, M, K, last)
        elif NV == 2:
            _panel_2(zero, c_j, c_row, d_j, d_row, a, a_row, a_col, b_j, row, M, K, last)
        elif NV == 3:
            _panel_3(zero, c_j, c_row, d_j, d_row, a, a_row, a_col, b_j, row, M, K, last)
        else:
            _panel_4(zero, c_j, c_row, d_j, d_row, a, a_row, a_col, b_j, row, M, K, last)


@out_of_line(lambda zero, *_: (zero,), lambda dtype: (dtype, *[INT] * 9))
def dots(zero, c, c_row, d, d_row, a, a_row, b, M, K):
    """C[r] = D[r] + sum_k A[r, k] b[k], lanes over k; see `product` for the arguments."""
    standalone()
    _dots(zero, c, c_row, d, d_row, a, a_row, b, M, K)


@out_of_line(lambda zero, *_: (zero,), lambda dtype: (dtype, *[INT] * 10))
def column(zero, c, c_row, d, d_row, a, a_col, b, b_row, M, K):
    """C[r] = D[r] + sum_k A[r, k] b[k], lanes over r; see `product` for the arguments."""
    standalone()
    _column(zero, c, c_row, d, d_row, a, a_col, b, b_row, M, K)
