"""Vector instructions for intrinsics: loads, stores, masks, shuffles and sums.

The vector length is that of the processor that Numba compiles for (AVX-512: 64 bytes, AVX2: 32,
others: 16). No result depends on it: a sum over lanes has `SUM_BYTES` of them on every processor.
Only the masked load of AVX2 is not portable. Masked loads and stores touch no memory outside of the
mask.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import llvmlite.binding as llvm
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.codegen import get_host_cpu_features, initialize_llvm

from ..jit.prebuilt import compiled_in

__all__ = [
    "LINE_BYTES",
    "REGISTERS",
    "SCALARS",
    "SHORT_BYTES",
    "SPLIT",
    "SUM_BYTES",
    "SUM_VECTORS",
    "VECTOR_BYTES",
    "Mask",
    "Vectors",
    "integer",
    "opaque",
    "pick",
    "vector_shape",
    "vector_sum",
    "vector_sums",
]


# Code whose assembly shows a target's vectors: kernels need multiply-adds, and integers for masks.
PROBE = """
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
define void @probe(ptr %x, ptr %n) {
  %floats = load <16 x float>, ptr %x
  %fused = call <16 x float> @llvm.fma.v16f32(
    <16 x float> %floats, <16 x float> %floats, <16 x float> %floats)
  store <16 x float> %fused, ptr %x
  %integers = load <16 x i32>, ptr %n
  %product = mul <16 x i32> %integers, %integers
  store <16 x i32> %product, ptr %n
  ret void
}
"""


SHORTEST_SHAPE = 16, 32 if llvm.get_process_triple().startswith(("aarch64", "arm64")) else 16


def vector_shape(cpu: str | None, features: str | None) -> tuple[int, int]:
    """Return the bytes of a vector and the number of vector registers.

    For a named CPU, Numba adds the features of this machine. The vectors use only what both have.
    An unknown name has the shortest vectors.

    Parameters
    ----------
    cpu, features : str or None
        ``NUMBA_CPU_NAME`` and ``NUMBA_CPU_FEATURES``; None if they are not set.

    Examples
    --------
    >>> from fastshallow.simd.vectors import vector_shape
    >>> vector_shape(None, None) in [(16, 16), (16, 32), (32, 16), (64, 32)]
    True
    """
    if features is None and not config.ENABLE_AVX:  # Numba's list keeps VAES, which implies AVX2
        return SHORTEST_SHAPE
    here = cpu in (None, "host")
    if here and features is None:  # the probe would take 20 ms
        found = llvm.get_host_cpu_features()
        if found.get("avx512f"):
            return 64, 32
        if found.get("avx2") and found.get("fma"):
            return 32, 16
        return 16, 32 if found.get("neon") else 16
    target = llvm.get_host_cpu_name() if here else str(cpu)
    shape = _probed(target, get_host_cpu_features() if features is None else features)
    return shape if here or features is not None else min(shape, _probed(target, ""))


def _probed(cpu: str, features: str) -> tuple[int, int]:
    """Return the vector bytes and registers that LLVM uses for `PROBE`."""
    initialize_llvm()
    triple = llvm.get_process_triple()
    if triple.startswith("x86_64"):  # else LLVM would end the process for an unknown name
        features = ",".join(filter(None, [features, "+64bit"]))
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu, features, opt=2)
    code = machine.emit_assembly(llvm.parse_assembly(PROBE))
    fused, product = (
        {
            name
            for line in re.findall(rf"^\s+{instruction}.*", code, re.MULTILINE)
            for name in re.findall(r"[xyz]mm", line)
        }
        for instruction in ("vfn?madd", "v?pmul")
    )
    for name, shape in (("zmm", (64, 32)), ("ymm", (32, 16))):
        if name in fused and name in product:
            return shape
    return SHORTEST_SHAPE


VECTOR_BYTES, REGISTERS = vector_shape(config.CPU_NAME, config.CPU_FEATURES)
compiled_in(vector_bytes=VECTOR_BYTES, registers=REGISTERS)
AVX2 = VECTOR_BYTES == 32

LINE_BYTES = 64

# Bytes of the result of `vector_sums`: the shortest vectors of all processors.
SHORT_BYTES = 16

# Bytes of the lanes of a sum, and how many vectors they are: the longest vectors of all processors,
# so that the order of the additions is the same on each.
SUM_BYTES = 64
SUM_VECTORS = SUM_BYTES // VECTOR_BYTES

# Number of independent parts of a sum, which hide the latency of the FMA units.
SPLIT = 4

SCALARS = {types.float32: (ir.FloatType(), 4, "f32"), types.float64: (ir.DoubleType(), 8, "f64")}


def integer(value: int) -> ir.Constant:
    """Return a 64-bit integer constant, as for addresses and indices."""
    return ir.Constant(ir.IntType(64), value)


def opaque(builder, value: ir.Value) -> ir.Value:
    """Return the same integer, opaque to LLVM's optimiser: an empty assembler instruction."""
    kind = ir.FunctionType(value.type, [value.type])
    return builder.asm(kind, "", "=r,0", [value], False)


