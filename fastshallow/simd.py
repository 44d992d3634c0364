"""Vector instructions: with what is made of them, the place that knows LLVM.

The vector length is the CPU's (AVX-512: 64 bytes, AVX2: 32, else 16); the IR is portable. Lanes
beyond the last value are masked off in loads and stores: nothing outside is touched.

What compiled code calls has a twin in plain Python, for ``NUMBA_DISABLE_JIT=1``.
"""

from __future__ import annotations

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from ._jit import jit

__all__ = [
    "REGISTERS",
    "SPLIT",
    "STACK_BYTES",
    "VECTOR_BYTES",
    "Vectors",
    "address",
    "all_finite",
    "by_dtype",
    "copysign",
    "flat",
    "fma",
    "inlined",
    "on_stack",
    "pick",
    "polynomial",
    "power_of_two",
    "split",
    "standalone",
    "vector_sum",
    "vector_sums",
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

# What a kernel for a few examples may take of the stack.
STACK_BYTES = 1 << 15

# Chains that a sum is split into, to hide the latency of the FMA units.
SPLIT = 4

# Coefficients from which on a polynomial is two chains of multiply-adds, even powers and odd ones.
TWO_CHAINS = 8

_SCALARS = {types.float32: (ir.FloatType(), 4, "f32"), types.float64: (ir.DoubleType(), 8, "f64")}


class Vectors:
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

    def prefetch(self, address):
        """Ask for the cache line of an address, which need not be that of any memory."""
        number, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        function = self._declare("llvm.prefetch.p0", ir.VoidType(), [byte, *[number] * 3])
        read, near, data = (ir.Constant(number, value) for value in (0, 3, 1))
        self.builder.call(function, [self.builder.inttoptr(address, byte), read, near, data])

    def broadcast(self, address):
        return self.splat(self.load_scalar(address))


def vector_sum(vectors, value):
    """Emit the sum of all lanes: halves are added to each other, as long as there are two."""
    builder, half = vectors.builder, vectors.lanes // 2
    while half >= 1:
        low = pick(builder, value, value, range(half))
        high = pick(builder, value, value, range(half, 2 * half))
        value = builder.fadd(low, high)
        half //= 2
    return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))


def vector_sums(vectors, values):
    """Emit one vector that has the `vector_sum` of each of these in its first lanes.

    Halves of two neighbours are added at once, and lie side by side: half the shuffles. They are
    1, 2, 4, ... vectors, as many as there are lanes at most.
    """
    builder, lanes, segment = vectors.builder, vectors.lanes, vectors.lanes // 2
    while segment >= 1:
        low = [i for i in range(2 * lanes) if i // segment % 2 == 0]
        high = [i + segment for i in low]
        values = [
            builder.fadd(pick(builder, x, y, low), pick(builder, x, y, high))
            for x, y in zip(values[::2], values[1::2] or values, strict=True)
        ]
        segment //= 2
    return values[0]


def pick(builder, x, y, lanes):
    """Emit the vector of these lanes of x, and, from their number on, of y."""
    lanes = list(lanes)
    return builder.shuffle_vector(
        x, y, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)
    )


@intrinsic
def _all_finite(typingctx, zero, a, n):
    """Return whether n values from an address on are finite: else x * 0 is NaN."""
    signature = types.boolean(zero, types.intp, types.intp)

    def codegen(context, builder, signature, arguments):
        _, a, n = arguments
        vectors = Vectors(builder, signature.args[0])
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
        return builder.fcmp_ordered("ord", vector_sum(vectors, total), first)

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
def _flat(typingctx, array):
    """Return the memory that an array reaches over, from its first element on, as a 1-D array.

    Its strides are taken to be whole elements, and not negative.
    """

    def codegen(context, builder, signature, arguments):
        source = context.make_array(signature.args[0])(context, builder, arguments[0])
        one, reach = ir.Constant(ir.IntType(64), 1), source.itemsize
        lengths = cgutils.unpack_tuple(builder, source.shape)
        strides = cgutils.unpack_tuple(builder, source.strides)
        for n, stride in zip(lengths, strides, strict=True):
            reach = builder.add(reach, builder.mul(builder.sub(n, one), stride))
        size = builder.sdiv(reach, source.itemsize)
        return _vector(context, builder, signature.return_type, source.data, size)

    return types.Array(array.dtype, 1, "C")(array), codegen


