"""Activations a = g(z), their derivatives g'(a), and the table of what is known of each.

============  =====================  =====================================  ===============
name          a = g(z)               g' from a                              where
============  =====================  =====================================  ===============
linear        z                      1                                      hidden, output
sigmoid       1 / (1 + exp(-z))      a (1 - a)                              hidden, output
tanh          tanh(z)                1 - a^2                                hidden
relu          max(z, 0)              1 where a > 0, else 0                  hidden, output
leaky_relu    z where z > 0,         1 where a > 0, else slope              hidden
              else slope * z
softplus      log(1 + exp(z))        1 - exp(-a)                            hidden
elu           z where z > 0,         1 where a > 0, else a + 1              hidden
              else exp(z) - 1
softmax       exp(z_j) / sum exp(z)  Jacobian a_j (delta_jk - a_k)          output
exp           exp(z)                 a                                      output
============  =====================  =====================================  ===============

The derivative is taken from a, not z: backward needs no Z, so forward keeps none. At z = 0 the
derivative of relu is 0 and that of leaky_relu is the slope.

Sources: softplus is that of Dugas et al. 2001; elu, with alpha = 1, that of Clevert, Unterthiner,
Hochreiter 2016, "Fast and accurate deep network learning by exponential linear units".

A new activation is a row of `TABLE`, its functions, and its branch in `g`, `dg`, `activate` and
`multiply_dg`. All other code reads the table.

The functions of this module may be called from a user's own ``@njit`` code.

Examples
--------
>>> import math
>>> from fastshallow import activations
>>> a = activations.g(activations.SIGMOID, math.log(3.0), 0.01)
>>> round(a, 12)
0.75
>>> round(activations.dg(activations.SIGMOID, a, 0.01), 12)
0.1875
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import types

from ..jit import argument_types
from ..jit.argument_types import INTEGER, VALUE, array
from ..jit.compile import jit
from ..jit.linking import INT, REAL, out_of_line, vector
from ..simd.elementary import (
    exp,
    exp_falling,
    sigmoid,
    sigmoid_each,
    softplus,
    tanh,
    tanh_each,
)
from ..simd.intrinsics import standalone, where

__all__ = [
    "ACTIVATIONS",
    "HIDDEN",
    "TABLE",
    "Activation",
    "activate",
    "da_dz",
    "dg",
    "dg_steps",
    "elu",
    "g",
    "leaky_relu",
    "multiply_dg",
    "relu",
    "softmax",
    "softmax_by_units",
]

LINEAR, SIGMOID, TANH, RELU, LEAKY_RELU, SOFTMAX, EXP, SOFTPLUS, ELU = range(9)


class Activation(NamedTuple):
    """What is known of an activation beside its functions.

    code : int
        Its number in kernels.
    estimator : str
        Its name in the estimators and the command: scikit-learn's, where that has one.
    hidden : bool
        Whether a hidden layer may have it.
    init : str
        The method of `Network.init` for hidden layers that have it.
    largest_dg : float
        The largest g' of an activation with a flat side, where a unit can be saturated; else 0.
    dies : bool
        Whether a unit can be dead: z <= 0 for every example, so that it learns little or nothing.
    """

    code: int
    estimator: str
    hidden: bool = True
    init: str = "glorot"
    largest_dg: float = 0.0
    dies: bool = False


#: What is known of every activation, by its name.
TABLE = {
    "linear": Activation(LINEAR, "identity"),
    "sigmoid": Activation(SIGMOID, "logistic", largest_dg=0.25),
    "tanh": Activation(TANH, "tanh", largest_dg=1.0),
    "relu": Activation(RELU, "relu", init="he", dies=True),
    "leaky_relu": Activation(LEAKY_RELU, "leaky_relu", init="he", dies=True),
    "softplus": Activation(SOFTPLUS, "softplus", largest_dg=1.0),
    "elu": Activation(ELU, "elu", init="he", largest_dg=1.0),
    "softmax": Activation(SOFTMAX, "softmax", hidden=False),
    "exp": Activation(EXP, "exp", hidden=False),
}

#: Name of every activation and its code in kernels.
ACTIVATIONS = {name: row.code for name, row in TABLE.items()}

#: Names that a hidden layer may have.
HIDDEN = tuple(name for name, row in TABLE.items() if row.hidden)

# Codes that have a g of one unit.
_SCALAR = tuple(row.code for name, row in TABLE.items() if name != "softmax")


@jit(takes={"z": VALUE})
def relu(z):
    """Return max(z, 0); NaN stays NaN."""
    return where(z < 0, type(z)(0), z)


@jit(takes={"z": VALUE, "slope": argument_types.REAL})
def leaky_relu(z, slope):
    """Return z where z > 0, slope * z elsewhere."""
    return where(z > 0, z, type(z)(slope) * z)


@jit(takes={"z": VALUE})
def elu(z):
    """Return z where z > 0, exp(z) - 1 elsewhere."""
    # exp(z) - 1 would lose the digits of a small z; with t = tanh(z / 2) nothing cancels
    one = type(z)(1)
    t = tanh(type(z)(0.5) * where(z > 0, type(z)(0), z))
    return where(z > 0, z, (t + t) / (one - t))


@jit(internal=True)
def elu_dg(a):
    """Return g' of elu from a = g(z)."""
    one = type(a)(1)
    return where(a > 0, one, a + one)


