"""What the compiled layer is given: a network, its examples, and copies of the weights."""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import types

from ..jit import argument_types
from ..jit.argument_types import FLAG, INTEGER
from ..jit.compile import ONE, ZERO, jit
from ..jit.linking import INT, REAL, out_of_line, vector
from ..jit.refusals import heard
from ..simd.intrinsics import inlined
from ..simd.matmul import FEW, Matrix, matrix, pack, pays_to_pack
from ..simd.processor import prefetch, prefetch_to_write
from ..simd.transpose import transpose
from .layout import FAN_IN, FAN_OUT, LANES_OVER_EXAMPLES, W, aligned_empty, n_params
from .sizes import is_network

__all__ = ["Examples", "Model", "WeightCopies", "fill_copies", "weight_copies"]

# From so many examples on, copies of the weights for forward pay.
COPY_LEAST = 48


class Model(NamedTuple):
    """A network as the kernels see it: `Network.model`. See `fastshallow.kernels.layout`."""

    params: Any
    layers: Any
    slope: float


class Examples(NamedTuple):
    """The examples of a gradient, as rows.

    X : Matrix
        Inputs, of any floating dtype and any strides.
    Y : Matrix
        Targets, of the dtype of the parameters.
    labels : int
        1 where Y holds class numbers, one a row; 0 where it holds values or one-hot rows.
    weight : ndarray, 1-D
        Weights w of the dtype of the parameters; empty for w = 1.
    """

    X: Matrix
    Y: Matrix
    labels: int
    weight: Any


class WeightCopies(NamedTuple):
    """Copies of the weights, made once a step, that products read faster.

    W : ndarray, 1-D
        W[l], `pack`ed where that pays, at its place in ``params``. Empty for few examples.
    W_T : ndarray, 1-D
        W[l]^T, (n_l, n_{l-1}), in C order or `pack`ed, at the place of W[l].
    """

    W: Any
    W_T: Any


def table_type():
    return types.Array(types.int64, 2, "C")


def model_type(dtype):
    return types.NamedTuple((vector(dtype), table_type(), REAL), Model)


def copies_type(dtype):
    return types.NamedUniTuple(vector(dtype), 2, WeightCopies)


def matrix_type(data):
    return types.NamedTuple((data, INT, INT, INT), Matrix)


def examples_type(dtype, x_dtype):
    X, Y = (matrix_type(vector(d)) for d in (x_dtype, dtype))
    return types.NamedTuple((X, Y, INT, vector(dtype)), Examples)


# Copies of the weights -----------------------------------------------------------------------


@jit(internal=True)
def transposes(layers, i):
    """Return whether forward reads W[l]^T: lanes run over the units of the layer before."""
    return not layers[i, LANES_OVER_EXAMPLES] and 1 < layers[i, FAN_OUT] <= FEW


@jit(internal=True)
def packs(layers, i, itemsize):
    """Return whether forward reads W[l] packed, if there are examples enough."""
    over_units = not layers[i, LANES_OVER_EXAMPLES]
    return over_units and pays_to_pack(layers[i, FAN_IN], layers[i, FAN_OUT], itemsize)


@jit(internal=True)
def fill_copies(model, backward, copies):
    """Fill the copies that forward needs, and with ``backward`` those of all W[l]^T but W[1]^T."""
    inlined()
    # with lanes over examples a weight is broadcast, wherever it lies
    if not model.layers[0, LANES_OVER_EXAMPLES]:
        copy_weights(model, backward, copies)


@out_of_line(
    lambda model, *_: (model[0].dtype,),
    lambda dtype: (model_type(dtype), INT, copies_type(dtype)),
    result=types.none,
    internal=True,
)
def copy_weights(model, backward, copies):
    """Pack every W[l], and transpose it, in C order or packed, where a product reads it so."""
    params, layers, _ = model
    for i in range(layers.shape[0]):
        fan_in, fan_out, w = layers[i, FAN_IN], layers[i, FAN_OUT], layers[i, W]
        if copies.W.size > 0 and packs(layers, i, params.itemsize):
            pack(matrix(params, w, fan_out, ONE), fan_in, fan_out, copies.W, w)
        if transposes(layers, i) or (backward and i > 0):
            if pays_to_pack(fan_out, fan_in, params.itemsize):
                pack(matrix(params, w, ONE, fan_out), fan_out, fan_in, copies.W_T, w)
            else:
                transpose(params, w, fan_out, copies.W_T, w, fan_in, fan_in, fan_out)


@jit(internal=True)
def first_transposed(layers):
    """Return where in `WeightCopies.W_T` the first copy begins; its length if there is none."""
    if transposes(layers, 0):
        return ZERO
    none = layers[0, LANES_OVER_EXAMPLES] or layers.shape[0] == 1
    return n_params(layers) if none else layers[1, W]


@jit(internal=True)
def fetch_weights(model, copies):
    """Prefetch the weights that a step reads, all at once: another thread has written them."""
    prefetch(model.params, ZERO)
    prefetch(copies.W_T, first_transposed(model.layers))


@jit(internal=True)
def fetch_to_update(model, copies, slot):
    """Prefetch a slot to read and the weights to write: other threads have used them."""
    prefetch(slot, ZERO)
    prefetch_to_write(model.params, ZERO)
    prefetch_to_write(copies.W_T, first_transposed(model.layers))


@jit(allocates=True, takes={"model": argument_types.model(), "m": INTEGER, "backward": FLAG})
def weight_copies(model, m, backward):
    """Return the `WeightCopies` of a model, for m examples and forward alone or backward too.

    Raises ValueError where there are not as many parameters as the layers have; in a ``prange`` the
    copies are empty then.
    """
    params = model.params
    if not is_network(params, model.layers):
        if heard():
            raise ValueError(
                "fastshallow.kernels.weight_copies: model: expected as many params as its layers "
                "have"
            )
        return WeightCopies(aligned_empty(0, params), aligned_empty(0, params))
    packed = params.size if m >= COPY_LEAST else 0
    copies = WeightCopies(aligned_empty(packed, params), aligned_empty(params.size, params))
    fill_copies(model, backward, copies)
    return copies
