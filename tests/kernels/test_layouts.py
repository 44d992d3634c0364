"""Every layout of X, Y, weights and out gives the bits of contiguous copies, and nothing outside
of an operand is touched: `layouts` does it, in processes of its own, which may end.
"""

from __future__ import annotations

import os
from pathlib import Path

import cases
import pytest
from processes import run

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pages are forbidden by mprotect")

SCRIPT = Path(__file__).with_name("layouts.py")


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_a_sample_of_layouts(dtype):
    run([SCRIPT, dtype, "3"])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_all_layouts(dtype):
    run([SCRIPT, dtype])
