"""L-BFGS: SciPy's minimiser, with J and its gradient from the kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..files.models import ModelFileError
from ..network.checks import cast
from .divergence import DivergenceError
from .optimizers import LBFGS
from .orders import InOrder
from .trainer import Trainer

__all__ = ["Evaluations", "minimize"]

REPLAY_FAILED = (
    "checkpoint: its evaluations do not lead L-BFGS to the same parameters; resume the training on "
    "the type of machine that wrote the file"
)


@dataclass
class Evaluations:
    """Stored evaluations of J and its gradient, which a resumed training replays.

    SciPy's L-BFGS does not expose its state. From the same start and with the same values it takes
    the same steps. The replay needs no pass over the examples, but memory for every gradient.
    """

    start: np.ndarray  # the first parameters
    costs: list[float] = field(default_factory=list)
    gradients: list[np.ndarray] = field(default_factory=list)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the tensors for a checkpoint."""
        gradients = np.reshape(self.gradients, (len(self.costs), self.start.size))
        return {
            "evaluations.start": self.start,
            "evaluations.cost": np.array(self.costs, np.float64),
            "evaluations.gradient": gradients.astype(self.start.dtype, copy=False),
        }

    @classmethod
    def of(cls, tensors: dict[str, np.ndarray]) -> Evaluations:
        """Return the evaluations of a checkpoint's tensors."""
        start, costs, gradients = (
            tensors[f"evaluations.{name}"] for name in ("start", "cost", "gradient")
        )
        return cls(start, costs.tolist(), list(gradients))


class _Stop(Exception):
    """Raised by the callback to end SciPy's loop."""


class _Objective:
    """J and its gradient as functions of a float64 vector, as SciPy expects."""

    def __init__(
        self,
        trainer: Trainer,
        order: np.ndarray | None,
        check_interrupt: Callable[[], None],
        past: Evaluations | None,
    ):
        self.trainer, self.order = trainer, order
        self.check_interrupt, self.past = check_interrupt, past
        self.J, self.asked = np.nan, 0

    def __call__(self, w: np.ndarray) -> tuple[float, np.ndarray]:
        past, number = self.past, self.asked
        if past is not None and number < len(past.costs):
            self.check_interrupt()
            self.J, gradient = past.costs[number], past.gradients[number]
        else:
            gradient = self._evaluate(w)
        if number == 0 and not np.isfinite(self.J):  # SciPy would not stop
            raise DivergenceError(0, 0, np.nan, self.J)
        self.asked += 1
        return self.J, gradient.astype(np.float64)

    def _evaluate(self, w: np.ndarray) -> np.ndarray:
        self.trainer.net.params = w
        for costs in self.trainer.epochs(1, self.order, 0.0):
            if costs.size:
                self.J = float(costs[0])
            else:
                self.check_interrupt()
        gradient = self.trainer.gradient
        if self.past is not None:
            self.past.costs.append(self.J)
            self.past.gradients.append(gradient.copy())
        self.check_interrupt()
        return gradient


def minimize(
    trainer: Trainer,
    order: InOrder,
    iterations: int,
    ended: Callable[[float], bool],
    check_interrupt: Callable[[], None],
    past: Evaluations | None = None,
    earlier: int = 0,
) -> str:
    """Minimise J over all examples by at most ``iterations`` iterations; return why it ended.

    The network's parameters are modified in place, by whole iterations only, also if an exception
    is raised. ``ended`` is called with J after every iteration, and returns True to stop.
    ``check_interrupt`` is called about ten times a second, and may raise. The evaluations ``past``
    are replayed, and new ones are appended. The first ``earlier`` iterations are not reported;
    ModelFileError is raised if they do not lead to the network's current parameters. The result is
    "converged", SciPy's message, or "" after all iterations or a stop by ``ended``.
    """
    from scipy import optimize

    options, net = trainer.optimizer, trainer.net
    assert isinstance(options, LBFGS)
    objective = _Objective(trainer, order(1), check_interrupt, past)
    start = net.params if past is None else past.start
    accepted, done = net.params.copy(), 0

    def after(w: np.ndarray) -> None:
        nonlocal done
        done += 1
        if done <= earlier:
            if done == earlier and not np.array_equal(cast(w, net.dtype), accepted):
                raise ModelFileError(REPLAY_FAILED)
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
        raise ModelFileError(REPLAY_FAILED)
    if result.nit >= iterations:
        return ""
    return "converged" if result.status == 0 else str(result.message)
