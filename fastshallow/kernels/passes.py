"""Passes over all examples: cost and gradient, gradient descent, and forward alone.

Each goes through the examples in blocks and tiles. `fastshallow.kernels.blocks` says why, and
`fastshallow.kernels.propagation` has the equations.
"""

from __future__ import annotations

import numpy as np

from ..jit import argument_types
from ..jit.argument_types import INTEGER, REAL, array
from ..jit.compile import ONE, ZERO, jit, prange
from ..jit.refusals import fill, heard, no_answer
from ..simd.matmul import matrix
from ..simd.processor import flush_subnormals, restore_subnormals
from .activations import activate
from .blocks import all_tiles, allocate, known_after, run, summed_slots
from .layout import (
    FAN_IN,
    FAN_OUT,
    OUT,
    B,
    G,
    W,
    aligned_empty,
    input_rows,
    layer_matrix,
    load_input,
    load_rows,
    new_tile,
    prepare_scratch,
    rows_finite,
    scratch_size,
    tile_length,
)
from .model import WeightCopies, fill_copies, weight_copies
from .propagation import BAD_X, OK, REFUSED, activate_output, forward_layer, forward_tile
from .sizes import examples_fit, fill_matrix, fits, is_network
from .sums import sum_gradient, sum_losses

__all__ = [
    "collect",
    "cost_and_grad",
    "cost_and_grad_into",
    "descend",
    "forward",
    "forward_layers",
    "gradient_descent",
    "largest",
]


# What J is a function of, beside the network.
COST = {"examples": argument_types.examples, "m": INTEGER, "total": REAL, "alpha": REAL}
COST["workers"] = INTEGER


@jit(internal=True)
def sum_of_squares(values):
    """Return the sum of squares in float64, as four sums: one would wait for each addition."""
    s0 = s1 = s2 = s3 = 0.0
    end = values.size // 4 * 4
    for p in range(0, end, 4):
        a, b, c, d = values[p], values[p + 1], values[p + 2], values[p + 3]
        s0 += float(a) * float(a)
        s1 += float(b) * float(b)
        s2 += float(c) * float(c)
        s3 += float(d) * float(d)
    for p in range(end, values.size):
        s0 += float(values[p]) * float(values[p])
    return (s0 + s1) + (s2 + s3)


@jit(internal=True)
def l2(model, factor, grad):
    """Add factor * W to the gradient (biases have no penalty); return factor / 2 * sum W^2.

    ``grad`` is modified in place; an empty one is left alone.
    """
    params, layers, _ = model
    if factor == 0:
        return 0.0
    squares, scale = 0.0, params.dtype.type(factor)
    for i in range(layers.shape[0]):
        weights = params[layers[i, W] : layers[i, B]]
        squares += sum_of_squares(weights)
        if grad.size > 0:
            slopes = grad[layers[i, W] : layers[i, B]]
            for p in range(weights.size):
                slopes[p] += scale * weights[p]
    return 0.5 * factor * squares


@jit(internal=True)
def cost_and_grad_into(model, examples, m, total, alpha, workers, work, part, grad):
    """Compute J and its gradient in memory made before; see `cost_and_grad`."""
    fill_copies(model, grad.size > 0, WeightCopies(work.W, work.W_T))
    run(model, examples, m, workers, work, part)
    summed = summed_slots(work, workers)
    loss, penalty, status = collect(model, total, alpha, summed, work, grad)
    return loss + penalty, status


@jit(internal=True)
def collect(model, total, alpha, summed, work, grad):
    """Return loss, penalty and status of what `run` left in the blocks; write the gradient to grad.

    ``summed`` is from `summed_slots`: so many neighbouring slots are one sum already.
    """
    status, control = OK, flush_subnormals()
    for b in range(work.found.size):
        status |= work.found[b]
    if grad.size > 0:
        sum_gradient(work.slots, summed)
        scale = model.params.dtype.type(1 / total)
        for p in range(grad.size):
            grad[p] = work.slots[0, p] * scale
    penalty = l2(model, alpha / total, grad)
    restore_subnormals(control)
    return sum_losses(work.losses) / total, penalty, status


@jit(
    allocates=True,
    takes={
        "model": argument_types.model(),
        **COST,
        "grad": array(1, like="model", written=True),
    },
)
def cost_and_grad(model, examples, m, total, alpha, workers, grad):
    """Compute J and its gradient.

    .. math:: J = \\frac{1}{\\sum w} \\sum_i w_i L_i + \\frac{\\alpha}{2 \\sum w} \\sum W^2

    Parameters
    ----------
    model : Model
        The network.
    examples : Examples
        Inputs, targets and weights of m examples.
    m : int
        How many there are.
    total : float
        Sum of the weights; m where there are none.
    alpha : float
        L2 penalty on the weights, not on the biases.
    workers : int
        Threads; 1 runs in the calling thread and enters no parallel region.
    grad : ndarray, 1-D, of the length and dtype of the parameters
        Modified in place: the gradient. Empty for J alone.

    Returns
    -------
    J : float
        The cost.
    status : int
        0, or bits: 1 where X holds a value that is not finite, 2 where Y holds one that the loss is
        not made for, 4 (in a ``prange``) where sizes do not fit. If not 0, J and the gradient are
        NaN.

    Raises
    ------
    ValueError
        Where sizes do not fit; J and the gradient are NaN.
    """
    sized = grad.size in (0, model.params.size)
    if not (sized and workers > 0 and examples_fit(model, examples, m)):
        fill(grad)
        if heard():
            raise ValueError(
                "fastshallow.kernels.cost_and_grad: model, examples, m and grad: expected sizes "
                "that fit each other, and a worker at least"
            )
        return np.nan, REFUSED
    work = allocate(model, m, workers, grad.size > 0)
    J, status = cost_and_grad_into(
        model, examples, m, total, alpha, workers, work, all_tiles(m), grad
    )
    if status != OK:
        J = np.nan
        fill(grad)
    return J, status


