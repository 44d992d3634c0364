"""exp, log and their kin, against arithmetic of more digits: at most 2 units in the last place."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import cases
import minimax
import mpmath as mp
import numba
import numpy as np
import pytest
import units
from scipy.special import logsumexp
from units import NAMES, compute, errors, exact, exact_mpmath, sample

from fastshallow.jit.compile import in_python
from fastshallow.simd import elementary

MOST_ULP = dict.fromkeys(NAMES, 2.0) | {"tanh": 3.0}


def assert_close_in_units(name, x, got, high, low=0.0):
    """Compare with exact values."""
    error = errors(x, got, high, low)
    worst = int(np.argmax(error))
    assert error[worst] <= MOST_ULP[name], f"{name}({x[worst]!r}): {error[worst]} ulp"


@pytest.mark.parametrize("name", NAMES)
def test_float32(name):
    x = sample(name, np.float32, 200_000)
    assert_close_in_units(name, x, compute(name, x), exact(name, x, np.float64))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_finite_float32(name):
    error, where = units.largest_error_float32(name)
    assert error <= MOST_ULP[name], f"{name}({where!r}): {error} ulp"


@pytest.mark.parametrize("name", NAMES)
def test_float64(name):
    if not units.LONG:
        pytest.skip("NumPy has no arithmetic longer than float64 on this system")
    x = sample(name, np.float64, 200_000)
    assert_close_in_units(name, x, compute(name, x), exact(name, x))


@pytest.mark.parametrize("name", NAMES)
def test_float64_against_40_digits(name):
    x = sample(name, np.float64, 4_000)
    assert_close_in_units(name, x, compute(name, x), *exact_mpmath(name, x))


def test_errors_are_seen():
    # the measure itself: one unit off is one unit, wrong infinities and NaN are infinitely many
    x = np.array([1, 1, 1, 1, 200, 200, np.nan], np.float32)
    true = np.array([1, 1, 1, np.inf, 1e39, 1e39, np.nan])
    got = np.array([1, 1 + 2**-23, np.nan, 1, np.inf, -np.inf, np.nan], np.float32)
    assert errors(x, got, true).tolist() == [0, 1, np.inf, np.inf, 0, np.inf, 0]


INF, NAN, LOG_2 = np.inf, np.nan, np.log(2)

# Values at 0, -0, infinity, -infinity, and -1 where it ends the domain.
SPECIAL = {
    "exp": ([0, -0.0, INF, -INF], [1, 1, INF, 0]),
    "tanh": ([0, -0.0, INF, -INF], [0, -0.0, 1, -1]),
    "sigmoid": ([0, -0.0, INF, -INF], [0.5, 0.5, 1, 0]),
    "softplus": ([0, -0.0, INF, -INF], [LOG_2, LOG_2, INF, 0]),
    "log": ([0, -0.0, INF, -INF, 1, -1e-45], [-INF, -INF, INF, NAN, 0, NAN]),
    "log1p": ([0, -0.0, INF, -INF, -1, -1.0000002], [0, -0.0, INF, NAN, -INF, NAN]),
}


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_special_values(name, dtype):
    x, wanted = (np.array(values, dtype) for values in SPECIAL[name])
    got = compute(name, x)
    assert np.array_equal(got, wanted, equal_nan=True)
    assert np.signbit(got[~np.isnan(got)]).tolist() == np.signbit(wanted[~np.isnan(got)]).tolist()


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_nan_goes_through(name, dtype):
    x = np.array([1, np.nan, 0.5, -np.nan], dtype)
    assert np.isnan(compute(name, x)).tolist() == [False, True, False, True]


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_subnormal_arguments_and_results(dtype):
    limits = np.finfo(dtype)
    x = limits.smallest_subnormal * np.array([1, -1, 2, -3, 1000, -1000], dtype)
    for name in NAMES:
        kept = x[x > 0] if name == "log" else x
        assert_close_in_units(name, kept, compute(name, kept), *exact_mpmath(name, kept))
    assert np.array_equal(compute("tanh", x), x)
    assert np.array_equal(compute("log1p", x), x)
    least = float(np.log(limits.tiny))
    x = np.linspace(least - 40, least + 1, 1001).astype(dtype)
    for name in ("exp", "sigmoid", "softplus"):
        got = compute(name, x)
        assert_close_in_units(name, x, got, *exact_mpmath(name, x))
        assert got[0] == 0
        assert (got[x > least - 1] > 0).all()


@numba.njit
def falling_of(x):
    """Return exp_falling of every value of an array."""
    out = np.empty_like(x)
    for i in range(x.size):
        out[i] = elementary.exp_falling(x[i])
    return out


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_exp_falling_is_exp_below_0(dtype, rng):
    limits = np.finfo(dtype)
    lowest = float(np.log(np.longdouble(limits.smallest_subnormal))) - 3
    x = rng.uniform(lowest, 0, 100_000).astype(dtype)
    wanted, got = compute("exp", x), falling_of(x)
    normal = wanted >= limits.tiny
    assert 0.5 < normal.mean() < 0.99
    assert np.array_equal(got[normal], wanted[normal])  # subnormal ones are rounded once, not twice
    assert (np.abs(got - wanted)[~normal] <= limits.smallest_subnormal).all()
    special = np.array([0.0, -0.0, -np.inf, np.nan, -limits.tiny, lowest], dtype)
    assert np.array_equal(falling_of(special), [1, 1, 0, np.nan, 1, 0], equal_nan=True)


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_odd_and_even(dtype):
    x = sample("tanh", dtype, 4000)
    assert np.array_equal(compute("tanh", -x), -compute("tanh", x))
    assert (np.abs(compute("tanh", x)) <= 1).all()
    y = compute("sigmoid", x)
    assert ((y >= 0) & (y <= 1)).all()


# Log-sum-exp ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("n", [1, 2, 3, 16, 17, 1000])
def test_log_sum_exp(n, dtype, rng):
    for scale, offset in ((1, 0), (100, 0), (3, 1e4), (3, -1e4)):
        z = (scale * rng.standard_normal(n + 2) + offset).astype(dtype)
        before = z.copy()
        got = elementary.log_sum_exp(z, 1, n)
        wanted = logsumexp(z[1:-1].astype(np.longdouble))
        # a rounding of each of the largest z, of the logarithm of the sum, and of their sum
        bound = 4 * np.finfo(dtype).eps * (np.abs(z).max() + np.log(n) + 1)
        assert type(got) is type(z[0]) or isinstance(got, float)
        assert abs(got - wanted) <= bound
        assert np.array_equal(z, before)


@pytest.mark.parametrize(("start", "n"), [(0, 4), (3, 1), (0, 0), (-1, 2), (1, -1), (0, 10**6)])
def test_log_sum_exp_takes_no_values_from_outside(start, n):
    with pytest.raises(ValueError, match="n: expected 1 or more, and as many values of z"):
        elementary.log_sum_exp(np.array([1.0, 2.0, 3.0]), start, n)


@pytest.mark.parametrize("name", [*NAMES, "exp_falling", "sigmoid_log1p"])
@pytest.mark.parametrize("x", [1, np.int8(1), np.uint64(1)])
def test_integers_are_refused(name, x):
    with pytest.raises(numba.TypingError, match="x: expected a float32 or float64; got"):
        getattr(elementary, name)(x)


@pytest.mark.parametrize(
    ("z", "wanted"),
    [
        ([INF, 1], INF),
        ([INF, INF], INF),
        ([-INF, -INF], -INF),
        ([-INF, 1], 1),
        ([INF, -INF], INF),
        ([NAN, 1], NAN),
        ([1, NAN], NAN),
        ([INF, NAN], NAN),
        ([1, 2, NAN, -INF, 3], NAN),
    ],
)
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_log_sum_exp_of_what_is_not_finite(z, wanted, dtype):
    got = elementary.log_sum_exp(np.array(z, dtype), 0, len(z))
    assert got == wanted or (np.isnan(got) and np.isnan(wanted))


# Coefficients, bits --------------------------------------------------------------------------


@pytest.mark.parametrize("name", minimax.FITS)
def test_coefficients_are_those_of_least_error(name):
    function, interval, weight, counts = minimax.FITS[name]
    with mp.workdps(minimax.DIGITS):
        for bits, n in zip((32, 64), counts, strict=True):
            wanted, _ = minimax.fit(function, interval, weight, n)
            stands = getattr(elementary, f"{name}{bits}")
            # far below what rounding them to the dtype changes
            assert np.allclose(stands, [float(c) for c in wanted], rtol=1e-14, atol=0)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_bits_do_not_depend_on_the_place_in_an_array(name, dtype):
    # loops over arrays are vectorised, with single values at the end
    x = sample(name, dtype, 400)
    wanted = compute(name, x)
    for start in range(20):
        for stop in range(380, 400):
            assert np.array_equal(compute(name, x[start:stop]), wanted[start:stop])
    assert [compute(name, x[i : i + 1])[0] for i in range(x.size)] == wanted.tolist()


CALLS = """
    import hashlib, sys
    import numba, numpy as np
    from fastshallow.simd import elementary

    def caller(function, options):
        @numba.njit(**options)
        def of_all(x):
            out = np.empty_like(x)
            for i in range(x.size):
                out[i] = function(x[i])
            return out
        return of_all

    x = np.linspace(-3, 30, 1001)
    found = {}
    for name in sys.argv[2:]:
        function = getattr(elementary, name)
        if sys.argv[1] == "fastmath":  # would hand its flags on to a helper without its own
            caller(function, {"fastmath": True})(x.astype("f4"))
        values = caller(function, {})(x.astype("f4"))
        found[name] = hashlib.sha256(values.tobytes()).hexdigest()
    print(sorted(found.items()))
