"""Training: the estimator that the options describe, what it did, and why it ended."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import fastshallow as fs

from ..estimators.base import NOT_FINITE
from ..tables.mistakes import Mistake
from ..tables.pipeline import Pipeline
from ..training.callbacks import Callback
from .common import note, say
from .options import TrainOptions
from .prepare import Prepared

__all__ = ["Run", "fit"]


@dataclass
class Run:
    """What training did."""

    model: Pipeline
    loss: list[float]
    held_out_loss: list[float]
    seconds: float
    compile_seconds: float
    stopped: str


@dataclass
class Recorder(Callback):
    """Keep when training began and ended, and every epoch's loss of the examples held out."""

    X: np.ndarray | None = None
    y: np.ndarray | None = None
    n_threads: int | None = None
    held_out_loss: list[float] = field(default_factory=list)
    began: float = 0.0
    ended: float = 0.0

    def __deepcopy__(self, memo: dict[int, Any]) -> Recorder:
        """Return itself: it is read after the fit, whose examples a copy would copy."""
        return self

    def on_train_begin(self, state: Any) -> None:
        """Note the time."""
        self.began = self.ended = time.perf_counter()

    def on_epoch_end(self, state: Any) -> bool:
        """Add the epoch's, if any are held out, and note the time."""
        if self.X is not None:
            cost = state.net.cost(self.X.T, self.y, n_threads=self.n_threads)
            self.held_out_loss.append(float(cost))
        self.ended = time.perf_counter()
        return False


def fit(data: Prepared, options: TrainOptions) -> Run:
    """Train until the estimator stops, or Ctrl-C."""
    if not options.quiet:
        say(options, "\nCompiling the kernels (many seconds in the first run, then kept) ...")
    compile_seconds = fs.warmup(data.X.dtype)
    recorder = Recorder(n_threads=options.threads)
    if options.plot and len(data.X_held_out):
        recorder.X = data.X_held_out
        recorder.y = data.y_held_out.astype(data.X.dtype)
    learner = estimator(data.target.task, options, recorder)
    interrupted = False
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            learner.fit(data.X, data.y)
        except KeyboardInterrupt:
            if not recorder.began:
                raise
            interrupted = True
        except ValueError as error:
            raise Mistake(_why(error, learner)) from error
    stopped = _stopped([str(warning.message) for warning in caught], learner, interrupted)
    if not np.isfinite(learner.net_.params).all():
        raise Mistake(_why(ValueError(NOT_FINITE), learner))
    names = [data.target.name, *(column.name for column in data.columns)]
    reading = options.reading.of_model(names)
    return Run(
        model=Pipeline(learner.net_, data.columns, data.target, reading),
        loss=learner.loss_curve_,
        held_out_loss=recorder.held_out_loss,
        seconds=recorder.ended - recorder.began,
        compile_seconds=compile_seconds,
        stopped=stopped,
    )


def estimator(task: str, options: TrainOptions, recorder: Recorder) -> Any:
    """Return the estimator that the options describe."""
    maybe: dict[str, Any] = {
        "learning_rate_init": options.learning_rate,
        "class_weight": options.class_weight,
    }
    make = fs.ShallowClassifier if task == "classification" else fs.ShallowRegressor
    return make(
        hidden_layer_sizes=options.hidden,
        activation=options.activation,
        solver=options.solver,
        alpha=options.alpha,
        batch_size=options.batch_size or "auto",
        max_iter=options.epochs,
        early_stopping=options.early_stopping,
        random_state=options.seed,
        callbacks=[recorder],
        progress=not options.quiet,
        n_threads=options.threads,
        **{name: value for name, value in maybe.items() if value is not None},
    )


def _why(error: ValueError, learner: Any) -> str:
    """Return what to do about an error of fit, in one line."""
    if str(error) == NOT_FINITE:
        return (
            "the weights are not finite any more: try a --learning-rate smaller than "
            f"{learner.learning_rate_init:g}"
        )
    text = " ".join(str(error).split())
    return f"--early-stopping: {text}" if learner.early_stopping else text


def _stopped(messages: list[str], learner: Any, interrupted: bool) -> str:
    """Return why training ended: "interrupted", "epochs" or "converged"; pass on what is left."""
    stopped = "interrupted" if interrupted else "converged"
    for message in messages:
        if "interrupted by user" in message:
            stopped = "interrupted"
        elif "Maximum iterations" in message or "ITERATIONS REACHED LIMIT" in message:
            stopped = "epochs"
        elif "batch_size" in message:
            note(f"warning: --batch-size {learner.batch_size} is more than the rows: all are taken")
        else:
            note(f"warning: {message.strip().splitlines()[0]}")
    return stopped
