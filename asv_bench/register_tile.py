"""GFLOP/s of matrix products of typical layers, in the cache, on one thread.

The reference is the processor's peak: multiply-adds on registers, with enough independent sums to
hide their latency. Product and reference are timed alternately.
"""

from __future__ import annotations

import functools
import time

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

import fastshallow as fs

try:
    from fastshallow.simd.matmul import Matrix, matmul_add
    from fastshallow.simd.vectors import REGISTERS, VECTOR_BYTES, Vectors
except ImportError:  # a commit before the wings
    try:
        from fastshallow.matmul import Matrix, matmul_add
        from fastshallow.vectors import REGISTERS, VECTOR_BYTES, Vectors
    except ImportError:  # an older one still
        Vectors = None

# M, N, K of C = D + A B with 192 examples, and whether A is transposed, as A[l-1] in dW.
PRODUCTS = {
    "Z of 30-64": (192, 64, 30, False),
    "Z of 64-1": (192, 1, 64, False),
    "dW of 30-64": (30, 64, 192, True),
    "Z of 784-128": (192, 128, 784, False),
}
SECONDS, REPEATS = 2e-3, 25  # least time of a timing, and number of timings


@intrinsic
def multiply_add_chains(typingctx, x, start, rounds):
    """Emit the multiply-add s = s x + x for each of `chains` sums, ``rounds`` times."""

    def codegen(context, builder, signature, arguments):
        x, start, rounds = arguments
        vectors = Vectors(builder, signature.args[0])
        factor = vectors.splat(x)
        # different first values, because the compiler would merge equal chains
        value, sums = start, []
        for _ in range(chains()):
            sums.append(cgutils.alloca_once_value(builder, vectors.splat(value)))
            value = builder.fadd(value, start)
        with cgutils.for_range(builder, rounds):
            for place in sums:
                total = builder.call(vectors.fma, [builder.load(place), factor, factor])
                builder.store(total, place)
        total = builder.load(sums[0])
        for place in sums[1:]:
            total = builder.fadd(total, builder.load(place))
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return x(x, start, types.intp), codegen


def chains() -> int:
    """Return the number of independent sums in registers."""
    return 3 * REGISTERS // 4


@numba.njit
def run_chains(x, start, rounds):
    """Compute multiply-adds only."""
    return multiply_add_chains(x, start, rounds)


@numba.njit
def run_products(C, D, A, B, M, N, K, rounds):
    """Compute one product ``rounds`` times."""
    for _ in range(rounds):
        matmul_add(C, D, A, B, M, N, K)


def operands(name, dtype):
    """Return C, D, A, B, M, N, K for `matmul_add`."""
    M, N, K, transposed = PRODUCTS[name]
    rng = np.random.default_rng(0)
    C, D, A, B = (rng.standard_normal(size).astype(dtype) for size in (M * N, M * N, M * K, K * N))
    steps = (1, M) if transposed else (K, 1)
    return Matrix(C, 0, N, 1), Matrix(D, 0, N, 1), Matrix(A, 0, *steps), Matrix(B, 0, N, 1), M, N, K


def gflops(run, work) -> float:
    """Return the GFLOP/s of ``run(rounds)`` with ``work`` operations per round."""
    rounds = 1
    while True:
        began = time.perf_counter()
        run(rounds)
        seconds = time.perf_counter() - began
        if seconds > SECONDS:
            return work * rounds / seconds / 1e9
        rounds *= 2


@functools.cache
def speeds(name, dtype) -> tuple[float, float]:
    """Return the largest GFLOP/s of the product and of multiply-adds alone."""
    arguments = operands(name, dtype)
    M, N, K = arguments[-3:]
    one = np.dtype(dtype).type(1)
    lanes = VECTOR_BYTES // one.itemsize
    tile = peak = 0.0

    def products(rounds):
        return run_products(*arguments, rounds)

    def multiply_adds(rounds):  # s / 2 + 1 / 2 converges to 1: no infinite or subnormal values
        return run_chains(one / 2, one, rounds)

    for _ in range(REPEATS):
        tile = max(tile, gflops(products, 2 * M * N * K))
        peak = max(peak, gflops(multiply_adds, 2 * lanes * chains()))
    return tile, peak


class RegisterTile:
    """GFLOP/s of a product, and its share of the processor's peak."""

    version = "1"
    params = (list(PRODUCTS), ["float32", "float64"])
    param_names = ("product", "dtype")

    def setup(self, name, dtype):
        """Load the kernels that the functions above call."""
        if Vectors is None:
            raise NotImplementedError("an older commit")
        _ = fs.Network((1, 1), dtype=dtype).model

    def track_gflops(self, name, dtype):
        """Track the speed. Larger is better, although asv reports an increase as a regression."""
        return speeds(name, dtype)[0]

    def track_share_of_peak(self, name, dtype):
        """Track the speed relative to multiply-adds alone."""
        tile, peak = speeds(name, dtype)
        return 100 * tile / peak

    track_gflops.unit = "GFLOP/s"
    track_share_of_peak.unit = "%"
