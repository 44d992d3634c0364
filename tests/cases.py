"""The grid of networks and data on which the package is compared with `naive`."""

from __future__ import annotations

import itertools
import platform
import tempfile
from typing import NamedTuple

import naive
import numba
import numpy as np
import pandas as pd
import pytest

import fastshallow as fs

HIDDEN = ("sigmoid", "tanh", "relu", "leaky_relu", "linear", "softplus", "elu")
OUTPUTS = ("sigmoid", "softmax", "linear", "relu", "exp")
DTYPES = ("float32", "float64")
SIZES = (1, 2, 3, 4, 7, 16, 17, 64, 100)
# Around the ends of vectors, tiles and blocks. `tests/kernels/layouts.py` has all of them.
COUNTS = (1, 2, 3, 5, 17, 48, 49, 100, 193, 256, 257, 513, 1000, 2500)
MEMORY = ("C", "F", "strided", "reversed", "one_reversed", "read_only", "memmap")
CONVERTED = ("other_float", "int", "bool", "float16", "list", "dataframe")
LAYOUTS = MEMORY + CONVERTED

#: A test of results that training takes for 0.
flushes = pytest.mark.skipif(
    numba.config.DISABLE_JIT or platform.machine().lower() not in ("x86_64", "amd64"),
    reason="plain Python, and other processors, keep subnormal numbers",
)

# Largest error of a parameter array relative to its largest value. A sum of K products errs by
# about sqrt(K) roundings of 2^-53 = 1.1e-16 or 2^-24 = 6e-8; K is some hundreds, layers add up.
TOLERANCE = {"float32": 4e-6, "float64": 1e-13}


class Case(NamedTuple):
    """One point of the grid."""

    sizes: tuple[int, ...]
    hidden: tuple[str, ...]
    output: str
    dtype: str
    layout: str
    m: int
    seed: int


class Drawn(NamedTuple):
    """A case's network, its data as the user would pass them, and as exact float64."""

    net: fs.Network
    X: object
    Y: object
    options: dict
    exact_X: np.ndarray
    exact_Y: np.ndarray


def combinations():
    """Yield every hidden/output pair at depths 0, 1, 2, dtype, memory layout and m."""
    pairs = [((), output) for output in OUTPUTS]
    for first, output in itertools.product(HIDDEN, OUTPUTS):
        second = HIDDEN[(HIDDEN.index(first) + 1 + OUTPUTS.index(output)) % len(HIDDEN)]
        pairs += [((first,), output), ((first, second), output)]
    grid = itertools.product(pairs, DTYPES, LAYOUTS, COUNTS)
    for seed, ((hidden, output), dtype, layout, m) in enumerate(grid):
        sizes = np.random.default_rng(seed).choice(SIZES, len(hidden) + 2)
        yield Case(tuple(sizes.tolist()), hidden, output, dtype, layout, m, seed)


def shapes():
    """Yield every combination of sizes at depths 0, 1, 2, the rest drawn."""
    seed = 10**6
    for depth in (0, 1, 2):
        for sizes in itertools.product(SIZES, repeat=depth + 2):
            seed += 1
            rng = np.random.default_rng(seed)
            hidden = tuple(str(name) for name in rng.choice(HIDDEN, depth))
            output, dtype, layout = (str(rng.choice(c)) for c in (OUTPUTS, DTYPES, LAYOUTS))
            yield Case(sizes, hidden, output, dtype, layout, int(rng.choice(COUNTS)), seed)


def sample(cases, n):
    """Return n of the cases, always the same."""
    cases = list(cases)
    picked = np.random.default_rng(0).choice(len(cases), n, replace=False)
    return [cases[i] for i in sorted(picked)]


