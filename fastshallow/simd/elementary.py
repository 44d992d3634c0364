"""exp, tanh, sigmoid, softplus, log and log1p as branch-free arithmetic, which LLVM vectorises.

Numba's own exp and tanh call the C library, one value at a time. The formulas:

- e^x = 2^k (1 + p), with x = k ln 2 + r, k an integer, abs(r) <= ln(2) / 2, and
  p = e^r - 1 = r + r^2 P(r);
- log x = k ln 2 + log(1 + t), with x = 2^k (1 + t), sqrt(1/2) <= 1 + t <= sqrt(2), and
  log(1 + t) = t - t^2 Q(t);
- tanh x from 2^k and p = tanh r, with x = k ln(2) / 2 + r and p = r (1 + r^2 T(r^2)): see `_tanh`.

ln 2 is split into two parts. The first has few bits, so that k times it is exact. The constants are
those of Cody and Waite, Software Manual for the Elementary Functions (1980), as in Cephes' exp.
P, Q and T are minimax polynomials. ``python tests/minimax.py`` computes their coefficients by the
exchange algorithm of Remez, and a test compares them with those below. Their errors:

=========  ============  ==================  ===========  ======================
name       coefficients  interval            function     error
=========  ============  ==================  ===========  ======================
EXP32      5             abs(r) <= ln(2)/2   e^r          2^-28.2
EXP64      10            the same            e^r          2^-58.0
LOG32      9             sqrt(1/2) - 1 ...   log(1 + t)   2^-27.8, relative to t
LOG64      20            sqrt(2) - 1         log(1 + t)   2^-56.8
LOG1P32    9             0 ... 1             log(1 + t)   2^-27.8
LOG1P64    20            the same            log(1 + t)   2^-56.8
TANH32     2             abs(r) <= ln(2)/4   tanh(r)      2^-24.1, relative
TANH64     6             the same            tanh(r)      2^-57.8, relative
=========  ============  ==================  ===========  ======================

LOG1P is a polynomial in t - 1/2, because powers of t are large near 1. Some sums are kept in two
parts, because their rounding would change the result. docs/elementary.md has the measured errors:
at most 2 units in the last place, 3 for tanh.

NaN gives NaN. All callers get the same bits, because every fused multiply-add is explicit and
fastmath is off.
"""

from __future__ import annotations

import numpy as np

from ..jit.argument_types import INTEGER, array
from ..jit.compile import jit
from ..jit.refusals import heard
from .intrinsics import by_dtype, copysign, fma, maximum, minimum, polynomial, power_of_two, split
from .vectors import VECTOR_BYTES

__all__ = [
    "exp",
    "exp_falling",
    "log",
    "log1p",
    "log_each",
    "log_sum_exp",
    "sigmoid",
    "sigmoid_log1p",
    "softplus",
    "tanh",
    "whole_power",
]

INF, NAN, LOG2E, ROOT2 = np.inf, np.nan, 1.4426950408889634, 1.4142135623730951

ln2_high = by_dtype(6.93359375e-1, 6.93145751953125e-1)
ln2_low = by_dtype(-2.12194440e-4, 1.42860682030941723212e-6)
half_ln2 = by_dtype(0.34657359027997264, 0.34657359027997264)

# Adding 1.5 * 2^23 (float64: 1.5 * 2^52) rounds to an integer k, which is in the last bits of the
# sum. The exponent's bias is added too, so that `power_of_two` only shifts these bits.
shift = by_dtype(12582912 + 127, 6755399441055744 + 1023)

# 2^k may be out of range although e^x is not. It is computed as 2^(k + lift) 2^-lift.
lift = by_dtype(64, 512)
up = by_dtype(2.0**64, 2.0**512)
down = by_dtype(2.0**-64, 2.0**-512)

# `_make_each` splits multiples of this many values into four streams. It does not with vectors of
# 64 bytes: for four streams LLVM uses vectors of 32 bytes.
STREAMS_LEAST = 64
STREAMED = VECTOR_BYTES < 64

# e^x is 0 below exp_least and infinite above exp_most. tanh rounds to 1 from tanh_one on. normal is
# the smallest normal number.
exp_least, exp_most = by_dtype(-104, -746), by_dtype(89, 710)
tanh_one = by_dtype(9.02, 19.07)
normal = by_dtype(2.0**-126, 2.0**-1022)

