"""Time of a new process until its first result: imports, and compiling or loading kernels.

Each timing has its own process. A cold start has an empty folder of kernels. With prebuilt kernels
the folder stays empty.
"""

from __future__ import annotations

import zipfile
from contextlib import suppress

import llvmlite.binding

from .common import needs

# Imports and data, which are not timed.
PREPARE = """
import numpy as np
import fastshallow as fs
rng = np.random.default_rng(0)
X = rng.standard_normal((1_797, 64), dtype=np.float32).T
Y = rng.integers(0, 10, 1_797)
net = fs.Network((64, 32, 10), output="softmax").init(seed=0)
fs.gradient_descent
"""
EMPTY_FOLDER = """
import os, tempfile
folder = tempfile.TemporaryDirectory()
os.environ["NUMBA_CACHE_DIR"] = folder.name
"""
FIRST = {
    "gradient_descent": "fs.gradient_descent(net, X, Y, 0.1, 1)",
    "train": "fs.train(net, X, Y, epochs=1)",
    "predict": "net.predict(X)",
}
PREBUILT = """
import sys
sys.path.insert(0, "prebuilt")
"""


def available(name):
    """Skip commits without a call."""
    if name != "predict":  # a method of every network
        needs(name)


class Import:
    """Time of importing, in a new process."""

    version = "1"
    params = (["Network", "ShallowClassifier"],)
    param_names = ("name",)

    def timeraw_import_name(self, name):
        """Time the import of a name with NumPy and Numba, or with scikit-learn too."""
        needs(name)
        return f"from fastshallow import {name}"


def timeraw_import():
    """Time the import of the package alone."""
    return "import fastshallow"


timeraw_import.version = "1"


class ColdStart:
    """Time of a first call that compiles."""

    version = "1"
    params = (list(FIRST),)
    param_names = ("call",)
    # no warm-up and one round, because each compiles everything
    warmup_time = 0
    rounds = 1
    repeat = 2

    def setup(self, name):
        """Skip commits without the call."""
        available(name)

    def timeraw_first_call(self, name):
        """Time the call."""
        return FIRST[name], EMPTY_FOLDER + PREPARE


class WarmStart:
    """Time of a first call that loads kernels, which another process has compiled."""

    version = "1"
    params = (list(FIRST),)
    param_names = ("call",)
    warmup_time = 0

    def setup_cache(self):
        """Compile in a separate process."""
        for name, call in FIRST.items():
            with suppress(NotImplementedError):
                available(name)
                exec(PREPARE + call, {})

    def setup(self, name):
        """Skip commits without the call."""
        available(name)

    def timeraw_first_call(self, name):
        """Time the call."""
        return FIRST[name], PREPARE


class PrebuiltStart:
    """Time of a first call that takes prebuilt kernels: see `fastshallow.prebuild`."""

    version = "1"
    warmup_time = 0

    def setup_cache(self):
        """Build what the call takes, for the highest level that this machine has."""
        try:
            from fastshallow import prebuild
            from fastshallow.jit.prebuilt import LEVELS
        except ImportError as error:
            raise NotImplementedError("no prebuilt kernels") from error
        here = llvmlite.binding.get_host_cpu_features()
        level = [name for name, needed in LEVELS.items() if all(map(here.get, needed))][-1]
        exec(PREPARE + FIRST["gradient_descent"], {})
        with zipfile.ZipFile(prebuild.build([level], ".", prebuild.loaded())) as wheel:
            wheel.extractall("prebuilt")

    def timeraw_first_call(self):
        """Time the call."""
        return FIRST["gradient_descent"], PREBUILT + EMPTY_FOLDER + PREPARE
