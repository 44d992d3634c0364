"""What a process pays before its first result: imports, and kernels compiled or loaded.

Each is timed in a process of its own, and each cold one has an empty folder for its kernels, which
is removed with it: time to compile is seen here, and nowhere else.
"""

from __future__ import annotations

from contextlib import suppress

from .common import needs

# Until all is imported and the data are made: that is not timed.
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


def available(name):
    """Leave a call out for a commit that is older than it."""
    if name != "predict":  # a method of every network
        needs(name)


class Import:
    """Time of importing, in a new process."""

    # Set by hand, and raised when the work changes: asv would take every edit for a new work.
    version = "1"
    params = (["Network", "ShallowClassifier"],)
    param_names = ("name",)

    def timeraw_import_name(self, name):
        """Time a name's import: NumPy and Numba, and scikit-learn for the estimators."""
        needs(name)
        return f"from fastshallow import {name}"


def timeraw_import():
    """Time the import of the package alone, which loads nothing else."""
    return "import fastshallow"


timeraw_import.version = "1"


class ColdStart:
    """Time of a first call where nothing is compiled yet."""

    version = "1"
    params = (list(FIRST),)
    param_names = ("call",)
    # asv would compile twice for nothing, to warm up, and in two rounds
    warmup_time = 0
    rounds = 1
    repeat = 2

    def setup(self, name):
        """Leave out what an old commit has not."""
        available(name)

    def timeraw_first_call(self, name):
        """Time the call: it compiles."""
        return FIRST[name], EMPTY_FOLDER + PREPARE


class WarmStart:
    """Time of a first call in a second process, which loads what an earlier one has compiled."""

    version = "1"
    params = (list(FIRST),)
    param_names = ("call",)
    warmup_time = 0

    def setup_cache(self):
        """Be the earlier process, which is one of its own."""
        for name, call in FIRST.items():
            with suppress(NotImplementedError):
                available(name)
                exec(PREPARE + call, {})

    def setup(self, name):
        """Leave out what an old commit has not."""
        available(name)

    def timeraw_first_call(self, name):
        """Time the call: it loads."""
        return FIRST[name], PREPARE
