"""Numba intrinsics: single instructions, addresses, and attributes of functions.

Each has a form in plain Python for ``NUMBA_DISABLE_JIT=1``.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils, errors
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from ..jit.compile import jit
from .vectors import SCALARS, SPLIT, VECTOR_BYTES, Vectors, integer, vector_sum

__all__ = [
    "STACK_BYTES",
    "address",
    "all_finite",
    "by_dtype",
    "copysign",
    "flat",
    "fma",
    "inlined",
    "maximum",
    "minimum",
    "on_stack",
    "polynomial",
    "power_of_two",
    "split",
    "standalone",
    "view_as",
    "where",
]

# Stack memory of a kernel for a few examples.
STACK_BYTES = 1 << 15

# From this many coefficients on, even and odd powers of a polynomial are two independent chains.
TWO_CHAINS_LEAST = 8


@intrinsic
def _all_finite(typingctx, zero, a, n):
    """Return whether n values at an address are finite: x * 0 is NaN for all others."""
    signature = types.boolean(zero, types.intp, types.intp)

    def codegen(context, builder, signature, arguments):
        _, a, n = arguments
        vectors = Vectors(builder, signature.args[0])
        zeros = ir.Constant(vectors.type, [0.0] * vectors.lanes)
        places = [cgutils.alloca_once(builder, vectors.type) for _ in range(SPLIT)]
        for place in places:
            builder.store(zeros, place)

        def add(at, place, mask=None):
            x = vectors.load(vectors.at(a, at), mask)
            builder.store(builder.call(vectors.fma, [x, zeros, builder.load(place)]), place)

        wide = integer(SPLIT * vectors.lanes)
        rounds = builder.sdiv(n, wide)
        with cgutils.for_range(builder, rounds) as loop:
            at = builder.mul(loop.index, wide)
            for s, place in enumerate(places):
                add(builder.add(at, integer(s * vectors.lanes)), place)
        rest = builder.mul(rounds, wide)
        for s, place in enumerate(places):
            at = builder.add(rest, integer(s * vectors.lanes))
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
    """Return the memory from an array's first element to its last as a 1-D array.

    Strides must be multiples of the element size, and not negative.
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
    """Return STACK_BYTES of the calling function's stack as a 1-D array of the same dtype."""

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
    """Emit a 1-D array over memory that it does not own."""
    array = context.make_array(result)(context, builder)
    itemsize = context.get_abi_sizeof(context.get_data_type(result.dtype))
    itemsize = ir.Constant(ir.IntType(64), itemsize)
    populate_array(array, data, [size], [itemsize], itemsize, None)
    return array._getvalue()


@intrinsic
def _standalone(typingctx):
    """Forbid inlining of the calling function, and let its loops use the widest vectors.

    By default LLVM uses 256-bit vectors on processors with 512-bit vectors.
    """

    def codegen(context, builder, signature, arguments):
        # llvmlite's `add` refuses attributes with a value
        wide = f'"prefer-vector-width"="{8 * VECTOR_BYTES}"'
        set.add(builder.function.attributes, wide)
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def _inlined(typingctx):
    """Force inlining of the calling function.

    A call would pass every field of every array in every tuple: a hundred values and more.
    """

    def codegen(context, builder, signature, arguments):
        builder.function.attributes.add("alwaysinline")
        return context.get_dummy_value()

    return types.void(), codegen


def _operation(name, count):
    """Return LLVM's operation ``name`` on ``count`` values of one dtype."""

    def codegen(context, builder, signature, arguments):
        scalar, _, suffix = SCALARS[signature.return_type]
        function = ir.FunctionType(scalar, [scalar] * count)
        function = cgutils.get_or_insert_function(builder.module, function, f"llvm.{name}.{suffix}")
        return builder.call(function, arguments)

    @intrinsic
    def of_two(typingctx, a, b):
        return a(a, a), codegen

    @intrinsic
    def of_three(typingctx, a, b, c):
        return a(a, a, a), codegen

    return {2: of_two, 3: of_three}[count]


_fma, _copysign = _operation("fma", 3), _operation("copysign", 2)
_minimum, _maximum = _operation("minimum", 2), _operation("maximum", 2)


def refuse_others(x):
    """Raise unless a Numba type is float32 or float64."""
    if x not in SCALARS:
        raise errors.TypingError(f"x: expected a float32 or float64; got {x}")


def _polynomial(single, double):
    """Return the compiled form of `polynomial`."""
    coefficients = {types.float32: single, types.float64: double}

    @intrinsic
    def evaluate(typingctx, x):
        refuse_others(x)

        def codegen(context, builder, signature, arguments):
            x, (scalar, _, suffix) = arguments[0], SCALARS[signature.return_type]
            function = ir.FunctionType(scalar, [scalar] * 3)
            fma = cgutils.get_or_insert_function(builder.module, function, f"llvm.fma.{suffix}")
            constants = [ir.Constant(scalar, c) for c in coefficients[signature.return_type]]

            def horner(constants, x):
                *rest, result = constants
                for c in reversed(rest):
                    result = builder.call(fma, [result, x, c])
                return result

            if len(constants) < TWO_CHAINS_LEAST:
                return horner(constants, x)
            square = builder.fmul(x, x)
            even, odd = (horner(constants[i::2], square) for i in (0, 1))
            return builder.call(fma, [odd, x, even])

        return x(x), codegen

    return evaluate


