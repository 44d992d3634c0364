"""Initial parameters: b = 0, and random W, because hidden units that start equal stay equal.

=========  ==========================================================  =====================
method     W[l], drawn as (n_l, n_{l-1}), layer by layer               source
=========  ==========================================================  =====================
course     scale * RandomState(seed).randn, scale = 0.01               the course notes
glorot     uniform within +-scale * sqrt(6 / (n_{l-1} + n_l))          Glorot, Bengio 2010
he         scale * normal with variance 2 / n_{l-1}                    He et al. 2015
zeros      0: for logistic regression, or to show equal units          the course notes
=========  ==========================================================  =====================
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

__all__ = ["METHODS", "draw"]


def _course(sizes: tuple[int, ...], scale: float, seed: int | None) -> list[np.ndarray]:
    rng = np.random.RandomState(seed)
    return [scale * rng.randn(out, into) for into, out in itertools.pairwise(sizes)]


def _glorot(sizes: tuple[int, ...], scale: float, seed: int | None) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    bounds = [scale * np.sqrt(6 / (into + out)) for into, out in itertools.pairwise(sizes)]
    return [
        rng.uniform(-bound, bound, (out, into))
        for bound, into, out in zip(bounds, sizes, sizes[1:], strict=False)
    ]


def _he(sizes: tuple[int, ...], scale: float, seed: int | None) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [
        scale * np.sqrt(2 / into) * rng.standard_normal((out, into))
        for into, out in itertools.pairwise(sizes)
    ]


def _zeros(sizes: tuple[int, ...], scale: float, seed: int | None) -> list[np.ndarray]:
    return [np.zeros((out, into)) for into, out in itertools.pairwise(sizes)]


#: Name of every method: its function and its default scale.
METHODS: dict[
    str, tuple[Callable[[tuple[int, ...], float, int | None], list[np.ndarray]], float]
] = {
    "course": (_course, 0.01),
    "glorot": (_glorot, 1.0),
    "he": (_he, 1.0),
    "zeros": (_zeros, 1.0),
}


def draw(
    method: str, sizes: tuple[int, ...], scale: float | None, seed: int | None
) -> list[np.ndarray]:
    """Return W[1] ... W[L] in float64.

    Parameters
    ----------
    method : str
        A name of `METHODS`.
    sizes : tuple of int
        n_x, n_1, ..., n_y.
    scale : float or None
        Factor of the weights; None is the method's default.
    seed : int or None
        Seed of the method's own generator; the global random state is never used.

    Examples
    --------
    >>> from fastshallow.network.initialization import draw
    >>> [W.shape for W in draw("he", (2, 4, 1), None, 0)]
    [(4, 2), (1, 4)]
    """
    function, default = METHODS[method]
    return function(sizes, default if scale is None else scale, seed)
