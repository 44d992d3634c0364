"""A check of the gradient against central differences of J.

.. math:: \\frac{\\partial J}{\\partial \\theta_p} \\approx
          \\frac{J(\\theta + \\varepsilon e_p) - J(\\theta - \\varepsilon e_p)}{2 \\varepsilon}

The truncation error is O(eps^2); the rounding error is that of J divided by eps. They balance at
eps = 6e-6, the cube root of the rounding of float64 (Press et al., Numerical Recipes, section 5.7).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .network import Network
from .views import Gradient

__all__ = ["gradient_check"]

EPSILON = 6e-6


def gradient_check(
    net: Network, X: Any, Y: Any, sample_weight: Any = None, alpha: float = 0.0
) -> dict[str, float]:
    """Compare `Network.backward` with central differences of `Network.cost`.

    Parameters
    ----------
    net : Network
        Not modified. Both sides are computed in float64, because rounding of float32 would hide an
        error of a formula.
    X, Y, sample_weight, alpha
        As for `Network.cost_and_grad`.

    Returns
    -------
    dict
        For each of "W1", "b1", "W2", ... the largest abs(gradient - difference), divided by
        the larger of 1e-8 and the largest abs(difference) of that array. A right formula gives less
        than 1e-6, a wrong one about 1. At z = 0 relu and leaky_relu have no derivative: try another
        X if a unit has z near 0.

    Notes
    -----
    It computes J twice for every parameter. Use it for small networks and few examples.

    Examples
    --------
    >>> import numpy as np, fastshallow as fs
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.standard_normal((3, 20)), rng.random((1, 20)) < 0.5
    >>> net = fs.Network((3, 4, 1), hidden="tanh").init(seed=0)
    >>> errors = fs.gradient_check(net, X, Y)
    >>> list(errors), max(errors.values()) < 1e-6
    (['W1', 'b1', 'W2', 'b2'], True)
    """
    copy = Network(net.sizes, list(net.hidden), net.output, "float64", net.leaky_slope)
    copy.params = net.params
    analytic = copy.backward(X, Y, sample_weight, alpha)
    numeric = Gradient(np.empty_like(copy.params), copy.sizes)
    for p in range(copy.params.size):
        value = copy.params[p]
        # the step after rounding is above - below
        above, below = value + EPSILON, value - EPSILON
        copy.params[p] = above
        J_above = copy.cost(X, Y, sample_weight, alpha)
        copy.params[p] = below
        J_below = copy.cost(X, Y, sample_weight, alpha)
        copy.params[p] = value
        with np.errstate(all="ignore"):
            numeric.vector[p] = (J_above - J_below) / (above - below)
    errors = {}
    for layer in range(1, len(copy.W) + 1):
        for name in (f"dW{layer}", f"db{layer}"):
            wanted = getattr(numeric, name)
            with np.errstate(all="ignore"):
                error = np.abs(getattr(analytic, name) - wanted).max()
                errors[name[1:]] = float(error / max(np.abs(wanted).max(), 1e-8))
    return errors
