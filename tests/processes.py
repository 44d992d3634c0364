"""Python processes that see the same package, tests and kernel cache."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import fastshallow as fs

TESTS = Path(__file__).parent


def run(arguments, **environment):
    """Run a Python process that sees the same package and kernel cache; return its output."""
    path = os.pathsep.join([str(Path(fs.__file__).parents[1]), str(TESTS)])
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def script(source, **environment):
    """Run this source as a process, and return its output."""
    return run(["-c", textwrap.dedent(source)], **environment)


def needs_layer(layer):
    """Skip the test where Numba cannot load a threading layer."""
    module = {"omp": "omppool", "tbb": "tbbpool", "workqueue": "workqueue"}[layer]
    try:
        importlib.import_module(f"numba.np.ufunc.{module}")
    except ImportError as error:
        pytest.skip(f"{layer} does not load here: {error}")
