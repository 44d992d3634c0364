"""Run a script with kernels whose vectors have so many bytes, on a CPU with fused multiply-add.

    python tests/vector_length.py 64 SCRIPT ARGUMENT ...

LLVM splits vectors that are longer than those of the CPU. A length needs a ``NUMBA_CACHE_DIR`` of
its own: Numba does not know that the kernels differ.
"""

from __future__ import annotations

import runpy
import sys

import llvmlite.binding as llvm
from numba.core.registry import cpu_target


def main(size, script, *arguments):
    """Hide what this CPU has from the package alone: Numba's target is made before."""
    cpu_target.target_context.codegen()
    found = {**llvm.get_host_cpu_features(), "avx512f": size >= 64, "avx2": size >= 32}
    llvm.get_host_cpu_features = lambda: found
    from fastshallow.simd.vectors import VECTOR_BYTES

    assert size == VECTOR_BYTES, f"vectors of {size} bytes: got {VECTOR_BYTES}"
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
