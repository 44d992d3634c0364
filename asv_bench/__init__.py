"""Benchmarks for asv, one module a stage; see docs/benchmarks.md.

Importing this names the folder of compiled kernels after the sources that are measured, before
Numba reads the name: a kernel of another commit can never be timed.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import fastshallow as fs


def use_fresh_kernels() -> None:
    """Name the folder of compiled kernels after a hash of the package that was imported."""
    digest = hashlib.sha256()
    for path in sorted(Path(fs.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    # In the repository, where only its owner writes: cached kernels are pickles.
    folder = Path(__file__).resolve().parents[1] / ".asv" / "kernels" / digest.hexdigest()[:16]
    os.environ["NUMBA_CACHE_DIR"] = str(folder)


use_fresh_kernels()  # fastshallow imports numba when a name of it is first used: not yet
