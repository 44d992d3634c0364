"""Losses L(a, y) of the output layer, their derivatives, and the table of outputs.

========  ======================  ==============================  ==============  ==========
output    loss                    L(a, y)                         dL/da           dL/dz
========  ======================  ==============================  ==============  ==========
sigmoid   cross-entropy           -y log a - (1-y) log(1-a)       -y/a +          a - y
                                                                  (1-y)/(1-a)
softmax   cross-entropy           -sum_j y_j log a_j              -y_j/a_j        a_j - y_j
linear    squared error           (a - y)^2 / 2                   a - y           a - y
relu      squared error           (a - y)^2 / 2                   a - y           (a - y)
                                                                                  * (a > 0)
exp       half Poisson deviance   y log(y/a) - y + a              1 - y/a         a - y
========  ======================  ==============================  ==============  ==========

Losses of several outputs are summed. They are computed from z, never from a, so that they stay
finite where a rounds to 0 or 1: cross-entropy is softplus(z) - y z, with
softplus(z) = max(z, 0) + log(1 + exp(-\\|z\\|)).

Sources: the chain dL/dz = dL/da g'(z) is that of the course notes; the Poisson deviance, with
y log y at y = 0 taken as 0, is scikit-learn's (``sklearn.neural_network._base.poisson_loss``).

A new output is a row of `TABLE`, named as its activation, and branches in `unit_step` (the gradient
of training), `unit_loss` (J), `dL_da` and `dL_dz` (for users). Targets of a new kind have a
function in `fastshallow.kernels.targets`. All other code reads the table.

The functions of this module may be called from a user's own ``@njit`` code.

Examples
--------
>>> import numpy as np
>>> from fastshallow import losses
>>> from fastshallow.kernels.activations import SIGMOID
>>> z, y = np.array([0.0]), np.array([1.0])
>>> round(losses.loss(SIGMOID, z, y), 12)  # log 2
0.69314718056
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..jit.argument_types import INTEGER, array
from ..jit.compile import ONE, ZERO, jit
from ..jit.linking import INT, out_of_line, vector
from ..simd.elementary import exp, exp_falling, log, sigmoid_log1p
from ..simd.intrinsics import standalone, where
from ..simd.transpose import transpose
from .activations import ACTIVATIONS, EXP, LINEAR, RELU, SIGMOID, SOFTMAX, activate, relu
from .layout import unit_length, zero_padding
from .targets import not_negative, of_one_hot, share

__all__ = ["LOSSES", "TABLE", "Output", "dL_da", "dL_dz", "loss", "output_step"]


class Output(NamedTuple):
    """What is known of an output layer beside its functions.

    loss : str
        Name of its loss.
    targets : str
        What its targets are, in words; "" for any finite number.
    is_target : callable or None
        Whether a value can be a target, if not every finite number can.
    classifies : bool
        Whether its activations are probabilities of classes.
    """

    loss: str
    targets: str = ""
    is_target: Callable[..., Any] | None = None
    classifies: bool = False


#: What is known of every output, by the name of its activation.
TABLE = {
    "sigmoid": Output("cross_entropy", "labels between 0 and 1", share, classifies=True),
    "softmax": Output(
        "cross_entropy", "one-hot columns: one 1 and else 0", of_one_hot, classifies=True
    ),
    "linear": Output("squared_error"),
    "relu": Output("squared_error"),
    "exp": Output("poisson_deviance", "finite numbers >= 0", not_negative),
}

#: Output activation and the loss that goes with it.
LOSSES = {name: row.loss for name, row in TABLE.items()}

# Codes of the outputs.
_CODES = tuple(ACTIVATIONS[name] for name in TABLE)

# What the functions for users take: values of one example, and where they write.
VALUES, WRITTEN = array(1, any_order=True), array(1, any_order=True, written=True)


@jit(internal=True)
def has_loss(output):
    """Return whether an output of this code has a loss."""
    return output in _CODES


@jit(internal=True)
def xlogx(y):
    """Return y log(y), 0 at y = 0."""
    return y * log(y) if y > 0 else type(y)(0)


@jit(internal=True)
def unit_loss(output, z, y):
    """Return the loss of one output unit from its z; of softmax, that of the only unit."""
    if output == SIGMOID:
        # softplus(z) - y z, with what may cancel taken first: it is exact for y = 0 and 1
        return (relu(z) - y * z) + sigmoid_log1p(z)[1]
    if output == LINEAR:
        return type(z)(0.5) * (z - y) * (z - y)
    if output == RELU:
        a = relu(z)
        return type(z)(0.5) * (a - y) * (a - y)
    if output == EXP:
        return xlogx(y) - y * z - y + exp(z)
    if output == SOFTMAX:
        return z - z  # a is 1; NaN stays NaN
    return type(z)(np.nan)


@jit(internal=True)
def softmax_loss(Z, z_start, Y, y_start, n):
    """Return -sum_j y_j log a_j of one example, from z: sum_j y_j (logsumexp(z) - z_j)."""
    top = Z[z_start]
    for j in range(1, n):
        top = max(top, Z[z_start + j])
    total = Z[z_start] * 0
    for j in range(n):
        total += exp_falling(Z[z_start + j] - top)
    result = Z[z_start] * 0
    for j in range(n):
        # a term with y_j = 0 is left out, or 0 * inf would be NaN
        if Y[y_start + j] != 0:
            result += Y[y_start + j] * ((top - Z[z_start + j]) + log(total))
    return result


@jit(takes={"output": INTEGER, "z": VALUES, "y": VALUES})
def loss(output, z, y):
    """Return L of one example.

    Parameters
    ----------
    output : int
        Code of the output activation, a name of `LOSSES` in `activations.ACTIVATIONS`; the loss of
        any other number is NaN, and so are its derivatives.
    z, y : ndarray, shape (n_y,)
        Linear steps of the output layer, and targets (one-hot for softmax).

    Returns
    -------
    float
        The loss, summed over the outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from fastshallow import activations, losses
    >>> losses.loss(activations.LINEAR, np.array([3.0, 1.0]), np.array([1.0, 1.0]))
    2.0
    """
    if output == SOFTMAX:
        return softmax_loss(z, 0, y, 0, z.shape[0])
    result = z[0] * 0 if has_loss(output) else type(z[0])(np.nan)
    for j in range(z.shape[0]):
        result += unit_loss(output, z[j], y[j])
    return result


@jit(takes={"output": INTEGER, "a": VALUES, "y": VALUES, "out": WRITTEN})
def dL_da(output, a, y, out):
    """Write dL/da of one example: the first link of the chain dL/dz = dL/da g'(z).

    Parameters
    ----------
    output : int
        Code of the output activation.
    a, y : ndarray, shape (n_y,)
        Activations of the output layer, and targets.
    out : ndarray, shape (n_y,)
        Modified in place.

    Examples
    --------
    >>> import numpy as np
    >>> from fastshallow import activations, losses
    >>> out = np.empty(1)
    >>> losses.dL_da(activations.SIGMOID, np.array([0.25]), np.array([1.0]), out)
    >>> float(out[0])
    -4.0
    """
    for j in range(a.shape[0]):
        if output == SIGMOID:
            out[j] = -y[j] / a[j] + (1 - y[j]) / (1 - a[j])
        elif output == SOFTMAX:
            out[j] = -y[j] / a[j]
        elif output == EXP:
            out[j] = 1 - y[j] / a[j]
        elif has_loss(output):
            out[j] = a[j] - y[j]
        else:
            out[j] = np.nan


@jit(takes={"output": INTEGER, "a": VALUES, "y": VALUES, "out": WRITTEN})
def dL_dz(output, a, y, out):
    """Write dL/dz of one example, the chain multiplied out.

    Parameters
    ----------
    output : int
        Code of the output activation.
    a, y : ndarray, shape (n_y,)
        Activations of the output layer, and targets.
    out : ndarray, shape (n_y,)
        Modified in place.

    Examples
    --------
    >>> import numpy as np
    >>> from fastshallow import activations, losses
    >>> out = np.empty(1)
    >>> losses.dL_dz(activations.SIGMOID, np.array([0.25]), np.array([1.0]), out)
    >>> float(out[0])
    -0.75
    """
    for j in range(a.shape[0]):
        out[j] = a[j] - y[j]
        if output == RELU and not a[j] > 0:
            out[j] = 0
        elif not has_loss(output):
            out[j] = np.nan


@jit(internal=True)
def softmax_step(z, y, dz, free, n, n_y):
    """Take n examples, unit by unit, from z to a = softmax(z) and dL/dz, and write their losses.

    Lanes run over examples. ``free`` has 3 n values at least; the first n become the losses.
    """
    loss, top, total = free[:n], free[n : 2 * n], free[2 * n : 3 * n]
    loss[:], total[:] = 0, 0
    for i in range(n):
        top[i] = z[i]
    for j in range(n_y):
        row, one = z[j * n : (j + 1) * n], y[j * n : (j + 1) * n]
        for i in range(n):
            loss[i] -= one[i] * row[i]
            top[i] = where(top[i] < row[i], row[i], top[i])
    for j in range(n_y):
        row = z[j * n : (j + 1) * n]
        for i in range(n):
            row[i] = exp_falling(row[i] - top[i])
            total[i] += row[i]
    for i in range(n):
        loss[i] = (loss[i] + top[i]) + log(total[i])
        total[i] = type(total[i])(1) / total[i]
    for j in range(n_y):
        row, one = z[j * n : (j + 1) * n], y[j * n : (j + 1) * n]
        error = dz[j * n : (j + 1) * n]
        for i in range(n):
            row[i] *= total[i]
            error[i] = row[i] - one[i]


@jit(internal=True)
def turn(z, free, M, N):
    """Transpose a matrix, (M, N), in its place."""
    transpose(z, ZERO, N, free, ZERO, M, M, N)
    for p in range(z.size):
        z[p] = free[p]


@jit(internal=True)
def unit_step(output, z, y, dz, losses, size):
    """Take units from z to a = g(z) and dL/dz, and write their losses."""
    if output == SIGMOID:
        for p in range(size):
            a, rest = sigmoid_log1p(z[p])
            losses[p] = (relu(z[p]) - y[p] * z[p]) + rest
            z[p] = a
    else:
        for p in range(size):
            losses[p] = unit_loss(output, z[p], y[p])
        activate(output, 0.0, z, 0, size, 1)
    for p in range(size):
        dz[p] = z[p] - y[p]
    if output == RELU:
        for p in range(size):
            dz[p] = where(z[p] > 0, dz[p], type(dz[p])(0))
    elif not has_loss(output):
        dz[:] = np.nan


@jit(internal=True)
def weigh(values, n, n_y, row, col, weight, first):
    """Multiply the values of n examples by their weights, if there are any."""
    if weight.size > 0:
        for i in range(n):
            for j in range(n_y):
                values[i * row + j * col] *= weight[first + i]


@jit(internal=True)
def sum_up(losses, size):
    """Return the sum of so many losses, in float64."""
    # eight chains of additions, as one would wait for each addition to end
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    size = np.uint64(size)
    whole = size - size % np.uint64(8)
    for p in range(np.uint64(0), whole, np.uint64(8)):
        s0 += losses[p]
        s1 += losses[p + np.uint64(1)]
        s2 += losses[p + np.uint64(2)]
        s3 += losses[p + np.uint64(3)]
        s4 += losses[p + np.uint64(4)]
        s5 += losses[p + np.uint64(5)]
        s6 += losses[p + np.uint64(6)]
        s7 += losses[p + np.uint64(7)]
    for p in range(whole, size):
        s0 += losses[p]
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


@out_of_line(
    lambda output, scratch, *_: (scratch.dtype,),
    lambda dtype: (INT, vector(dtype), *[INT] * 8, vector(dtype), INT),
)
def output_step(output, scratch, z, y, dz, free, n, n_y, row, col, weight, first):
    """Take a tile's output layer from Z to dZ = w dL/dz, and return the sum of w L.

    Parameters
    ----------
    output : int
        Code of the output activation.
    scratch : ndarray, 1-D
        n examples of n_y values each: linear steps from ``z`` on, which are overwritten; targets
        from ``y`` on (one-hot for softmax, and unit by unit); dZ is written from ``dz`` on, and
        what is needed meanwhile from ``free`` on: as many values as dZ has, and 3 units at least.
    z, y, dz, free, n, n_y : int
        As above.
    row, col : int
        Strides of examples and units in Z, Y and dZ: (n_y, 1), or (1, n), or more than n where the
        tile is `fastshallow.kernels.layout.padded`: dZ is 0 there, and nothing is added to the sum.
    weight : ndarray, 1-D
        Weights w of the examples from ``first`` on; empty for w = 1.
    first : int
        Where the tile's weights begin.

    Returns
    -------
    float
        The weighted sum of the losses, in float64.
    """
    standalone()
    length = unit_length(n, row, col)
    size = length * n_y
    Z, Y, dZ = scratch[z : z + size], scratch[y : y + size], scratch[dz : dz + size]
    losses = scratch[free : free + length * max(n_y, 3)]
    turned = output == SOFTMAX and row != 1
    if turned:
        turn(Z, dZ, n, n_y)
        row, col = ONE, n
    if output == SOFTMAX and n_y > 1:
        softmax_step(Z, Y, dZ, losses, length, n_y)
        outputs = ONE
    else:
        unit_step(output, Z, Y, dZ, losses, size)
        outputs = n_y
    zero_padding(dZ, ZERO, n, n_y, row, col)
    zero_padding(losses, ZERO, n, outputs, row, col)
    weigh(losses, n, outputs, row, col, weight, first)
    weigh(dZ, n, n_y, row, col, weight, first)
    total = sum_up(losses, length * outputs)
    if turned:
        turn(dZ, Z, n_y, n)
    return total
