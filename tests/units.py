"""Errors of the functions of `fastshallow.simd.elementary`, in units in the last place.

    python tests/units.py [--name NAME ...] [--n N]

prints the table of docs/elementary.md: float32 over every finite number (about 90 s a function),
float64 over N numbers against NumPy's longest arithmetic and some against mpmath.
"""

from __future__ import annotations

import argparse

import mpmath as mp
import numba
import numpy as np

from fastshallow.simd import elementary

NAMES = ("exp", "tanh", "sigmoid", "softplus", "log", "log1p")
LONG = np.finfo(np.longdouble).nmant > np.finfo(np.float64).nmant


@numba.njit(cache=True)
def values_of(code, x):
    """Return one of the functions, by its place in `NAMES`, of every value."""
    out = np.empty_like(x)
    for i in range(x.size):
        v = x[i]
        if code == 0:
            out[i] = elementary.exp(v)
        elif code == 1:
            out[i] = elementary.tanh(v)
        elif code == 2:
            out[i] = elementary.sigmoid(v)
        elif code == 3:
            out[i] = elementary.softplus(v)
        elif code == 4:
            out[i] = elementary.log(v)
        else:
            out[i] = elementary.log1p(v)
    return out


def compute(name, x):
    """Return a function of `NAMES` of every value of an array."""
    return values_of(NAMES.index(name), x)


def exact(name, x, dtype=np.longdouble):
    """Return the function in NumPy's arithmetic of a longer dtype."""
    x = x.astype(dtype)
    with np.errstate(all="ignore"):
        e = np.exp(-np.abs(x)) if name in ("sigmoid", "softplus") else None
        if name == "sigmoid":
            return np.where(x < 0, e, dtype(1)) / (1 + e)
        if name == "softplus":
            return np.maximum(x, 0) + np.log1p(e)
        return getattr(np, name)(x)


def exact_mpmath(name, x):
    """Return the same with 40 digits: a float64 nearest to each value, and one to what is left."""
    functions = {
        "sigmoid": lambda v: 1 / (1 + mp.exp(-v)),
        "softplus": lambda v: mp.log1p(mp.exp(v)),
    }
    function = functions.get(name) or getattr(mp, name)
    with mp.workdps(40):
        pairs = [(float(y), float(y - float(y))) for y in (function(mp.mpf(float(v))) for v in x)]
    return np.array(pairs).T


def sample(name, dtype, n):
    """Return about n arguments, of every size for which the function is neither flat nor inf."""
    rng, limits = np.random.default_rng(0), np.finfo(dtype)
    tiny = -limits.minexp + limits.nmant
    if name in ("log", "log1p"):
        # subnormal ones among them, and many near where log is 0
        x = 2.0 ** rng.uniform(-tiny, limits.maxexp, n // 2).clip(-1074, 1023.9)
        x = np.concatenate([x, rng.uniform(0.5, 2, n // 2)]).astype(dtype)
        if name == "log":
            return x
        small = 2.0 ** -rng.uniform(0, tiny, n // 2)
        return np.concatenate([x, -small[small < 1], rng.uniform(-1, 1, n // 2)]).astype(dtype)
    largest = float(np.log(limits.max))
    x = [rng.uniform(-1.2, 1.2, n // 4) * largest, rng.standard_normal(n // 4)]
    x += [rng.uniform(-20, 20, n // 4), 2.0 ** -rng.uniform(0, tiny, n // 4)]
    x[-1] *= rng.choice([-1, 1], n // 4)
    return np.concatenate(x).astype(dtype)


def errors(x, got, high, low=0.0):
    """Return the errors against high + low, in units in the last place of high.

    Where the dtype holds no number as large, infinity is right, and so is the largest number; an
    infinite or NaN result that is wrong errs by infinitely many units.
    """
    limits = np.finfo(x.dtype)
    size = np.abs(high)
    with np.errstate(all="ignore"):
        wide = np.result_type(high, got)
        spacing = np.spacing(np.minimum(size, limits.max).astype(x.dtype))
        error = np.abs((got.astype(wide) - high) - low) / spacing.astype(wide)
        same = (np.isnan(got) & np.isnan(high)) | (got == high)
        overflown = (size >= limits.max * (1 - 2 * limits.eps)) & np.isinf(got)
        right = same | (overflown & (np.signbit(got) == np.signbit(high)))
    return np.where(right, 0, np.where(np.isfinite(error), error, np.inf))


def largest_error_float32(name, chunk=1 << 22):
    """Return the largest error over all finite float32 numbers, and where it is."""
    worst, where = 0.0, np.float32(0)
    for first in range(0, 1 << 32, chunk):
        x = np.arange(first, first + chunk, dtype=np.uint32).view(np.float32)
        x = x[np.isfinite(x)]
        if x.size == 0:
            continue
        error = errors(x, compute(name, x), exact(name, x, np.float64))
        at = int(error.argmax())
        if error[at] > worst:
            worst, where = float(error[at]), x[at]
    return worst, where


def largest_error_float64(name, n):
    """Return the largest error over n numbers, and over some of them against mpmath."""
    x = sample(name, np.float64, n)
    long = errors(x, compute(name, x), exact(name, x)).max() if LONG else np.nan
    x = x[:: max(1, x.size // 20_000)]
    return float(long), float(errors(x, compute(name, x), *exact_mpmath(name, x)).max())


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--name", nargs="*", choices=NAMES, default=NAMES)
    parser.add_argument("--n", type=int, default=4_000_000)
    options = parser.parse_args()
    print(
        "| function | float32 | at | float64 | float64, mpmath |\n| --- | --- | --- | --- | --- |"
    )
    for name in options.name:
        worst, where = largest_error_float32(name)
        long, precise = largest_error_float64(name, options.n)
        print(f"| {name} | {worst:.2f} | {where:.9g} | {long:.2f} | {precise:.2f} |", flush=True)


if __name__ == "__main__":
    main()