@jit(internal=True)
def softplus_dg(a):
    """Return g' of softplus, 1 - exp(-a), from a = g(z)."""
    t = tanh(type(a)(0.5) * a)
    return (t + t) / (type(a)(1) + t)


@jit(takes={"code": INTEGER, "z": VALUE, "slope": argument_types.REAL})
def g(code, z, slope):
    """Return g(z) of one unit.

    Parameters
    ----------
    code : int
        An entry of `ACTIVATIONS`; softmax, which needs all units of a layer, has `softmax`.
    z : float
        The unit's linear step.
    slope : float
        Slope of leaky_relu for z < 0; the others ignore it.

    Returns
    -------
    float
        The activation a; NaN for a code without a scalar form.

    Examples
    --------
    >>> from fastshallow import activations
    >>> activations.g(activations.LEAKY_RELU, -2.0, 0.25)
    -0.5
    """
    if code == LINEAR:
        return z
    if code == SIGMOID:
        return sigmoid(z)
    if code == TANH:
        return tanh(z)
    if code == RELU:
        return relu(z)
    if code == LEAKY_RELU:
        return leaky_relu(z, type(z)(slope))
    if code == EXP:
        return exp(z)
    if code == SOFTPLUS:
        return softplus(z)
    if code == ELU:
        return elu(z)
    return type(z)(float("nan"))


@jit(takes={"code": INTEGER, "a": VALUE, "slope": argument_types.REAL})
def dg(code, a, slope):
    """Return g'(z) of one unit, from a = g(z).

    Parameters
    ----------
    code : int
        An entry of `ACTIVATIONS` other than softmax.
    a : float
        The unit's activation.
    slope : float
        Slope of leaky_relu for z < 0, not negative; the others ignore it.

    Returns
    -------
    float
        The derivative; NaN for a code without a scalar form.

    Examples
    --------
    >>> from fastshallow import activations
    >>> activations.dg(activations.TANH, 0.5, 0.01)
    0.75
    """
    one = type(a)(1)
    if code == LINEAR:
        return one
    if code == SIGMOID:
        return a * (one - a)
    if code == TANH:
        return one - a * a
    if code == RELU:
        return one if a > 0 else type(a)(0)
    if code == LEAKY_RELU:
        return one if a > 0 else type(a)(slope)
    if code == EXP:
        return a
    if code == SOFTPLUS:
        return softplus_dg(a)
    if code == ELU:
        return elu_dg(a)
    return type(a)(float("nan"))


@jit(internal=True)
def dg_steps(code, slope):
    """Return g' where a > 0, and where not, of an activation of two straight lines, else NaN."""
    if code == RELU:
        return 1.0, 0.0
    if code == LEAKY_RELU:
        return 1.0, slope
    if code == LINEAR:
        return 1.0, 1.0
    return np.nan, np.nan


@jit(takes={"Z": array(1, any_order=True, written=True), "start": INTEGER, "n": INTEGER})
def softmax(Z, start, n):
    """Replace the n values of one example by exp(z_j) / sum_k exp(z_k).

    Parameters
    ----------
    Z : ndarray, 1-D
        Modified in place at ``start`` to ``start + n - 1``.
    start, n : int
        Where the example's values begin, and how many there are.

    Notes
    -----
    The largest z is subtracted first, so nothing overflows.
    """
    top = Z[start]
    for j in range(1, n):
        top = max(top, Z[start + j])
    total = type(top)(0)
    for j in range(n):  # alone, so that LLVM vectorises it
        Z[start + j] = exp_falling(Z[start + j] - top)
    for j in range(n):
        total += Z[start + j]
    for j in range(n):
        Z[start + j] /= total


@out_of_line(
    lambda Z, *_: (Z.dtype,), lambda dtype: (vector(dtype), *[INT] * 4), types.none, internal=True
)
def softmax_by_units(Z, start, n, n_y, free):
    """Do what `softmax` does for n examples that lie unit by unit, with the same bits.

    Lanes run over examples. Z holds n n_y values from ``start`` on, and 2 n of free memory from
    ``free`` on; both are modified in place.
    """
    standalone()
    z, top, total = Z[start : start + n * n_y], Z[free : free + n], Z[free + n : free + 2 * n]
    total[:] = 0
    for i in range(n):
        top[i] = z[i]
    for j in range(1, n_y):
        row = z[j * n : (j + 1) * n]
        for i in range(n):
            top[i] = where(top[i] < row[i], row[i], top[i])
    for j in range(n_y):
        row = z[j * n : (j + 1) * n]
        for i in range(n):
            row[i] = exp_falling(row[i] - top[i])
            total[i] += row[i]
    for j in range(n_y):
        row = z[j * n : (j + 1) * n]
        for i in range(n):
            row[i] /= total[i]


