"""Optimisers: one step of the parameters w along the gradient g, in place, on flat vectors.

They know nothing of networks. With t = 1, 2, ... the number of the step, all by parameter:

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
LBFGS             SciPy's L-BFGS-B over the whole vector                      Byrd et al. 1995
================  ==========================================================  =================

SGD and Adam are scikit-learn's, with the learning rate inside the velocity and epsilon outside the
bias correction; AdamW is PyTorch's, with epsilon inside.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numba import types

from . import _checks
from ._jit import jit, prange
from ._linking import INT, REAL, out_of_line, vector
from .processor import flush_subnormals, restore_subnormals
from .simd import standalone

__all__ = ["LBFGS", "SGD", "Adam", "AdamW", "GradientDescent", "Optimizer", "Rule"]

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


# Steps ---------------------------------------------------------------------------------------


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
    """Take a step w -= rate m / (sqrt(v) / scale + epsilon); ``m`` and ``v`` are modified too."""
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
    """Take step t = 1, 2, ... of the parameters first ... last - 1; `descent` is not its.

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
    before = flush_subnormals()
    code, constants, state = rule
    T = params.dtype.type
    w, g = params[first:last], grad[first:last]
    if code in (MOMENTUM, NESTEROV):
        v = state[0, first:last]
        momentum_step(w, g, v, T(rate), T(constants[0]), code == NESTEROV)
    elif code in (ADAM, ADAMW):
        beta_1, beta_2, epsilon, decay = constants[0], constants[1], constants[2], constants[3]
        m, v = state[0, first:last], state[1, first:last]
        # float(t): a whole exponent is raised by repeated products, which round otherwise
        scale_1, scale_2 = 1 - beta_1 ** float(t), np.sqrt(1 - beta_2 ** float(t))
        if code == ADAM:
            scaled = rate * scale_2 / scale_1
            moments_step(w, g, m, v, scaled, beta_1, beta_2, 1.0, epsilon)
        else:
            keep = T(1 - rate * decay)
            for p in range(w.size):
                w[p] *= keep
            moments_step(w, g, m, v, rate / scale_1, beta_1, beta_2, scale_2, epsilon)
    restore_subnormals(before)


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
    code, constants, state = rule
    size = params.size
    for share in prange(workers):
        part = np.int64(share)
        first, last = part * size // workers, (part + 1) * size // workers
        update(Rule(code, constants, state), rate, t, params, grad, first, last)


# Their hyper-parameters ----------------------------------------------------------------------


@dataclass(frozen=True)
class Optimizer:
    """What all optimisers share: checked hyper-parameters, and their form for the kernels."""

    vectors: ClassVar[int] = 0  # of state, each as long as the parameters
    whole: ClassVar[bool] = False  # whether a step takes all examples
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        self._number("learning_rate", least=0)

    def _number(self, name: str, **bounds: float) -> None:
        """Keep a field as a checked float."""
        object.__setattr__(self, name, _checks.number(name, getattr(self, name), **bounds))

    @property
    def code(self) -> int:
        """Which step `update` takes."""
        raise NotImplementedError

    def constants(self) -> np.ndarray:
        """Return the hyper-parameters that `Rule.constants` holds."""
        rest = [field.name for field in fields(self) if field.name != "learning_rate"]
        numbers = [float(getattr(self, name)) for name in rest]
        return np.array((numbers + [0.0] * 4)[:4])

    def rule(self, state: np.ndarray) -> Rule:
        """Return the optimiser as the kernels see it, with these vectors of state."""
        return Rule(self.code, self.constants(), state)


@dataclass(frozen=True)
class GradientDescent(Optimizer):
    """Gradient descent over all examples: w -= learning_rate * g.

    Parameters
    ----------
    learning_rate : float
        Size of a step, not negative.

    Examples
    --------
    >>> import fastshallow as fs
    >>> fs.GradientDescent(learning_rate=0.5)
    GradientDescent(learning_rate=0.5)
    """

    whole: ClassVar[bool] = True
    learning_rate: float = 0.1

    @property
    def code(self) -> int:
        """Which step `update` takes."""
        return DESCENT


