"""The class `Network`: sizes, parameters, predictions, the cost J and its gradient."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .. import kernels
from ..jit.linking import prepare
from ..jit.pace import pace_of, paced_region
from ..jit.threads import choose_workers
from ..kernels import layout
from ..kernels.activations import ACTIVATIONS, HIDDEN
from ..kernels.activations import TABLE as ROWS
from ..kernels.calls import cost_and_grad_call, forward_layers_call
from ..kernels.few_examples import predict_few
from ..kernels.losses import TABLE as OUTPUTS
from ..kernels.passes import largest
from . import checks
from .initialization import METHODS, draw
from .plain import plain_arguments, plain_inputs
from .problem import Problem
from .views import Gradient, LayerValues, Parameters

__all__ = ["Gradient", "LayerValues", "Network"]

# Kernels for few examples; see `fastshallow.jit.linking.prepare`.
FEW_KERNELS = ("few",)

# Largest number of values of X for these kernels.
FEW_VALUES = 2048

INT64 = np.dtype(np.int64)

# Output activations that predict classes.
CLASSIFIERS = tuple(name for name, row in OUTPUTS.items() if row.classifies)

# Arguments of the constructor.
ARGUMENTS = ("sizes", "hidden", "output", "dtype", "leaky_slope")


class Network(Parameters):
    """A shallow neural network: Z[l] = W[l] A[l-1] + b[l], A[l] = g[l](Z[l]), A[0] = X.

    Parameters
    ----------
    sizes : sequence of int
        (n_x, n_1, ..., n_y). A network of two sizes has no hidden layer: it is logistic, softmax
        or linear regression.
    hidden : str or list of str
        Activation of the hidden layers, one name for all or one for each: "sigmoid", "tanh",
        "relu", "leaky_relu", "softplus", "elu" or "linear".
    output : str
        Activation of the output layer. It determines the loss: "sigmoid" and "softmax" have
        cross-entropy, "linear" and "relu" squared error, "exp" Poisson deviance.
    dtype : {"float32", "float64"}
        Dtype of the parameters and of all arithmetic.
    leaky_slope : float
        Slope of leaky_relu for z < 0; not negative.

    Attributes
    ----------
    params : ndarray, 1-D
        All parameters in one vector: for each layer W[l] transposed, (n_{l-1}, n_l) in C order,
        then b[l]. They are 0 until `init` or the caller sets them.
    W, b : list of ndarray
        Writable views of ``params``: W[l] of shape (n_l, n_{l-1}), b[l] of shape (n_l, 1). An
        assignment to an item copies into the view. After ``params.flags.writeable = False`` all
        views are read-only, and methods that write raise.
    W1, b1, W2, b2, ... : ndarray
        The same views by name; an assignment copies into the view.
    layers : ndarray, (L, 11)
        The network's table for the kernels; see `fastshallow.kernels.layout`.

    Notes
    -----
    The same inputs give the same bits with any number of threads, on every CPU with fused
    multiply-add. ``n_threads=None`` chooses the number of threads by the amount of work.

    Examples
    --------
    >>> import numpy as np, fastshallow as fs
    >>> X = np.array([[0, 0, 1, 1], [0, 1, 0, 1]])       # (n_x, m): examples are columns
    >>> Y = np.array([0, 1, 1, 0])
    >>> net = fs.Network((2, 4, 1), hidden="tanh", output="sigmoid").init("glorot", seed=1)
    >>> result = fs.gradient_descent(net, X, Y, learning_rate=1.0, n_iter=500)
    >>> net.predict(X)
    array([[0, 1, 1, 0]])
    """

    __slots__ = ("__weakref__", "dtype", "hidden", "layers", "leaky_slope", "output", "sizes")

    def __init__(
        self,
        sizes: Sequence[int],
        hidden: str | Sequence[str] = "relu",
        output: str = "sigmoid",
        dtype: Any = "float32",
        leaky_slope: float = 0.01,
    ):
        sizes = checks.listed("sizes", sizes, "(n_x, ..., n_y)")
        sizes = tuple(checks.whole(f"sizes[{i}]", n, 1) for i, n in enumerate(sizes))
        if len(sizes) < 2:
            raise ValueError(
                f"sizes: expected (n_x, ..., n_y), two numbers or more; got {checks.shown(sizes)}"
            )
        if isinstance(hidden, str):
            names = [checks.one_of("hidden", hidden, HIDDEN)] * (len(sizes) - 2)
        else:
            names = checks.listed("hidden", hidden, "one name, or a list of names")
        if len(names) != len(sizes) - 2:
            raise ValueError(
                f"hidden: expected one name, or {len(sizes) - 2} for the hidden layers of "
                f"sizes {checks.shown(sizes)}; got {len(names)}"
            )
        set_ = object.__setattr__  # our own __setattr__ needs a finished network
        set_(self, "sizes", sizes)
        set_(self, "hidden", tuple(checks.one_of("hidden", n, HIDDEN) for n in names))
        set_(self, "output", checks.one_of("output", output, OUTPUTS))
        set_(self, "leaky_slope", checks.number("leaky_slope", leaky_slope, least=0))
        try:
            known = dtype is not None and np.dtype(dtype) in (np.dtype("f4"), np.dtype("f8"))
        except (TypeError, ValueError):
            known = False
        if not known:
            raise ValueError(f"dtype: expected float32 or float64; got {dtype!r}")
        set_(self, "dtype", np.dtype(dtype))
        wanted = sum((n + 1) * m for n, m in pairwise(sizes)) * self.dtype.itemsize
        if wanted > sys.maxsize // 16:  # offsets and tile sizes must fit int64
            raise MemoryError(f"sizes: {checks.shown(sizes)} want {wanted} bytes of parameters")
        codes = [ACTIVATIONS[name] for name in (*self.hidden, self.output)]
        set_(self, "layers", layout.describe(sizes, codes))
        self._set_params(layout.aligned_zeros(int(layout.n_params(self.layers)), self.dtype), sizes)

    sizes: tuple[int, ...]
    hidden: tuple[str, ...]
    output: str
    dtype: np.dtype
    leaky_slope: float
    layers: np.ndarray

    def init(
        self, method: str | None = None, scale: float | None = None, seed: int | None = None
    ) -> Network:
        """Draw W and set b = 0; see `fastshallow.network.initialization` for the methods.

        Parameters
        ----------
        method : {"course", "glorot", "he", "zeros"} or None
            None means "he" if all hidden layers are relu, leaky_relu or elu, else "glorot".
        scale : float or None
            Factor of the weights; None means 0.01 for "course", else 1.
        seed : int or None
            Seed of a generator for this call; the global random state is never used.

        Returns
        -------
        Network
            This network; ``params`` is modified in place.
        """
        if method is None:
            methods = {ROWS[name].init for name in self.hidden}
            method = methods.pop() if len(methods) == 1 else "glorot"
        checks.one_of("method", method, METHODS)
        self._check_writable()
        if scale is not None:
            scale = checks.number("scale", scale, least=0)
        if seed is not None:
            # RandomState takes 32 bits, Generator any size
            seed = checks.whole("seed", seed, 0, 2**32 - 1 if method == "course" else math.inf)
        with np.errstate(all="ignore"):  # overflow is checked below
            drawn = [W.astype(self.dtype) for W in draw(method, self.sizes, scale, seed)]
        if not all(np.isfinite(W).all() for W in drawn):
            raise ValueError(f"scale: expected weights that {self.dtype} holds; got {scale!r}")
        for W, initial in zip(self.W, drawn, strict=True):
            W[...] = initial
        for b in self.b:
            b[...] = 0
        return self

    @property
    def model(self) -> kernels.Model:
        """The network as an argument of kernels, sharing ``params``; also prepares the kernels."""
        prepare(self.dtype)
        prepare(self.dtype, None, FEW_KERNELS)
        return kernels.Model(self.params, self.layers, self.leaky_slope)

    @property
    def _model(self) -> kernels.Model:
        """The same for internal calls: always writable, and it prepares no kernels."""
        return kernels.Model(self._memory, self.layers, self.leaky_slope)

    # Forward ---------------------------------------------------------------------------------

    def _outputs(self, X: Any, n_threads: int | None) -> np.ndarray:
        """Return A[L], (n_y, m)."""
        few = n_threads is None and isinstance(X, np.ndarray) and X.ndim
        if few and 0 < X.size <= FEW_VALUES:
            out = np.empty((self.sizes[-1], X.size // len(X)), self.dtype, "F")
            if self._predict_few(X, math.nan, out):
                return out
        checks.finite_parameters(self)
        X = checks.inputs(X, self.sizes[0], self.dtype)
        prepare(self.dtype, X.dtype)
        m, n_y = X.shape[1], self.sizes[-1]
        out = np.empty((m, n_y), self.dtype).T
        work = 2.0 * self.params.size * m
        workers = choose_workers(n_threads, m, work)
        pace = pace_of("forward", self.sizes, m, workers, n_threads is not None)
        with paced_region(pace) as workers:
            status = kernels.forward(
                self._model, checks.flat_rows(X), m, checks.flat_rows(out, True), workers
            )
        if status != kernels.OK:
            checks.explain(status, X, None, 0, self)
        return out

    def forward(self, X: Any) -> LayerValues:
        """Return Z[l] and A[l] of every layer, for inspection.

        Parameters
        ----------
        X : array_like, (n_x, m) or (n_x,)
            Inputs; examples are columns.

        Returns
        -------
        LayerValues
            ``Z1, A1, Z2, A2, ...`` of shape (n_l, m). `predict` and `cost_and_grad` keep none
            of them; they take less memory and time.

        Examples
        --------
        >>> import fastshallow as fs
        >>> net = fs.Network((2, 3, 1), hidden="linear", output="linear")
        >>> net.W1 = [[1, 0], [0, 1], [1, 1]]
        >>> net.forward([[1.0], [2.0]]).Z1.ravel().tolist()
        [1.0, 2.0, 3.0]
        """
        plain = plain_inputs(self, X, 2.0)
        if plain is not None:
            m = X.shape[1]
            Z, A = self._layer_memory(m)
            if forward_layers_call(*plain, m, Z, A) == kernels.OK:
                return self._layer_values(Z, A, m)
        checks.finite_parameters(self)
        X = checks.inputs(X, self.sizes[0], self.dtype)
        prepare(self.dtype, X.dtype)
        m = X.shape[1]
        Z, A = self._layer_memory(m)
        status = kernels.forward_layers(self._model, checks.flat_rows(X), m, Z, A)
        if status != kernels.OK:
            checks.explain(status, X, None, 0, self)
        return self._layer_values(Z, A, m)

    def _layer_memory(self, m: int) -> tuple[np.ndarray, np.ndarray]:
        """Return memory for Z and A of all layers."""
        size = m * sum(self.sizes[1:])
        return np.empty(size, self.dtype), np.empty(size, self.dtype)

    def _layer_values(self, Z: np.ndarray, A: np.ndarray, m: int) -> LayerValues:
        """Return views of Z and A by layer."""
        by_layer: tuple[list[np.ndarray], list[np.ndarray]] = [], []
        at = 0
        for n in self.sizes[1:]:
            for views, values in zip(by_layer, (Z, A), strict=True):
                views.append(values[at : at + n * m].reshape(m, n).T)
            at += n * m
        return LayerValues(*by_layer)

    def predict_proba(self, X: Any, n_threads: int | None = None) -> np.ndarray:
        """Return the probabilities A[L], (n_y, m); the output must be sigmoid or softmax."""
        if self.output not in CLASSIFIERS:
            raise AttributeError(
                f"predict_proba needs output sigmoid or softmax; this one is {self.output}"
            )
        return self._outputs(X, n_threads)

    def predict(
        self,
        X: Any,
        threshold: float = 0.5,
        out: np.ndarray | None = None,
        n_threads: int | None = None,
    ) -> np.ndarray:
        """Return predictions.

        Parameters
        ----------
        X : array_like, (n_x, m) or (n_x,)
            Inputs; examples are columns.
        threshold : float
            A sigmoid output predicts 1 where A[L] > threshold.
        out : ndarray or None
            Array for the predictions, of the shape below; modified in place and returned.
        n_threads : int or None
            Threads; None chooses by the work.

        Returns
        -------
        ndarray
            sigmoid: 0 and 1, (n_y, m), int64. softmax: class numbers, (m,), int64.
            Other outputs: A[L], (n_y, m), in the network's dtype.
        """
        few = n_threads is None and type(threshold) is float and math.isfinite(threshold)
        if few and out is not None and self._predict_few(X, threshold, out):
            return out
        threshold = checks.number("threshold", threshold)
        m = checks.inputs(X, self.sizes[0], self.dtype).shape[1]
        shape = (m,) if self.output == "softmax" else (self.sizes[-1], m)
        if out is not None:
            checks.out_array(out, shape, "fiu" if self.output in CLASSIFIERS else "f")
        values = self._outputs(X, n_threads)
        if self.output == "sigmoid":
            with np.errstate(all="ignore"):  # the threshold may overflow in this dtype
                values = (values > self.dtype.type(threshold)).astype(np.int64)
        elif self.output == "softmax":
            classes = np.empty(m, np.int64)
            largest(np.ascontiguousarray(values.T), classes)
            values = classes
        if out is None:
            return values
        with np.errstate(all="ignore"):  # values may overflow in the dtype of out
            out[...] = values
        return out

    def _predict_few(self, X: Any, threshold: float, out: Any) -> bool:
        """Predict few examples without NumPy's checks; return whether that was possible.

        If not, the caller takes the general path, which predicts or raises. ``out`` is then
        unchanged, or partly written if a Z[l] overflows. A threshold of NaN writes A[L].
        """
        if not (
            type(X) is np.ndarray
            and type(out) is np.ndarray
            and X.dtype is self.dtype
            and 1 <= X.ndim <= 2
            and 0 < X.size <= FEW_VALUES
            and out.flags.behaved  # aligned and writable
            and (out.dtype is self.dtype or (out.dtype is INT64 and self.output in CLASSIFIERS))
            and out.ndim == (1 if self.output == "softmax" and not math.isnan(threshold) else 2)
            and not np.may_share_memory(X, out)
            and (out.base is None or not np.may_share_memory(self._memory, out))
        ):
            return False
        prepare(self.dtype, None, FEW_KERNELS)
        slope = self.leaky_slope
        status: int = predict_few(self._memory, self.layers, slope, X, threshold, out)
        return status == kernels.OK

    def score(self, X: Any, Y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy (sigmoid, softmax) or R^2 (other outputs).

        With several sigmoid outputs, an example is right if all its outputs are right.

        Parameters
        ----------
        X, Y, sample_weight
            As for `cost`.
        """
        from sklearn.metrics import accuracy_score, r2_score

        prediction = self.predict(X)
        Y, labels = checks.targets(
            Y, self.sizes[-1], prediction.shape[-1], self.output == "softmax", self.dtype
        )
        checks.usable_targets(Y, labels, self)
        if sample_weight is not None:
            m, double = prediction.shape[-1], np.dtype("f8")
            sample_weight, _ = checks.weights(sample_weight, m, double)
            with np.errstate(under="ignore"):
                sample_weight = sample_weight / sample_weight.max()  # only their ratios count
        if self.output == "softmax":
            truth = Y[0].astype(np.int64) if labels else Y.argmax(axis=0)
            return float(accuracy_score(truth, prediction, sample_weight=sample_weight))
        if self.output == "sigmoid":
            truth = (Y > 0.5).astype(np.int64)
            right = (truth == prediction).all(axis=0)
            return float(np.average(right, weights=sample_weight))
        largest = max(np.abs(Y).max(), np.abs(prediction).max())
        # R^2 is -inf if Y hardly varies; scikit-learn rejects infinite predictions
        with np.errstate(all="ignore"):
            if 1e15 < largest < math.inf:  # avoid overflow of squares; R^2 does not depend on units
                Y, prediction = Y.astype(float) / largest, prediction.astype(float) / largest
            return float(r2_score(Y.T, prediction.T, sample_weight=sample_weight))

    # Cost and gradient -----------------------------------------------------------------------

    def cost(
        self,
        X: Any,
        Y: Any,
        sample_weight: Any = None,
        alpha: float = 0.0,
        n_threads: int | None = None,
    ) -> float:
        """Return J; see `cost_and_grad`."""
        return self._cost_and_grad(X, Y, sample_weight, alpha, n_threads, np.empty(0, self.dtype))

    def backward(
        self,
        X: Any,
        Y: Any,
        sample_weight: Any = None,
        alpha: float = 0.0,
        n_threads: int | None = None,
    ) -> Gradient:
        """Return the gradient of J; see `cost_and_grad`."""
        return self.cost_and_grad(X, Y, sample_weight, alpha, n_threads)[1]

    def cost_and_grad(
        self,
        X: Any,
        Y: Any,
        sample_weight: Any = None,
        alpha: float = 0.0,
        n_threads: int | None = None,
    ) -> tuple[float, Gradient]:
        r"""Return the cost J and its gradient.

        .. math:: J = \frac{1}{\sum w} \sum_i w_i L(a^{(i)}, y^{(i)})
                      + \frac{\alpha}{2 \sum w} \sum_l \|W^{[l]}\|^2

        Parameters
        ----------
        X : array_like, (n_x, m) or (n_x,)
            Inputs; examples are columns. float32 and float64 arrays of any strides are not
            copied; other numbers are converted.
        Y : array_like, (n_y, m)
            Targets; also (m,) if n_y = 1. softmax takes class numbers (m,) or one-hot columns,
            sigmoid values from 0 to 1, exp values >= 0.
        sample_weight : array_like, (m,), or None
            Weights w of the examples, >= 0 and not all 0; None means 1 for each.
        alpha : float
            L2 penalty on the weights; the biases have none.
        n_threads : int or None
            Threads; None chooses by the work.

        Returns
        -------
        J : float
            The cost.
        g : Gradient
            ``g.dW1, g.db1, ...`` and ``g.vector``.

        Raises
        ------
        ValueError, TypeError
            An argument is wrong; the message names it.

        Examples
        --------
        >>> import fastshallow as fs
        >>> net = fs.Network((1, 1), output="linear", dtype="float64")
        >>> J, g = net.cost_and_grad([[2.0]], [[3.0]])
        >>> J, g.dW1.item(), g.db1.item()
        (4.5, -6.0, -3.0)
        """
        grad = np.empty(self._memory.size, self.dtype)
        J = self._cost_and_grad(X, Y, sample_weight, alpha, n_threads, grad)
        return J, Gradient(grad, self.sizes)

    def _cost_and_grad(
        self,
        X: Any,
        Y: Any,
        sample_weight: Any,
        alpha: float,
        n_threads: int | None,
        grad: np.ndarray,
    ) -> float:
        if sample_weight is None and n_threads is None:
            given = plain_arguments(self, X, Y, alpha)
            if given is not None:
                J, status = cost_and_grad_call(*given, grad)
                if status == kernels.OK:
                    return float(J)
        return Problem(self, X, Y, sample_weight, alpha, n_threads).cost(grad)

    # Representation, comparison, copies and pickles ------------------------------------------

    def _described(self) -> dict[str, Any]:
        """Return the constructor's arguments of this network, in types of JSON."""
        values = (list(self.sizes), list(self.hidden), self.output)
        return dict(zip(ARGUMENTS, (*values, self.dtype.name, self.leaky_slope), strict=True))

    def __repr__(self) -> str:
        hidden = f"hidden={list(self.hidden)}, " if self.hidden else ""
        if len(set(self.hidden)) == 1:
            hidden = f"hidden={self.hidden[0]!r}, "
        slope = f", leaky_slope={self.leaky_slope}" if "leaky_relu" in self.hidden else ""
        return (
            f"Network({self.sizes}, {hidden}output={self.output!r}, "
            f"dtype={self.dtype.name!r}{slope})"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Network):
            return NotImplemented
        same = self._described() == other._described()
        return same and np.array_equal(self.params, other.params)

    __hash__ = None  # type: ignore[assignment]  # it is mutable

    def copy(self) -> Network:
        """Return a network of the same architecture with a copy of the parameters."""
        net = object.__new__(type(self))
        net.__setstate__(self.__getstate__())
        return net

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> Network:
        return self.copy()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickle and skops: the constructor's arguments and ``params``."""
        return {**self._described(), "params": self.params}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state of `__getstate__`, with a copy of the parameters."""
        wanted = (*ARGUMENTS, "params")
        if not isinstance(state, dict) or set(state) != set(wanted):
            got = checks.shown(sorted(map(str, state))) if isinstance(state, dict) else "none"
            raise ValueError(f"state of a Network: expected {', '.join(wanted)}; got {got}")
        made = Network(**{name: state[name] for name in ARGUMENTS})
        params = checks.numeric("params", state["params"])
        if params.dtype.newbyteorder("=") != made.dtype:
            raise ValueError(f"params: expected dtype {made.dtype}; got {params.dtype}")
        made.params = params
        for name in (*Parameters.__slots__, *Network.__slots__[1:]):
            object.__setattr__(self, name, getattr(made, name))