@intrinsic
def _on_stack(typingctx, array):
    """Return STACK_BYTES of the calling function's stack, as an array of the type of another."""

    def codegen(context, builder, signature, arguments):
        result = signature.return_type
        itemsize = context.get_abi_sizeof(context.get_data_type(result.dtype))
        size = ir.Constant(ir.IntType(64), STACK_BYTES // itemsize)
        with builder.goto_entry_block():  # cgutils.alloca_once would write zeros
            memory = builder.alloca(ir.ArrayType(ir.IntType(8), STACK_BYTES))
        memory.align = VECTOR_BYTES
        data = builder.bitcast(memory, context.get_data_type(result.dtype).as_pointer())
        return _vector(context, builder, result, data, size)

    return types.Array(array.dtype, 1, "C")(array), codegen


def _vector(context, builder, result, data, size):
    """Emit a 1-D array over memory that someone else keeps."""
    array = context.make_array(result)(context, builder)
    itemsize = context.get_abi_sizeof(context.get_data_type(result.dtype))
    itemsize = ir.Constant(ir.IntType(64), itemsize)
    populate_array(array, data, [size], [itemsize], itemsize, None)
    return array._getvalue()


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
def _inlined(typingctx):
    """Write the calling function into its callers, whatever LLVM thinks of it.

    A call passes every field of every array in every tuple: a hundred and more values.
    """

    def codegen(context, builder, signature, arguments):
        builder.function.attributes.add("alwaysinline")
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


def _polynomial(single, double):
    """Return the compiled form of `polynomial`."""
    coefficients = {types.float32: single, types.float64: double}

    @intrinsic
    def evaluate(typingctx, x):
        def codegen(context, builder, signature, arguments):
            x, (scalar, _, suffix) = arguments[0], _SCALARS[signature.return_type]
            function = ir.FunctionType(scalar, [scalar] * 3)
            fma = cgutils.get_or_insert_function(builder.module, function, f"llvm.fma.{suffix}")
            constants = [ir.Constant(scalar, c) for c in coefficients[signature.return_type]]

            def horner(constants, x):
                *rest, result = constants
                for c in reversed(rest):
                    result = builder.call(fma, [result, x, c])
                return result

            if len(constants) < TWO_CHAINS:
                return horner(constants, x)
            square = builder.fmul(x, x)
            even, odd = (horner(constants[i::2], square) for i in (0, 1))
            return builder.call(fma, [odd, x, even])

        return x(x), codegen

    return evaluate


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

    def polynomial(single, double):
        """Return the function of x that is a polynomial in plain Python."""

        def evaluate(x):
            *rest, last = single if isinstance(x, np.float32) else double
            result = type(x)(last)
            for c in reversed(rest):
                result = fma(result, x, type(x)(c))
            return result

        return evaluate

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

    def flat(array):
        """Return the memory that an array reaches over as a 1-D array."""
        reach = sum((n - 1) * s for n, s in zip(array.shape, array.strides, strict=True))
        shape = (max(reach, 0) // array.itemsize + 1,)
        return np.lib.stride_tricks.as_strided(array, shape, (array.itemsize,))

    def on_stack(array):
        """Return STACK_BYTES of memory, as an array of the dtype of another."""
        return np.empty(STACK_BYTES // array.itemsize, array.dtype)

    def inlined():
        """Do nothing: there is no compiled code to inline."""

    def standalone():
        """Do nothing: there is no compiled code to keep apart."""

else:
    (
        address,
        copysign,
        flat,
        fma,
        inlined,
        on_stack,
        polynomial,
        power_of_two,
        split,
        standalone,
        view_as,
    ) = (
        _address,
        _copysign,
        _flat,
        _fma,
        _inlined,
        _on_stack,
        _polynomial,
        _power_of_two,
        _split,
        _standalone,
        _view_as,
    )

    @jit
    def all_finite(array, start, n):
        """Return whether n values of a 1-D array are finite."""
        return _all_finite(array.dtype.type(0), address(array, start), n)


def by_dtype(single, double):
    """Return the function of x that is a constant: ``single`` for float32, else ``double``."""
    return polynomial((single,), (double,))