def lay_out(values, layout, dtype):
    """Return the values, (n, m), in one of the `LAYOUTS`."""
    values = np.array(values, dtype, order="C")
    n, m = values.shape
    if layout == "F":
        return np.asfortranarray(values)
    if layout == "strided":
        wide = np.full((2 * n, 3 * m), np.nan, dtype)
        wide[1::2, 2::3] = values
        return wide[1::2, 2::3]
    if layout == "reversed":
        return np.asfortranarray(values[::-1, ::-1])[::-1, ::-1]
    if layout == "one_reversed":
        return np.ascontiguousarray(values[:, ::-1])[:, ::-1]
    if layout == "read_only":
        values.setflags(write=False)
    if layout == "memmap":
        with tempfile.TemporaryFile() as file:
            values.tofile(file)
            file.seek(0)
            return np.memmap(file, dtype, "r", shape=(n, m))
    if layout == "other_float":
        return values.astype("float32" if dtype == "float64" else "float64")
    if layout == "list":
        return values.tolist()
    if layout == "dataframe":
        return pd.DataFrame(values)
    return values.astype(layout) if layout in ("int", "bool", "float16") else values


def round_to(values, layout):
    """Return the values, rounded to what the layout's dtype holds."""
    if layout == "int":
        return np.rint(2 * values)
    if layout == "bool":
        return (values > 0).astype(float)
    return values.astype("float16" if layout == "float16" else "float32").astype(float)


def off_the_kinks(net, X, names):
    """Return X with examples replaced that sit where g' jumps, z = 0 of relu and leaky_relu.

    There float32 and float64 may take different sides, and both are right.
    """
    Z, _ = naive.forward(*exact_parameters(net), names, X)
    near = np.zeros(X.shape[1], bool)
    for Z_l, name in zip(Z, names, strict=True):
        if name in ("relu", "leaky_relu"):
            near |= (np.abs(Z_l) < 1e-5).any(axis=0)
    if near.any() and not near.all():
        X = X.copy()
        X[:, near] = X[:, [np.argmin(near)]]
    return X


def exact_parameters(net):
    """Return the lists W and b in float64."""
    return [W.astype(float) for W in net.W], [b.astype(float) for b in net.b]


def draw_targets(rng, output, n_y, m):
    """Return Y, (n_y, m), of a kind that the output's loss is made for, exact in float32."""
    if output == "softmax":
        return np.eye(n_y)[:, rng.integers(n_y, size=m)]
    if output == "sigmoid":
        return rng.integers(0, 5, (n_y, m)) / 4  # soft labels too
    if output == "exp":
        return rng.poisson(2.0, (n_y, m)).astype(float)
    return rng.standard_normal((n_y, m)).astype("float32").astype(float)


def draw_options(rng, m, seed):
    """Return sample_weight and alpha, in one case of three neither."""
    if seed % 3 == 0:
        return {}
    w = rng.integers(0, 5, m) / 2
    w[rng.integers(m)] = 1.5
    return {"sample_weight": w, "alpha": 0.5}


def draw(case):
    """Return the network and the data of a case."""
    rng = np.random.default_rng(case.seed)
    net = fs.Network(case.sizes, list(case.hidden), case.output, case.dtype)
    for W, b in zip(net.W, net.b, strict=True):
        W[...] = rng.standard_normal(W.shape) / np.sqrt(W.shape[1])
        b[...] = 0.5 * rng.standard_normal(b.shape)
    n_x, n_y = case.sizes[0], case.sizes[-1]
    X = round_to(rng.standard_normal((n_x, case.m)), case.layout)
    X = off_the_kinks(net, X, (*case.hidden, case.output))
    Y = draw_targets(rng, case.output, n_y, case.m)
    if case.output == "softmax" and case.seed % 2:
        Y_given = Y.argmax(axis=0)
    else:
        Y_given = lay_out(Y, case.layout if case.layout in MEMORY else "C", case.dtype)
    options = draw_options(rng, case.m, case.seed)
    return Drawn(net, lay_out(X, case.layout, case.dtype), Y_given, options, X, Y)


def reference(case, drawn, function=naive.by_columns):
    """Return J, dW, db of the case from one of the naive forms."""
    w, alpha = drawn.options.get("sample_weight"), drawn.options.get("alpha", 0.0)
    names = (*case.hidden, case.output)
    return function(*exact_parameters(drawn.net), names, drawn.exact_X, drawn.exact_Y, w, alpha)


