"""Progress of a training run between kernel calls.

A call takes many steps. If a step is long, a call takes some blocks or tiles of its batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..kernels.blocks import Part
from ..kernels.steps import Epochs

__all__ = ["START", "Blocks", "Course"]

# The start of a step.
START = Part(0, 0, 0, 0, 0)


class Blocks(NamedTuple):
    """The split of a batch: n blocks of at most ``tiles`` tiles of ``tile`` examples."""

    n: int
    tiles: int
    tile: int

    def after(self, part: Part) -> Part:
        """Return the start of the part that follows this one."""
        if part.tile_end < self.tiles:
            return part._replace(tile=part.tile_end)
        end = min(part.block_end, self.n)
        return Part(end, end, 0, 0, 0)

    def share(self, part: Part) -> float:
        """Return this part's fraction of the batch."""
        tiles: int = min(part.tile_end, self.tiles) - part.tile
        blocks: int = min(part.block_end, self.n) - part.block
        return blocks * tiles / (self.n * self.tiles)

    def done(self, part: Part) -> float:
        """Return the fraction of the batch that is done before this part."""
        tiles: int = part.block * self.tiles + (part.block_end - part.block) * part.tile
        return tiles / (self.n * self.tiles)


@dataclass
class Course:
    """Progress of one call of `Trainer.epochs`."""

    epochs: Epochs  # the kernel's argument
    steps: int  # per epoch
    costs: np.ndarray  # (n, 2): loss and penalty of each epoch
    done: int  # steps taken
    cursor: Part = START  # the start of the next kernel call within its step

    @property
    def left(self) -> int:
        """Steps that remain."""
        return len(self.costs) * self.steps - self.done

    @property
    def ended(self) -> int:
        """Whole epochs done."""
        return self.done // self.steps

    @property
    def size(self) -> int:
        """Examples in the next step."""
        return min(self.epochs.size, self.epochs.m - self.done % self.steps * self.epochs.size)

    def examples(self, count: int) -> int:
        """Return the number of examples in the next ``count`` steps."""
        first, last = (
            steps // self.steps * self.epochs.m + steps % self.steps * self.epochs.size
            for steps in (self.done, self.done + count)
        )
        return last - first
