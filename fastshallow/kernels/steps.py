"""Steps over batches: gather a batch's examples, J and its gradient, the optimiser's update.

An epoch goes through m examples in an order, batch by batch; the last batch may be smaller. J of a
batch is taken before its update::

    cost of an epoch = sum over batches of (n_batch / m) J_batch

`train` takes many steps, or a part of a long step: some tiles of every block (see
`fastshallow.kernels.blocks`). The bits do not depend on how steps are cut into calls.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types

from ..jit.compile import ONE, ZERO, jit, prange
from ..jit.linking import INT, out_of_line, vector
from ..simd.gather import gather_rows
from ..simd.intrinsics import all_finite, standalone, view_as
from ..simd.matmul import matrix
from .blocks import Part, Workspace, allocate, is_whole, known_after, run, summed_slots
from .layout import FAN_IN, FAN_OUT, even_tile, tile_length
from .model import COPY_LEAST, Examples, Model, WeightCopies, examples_type, fill_copies
from .passes import collect
from .propagation import OK
from .rules import DESCENT, NOTHING, descent, update, update_shared
from .split import block_count, tiles_a_block

__all__ = [
    "DIVERGED",
    "Buffers",
    "Epochs",
    "Span",
    "allocate_buffers",
    "allocate_work",
    "groups",
    "train",
]

# A status of `train` beside those of tiles: a cost or a parameter is not finite.
DIVERGED = 4

# Parameters from so many on are updated by all workers of a batch.
SHARED_LEAST = 1 << 15


class Epochs(NamedTuple):
    """How epochs go through the examples.

    orders : ndarray, (n, m), int64
        Row e modulo n is the order of epoch e. Shape (1, 0): all examples as they lie.
    m : int
        Examples of an epoch.
    size : int
        Examples of a batch.
    """

    orders: Any
    m: int
    size: int


class Buffers(NamedTuple):
    """Memory of a step: the gathered batch, the gradient, and the parameters before the step."""

    X: Any
    Y: Any
    weight: Any
    grad: Any
    previous: Any


class Span(NamedTuple):
    """What one call of `train` does.

    first, last : int
        Steps, counted from the first batch of the first epoch.
    part : Part
        The part of the step, if the call does a part of one step. Only the last part moves the
        parameters.
    done : int
        Steps that the optimiser had taken before step ``first``.
    guard : int
        Whether to stop, with the last finite parameters, where a cost or a parameter is not finite.
    """

    first: int
    last: int
    part: Part
    done: int
    guard: int


# Memory --------------------------------------------------------------------------------------


def batch_sizes(m, size) -> tuple[int, int]:
    """Return how many examples a batch has, and the last one."""
    return size, m % size or size


def allocate_work(model: Model, m: int, size: int, workers: int) -> Workspace:
    """Return the workspace of steps over m examples in batches of ``size``.

    A smaller last batch may be more blocks than a full one.
    """
    layers, itemsize = model.layers, model.params.itemsize
    most = max(batch_sizes(m, size), key=lambda n: block_count(n, layers, itemsize))
    work = allocate(model, most, workers, True)
    if size >= COPY_LEAST:
        return work
    return work._replace(W=work.W[:0])


def allocate_buffers(model, examples, size: int) -> Buffers:
    """Return the `Buffers` of steps that gather ``size`` examples; 0 where they gather none."""
    params, layers, _ = model
    X, Y, labels, weight = examples
    n_y = 1 if labels else layers[-1, FAN_OUT]
    return Buffers(
        np.empty(size * layers[0, FAN_IN], X.data.dtype),
        np.empty(size * n_y, Y.data.dtype),
        np.empty(size if weight.size > 0 else 0, weight.dtype),
        np.empty_like(params),
        np.empty_like(params),
    )


def groups(model, epochs: Epochs, workers: int, code: int) -> tuple[str, ...]:
    """Return the groups of kernels, for `prepare`, that steps of an optimiser call."""
    params, layers, _ = model
    gathers, plain = epochs.orders.size > 0, code in (NOTHING, DESCENT)
    shared = gathers or (params.size >= SHARED_LEAST and not plain)
    sizes = batch_sizes(epochs.m, epochs.size)
    panels = 1 in (block_count(n, layers, params.itemsize) for n in sizes)
    large = workers > 1 and (shared or panels)
    wanted = {"batches": gathers or not plain, "parallel": workers > 1, "large": large}
    return tuple(group for group in wanted if wanted[group])


# One batch -----------------------------------------------------------------------------------


def _gather_dtypes(layers, X, Y, *_):
    return Y[0].dtype, X[0].dtype


def _gather_types(dtype, x_dtype):
    table, order = types.Array(types.int64, 2, "C"), vector(types.int64)
    arrays = vector(x_dtype), *[vector(dtype)] * 4
    buffers = types.BaseTuple.from_types(arrays, Buffers)
    return table, *examples_type(dtype, x_dtype), order, buffers, INT, INT


@out_of_line(_gather_dtypes, _gather_types, result=types.none, group="batches")
def gather(layers, X, Y, labels, weight, order, buffers, first, last):
    """Copy a batch's examples first ... last - 1, in this order, to the buffers."""
    n_y = 1 if labels else layers[layers.shape[0] - 1, FAN_OUT]
    gather_rows(X, order, layers[0, FAN_IN], buffers.X, first, last)
    gather_rows(Y, order, n_y, buffers.Y, first, last)
    if weight.size > 0:
        for i in range(first, last):
            buffers.weight[i] = weight[order[i]]