EXP32 = (
    0.5000000095100613,
    0.16666518901391705,
    0.04166620608736327,
    0.008368882044046122,
    0.001395047233395854,
)
EXP64 = (
    0.5000000000000012,
    0.166666666666667,
    0.041666666666515535,
    0.008333333333307238,
    0.0013888888946982565,
    0.00019841269917313147,
    2.4801489979733157e-05,
    2.7557216360492163e-06,
    2.763126600153941e-07,
    2.5117843236749957e-08,
)
LOG32 = (
    0.4999998915839608,
    -0.3333330828850565,
    0.25001521980199437,
    -0.20003015810879302,
    0.16611151815313327,
    -0.14163465878360315,
    0.13208781681283552,
    -0.1300484834190261,
    0.07823428893423225,
)
LOG64 = (
    0.5000000000000004,
    -0.3333333333333318,
    0.24999999999972783,
    -0.20000000000034882,
    0.16666666671617122,
    -0.14285714285427895,
    0.12499999591959318,
    -0.11111110770129143,
    0.10000018107973595,
    -0.09090937811352384,
    0.08332870107511373,
    -0.07691243691576483,
    0.07149668114984052,
    -0.06687883879693172,
    0.06198655659187129,
    -0.05649322450780797,
    0.05646207747316428,
    -0.06536967338777902,
    0.06098643463309357,
    -0.026924752743278036,
)
LOG1P32 = (
    0.3781395595056047,
    -0.1792248585638296,
    0.09323178549809784,
    -0.05109037727137783,
    0.02890800535932393,
    -0.016642291920285702,
    0.010145570384144025,
    -0.006975261213721192,
    0.0034138380304098628,
)
LOG1P64 = (
    0.37813956756734246,
    -0.17922493693603717,
    0.09323036636367132,
    -0.051083446105405765,
    0.028943183164124062,
    -0.016788742490620977,
    0.009909900781177998,
    -0.005929011591777734,
    0.003585664433172753,
    -0.0021876468502307223,
    0.001344535710786884,
    -0.0008313525986910428,
    0.0005165039541173895,
    -0.0003233923473782525,
    0.00020503669280103783,
    -0.00012577675778642977,
    7.070993482880713e-05,
    -5.196336543293299e-05,
    5.150111633271961e-05,
    -2.6102705808096147e-05,
)

TANH32 = (
    -0.3333127724226404,
    0.13110842897823788,
)
TANH64 = (
    -0.3333333333333249,
    0.13333333332785727,
    -0.0539682527851464,
    0.021869370930851784,
    -0.008857315536434731,
    0.0034449165253622412,
)

exp_tail, log_tail, log1p_tail, tanh_tail = (
    polynomial(EXP32, EXP64),
    polynomial(LOG32, LOG64),
    polynomial(LOG1P32, LOG1P64),
    polynomial(TANH32, TANH64),
)


@jit(internal=True)
def _exp_parts(x, shift):
    """Return t = k + shift, which has k in its last bits, and p of e^x = 2^k (1 + p)."""
    t = fma(x, type(x)(LOG2E), shift)
    k = t - shift
    r = fma(-k, ln2_low(x), fma(-k, ln2_high(x), x))
    return t, fma(r * r, exp_tail(r), r)


@jit
def exp(x):
    """Return e^x; 0 or inf beyond the dtype's range."""
    x = maximum(minimum(x, exp_most(x)), exp_least(x))
    t, p = _exp_parts(x, shift(x))
    lifted = copysign(lift(x), x)
    scale = power_of_two(t - lifted)
    return fma(scale, p, scale) * power_of_two(shift(x) + lifted)


@jit(internal=True)
def _falling_parts(x):
    """Return s = 2^k and p of e^x = s (1 + p), x <= 0."""
    t, p = _exp_parts(exp_least(x) if x < exp_least(x) else x, shift(x) + lift(x))
    return power_of_two(t) * down(x), p


