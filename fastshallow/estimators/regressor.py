"""ShallowRegressor: the interface of scikit-learn's MLPRegressor on fastshallow's kernels.

`docs/migration.md` lists the differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils import Tags, check_array, column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from ..kernels.activations import TABLE
from ..kernels.losses import LOSSES
from ..network.network import FEW_VALUES
from .base import BaseShallow
from .fitting import Rows, unchanged_if_refused

__all__ = ["ShallowRegressor"]

NAN = float("nan")

#: Legal output activations by ``loss``, the default first.
OUTPUTS_BY_LOSS = {
    name: tuple(TABLE[output].estimator for output, loss in LOSSES.items() if loss == of_network)
    for name, of_network in (("squared_error", "squared_error"), ("poisson", "poisson_deviance"))
}


class ShallowRegressor(RegressorMixin, BaseShallow):
    """A shallow neural network for regression: scikit-learn's MLPRegressor.

    It minimises half the squared error or half the Poisson deviance. The parameters up to
    ``max_fun`` are those of MLPRegressor, in the same order.

    Parameters
    ----------
    loss : {"squared_error", "poisson"}
        The loss. "poisson" has the output exp(z) and needs targets >= 0.
    hidden_layer_sizes : int or sequence of int
        Units of the hidden layers; () is linear regression.
    activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter
        See `ShallowClassifier`.
    shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum
        See `ShallowClassifier`.
    early_stopping : bool
        Whether to stop by R^2 on held-out examples, and restore the best parameters.
    validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change, max_fun
        See `ShallowClassifier`.
    output_activation : {"auto", "identity", "relu", "exp"}
        Activation of the output layer. "auto" is identity for squared error and exp for Poisson
        deviance. "relu" with squared error is for targets that are not negative.
    init, dtype, restore_best, callbacks, progress, n_threads
        See `ShallowClassifier`.

    Attributes
    ----------
    net_ : Network
        The network.
    coefs_, intercepts_ : list of ndarray
        Weights (fan_in, fan_out) and biases (fan_out,) by layer. They are views of ``net_``;
        assignment copies values.
    loss_, loss_curve_, best_loss_, eval_loss_curve_
        As in `ShallowClassifier`; the squared error is averaged over outputs.
    validation_scores_, best_validation_score_ : list of float and float, or None
        R^2 on held-out examples; None without ``early_stopping``.
    callbacks_, n_iter_, t_, n_layers_, n_outputs_, out_activation_
        As in `ShallowClassifier`.
    n_features_in_, feature_names_in_
        As in `ShallowClassifier`.

    Examples
    --------
    >>> import numpy as np, fastshallow as fs
    >>> X = np.linspace(-3, 3, 200).reshape(-1, 1)
    >>> y = np.sin(X[:, 0])
    >>> model = fs.ShallowRegressor(activation="tanh", solver="lbfgs", max_iter=500, random_state=0)
    >>> model.fit(X, y).score(X, y) > 0.99
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseShallow._parameter_constraints,
        "loss": [StrOptions({"squared_error", "poisson"})],
        "output_activation": [StrOptions({"auto"}.union(*OUTPUTS_BY_LOSS.values()))],
    }

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        output_activation: str = "auto",
        init: str = "auto",
        dtype: str | type[np.floating] = "auto",
        restore_best: bool = True,
        callbacks: Sequence[Any] | None = None,
        progress: bool = False,
        n_threads: int | None = None,
    ):
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.output_activation = output_activation
        self.init = init
        self.dtype = dtype
        self.restore_best = restore_best
        self.callbacks = callbacks
        self.progress = progress
        self.n_threads = n_threads

    # Targets -------------------------------------------------------------------------------------

    @np.errstate(all="ignore")  # scikit-learn reports values that its cast makes infinite
    def _check_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        X, y = validate_data(
            self,
            X,
            y,
            multi_output=True,
            y_numeric=True,
            dtype=self._dtypes(),
            reset=reset,
        )
        if y.dtype.kind not in "biuf":
            raise ValueError(f"y: expected numbers; got dtype {y.dtype}")
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, self._check_sign(y)

    @np.errstate(all="ignore")
    def _check_targets(self, y: Any) -> Any:
        y = check_array(y, ensure_2d=False, dtype="numeric")
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return self._check_sign(y)

    def _check_sign(self, y: Any) -> Any:
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError(f"y: expected values >= 0 for loss='poisson'; got {y.min()}")
        return y

    def _output(self) -> str:
        legal = OUTPUTS_BY_LOSS[self.loss]
        if self.output_activation == "auto":
            return legal[0]
        if self.output_activation not in legal:
            raise ValueError(
                f"output_activation: expected 'auto' or {' or '.join(map(repr, legal))} for "
                f"loss={self.loss!r}; got {self.output_activation!r}"
            )
        return self.output_activation

    def _loss_scale(self) -> float:
        return 1 / self.n_outputs_ if self.loss == "squared_error" else 1.0

    def _stratify(self, y: np.ndarray) -> np.ndarray | None:
        return None

    def _score(self, values: np.ndarray, data: Rows) -> float:
        if not np.isfinite(values).all():
            return NAN
        if data.weight is not None and data.weight.sum() == 0:
            return NAN
        with np.errstate(all="ignore"):  # -inf or NaN if squares overflow
            return float(r2_score(data.y, values.T, sample_weight=data.weight))

    # Public methods ------------------------------------------------------------------------------

    @available_if(lambda estimator: estimator._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Take one epoch over the given examples, and keep the state of the optimiser.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
            Inputs.
        y : array_like, (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array_like, (n_samples,), or None
            Weights of the examples, not negative and not all 0.

        Returns
        -------
        self
            The fitted estimator.
        """
        with unchanged_if_refused(self):
            prepared = self._prepare(X, y, sample_weight, None, incremental=True)
        return self._train(*prepared, incremental=True)

    def predict(self, X: Any) -> np.ndarray:
        """Return the predicted values.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray, (n_samples,) or (n_samples, n_outputs)
            Values in the dtype of the network.
        """
        columns = self._plain(X)
        if columns is not None and columns.size <= FEW_VALUES:
            net = self.net_
            values = np.empty((net.sizes[-1], columns.shape[1]), net.dtype, "F")
            if net._predict_few(columns, NAN, values):
                return values[0] if net.sizes[-1] == 1 else values.T
        values = self._outputs(X)
        return values[0] if self.n_outputs_ == 1 else values.T

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = self.loss == "poisson"
        return tags