class Mask(NamedTuple):
    """Mask of the first ``number`` lanes, clipped to 0 ... lanes."""

    number: Any
    bits: Any


class Vectors:
    """Emits loads, stores and arithmetic on vectors of one dtype."""

    def __init__(self, builder, dtype, size=VECTOR_BYTES):
        self.builder = builder
        self.scalar, self.itemsize, suffix = SCALARS[dtype]
        self.lanes = size // self.itemsize
        self.type = ir.VectorType(self.scalar, self.lanes)
        self.integers = ir.VectorType(ir.IntType(8 * self.itemsize), self.lanes)
        self.name = f"v{self.lanes}{suffix}"
        # not declare_intrinsic: it needs an intrinsic_name, which llvmlite's VectorType lacks
        self.fma = self._declare(f"llvm.fma.{self.name}", self.type, [self.type] * 3)

    def _declare(self, name, result, arguments):
        signature = ir.FunctionType(result, arguments)
        return cgutils.get_or_insert_function(self.builder.module, signature, name)

    def splat(self, scalar):
        undefined = ir.Constant(ir.VectorType(scalar.type, self.lanes), ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, undefined, zeros)

    def first_lanes(self, n):
        """Return the `Mask` of lanes 0 ... n - 1."""
        builder, word = self.builder, self.integers.element
        most = integer(self.lanes)
        # integers as wide as the lanes: with others, LLVM would compute masks in every iteration
        least = builder.select(builder.icmp_signed("<", n, most), n, most)
        least = least if word == n.type else builder.trunc(least, word)
        numbers = ir.Constant(self.integers, list(range(self.lanes)))
        bits = builder.icmp_signed("<", numbers, self.splat(least))
        return Mask(n, builder.sext(bits, self.integers) if AVX2 else bits)

    def at(self, address, *offsets):
        """Emit an address plus offsets in elements."""
        for offset in offsets:
            bytes_ = self.builder.mul(offset, ir.Constant(offset.type, self.itemsize))
            address = self.builder.add(address, bytes_)
        return address

    def load(self, address, mask=None):
        """Emit a load of all lanes, or of the masked ones with zeros in the others."""
        builder = self.builder
        if mask is None:
            pointer = builder.inttoptr(address, self.type.as_pointer())
            return builder.load(pointer, align=self.itemsize, typ=self.type)
        if AVX2:
            name, byte = "ps" if self.itemsize == 4 else "pd", ir.IntType(8).as_pointer()
            width = "" if self.lanes * self.itemsize == SHORT_BYTES else ".256"
            name = f"llvm.x86.avx.maskload.{name}{width}"
            function = self._declare(name, self.type, [byte, self.integers])
            return builder.call(function, [builder.inttoptr(address, byte), mask.bits])
        zeros = ir.Constant(self.type, [0.0] * self.lanes)
        arguments = [*self._place(address), mask.bits, zeros]
        types_ = [argument.type for argument in arguments]
        function = self._declare(f"llvm.masked.load.{self.name}.p0", self.type, types_)
        return builder.call(function, arguments)

    def store(self, value, address, mask=None):
        """Emit a store of all lanes, or of the masked ones."""
        self.store_all([value], [address], mask)

    def store_all(self, values, addresses, mask=None):
        """Emit a store of the same lanes of several vectors."""
        if mask is None:
            for value, address in zip(values, addresses, strict=True):
                pointer = self.builder.inttoptr(address, value.type.as_pointer())
                self.builder.store(value, pointer, align=self.itemsize)
        elif AVX2:
            self._store_parts(values, addresses, mask.number)
        else:
            for value, address in zip(values, addresses, strict=True):
                arguments = [value, *self._place(address), mask.bits]
                types_ = [argument.type for argument in arguments]
                name = f"llvm.masked.store.{self.name}.p0"
                self.builder.call(self._declare(name, ir.VoidType(), types_), arguments)

    def _place(self, address):
        """Return pointer and alignment of a vector for a masked load or store."""
        pointer = self.builder.inttoptr(address, self.type.as_pointer())
        return pointer, ir.Constant(ir.IntType(32), self.itemsize)

    def _store_parts(self, values, addresses, n):
        """Emit stores of the first n lanes as stores of 4, 2 and 1 lanes, by the bits of n.

        A masked store takes 16 cycles on Zen 3, a plain store 1.
        """
        builder, part = self.builder, self.lanes // 2
        n = builder.select(builder.icmp_signed("<", n, integer(0)), integer(0), n)
        whole = builder.icmp_signed(">=", n, integer(self.lanes))
        with builder.if_else(whole) as (all_of_them, some):
            with all_of_them:
                self.store_all(values, addresses)
            with some:
                while part:
                    values, addresses = self._store_part(values, addresses, n, part)
                    part //= 2

    def _store_part(self, values, addresses, n, part):
        """Emit stores of the first ``part`` lanes if n has this bit; return the remaining lanes."""
        builder = self.builder
        low, high = (
            [pick(builder, value, value, range(start, start + part)) for value in values]
            for start in (0, part)
        )
        size = integer(part * self.itemsize)
        before, stored = builder.block, builder.and_(n, integer(part))
        with builder.if_then(builder.icmp_signed("!=", stored, integer(0))):
            self.store_all(low, addresses)
            behind = [builder.add(address, size) for address in addresses]
            inside = builder.block

        def either(x, y):
            phi = builder.phi(x.type)
            phi.add_incoming(x, inside)
            phi.add_incoming(y, before)
            return phi

        return tuple(list(map(either, *pair)) for pair in ((high, low), (behind, addresses)))

    def load_scalar(self, address):
        pointer = self.builder.inttoptr(address, self.scalar.as_pointer())
        return self.builder.load(pointer, align=self.itemsize, typ=self.scalar)

    def store_scalar(self, value, address):
        pointer = self.builder.inttoptr(address, self.scalar.as_pointer())
        self.builder.store(value, pointer, align=self.itemsize)

    def prefetch(self, address, to_write=False):
        """Emit a prefetch of an address, which may be invalid."""
        number, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        function = self._declare("llvm.prefetch.p0", ir.VoidType(), [byte, *[number] * 3])
        how = [ir.Constant(number, value) for value in (int(to_write), 3, 1)]  # cached, data
        self.builder.call(function, [self.builder.inttoptr(address, byte), *how])

    def broadcast(self, address):
        return self.splat(self.load_scalar(address))


