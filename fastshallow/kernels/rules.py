"""Rules: how an optimiser moves the parameters w along the gradient g, in place, on flat vectors.

With t = 1, 2, ... the number of the step, all by parameter:

================  ==========================================================  =================
optimiser         step                                                        source
================  ==========================================================  =================
GradientDescent   w -= lr g, g over all examples                              the course notes
SGD               v = mu v - lr g;  w += v                                    Polyak 1964
SGD, Nesterov     v = mu v - lr g;  w += mu v - lr g, with the new v          Sutskever et al.
                                                                              2013, section 2
Adam              m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2             Kingma, Ba 2015,
                  w -= lr_t m / (sqrt(v) + eps),                              end of section 2
                  lr_t = lr sqrt(1 - b2^t) / (1 - b1^t)
AdamW             w -= lr decay w;  m, v as in Adam;                          Loshchilov, Hutter
                  w -= lr / (1 - b1^t) m /                                    2019, algorithm 2
                  (sqrt(v) / sqrt(1 - b2^t) + eps)
================  ==========================================================  =================

SGD and Adam are as in scikit-learn: v of SGD contains the learning rate, and Adam adds epsilon to
sqrt(v) before v is corrected for its bias. AdamW is as in PyTorch: it adds epsilon after that.
`fastshallow.training.optimizers` has the dataclasses that users make.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types

from ..jit.compile import jit, prange
from ..jit.linking import INT, REAL, out_of_line, vector
from ..simd.elementary import whole_power
from ..simd.intrinsics import standalone
from ..simd.processor import flush_subnormals, restore_subnormals

__all__ = [
    "ADAM",
    "ADAMW",
    "DESCENT",
    "MOMENTUM",
    "NESTEROV",
    "NOTHING",
    "Rule",
    "descent",
    "update",
    "update_shared",
]

# What a step does; NOTHING leaves the parameters to the caller.
NOTHING, DESCENT, MOMENTUM, NESTEROV, ADAM, ADAMW = range(6)


class Rule(NamedTuple):
    """An optimiser as the kernels see it.

    code : int
        Which of the steps above.
    constants : ndarray, (4,), float64
        Hyper-parameters, in the order of the optimiser's docstring, without the learning rate.
    state : ndarray, (k, n), of the dtype of the parameters
        Its vectors: v of SGD; m and v of Adam and AdamW.
    """

    code: int
    constants: Any
    state: Any


@jit(internal=True)
def descent(params, grad, rate):
    """Take a step w -= lr g."""
    rate = params.dtype.type(rate)
    for p in range(params.size):
        params[p] -= rate * grad[p]


@jit(internal=True)
def momentum_step(params, grad, velocity, rate, mu, nesterov):
    """Take a step of SGD; ``velocity`` is modified in place too."""
    for p in range(params.size):
        velocity[p] = mu * velocity[p] - rate * grad[p]
    if nesterov:
        for p in range(params.size):
            params[p] += mu * velocity[p] - rate * grad[p]
    else:
        for p in range(params.size):
            params[p] += velocity[p]


@jit(internal=True)
def moments_step(params, grad, m, v, rate, beta_1, beta_2, scale, epsilon):
    """Take a step w -= rate m / (sqrt(v) / scale + epsilon); ``m`` and ``v`` are modified too.

    ``scale`` is sqrt(1 - beta_2^t) for AdamW, and 1 for Adam: its rate has all of the correction.
    """
    T = params.dtype.type
    rest_1, rest_2, beta_1, beta_2 = T(1 - beta_1), T(1 - beta_2), T(beta_1), T(beta_2)
    rate, scale, epsilon = T(rate), T(scale), T(epsilon)
    if scale == 1:  # Adam: without a second division
        for p in range(params.size):
            m[p] = beta_1 * m[p] + rest_1 * grad[p]
            v[p] = beta_2 * v[p] + rest_2 * (grad[p] * grad[p])
            params[p] -= rate * m[p] / (np.sqrt(v[p]) + epsilon)
    else:
        for p in range(params.size):
            m[p] = beta_1 * m[p] + rest_1 * grad[p]
            v[p] = beta_2 * v[p] + rest_2 * (grad[p] * grad[p])
            params[p] -= rate * m[p] / (np.sqrt(v[p]) / scale + epsilon)


def _rule_type(dtype):
    state = types.Array(dtype, 2, "C")
    return types.NamedTuple((INT, vector(types.float64), state), Rule)


@out_of_line(
    lambda rule, rate, t, params, *_: (params.dtype,),
    lambda dtype: (_rule_type(dtype), REAL, INT, vector(dtype), vector(dtype), INT, INT),
    result=types.none,
    group="batches",
)
def update(rule, rate, t, params, grad, first, last):
    """Take step t = 1, 2, ... of parameters first ... last - 1, by any rule but `DESCENT`.

    Parameters
    ----------
    rule : Rule
        The optimiser; its state is modified in place.
    rate : float
        The learning rate of this step.
    t : int
        Number of the step, from 1.
    params : ndarray, 1-D
        Modified in place.
    grad : ndarray, 1-D
        The gradient.
    first, last : int
        Which parameters: a step has no sums, so any cut gives the same bits.
    """
    standalone()
    control = flush_subnormals()
    code, constants, state = rule
    T = params.dtype.type
    w, g = params[first:last], grad[first:last]
    if code in (MOMENTUM, NESTEROV):
        v = state[0, first:last]
        momentum_step(w, g, v, T(rate), T(constants[0]), code == NESTEROV)
    elif code in (ADAM, ADAMW):
        beta_1, beta_2, epsilon, decay = constants[0], constants[1], constants[2], constants[3]
        m, v = state[0, first:last], state[1, first:last]
        # the bias corrections
        scale_1, scale_2 = 1 - whole_power(beta_1, t), np.sqrt(1 - whole_power(beta_2, t))
        if code == ADAM:
            scaled = rate * scale_2 / scale_1
            moments_step(w, g, m, v, scaled, beta_1, beta_2, 1.0, epsilon)
        else:
            keep = T(1 - rate * decay)
            for p in range(w.size):
                w[p] *= keep
            moments_step(w, g, m, v, rate / scale_1, beta_1, beta_2, scale_2, epsilon)
    restore_subnormals(control)


@out_of_line(
    lambda rule, rate, t, params, *_: (params.dtype,),
    lambda dtype: (_rule_type(dtype), REAL, INT, vector(dtype), vector(dtype), INT),
    result=types.none,
    group="large",
    parallel=True,
    internal=True,
)
def update_shared(rule, rate, t, params, grad, workers):
    """Take step t of all parameters, shared out among workers: the same bits."""
    size = params.size
    for share in prange(workers):
        first, last = np.int64(share) * size // workers, (np.int64(share) + 1) * size // workers
        update(rule, rate, t, params, grad, first, last)
