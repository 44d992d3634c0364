"""L-BFGS: SciPy's, over J and its gradient from the kernels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .optimizers import LBFGS
from .orders import InOrder
from .trainer import DivergenceError, Trainer

__all__ = ["minimize"]


class _Stop(Exception):
    """Ends SciPy's loop from its callback."""


class _Objective:
    """J and its gradient as SciPy takes them: functions of a vector in float64."""

    def __init__(self, trainer: Trainer, order: np.ndarray | None, look: Callable[[], None]):
        self.trainer, self.order, self.look = trainer, order, look
        self.J, self.begun = np.nan, False

    def __call__(self, w: np.ndarray) -> tuple[float, np.ndarray]:
        self.trainer.net.params[...] = w
        for costs in self.trainer.epochs(1, self.order, 0.0):
            self.look()
            if costs.size:
                self.J = float(costs[0])
        if not (self.begun or np.isfinite(self.J)):  # SciPy would go on
            raise DivergenceError(0, 0, np.nan, self.J)
        self.begun = True
        return self.J, self.trainer.gradient.astype(np.float64)


def minimize(
    trainer: Trainer,
    order: InOrder,
    iterations: int,
    ended: Callable[[float], bool],
    look: Callable[[], None],
) -> str:
    """Minimise J over all examples.

    Parameters
    ----------
    trainer : Trainer
        With the optimiser `LBFGS`. Its network's parameters are modified in place: whole iterations
        only, also where an exception ends them.
    order : InOrder
        Which examples.
    iterations : int
        At most so many.
    ended : callable
        Called after every iteration, with J; True ends them.
    look : callable
        Called about ten times a second; may raise.

    Returns
    -------
    str
        Why it ended: "epochs", "converged", or what SciPy says.
    """
    from scipy import optimize

    options, net = trainer.optimizer, trainer.net
    assert isinstance(options, LBFGS)
    objective = _Objective(trainer, order(1), look)
    accepted, done = net.params.copy(), 0

    def after(w: np.ndarray) -> None:
        nonlocal done
        net.params[...] = w
        if not (np.isfinite(objective.J) and np.isfinite(net.params).all()):
            raise DivergenceError(done, trainer.state.steps, np.nan, objective.J)
        accepted[...] = net.params
        done += 1
        if ended(objective.J):
            raise _Stop

    try:
        result = optimize.minimize(
            objective,
            net.params.astype(np.float64),
            method="L-BFGS-B",
            jac=True,
            callback=after,
            options={
                "maxiter": iterations,
                "maxfun": options.max_evaluations,
                "gtol": options.gtol,
                "ftol": options.ftol,
                "maxcor": options.memory,
            },
        )
    except _Stop:
        return ""
    finally:
        net.params[...] = accepted
    if result.nit >= iterations:
        return "epochs"
    return "converged" if result.status == 0 else str(result.message)
