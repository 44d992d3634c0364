"""Benchmarks for asv, one module per stage; see docs/benchmarks.md.

The import of this package sets a folder of compiled kernels for the measured sources, so that a
benchmark never uses a kernel of another commit.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import fastshallow as fs


def use_fresh_kernels() -> None:
    """Set the folder of compiled kernels by a hash of the imported package's sources."""
    digest = hashlib.sha256()
    for path in sorted(Path(fs.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    # within the repository, not in a shared folder: cached kernels are pickles
    folder = Path(__file__).resolve().parents[1] / ".asv" / "kernels" / digest.hexdigest()[:16]
    os.environ["NUMBA_CACHE_DIR"] = str(folder)


use_fresh_kernels()  # before Numba is imported, which reads the name
