"""ShallowClassifier: what scikit-learn's MLPClassifier is, on the engine.

Arguments, attributes, warnings, errors and the fitted model are scikit-learn's; `docs/migration.md`
lists where they differ, and what is new.
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
from .base import BaseShallow
from .fitting import Data, unchanged_if_refused

__all__ = ["ShallowClassifier"]

NAN = float("nan")
# Arrays, as a number would be converted in every call: 0.2 us of the 3 that a row takes.
# Of the dtype of the probabilities: one of another costs 0.6 us a row.
ONE = {np.dtype(t): np.array(1, t) for t in (np.float32, np.float64)}
BELOW_ONE = {np.dtype(t): np.array(np.nextafter(t(1), t(0))) for t in (np.float32, np.float64)}


class ShallowClassifier(ClassifierMixin, BaseShallow):
    """A shallow neural network that classifies: scikit-learn's MLPClassifier.

    It minimises cross-entropy. Binary and multi-label targets have sigmoid outputs, multi-class
    ones softmax. Up to ``max_fun`` the parameters are those of MLPClassifier, in its order.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        Units of the hidden layers; () for logistic regression.
    activation : {"relu", "tanh", "logistic", "identity", "leaky_relu", "softplus", "elu"} or list
        Of the hidden layers: one name, or a list with one for each.
    solver : {"adam", "sgd", "lbfgs"}
        See `Adam`, `SGD` and `LBFGS`.
    alpha : float
        L2 penalty on the weights, divided by the examples of a batch, or the sum of their weights.
    batch_size : int or "auto"
        Examples of a batch; "auto" is min(200, n_samples). "lbfgs" takes all.
    learning_rate : {"constant", "invscaling", "adaptive"}
        Schedule of "sgd"; see `Constant`, `InverseScaling` and `Adaptive`.
    learning_rate_init : float
        Learning rate of "sgd" and "adam".
    power_t : float
        Exponent of "invscaling".
    max_iter : int
        Epochs, or iterations of "lbfgs", at most.
    shuffle : bool
        Whether every epoch takes the examples in another order.
    random_state : int, RandomState or None
        Start of the initial weights, the validation split and the orders; None is NumPy's global
        generator.
    tol : float
        An epoch is no improvement if its loss is above the best less ``tol``, or its validation
        score below the best plus ``tol``. For "lbfgs" the largest entry of the gradient at the end.
    verbose : bool or int
        Whether to print the loss of every epoch.
    warm_start : bool
        Whether ``fit`` goes on from the parameters that are there.
    momentum : float
        Of "sgd", from 0 to 1.
    nesterovs_momentum : bool
        Whether its steps look ahead.
    early_stopping : bool
        Whether to stop by the accuracy on held-out examples, and keep the best weights.
    validation_fraction : float
        Share of examples held out by ``early_stopping``.
    beta_1, beta_2, epsilon : float
        Of "adam".
    n_iter_no_change : int or inf
        Epochs without improvement that are let pass.
    max_fun : int
        Evaluations of the loss by "lbfgs" at most.
    class_weight : dict, list of dict, "balanced" or None
        Weights of the classes, by which those of their examples are multiplied; as in
        `sklearn.utils.class_weight.compute_sample_weight`.
    output_activation : {"auto", "logistic", "softmax"}
        Of the output layer. "auto" is softmax for more than two classes, else logistic. "logistic"
        with more than two classes is one sigmoid for each, and probabilities that are divided by
        their sum.
    init : {"auto", "glorot", "he", "course"}
        Initial weights; "auto" is scikit-learn's, the others are those of `Network.init`.
    dtype : {"auto", "float32", "float64"}
        Of the parameters and all arithmetic; "auto" is that of X where it is one of these, else
        float64.
    restore_best : bool
        Whether ``fit`` with an ``eval_set`` leaves the weights of the epoch of its lowest loss.
    callbacks : list or None
        Objects with ``on_epoch_end(state)``; see `fastshallow.training.callbacks`. ``fit`` calls
        deep copies of them, ``callbacks_``.
    progress : bool
        Whether to show a progress bar.
    n_threads : int or None
        Threads; None is by the work. The model is the same with any number.

    Attributes
    ----------
    net_ : Network
        The network.
    coefs_, intercepts_ : list of ndarray
        Its weights (fan_in, fan_out) and biases (fan_out,) by layer: views of ``net_``, into which
        assignments copy.
    classes_ : ndarray or list of ndarray
        Class labels.
    loss_ : float
        Loss of the last epoch.
    loss_curve_ : list of float
        Loss of every epoch.
    best_loss_ : float or None
        The lowest; None with ``early_stopping``.
    validation_scores_, best_validation_score_ : list of float and float, or None
        Accuracy on held-out examples; None without ``early_stopping``.
    eval_loss_curve_ : list of float
        Loss of the ``eval_set`` after every epoch, if fit was given one.
    callbacks_ : list
        What the last call of fit or partial_fit had copied of ``callbacks``, to be read.
    n_iter_ : int
        Epochs of the last call.
    t_ : int
        Examples that epochs took so far.
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

    @np.errstate(all="ignore")  # scikit-learn casts, and says what became infinite
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
        """Return whether each of several classes has a sigmoid of its own."""
        return self.net_.output == "sigmoid" and self._label_binarizer.y_type_ == "multiclass"

    def _predicts_dense(self) -> bool:
        """Return whether several outputs are labels of an array: y was no sparse matrix."""
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
        with np.errstate(all="ignore"):  # infinity is refused as any weight
            return factors * given

    def _score(self, values: np.ndarray, data: Data) -> float:
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
        """Take one epoch over the given examples, and keep the solver's state.

        Parameters
        ----------
        X : array_like, (n_samples, n_features)
            Inputs.
        y : array_like, (n_samples,) or (n_samples, n_outputs)
            Class labels.
        sample_weight : array_like, (n_samples,), or None
            Weights, not negative and not all 0.
        classes : array_like or None
            All classes; needed in the first call.

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
            Class labels; for multi-label targets 0 and 1.
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
            Probabilities, in the order of ``classes_``.
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
                    return self._of_several(values).T
        values = self._outputs(X)
        if self.n_outputs_ == 1:
            return np.vstack([1 - values, values]).T
        return self._of_several(values).T

    @np.errstate(all="ignore")
    def _of_several(self, values: np.ndarray) -> np.ndarray:
        """Return probabilities from A[L], (n_outputs, m), of several outputs."""
        if self.net_.output == "softmax":
            return values
        if self._one_against_rest():
            total = values.sum(axis=0)
            return np.where(total > 0, values, 1) / np.where(total > 0, total, len(values))
        # scikit-learn's may be exactly 1, which fails its own check of multi-label estimators
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
            Logarithms of the probabilities, in the order of ``classes_``.
        """
        probabilities = self.predict_proba(X)
        with np.errstate(divide="ignore"):  # of 0 it is -inf
            logarithms: np.ndarray = np.log(probabilities, out=probabilities)
        return logarithms

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
