"""Optimisers: dataclasses with checked hyper-parameters.

`fastshallow.kernels.rules` computes their steps. `LBFGS` is SciPy's L-BFGS-B.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from ..kernels.rules import ADAM, ADAMW, DESCENT, MOMENTUM, NESTEROV, NOTHING, Rule
from ..network import checks

__all__ = ["LBFGS", "SGD", "Adam", "AdamW", "GradientDescent", "Optimizer"]


@dataclass(frozen=True)
class Optimizer:
    """Base class: checked hyper-parameters, and their form for the kernels."""

    vectors: ClassVar[int] = 0  # state vectors, each as long as the parameters
    whole: ClassVar[bool] = False  # whether a step takes all examples
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        self._number("learning_rate", least=0)

    def _number(self, name: str, **bounds: float) -> None:
        """Replace a field by a checked float."""
        object.__setattr__(self, name, checks.number(name, getattr(self, name), **bounds))

    @property
    def code(self) -> int:
        """The step's code in `fastshallow.kernels.rules`."""
        raise NotImplementedError

    def constants(self) -> np.ndarray:
        """Return the four values of `Rule.constants`."""
        rest = [field.name for field in fields(self) if field.name != "learning_rate"]
        numbers = [float(getattr(self, name)) for name in rest]
        return np.array((numbers + [0.0] * 4)[:4])

    def rule(self, state: np.ndarray) -> Rule:
        """Return the kernels' form of the optimiser with these state vectors."""
        return Rule(self.code, self.constants(), state)


@dataclass(frozen=True)
class GradientDescent(Optimizer):
    """Gradient descent over all examples: w -= learning_rate * g.

    Parameters
    ----------
    learning_rate : float
        Step size, not negative.

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
        """The step's code."""
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
        Whether to use Nesterov's momentum.

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
        object.__setattr__(self, "nesterov", checks.flag("nesterov", self.nesterov))

    @property
    def code(self) -> int:
        """The step's code."""
        return NESTEROV if self.nesterov else MOMENTUM


@dataclass(frozen=True)
class Adam(Optimizer):
    r"""Adam, as in scikit-learn: epsilon is outside the bias correction.

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
        """The step's code."""
        return ADAM


@dataclass(frozen=True)
class AdamW(Adam):
    r"""Adam with decoupled weight decay, as in PyTorch: epsilon is inside the correction.

    .. math:: w = w - \eta \lambda w - \frac{\eta}{1 - \beta_1^t}
                  \frac{m}{\sqrt{v} / \sqrt{1 - \beta_2^t} + \epsilon}

    with m and v as in `Adam`. The decay applies to all parameters, including biases.

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
        """The step's code."""
        return ADAMW


@dataclass(frozen=True)
class LBFGS:
    """L-BFGS over all examples: ``scipy.optimize.minimize(method="L-BFGS-B")``.

    An epoch is one iteration of L-BFGS. It has no learning rate.

    Source: Byrd, Lu, Nocedal, Zhu 1995, "A limited memory algorithm for bound constrained
    optimization".

    Parameters
    ----------
    gtol : float
        Stop if no entry of the gradient is larger in absolute value.
    ftol : float
        Stop if the relative decrease of J is smaller.
    memory : int
        Number of steps that approximate the curvature.
    max_evaluations : int
        Largest number of evaluations of J and its gradient.

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
            object.__setattr__(self, name, checks.number(name, getattr(self, name), least=0))
        for name in ("memory", "max_evaluations"):
            object.__setattr__(self, name, checks.whole(name, getattr(self, name), 1))

    def rule(self, state: np.ndarray) -> Rule:
        """Return a rule that computes J and the gradient and takes no step."""
        return Rule(NOTHING, np.zeros(4), state)
