"""Arrays of every layout, between pages that must not be touched: `test_layouts` runs it.

    python tests/kernels/layouts.py DTYPE [N]

Every result is compared, bit by bit, with that of contiguous copies. A read or a write outside of
an operand ends the process with a segmentation fault. N is how many layouts to take for each number
of examples; without it all are taken.
"""

from __future__ import annotations

import faulthandler
import sys
from typing import NamedTuple

import numpy as np
from pages import guarded

import fastshallow as fs
from fastshallow.kernels.layout import even_tile, tile_length
from fastshallow.kernels.split import block_count

# Networks of every way through the engine: lanes over examples everywhere, in the output layer
# alone, nowhere; one output; few units first, whose X is copied; a wide first layer over many
# features, whose X is copied if these lie far apart; more parameters than the L2 cache holds.
NETWORKS = {
    "linear": ((3, 1), "relu", "linear"),
    "softmax": ((5, 4), "relu", "softmax"),
    "small": ((2, 4, 1), "tanh", "sigmoid"),
    "small softmax": ((7, 9, 5), "relu", "softmax"),
    "small deep": ((6, 8, 5, 3), "sigmoid", "sigmoid"),
    "one output": ((30, 64, 1), "tanh", "linear"),
    "two outputs": ((11, 80, 2), "leaky_relu", "softmax"),
    "some outputs": ((9, 100, 10), "tanh", "softmax"),
    "few first units": ((12, 3, 96, 1), "relu", "exp"),
    "deep": ((33, 40, 17, 20), "sigmoid", "sigmoid"),
    "far features": ((65, 257, 3), "relu", "relu"),
    "large": ((600, 520, 2), "tanh", "linear"),
}

OPTIMIZERS = (fs.SGD(0.01), fs.Adam(1e-3), fs.AdamW(1e-3, weight_decay=0.1), fs.SGD(0.1, 0.5))


class Layout(NamedTuple):
    """Strides of a matrix of n rows and m columns, in items, and how its bytes lie.

    ``strides`` are those of rows and of columns, the latter with ``more`` bytes. ``offset`` bytes
    lie before the first item, and ``order`` is that of the bytes.
    """

    strides: tuple[int, int]
    more: int = 0
    offset: int = 0
    order: str = "="


def layouts(n, m):
    """Return the layouts of an (n, m) matrix by name; n or m may be 1."""
    by_rows, by_columns = (m, 1), (1, n)
    return {
        "contiguous": Layout(by_rows),
        "examples contiguous": Layout(by_columns),
        "part of a wider table": Layout((1, n + 1)),
        "part of a far wider table": Layout((1, 3 * n + 7)),
        "part of a longer table": Layout((m + 1, 1)),
        "every other feature": Layout((2, 2 * n)),
        "every other example": Layout((1, 2 * n)),
        "every third of both": Layout((3, 6 * n + 1)),
        "examples reversed": Layout((1, -n)),
        "examples of a wider table reversed": Layout((1, -(n + 2))),
        "features reversed": Layout((-1, n)),
        "both reversed": Layout((-m, -1)),
        "reversed, by rows": Layout((m + 3, -1)),
        "the same example": Layout((1, 0)),
        "the same feature": Layout((0, 1)),
        "one number": Layout((0, 0)),
        "windows of a series": Layout((1, 1)),
        "windows, two further": Layout((1, 2)),
        "windows, reversed": Layout((1, -1)),
        "unaligned": Layout((1, n), 0, 1),
        "fields of records": Layout((1, n + 1), 0, 4),
        "fields of packed records": Layout((2, 2 * n), 1, 3),
        "other byte order": Layout((1, n + 1), 0, 0, "S"),
    }


