"""exp, log and their kin, against arithmetic of more digits: at most 3 units in the last place."""

from __future__ import annotations

import cases
import numba
import numpy as np
import pytest

from fastshallow import elementary

NAMES = ("exp", "tanh", "sigmoid", "softplus", "log", "log1p")
MOST_ULP = 3


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


def exact(name, x):
    """Return the function in NumPy's longest arithmetic."""
    x = x.astype(np.longdouble)
    e = np.exp(-np.abs(x)) if name in ("sigmoid", "softplus") else None
    if name == "sigmoid":
        return np.where(x < 0, e, 1) / (1 + e)
    if name == "softplus":
        return np.maximum(x, 0) + np.log1p(e)
    return getattr(np, name)(x)


def exact_mpmath(name, x):
    """Return the same with 40 digits, rounded to the longest arithmetic."""
    mp = pytest.importorskip("mpmath")
    functions = {
        "sigmoid": lambda v: 1 / (1 + mp.exp(-v)),
        "softplus": lambda v: mp.log1p(mp.exp(v)),
    }
    function = functions.get(name) or getattr(mp, name)
    with mp.workdps(40):
        # a float64 nearest to the value, and one to what is left
        pairs = [(float(y), float(y - float(y))) for y in (function(mp.mpf(float(v))) for v in x)]
    high, low = np.array(pairs).T
    return high, low


def sample(name, dtype, n):
    """Return n arguments, from tiny to those for which the function overflows or is flat."""
    rng, limits = np.random.default_rng(0), np.finfo(dtype)
    if name == "log":
        exponents = rng.uniform(limits.minexp, limits.maxexp, n // 2)
        x = np.concatenate([2.0 ** exponents.clip(-1022, 1023), rng.uniform(0.5, 2, n // 2)])
        return np.clip(x, limits.tiny, limits.max).astype(dtype)
    if name == "log1p":
        return np.concatenate([rng.random(n // 2), 2.0 ** -rng.uniform(0, 100, n // 2)]).astype(
            dtype
        )
    largest = float(np.log(limits.max))
    x = [rng.uniform(-1.2, 1.2, n // 4) * largest, rng.standard_normal(n // 4)]
    x += [rng.uniform(-20, 20, n // 4), 2.0 ** -rng.uniform(0, 60, n // 4)]
    x[-1] *= rng.choice([-1, 1], n // 4)
    return np.concatenate(x).astype(dtype)


def unit(y, dtype):
    """Return the unit in the last place of numbers as large as y, subnormal ones among them."""
    y = np.minimum(np.abs(y), np.finfo(dtype).max).astype(dtype)
    return np.spacing(np.maximum(y, np.finfo(dtype).smallest_subnormal))


def assert_close_in_units(name, x, got, high, low=0.0):
    """Compare with exact values; one beyond the largest number may be that, or infinite."""
    dtype = x.dtype
    with np.errstate(over="ignore"):
        infinite = np.isinf(got)
        assert (np.abs(high[infinite]) >= np.finfo(dtype).max * (1 - 2 * np.finfo(dtype).eps)).all()
        wide = np.result_type(high, got)
        error = np.abs((got.astype(wide) - high) - low)[~infinite] / unit(high[~infinite], dtype)
    worst = int(np.argmax(error))
    assert error[worst] <= MOST_ULP, f"{name}({x[~infinite][worst]!r}): {error[worst]} ulp"


@pytest.mark.parametrize("name", NAMES)
def test_float32_is_right_to_3_units_in_the_last_place(name):
    x = sample(name, np.float32, 200_000)
    assert_close_in_units(name, x, compute(name, x), exact(name, x))


@pytest.mark.parametrize("name", NAMES)
def test_float64_is_right_to_3_units_in_the_last_place(name):
    if np.finfo(np.longdouble).nmant <= np.finfo(np.float64).nmant:
        pytest.skip("NumPy has no arithmetic longer than float64 on this system")
    x = sample(name, np.float64, 200_000)
    assert_close_in_units(name, x, compute(name, x), exact(name, x))


@pytest.mark.parametrize("name", NAMES)
def test_float64_against_40_digits(name):
    x = sample(name, np.float64, 2_000)
    x = x[np.abs(x) < 700] if name != "log" else x  # beyond it floats hold no exact result
    assert_close_in_units(name, x, compute(name, x), *exact_mpmath(name, x))


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_values_at_0_and_infinity(dtype):
    x = np.array([0.0, -0.0, np.inf, -np.inf], dtype)
    half, log2 = 0.5, np.log(np.longdouble(2)).astype(dtype)
    assert compute("exp", x).tolist() == [1, 1, np.inf, 0]
    assert compute("tanh", x).tolist() == [0, 0, 1, -1]
    assert np.signbit(compute("tanh", x)).tolist() == [False, True, False, True]
    assert compute("sigmoid", x).tolist() == [half, half, 1, 0]
    softplus = compute("softplus", x)
    assert softplus[2:].tolist() == [np.inf, 0]
    assert np.abs(softplus[:2] - log2).max() <= MOST_ULP * np.spacing(log2)
    assert compute("log", np.ones(1, dtype)).tolist() == [0]
    assert compute("log1p", x[:2]).tolist() == [0, 0]


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_nan_goes_through(name, dtype):
    x = np.array([1, np.nan, 0.5, -np.nan], dtype)
    assert np.isnan(compute(name, x)).tolist() == [False, True, False, True]


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_subnormal_arguments_and_results(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    x = tiny * np.array([1, -1, 2, -3, 1000, -1000], dtype)
    assert np.array_equal(compute("exp", x), np.ones(6, dtype))
    assert_close_in_units("tanh", x, compute("tanh", x), x)
    assert np.array_equal(compute("sigmoid", x), np.full(6, 0.5, dtype))
    assert_close_in_units("log1p", np.abs(x), compute("log1p", np.abs(x)), np.abs(x))
    least = float(np.log(np.finfo(dtype).tiny))
    x = np.linspace(least - 30, least + 1, 1001).astype(dtype)
    for name in ("exp", "sigmoid", "softplus"):
        assert_close_in_units(name, x, compute(name, x), exact(name, x))


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_odd_and_even(dtype):
    x = sample("tanh", dtype, 4000)
    assert np.array_equal(compute("tanh", -x), -compute("tanh", x))
    assert (np.abs(compute("tanh", x)) <= 1).all()
    y = compute("sigmoid", x)
    assert ((y >= 0) & (y <= 1)).all()


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