@intrinsic
def _where(typingctx, condition, a, b):
    """Return a if the condition holds, else b.

    LLVM turns a conditional value that is stored where it was loaded into a masked store, which
    takes 16 cycles on Zen 3. The instruction "freeze", which changes no value, prevents this.
    """
    refuse_others(a)
    if a != b:
        raise errors.TypingError(f"b: expected {a}, as a is; got {b}")

    def codegen(context, builder, signature, arguments):
        def frozen(value):
            instruction = ir.instructions.Instruction(builder.block, value.type, "freeze", [value])
            builder._insert(instruction)  # llvmlite has no method for "freeze"
            return instruction

        condition, *values = arguments
        return builder.select(condition, *map(frozen, values))

    return a(condition, a, a), codegen


@intrinsic
def _power_of_two(typingctx, t):
    """Return 2^k from t = k + `elementary.shift`: k plus the bias is in t's last bits."""
    mantissa, width = (23, 32) if t == types.float32 else (52, 64)

    def codegen(context, builder, signature, arguments):
        integer = ir.IntType(width)
        bits = builder.shl(builder.bitcast(arguments[0], integer), ir.Constant(integer, mantissa))
        return builder.bitcast(bits, SCALARS[signature.return_type][0])

    return t(t), codegen


@intrinsic
def _split(typingctx, x):
    """Return m and e of a positive normal x = m 2^e with 1 <= m < 2."""
    refuse_others(x)
    mantissa, bias, width = (23, 127, 32) if x == types.float32 else (52, 1023, 64)

    def codegen(context, builder, signature, arguments):
        word, scalar = ir.IntType(width), SCALARS[x][0]
        places, zero, below, one = (
            ir.Constant(word, value)
            for value in (mantissa, bias, (1 << mantissa) - 1, bias << mantissa)
        )
        bits = builder.bitcast(arguments[0], word)
        exponent = builder.sub(builder.lshr(bits, places), zero)
        m = builder.bitcast(builder.or_(builder.and_(bits, below), one), scalar)
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

    def minimum(a, b):
        """Return the lesser of two values; NaN stays NaN."""
        return np.minimum(a, b)

    def maximum(a, b):
        """Return the greater of two values; NaN stays NaN."""
        return np.maximum(a, b)

    def polynomial(single, double):
        """Return the function of x with these coefficients, the constant first."""

        def evaluate(x):
            *rest, last = single if isinstance(x, np.float32) else double
            result = type(x)(last)
            for c in reversed(rest):
                result = fma(result, x, type(x)(c))
            return result

        return evaluate

    def power_of_two(t):
        """Return 2^k from t = k + `elementary.shift`."""
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

    def where(condition, a, b):
        """Return a if the condition holds, else b."""
        return a if condition else b

    def view_as(array, like):
        """Return the array, because plain Python needs no other type."""
        return array

    def all_finite(array, start, n):
        """Return whether n values of a 1-D array are finite."""
        return bool(np.isfinite(array[start : start + n]).all())

    def flat(array):
        """Return the memory from an array's first element to its last as a 1-D array."""
        reach = sum((n - 1) * s for n, s in zip(array.shape, array.strides, strict=True))
        shape = (max(reach, 0) // array.itemsize + 1,)
        return np.lib.stride_tricks.as_strided(array, shape, (array.itemsize,))

    def on_stack(array):
        """Return STACK_BYTES of memory as a 1-D array of the same dtype."""
        return np.empty(STACK_BYTES // array.itemsize, array.dtype)

    def inlined():
        """Do nothing in plain Python."""

    def standalone():
        """Do nothing in plain Python."""

else:
    (
        address,
        copysign,
        flat,
        fma,
        inlined,
        maximum,
        minimum,
        on_stack,
        polynomial,
        power_of_two,
        split,
        standalone,
        view_as,
        where,
    ) = (
        _address,
        _copysign,
        _flat,
        _fma,
        _inlined,
        _maximum,
        _minimum,
        _on_stack,
        _polynomial,
        _power_of_two,
        _split,
        _standalone,
        _view_as,
        _where,
    )

    @jit
    def all_finite(array, start, n):
        """Return whether n values of a 1-D array are finite."""
        return _all_finite(array.dtype.type(0), address(array, start), n)


def by_dtype(single, double):
    """Return the function of x that returns ``single`` for float32, else ``double``."""
    return polynomial((single,), (double,))
