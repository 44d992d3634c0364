"""Base class of the two estimators: parameters, validation, fitting and prediction.

Examples are rows here, as in scikit-learn. The network takes the transpose, which is a view.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.optimize import _check_optimize_result
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from ..kernels.activations import TABLE
from ..kernels.losses import LOSSES
from ..network import checks
from ..network.initialization import METHODS
from ..network.network import CLASSIFIERS, FEW_VALUES, Network
from ..training.callbacks import copies
from ..training.divergence import DivergenceError
from ..training.loop import Score
from ..training.optimizers import LBFGS
from ..training.orders import InOrder
from ..training.trainer import Trainer
from .coefs import HasCoefs
from .fitting import (
    ClippedTrainer,
    Monitoring,
    Reshuffled,
    Rows,
    Solver,
    StoppingRule,
    run,
    run_lbfgs,
    scipy_result,
    unchanged_if_refused,
)

__all__ = ["HIDDEN_ACTIVATIONS", "OUTPUT_ACTIVATIONS", "BaseShallow"]

#: Hidden activations: the estimators' names and those of `Network`.
HIDDEN_ACTIVATIONS = {row.estimator: name for name, row in TABLE.items() if row.hidden}

#: Output activations: the estimators' names and those of `Network`.
OUTPUT_ACTIVATIONS = {TABLE[name].estimator: name for name in LOSSES}

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)

FLOATS = (np.dtype(np.float64), np.dtype(np.float32))


class BaseShallow(HasCoefs, BaseEstimator, ABC):
    """Abstract base class of `ShallowClassifier` and `ShallowRegressor`."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(HIDDEN_ACTIVATIONS)), list, tuple],
        "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions({"auto", *METHODS} - {"zeros"})],
        "dtype": [
            StrOptions({"auto", "float32", "float64"}),
            Options(type, {np.float32, np.float64}),
        ],
        "restore_best": ["boolean"],
        "callbacks": [list, tuple, None],
        "progress": ["boolean"],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
    }

    net_: Network
    callbacks_: list[Any]
    n_iter_: int
    t_: int
    loss_: float
    loss_curve_: list[float]
    best_loss_: float | None
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    _no_improvement_count: int

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a pickled state, maybe of a version with fewer parameters."""
        given = inspect.signature(type(self).__init__).parameters.values()
        defaults = {p.name: p.default for p in given if p.default is not p.empty}
        super().__setstate__({**defaults, **state})
        net = self.__dict__.get("net_")
        if net is None:
            return
        if not isinstance(net, Network) or not hasattr(net, "params"):
            raise TypeError(f"net_: expected a Network; got {type(net).__name__}")
        known = {"n_layers_": len(net.sizes), "n_outputs_": net.sizes[-1]}
        self.__dict__.update({**known, **self.__dict__})

    # The network ---------------------------------------------------------------------------------

    def _adopt_coefs(self) -> None:
        """Make the network from ``coefs_`` and ``intercepts_`` that were assigned without a fit."""
        if "net_" in self.__dict__ or not (
            hasattr(self, "coefs_") and hasattr(self, "intercepts_")
        ):
            return
        coefs = [np.asarray(W) for W in self._coefs]
        sizes = [coefs[0].shape[0], *(W.shape[1] for W in coefs)]
        net = self._network(sizes, coefs[0].dtype)
        intercepts = self._intercepts
        del self._coefs, self._intercepts
        self.net_ = net
        self.coefs_, self.intercepts_ = coefs, intercepts

    def _network(self, sizes: list[int], dtype: Any) -> Network:
        """Return a new network with the estimator's activations."""
        names = self._activations(len(sizes) - 2)
        hidden = [HIDDEN_ACTIVATIONS[name] for name in names]
        return Network(sizes, hidden, OUTPUT_ACTIVATIONS[self._output()], dtype)

    def _activations(self, n: int) -> list[str]:
        """Return the estimators' names of the activations of n hidden layers."""
        if isinstance(self.activation, str):
            return [self.activation] * n
        names = [checks.one_of("activation", name, HIDDEN_ACTIVATIONS) for name in self.activation]
        if len(names) != n:
            raise ValueError(
                f"activation: expected one name, or {n} for the hidden layers; got {len(names)}"
            )
        return names

    def _draw(self, net: Network) -> None:
        """Draw the initial parameters of a network."""
        if self.init != "auto":
            net.init(self.init, seed=self._random_state.randint(np.iinfo(np.int32).max))
            return
        names = self._activations(len(net.hidden))
        # scikit-learn scales the output layer by the hidden activation
        names = [*names, *(names[-1:] or [str(self.activation)])]
        for W, b, name in zip(net.W, net.b, names, strict=True):
            fan_out, fan_in = W.shape
            bound = np.sqrt((2.0 if name == "logistic" else 6.0) / (fan_in + fan_out))
            with np.errstate(under="ignore"):
                W.T[...] = self._random_state.uniform(-bound, bound, (fan_in, fan_out))
                b[:, 0] = self._random_state.uniform(-bound, bound, fan_out)

    # Methods of the subclasses -------------------------------------------------------------------

    @abstractmethod
    def _output(self) -> str:
        """Return scikit-learn's name of the output activation."""

    @abstractmethod
    def _check_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        """Return checked X, and targets of the network, (m,) or (m, n_outputs)."""

    @abstractmethod
    def _check_targets(self, y: Any) -> Any:
        """Return the targets of an ``eval_set`` in the same form."""

    @abstractmethod
    def _stratify(self, y: np.ndarray) -> np.ndarray | None:
        """Return labels for a stratified validation split, or None."""

    @abstractmethod
    def _score(self, values: np.ndarray, data: Rows) -> float:
        """Return the score of A[L], (n_outputs, m), for early stopping."""

    def _loss_scale(self) -> float:
        """Return the factor of the loss in reports."""
        return 1.0

    def _class_weights(self, y: Any, weight: Any, incremental: bool) -> Any:
        """Return the weights of the examples multiplied by those of their classes."""
        return weight

    # Fitting -------------------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, eval_set: Any = None) -> Any:
        """Fit the model.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
            Inputs.
        y : array_like, (n_samples,) or (n_samples, n_outputs)
            Class labels or, for regression, numbers.
        sample_weight : array_like, (n_samples,), or None
            Weights of the examples, not negative and not all 0.
        eval_set : (X, y), (X, y, sample_weight) or None
            Validation examples. Their loss, without penalty, becomes ``eval_loss_curve_``, and the
            parameters of the epoch with the lowest loss are restored unless ``restore_best=False``.
            With ``early_stopping`` they replace the split from X, and their score decides.

        Returns
        -------
        self
            The fitted estimator.
        """
        with unchanged_if_refused(self):
            prepared = self._prepare(X, y, sample_weight, eval_set, incremental=False)
        return self._train(*prepared, incremental=False)

    def _train(
        self, trainer: Trainer, eval_set: Rows | None, held_out: Rows | None, incremental: bool
    ) -> Any:
        try:
            if self.solver == "lbfgs":
                self._fit_lbfgs(trainer, eval_set)
            else:
                self._fit_stochastic(trainer, eval_set, held_out, incremental)
        except DivergenceError as error:
            raise ValueError(NOT_FINITE) from error
        if not np.isfinite(self.net_.params).all():
            raise ValueError(NOT_FINITE)
        return self

    def _prepare(
        self, X: Any, y: Any, weight: Any, eval_set: Any, incremental: bool
    ) -> tuple[Trainer, Rows | None, Rows | None]:
        """Check all arguments, and make the network or keep that of the last fit.

        Return the trainer, the examples of ``eval_set``, and the examples for early stopping.
        """
        sizes = np.atleast_1d(self.hidden_layer_sizes).tolist()
        for n in sizes:
            if isinstance(n, int) and n <= 0:
                raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
            checks.whole("hidden_layer_sizes", n, 1)
        self.callbacks_ = copies(self.callbacks)
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        again = hasattr(self, "coefs_") and (self.warm_start or incremental)
        X, targets = self._check_input(X, y, incremental, reset=not again)
        weight = self._class_weights(y, weight, incremental)
        if weight is not None:
            weight = _check_sample_weight(weight, X, ensure_non_negative=True)
        if targets.ndim == 1:
            targets = targets.reshape(-1, 1)
        self._random_state = check_random_state(self.random_state)
        self._set_network([X.shape[1], *sizes, targets.shape[1]], X.dtype, again)
        return self._start(Rows(X, targets, weight), self._check_eval_set(eval_set), incremental)

    def _set_network(self, sizes: list[int], dtype: Any, again: bool) -> None:
        """Make the network, or keep that of the last fit, and reset the fitted attributes."""
        if again:
            self._adopt_coefs()
            if self.net_.sizes != tuple(sizes):
                raise ValueError(
                    f"hidden_layer_sizes: expected the layers of the last fit, "
                    f"{self.net_.sizes}, to continue it; got {tuple(sizes)}"
                )
            net = self._network(sizes, self.net_.dtype)
            if net._described() != self.net_._described():  # other activations
                net.params = self.net_.params
                self.net_ = net
        else:
            net = self._network(sizes, dtype)
            self._draw(net)
            for name in ("_coefs", "_intercepts", "eval_loss_curve_", "_optimizer"):
                self.__dict__.pop(name, None)
            self.net_ = net
        initial = {
            "n_iter_": 0,
            "t_": 0,
            "_no_improvement_count": 0,
            "loss_curve_": [],
            "best_loss_": None,
            "best_validation_score_": None,
            "validation_scores_": None,
        }
        for name, value in initial.items():
            if not (again and hasattr(self, name)):  # assigned coefs_ come without them
                setattr(self, name, value)
        self.n_layers_, self.n_outputs_ = len(sizes), sizes[-1]
        self.out_activation_ = self._output()

    def _stops_by_score(self) -> bool:
        """Return whether the score of validation examples stops the fit."""
        return bool(self.early_stopping) and self.solver != "lbfgs"

    def _start(
        self, data: Rows, eval_set: Rows | None, incremental: bool
    ) -> tuple[Trainer, Rows | None, Rows | None]:
        """Return the results of `_prepare` from checked examples."""
        if self.solver == "lbfgs":
            optimizer = LBFGS(gtol=self.tol, max_evaluations=int(self.max_fun))
            return self._trainer(data, optimizer, None), eval_set, None
        scored = self._stops_by_score()
        if not incremental or not hasattr(self, "_optimizer"):
            self._optimizer = Solver.start(self, self.net_)
        held_out = eval_set if scored else None
        if scored and held_out is None:
            stratify = self._stratify(data.y)
            data, held_out = data.split(self.validation_fraction, self._random_state, stratify)
        m = data.X.shape[0]
        size = 200 if self.batch_size == "auto" else int(self.batch_size)
        if size > m and self.batch_size != "auto":
            checks.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                "clipped",
            )
        solver = self._optimizer
        trainer = self._trainer(data, solver.optimizer, size, solver.state(self.t_))
        return trainer, eval_set, held_out

    def _fit_lbfgs(self, trainer: Trainer, eval_set: Rows | None) -> None:
        monitoring = self._monitoring(eval_set, None)
        history, interrupted = run_lbfgs(trainer, int(self.max_iter), monitoring)
        self._keep_history(history)
        self.n_iter_ = len(history)
        if interrupted:
            raise KeyboardInterrupt
        result = scipy_result(history, self.callbacks_)
        _check_optimize_result("lbfgs", result, self.max_iter)
        if len(history) == 0:  # it started at a minimum
            self.loss_ = float(trainer.epoch(rates=0.0))

    def _fit_stochastic(
        self, trainer: Trainer, eval_set: Rows | None, held_out: Rows | None, incremental: bool
    ) -> None:
        scored, m = self._stops_by_score(), trainer.m
        order = Reshuffled(m, self._random_state) if self.shuffle else InOrder(m)
        epochs = 1 if incremental else int(self.max_iter)
        rule = self._stopping_rule(scored)
        monitoring = self._monitoring(eval_set, held_out)
        history, interrupted = run(trainer, self._optimizer, epochs, order, rule, monitoring)
        self.n_iter_, self.t_ = len(history), trainer.state.examples
        self._no_improvement_count = rule.count
        self._keep_history(history)
        if scored:
            self.best_validation_score_, self.best_loss_ = rule.best, None
            scores = [float(score) for score in history.validation_score]
            self.validation_scores_ = [*(self.validation_scores_ or []), *scores]
        else:
            self.best_validation_score_, self.best_loss_ = None, rule.best
        if interrupted:
            checks.warn("Training interrupted by user.")
        elif history.stopped == "epochs" and not incremental:
            checks.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the "
                "optimization hasn't converged yet.",
                ConvergenceWarning,
            )

    def _trainer(self, data: Rows, optimizer: Any, size: int | None, state: Any = None) -> Trainer:
        classifies = self.net_.output in CLASSIFIERS
        make = ClippedTrainer if classifies and isinstance(optimizer, LBFGS) else Trainer
        return make(
            self.net_,
            data.X.T,
            self._columns(data.y),
            optimizer,
            batch_size=size,
            sample_weight=data.weight,
            alpha=float(self.alpha),
            n_threads=self.n_threads,
            state=state,
            loss_scale=self._loss_scale(),
            guard=False,
        )

    def _columns(self, y: np.ndarray) -> np.ndarray:
        """Return targets in the network's form."""
        if self.net_.output == "softmax":
            numbers: np.ndarray = y.argmax(axis=1).astype(self.net_.dtype)
            return numbers
        with np.errstate(all="ignore"):  # kernels refuse infinity
            return np.ascontiguousarray(y, self.net_.dtype).T

    def _stopping_rule(self, scored: bool) -> StoppingRule:
        monitor, best = "cost", getattr(self, "best_loss_", None)
        worst = np.inf
        if scored:
            monitor, best, worst = "validation_score", self.best_validation_score_, -np.inf
        return StoppingRule(
            monitor,
            patience=self.n_iter_no_change,
            tol=float(self.tol),
            best=worst if best is None else best,
            count=self._no_improvement_count,
        )

    def _monitoring(self, eval_set: Rows | None, held_out: Rows | None) -> Monitoring:
        """Return the `Monitoring` with the scorer, callbacks, and the value of the best epoch."""
        keep = "validation_score" if held_out else None
        if eval_set and self.restore_best and not held_out:
            keep = "validation_cost"
        score = self._scorer(eval_set, held_out)
        return Monitoring(score, self.callbacks_, keep, bool(self.verbose), bool(self.progress))

    def _keep_history(self, history: Any) -> None:
        """Append a history to the curves."""
        self.loss_curve_ += [float(cost) for cost in history.cost]
        if len(history):
            self.loss_ = self.loss_curve_[-1]
        evaluated = history.validation_cost
        if evaluated.size and not np.isnan(evaluated).all():
            before = getattr(self, "eval_loss_curve_", [])
            self.eval_loss_curve_ = [*before, *(float(cost) for cost in evaluated)]

    # Held-out examples ---------------------------------------------------------------------------

    def _check_eval_set(self, eval_set: Any) -> Rows | None:
        """Return the checked examples of ``eval_set``."""
        if eval_set is None:
            return None
        if not isinstance(eval_set, (tuple, list)) or len(eval_set) not in (2, 3):
            raise TypeError(
                "eval_set: expected (X, y) or (X, y, sample_weight); got "
                f"{type(eval_set).__name__} of length {np.size(eval_set)}"
            )
        try:
            with np.errstate(all="ignore"):
                X = validate_data(self, eval_set[0], reset=False, dtype=self._dtypes())
            y = self._check_targets(eval_set[1])
            y = y.reshape(-1, 1) if y.ndim == 1 else y
            check_consistent_length(X, y)
            weight = eval_set[2] if len(eval_set) == 3 else None
            if weight is not None:
                weight = _check_sample_weight(weight, X, ensure_non_negative=True)
            self.net_.cost(X.T, self._columns(y), weight)
        except (TypeError, ValueError) as error:
            raise type(error)(f"eval_set: {error}") from error
        return Rows(X, y, weight)

    def _scorer(self, eval_set: Rows | None, held_out: Rows | None) -> Score | None:
        """Return a function of the loss of ``eval_set`` and the score of ``held_out``, or NaN."""
        if eval_set is None and held_out is None:
            return None
        net, scale = self.net_, self._loss_scale()
        Y = None if eval_set is None else self._columns(eval_set.y)

        def score() -> tuple[float, float]:
            finite = bool(np.isfinite(net.params).all())
            cost = value = np.nan
            if eval_set is not None and finite:
                cost = scale * net.cost(eval_set.X.T, Y, eval_set.weight, 0.0, self.n_threads)
            if held_out is not None:
                m = held_out.X.shape[0]
                A = self._values(held_out.X.T) if finite else np.full((self.n_outputs_, m), np.nan)
                value = self._score(A, held_out)
            return cost, value

        return score

    # Prediction ----------------------------------------------------------------------------------

    def _dtypes(self) -> Any:
        """Return the dtypes of X that are kept; others are converted to the first."""
        return FLOATS if self.dtype == "auto" else np.dtype(self.dtype)

    def _values(self, columns: np.ndarray) -> np.ndarray:
        """Return A[L], (n_outputs, m)."""
        net = self.net_
        if net.output in CLASSIFIERS:
            return net.predict_proba(columns, self.n_threads)
        return net.predict(columns, n_threads=self.n_threads)

    def _plain(self, X: Any) -> np.ndarray | None:
        """Return X as columns if it needs no validation but that of its values, else None.

        X is then a float array of the right width, and fit saw no feature names.
        """
        fitted = self.__dict__
        net = fitted.get("net_")
        if net is None or type(X) is not np.ndarray or X.ndim != 2:
            return None
        if X.shape[1] != net.sizes[0] or not X.shape[0] or "feature_names_in_" in fitted:
            return None
        if X.dtype is not net.dtype:
            if X.dtype not in FLOATS:
                return None
            if X.size <= FEW_VALUES:
                X = checks.cast(X, net.dtype)  # the kernel refuses infinity
        columns: np.ndarray = X.T
        return columns

    def _outputs(self, X: Any) -> np.ndarray:
        """Return A[L], (n_outputs, m), for any X that scikit-learn accepts."""
        columns = self._plain(X)
        if columns is not None:
            try:
                return self._values(columns)
            except ValueError:
                pass  # `validate_data` below raises scikit-learn's message
        self._adopt_coefs()
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=FLOATS)
        return self._values(X.T)

    def _check_solver(self) -> bool:
        if self.solver == "lbfgs":
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. "
                f"{self.solver} is not stochastic."
            )
        return True
