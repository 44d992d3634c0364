"""fastshallow: the shallow neural network of the course notes, fast on CPUs.

The notation, everywhere, with examples as the columns of X::

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

__version__ = "0.1.0"

# Loaded when first asked for: importing numba takes longer than most things done with it.
_HOMES = {
    "Adam": "optimizers",
    "AdamW": "optimizers",
    "Adaptive": "schedules",
    "Constant": "schedules",
    "Cosine": "schedules",
    "DivergenceError": "trainer",
    "EarlyStopping": "callbacks",
    "GradientDescent": "optimizers",
    "History": "history",
    "InverseScaling": "schedules",
    "JSONLinesLogger": "callbacks",
    "LBFGS": "optimizers",
    "ModelCheckpoint": "callbacks",
    "ModelFileError": "serialization",
    "Network": "network",
    "Pipeline": "pipeline",
    "SGD": "optimizers",
    "ShallowClassifier": "classifier",
    "ShallowRegressor": "regressor",
    "StepDecay": "schedules",
    "diagnose": "diagnostics",
    "gradient_check": "finite_differences",
    "gradient_descent": "training",
    "load": "serialization",
    "plot_cost": "plotting",
    "save": "serialization",
    "show_versions": "environment",
    "train": "training",
    "warmup": "environment",
}
_MODULES = ("activations", "elementary", "kernels", "losses", "matmul", "propagation")

# In full, not from the tables above: editors and linters read it, and a test compares them.
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
    from . import activations, elementary, kernels, losses, matmul, propagation
    from .callbacks import EarlyStopping, JSONLinesLogger, ModelCheckpoint
    from .classifier import ShallowClassifier
    from .diagnostics import diagnose
    from .environment import show_versions, warmup
    from .finite_differences import gradient_check
    from .history import History
    from .network import Network
    from .optimizers import LBFGS, SGD, Adam, AdamW, GradientDescent
    from .pipeline import Pipeline
    from .plotting import plot_cost
    from .regressor import ShallowRegressor
    from .schedules import Adaptive, Constant, Cosine, InverseScaling, StepDecay
    from .serialization import ModelFileError, load, save
    from .trainer import DivergenceError
    from .training import gradient_descent, train


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
