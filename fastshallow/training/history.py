"""History: costs, scores, learning rates and times of a training, by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["History"]

#: Series with one value per epoch; the validation series are empty without validation examples.
SERIES = (
    "cost",
    "validation_cost",
    "validation_score",
    "learning_rate",
    "seconds",
    "steps",
)


class History:
    """Costs, scores, learning rates and times of a training, by epoch.

    Attributes
    ----------
    cost : ndarray, (epochs,), float64
        Mean of J over the batches of an epoch, weighted by the examples of each batch. J of a
        batch is computed before its update.
    validation_cost, validation_score : ndarray, (epochs,) or (0,), float64
        J without penalty, and `Network.score`, of the validation examples after the epoch.
    learning_rate : ndarray, (epochs,), float64
        Learning rate of the epoch's last step.
    seconds : ndarray, (epochs,), float64
        Time from the start of training to the end of the epoch.
    steps : ndarray, (epochs,), int64
        Steps taken since training started, at the end of the epoch.
    stopped : str
        Why training ended: "epochs" (all epochs were taken), "interrupted", "diverged",
        "converged" (L-BFGS), SciPy's message, the class name of a callback, or the schedule's
        reason.

    Examples
    --------
    >>> import fastshallow as fs
    >>> net = fs.Network((1, 1), output="linear", dtype="float64")
    >>> history = fs.train(net, [[1.0, 2.0]], [[2.0, 4.0]], fs.GradientDescent(0.1), epochs=3)
    >>> history
    History(3 epochs, 3 steps, cost 5 -> 0.964912, stopped: epochs)
    """

    def __init__(self) -> None:
        self._series: dict[str, list[float]] = {name: [] for name in SERIES}
        self.stopped = ""

    def append(self, **values: Any) -> None:
        """Append one value, or one per epoch, to each named series; ignore None."""
        for name, value in values.items():
            if value is not None:
                self._series[name] += np.atleast_1d(value).tolist()

    def __len__(self) -> int:
        return len(self._series["cost"])

    def _array(self, name: str) -> np.ndarray:
        return np.array(self._series[name], np.int64 if name == "steps" else np.float64)

    @property
    def cost(self) -> np.ndarray:
        """Cost by epoch."""
        return self._array("cost")

    @property
    def validation_cost(self) -> np.ndarray:
        """Cost of the validation examples by epoch."""
        return self._array("validation_cost")

    @property
    def validation_score(self) -> np.ndarray:
        """Score of the validation examples by epoch."""
        return self._array("validation_score")

    @property
    def learning_rate(self) -> np.ndarray:
        """Learning rate by epoch."""
        return self._array("learning_rate")

    @property
    def seconds(self) -> np.ndarray:
        """Time at the end of every epoch."""
        return self._array("seconds")

    @property
    def steps(self) -> np.ndarray:
        """Steps at the end of every epoch."""
        return self._array("steps")

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all series by name."""
        return {name: self._array(name) for name in SERIES}

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the cost by epoch, and that of the validation examples; see `plot_cost`."""
        from ..network.plotting import plot_cost

        validation = self.validation_cost if self._series["validation_cost"] else None
        axes = plot_cost(self.cost, validation, ax)
        axes.set_xlabel("epoch")
        return axes

    def __repr__(self) -> str:
        if not len(self):
            return f"History(0 epochs, stopped: {self.stopped})"
        cost = self._series["cost"]
        return (
            f"History({len(self)} epochs, {self._series['steps'][-1]} steps, "
            f"cost {cost[0]:.6g} -> {cost[-1]:.6g}, stopped: {self.stopped})"
        )
