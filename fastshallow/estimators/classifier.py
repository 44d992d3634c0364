"""ShallowClassifier: the interface of scikit-learn's MLPClassifier on fastshallow's kernels.

Arguments, attributes, warnings, errors and the fitted model are scikit-learn's. `docs/migration.md`
lists the differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import Tags, check_array, column_or_1d, compute_sample_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    type_of_target,
    unique_labels,
)
from sklearn.utils.validation import _check_sample_weight, validate_data

from ..network.network import FEW_VALUES
from ..simd.elementary import log_each
from .base import BaseShallow
from .fitting import Rows, unchanged_if_refused

__all__ = ["ShallowClassifier"]

NAN = float("nan")
# Arrays of the dtype of the probabilities: NumPy would convert others in every call.
ONE = {np.dtype(t): np.array(1, t) for t in (np.float32, np.float64)}
BELOW_ONE = {np.dtype(t): np.array(np.nextafter(t(1), t(0))) for t in (np.float32, np.float64)}


class ShallowClassifier(ClassifierMixin, BaseShallow):
    """A shallow neural network that classifies: scikit-learn's MLPClassifier.

    It minimises cross-entropy. Binary and multi-label targets have sigmoid outputs, multi-class
    targets a softmax output. The parameters up to ``max_fun`` are those of MLPClassifier, in the
    same order.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        Units of the hidden layers; () is logistic regression.
    activation : {"relu", "tanh", "logistic", "identity", "leaky_relu", "softplus", "elu"} or list
        Activation of the hidden layers: one name, or a list with one name per layer.
    solver : {"adam", "sgd", "lbfgs"}
        See `Adam`, `SGD` and `LBFGS`.
    alpha : float
        L2 penalty on the weights, divided by the number of examples of a batch, or by the sum of
        their sample weights.
    batch_size : int or "auto"
        Examples per batch; "auto" is min(200, n_samples). "lbfgs" takes all examples.
    learning_rate : {"constant", "invscaling", "adaptive"}
        Learning rate schedule of "sgd"; see `Constant`, `InverseScaling` and `Adaptive`.
    learning_rate_init : float
        Initial learning rate of "sgd" and "adam".
    power_t : float
        Exponent of "invscaling".
    max_iter : int
        Largest number of epochs, or of iterations of "lbfgs".
    shuffle : bool
        Whether every epoch takes the examples in a new order.
    random_state : int, RandomState or None
        Seed of the initial weights, the validation split and the orders; None means NumPy's global
        generator.
    tol : float
        An epoch is no improvement if its loss is above the best loss minus ``tol``, or its
        validation score is below the best score plus ``tol``. "lbfgs" stops if no entry of the
        gradient is larger.
    verbose : bool or int
        Whether to print the loss of every epoch.
    warm_start : bool
        Whether ``fit`` continues from the current parameters.
    momentum : float
        Momentum of "sgd", from 0 to 1.
    nesterovs_momentum : bool
        Whether "sgd" uses Nesterov's momentum.
    early_stopping : bool
        Whether to stop by the accuracy on held-out examples, and restore the best parameters.
    validation_fraction : float
        Fraction of the examples that ``early_stopping`` holds out.
    beta_1, beta_2, epsilon : float
        Hyper-parameters of "adam"; see `Adam`.
    n_iter_no_change : int or inf
        Tolerated epochs without improvement.
    max_fun : int
        Largest number of evaluations of the loss by "lbfgs".
    class_weight : dict, list of dict, "balanced" or None
        Weights of the classes, which multiply the sample weights; as in
        `sklearn.utils.class_weight.compute_sample_weight`.
    output_activation : {"auto", "logistic", "softmax"}
        Activation of the output layer. "auto" is softmax for more than two classes, else logistic.
        "logistic" with more than two classes is one sigmoid per class, and the probabilities are
        divided by their sum.
    init : {"auto", "glorot", "he", "course"}
        Initial weights; "auto" is scikit-learn's method, the others are those of `Network.init`.
    dtype : {"auto", "float32", "float64"}
        Type of the parameters and all arithmetic; "auto" is the dtype of X if it is one of these,
        else float64.
    restore_best : bool
        Whether ``fit`` with an ``eval_set`` restores the parameters of the epoch with the lowest
        loss.
    callbacks : list or None
        Objects with ``on_epoch_end(state)``; see `fastshallow.training.callbacks`. ``fit`` calls
        deep copies, ``callbacks_``.
    progress : bool
        Whether to show a progress bar.
    n_threads : int or None
        Number of threads; None means a choice by the amount of work. The model is the same with
        any number.

    Attributes
    ----------
    net_ : Network
        The network.
    coefs_, intercepts_ : list of ndarray
        Weights (fan_in, fan_out) and biases (fan_out,) by layer. They are views of ``net_``;
        assignment copies values.
    classes_ : ndarray or list of ndarray
        Class labels.
    loss_ : float
        Loss of the last epoch.
    loss_curve_ : list of float
        Loss of every epoch.
    best_loss_ : float or None
        Lowest loss; None with ``early_stopping``.
    validation_scores_, best_validation_score_ : list of float and float, or None
        Accuracy on held-out examples; None without ``early_stopping``.
    eval_loss_curve_ : list of float
        Loss of the ``eval_set`` after every epoch, if fit had one.
    callbacks_ : list
        Deep copies of ``callbacks`` from the last call of fit or partial_fit.
    n_iter_ : int
        Epochs of the last call.
    t_ : int
        Examples of all epochs so far.
    n_features_in_, feature_names_in_, n_layers_, n_outputs_, out_activation_
        As in scikit-learn.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> import fastshallow as fs
    >>> X, y = load_iris(return_X_y=True)
    >>> model = fs.ShallowClassifier((16,), learning_rate_init=0.02, max_iter=300, random_state=0)
    >>> model.fit(X, y).score(X, y) > 0.95
    True
    >>> model.predict_proba(X[:2]).shape
    (2, 3)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseShallow._parameter_constraints,
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
        "output_activation": [StrOptions({"auto", "logistic", "softmax"})],
    }

    classes_: np.ndarray

    def __init__(
        self,
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
        class_weight: dict[Any, float] | list[dict[Any, float]] | str | None = None,
        output_activation: str = "auto",
        init: str = "auto",
        dtype: str | type[np.floating] = "auto",
        restore_best: bool = True,
        callbacks: Sequence[Any] | None = None,
        progress: bool = False,
        n_threads: int | None = None,
    ):
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
        self.class_weight = class_weight
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
        X, y = validate_data(self, X, y, multi_output=True, dtype=self._dtypes(), reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            classes = unique_labels(y)
            if self.warm_start and set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the "
                    f"previous call to fit. Previously got {self.classes_}, `y` has {classes}"
                )
            self._check_known(classes)
        return X, self._label_binarizer.transform(y).astype(bool)

    def _check_known(self, classes: np.ndarray) -> None:
        if len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. "
                f"'y' has {classes}."
            )

    @np.errstate(all="ignore")
    def _check_targets(self, y: Any) -> Any:
        y = check_array(y, ensure_2d=False, dtype=None, accept_sparse="csr")
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        self._check_known(unique_labels(y))
        return self._label_binarizer.transform(y).astype(bool)

    def _output(self) -> str:
        several = self._label_binarizer.y_type_ == "multiclass"
        if self.output_activation == "auto":
            return "softmax" if several else "logistic"
        if self.output_activation == "softmax" and not several:
            raise ValueError(
                "output_activation: expected 'auto' or 'logistic' for "
                f"{self._label_binarizer.y_type_} targets; got 'softmax'"
            )
        return self.output_activation

    def _one_against_rest(self) -> bool:
        """Return whether there is one sigmoid per class for more than two classes."""
        return self.net_.output == "sigmoid" and self._label_binarizer.y_type_ == "multiclass"

    def _predicts_dense(self) -> bool:
        """Return whether the prediction of several outputs is a dense array of 0 and 1."""
        return not (self._one_against_rest() or self._label_binarizer.sparse_input_)

    def _stratify(self, y: np.ndarray) -> np.ndarray | None:
        return y if y.shape[1] == 1 else None

    def _class_weights(self, y: Any, weight: Any, incremental: bool) -> Any:
        if self.class_weight is None:
            return weight
        if incremental and self.class_weight == "balanced":
            raise ValueError(
                "class_weight: expected None or a dict for partial_fit, which sees a part of the "
                "examples only; got 'balanced'"
            )
        factors = compute_sample_weight(self.class_weight, np.asarray(y))
        if weight is None:
            return factors
        given = _check_sample_weight(weight, factors, ensure_non_negative=True)
        with np.errstate(all="ignore"):  # fit refuses infinite weights
            return factors * given

    def _score(self, values: np.ndarray, data: Rows) -> float:
        if self._label_binarizer.y_type_ == "multiclass":
            right = values.argmax(axis=0) == data.y.argmax(axis=1)
        else:
            right = ((values > 0.5) == data.y.T).all(axis=0)
        if data.weight is not None and data.weight.sum() == 0:
            return NAN
        with np.errstate(all="ignore"):
            return float(np.average(right, weights=data.weight))

    # Public methods ------------------------------------------------------------------------------

    @available_if(lambda estimator: estimator._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """Take one epoch over the given examples, and keep the state of the optimiser.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
            Inputs.
        y : array_like, (n_samples,) or (n_samples, n_outputs)
            Class labels.
        sample_weight : array_like, (n_samples,), or None
            Weights of the examples, not negative and not all 0.
        classes : array_like or None
            All classes; required in the first call.

        Returns
        -------
        self
            The fitted estimator.
        """
        with unchanged_if_refused(self):
            if _check_partial_fit_first_call(self, classes):
                multilabel = type_of_target(y).startswith("multilabel")
                self._label_binarizer = LabelBinarizer().fit(y if multilabel else classes)
            prepared = self._prepare(X, y, sample_weight, None, incremental=True)
        return self._train(*prepared, incremental=True)

    def predict(self, X: Any) -> np.ndarray:
        """Return the predicted classes.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray, (n_samples,) or (n_samples, n_outputs)
            Class labels; 0 and 1 for multi-label targets.
        """
        labels: np.ndarray
        columns = self._plain(X)
        if columns is not None and columns.size <= FEW_VALUES:
            net, m = self.net_, columns.shape[1]
            if net.output == "softmax":
                numbers = np.empty(m, np.int64)
                if net._predict_few(columns, 0.5, numbers):
                    return self.classes_[numbers]
            elif net.sizes[-1] == 1 and self.classes_.size == 2:
                numbers = np.empty((1, m), np.int64)
                if net._predict_few(columns, 0.5, numbers):
                    labels = self.classes_[numbers[0]]
                    return labels
            elif net.sizes[-1] > 1 and self._predicts_dense():
                numbers = np.empty((m, net.sizes[-1]), np.int64)
                if net._predict_few(columns, 0.5, numbers.T):
                    return numbers
        values = self._outputs(X)
        labels = self._label_binarizer.inverse_transform(
            values[0] if self.n_outputs_ == 1 else values.T
        )
        return labels

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of every class.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray, (n_samples, n_classes)
            Probabilities, with classes in the order of ``classes_``.
        """
        columns = self._plain(X)
        if columns is not None and columns.size <= FEW_VALUES:
            net, m = self.net_, columns.shape[1]
            n_y = net.sizes[-1]
            if n_y == 1:
                values = np.empty((2, m), net.dtype)
                second = values[1:]
                if net._predict_few(columns, NAN, second):
                    np.subtract(ONE[net.dtype], second, values[:1])
                    return values.T
            else:
                values = np.empty((n_y, m), net.dtype, "F")
                if net._predict_few(columns, NAN, values):
                    return self._multi_output_proba(values).T
        values = self._outputs(X)
        if self.n_outputs_ == 1:
            return np.vstack([1 - values, values]).T
        return self._multi_output_proba(values).T

    @np.errstate(all="ignore")
    def _multi_output_proba(self, values: np.ndarray) -> np.ndarray:
        """Return probabilities from A[L], (n_outputs, m), with n_outputs > 1."""
        if self.net_.output == "softmax":
            return values
        if self._one_against_rest():
            total = values.sum(axis=0)
            return np.where(total > 0, values, 1) / np.where(total > 0, total, len(values))
        # scikit-learn's own check of multi-label estimators refuses a probability of exactly 1
        below: np.ndarray = np.minimum(values, BELOW_ONE[values.dtype], out=values)
        return below

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithm of `predict_proba`.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray, (n_samples, n_classes)
            Logarithms of the probabilities, with classes in the order of ``classes_``.
        """
        logarithms = np.ascontiguousarray(self.predict_proba(X))
        log_each(logarithms.reshape(-1))  # the bits of NumPy's logarithm depend on the CPU
        return logarithms

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