@out_of_line(
    _gather_dtypes, _gather_types, result=types.none, group="large", parallel=True, internal=True
)
def gather_shared(layers, X, Y, labels, weight, order, buffers, n, workers):
    """Copy all n examples of a batch, shared out among workers."""
    for share in prange(workers):
        first, last = np.int64(share) * n // workers, (np.int64(share) + 1) * n // workers
        gather(layers, X, Y, labels, weight, order, buffers, first, last)


@jit(internal=True)
def sum_weights(weight, n):
    """Return the sum of the weights, n where there are none."""
    if weight.size == 0:
        return float(n)
    total = 0.0
    for i in range(n):
        total += float(weight[i])
    return total


@jit(internal=True)
def workspace_for(work, n, layers, itemsize):
    """Return the part of the workspace that a batch of n examples uses."""
    blocks = block_count(n, layers, itemsize)
    return Workspace(
        work.W,
        work.W_T,
        work.slots[:blocks],
        work.losses[:blocks],
        work.found[:blocks],
        work.scratch,
        work.team,
    )


@jit(internal=True)
def lying_batch(examples, at, n):
    """Return n examples as they lie, from number ``at`` on."""
    X, Y, labels, weight = examples
    return Examples(
        matrix(X.data, X.start + at * X.row, X.row, X.col),
        matrix(Y.data, Y.start + at * Y.row, Y.row, Y.col),
        labels,
        weight[at : at + n],
    )


@jit(internal=True)
def gathered_batch(model, examples, buffers, n):
    """Return the n examples in the buffers, with the types of `lying_batch`.

    Those arrays may be read-only. A second type would compile the engine a second time.
    """
    layers = model.layers
    n_x = layers[0, FAN_IN]
    n_y = 1 if examples.labels else layers[layers.shape[0] - 1, FAN_OUT]
    return Examples(
        matrix(view_as(buffers.X, examples.X.data), ZERO, n_x, ONE),
        matrix(view_as(buffers.Y, examples.Y.data), ZERO, n_y, ONE),
        examples.labels,
        view_as(buffers.weight, examples.weight)[:n],
    )


@jit(internal=True)
def step_forward_and_back(model, examples, batch, workers, work, buffers, part):
    """Take a part of a batch through forward, loss and backward.

    ``batch`` is (order, at, n): examples order[at] ... order[at + n - 1], or, with an empty order,
    those as they lie. Returns the sum of their weights.
    """
    order, at, n = batch
    begins = part.block == 0 and part.tile == 0
    if begins:
        fill_copies(model, ONE, WeightCopies(work.W, work.W_T))
    if begins and order.size > 0:
        X, Y, labels, weight = examples
        chosen = order[at : at + n]
        if workers > 1:
            gather_shared(model.layers, X, Y, labels, weight, chosen, buffers, n, workers)
        else:
            gather(model.layers, X, Y, labels, weight, chosen, buffers, ZERO, n)
    if order.size > 0:
        examples = gathered_batch(model, examples, buffers, n)
    else:
        examples = lying_batch(examples, at, n)
    # one call for both cases: Numba compiles `run` again wherever it is called
    run(model, examples, n, workers, work, part)
    return sum_weights(examples.weight, n)