"""


@pytest.mark.slow
def test_bits_do_not_depend_on_the_order_of_calls(tmp_path):
    orders = (("plain", *NAMES), ("fastmath", *NAMES[::-1]), ("plain", *NAMES[::-1]))
    answers = []
    for number, order in enumerate(orders):
        # the last one finds what the one before left in its cache
        folder = tmp_path / str(min(number, 1))
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(CALLS), *order],
            env=os.environ | {"NUMBA_CACHE_DIR": str(folder)},
            capture_output=True,
            text=True,
            check=True,
        )
        answers.append(done.stdout)
    assert answers[0].count("(") == len(NAMES)
    assert answers == [answers[0]] * len(orders)


def test_whole_power_is_the_power():
    for x in (0.0, 0.5, 0.9, 0.999, 1.0, 1.5, 1e200):
        for n in (0, 1, 2, 3, 7, 64, 1000, 65_535, 65_536, 1_000_003):
            with mp.workdps(60):
                right = mp.power(x, n)
                found = in_python(elementary.whole_power)(x, n)
                if right > 1e308:
                    assert found == np.inf
                elif right < 1e-300:
                    assert 0 <= found <= 1e-299
                else:  # every product rounds, and a square doubles the error of its factor
                    assert abs(found - right) <= n * 2.0**-52 * right


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0, 1, 7, 64, 65, 1000])
def test_log_each_is_log_of_each(dtype, size):
    values = np.random.default_rng(size).exponential(size=size + 4).astype(dtype)
    values[size:] = 0, -1, np.inf, np.nan
    wanted = [elementary.log(value) for value in values]
    elementary.log_each(values)
    np.testing.assert_array_equal(values, np.array(wanted, dtype))
