"""exp, tanh, sigmoid, softplus: branch-free arithmetic that LLVM turns into vector code.

Numba's own exp and tanh call the C library, one value at a time. Here x is reduced to
``x = k ln 2 + r`` with whole k and abs(r) <= ln(2) / 2, and exp(r) - 1 is its Taylor polynomial:

=========  ======  ==============================================================
dtype      degree  first term left out, relative to exp(r)
=========  ======  ==============================================================
float32    7       r^8 / 8!   < 5.2e-9,  with half an ulp at 6.0e-8
float64    13      r^14 / 14! < 4.2e-18, with half an ulp at 1.1e-16
=========  ======  ==============================================================

ln 2 is split in two, the first part short enough for k times it to be exact: the constants of
Cody and Waite, Software Manual for the Elementary Functions (1980), as in Cephes' exp.

NaN gives NaN. Every fused multiply-add is written out and nothing is compiled with fastmath: the
same bits whatever calls these functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import config, types
from numba.extending import overload

from ._jit import jit
from .simd import copysign, fma, power_of_two, split

__all__ = ["exp", "log", "log1p", "sigmoid", "sigmoid_log1p", "softplus", "tanh"]

f, d = np.float32, np.float64

# Adding 1.5 * 2^23 (float64: 2^52) rounds to a whole number, which then stands in the sum's last
# bits. With the exponent's bias added to it too, `power_of_two` has only to shift them.
SHIFT32, SHIFT64 = f(12582912 + 127), d(6755399441055744 + 1023)
LOG2E32, LOG2E64 = f(1.4426950408889634), d(1.4426950408889634)
LN2_HIGH32, LN2_LOW32 = f(6.93359375e-1), f(-2.12194440e-4)
LN2_HIGH64, LN2_LOW64 = d(6.93145751953125e-1), d(1.42860682030941723212e-6)

# From here on exp is 0, or infinite; from here on tanh rounds to 1.
EXP_LEAST32, EXP_MOST32, TANH_ONE32 = f(-104), f(89), f(9.02)
EXP_LEAST64, EXP_MOST64, TANH_ONE64 = d(-746), d(710), d(19.07)

# 1 / n! from n = 2 on
T2, T3, T4, T5, T6, T7 = (f(1 / n) for n in (2, 6, 24, 120, 720, 5040))
D2, D3, D4, D5, D6, D7, D8, D9, D10, D11, D12, D13 = (
    d(1 / n)
    for n in (2, 6, 24, 120, 720, 5040, 40320, 362880, 3628800, 39916800, 479001600, 6227020800)
)


def by_dtype(single, double) -> Any:
    """Return the function that is ``single`` for float32 and ``double`` for all else."""
    if config.DISABLE_JIT:
        return lambda x: single(x) if isinstance(x, np.float32) else double(x)

    def chosen(x):
        raise NotImplementedError  # the overload below is what compiled code calls

    @overload(chosen)
    def choose(x):
        def of_float32(x):
            return single(x)

        def of_float64(x):
            return double(x)

        return of_float32 if x == types.float32 else of_float64

    return chosen


@jit(internal=True)
def _exp_parts32(x):
    t = fma(x, LOG2E32, SHIFT32)
    k = t - SHIFT32
    r = fma(-k, LN2_LOW32, fma(-k, LN2_HIGH32, x))
    p = fma(fma(fma(fma(fma(T7, r, T6), r, T5), r, T4), r, T3), r, T2)
    return k, t, fma(r * r, p, r)


@jit(internal=True)
def _exp_parts64(x):
    t = fma(x, LOG2E64, SHIFT64)
    k = t - SHIFT64
    r = fma(-k, LN2_LOW64, fma(-k, LN2_HIGH64, x))
    p = fma(fma(fma(fma(fma(fma(D13, r, D12), r, D11), r, D10), r, D9), r, D8), r, D7)
    p = fma(fma(fma(fma(fma(p, r, D6), r, D5), r, D4), r, D3), r, D2)
    return k, t, fma(r * r, p, r)


@jit(internal=True)
def _halves32(k):
    t = fma(k, f(0.5), SHIFT32)
    return t, (k - (t - SHIFT32)) + SHIFT32


@jit(internal=True)
def _halves64(k):
    t = fma(k, d(0.5), SHIFT64)
    return t, (k - (t - SHIFT64)) + SHIFT64


@jit(internal=True)
def _exp_clip32(x):
    x = EXP_MOST32 if x > EXP_MOST32 else x
    return EXP_LEAST32 if x < EXP_LEAST32 else x


@jit(internal=True)
def _exp_clip64(x):
    x = EXP_MOST64 if x > EXP_MOST64 else x
    return EXP_LEAST64 if x < EXP_LEAST64 else x


@jit(internal=True)
def _tanh_clip32(x):
    return TANH_ONE32 if x > TANH_ONE32 else x


@jit(internal=True)
def _tanh_clip64(x):
    return TANH_ONE64 if x > TANH_ONE64 else x


# log(1 + e) for 0 <= e <= 1 is 2 atanh(s), s = e / (2 + e) <= 1/3, by its series
# 2 s (1 + q / 3 + q^2 / 5 + ...), q = s^2 <= 1/9; what is left out is below q^8 / 17 = 1.4e-9
# (float32) and q^17 / 35 = 1.7e-18 (float64).
@jit(internal=True)
def _log1p32(e):
    s = e / (f(2) + e)
    q = s * s
    p = fma(fma(fma(f(1 / 15), q, f(1 / 13)), q, f(1 / 11)), q, f(1 / 9))
    p = fma(fma(fma(p, q, f(1 / 7)), q, f(1 / 5)), q, f(1 / 3))
    return fma(f(2) * s, q * p, f(2) * s)


@jit(internal=True)
def _log1p64(e):
    s = e / (d(2) + e)
    q = s * s
    p = fma(fma(fma(d(1 / 33), q, d(1 / 31)), q, d(1 / 29)), q, d(1 / 27))
    p = fma(fma(fma(fma(p, q, d(1 / 25)), q, d(1 / 23)), q, d(1 / 21)), q, d(1 / 19))
    p = fma(fma(fma(fma(p, q, d(1 / 17)), q, d(1 / 15)), q, d(1 / 13)), q, d(1 / 11))
    p = fma(fma(fma(fma(p, q, d(1 / 9)), q, d(1 / 7)), q, d(1 / 5)), q, d(1 / 3))
    return fma(d(2) * s, q * p, d(2) * s)


# log m = 2 atanh(s), s = (m - 1) / (m + 1), likewise; for sqrt(1/2) < m < sqrt(2) q is below 0.0295
# and what is left out below q^5 / 11 = 2.0e-9 (float32) and q^11 / 23 = 6e-19 (float64).
@jit(internal=True)
def _log_series32(s):
    q = s * s
    p = fma(fma(fma(f(1 / 9), q, f(1 / 7)), q, f(1 / 5)), q, f(1 / 3))
    return fma(f(2) * s, q * p, f(2) * s)


@jit(internal=True)
def _log_series64(s):
    q = s * s
    p = fma(fma(fma(d(1 / 21), q, d(1 / 19)), q, d(1 / 17)), q, d(1 / 15))
    p = fma(fma(fma(p, q, d(1 / 13)), q, d(1 / 11)), q, d(1 / 9))
    p = fma(fma(fma(p, q, d(1 / 7)), q, d(1 / 5)), q, d(1 / 3))
    return fma(d(2) * s, q * p, d(2) * s)


@jit(internal=True)
def _ln2_parts32(e):
    return e * LN2_HIGH32, e * LN2_LOW32


@jit(internal=True)
def _ln2_parts64(e):
    return e * LN2_HIGH64, e * LN2_LOW64


_exp_parts = by_dtype(_exp_parts32, _exp_parts64)
_halves = by_dtype(_halves32, _halves64)
_exp_clip = by_dtype(_exp_clip32, _exp_clip64)
_tanh_clip = by_dtype(_tanh_clip32, _tanh_clip64)
_log1p = by_dtype(_log1p32, _log1p64)
_log_series = by_dtype(_log_series32, _log_series64)
_ln2 = by_dtype(_ln2_parts32, _ln2_parts64)


@jit
def exp(x):
    """Return e^x = 2^k (1 + (exp(r) - 1)); 0 or inf beyond the dtype's range."""
    k, _, expm1 = _exp_parts(_exp_clip(x))
    # 2^k in two factors, as it may lie beyond the normal numbers while e^x does not
    low, high = _halves(k)
    scale = power_of_two(low)
    return fma(scale, expm1, scale) * power_of_two(high)