@jit(internal=True)
def take_step(model, rule, rate, t, workers, buffers, guard):
    """Update the parameters.

    With a guard, keep those before in ``buffers.previous``, and return whether the new ones are
    finite; else return True.
    """
    params, grad, previous = model.params, buffers.grad, buffers.previous
    if guard:
        for p in range(params.size):
            previous[p] = params[p]
    if rule.code == DESCENT:  # here, so that it needs no kernel of the group "batches"
        descent(params, grad, rate)
    elif rule.code == NOTHING:
        pass
    elif workers > 1 and params.size >= SHARED_LEAST:
        update_shared(rule, rate, t, params, grad, workers)
    else:
        update(rule, rate, t, params, grad, ZERO, params.size)
    return not guard or all_finite(params, ZERO, params.size)


# Many steps ----------------------------------------------------------------------------------


@jit
def train(model, examples, epochs, alpha, workers, rule, rates, span, work, buffers, costs):
    """Take the steps of a `Span`.

    Parameters
    ----------
    model : Model
        ``model.params`` is modified in place, by whole steps.
    examples : Examples
        All examples.
    epochs : Epochs
        Which of them are in a step.
    alpha : float
        L2 penalty on the weights, not on the biases.
    workers : int
        Threads of a batch, unless the workspace has a team, which shares out every step; 1 runs in
        the calling thread. See `groups` for more.
    rule : Rule
        The optimiser; its state is modified in place.
    rates : ndarray, (last - first,), float64
        Learning rates of the steps.
    span : Span
        Which steps, or which part of one.
    work : Workspace
        From `allocate_work`.
    buffers : Buffers
        From `allocate_buffers`.
    costs : ndarray, (epochs, 2), float64
        Modified in place: loss and penalty of each batch, before its update, times its share of
        the examples, are added to its epoch's row.

    Returns
    -------
    done : int
        Whole steps taken.
    status : int
        0, or why the next step was not taken: X (1) or Y (2) is not usable, or the cost or a
        parameter is not finite (4). Only the optimiser's state keeps changes of that step.
    J : float
        The cost of the last step's batch, taken or not.
    """
    standalone()
    params, layers, _ = model
    orders, m, size = epochs
    longest, part = tile_length(layers, params.itemsize), span.part
    batches, J = (m + size - 1) // size, 0.0
    threads = ONE if work.team.size > 0 else workers  # a team's leader updates alone
    whole_batch = workspace_for(work, min(size, m), layers, params.itemsize)
    for s in range(span.first, span.last):
        epoch, at = s // batches, s % batches * size
        n = min(size, m - at)
        memory = whole_batch if n == size else workspace_for(work, n, layers, params.itemsize)
        order = orders[epoch % orders.shape[0]]
        total = step_forward_and_back(
            model, examples, (order, at, n), workers, memory, buffers, part
        )
        blocks = memory.losses.size
        tile = even_tile(n, blocks, longest)
        if part.block_end < blocks or part.tile_end < tiles_a_block(n, blocks, tile):
            return ZERO, OK, J  # within the step; the next call does its other tiles
        if total == 0:  # a batch of which nothing counts
            continue
        summed = summed_slots(memory, workers) if is_whole(part, n, blocks, tile) else ONE
        loss, penalty, status = collect(model, total, alpha, summed, memory, buffers.grad)
        if status != OK:
            return s - span.first, status, J
        if orders.size == 0 and n == m:
            part = known_after(part, m, memory, longest)
        J = loss + penalty
        costs[epoch, 0] += loss * (n / m)
        costs[epoch, 1] += penalty * (n / m)
        finite = np.isfinite(J)
        if finite or not span.guard:
            t = span.done + s - span.first + 1
            finite = take_step(model, rule, rates[s - span.first], t, threads, buffers, span.guard)
        if span.guard and not finite:
            for p in range(params.size):
                params[p] = buffers.previous[p] if np.isfinite(J) else params[p]
            return s - span.first, DIVERGED, J
    return span.last - span.first, OK, J