@jit
def exp_falling(x):
    """Return e^x for x <= 0, with 3/4 of the operations of `exp`; the result is wrong for x > 0.

    The bits are those of `exp` if the result is a normal number. A subnormal result differs from
    it by at most one unit in the last place.
    """
    s, p = _falling_parts(x)
    return fma(s, p, s)


@jit(internal=True)
def _sigmoid(x, s, p):
    """Return 1 / (1 + e), or e / (1 + e) if x < 0, from e = s (1 + p) = exp(-abs(x))."""
    one = type(x)(1)
    d = fma(s, p, one + s)
    a = one / d
    rest = fma(-a, d, one)  # 1 / d = a (1 + rest)
    # a s is exact, because s is a power of two
    a, rest = (a * s, p + rest) if x < 0 else (a, rest)
    return fma(a, rest, a)


@jit(internal=True)
def _log1p_exp(s, p):
    """Return log(1 + e) of e = s (1 + p) <= 1 as two parts: e and the rest."""
    e = fma(s, p, s)
    return e, fma(-e * e, log1p_tail(e - type(e)(0.5)), fma(s, p, s - e))


@jit(internal=True)
def _sigmoid_parts(x):
    """Return x, and s and p of exp(-abs(x)) = s (1 + p)."""
    s, p = _falling_parts(-abs(x))
    return x, s, p


@jit
def sigmoid(x):
    """Return 1 / (1 + exp(-x))."""
    return _sigmoid(*_sigmoid_parts(x))


@jit
def sigmoid_log1p(x):
    """Return sigmoid(x) and log(1 + exp(-abs(x))), from one exponential."""
    s, p = _falling_parts(-abs(x))
    e, rest = _log1p_exp(s, p)
    return _sigmoid(x, s, p), e + rest


@jit
def softplus(x):
    """Return log(1 + exp(x)) = max(x, 0) + log(1 + exp(-abs(x)))."""
    e, rest = _log1p_exp(*_falling_parts(-abs(x)))
    y = e + rest
    return ((type(x)(0) if x < 0 else x) + ((e - y) + rest)) + y


@jit(internal=True)
def _tanh_parts(x):
    """Return t = k + shift, which has k in its last bits, and r of x = k ln(2) / 2 + r."""
    most = tanh_one(x)
    # LLVM makes slower code of two conditional expressions
    v = maximum(minimum(x, most), -most)
    # ln 2 is not split: for large k, tanh hardly depends on r
    t = fma(v, type(x)(2 * LOG2E), shift(x))
    return t, fma(-(t - shift(x)), half_ln2(x), v)


@jit(internal=True)
def _tanh(t, r):
    """Return (p b - a) / (b - p a), with a = 1 - 2^k, b = 1 + 2^k, p = tanh(r)."""
    one, s, power = type(r)(1), r * r, power_of_two(t)
    p = r * fma(s, tanh_tail(s), one)  # r + r^3 T would lose the sign of -0
    a, b = one - power, one + power
    return fma(p, b, -a) / fma(-p, a, b)


@jit
def tanh(x):
    """Return tanh(x)."""
    return _tanh(*_tanh_parts(x))


def _make_each(parts, join):
    """Return a function that replaces each value x of an array by join(*parts(x)).

    If `STREAMED`, the loop takes one value from each quarter of the array, so that independent
    operations hide each other's latency.
    """

    @jit(internal=True)
    def each(z):
        n = z.size // STREAMS_LEAST * (STREAMS_LEAST // 4) if STREAMED else 0
        a, b, c, d = z[:n], z[n : 2 * n], z[2 * n : 3 * n], z[3 * n : 4 * n]
        for p in range(a.size):
            a_p, b_p, c_p, d_p = parts(a[p]), parts(b[p]), parts(c[p]), parts(d[p])
            a[p], b[p], c[p], d[p] = join(*a_p), join(*b_p), join(*c_p), join(*d_p)
        rest = z[4 * n :]
        for p in range(rest.size):
            rest[p] = join(*parts(rest[p]))

    return each


sigmoid_each, tanh_each = _make_each(_sigmoid_parts, _sigmoid), _make_each(_tanh_parts, _tanh)


@jit(internal=True)
def _reduce(x):
    """Return t and k of a positive normal x = 2^k (1 + t), with sqrt(1/2) <= 1 + t <= sqrt(2)."""
    one = type(x)(1)
    m, k = split(x)
    large = m > type(x)(ROOT2)
    return (fma(m, type(x)(0.5), -one) if large else m - one), (k + one if large else k)