@dataclass(frozen=True)
class SGD(Optimizer):
    r"""Stochastic gradient descent with momentum, as in scikit-learn.

    .. math:: v = \mu v - \eta g, \quad w = w + v, \quad
              \text{or with Nesterov's } w = w + \mu v - \eta g

    Source: Sutskever, Martens, Dahl, Hinton 2013, "On the importance of initialization and momentum
    in deep learning", section 2.

    Parameters
    ----------
    learning_rate : float
        The eta, not negative.
    momentum : float
        The mu, from 0 to 1.
    nesterov : bool
        Whether the step looks ahead.

    Examples
    --------
    >>> import fastshallow as fs
    >>> fs.SGD(0.01, momentum=0.8)
    SGD(learning_rate=0.01, momentum=0.8, nesterov=True)
    """

    vectors: ClassVar[int] = 1
    momentum: float = 0.9
    nesterov: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._number("momentum", least=0, most=1)
        object.__setattr__(self, "nesterov", _checks.flag("nesterov", self.nesterov))

    @property
    def code(self) -> int:
        """Which step `update` takes."""
        return NESTEROV if self.nesterov else MOMENTUM


@dataclass(frozen=True)
class Adam(Optimizer):
    r"""Adam, as in scikit-learn: epsilon stands outside the bias correction.

    .. math:: m = \beta_1 m + (1 - \beta_1) g, \quad v = \beta_2 v + (1 - \beta_2) g^2, \quad
              w = w - \eta \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t}
                  \frac{m}{\sqrt{v} + \epsilon}

    Source: Kingma, Ba 2015, "Adam: a method for stochastic optimization", the reordered form at
    the end of section 2.

    Parameters
    ----------
    learning_rate : float
        The eta, not negative.
    beta_1, beta_2 : float
        Decay of the means of g and g^2, at least 0 and below 1.
    epsilon : float
        Above 0.

    Examples
    --------
    >>> import fastshallow as fs
    >>> fs.Adam(learning_rate=1e-2)
    Adam(learning_rate=0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-08)
    """

    vectors: ClassVar[int] = 2
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        self._number("beta_1", least=0, below=1)
        self._number("beta_2", least=0, below=1)
        self._number("epsilon", above=0)

    @property
    def code(self) -> int:
        """Which step `update` takes."""
        return ADAM


@dataclass(frozen=True)
class AdamW(Adam):
    r"""Adam with decoupled weight decay, as in PyTorch: epsilon stands inside the correction.

    .. math:: w = w - \eta \lambda w - \frac{\eta}{1 - \beta_1^t}
                  \frac{m}{\sqrt{v} / \sqrt{1 - \beta_2^t} + \epsilon}

    with m and v as in `Adam`. The decay takes all parameters, the biases too.

    Source: Loshchilov, Hutter 2019, "Decoupled weight decay regularization", algorithm 2, with
    PyTorch's lambda eta for the paper's lambda.

    Parameters
    ----------
    learning_rate : float
        The eta, not negative.
    beta_1, beta_2 : float
        Decay of the means of g and g^2, at least 0 and below 1.
    epsilon : float
        Above 0.
    weight_decay : float
        The lambda, not negative.

    Examples
    --------
    >>> import fastshallow as fs
    >>> fs.AdamW(weight_decay=0.1).weight_decay
    0.1
    """

    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        self._number("weight_decay", least=0)

    @property
    def code(self) -> int:
        """Which step `update` takes."""
        return ADAMW


@dataclass(frozen=True)
class LBFGS:
    """L-BFGS over all examples: ``scipy.optimize.minimize(method="L-BFGS-B")``.

    An epoch is one of its iterations. It has no learning rate, and no state that could be saved
    and taken up again.

    Source: Byrd, Lu, Nocedal, Zhu 1995, "A limited memory algorithm for bound constrained
    optimization".

    Parameters
    ----------
    gtol : float
        Stops where no entry of the gradient is larger.
    ftol : float
        Stops where J falls by less, relative to itself.
    memory : int
        Steps that the approximation of the curvature remembers.
    max_evaluations : int
        Evaluations of J and its gradient at most.

    Examples
    --------
    >>> import fastshallow as fs
    >>> fs.LBFGS().memory
    10
    """

    vectors: ClassVar[int] = 0
    whole: ClassVar[bool] = True
    learning_rate: ClassVar[float] = float("nan")
    gtol: float = 1e-5
    ftol: float = 1e7 * 2.0**-52  # SciPy's default
    memory: int = 10
    max_evaluations: int = 15_000

    def __post_init__(self) -> None:
        for name in ("gtol", "ftol"):
            object.__setattr__(self, name, _checks.number(name, getattr(self, name), least=0))
        for name in ("memory", "max_evaluations"):
            object.__setattr__(self, name, _checks.whole(name, getattr(self, name), 1))

    def rule(self, state: np.ndarray) -> Rule:
        """Return what lets the kernels compute J and the gradient only."""
        return Rule(NOTHING, np.zeros(4), state)
