"""Check the gradient against central differences of J.

.. math:: \\frac{\\partial J}{\\partial \\theta_p} \\approx
          \\frac{J(\\theta + \\varepsilon e_p) - J(\\theta - \\varepsilon e_p)}{2 \\varepsilon}

The difference errs by O(eps^2) and by rounding of J over eps; eps = 6e-6, about the cube root of
the rounding of float64, balances them (Press et al., Numerical Recipes, section 5.7).
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
        Not modified. Whatever its dtype, both sides are computed in float64: the check is of
        the formulas, and float32 would drown it in rounding.
    X, Y, sample_weight, alpha
        As for `Network.cost_and_grad`.

    Returns
    -------
    dict
        For each of "W1", "b1", "W2", ... the largest abs(gradient - difference), divided by
        the largest abs(difference) of that array (or by 1e-8 where that is larger). Below 1e-6
        is right; a wrong formula gives about 1. At the kink of relu and leaky_relu the two
        differ by nature: try another X if a unit sits right there.

    Notes
    -----
    It computes J twice for every parameter: for small networks and few examples.

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
        # the step that is really taken, after rounding
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
