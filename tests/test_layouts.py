"""Every layout of X, Y, weights and out gives the bits of contiguous copies, and nothing outside
of an operand is touched: `layouts` does it, in processes of its own, which may end.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cases
import pytest

import fastshallow

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pages are forbidden by mprotect")

SCRIPT = Path(__file__).with_name("layouts.py")


def run(*arguments):
    """Run the script."""
    environment = {**os.environ, "PYTHONPATH": str(Path(fastshallow.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_a_sample_of_layouts(dtype):
    run(dtype, "3")


@pytest.mark.slow
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_all_layouts(dtype):
    run(dtype)
