"""The mathematics of the network, compiled: forward, losses, backpropagation, steps.

The names in `__all__` are for users' own ``@njit`` code. They take flat arrays; from ``@njit`` code
pass one worker. Wrong types are refused by name when a call is compiled. Sizes that do not fit
raise ValueError, and fill the output with NaN. In a ``prange``, where Numba forgets exceptions,
they fill the output and return a status that is not `OK`.

They call other kernels through pointers (`fastshallow.jit.linking`), which a new process sets
first: take `Network.model` as the example does, or call `fastshallow.warmup`.

May import: jit, simd.

Used above: activations, blocks, calls, few_examples, layout, losses, passes, propagation, rules,
split, steps, targets, team.

Examples
--------
A trained network inside compiled code, examples as rows:

>>> import numba, numpy as np, fastshallow as fs
>>> from fastshallow.kernels import Matrix, forward
>>> @numba.njit
... def probabilities(model, X):
...     m, n_x = X.shape
...     out = np.empty(m, X.dtype)
...     forward(model, Matrix(X.reshape(-1), 0, n_x, 1), m, Matrix(out, 0, 1, 1), 1)
...     return out
>>> net = fs.Network((2, 3, 1)).init(seed=0)
>>> X = np.ones((5, 2), "float32")
>>> bool(np.all(probabilities(net.model, X) == net.predict_proba(X.T)))
True
"""

from __future__ import annotations

from ..simd.matmul import Matrix
from .blocks import block_step
from .few_examples import predict
from .model import Examples, Model, WeightCopies, weight_copies
from .passes import cost_and_grad, forward, forward_layers, gradient_descent
from .propagation import OK
from .split import block_count, in_panels, task_count

__all__ = [
    "OK",
    "Examples",
    "Matrix",
    "Model",
    "WeightCopies",
    "block_count",
    "block_step",
    "cost_and_grad",
    "forward",
    "forward_layers",
    "gradient_descent",
    "in_panels",
    "predict",
    "task_count",
    "weight_copies",
]
