"""Blocks of examples: how they are gone through, shared out among threads, and summed.

Blocks make the bits the same for any number of threads
    m and the sizes alone decide the blocks: `fastshallow.kernels.split`. Each block adds its
    gradient into its own slot. The slots are summed along a fixed binary tree. Threads share the
    blocks, in a parallel region for each step or, where steps are many and short, as a
    `fastshallow.kernels.team`.

Tiles make the speed
    A block goes through `fastshallow.kernels.propagation` in tiles that fit the cache. Z, A and dZ
    never leave it, and X is read from memory once.

One block
    Large networks have one block for any m, as two slots would take too much memory; few examples
    are one block, too. Threads then share the tiles, and after them the rows of every dW. Each row
    is summed over the tiles in the same order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types

from ..jit import argument_types
from ..jit.argument_types import INTEGER, array
from ..jit.compile import ONE, ZERO, jit, prange
from ..jit.linking import INT, out_of_line, vector
from ..jit.refusals import fill, heard
from ..simd.intrinsics import inlined
from ..simd.matmul import Matrix, matrix
from . import team
from .layout import (
    WIDEST,
    aligned_empty,
    even_tile,
    prepare_scratch,
    scratch_parts,
    scratch_size,
    tile_length,
)
from .model import (
    Examples,
    WeightCopies,
    examples_type,
    fetch_to_update,
    fetch_weights,
    model_type,
)
from .propagation import HELD, NEW, OK, REFUSED, USABLE, tile_gradient, tile_step
from .sizes import examples_fit
from .split import block_count, scratch_count, tile_count, tiles_a_block
from .sums import own_subtree, sum_slots

__all__ = [
    "Part",
    "Workspace",
    "all_tiles",
    "allocate",
    "assist",
    "block_step",
    "known_after",
    "run",
]

# One block -----------------------------------------------------------------------------------


@jit(
    takes={
        "model": argument_types.model(),
        "copies": argument_types.copies,
        "examples": argument_types.examples,
        "first": INTEGER,
        "last": INTEGER,
        "scratch": array(1, like="model", written=True),
        "slot": array(1, like="model", written=True),
    }
)
def block_step(model, copies, examples, first, last, scratch, slot):
    """Take examples first ... last - 1 through forward, loss and backward.

    Parameters
    ----------
    model : Model
        The network.
    copies : WeightCopies
        Of its weights, from `weight_copies`.
    examples : Examples
        All examples.
    first, last : int
        The block.
    scratch : ndarray, 1-D, of the dtype of the parameters
        `fastshallow.kernels.layout.scratch_size` long at least; its contents do not matter.
        Modified in place.
    slot : ndarray, 1-D
        Overwritten with the sums of w dL/dW and w dL/db, in the order of ``params``. Empty
        for the loss alone.

    Returns
    -------
    loss : float
        Sum of w L over the block.
    status : int
        0, or bits that say that X holds a value that is not finite (1), or Y one that the loss
        is not made for (2): then loss and slot are NaN.

    Raises
    ------
    ValueError
        Where sizes do not fit; likewise.
    """
    params, layers, _ = model
    fit = examples_fit(model, examples, last) and 0 <= first < last
    fit &= copies.W.size in (0, params.size) and copies.W_T.size == params.size
    fit &= slot.size in (0, params.size)
    if not fit or scratch.size < scratch_size(layers, scratch.itemsize):
        fill(slot)
        if heard():
            raise ValueError(
                "fastshallow.kernels.block_step: model, copies, examples, first, last, scratch and "
                "slot: expected sizes that fit each other, and an example at least"
            )
        return np.nan, REFUSED
    tiles = TileRange(first, first, last, tile_length(layers, scratch.itemsize), NEW)
    loss, status = block_part(model, copies, examples, tiles, 0.0, scratch, slot)
    if status != OK:
        loss = np.nan
        fill(slot)
    return loss, status


class TileRange(NamedTuple):
    """Tiles of ``length`` examples, from ``first`` to below ``last``, of the block at ``begin``.

    ``known`` is `NEW`, `USABLE` or `HELD`. `HELD` is only for a block of one tile, whose scratch
    has its zeros and ones, too.
    """

    begin: Any
    first: Any
    last: Any
    length: Any
    known: Any


@jit(internal=True)
def block_part(model, copies, examples, tiles, loss, scratch, slot):
    """Do what `block_step` does for some tiles of a block.

    ``loss`` and the slot hold the sums over the block's tiles before these. Return the new sum of
    losses, and the status.
    """
    inlined()
    layers, status, backward = model.layers, OK, slot.size > 0
    begin, first, last, length, known = tiles
    if known != HELD:
        prepare_scratch(layers, scratch)
    _, at_free, _ = scratch_parts(layers, tile_length(layers, scratch.itemsize))
    free = matrix(scratch, at_free, ZERO, ONE)
    for at in range(first, last, length):
        end, fresh = min(at + length, last), at == begin
        tile_loss, found = tile_step(
            model, copies, examples, at, end, known, backward, scratch, slot, fresh
        )
        loss += tile_loss
        status |= found
        if backward:
            tile_gradient(layers, examples.X, at, end, scratch, free, slot, fresh, 0, 1)
    return loss, status


# All blocks ----------------------------------------------------------------------------------


class Workspace(NamedTuple):
    """Memory of a gradient.

    W, W_T : ndarray, 1-D
        The `WeightCopies`.
    slots, losses, found : ndarray
        Gradient, loss and status of each block.
    scratch : ndarray, 2-D
        A row for each tile at work: see `scratch_count`. With as many rows as blocks, each block
        keeps its row.
    team : ndarray, 1-D
        State of a `fastshallow.kernels.team`; empty without one.
    """

    W: Any
    W_T: Any
    slots: Any
    losses: Any
    found: Any
    scratch: Any
    team: Any


class Part(NamedTuple):
    """A part of a step.

    It is the tiles from number ``tile`` to below ``tile_end`` of each block from ``block`` to below
    ``block_end``. ``known`` is `NEW`, `USABLE` or `HELD`: the last only where every block is a
    tile.
    """

    block: Any
    block_end: Any
    tile: Any
    tile_end: Any
    known: Any


@jit(internal=True)
def all_tiles(m):
    """Return the `Part` that is all of m examples; it ends beyond the last block and tile."""
    return Part(ZERO, m, ZERO, m, NEW)


@jit(internal=True)
def known_after(part, m, work, longest):
    """Return all tiles again, for the next step over the same examples, which were usable.

    Scratch still holds them if each block has its own scratch and is one tile.
    """
    block, block_end, first, end, _ = part
    blocks = work.losses.size
    kept = tile_count(m, blocks, longest) <= blocks <= work.scratch.shape[0]
    return Part(block, block_end, first, end, HELD if kept else USABLE)


@jit(allocates=True)
def allocate(model, m, workers, with_slots):
    """Return the `Workspace` for m examples."""
    params, layers, _ = model
    blocks = block_count(m, layers, params.itemsize)
    size = scratch_size(layers, params.itemsize)
    scratches = scratch_count(blocks, workers)
    slot = (params.size + 15) // 16 * 16 if with_slots else 0
    return Workspace(
        aligned_empty(params.size, params),
        aligned_empty(params.size, params),
        aligned_empty(blocks * slot, params).reshape(blocks, slot),
        np.empty(blocks, np.float64),
        np.empty(blocks, np.int64),
        aligned_empty(scratches * size, params).reshape(scratches, size),
        np.empty(0, np.int64),
    )


def _work_type(dtype):
    slots = types.Array(dtype, 2, "C")
    losses, found = vector(types.float64), vector(types.int64)
    arrays = vector(dtype), vector(dtype), slots, losses, found, slots, found
    return types.NamedTuple(arrays, Workspace)


def _run_types(dtype, x_dtype):
    part = types.NamedUniTuple(INT, 5, Part)
    return model_type(dtype), *examples_type(dtype, x_dtype), INT, INT, _work_type(dtype), part


def _run_dtypes(model, X, *_):
    return model[0].dtype, X[0].dtype


@jit(internal=True)
def is_whole(part, m, blocks, tile):
    """Return whether a part is all of m examples."""
    ends = part.block_end >= blocks and part.tile_end >= tiles_a_block(m, blocks, tile)
    return part.block == 0 and part.tile == 0 and ends


@jit(internal=True)
def run_share(model, examples, m, share, workers, member, work, part):
    """Let one worker go through its share of the blocks, and sum their slots if they are a subtree.

    ``member`` chooses the scratch, unless every block has its own.
    """
    inlined()
    blocks = work.losses.size
    tile = even_tile(m, blocks, tile_length(model.layers, model.params.itemsize))
    tiles = (m + tile - 1) // tile
    n = min(part.block_end, blocks) - part.block
    for b in range(part.block + share * n // workers, part.block + (share + 1) * n // workers):
        begin, end = b * tiles // blocks, (b + 1) * tiles // blocks
        loss, status = (0.0, OK) if part.tile == 0 else (work.losses[b], work.found[b])
        loss, found = block_part(
            model,
            WeightCopies(work.W, work.W_T),
            examples,
            TileRange(
                begin * tile,
                (begin + part.tile) * tile,
                min(m, min(begin + part.tile_end, end) * tile),
                tile,
                part.known,
            ),
            loss,
            work.scratch[b if blocks <= work.scratch.shape[0] else member],
            work.slots[b],
        )
        # once: other threads write to the same cache lines
        work.losses[b], work.found[b] = loss, status | found
    own = own_subtree(blocks, workers)
    if own > 1 and is_whole(part, m, blocks, tile):
        sum_slots(work.slots, share * own, (share + 1) * own, ONE)


@out_of_line(
    _run_dtypes, _run_types, result=types.none, group="parallel", parallel=True, internal=True
)
def run_blocks(model, X, Y, labels, weight, m, workers, work, part):
    """Do what `run_share` does for all blocks, which the workers share."""
    for share in prange(workers):
        # here, as prange takes no nested tuple
        examples = Examples(X, Y, labels, weight)
        run_share(model, examples, m, np.int64(share), workers, np.int64(share), work, part)


@out_of_line(
    _run_dtypes, _run_types, result=types.none, group="large", parallel=True, internal=True
)
def run_one_block(model, X, Y, labels, weight, m, workers, work, part):
    """Do what `run_blocks` does for one block, with its tiles and then the rows of dW shared out.

    Every sum is the one that `block_step` makes, so the bits are the same.
    """
    layers, scratch, backward = model.layers, work.scratch, work.slots.size > 0
    longest, together = tile_length(layers, scratch.itemsize), scratch.shape[0]
    tile, free_size = even_tile(m, ONE, longest), longest * layers[0, WIDEST]
    tile_losses, tile_found = np.empty(together), np.empty(together, np.int64)
    free = aligned_empty(workers * free_size, model.params)
    if part.tile == 0:
        work.losses[0], work.found[0] = 0.0, OK
    stop = min(m, part.tile_end * tile)
    for start in range(part.tile * tile, stop, together * tile):
        tiles = min(together, (stop - start + tile - 1) // tile)
        for t in prange(tiles):
            at = start + np.int64(t) * tile
            prepare_scratch(layers, scratch[t])
            tile_losses[t], tile_found[t] = tile_step(
                model,
                WeightCopies(work.W, work.W_T),
                Examples(X, Y, labels, weight),
                at,
                min(at + tile, m),
                NEW,
                backward,
                scratch[t],
                work.slots[0, :0],
                at == 0,
            )
        for t in range(tiles):
            work.losses[0] += tile_losses[t]
            work.found[0] |= tile_found[t]
        for share in prange(workers if backward else 0):
            for t in range(tiles):
                at = start + t * tile
                tile_gradient(
                    layers,
                    X,
                    at,
                    min(at + tile, m),
                    scratch[t],
                    Matrix(free, np.int64(share) * free_size, 0, 1),
                    work.slots[0],
                    at == 0,
                    np.int64(share),
                    workers,
                )


@jit(internal=True)
def run(model, examples, m, workers, work, part):
    """Fill the slots, losses and statuses of a part of a step.

    A part goes on where the part before ended. How a step is cut changes no bit. Without a team,
    several workers need the kernels of the group "parallel", or "large" for one block. With a team,
    the caller is its leader, and the helpers are in `assist`.
    """
    inlined()
    together = work.team.size > 0
    if workers > 1 and not together:
        X, Y, labels, weight = examples
        if work.losses.size == 1:
            run_one_block(model, X, Y, labels, weight, m, workers, work, part)
        else:
            run_blocks(model, X, Y, labels, weight, m, workers, work, part)
        return
    step = team.begin(work.team, part.known) if together else ONE
    share = team.claim(work.team, team.first_share(work.team, ZERO), step) if together else ZERO
    shares = work.losses.size if together else ONE
    while share != team.NO_MORE:
        run_share(model, examples, m, share, shares, ZERO, work, part)
        share = add_up(work, share, step) if together else team.NO_MORE
    if together:
        team.wait_for_shares(work.team, step)
        other = work.slots[summed_slots(work, workers)]  # of the last pair
        fetch_to_update(model, WeightCopies(work.W, work.W_T), other)


@jit(internal=True)
def add_up(work, share, step):
    """Add a finished block to the sum of its neighbours, up the tree.

    At each pair, who comes second adds; who comes first leaves. Return the next share to do, or
    `team.NO_MORE`. The leader adds the last pair later: it needs the sum in its own cache.
    """
    pair, s = work.losses.size + share, ONE
    while pair > 1:
        pair //= 2
        if not team.meet(work.team, pair, step):
            return team.claim(work.team, share + 1, step)
        if pair > 1:
            first = share // (2 * s) * 2 * s
            sum_slots(work.slots, first, first + 2 * s, s)
            s *= 2
    team.finish(work.team, step)
    return team.NO_MORE


@jit(internal=True)
def summed_slots(work, workers):
    """Return how many neighbouring slots `run` has summed into one, if it did a whole step."""
    blocks = work.losses.size
    return blocks // 2 if work.team.size > 0 else own_subtree(blocks, workers)


@jit
def assist(model, examples, m, member, work, last):
    """Help the leader of a team, who takes steps over all of m examples.

    Parameters
    ----------
    model, examples, m, work
        As for `run`.
    member : int
        Which member of the team this is, from 1; the leader is 0.
    last : int
        The last step that this member has finished.

    Returns
    -------
    int
        The same for the next call, some time later, or `fastshallow.kernels.team.NO_MORE`.
    """
    blocks = work.losses.size
    while True:
        step = team.wait_for_step(work.team, last)
        if step == team.NO_MORE:
            return team.NO_MORE
        if step == 0:
            return last
        share = team.claim(work.team, team.first_share(work.team, member), step)
        if share != team.NO_MORE:
            fetch_weights(model, WeightCopies(work.W, work.W_T))
        while share != team.NO_MORE:
            block, block_end, tile, tile_end, _ = all_tiles(m)
            part = Part(block, block_end, tile, tile_end, work.team[team.NEWS])
            run_share(model, examples, m, share, blocks, member, work, part)
            share = add_up(work, share, step)
        last = step