def vector_sum(vectors, value):
    """Emit the sum of all lanes: the halves of the vector are added repeatedly."""
    builder, half = vectors.builder, vectors.lanes // 2
    while half >= 1:
        low = pick(builder, value, value, range(half))
        high = pick(builder, value, value, range(half, 2 * half))
        value = builder.fadd(low, high)
        half //= 2
    return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))


def vector_sums(builder, dtype, values):
    """Emit one vector of `SHORT_BYTES`: lane i is the sum of all lanes of ``values[i]``.

    A value is a list of `SUM_VECTORS` vectors. Its halves are added. Then neighbouring values are
    added in pairs within 16 bytes, where shuffles are cheapest; the two quarters come last.
    """
    values = [_halved(builder, parts) for parts in values]
    lanes, group = Vectors(builder, dtype, SUM_BYTES // 2).lanes, len(values)
    distance = group // 2
    while distance >= 1:
        low = [
            side * lanes + start + i
            for start in range(0, lanes, group)
            for side in (0, 1)
            for i in range(group)
            if not i & distance
        ]
        high = [i + distance for i in low]
        values = [
            builder.fadd(pick(builder, x, y, low), pick(builder, x, y, high))
            for x, y in zip(values[::2], values[1::2], strict=True)
        ]
        distance //= 2
    (total,) = values
    low, high = (pick(builder, total, total, range(i, i + group)) for i in (0, group))
    return builder.fadd(low, high)


def _halved(builder, parts):
    """Emit the vector of SUM_BYTES // 2 that is the sum of a value's halves."""
    count = parts[0].type.count
    if len(parts) == 1:
        (whole,) = parts
        low, high = (pick(builder, whole, whole, range(i, i + count // 2)) for i in (0, count // 2))
        return builder.fadd(low, high)
    half = len(parts) // 2
    sums = [builder.fadd(x, y) for x, y in zip(parts[:half], parts[half:], strict=True)]
    return sums[0] if half == 1 else pick(builder, sums[0], sums[1], range(2 * count))


def pick(builder, x, y, lanes):
    """Emit the vector of chosen lanes; lanes of y are numbered after those of x."""
    lanes = list(lanes)
    return builder.shuffle_vector(
        x, y, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)
    )
