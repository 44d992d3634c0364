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
from .split import parts

__all__ = ["Run", "class_counts", "fit"]

#: Share of the training rows that early stopping holds out, and the fewest training rows for it:
#: the loss of fewer than ten rows says too little.
VALIDATION = 0.1
STOPPING_LEAST = 100


@dataclass
class Run:
    """What training did."""

    model: Pipeline
    loss: list[float]
    held_out_loss: list[float]
    seconds: float
    compile_seconds: float
    stopped: str
    cross_validation: dict[str, Any] | None = None
    importance: list[dict[str, Any]] | None = None


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
    check_early_stopping(len(data.y), options)
    if not options.quiet:
        say(options, "\nCompiling the kernels (many seconds in the first run, then kept) ...")
    compile_seconds = fs.warmup(data.X.dtype)
    recorder = Recorder(n_threads=options.threads)
    if options.plot and len(data.X_held_out):
        recorder.X = data.X_held_out
        recorder.y = data.y_held_out.astype(data.X.dtype)
    learner = estimator(data.target.task, options, recorder)
    X, y, validation = split_validation(data, options)
    interrupted = False
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            learner.fit(X, y, eval_set=validation)
        except KeyboardInterrupt:
            if not recorder.began:
                raise
            interrupted = True
        except ValueError as error:
            raise Mistake(_why(error, learner)) from error
    stopped = _stopped([str(warning.message) for warning in caught], learner, interrupted)
    if not np.isfinite(learner.net_.params).all():
        raise Mistake(_why(ValueError(NOT_FINITE), learner))
    return Run(
        model=data.model(learner.net_, class_counts(data)),
        loss=learner.loss_curve_,
        held_out_loss=recorder.held_out_loss or getattr(learner, "eval_loss_curve_", []),
        seconds=recorder.ended - recorder.began,
        compile_seconds=compile_seconds,
        stopped=stopped,
    )


def class_counts(data: Prepared) -> dict[str, Any] | None:
    """Return the training rows of each class, which make the baseline of scores."""
    n = len(data.target.classes)
    return {"class_counts": np.bincount(data.y, minlength=n).tolist()} if n else None


def check_early_stopping(rows: int, options: TrainOptions) -> None:
    """Raise if there are too few rows for early stopping."""
    if options.early_stopping and rows < STOPPING_LEAST:
        raise Mistake(
            f"--early-stopping: expected {STOPPING_LEAST} rows or more to train on, as it stops by "
            f"the loss of a tenth of them; got {rows}"
        )


def split_validation(data: Prepared, options: TrainOptions) -> tuple[Any, Any, Any]:
    """Return X and y to train on, and the rows whose loss stops the training, or None."""
    X, y = data.X, data.y
    if not options.early_stopping:
        return X, y, None
    numbers = y if data.target.classes else None
    chosen, rest = parts(len(y), numbers, int(np.ceil(VALIDATION * len(y))), options.seed)
    weight: tuple[Any, ...] = ()
    if options.class_weight:  # or the loss that stops would be another one than that of training
        from sklearn.utils.class_weight import compute_class_weight

        classes = np.arange(len(data.target.classes))
        weight = (compute_class_weight("balanced", classes=classes, y=y[chosen])[y[rest]],)
    return X[chosen], y[chosen], (X[rest], y[rest], *weight)


def estimator(task: str, options: TrainOptions, recorder: Recorder) -> Any:
    """Return the estimator that the options describe."""
    maybe: dict[str, Any] = {
        "learning_rate_init": options.learning_rate,
        "class_weight": options.class_weight,
    }
    callbacks: list[Any] = [recorder]
    if options.early_stopping:
        # Not the estimator's own, which goes by the score: the accuracy of few rows stands still
        # for many epochs in which the loss falls. The estimator restores the best parameters.
        callbacks.append(fs.EarlyStopping(restore_best=False, monitor="validation_cost"))
    make = fs.ShallowClassifier if task == "classification" else fs.ShallowRegressor
    return make(
        hidden_layer_sizes=options.hidden,
        activation=options.activation,
        solver=options.solver,
        alpha=options.alpha,
        batch_size=options.batch_size or "auto",
        max_iter=options.epochs,
        random_state=options.seed,
        callbacks=callbacks,
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
    return " ".join(str(error).split())


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
