"""The bits are the same on every CPU with fused multiply-add, whatever its vectors."""

from __future__ import annotations

import llvmlite.binding
import pytest
from processes import TESTS, run

from fastshallow.simd.vectors import VECTOR_BYTES

HASWELL = {
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+avx,+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+popcnt,+sse4.2",
}

pytestmark = pytest.mark.skipif(
    not llvmlite.binding.get_host_cpu_features().get("fma"),
    reason="names of x86's CPUs; other bits are right without a fused multiply-add",
)


def trainings(*dtypes, length=None, **environment):
    """Return the lines of `trainings`, of kernels with vectors of ``length`` bytes."""
    start = [] if length is None else [str(TESTS / "vector_length.py"), str(length)]
    lines = run([*start, str(TESTS / "trainings.py"), *dtypes], **environment).splitlines()
    assert len(lines) > 90
    return lines


def test_kernels_with_vectors_of_another_length(tmp_path):
    other = 32 if VECTOR_BYTES == 64 else 64
    assert trainings(length=other, NUMBA_CACHE_DIR=str(tmp_path)) == trainings()


def test_kernels_for_another_cpu():
    assert trainings("float32", **HASWELL) == trainings("float32")


@pytest.mark.slow
@pytest.mark.parametrize("length", [16, 32, 64])
def test_kernels_with_vectors_of_every_length(length, tmp_path):
    assert trainings(length=length, NUMBA_CACHE_DIR=str(tmp_path)) == trainings()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["haswell", "znver3", "alderlake", "x86-64-v3"])
def test_kernels_for_every_cpu(name):
    """Tuning differs among these; Numba leaves out what this machine has not."""
    assert trainings(**{**HASWELL, "NUMBA_CPU_NAME": name}) == trainings()
