"""fastshallow: the shallow neural network of the course notes, fast on CPUs.

The notation of the whole package, with examples as columns of X::

    X = A[0]                  (n_x, m)        inputs
    Y                         (n_y, m)        targets
    W[l], b[l]                (n_l, n_{l-1}), (n_l, 1)
    Z[l] = W[l] A[l-1] + b[l], A[l] = g[l](Z[l])          (n_l, m)
    J = 1/m * sum of the losses
    dZ[L] = A[L] - Y,   dZ[l] = (W[l+1]^T dZ[l+1]) * g[l]'(Z[l])
    dW[l] = 1/m * dZ[l] A[l-1]^T,   db[l] = 1/m * sum of the columns of dZ[l]
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__

# Names are loaded at first use, because importing Numba is slow.
_HOMES = {
    "Adam": "training.optimizers",
    "AdamW": "training.optimizers",
    "Adaptive": "training.schedules",
    "Constant": "training.schedules",
    "Cosine": "training.schedules",
    "DivergenceError": "training.divergence",
    "EarlyStopping": "training.callbacks",
    "GradientDescent": "training.optimizers",
    "History": "training.history",
    "InverseScaling": "training.schedules",
    "JSONLinesLogger": "training.callbacks",
    "LBFGS": "training.optimizers",
    "ModelCheckpoint": "training.callbacks",
    "ModelFileError": "files.models",
    "Network": "network.network",
    "Pipeline": "tables.pipeline",
    "SGD": "training.optimizers",
    "ShallowClassifier": "estimators.classifier",
    "ShallowRegressor": "estimators.regressor",
    "StepDecay": "training.schedules",
    "diagnose": "network.diagnostics",
    "gradient_check": "network.gradient_check",
    "gradient_descent": "training.train",
    "load": "files.models",
    "plot_cost": "network.plotting",
    "save": "files.models",
    "show_versions": "environment",
    "train": "training.train",
    "warmup": "environment",
}
_MODULES = {
    "activations": "kernels.activations",
    "elementary": "simd.elementary",
    "kernels": "kernels",
    "losses": "kernels.losses",
    "matmul": "simd.matmul",
    "propagation": "kernels.propagation",
}

# Not computed from the tables above: editors and linters read this list.
__all__ = [
    "LBFGS",
    "SGD",
    "Adam",
    "AdamW",
    "Adaptive",
    "Constant",
    "Cosine",
    "DivergenceError",
    "EarlyStopping",
    "GradientDescent",
    "History",
    "InverseScaling",
    "JSONLinesLogger",
    "ModelCheckpoint",
    "ModelFileError",
    "Network",
    "Pipeline",
    "ShallowClassifier",
    "ShallowRegressor",
    "StepDecay",
    "__version__",
    "activations",
    "diagnose",
    "elementary",
    "gradient_check",
    "gradient_descent",
    "kernels",
    "load",
    "losses",
    "matmul",
    "plot_cost",
    "propagation",
    "save",
    "show_versions",
    "train",
    "warmup",
]

if TYPE_CHECKING:
    from . import kernels
    from .environment import show_versions, warmup
    from .estimators.classifier import ShallowClassifier
    from .estimators.regressor import ShallowRegressor
    from .files.models import ModelFileError, load, save
    from .kernels import activations, losses, propagation
    from .network.diagnostics import diagnose
    from .network.gradient_check import gradient_check
    from .network.network import Network
    from .network.plotting import plot_cost
    from .simd import elementary, matmul
    from .tables.pipeline import Pipeline
    from .training.callbacks import EarlyStopping, JSONLinesLogger, ModelCheckpoint
    from .training.divergence import DivergenceError
    from .training.history import History
    from .training.optimizers import LBFGS, SGD, Adam, AdamW, GradientDescent
    from .training.schedules import Adaptive, Constant, Cosine, InverseScaling, StepDecay
    from .training.train import gradient_descent, train


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        value = importlib.import_module(f".{_MODULES[name]}", __name__)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