@jit(
    allocates=True,
    takes={
        "model": argument_types.model(written=True),
        **COST,
        "learning_rate": REAL,
        "cost": array(1, like="", written=True),
    },
)
def gradient_descent(model, examples, m, total, alpha, workers, learning_rate, cost):
    """Take as many steps params -= learning_rate * gradient as ``cost`` is long.

    Parameters
    ----------
    model : Model
        ``model.params`` is modified in place.
    examples, m, total, alpha, workers
        As for `cost_and_grad`.
    learning_rate : float
        The notes' alpha.
    cost : ndarray, 1-D, float64
        Modified in place: ``cost[i]`` is J before step i.

    Returns
    -------
    int
        Status as of `cost_and_grad`; if not 0, the costs are NaN, and nothing else was changed.

    Raises
    ------
    ValueError
        Where sizes do not fit; likewise.
    """
    if not (workers > 0 and examples_fit(model, examples, m)):
        fill(cost)
        if heard():
            raise ValueError(
                "fastshallow.kernels.gradient_descent: model, examples and m: expected sizes that "
                "fit each other, and a worker at least"
            )
        return REFUSED
    return descend(model, examples, m, total, alpha, workers, learning_rate, cost)


@jit(internal=True, allocates=True)
def descend(model, examples, m, total, alpha, workers, learning_rate, cost):
    """Take the steps of `gradient_descent`; return the status."""
    params, layers, _ = model
    rate = params.dtype.type(learning_rate)
    work = allocate(model, m, workers, True)
    grad, part = np.empty_like(params), all_tiles(m)
    longest = tile_length(layers, params.itemsize)
    for i in range(cost.size):
        cost[i], status = cost_and_grad_into(
            model, examples, m, total, alpha, workers, work, part, grad
        )
        if status != OK:
            fill(cost)
            return status
        part = known_after(part, m, work, longest)
        for p in range(params.size):
            params[p] -= rate * grad[p]
    return OK


# Forward alone -------------------------------------------------------------------------------