def typical(case, drawn):
    """Return, for each layer, how large dW and db would be were the signs of all terms random.

    The terms are those of every sum and difference: a and y of a - y, 1 and a^2 of 1 - a^2, and
    so on back to the first layer. What happens to cancel to less is only as exact as this.
    """
    W, b = exact_parameters(drawn.net)
    Z, A = naive.forward(W, b, (*case.hidden, case.output), drawn.exact_X)
    w = np.broadcast_to(drawn.options.get("sample_weight", 1.0), case.m)
    # exp makes an absolute error of z, a rounding of it, a relative one of a
    factor = 1 + Z[-1] ** 2 if case.output == "exp" else 1
    dZ2, sizes = (factor * A[-1] ** 2 + drawn.exact_Y**2) * w**2, []
    for layer in reversed(range(len(W))):
        dW, db = np.sqrt(dZ2 @ (A[layer] ** 2).T), np.sqrt(dZ2.sum(axis=1))
        sizes.insert(0, (dW.max() / w.sum(), db.max() / w.sum()))
        if layer > 0:
            dZ2 = (W[layer] ** 2).T @ dZ2 * dg_terms(case.hidden[layer - 1], A[layer])
    return sizes


def dg_terms(name, a):
    """Return the squares of the terms of g'(a), summed."""
    if name == "tanh":
        return 1 + a**4
    return a**2 + a**4 if name == "sigmoid" else naive.dg(name, a) ** 2


def typical_z(W, b, A):
    """Return the same for Z = W A + b of one layer."""
    return np.sqrt((W**2) @ (A**2) + b**2).max()


def typical_J(case, drawn):
    """Return the same for J: the mean of the sizes of the terms that a loss is made of."""
    Z, A = naive.forward(*exact_parameters(drawn.net), (*case.hidden, case.output), drawn.exact_X)
    Z, A, Y = np.abs(Z[-1]), A[-1], drawn.exact_Y
    terms = {"sigmoid": Z, "softmax": Z, "exp": naive.y_log_y(Y) + Y * Z + Y + A}
    per_example = terms.get(case.output, A**2 + Y**2).sum(axis=0)
    return np.average(per_example, weights=drawn.options.get("sample_weight"))


def assert_close(got, wanted, tolerance, what, least=0.0):
    """Compare arrays: max|difference| / max|array|, or / ``least`` where that is larger."""
    got, wanted = np.asarray(got, float), np.asarray(wanted, float)
    assert got.shape == wanted.shape, what
    scale = max(np.abs(wanted).max(), least, np.finfo(float).tiny)
    error = np.abs(got - wanted).max() / scale
    assert error <= tolerance, f"{what}: error {error:.3g}"


def assert_gradient(case, drawn, J, g, expected):
    """Compare J and every dW and db with what a naive form gave."""
    tolerance = TOLERANCE[case.dtype]
    J_expected, dW, db = expected
    assert_close([J], [J_expected], tolerance, f"J of {case}", typical_J(case, drawn))
    for i, (for_W, for_b) in enumerate(typical(case, drawn)):
        assert_close(g.dW[i], dW[i], tolerance, f"dW{i + 1} of {case}", for_W)
        assert_close(g.db[i], db[i], tolerance, f"db{i + 1} of {case}", for_b)


def by_dict(thing):
    """Do what skops does, and tools like it: a new object, and its state with copied arrays."""
    if isinstance(thing, (list, tuple)):
        return type(thing)(map(by_dict, thing))
    if isinstance(thing, dict):
        return {key: by_dict(value) for key, value in thing.items()}
    if isinstance(thing, np.ndarray):
        return thing.copy()
    if not type(thing).__module__.startswith("fastshallow"):
        return thing
    state = by_dict(thing.__getstate__())
    made = object.__new__(type(thing))
    if hasattr(made, "__setstate__"):
        made.__setstate__(state)
    else:
        made.__dict__.update(state)
    return made
