"""L-BFGS: SciPy's, over J and its gradient from the kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..files.models import ModelFileError
from ..network.checks import cast
from .optimizers import LBFGS
from .orders import InOrder
from .trainer import DivergenceError, Trainer

__all__ = ["Evaluations", "minimize"]

ASTRAY = (
    "checkpoint: the same answers do not lead L-BFGS to the same parameters, as they do on one "
    "type of machine; take up the training where the file was written"
)


@dataclass
class Evaluations:
    """What SciPy's L-BFGS was answered, so that a training can go on from it.

    SciPy does not hand over what its L-BFGS remembers. But with the same start and the same
    answers it takes the same steps: a training that is resumed gives it these, which costs no
    pass over the examples, and then goes on. The price is a gradient of memory for each.

    Parameters
    ----------
    start : ndarray, (n,)
        Where it began.
    costs : list of float
        J where it asked for it, in the order of asking.
    gradients : list of ndarray, (n,)
        The gradients there.
    """

    start: np.ndarray
    costs: list[float] = field(default_factory=list)
    gradients: list[np.ndarray] = field(default_factory=list)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return what a checkpoint keeps."""
        gradients = np.reshape(self.gradients, (len(self.costs), self.start.size))
        return {
            "evaluations.start": self.start,
            "evaluations.cost": np.array(self.costs, np.float64),
            "evaluations.gradient": gradients.astype(self.start.dtype, copy=False),
        }

    @classmethod
    def of(cls, tensors: dict[str, np.ndarray]) -> Evaluations:
        """Return those whose tensors a checkpoint kept."""
        start, costs, gradients = (
            tensors[f"evaluations.{name}"] for name in ("start", "cost", "gradient")
        )
        return cls(start, costs.tolist(), list(gradients))


class _Stop(Exception):
    """Ends SciPy's loop from its callback."""


class _Objective:
    """J and its gradient as SciPy takes them: functions of a vector in float64."""

    def __init__(
        self,
        trainer: Trainer,
        order: np.ndarray | None,
        look: Callable[[], None],
        past: Evaluations | None,
    ):
        self.trainer, self.order, self.look, self.past = trainer, order, look, past
        self.J, self.asked = np.nan, 0

    def __call__(self, w: np.ndarray) -> tuple[float, np.ndarray]:
        past, number = self.past, self.asked
        if past is not None and number < len(past.costs):
            self.look()
            self.J, gradient = past.costs[number], past.gradients[number]
        else:
            gradient = self._evaluate(w)
        if number == 0 and not np.isfinite(self.J):  # SciPy would go on
            raise DivergenceError(0, 0, np.nan, self.J)
        self.asked += 1
        return self.J, gradient.astype(np.float64)

    def _evaluate(self, w: np.ndarray) -> np.ndarray:
        self.trainer.net.params = w
        for costs in self.trainer.epochs(1, self.order, 0.0):
            if costs.size:
                self.J = float(costs[0])
            else:
                self.look()
        gradient = self.trainer.gradient
        if self.past is not None:
            self.past.costs.append(self.J)
            self.past.gradients.append(gradient.copy())
        self.look()
        return gradient


def minimize(
    trainer: Trainer,
    order: InOrder,
    iterations: int,
    ended: Callable[[float], bool],
    look: Callable[[], None],
    past: Evaluations | None = None,
    earlier: int = 0,
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
    past : Evaluations or None
        Modified in place: those of a training before this one, to which new ones are added. None
        remembers nothing.
    earlier : int
        Iterations of the training before, after which the network's parameters are; they are not
        reported again.

    Returns
    -------
    str
        Why it ended: "converged", what SciPy says, or, after all iterations or by ``ended``, "".

    Raises
    ------
    ModelFileError
        Where the iterations of the training before did not lead to the network's parameters.
    """
    from scipy import optimize

    options, net = trainer.optimizer, trainer.net
    assert isinstance(options, LBFGS)
    objective = _Objective(trainer, order(1), look, past)
    start = net.params if past is None else past.start
    accepted, done = net.params.copy(), 0

    def after(w: np.ndarray) -> None:
        nonlocal done
        done += 1
        if done <= earlier:
            if done == earlier and not np.array_equal(cast(w, net.dtype), accepted):
                raise ModelFileError(ASTRAY)
            return
        net.params = w
        if not (np.isfinite(objective.J) and np.isfinite(net.params).all()):
            raise DivergenceError(done - 1, trainer.state.steps, np.nan, objective.J)
        accepted[...] = net.params
        if ended(objective.J):
            raise _Stop

    try:
        result = optimize.minimize(
            objective,
            start.astype(np.float64),
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
        net.params = accepted
    if done < earlier:
        raise ModelFileError(ASTRAY)
    if result.nit >= iterations:
        return ""
    return "converged" if result.status == 0 else str(result.message)
