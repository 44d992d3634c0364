"""Progress of a training run between kernel calls.

A call takes many steps, or, where one is long, a part of the blocks or tiles of its batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..kernels.blocks import Part
from ..kernels.steps import Epochs

__all__ = ["START", "Blocks", "Course"]

# Where a step begins.
START = Part(0, 0, 0, 0, 0)


class Blocks(NamedTuple):
    """Into what a batch is split: n blocks of at most ``tiles`` tiles of ``tile`` examples."""

    n: int
    tiles: int
    tile: int

    def after(self, part: Part) -> Part:
        """Return where the part after this one begins."""
        if part.tile_end < self.tiles:
            return part._replace(tile=part.tile_end)
        end = min(part.block_end, self.n)
        return Part(end, end, 0, 0, 0)

    def share(self, part: Part) -> float:
        """Return how much of the batch this part is."""
        tiles: int = min(part.tile_end, self.tiles) - part.tile
        blocks: int = min(part.block_end, self.n) - part.block
        return blocks * tiles / (self.n * self.tiles)

    def done(self, part: Part) -> float:
        """Return how much of the batch is done where this part begins."""
        tiles: int = part.block * self.tiles + (part.block_end - part.block) * part.tile
        return tiles / (self.n * self.tiles)


@dataclass
class Course:
    """How far `Trainer.epochs` came.

    epochs : Epochs
        As the kernel takes them.
    steps : int
        Steps of an epoch.
    costs : ndarray, (n, 2)
        Their losses and penalties.
    done : int
        Steps taken.
    cursor : Part
        Where the next one goes on.
    """

    epochs: Epochs
    steps: int
    costs: np.ndarray
    done: int
    cursor: Part = START

    @property
    def left(self) -> int:
        """Steps to take."""
        return len(self.costs) * self.steps - self.done

    @property
    def ended(self) -> int:
        """Whole epochs."""
        return self.done // self.steps

    @property
    def size(self) -> int:
        """Examples of the next step."""
        return min(self.epochs.size, self.epochs.m - self.done % self.steps * self.epochs.size)

    def examples(self, count: int) -> int:
        """Return how many examples the next steps have."""
        first, last = (
            steps // self.steps * self.epochs.m + steps % self.steps * self.epochs.size
            for steps in (self.done, self.done + count)
        )
        return last - first