@jit
def tanh(x):
    """Return tanh(x) = t / (t + 2) with t = exp(2 abs(x)) - 1, and the sign of x."""
    one = type(x)(1)
    _, t, expm1 = _exp_parts(type(x)(2) * _tanh_clip(abs(x)))
    scale = power_of_two(t)
    t = fma(scale, expm1, scale - one)
    t = t / (t + type(x)(2))
    return copysign(t, x)


@jit
def sigmoid(x):
    """Return 1 / (1 + exp(-x))."""
    return sigmoid_log1p(x)[0]


@jit
def log1p(e):
    """Return log(1 + e) for 0 <= e <= 1."""
    return _log1p(e)


@jit
def log(x):
    """Return log(x) = log(m) + e ln 2 of a positive normal x = m 2^e; NaN gives NaN."""
    one = type(x)(1)
    m, e = split(x)
    large = m > type(x)(1.4142135623730951)
    m, e = (type(x)(0.5) * m if large else m), (e + one if large else e)
    high, low = _ln2(e)
    y = high + (low + _log_series((m - one) / (m + one)))
    return y if x == x else x  # noqa: PLR0124


@jit
def softplus(x):
    """Return log(1 + exp(x)) = max(x, 0) + log(1 + exp(-abs(x)))."""
    return (type(x)(0) if x < 0 else x) + sigmoid_log1p(x)[1]


@jit
def sigmoid_log1p(x):
    """Return sigmoid(x) and log(1 + exp(-abs(x))), from one e = exp(-abs(x)).

    sigmoid(x) is 1 / (1 + e), or e / (1 + e) where x < 0.
    """
    one = type(x)(1)
    e = exp(-abs(x))
    return (e if x < 0 else one) / (one + e), log1p(e)