@out_of_line(
    lambda code, slope, Z, *_: (Z.dtype,),
    lambda dtype: (INT, REAL, vector(dtype), INT, INT, INT),
)
def activate(code, slope, Z, start, n, width):
    """Replace a tile of linear steps by its activations, A = g(Z).

    Parameters
    ----------
    code : int
        An entry of `ACTIVATIONS`; for any other number all values become NaN.
    slope : float
        Slope of leaky_relu for z < 0.
    Z : ndarray, 1-D
        Modified in place: n examples of ``width`` units each, one after the other.
    start, n, width : int
        Where the tile begins, its examples, and the units of the layer.
    """
    # The code is compared outside the loops, so that each of them is plain arithmetic; and they
    # count from 0, or a test for negative indices would keep them from being vectorised.
    standalone()
    z = Z[start : start + n * width]
    if code == SIGMOID:
        sigmoid_each(z)
    elif code == TANH:
        tanh_each(z)
    elif code == RELU:
        for p in range(z.size):
            z[p] = relu(z[p])
    elif code == LEAKY_RELU:
        s = type(Z[0])(slope)
        for p in range(z.size):
            z[p] = leaky_relu(z[p], s)
    elif code == SOFTMAX:
        for p in range(0, z.size, width):
            softmax(z, p, width)
    elif code == EXP:
        for p in range(z.size):
            z[p] = exp(z[p])
    elif code == SOFTPLUS:
        for p in range(z.size):
            z[p] = softplus(z[p])
    elif code == ELU:
        for p in range(z.size):
            z[p] = elu(z[p])
    elif code != LINEAR:
        z[:] = np.nan


@out_of_line(
    lambda code, slope, dZ, *_: (dZ.dtype,),
    lambda dtype: (INT, REAL, vector(dtype), INT, vector(dtype), INT, INT),
)
def multiply_dg(code, slope, dZ, d_start, A, a_start, size):
    """Take a hidden layer's dA to dZ = dA * g'(Z), the derivative being taken from A.

    Parameters
    ----------
    code : int
        An entry of `ACTIVATIONS` that `HIDDEN` names; for any other number all values become NaN.
    slope : float
        Slope of leaky_relu for z < 0.
    dZ : ndarray, 1-D
        Holds dA at ``d_start`` to ``d_start + size - 1``; modified in place.
    A : ndarray, 1-D
        Holds the activations from ``a_start`` on.
    d_start, a_start, size : int
        Where the values begin, and how many there are.
    """
    standalone()
    one = type(A[0])(1)
    dz, a = dZ[d_start : d_start + size], A[a_start : a_start + size]
    if code == SIGMOID:
        for p in range(size):
            dz[p] *= a[p] * (one - a[p])
    elif code == TANH:
        for p in range(size):
            dz[p] *= one - a[p] * a[p]
    elif code == RELU:
        for p in range(size):
            dz[p] = dz[p] if a[p] > 0 else type(one)(0)
    elif code == LEAKY_RELU:
        s = type(one)(slope)
        for p in range(size):
            dz[p] *= where(a[p] > 0, one, s)
    elif code == SOFTPLUS:
        for p in range(size):
            dz[p] *= softplus_dg(a[p])
    elif code == ELU:
        for p in range(size):
            dz[p] *= elu_dg(a[p])
    elif code != LINEAR:
        dz[:] = np.nan


@jit(
    takes={
        "code": INTEGER,
        "slope": argument_types.REAL,
        "a": array(1, any_order=True),
        "out": array(2, any_order=True, written=True),
    }
)
def da_dz(code, slope, a, out):
    """Write the derivatives of one layer's activations by its linear steps.

    Parameters
    ----------
    code : int
        An entry of `ACTIVATIONS`; for any other number all values become NaN.
    slope : float
        Slope of leaky_relu for z < 0.
    a : ndarray, shape (n,)
        The layer's activations for one example.
    out : ndarray, shape (n, n)
        Modified in place: ``out[j, k]`` = da_j / dz_k, diagonal for all but softmax.
    """
    n, known = a.shape[0], code in _SCALAR
    for j in range(n):
        for k in range(n):
            if code == SOFTMAX:
                out[j, k] = a[j] * ((1.0 if j == k else 0.0) - a[k])
            elif j == k:
                out[j, k] = dg(code, a[j], slope)
            else:
                out[j, k] = 0.0 if known else np.nan
