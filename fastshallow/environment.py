"""The functions `show_versions` and `warmup`: a bug report, and ahead-of-time compilation."""

from __future__ import annotations

import os
import platform
import time
import warnings
from importlib import metadata
from typing import Any

import llvmlite.binding
import numba
import numpy as np

from . import kernels
from ._version import __version__
from .jit import prebuilt
from .jit.compile import cache_directory, package_stamp, unannounced
from .jit.interrupts import ctrl_c_noted
from .jit.linking import prepare
from .jit.threads import allowed, threading_layer
from .kernels.split import in_panels
from .network.network import Network
from .simd.vectors import VECTOR_BYTES
from .training.optimizers import LBFGS
from .training.train import gradient_descent, train

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


def warmup(dtype: Any = None) -> float:
    """Compile the kernels of training and prediction, or load them from the cache.

    The first call of a kernel compiles it, and later processes load it from a folder. Compilation
    takes half a minute for one dtype, and one to two minutes for all kernels. Loading takes a
    second. Call this function if the first step must be fast, or in the build of a container image.

    Parameters
    ----------
    dtype : {"float32", "float64"} or None
        Dtype of the network and of X. None means the usual pairs: a network in float32 with X in
        float32 or float64, and a network in float64 with X in float64.

    Returns
    -------
    float
        Elapsed seconds.

    Examples
    --------
    >>> import fastshallow as fs
    >>> fs.warmup("float64") > 0
    True
    """
    began = time.perf_counter()
    pairs = [("float32", "float32"), ("float32", "float64"), ("float64", "float64")]
    with unannounced(), ctrl_c_noted() as ctrl_c:
        for of_net, of_X in pairs if dtype is None else [(dtype, dtype)]:
            _warm(of_net, of_X)
            if ctrl_c:  # the estimators turn Ctrl-C into a warning
                raise KeyboardInterrupt
    return time.perf_counter() - began


def _warm(dtype: Any, x_dtype: Any) -> None:
    """Train and predict with a network and an X of these dtypes."""
    net = Network((16, 32, 1), dtype=dtype)
    if allowed() > 1:  # these need more examples or units than the calls below have
        prepare(net.dtype, np.dtype(x_dtype), ("parallel", "large"))
        in_panels(net.layers, net.dtype.itemsize)
    X, Y = np.ones((16, 160), x_dtype), np.ones((1, 160), net.dtype)
    gradient_descent(net, X, Y, learning_rate=0.0, n_iter=160)  # with a team, too
    train(net, X, Y, epochs=1, on_interrupt="raise")
    X, Y = X[:, :3], Y[:, :3]
    for optimizer in (None, LBFGS()):
        size = 2 if optimizer is None else None
        train(net, X, Y, optimizer, epochs=1, batch_size=size, on_interrupt="raise")
    for x, y in ((X, Y), (X.copy(), Y.copy())):  # the copies go to kernels as they are
        net.cost_and_grad(x, y)
        net.forward(x)
    for output in ("sigmoid", "softmax", "linear"):
        other = Network((16, 32, 2), output=output, dtype=dtype)
        one = X[:, 0]
        for some in (X, X[:, :1], one, one.copy(), np.asfortranarray(X)):
            other.predict(some)
            # with n_threads, few examples take the path for many
            other.predict(some, out=other.predict(some, n_threads=1))
        if output != "linear":
            other.predict_proba(X)
    _warm_estimators(x_dtype)


def _warm_estimators(dtype: Any) -> None:
    """Fit and predict with every solver and an X of this dtype."""
    from .estimators.classifier import ShallowClassifier
    from .estimators.regressor import ShallowRegressor

    X = np.ones((40, 3), dtype)
    X[::2] = 0
    options: dict[str, Any] = {"hidden_layer_sizes": (2,), "max_iter": 1, "batch_size": 20}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one epoch is too few
        for solver in ("lbfgs", "sgd", "adam"):
            settings = {**options, "solver": solver, "random_state": 0}
            y = np.arange(40)
            models = [
                ShallowClassifier(**settings).fit(X, y % 2),
                ShallowClassifier(**settings).fit(X, y % 3),
                ShallowClassifier(**settings).fit(X, np.column_stack([y % 2, y // 20])),
                ShallowRegressor(**settings).fit(X, y),
            ]
            for model in models:
                for rows in (X, X[:1], np.zeros((800, 3), dtype)):  # few, one, many
                    model.predict(rows)
                    if isinstance(model, ShallowClassifier):
                        model.predict_log_proba(rows)


def show_versions() -> None:
    """Print versions, processor, threads and the folder of compiled kernels, for a bug report.

    Examples
    --------
    >>> import fastshallow as fs
    >>> fs.show_versions()  # doctest: +ELLIPSIS
    python             3...
    fastshallow        ...
    """
    facts = {
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "fastshallow": __version__,
        **{name: _version(name) for name in PACKAGES},
        "system": platform.platform(),
        "processor": f"{platform.machine()}, {llvmlite.binding.get_host_cpu_name()}",
        "SIMD width": f"{simd_bits()} bits",
        "cores": _cores(),
        # this call makes Numba choose the layer of the next line
        "threads": f"{numba.get_num_threads()} (NUMBA_NUM_THREADS sets the number)",
        "threading layer": threading_layer(),
        "kernel cache": cache_directory(kernels.gradient_descent) or "none: each process compiles",
        "prebuilt kernels": _prebuilt(),
    }
    width = max(map(len, facts)) + 3
    for name, value in facts.items():
        print(f"{name:{width}}{value}")


def simd_bits() -> int:
    """Return the bits of the kernels' vectors: 512 (AVX-512), 256 (AVX2) or 128.

    They depend on the processor, ``NUMBA_CPU_NAME`` and ``NUMBA_CPU_FEATURES``.

    Examples
    --------
    >>> from fastshallow.environment import simd_bits
    >>> simd_bits() in (128, 256, 512)
    True
    """
    return 8 * VECTOR_BYTES


def _prebuilt() -> str:
    found = prebuilt.find(package_stamp())
    return found.level or f"none: {found.why}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _cores() -> str:
    cores = f"{os.cpu_count()}"
    if hasattr(os, "sched_getaffinity"):  # Linux; containers and job queues limit it
        cores += f", {len(os.sched_getaffinity(0))} of them for this process"
    return cores
