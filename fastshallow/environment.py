"""What fastshallow runs on, and compiling its kernels ahead of time."""

from __future__ import annotations

import os
import platform
import time
from importlib import metadata
from typing import Any

import llvmlite.binding
import numba
import numpy as np

from . import __version__, kernels
from ._jit import cache_directory
from ._threads import threading_layer
from .network import Network
from .training import gradient_descent, train
from .vectors import VECTOR_BYTES

__all__ = ["show_versions", "simd_bits", "warmup"]

PACKAGES = (
    "numpy",
    "numba",
    "llvmlite",
    "scipy",
    "scikit-learn",
    "safetensors",
    "tqdm",
    "pandas",
    "matplotlib",
)


def warmup(dtype: Any = "float32") -> float:
    """Compile the kernels of training and prediction, or load them where they are kept.

    The first call of a kernel compiles it, which takes many seconds; later processes load it
    from a folder, which takes a fraction of one. Call this first where the time of the first
    step matters, or in the build of a container image.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        Of the network, and of X: an X of the other one has kernels of its own.

    Returns
    -------
    float
        Seconds that it took.

    Examples
    --------
    >>> import fastshallow as fs
    >>> fs.warmup("float64") > 0
    True
    """
    began = time.perf_counter()
    net = Network((16, 32, 1), dtype=dtype)
    X, Y = np.ones((16, 160), net.dtype), np.ones((1, 160), net.dtype)
    gradient_descent(net, X, Y, learning_rate=0.0, n_iter=160)  # by a team, where there are threads
    X, Y = X[:, :3], Y[:, :3]
    train(net, X, Y, epochs=1, batch_size=2, on_interrupt="raise")
    net.cost_and_grad(X, Y)
    net.predict(X)  # of a few examples
    net.predict(X, n_threads=1)  # of many
    return time.perf_counter() - began


def show_versions() -> None:
    """Print versions, processor, threads and the folder of compiled kernels, for a bug report.

    Examples
    --------
    >>> import fastshallow as fs
    >>> fs.show_versions()  # doctest: +ELLIPSIS
    python            3...
    fastshallow       ...
    """
    facts = {
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "fastshallow": __version__,
        **{name: _version(name) for name in PACKAGES},
        "system": platform.platform(),
        "processor": f"{platform.machine()}, {llvmlite.binding.get_host_cpu_name()}",
        "SIMD width": f"{simd_bits()} bits",
        "cores": _cores(),
        # asking for the number makes Numba choose the layer, which the next line asks for
        "threads": f"{numba.get_num_threads()} (NUMBA_NUM_THREADS sets the number)",
        "threading layer": threading_layer(),
        "kernel cache": cache_directory(kernels.gradient_descent) or "none: each process compiles",
    }
    width = max(map(len, facts)) + 3
    for name, value in facts.items():
        print(f"{name:{width}}{value}")


def simd_bits() -> int:
    """Return how wide the vectors of the kernels are: 512 (AVX-512), 256 (AVX2) or 128 bits.

    They are as wide as the processor's, or as those of ``NUMBA_CPU_NAME``, which
    ``NUMBA_CPU_FEATURES`` may narrow or widen.

    Examples
    --------
    >>> from fastshallow.environment import simd_bits
    >>> simd_bits() in (128, 256, 512)
    True
    """
    return 8 * VECTOR_BYTES


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _cores() -> str:
    cores = f"{os.cpu_count()}"
    if hasattr(os, "sched_getaffinity"):  # Linux; containers and job queues narrow it
        cores += f", {len(os.sched_getaffinity(0))} of them for this process"
    return cores