@jit(internal=True)
def forward_share(model, copies, X, m, out, share, workers, scratch):
    """Let one worker write A[L] of its share of the tiles; return the status."""
    _, layers, slope = model
    n_x, n_y = layers[0, FAN_IN], layers[layers.shape[0] - 1, FAN_OUT]
    longest = tile_length(layers, scratch.itemsize)
    prepare_scratch(layers, scratch)
    status, tiles = OK, (m + longest - 1) // longest
    for t in range(share * tiles // workers, (share + 1) * tiles // workers):
        at = t * longest
        n = min(longest, m - at)
        tile = new_tile(layers, scratch, longest, n)
        load_input(layers, X, at, n, tile)
        x = input_rows(layers, X, at, tile)
        usable = rows_finite(x, n, n_x)
        if not usable:
            status |= BAD_X
        forward_tile(model, copies, x, tile)
        start = activate_output(layers, slope, tile).start
        for i in range(n):
            for j in range(n_y):
                value = scratch[start + i * n_y + j]
                out.data[out.start + (at + i) * out.row + j * out.col] = value
        if not usable:
            refuse_rows(X, out, at, n, n_x, n_y, scratch)
    return status


@jit(internal=True)
def refuse_rows(X, out, at, n, n_x, n_y, scratch):
    """Make those outputs of a tile NaN whose inputs are not finite numbers of scratch's dtype."""
    for i in range(at, at + n):
        finite = True
        for j in range(n_x):
            x = scratch.dtype.type(X.data[X.start + i * X.row + j * X.col])
            finite &= np.isfinite(x)
        for j in range(0 if finite else n_y):
            out.data[out.start + i * out.row + j * out.col] = no_answer(out.data)


@jit(
    parallel=True,
    takes={
        "model": argument_types.model(),
        "X": argument_types.matrix(),
        "m": INTEGER,
        "out": argument_types.matrix(written=True),
        "workers": INTEGER,
    },
)
def forward(model, X, m, out, workers):
    """Write A[L] of m examples. No other array with m rows is made.

    Parameters
    ----------
    model : Model
        The network.
    X : Matrix
        Inputs as rows, of any floating dtype and any strides.
    m : int
        Examples.
    out : Matrix
        Modified in place: (m, n_y), any strides.
    workers : int
        Threads; 1 runs in the calling thread and enters no parallel region.

    Returns
    -------
    int
        0, or 1 where X holds a value that is not finite: outputs of such examples are NaN.

    Raises
    ------
    ValueError
        Where sizes do not fit; all outputs are NaN.
    """
    params, layers, _ = model
    if not is_network(params, layers):
        fill(out.data)
        if heard():
            raise ValueError(
                "fastshallow.kernels.forward: model: expected as many params as its layers have"
            )
        return REFUSED
    n_x, n_y = layers[0, FAN_IN], layers[layers.shape[0] - 1, FAN_OUT]
    if not (workers > 0 and fits(X, m, n_x) and fits(out, m, n_y)):
        fill_matrix(out, m, n_y)
        if heard():
            raise ValueError(
                "fastshallow.kernels.forward: X, m and out: expected m rows of n_x values, and of "
                "n_y values, within their arrays, and a worker at least"
            )
        return REFUSED
    size = scratch_size(layers, params.itemsize)
    scratch = aligned_empty(workers * size, params).reshape(workers, size)
    packed, transposed = weight_copies(model, m, False)
    copies = WeightCopies(packed, transposed)  # made here, as prange wants
    if workers == 1:
        return forward_share(model, copies, X, m, out, ZERO, ONE, scratch[0])
    found = np.empty(workers, np.int64)
    for share in prange(workers):
        found[share] = forward_share(
            model, copies, X, m, out, np.int64(share), workers, scratch[share]
        )
    status = OK
    for share in range(workers):
        status |= found[share]
    return status


@jit
def largest(A, out):
    """Write for each row of A the number of its largest value, the first of equal ones.

    Parameters
    ----------
    A : ndarray, (m, n_y)
        Outputs, C-contiguous.
    out : ndarray of int64, (m,)
        Modified in place.
    """
    n_y, values = A.shape[1], A.reshape(-1)
    for i in range(out.size):
        top, best = values[i * n_y], ZERO
        for j in range(1, n_y):
            value = values[i * n_y + j]
            more = value > top
            top, best = value if more else top, np.int64(j) if more else best
        out[i] = best


@jit(internal=True)
def forward_layers_into(model, copies, X, m, Z, A, scratch):
    """Do what `forward_layers` does, in scratch made before."""
    _, layers, slope = model
    n_x, longest = layers[0, FAN_IN], tile_length(layers, Z.itemsize)
    prepare_scratch(layers, scratch)
    status = OK
    for at in range(0, m, longest):
        n, start = min(longest, m - at), ZERO
        tile = new_tile(layers, scratch, longest, n)
        load_input(layers, X, at, n, tile)
        x = input_rows(layers, X, at, tile)
        if not rows_finite(x, n, n_x):
            status |= BAD_X
        for i in range(layers.shape[0]):
            width = layers[i, FAN_OUT]
            to = start + at * width
            forward_layer(model, copies, i, x, tile)
            layer = layer_matrix(layers, i, OUT, tile)
            load_rows(layer, ZERO, n, width, matrix(Z, to, width, ONE))
            if i < layers.shape[0] - 1:
                activate(layers[i, G], slope, scratch, layer.start, tile.n, width)
            else:
                layer = activate_output(layers, slope, tile)
            load_rows(layer, ZERO, n, width, matrix(A, to, width, ONE))
            start += m * width
    return status


@jit(
    allocates=True,
    takes={
        "model": argument_types.model(),
        "X": argument_types.matrix(),
        "m": INTEGER,
        "Z": array(1, like="model", written=True),
        "A": array(1, like="model", written=True),
    },
)
def forward_layers(model, X, m, Z, A):
    """Write Z[l] and A[l] of every layer for m examples, serially: for those who want to look.

    Parameters
    ----------
    model : Model
        The network.
    X : Matrix
        Inputs as rows.
    m : int
        Examples.
    Z, A : ndarray, 1-D
        Modified in place: layer by layer, (m, n_l) in C order.

    Returns
    -------
    int
        0, or 1 where X holds a value that is not finite: then Z and A are NaN.

    Raises
    ------
    ValueError
        Where sizes do not fit; likewise.
    """
    layers, size = model.layers, ZERO
    fit = is_network(model.params, layers)
    if fit:
        for i in range(layers.shape[0]):
            size += m * layers[i, FAN_OUT]
    if not (fit and Z.size == size and A.size == size and fits(X, m, layers[0, FAN_IN])):
        fill(Z)
        fill(A)
        if heard():
            raise ValueError(
                "fastshallow.kernels.forward_layers: model, X, m, Z and A: expected sizes that fit "
                "each other"
            )
        return REFUSED
    scratch = aligned_empty(scratch_size(layers, Z.itemsize), Z)
    status = forward_layers_into(model, weight_copies(model, m, False), X, m, Z, A, scratch)
    if status != OK:
        fill(Z)
        fill(A)
    return status
