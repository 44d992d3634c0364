"""Sums over the blocks of a gradient, along a fixed binary tree: the same bits, whoever adds.

For s = 1, 2, 4, ... slot i + s is added to slot i, for every i that is a multiple of 2 s. Subtrees
may be summed in any order.
"""

from __future__ import annotations

from ..jit.compile import ZERO, jit

__all__ = ["own_subtree", "sum_gradient", "sum_losses", "sum_slots"]

# Parameters that are summed over all slots at a time: such a strip stays in the cache.
STRIP = 1024


@jit(internal=True)
def sum_slots(slots, first, last, step):
    """Sum slots first, first + step, ... below last into the first."""
    size = slots.shape[1]
    for p in range(0, size, STRIP):
        end, s = min(p + STRIP, size), step
        while s < last - first:
            for i in range(first, last - s, 2 * s):
                # slices, as a test for negative indices would prevent a vectorised loop
                to, other = slots[i, p:end], slots[i + s, p:end]
                for q in range(to.size):
                    to[q] += other[q]
            s *= 2


@jit(internal=True)
def own_subtree(blocks, workers):
    """Return how many blocks each worker has and sums itself; 1 where they are no subtree."""
    return blocks // workers if blocks % workers == 0 else 1


@jit(internal=True)
def sum_gradient(slots, step):
    """Sum the rest of the tree into slot 0: slots 0, step, 2 step, ... are sums of step slots."""
    sum_slots(slots, ZERO, slots.shape[0], step)


@jit(internal=True)
def sum_losses(losses):
    """Return the sum along the same tree; ``losses`` is modified in place."""
    step = 1
    while step < losses.size:
        for i in range(0, losses.size - step, 2 * step):
            losses[i] += losses[i + step]
        step *= 2
    return losses[0]