def place(layout, shape, dtype, fill, at_end):
    """Return an array of a layout, which `fill` has given its values.

    Not a byte between the forbidden pages is free, but for what lies between its items.
    """
    dtype = np.dtype(dtype).newbyteorder(layout.order)
    strides = [s * dtype.itemsize for s in layout.strides]
    strides[1] += layout.more
    reach = [(n - 1) * s for n, s in zip(shape, strides, strict=True)]
    before = -sum(min(r, 0) for r in reach)
    size = before + sum(max(r, 0) for r in reach) + dtype.itemsize
    memory = guarded(layout.offset + size, np.dtype("u1"), at_end)
    memory[:] = 0xFF  # NaN, in either dtype: what lies between must not be read as a number
    array = np.ndarray(shape, dtype, memory, layout.offset + before, strides)
    fill(array)
    return array


def numbers(rng):
    """Return what fills an array with numbers of the normal distribution."""

    def fill(array):
        array[...] = rng.standard_normal(array.shape)

    return fill


def targets(rng, output):
    """Return what fills an array with targets that the loss of an output is made for."""

    def fill(array):
        if output == "linear":
            array[...] = rng.standard_normal(array.shape)
        else:
            array[...] = rng.random(array.shape) < 0.5

    return fill


def classes(rng, n_y):
    """Return what fills an array with class numbers."""

    def fill(array):
        array[...] = rng.integers(0, n_y, array.shape)

    return fill


def one_hot(rng):
    """Return what fills an array with one-hot columns."""

    def fill(array):
        array[...] = 0
        array[rng.integers(0, array.shape[0], array.shape[1]), np.arange(array.shape[1])] = 1

    return fill


def own_items(layout, shape):
    """Return whether every item of a layout has memory of its own."""
    steps = sorted((abs(s), n) for s, n in zip(layout.strides, shape, strict=True) if n > 1)
    reach = 0
    for step, n in steps:
        if step <= reach:
            return False
        reach += (n - 1) * step
    return True


def counts(net):
    """Return numbers of examples around the multiples of tiles, blocks and batches."""
    layers, itemsize = net.layers, net.dtype.itemsize
    longest = int(tile_length(layers, itemsize))
    found = {1, 2, 3}
    heavy = net.params.size > 1e5
    for multiple in (1,) if heavy else (1, 2, 4):  # predictions go by the longest tile
        found |= {max(1, multiple * longest + more) for more in (-1, 0, 1, 2)}
    last = {}  # gradients by even ones: the first m > 3 that leaves a last tile of so many
    for m in range(4, (1 if heavy else 3) * longest + 3):
        blocks = int(block_count(m, layers, itemsize))
        tile = int(even_tile(m, blocks, longest))
        left = m % tile if m > tile else -1
        if left in (0, 1, 2, tile - 1):
            last.setdefault((blocks > 1, min(left, 3)), m)
    return sorted(found | set(last.values()))


