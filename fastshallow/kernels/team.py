"""A team of threads that shares out many short steps without entering a parallel region for each.

Entering and leaving a parallel region takes some microseconds, as long as a short step. A team
comes together once for many steps. Its leader is the thread that takes the steps; it begins each
step. Leader and helpers claim the shares of the step one by one, and add up their results in
pairs. The thread that comes to a pair second adds it, so that the order of a sum does not depend
on the threads. The leader waits for claimed shares and adds the last pair.

The leader never waits for a thread that has claimed nothing. If helpers are late, it does all
shares itself: no order of threads blocks a step. If the system stops a thread within a share, the
leader waits for it, as at the end of a parallel region. Code between `claim` and `finish` must not
raise, or the leader would wait for ever.

The team's state is an array of 64-bit numbers on cache lines of their own. Steps count from 1.

==============  ==================================================================
`BEGUN`         the last step that was begun
`CLOSED`        1 when there are no more steps
`MEMBERS`       threads of the team, its leader included
`NEWS`          what is known of the examples: see `fastshallow.kernels.blocks.Part`
from `SHARES`   for every share two numbers: the last step in which it was claimed,
                and the last step in which one side of the pair of this number was
                ready. Pairs are a binary heap: pair 1 is the sum of all. There is
                no pair 0: its number is the last step that was finished.
==============  ==================================================================
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..jit.compile import jit
from ..simd.intrinsics import address

__all__ = [
    "NO_MORE",
    "begin",
    "claim",
    "close",
    "finish",
    "first_share",
    "meet",
    "new_team",
    "wait_for_shares",
    "wait_for_step",
]

# Values from one number to the next: two cache lines, as processors fetch lines in pairs.
LINE = 16
BEGUN, CLOSED, MEMBERS, NEWS, SHARES = (LINE * i for i in range(5))

# Looks of a helper for a new step before it returns to Python: 0.2 ms on Zen 3.
LOOKS = 10_000

# Looks of the leader before it sleeps between them. Its processor then goes to a helper whose own
# processor another program has taken.
LOOKS_AWAKE = 5_000

# Microseconds of such a sleep.
SLEEP = 20

# There are no more steps, or shares of one.
NO_MORE = np.int64(-1)


def new_team(shares: int, members: int) -> np.ndarray:
    """Return the state of a team of so many members, whose steps have 1, 2, 4, ... shares."""
    team = np.zeros(SHARES + 2 * LINE * shares, np.int64)
    team[MEMBERS] = members
    return team


def close(team: np.ndarray) -> None:
    """Send the helpers home."""
    team[CLOSED] = 1


@jit(internal=True)
def share_count(team):
    """Return how many shares a step of the team has."""
    return (team.size - SHARES) // (2 * LINE)


# Single operations on memory that threads share ----------------------------------------------


def _pointer(builder, at):
    return builder.inttoptr(at, ir.IntType(64).as_pointer())


@intrinsic
def _load(typingctx, at):
    """Read a number. All that its writer wrote before it is then visible here."""

    def codegen(context, builder, signature, arguments):
        return builder.load_atomic(_pointer(builder, arguments[0]), "acquire", 8)

    return types.int64(types.intp), codegen


@intrinsic
def _store(typingctx, at, value):
    """Write a number. All that this thread wrote before is visible to who reads it."""

    def codegen(context, builder, signature, arguments):
        builder.store_atomic(arguments[1], _pointer(builder, arguments[0]), "release", 8)
        return context.get_dummy_value()

    return types.void(types.intp, types.int64), codegen


@intrinsic
def _replace(typingctx, at, old, new):
    """Write a number in place of another, if that is there; return whether it was."""

    def codegen(context, builder, signature, arguments):
        at, old, new = arguments
        found = builder.cmpxchg(_pointer(builder, at), old, new, "acq_rel", "acquire")
        return builder.extract_value(found, 1)

    return types.boolean(types.intp, types.int64, types.int64), codegen


@intrinsic
def _pause(typingctx):
    """Tell an x86 processor that this is a loop that waits."""

    def codegen(context, builder, signature, arguments):
        if builder.module.triple.startswith(("x86_64", "i686")):
            function = ir.FunctionType(ir.VoidType(), [])
            name = "llvm.x86.sse2.pause"
            builder.call(cgutils.get_or_insert_function(builder.module, function, name), [])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def _sleep(typingctx):
    """Leave the processor for some microseconds, where the system is one of Unix."""

    def codegen(context, builder, signature, arguments):
        if "windows" not in builder.module.triple:
            number = ir.IntType(32)
            function = ir.FunctionType(number, [number])
            sleep = cgutils.get_or_insert_function(builder.module, function, "usleep")
            builder.call(sleep, [ir.Constant(number, SLEEP)])
        return context.get_dummy_value()

    return types.void(), codegen


# One step ------------------------------------------------------------------------------------


@jit(internal=True)
def begin(team, news):
    """Begin a step; return its number, from 1. All that its shares read must be in memory."""
    step = team[BEGUN] + 1
    team[NEWS] = news
    _store(address(team, BEGUN), step)
    return step


@jit(internal=True)
def first_share(team, member):
    """Return where a member begins to look for shares.

    Members begin far from each other, so that each finds the shares that it did in the step before:
    their memory is in its cache.
    """
    return member * share_count(team) // team[MEMBERS]


@jit(internal=True)
def claim(team, first, step):
    """Return a share that the caller may do, from ``first`` on in a circle, or `NO_MORE`."""
    shares = share_count(team)
    for i in range(shares):
        share = (first + i) % shares
        at = address(team, SHARES + 2 * LINE * share)
        # a look first: a failed exchange would take the line from its writer
        if _load(at) == step - 1 and _replace(at, step - 1, step):
            return np.int64(share)
    return NO_MORE


@jit(internal=True)
def meet(team, pair, step):
    """Note that one side of a pair of sums is ready; return whether the other side is, too."""
    return not _replace(address(team, SHARES + 2 * LINE * pair + LINE), step - 1, step)


@jit(internal=True)
def finish(team, step):
    """Note that all shares of a step are done, and all pairs but the last are added."""
    _store(address(team, SHARES + LINE), step)


@jit(internal=True)
def wait_for_shares(team, step):
    """Wait until all shares of a step are done, when none is left to claim."""
    at, looks = address(team, SHARES + LINE), 0
    while _load(at) != step:
        if looks < LOOKS_AWAKE:
            looks += 1
            _pause()
        else:
            _sleep()


@jit(internal=True)
def wait_for_step(team, last):
    """Return the number of a step after ``last``, `NO_MORE`, or, if none comes for a while, 0."""
    for _ in range(LOOKS):
        if _load(address(team, CLOSED)):
            return NO_MORE
        step = _load(address(team, BEGUN))
        if step > last:
            return step
        _pause()
    return np.int64(0)
