"""How m examples are split into blocks and tiles: by m and the sizes alone, whatever the threads.

`fastshallow.kernels.layout` has the length of a tile.
"""

from __future__ import annotations

from ..jit import argument_types
from ..jit.argument_types import INTEGER
from ..jit.compile import ONE, jit
from .layout import LANES_OVER_EXAMPLES, WIDEST, even_tile, n_params, tile_length

__all__ = [
    "block_count",
    "in_panels",
    "scratch_count",
    "task_count",
    "tile_count",
    "tiles_a_block",
]

# Least and most examples that a block must have at least; bytes of its slot for which it must have
# one more; operations of a block. A slot is written and summed once, and a block must be worth it.
# All slots together have SLOTS_BYTES at most.
BLOCK_LEAST, BLOCK_MOST, SLOT_BYTES_AN_EXAMPLE, BLOCK_WORK = 128, 1024, 256, 500_000
BLOCKS_MOST = 128
SLOTS_BYTES = 1 << 26

# A small network may have two smaller blocks, so that a second thread has work. Larger networks
# would lose some per cent on one thread.
PAIR_LEAST, PAIR_WORK, PAIR_PARAMS = 64, 250_000, 1500

# Tiles at work at a time for each thread, where threads share the rows of dW.
TILES_TOGETHER = 4


@jit
def tile_count(m, blocks, longest):
    """Return how many tiles m examples in so many blocks are."""
    tile = even_tile(m, blocks, longest)
    return (m + tile - 1) // tile


@jit(takes={"m": INTEGER, "layers": argument_types.table, "itemsize": INTEGER})
def block_count(m, layers, itemsize):
    """Return how many blocks m examples are: a function of m and the sizes alone.

    It is a power of two: 2, 4, 8, ... threads have equal shares, and slots are summed in pairs.
    """
    slot = n_params(layers) * itemsize
    worth = max(BLOCK_LEAST, slot // SLOT_BYTES_AN_EXAMPLE, BLOCK_WORK // (6 * n_params(layers)))
    tile = tile_length(layers, itemsize)
    least = max(min(BLOCK_MOST, worth), tile if layers[0, LANES_OVER_EXAMPLES] else ONE)
    most = min(BLOCKS_MOST, SLOTS_BYTES // slot, m // least)
    pair = max(PAIR_LEAST, PAIR_WORK // (6 * n_params(layers)))
    blocks = 2 if n_params(layers) <= PAIR_PARAMS and m >= 2 * pair else 1
    while 2 * blocks <= min(most, tile_count(m, 2 * blocks, tile)):  # no block is empty
        blocks *= 2
    return blocks


@jit
def tiles_a_block(m, blocks, tile):
    """Return how many tiles the longest block has."""
    return ((m + tile - 1) // tile + blocks - 1) // blocks


@jit(takes={"layers": argument_types.table, "itemsize": INTEGER})
def in_panels(layers, itemsize):
    """Return whether the network is so large that any number of examples is one block."""
    return 2 * n_params(layers) * itemsize > SLOTS_BYTES


@jit(takes={"m": INTEGER, "layers": argument_types.table, "itemsize": INTEGER})
def task_count(m, layers, itemsize):
    """Return how many threads a gradient can use."""
    if in_panels(layers, itemsize):
        return layers[0, WIDEST]
    return block_count(m, layers, itemsize)


@jit
def scratch_count(blocks, workers):
    """Return the rows of scratch.

    One block and several workers: `TILES_TOGETHER` for each worker. Two blocks: two at least, so
    that each keeps its examples (`HELD`). Else one for each worker.
    """
    if blocks == 1 < workers:
        return TILES_TOGETHER * workers
    return max(workers, 2) if blocks == 2 else workers