def results(net, X, Y, weight, n_threads):
    """Return all that is computed of examples, as arrays by name."""
    start = net.copy()
    found = {"predict": net.predict(X), "by threads": net.predict(X, n_threads=n_threads)}
    values = net.forward(X)
    for layer, (Z, A) in enumerate(zip(values.Z, values.A, strict=True), 1):
        found |= {f"Z{layer}": Z, f"A{layer}": A}
    found["cost"] = net.cost(X, Y, weight, 0.1, n_threads)
    found["J"], g = net.cost_and_grad(X, Y, weight, 0.1, n_threads)
    found["g"] = g.vector
    found["gradient descent"] = fs.gradient_descent(
        start, X, Y, 0.01, 2, weight, n_threads=n_threads
    ).cost
    found["after it"] = start.params.copy()
    m = np.shape(X)[1]
    for number, size in enumerate((None, m // 2, max(1, (m - 1) // 3))):  # the last leaves one
        if size == 0:
            continue
        trained = net.copy()
        history = fs.train(
            *(trained, X, Y, OPTIMIZERS[number], 2, size),
            shuffle=number != 1,
            sample_weight=weight,
            n_threads=n_threads,
            on_divergence="continue",
        )
        found |= {f"cost of training {number}": history.cost, f"trained {number}": trained.params}
    return found


def check_same(found, wanted, case):
    """Compare two results bit by bit."""
    for name, value in found.items():
        a, b = np.asarray(value), np.asarray(wanted[name])
        same = a.dtype == b.dtype and a.shape == b.shape
        assert same and np.array_equal(a, b, equal_nan=True), (name, case)
        assert np.array_equal(np.signbit(a), np.signbit(b)), (name, "sign", case)


def check_out(net, X, wanted, rng, case):
    """Compare predictions that are written into arrays of every layout."""
    m = X.shape[1]
    shape = (1, m) if net.output == "softmax" else (net.sizes[-1], m)
    for number, (name, layout) in enumerate(layouts(*shape).items()):
        if not own_items(layout, shape):
            continue
        kind = np.int64 if net.output in ("sigmoid", "softmax") and number % 2 else net.dtype
        room = place(layout, shape, kind, numbers(rng) if kind != np.int64 else _zeros, number % 2)
        out = room[0] if net.output == "softmax" else room
        for x in (X, np.ascontiguousarray(X, net.dtype)):
            assert net.predict(x, out=out) is out
            assert np.array_equal(out, wanted), ("out", name, case)
            out[...] = 0


def _zeros(array):
    array[...] = 0


def check(name, dtype, x_dtype, m, rng, n_threads, picked):
    """Compare what comes of operands of the picked layouts with what comes of their copies."""
    sizes, hidden, output = NETWORKS[name]
    net = fs.Network(sizes, hidden, output, dtype).init("glorot", seed=1)
    n_x, n_y = sizes[0], sizes[-1]

    def operands(x_layout, y_layout, w_layout, at_end):
        fill = targets(rng, output)
        y_shape = (n_y, m)
        if output == "softmax":
            hot = y_layout == "one-hot"
            fill = one_hot(rng) if hot else classes(rng, n_y)
            y_shape, y_layout = ((n_y, m), "part of a wider table") if hot else ((1, m), y_layout)
        X = place(layouts(n_x, m)[x_layout], (n_x, m), x_dtype, numbers(rng), at_end)
        Y = place(layouts(*y_shape)[y_layout], y_shape, dtype, fill, at_end)
        w_all = layouts(1, m)
        w = place(w_all[w_layout], (1, m), dtype, lambda a: a.fill(0), at_end)
        w[...] = 0.5 + rng.random(w.shape)
        return X, (Y[0] if y_shape[0] == 1 else Y), w[0]

    names = list(layouts(n_x, m))
    y_names = [*names, "one-hot"] if output == "softmax" else names
    for number in picked:
        x_layout = names[number % len(names)]
        y_layout = y_names[(number * 7 + m) % len(y_names)]
        w_layout = names[(number * 5 + m) % len(names)]
        case = name, dtype, x_dtype, m, x_layout, y_layout, w_layout, n_threads
        X, Y, w = operands(x_layout, y_layout, w_layout, number % 2)
        weight = w if number % 3 else None
        copies = np.array(X, np.dtype(x_dtype), order="C"), np.array(Y, dtype)
        wanted = results(net, *copies, None if weight is None else np.array(w, dtype), 1)
        found = results(net, X, Y, weight, n_threads)
        check_same(found, wanted, case)
        if number % 8 == 1:
            check_out(net, X, wanted["predict"], rng, case)


def main(dtype, n=None):
    """Check every network around every length of a tile, in a dtype."""
    faulthandler.enable()
    rng, every = np.random.default_rng(0), len(layouts(2, 2)) + 3  # so that X and Y part
    for name, (sizes, hidden, output) in NETWORKS.items():
        found = counts(fs.Network(sizes, hidden, output, dtype))
        for number, m in enumerate(found):
            x_dtype = ("float32", "float64")[number % 2]
            picked = range(every) if n is None else range(number * n, number * n + n)
            check(name, dtype, x_dtype, m, rng, 1 + (number % 3 == 2), picked)
        print(name, found, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
