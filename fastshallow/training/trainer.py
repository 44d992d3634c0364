"""The trainer: it takes the steps of an optimiser, epoch by epoch.

`fastshallow.train` and the estimators use it. It knows no schedules, callbacks or histories. It
calls the kernel `fastshallow.kernels.steps.train` for about a tenth of a second at a time, so that
Ctrl-C and progress bars work. The length of the calls does not change a bit of the result.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numba import config

from .. import kernels
from ..jit.linking import prepare
from ..jit.pace import TRIAL_SECONDS, Pace
from ..jit.threads import TEAM_GRAIN, choose_workers, helped, parallel_region
from ..kernels import steps
from ..kernels.blocks import Part, Workspace, assist
from ..kernels.layout import even_tile, scratch_size, tile_length
from ..kernels.split import scratch_count, tiles_a_block
from ..kernels.team import NO_MORE, close, new_team
from ..network import checks
from ..network.network import Network
from ..network.problem import Problem
from .divergence import DivergenceError
from .optimizers import LBFGS, Optimizer
from .progress import START, Blocks, Course

__all__ = ["Rates", "State", "Trainer"]

#: From step numbers to learning rates.
Rates = Callable[[np.ndarray], np.ndarray]

# Seconds of a kernel call (or of a team's first few calls): Ctrl-C waits for its end.
CALL_SECONDS = 0.08

# Assumed operations per second of the first call; later calls use the measured speed.
SLOWEST = 2e9

# Largest growth of the assumed speed from one call to the next.
GROWTH = 8

# With a block for each thread, a thread pays off from `threads.GRAIN` operations on. Threads that
# share one block synchronise several times in a step, and need this multiple.
SHARING = 10

# A team pays off below this many operations per step, and from this many steps per member on:
# starting a member takes 0.1 ms.
TEAM_MOST, TEAM_STEPS = 2e7, 64

# Bytes of examples on disk to hold in memory at a time.
MAPPED_BYTES = 1 << 26


class Crew(NamedTuple):
    """Thread counts: workers of a parallel region in one step, members of a team over steps."""

    workers: int
    members: int

    def for_steps(self, steps: int) -> Crew:
        """Return the counts for this many steps, which may be too few for a team."""
        return self if steps >= TEAM_STEPS * self.members else self._replace(members=1)

    def limited(self, threads: int) -> Crew:
        """Return the counts, limited to ``threads``."""
        return Crew(min(self.workers, threads), min(self.members, threads))


@dataclass
class State:
    """State of an optimiser and progress of a training."""

    vectors: np.ndarray  # (k, n), of the optimiser; see `fastshallow.kernels.rules.Rule`
    steps: int = 0
    examples: int = 0  # of whole epochs
    epochs: int = 0  # whole epochs
    begun: int = 0  # steps of the unfinished epoch
    sums: tuple[float, float] = (0.0, 0.0)  # their loss and penalty


class Trainer:
    """Take epochs of an optimiser's steps.

    Parameters
    ----------
    net : Network
        Its parameters are modified in place, by whole steps.
    X, Y, sample_weight, alpha, n_threads
        As for `Network.cost_and_grad`. Values of X and Y are checked in the first epoch. Bad values
        leave the network unchanged.
    optimizer : Optimizer or LBFGS
        The optimiser.
    batch_size : int or None
        Examples per batch; None, or more than there are, means all examples.
    state : State or None
        State of an earlier trainer with the same optimiser and sizes; modified in place. None means
        a new state.
    loss_scale : float
        Factor of the loss in the returned costs, but not in the steps: scikit-learn reports squared
        error with 1 / n_y.
    guard : bool
        Whether to stop if a cost or a parameter is not finite.

    Attributes
    ----------
    state : State
        Modified in place.
    m : int
        Number of examples.
    position : float
        (Fractional) number of epochs done since the call of `epochs`.
    """

    def __init__(
        self,
        net: Network,
        X: Any,
        Y: Any,
        optimizer: Optimizer | LBFGS,
        batch_size: int | None = None,
        sample_weight: Any = None,
        alpha: float = 0.0,
        n_threads: int | None = None,
        state: State | None = None,
        loss_scale: float = 1.0,
        guard: bool = True,
    ):
        if not isinstance(net, Network):
            raise TypeError(f"net: expected a Network; got {type(net).__name__}")
        net._check_writable()
        self.net, self.optimizer = net, optimizer
        self.loss_scale, self.guard = loss_scale, guard
        self.problem = Problem(net, X, Y, sample_weight, alpha, n_threads)
        self._model, self._examples, self.m, _, self.alpha = self.problem.arguments
        self._n_threads, self._batch_size = n_threads, batch_size
        if state is None:
            state = State(np.zeros((optimizer.vectors, net.params.size), net.dtype))
        self.position = 0.0
        self._flops = 6.0 * net.params.size  # operations per example
        self._speeds: dict[int, float] = {}  # examples per second, by number of threads
        self._paces: dict[int, Pace] = {}
        self._splits: dict[int, Blocks] = {}  # by the size of a batch
        self._maps = [found for found in map(mapping, (self.problem.X, self.problem.Y)) if found]
        self._memory: tuple[Any, ...] = ()
        self._memory_for: tuple[int, ...] = ()
        self.restore(state)

    def restore(self, state: State) -> None:
        """Use this state of the optimiser, which kernels modify in place."""
        net, shape = self.net, (self.optimizer.vectors, self.net.params.size)
        checks.writable("state.vectors", state.vectors, shape, net.dtype)
        if np.may_share_memory(state.vectors, net.params):
            raise ValueError("state.vectors: expected memory of its own; got that of params")
        self.state = state
        self._rule = self.optimizer.rule(state.vectors)
        # restored if the first epoch meets bad data
        self._start: tuple[np.ndarray, np.ndarray, int] | None
        self._start = self.net.params.copy(), state.vectors.copy(), state.steps

    def batch_size(self, m: int) -> int:
        """Return the batch size for epochs of m examples."""
        return m if self._batch_size is None else min(self._batch_size, m)

    def steps_per_epoch(self, m: int) -> int:
        """Return the number of steps in an epoch of m examples."""
        return -(-m // self.batch_size(m))

    def window(self) -> int:
        """Return the number of examples of an X on disk to hold in memory at a time."""
        X = self.problem.X
        example: int = X.shape[0] * X.itemsize
        return max(1, MAPPED_BYTES // example)

    def epochs_a_call(self, m: int) -> int:
        """Return the number of whole epochs of m examples in one kernel call, maybe 0."""
        speed = max(self._speeds.values(), default=SLOWEST / self._flops)
        return int(CALL_SECONDS * speed / m)

    @property
    def gradient(self) -> np.ndarray:
        """The gradient of the last step."""
        grad: np.ndarray = self._memory[1].grad
        return grad

    def epoch(self, order: np.ndarray | None = None, rates: Rates | float | None = None) -> float:
        """Take one epoch, and return its cost.

        Parameters
        ----------
        order : ndarray of int64, (m,), or None
            Numbers of all or some examples. None means all examples in storage order.
        rates : callable, float or None
            The learning rate, or a function from an array of step numbers (from 0, over all
            epochs) to their learning rates. None means the optimiser's learning rate.
        """
        orders = None if order is None else np.atleast_2d(order)
        return float(np.concatenate(list(self.epochs(1, orders, rates)))[0])

    def epochs(
        self,
        n: int,
        orders: np.ndarray | None = None,
        rates: Rates | float | None = None,
    ) -> Iterator[np.ndarray]:
        """Take n epochs, and yield about ten times a second.

        The caller may stop iterating. Then the network has taken whole steps, and the next call
        continues within the unfinished epoch.

        Parameters
        ----------
        n : int
            Number of epochs, including an unfinished one.
        orders : ndarray of int64, (n, m) or (1, m), or None
            As for `epoch`, one row per epoch, or one row for all.
        rates : callable, float or None
            As for `epoch`.

        Yields
        ------
        ndarray, 1-D, float64
            Costs of the epochs that ended since the last yield; see `History.cost`.
        """
        self.net._check_writable()  # a callback may have made them read-only
        epochs = self._epochs(orders)
        most = self._most(epochs)
        memory, buffers = self._allocate(epochs, max(most), most.workers > 1)
        course = Course(epochs, self.steps_per_epoch(epochs.m), np.zeros((n, 2)), self.state.begun)
        course.costs[0] = self.state.sums
        self.position, reported = 0.0, 0
        pace = self._pace(max(most.for_steps(course.left)))
        while course.left > 0:
            crew = most.for_steps(course.left).limited(pace.threads)
            with self._together(crew, memory) as work:
                status, J, rate = self._turn(course, rates, crew, pace, work, buffers)
            for mapped in self._maps:
                mapped.madvise(mmap.MADV_DONTNEED)
            ended, reported = course.costs[reported : course.ended], course.ended
            with np.errstate(all="ignore"):  # `_explain` reports costs that are not finite
                ended_costs = self.loss_scale * ended[:, 0] + ended[:, 1]
            yield ended_costs
            if status != kernels.OK:
                self._explain(status, J, rate)

    def _turn(
        self,
        course: Course,
        rates: Rates | float | None,
        crew: Crew,
        pace: Pace,
        work: Workspace,
        buffers: steps.Buffers,
    ) -> tuple[int, float, float]:
        """Call the kernel; return status, cost and learning rate of the last step.

        A team repeats short calls until a tenth of a second is over, because starting it is slow.
        """
        together, threads = crew.members > 1, max(crew)
        began, most = time.perf_counter(), TRIAL_SECONDS if pace.on_trial else CALL_SECONDS
        seconds = most
        while True:
            blocks = self._blocks(course.size)
            count, part = self._portion(course, blocks, crew, seconds)
            count = min(count, course.left)
            lr = self._rates(rates, self.state.steps + np.arange(count))
            last = course.done + count
            span = steps.Span(course.done, last, part, self.state.steps, self.guard)
            started = time.perf_counter()
            taken, status, J = steps.train(
                model=self._model,
                examples=self._examples,
                epochs=course.epochs,
                alpha=self.alpha,
                workers=crew.workers,
                rule=self._rule,
                rates=lr,
                span=span,
                work=work,
                buffers=buffers,
                costs=course.costs,
            )
            ended = time.perf_counter()
            self._measure(threads, course.examples(count) * blocks.share(part), ended - started)
            pace.measured(threads, course.examples(count) * blocks.share(part), ended - started)
            self._advance(course, blocks, part, taken)
            seconds = most - (ended - began)
            over = not together or seconds < most / 2 or course.left == 0
            if over or status != kernels.OK or pace.threads != threads:
                return status, J, lr[min(taken, count - 1)]

    def _advance(self, course: Course, blocks: Blocks, part: Part, taken: int) -> None:
        """Record the steps that a call took, or the part of a step."""
        before, cursor = course.ended, START if taken else blocks.after(part)
        course.done, course.cursor = course.done + taken, cursor
        ended = course.ended
        self.position = (course.done + blocks.done(cursor)) / course.steps
        self.state.steps += taken
        self.state.begun = course.done % course.steps
        self.state.sums = tuple(course.costs[ended]) if course.left > 0 else (0.0, 0.0)
        self.state.epochs += ended - before
        self.state.examples += (ended - before) * course.epochs.m
        if ended > 0:
            self._start = None

    # Arguments of a kernel call ------------------------------------------------------------------

    def _epochs(self, orders: np.ndarray | None) -> steps.Epochs:
        if orders is None:
            return steps.Epochs(np.empty((1, 0), np.int64), self.m, self.batch_size(self.m))
        orders = np.require(orders, np.int64, ["C", "W", "A"])
        if orders.size and orders.view(np.uint64).max() >= self.m:  # negative numbers wrap
            raise ValueError(f"order: expected numbers of examples, 0 ... {self.m - 1}; got others")
        return steps.Epochs(orders, orders.shape[1], self.batch_size(orders.shape[1]))

    def _most(self, epochs: steps.Epochs) -> Crew:
        """Return the largest useful thread counts."""
        blocks, work = self._blocks(epochs.size), self._flops * epochs.size
        tasks, worth = blocks.n, work
        if tasks == 1:
            tasks, worth = blocks.tiles, work / SHARING
        workers = choose_workers(self._n_threads, tasks, worth)
        same = epochs.size == epochs.m and epochs.orders.size == 0  # all steps are full batches
        if not same or blocks.n == 1 or work > TEAM_MOST or config.DISABLE_JIT:
            return Crew(workers, 1)
        return Crew(workers, choose_workers(self._n_threads, blocks.n, work, TEAM_GRAIN))

    def _pace(self, most: int) -> Pace:
        """Return the `Pace` that chooses among 1 to ``most`` threads."""
        if most not in self._paces:
            self._paces[most] = Pace(most, self._n_threads is not None)
        return self._paces[most]

    @contextmanager
    def _together(self, crew: Crew, work: Workspace) -> Iterator[Workspace]:
        """Open a parallel region or a team, and yield its workspace."""
        members = crew.members
        if members == 1:
            with parallel_region(crew.workers):
                yield work
            return
        arguments, blocks = (self._model, self._examples, self.m), self._blocks(self.m).n
        nobody = new_team(blocks, 1)
        close(nobody)
        # compile in this thread: Ctrl-C works here, and helpers would all compile at once
        assist(*arguments, 1, work._replace(team=nobody), 0)
        work = work._replace(team=new_team(blocks, members))

        def help_out(member: int) -> None:
            last = 0
            while last != NO_MORE:  # `assist` also returns to let other Python threads run
                last = assist(*arguments, member, work, last)
                time.sleep(0)

        with helped(members, help_out, partial(close, work.team)):
            yield work

    def _blocks(self, size: int) -> Blocks:
        """Return the split of a batch of ``size`` examples."""
        if size not in self._splits:
            layers, itemsize = self.net.layers, self.net.dtype.itemsize
            n = int(kernels.block_count(size, layers, itemsize))
            tile = int(even_tile(size, n, tile_length(layers, itemsize)))
            self._splits[size] = Blocks(n, int(tiles_a_block(size, n, tile)), tile)
        return self._splits[size]

    def _allocate(self, epochs: steps.Epochs, workers: int, regions: bool) -> tuple[Any, ...]:
        """Return workspace and buffers; reuse those of the last call if the sizes are the same.

        ``regions`` tells whether steps may enter parallel regions.
        """
        gathered = epochs.size if epochs.orders.size else 0
        wanted = (epochs.size, epochs.m % epochs.size, workers, gathered)
        if self._memory_for != wanted:
            within = workers if regions else 1
            groups = steps.groups(self._model, epochs, within, self._rule.code)
            prepare(self.net.dtype, self.problem.X.dtype, groups)
            self._memory, self._memory_for = (), ()
            try:
                self._memory = (
                    steps.allocate_work(self._model, epochs.m, epochs.size, workers),
                    steps.allocate_buffers(self._model, self._examples, gathered),
                )
            except MemoryError as error:
                wanted_bytes = self._bytes(epochs, workers, gathered)
                raise MemoryError(
                    f"batches of {epochs.size} examples on {workers} threads: {wanted_bytes} "
                    "bytes of workspace were wanted, but are not available; try a smaller "
                    "batch_size, fewer n_threads or a smaller network"
                ) from error
            self._memory_for = wanted
        return self._memory

    def _bytes(self, epochs: steps.Epochs, workers: int, gathered: int) -> int:
        """Return the bytes of workspace and buffers."""
        net, X = self.net, self.problem.X
        n = max(self._blocks(size).n for size in steps.batch_sizes(epochs.m, epochs.size))
        scratches = int(scratch_count(n, workers))
        scratch = int(scratch_size(net.layers, net.dtype.itemsize))
        # 4: transposed and packed weights, two gradients; n: a gradient slot per block
        values: int = (4 + n) * net.params.size + scratches * scratch
        values += gathered * net.sizes[-1]
        example: int = X.shape[0] * X.itemsize
        return values * net.dtype.itemsize + gathered * example

    def _rates(self, rates: Rates | float | None, numbers: np.ndarray) -> np.ndarray:
        if rates is None:
            rates = self.optimizer.learning_rate
        if callable(rates):
            found = np.require(rates(numbers), np.float64, ["C", "A"])
            if found.shape != numbers.shape:
                raise ValueError(
                    f"schedule: expected learning rates of shape {numbers.shape}; got shape "
                    f"{found.shape}"
                )
            return found
        return np.full(numbers.size, rates, np.float64)

    def _portion(
        self, course: Course, blocks: Blocks, crew: Crew, seconds: float
    ) -> tuple[int, Part]:
        """Return the number of steps of a call of ``seconds``, and the part of each.

        The part is the whole step, except for a step that is too long for one call. A team takes
        whole steps.
        """
        epochs, cursor = course.epochs, course.cursor
        workers, together = crew.workers, crew.members > 1
        examples = seconds * self._speed(max(crew))
        if self._maps:
            examples = min(examples, MAPPED_BYTES / self._mapped_bytes(epochs))
        tiles, all_tiles = int(examples // blocks.tile), blocks.n * blocks.tiles
        if together or (not any(cursor) and (tiles >= all_tiles or all_tiles == 1)):
            # bounds that hold for every batch: a smaller batch may have more blocks or tiles
            return max(1, int(examples // epochs.size)), Part(0, epochs.size, 0, epochs.size, 0)
        if cursor.tile == 0:
            at_once = max(workers, tiles // blocks.tiles // workers * workers)
            cursor = cursor._replace(block_end=min(blocks.n, cursor.block + at_once))
        rows = max(1, tiles // (cursor.block_end - cursor.block))
        return 1, cursor._replace(tile_end=min(blocks.tiles, cursor.tile + rows))

    def _mapped_bytes(self, epochs: steps.Epochs) -> int:
        """Return the bytes of memory that reading an example from disk occupies."""
        X = self.problem.X
        bytes_: int = X.shape[0] * X.itemsize
        return bytes_ if epochs.orders.size == 0 else max(bytes_, 4 * mmap.PAGESIZE)

    def _speed(self, threads: int) -> float:
        """Return the measured examples per second, or a cautious guess."""
        if threads in self._speeds:
            return self._speeds[threads]
        slowest = SLOWEST / self._flops
        return min(self._speeds.values()) / GROWTH if self._speeds else slowest

    def _measure(self, threads: int, examples: float, seconds: float) -> None:
        """Record the speed of a call."""
        most = GROWTH * self._speed(threads)
        self._speeds[threads] = min(examples / max(seconds, 1e-9), most)

    def _explain(self, status: int, J: float, rate: float) -> None:
        """Raise the error of a kernel's status; undo the steps if data are bad."""
        if status == steps.DIVERGED:
            raise DivergenceError(self.state.epochs, self.state.steps, rate, J)
        if self._start is not None:
            self.net.params, self.state.vectors[...], self.state.steps = self._start
        self.problem.check(status)


def mapping(array: np.ndarray) -> mmap.mmap | None:
    """Return the memory map below an array if its pages may be dropped, else None.

    A copy-on-write map (mode "c") may hold changes that the file does not have.
    """
    base: Any = array
    shared = False
    while isinstance(base, np.ndarray):
        shared |= isinstance(base, np.memmap) and base.mode != "c"
        base = base.base
    known = isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED")  # POSIX
    return base if shared and known else None
