"""The register tile: GFLOP/s of the products that networks are made of, in the cache, one thread.

Beside it stands what the processor can do at most: multiply-adds of vectors that never leave the
registers, in chains enough to hide their latency, timed in turn with the product.
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

# M, N, K of C = D + A B with 192 examples, and whether A is read transposed, as dW reads A[l-1].
PRODUCTS = {
    "Z of 30-64": (192, 64, 30, False),
    "Z of 64-1": (192, 1, 64, False),
    "dW of 30-64": (30, 64, 192, True),
    "Z of 784-128": (192, 128, 784, False),
}
SECONDS, REPEATS = 2e-3, 25  # of one timing, and timings; the best one counts


@intrinsic
def multiply_add_chains(typingctx, x, start, rounds):
    """Emit a vector multiply-add for each of `chains` sums, ``rounds`` times: s = s x + x."""

    def codegen(context, builder, signature, arguments):
        x, start, rounds = arguments
        vectors = Vectors(builder, signature.args[0])
        factor = vectors.splat(x)
        # two chains with the same first value would be one to the compiler
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
    """Return how many sums stay in registers, beside the factor."""
    return 3 * REGISTERS // 4


@numba.njit
def run_chains(x, start, rounds):
    """Do nothing but multiply and add."""
    return multiply_add_chains(x, start, rounds)


@numba.njit
def run_products(C, D, A, B, M, N, K, rounds):
    """Compute one product again and again."""
    for _ in range(rounds):
        matmul_add(C, D, A, B, M, N, K)


def operands(name, dtype):
    """Return C, D, A, B as the kernels take them, and M, N, K."""
    M, N, K, transposed = PRODUCTS[name]
    rng = np.random.default_rng(0)
    C, D, A, B = (rng.standard_normal(size).astype(dtype) for size in (M * N, M * N, M * K, K * N))
    steps = (1, M) if transposed else (K, 1)
    return Matrix(C, 0, N, 1), Matrix(D, 0, N, 1), Matrix(A, 0, *steps), Matrix(B, 0, N, 1), M, N, K


def gflops(run, work) -> float:
    """Return 10^9 operations a second of one call of ``run(rounds)``, ``work`` each round."""
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
    """Return the GFLOP/s of the product and of multiply-adds alone, the best of each."""
    arguments = operands(name, dtype)
    M, N, K = arguments[-3:]
    one = np.dtype(dtype).type(1)
    lanes = VECTOR_BYTES // one.itemsize
    tile = peak = 0.0

    def products(rounds):
        return run_products(*arguments, rounds)

    def multiply_adds(rounds):  # s = s / 2 + 1 / 2 goes to 1: never infinite, never subnormal
        return run_chains(one / 2, one, rounds)

    for _ in range(REPEATS):
        tile = max(tile, gflops(products, 2 * M * N * K))
        peak = max(peak, gflops(multiply_adds, 2 * lanes * chains()))
    return tile, peak


class RegisterTile:
    """GFLOP/s of a product, and its share of what the processor can do at most."""

    # Set by hand, and raised when the work changes: asv would take every edit for a new work.
    version = "1"
    params = (list(PRODUCTS), ["float32", "float64"])
    param_names = ("product", "dtype")

    def setup(self, name, dtype):
        """Load the kernels, which these functions of ours find in memory."""
        if Vectors is None:
            raise NotImplementedError("an older commit")
        _ = fs.Network((1, 1), dtype=dtype).model

    def track_gflops(self, name, dtype):
        """Track the speed; asv, which takes all that grows for slower, must be read so."""
        return speeds(name, dtype)[0]

    def track_share_of_peak(self, name, dtype):
        """Track the speed over that of multiply-adds alone."""
        tile, peak = speeds(name, dtype)
        return 100 * tile / peak

    track_gflops.unit = "GFLOP/s"
    track_share_of_peak.unit = "%"