@jit(internal=True)
def _log(k, t, rest):
    """Return k ln 2 + log(1 + t + rest), with abs(rest) much smaller than abs(t)."""
    y = t + fma(-t * t, log_tail(t), fma(k, ln2_low(t), rest))
    return fma(k, ln2_high(t), y)


@jit
def log(x):
    """Return log(x): -inf at 0, NaN below."""
    small = x < normal(x)
    t, k = _reduce(x * up(x) if small else x)
    y = _log(k - lift(x) if small else k, t, type(x)(0))
    y = y if x < INF else x
    return y if x > 0 else type(x)(-INF if x == 0 else NAN)


@jit(takes={"values": array(1, written=True)})
def log_each(values):
    """Replace each value of an array by its logarithm: -inf at 0, NaN below.

    Parameters
    ----------
    values : ndarray, 1-D
        Modified in place.

    Examples
    --------
    >>> import numpy as np
    >>> from fastshallow.simd.elementary import log_each
    >>> values = np.array([1.0, np.e])
    >>> log_each(values)
    >>> values.tolist()
    [0.0, 1.0]
    """
    for p in range(values.size):
        values[p] = log(values[p])


@jit
def log1p(x):
    """Return log(1 + x): -inf at -1, NaN below."""
    one = type(x)(1)
    u = one + x
    v = u - one
    rest = (one - (u - v)) + (x - v)  # the rounding error of u: Knuth's TwoSum
    t, k = _reduce(u)
    rest *= power_of_two(shift(x) - (lift(x) if k > lift(x) else k))
    sum_ = t + rest
    y = copysign(_log(k, sum_, (t - sum_) + rest), x)
    y = y if x < INF else x
    return y if x > -one else type(x)(-INF if x == -one else NAN)


@jit(internal=True)
def whole_power(x, n):
    """Return x^n of an integer n >= 0 by repeated squaring.

    It multiplies only. The bits of the C library's power depend on the library.
    """
    power = 1.0
    while n > 0:
        if n % 2 == 1:
            power *= x
        x *= x
        n //= 2
    return power


@jit(allocates=True, takes={"z": array(1, any_order=True), "start": INTEGER, "n": INTEGER})
def log_sum_exp(z, start, n):
    """Return log(sum exp(z_j)) of the n >= 1 values z[start], ..., z[start + n - 1].

    Parameters
    ----------
    z : ndarray, 1-D
        Values.
    start, n : int
        Index of the first value, and number of values.

    Notes
    -----
    The largest value is subtracted first, so nothing overflows. If the largest value is -inf or
    inf, it is the result. NaN gives NaN.

    Raises
    ------
    ValueError
        If n < 1, or the range is not within z. In a ``prange`` the result is NaN instead, because
        Numba loses exceptions there.

    Examples
    --------
    >>> import numpy as np
    >>> from fastshallow.simd.elementary import log_sum_exp
    >>> round(log_sum_exp(np.array([1000.0, 1000.0]), 0, 2), 6)  # 1000 + log 2
    1000.693147
    """
    if n < 1 or start < 0 or start + n > z.size:
        if heard():
            raise ValueError("n: expected 1 or more, and as many values of z from start on")
        return z.dtype.type(NAN)
    values = z[start : start + n].copy()
    top = _halved(values, True)
    if not abs(top) < INF:
        return top
    for j in range(n):
        values[j] = exp_falling(z[start + j] - top)
    return top + log(_halved(values, False))


@jit(internal=True)
def _halved(values, largest):
    """Return the maximum or the sum of ``values``, which is modified in place.

    Each round adds the right half to the left half: LLVM vectorises this loop, but not a chain of
    sums. The order of the sums depends on the number of values only.
    """
    size = values.size
    while size > 1:
        half = (size + 1) // 2
        left, right = values[:half], values[half:size]
        if largest:
            for j in range(right.size):
                left[j] = maximum(left[j], right[j])  # NaN stays NaN
        else:
            for j in range(right.size):
                left[j] += right[j]
        size = half
    return values[0]
