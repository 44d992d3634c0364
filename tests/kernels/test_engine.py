"""The engine: what must not change a bit does not, and what does is right.

Strides, neighbours and what memory held before are of the first kind; sizes of the second.
"""

from __future__ import annotations

import copy

import cases
import naive
import numba
import numpy as np
import pytest

import fastshallow as fs
from fastshallow.kernels import Examples, Matrix, Model, block_count, block_step, weight_copies
from fastshallow.kernels.layout import even_tile, scratch_size, tile_length
from fastshallow.kernels.split import tile_count

# Lanes over examples (at most 8 units) or over units; few units; wide; no hidden layer; packed.
NETWORKS = [
    ((2, 4, 1), "tanh", "sigmoid"),
    ((8, 8, 1), "sigmoid", "linear"),
    ((1, 1), [], "linear"),
    ((3, 1), [], "sigmoid"),
    ((5, 2, 3), "relu", "softmax"),
    ((30, 64, 1), "tanh", "sigmoid"),
    ((7, 100, 10), "leaky_relu", "softmax"),
    ((20, 33, 17, 3), ["tanh", "relu"], "exp"),
    ((130, 150, 2), "sigmoid", "relu"),
]


def name_of(value):
    """Return the name of a network in the names of tests."""
    return "-".join(map(str, value)) if isinstance(value, tuple) else None


def network_and_data(sizes, hidden, output, dtype, m, seed=0):
    """Return a network with biases, X and Y, all exact in float32."""
    rng = np.random.default_rng(seed)
    net = fs.Network(sizes, hidden, output, dtype).init("glorot", seed=seed)
    for b in net.b:
        b[...] = 0.25 * rng.standard_normal(b.shape)
    X = rng.standard_normal((sizes[0], m)).astype("f4").astype(dtype)
    return net, X, cases.draw_targets(rng, output, sizes[-1], m).astype(dtype)


def keeps_subnormals():
    """Return whether this thread's arithmetic has subnormal numbers."""
    return np.float32(1e-38) * np.float32(0.125) > 0


def outputs(net, X):
    """Return A[L]."""
    return net.predict_proba(X) if net.output in ("sigmoid", "softmax") else net.predict(X)


def bits(net, X, Y, **options):
    """Return J, the gradient and A[L] as bytes."""
    J, g = net.cost_and_grad(X, Y, **options)
    return np.float64(J).tobytes(), g.vector.tobytes(), outputs(net, X).tobytes()


# What memory held before ---------------------------------------------------------------------


@numba.njit(cache=True)
def one_block(params, layers, X, Y, weight, first, last, scratch, slot):
    """Return the loss and the status of one block; X and Y have examples as rows."""
    model = Model(params, layers, 0.01)
    copies = weight_copies(model, X.shape[0], True)
    x = Matrix(X.reshape(-1), 0, X.shape[1], 1)
    y = Matrix(Y.reshape(-1), 0, Y.shape[1], 1)
    return block_step(model, copies, Examples(x, y, 0, weight), first, last, scratch, slot)


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: name_of(n[0]))
def test_scratch_and_slot_may_hold_anything(network, dtype):
    net, X, Y = network_and_data(*network, dtype, 700)
    rows = [np.ascontiguousarray(a.T) for a in (X, Y)]
    needed = scratch_size(net.layers, net.dtype.itemsize)
    weight, around = np.random.default_rng(1).random(700).astype(dtype), 80
    for first, last in ((0, 700), (0, 1), (3, 40), (130, 699)):
        results = []
        for poison in (0, np.nan, np.inf, 3):
            scratch, slot = (
                np.full(n + 2 * around, poison, dtype) for n in (needed, net.params.size)
            )
            inside = [a[around:-around] for a in (scratch, slot)]
            answer = one_block(net.params, net.layers, *rows, weight, first, last, *inside)
            assert answer[1] == 0
            results.append((answer, inside[1].tobytes()))
            for array in (scratch, slot):
                outside = np.concatenate([array[:around], array[-around:]])
                assert np.array_equal(outside, np.full(2 * around, poison), equal_nan=True)
        assert results == results[:1] * 4
        assert np.isfinite(results[0][0][0])


def test_memory_that_the_allocator_hands_out_again(rng):
    # the same through the public functions: freed arrays of many sizes, all of them NaN
    net, X, Y = network_and_data((20, 33, 17, 3), "tanh", "softmax", "float32", 3000)
    wanted = bits(net, X, Y)
    for _ in range(20):
        for n in rng.integers(1, 300_000, 30):
            np.full(n, np.nan)
        assert bits(net, X, Y) == wanted


# Values that are not usable ------------------------------------------------------------------


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize(
    ("sizes", "m"),
    [((30, 64, 1), 2600), ((9, 100, 10), 1500), ((3, 5, 2), 5000), ((700, 900, 3), 700)],
)
def test_a_bad_value_is_seen_in_every_tile_of_every_block(sizes, m, n_threads):
    output = "softmax" if sizes[-1] > 1 else "sigmoid"
    net, X, Y = network_and_data(sizes, "tanh", output, "float32", m)
    blocks, longest = int(block_count(m, net.layers, 4)), int(tile_length(net.layers, 4))
    tile = int(even_tile(m, blocks, longest))
    assert tile_count(m, blocks, longest) > blocks  # a block's last tile is not its only one
    before, n_bad = net.copy(), sizes[-1]  # a one-hot column is bad as a whole
    for example in (0, tile - 1, tile, m // 2, m - tile - 1, m - 1):
        bad_X, bad_Y = X.copy(), Y.astype("f4")
        bad_X[-1, example], bad_Y[..., example] = np.nan, -1
        for arguments, name, n in (((bad_X, Y), "X", 1), ((X, bad_Y), "Y", n_bad)):
            for call in (net.cost, net.backward, descend(net), train_on(net)):
                with pytest.raises(ValueError, match=rf"^{name}: .*\({n} such of"):
                    call(*arguments, n_threads=n_threads)
            assert net == before
        with pytest.raises(ValueError, match=r"^X: .*\(1 such of"):
            net.predict(bad_X, n_threads=n_threads)


def descend(net):
    """Return what takes steps over all examples."""
    return lambda X, Y, n_threads: fs.gradient_descent(net, X, Y, 0.1, 2, n_threads=n_threads)


def train_on(net):
    """Return what takes an epoch of large batches."""
    return lambda X, Y, n_threads: fs.train(
        net, X, Y, epochs=1, batch_size=X.shape[1] - 1, n_threads=n_threads
    )


# Strides -------------------------------------------------------------------------------------


def layouts(values, dtype):
    """Yield the same values, (n, m), in every memory layout, and as the other float dtype."""
    for layout in (*cases.MEMORY, "other_float"):
        yield layout, cases.lay_out(values, layout, dtype)
    n, m = values.shape
    wide = np.full((m, n + 3), np.nan, dtype)  # examples as rows, with columns between
    wide[:, 1 : n + 1] = values.T
    yield "columns of a table", wide[:, 1 : n + 1].T
    odd = np.full(n * m + 5, np.nan, dtype)[5:].reshape(n, m)  # off the cache lines
    odd[...] = values
    yield "unaligned", odd
    turned = np.ascontiguousarray(values[::-1].T).T[::-1]
    turned.setflags(write=False)
    yield "features reversed, read-only", turned.astype(dtype, copy=False)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("m", [1, 2, 65, 1100])
@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: name_of(n[0]))
def test_any_strides_of_x_and_y_give_the_same_bits(network, m, dtype):
    net, X, Y = network_and_data(*network, dtype, m)
    wanted = bits(net, X, Y)
    for layout, X_other in layouts(X, dtype):
        assert np.array_equal(X_other, X)
        assert bits(net, X_other, Y) == wanted, f"X {layout}"
    for layout, Y_other in layouts(Y, dtype):
        assert bits(net, X, Y_other) == wanted, f"Y {layout}"


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: name_of(n[0]))
def test_examples_that_share_their_memory(network):
    net, X, Y = network_and_data(*network, "float32", 300)
    n_x = X.shape[0]
    same = np.broadcast_to(X[:, :1], X.shape)  # one example, 300 times
    assert bits(net, same, Y) == bits(net, same.copy(), Y)
    zeros = np.broadcast_to(X[0, 0], X.shape)
    assert bits(net, zeros, Y) == bits(net, zeros.copy(), Y)
    series = np.random.default_rng(0).standard_normal(300 + n_x - 1).astype("f4")
    windows = np.lib.stride_tricks.sliding_window_view(series, n_x).T
    assert bits(net, windows, Y) == bits(net, windows.copy(), Y)


def test_class_numbers_are_the_one_hot_columns():
    net, X, Y = network_and_data((7, 100, 10), "tanh", "softmax", "float32", 1100)
    wanted = bits(net, X, Y)
    labels = Y.argmax(axis=0)
    for Y_other in (labels, labels.astype("u1"), np.repeat(labels, 3)[::3], labels[::-1][::-1]):
        assert bits(net, X, Y_other) == wanted


# Numbers too small to be normal --------------------------------------------------------------


@cases.flushes
@pytest.mark.parametrize("n_threads", [1, 2])
def test_subnormal_numbers_are_0_in_a_gradient_and_nowhere_else(n_threads):
    net = fs.Network((1, 2), output="softmax")
    X, y = np.ones((1, 300), np.float32), np.ones(300, int)
    for z, wanted in ((80, np.exp(-80)), (95, 0.0)):  # e^-80 is a normal number, e^-95 is not
        net.W1 = [[0], [z]]
        g = net.cost_and_grad(X, y, n_threads=n_threads)[1]
        assert g.dW1[0, 0] == pytest.approx(wanted, rel=1e-5, abs=0)
        assert np.array_equal(g.db1, g.dW1)
        assert keeps_subnormals()
        assert net.predict_proba(X)[0, 0] == pytest.approx(np.exp(-z), rel=1e-3, abs=0)
    history = fs.train(net, X, y, fs.Adam(), epochs=100, n_threads=n_threads)
    assert keeps_subnormals()
    assert history.cost.size == 100


@cases.flushes
def test_a_gradient_has_no_subnormal_numbers():
    net = fs.Network((1, 2), output="softmax")
    net.W1 = [[0], [87]]  # e^-87 is a normal number, and is not when it is divided by 300
    X = np.full((1, 300), 100 / 87, np.float32)
    X[0, 0] = 1
    assert not net.cost_and_grad(X, np.ones(300, int))[1].vector.any()
    tiny, net = np.full((1, 70), 1e-39, np.float32), fs.Network((1, 1), output="linear")
    net.W1 = [[1e20]]  # but X is taken as it is, whatever its dtype
    for dtype in cases.DTYPES:
        g = net.cost_and_grad(tiny.astype(dtype), np.zeros(70))[1]
        assert g.db1[0, 0] == pytest.approx(1e-19, rel=1e-5, abs=0)


@pytest.mark.parametrize("m", [64, 65, 82])
def test_padding_overflows_nowhere_else_than_examples_do(m):
    net = fs.Network((2, 5, 5, 1), "relu", "sigmoid")
    net.W1[...], net.b1[...], net.W2[...], net.W3[...] = -1e20, 1e20, 1e20, 1
    J, g = net.cost_and_grad(np.ones((2, m)), np.zeros(m))  # at X = 0, Z2 would be infinite
    assert J == pytest.approx(np.log(2))
    assert np.isfinite(g.vector).all()


# Neighbours ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: name_of(n[0]))
def test_a_prediction_does_not_depend_on_the_examples_beside_it(network, dtype, rng):
    net, X, _ = network_and_data(*network, dtype, 1300)
    wanted = outputs(net, X)
    ends = [(i, i + n) for n in (1, 2, 3, 47, 48, 49, 64, 65) for i in (0, 63, 511, 1234)]
    ends += [tuple(sorted(rng.choice(1301, 2, replace=False).tolist())) for _ in range(30)]
    for i, j in ends:
        assert np.array_equal(outputs(net, X[:, i:j]), wanted[:, i:j]), (i, j)
    shuffled = rng.permutation(1300)
    assert np.array_equal(outputs(net, X[:, shuffled]), wanted[:, shuffled])
    forward = net.forward(X).A[-1]
    assert np.array_equal(forward, wanted)


# Weights -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: name_of(n[0]))
def test_equal_weights_give_the_bits_of_none(network, dtype):
    net, X, Y = network_and_data(*network, dtype, 1100)
    for w in (1, 2, 0.25):  # a factor of 2 is exact
        assert bits(net, X, Y, sample_weight=np.full(1100, w)) == bits(net, X, Y)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: name_of(n[0]))
def test_weights_of_0_leave_examples_out_and_of_2_repeat_them(network):
    net, X, Y = network_and_data(*network, "float64", 600)
    w = np.random.default_rng(1).integers(0, 3, 600)
    J, g = net.cost_and_grad(X, Y, sample_weight=w, alpha=0.75)
    J_other, g_other = net.cost_and_grad(np.repeat(X, w, 1), np.repeat(Y, w, 1), alpha=0.75)
    assert J == pytest.approx(J_other, rel=1e-13)
    cases.assert_close(g.vector, g_other.vector, 1e-13, name_of(network[0]))


# Sizes ---------------------------------------------------------------------------------------


def check_sizes(sizes, hidden, output, dtype, m, seed=0):
    """Compare J, gradient and predictions with the naive form."""
    net, X, Y = network_and_data(sizes, hidden, output, dtype, m, seed)
    names, (W, b) = (*net.hidden, output), cases.exact_parameters(net)
    X64, Y64 = X.astype(float), Y.astype(float)
    w, alpha = np.random.default_rng(seed).random(m).astype("f4").astype(float), 0.5
    J, g = net.cost_and_grad(X, Y, sample_weight=w, alpha=alpha)
    J_wanted, dW, db = naive.by_columns(W, b, names, X64, Y64, w, alpha)
    tolerance = {"float32": 1e-5, "float64": 1e-13}[dtype]
    assert pytest.approx(J_wanted, rel=tolerance) == J
    for i in range(len(W)):
        cases.assert_close(g.dW[i], dW[i], tolerance, f"dW{i + 1}")
        cases.assert_close(g.db[i], db[i], tolerance, f"db{i + 1}")
    A = naive.forward(W, b, names, X64)[1][-1]
    cases.assert_close(outputs(net, X), A, tolerance, "A[L]")


SIZES = [
    (1, 1),
    (4096, 1),
    (1, 4096),
    (4096, 3, 1),
    (2, 4096, 2),
    (2, 4096, 3),
    (3000, 3),
    (2, 3, 4096),
    (1, 1, 1, 1, 1),
    (3, 1000, 1000, 2),
    (1000, 1, 1000),
    (5, 2, 7, 3, 6, 4, 2),
    pytest.param((4096, 4096, 1), marks=pytest.mark.slow),
    pytest.param((1, 4096, 4096), marks=pytest.mark.slow),
    pytest.param((4096, 4096), marks=pytest.mark.slow),
]


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("m", [1, 70])
@pytest.mark.parametrize("sizes", SIZES, ids=name_of)
def test_sizes_from_1_to_4096_anywhere(sizes, m, dtype):
    check_sizes(sizes, "tanh", "linear", dtype, m)


def test_a_large_layer_in_several_blocks():
    net = fs.Network((300, 400, 10))
    assert block_count(5000, net.layers, 4) > 1
    check_sizes((300, 400, 10), "sigmoid", "softmax", "float64", 5000)


@pytest.mark.parametrize("hidden", ["tanh", "leaky_relu"])
@pytest.mark.parametrize(
    "sizes", [(300, 400, 1), (100, 300, 200, 1), (300, 200, 2), (300, 200, 5)], ids=str
)
def test_threads_that_share_out_a_batch_of_one_block(sizes, hidden):
    # an output layer of one unit sums up its gradient elsewhere then: the same bits
    m, batch = 1000, 500
    net, X, Y = network_and_data(sizes, hidden, "linear", "float32", m)
    assert block_count(batch, net.layers, 4) == 1 and tile_length(net.layers, 4) < batch / 2
    ends = []
    for n_threads in (1, 2, 3):
        trained = net.copy()
        history = fs.train(
            *(trained, X, Y, fs.SGD(0.01), 2), batch_size=batch, seed=0, n_threads=n_threads
        )
        ends.append((trained.params.tobytes(), history.cost.tobytes()))
    assert ends[1] == ends[2] == ends[0]


# Blocks of a tile each, which one thread has in a scratch each where there are two; in one scratch
# where there are more; and blocks of many tiles.
@pytest.mark.parametrize(
    ("sizes", "m", "dtype", "blocks", "tiles"),
    [
        ((20, 48, 2), 256, "float32", 2, 2),
        ((8, 16, 16, 1), 384, "float32", 2, 2),
        ((32, 16, 2), 296, "float32", 2, 2),
        ((48, 48, 4), 256, "float32", 2, 2),
        ((13, 50, 3), 178, "float32", 2, 2),
        ((13, 50, 3), 127, "float32", 1, 1),
        ((20, 48, 2), 120, "float64", 1, 1),
        ((3, 4, 1), 500, "float64", 1, 1),
        ((30, 100, 1), 569, "float32", 4, 4),
        ((300, 200, 1), 1900, "float32", 2, 30),
    ],
)
def test_steps_in_one_call_are_steps_one_by_one(sizes, m, dtype, blocks, tiles, rng):
    start = fs.Network(sizes, "tanh", "softmax" if sizes[-1] > 1 else "sigmoid", dtype=dtype)
    start.init(seed=0)
    longest = tile_length(start.layers, start.dtype.itemsize)
    assert block_count(m, start.layers, start.dtype.itemsize) == blocks
    assert tile_count(m, blocks, longest) == tiles
    X, Y = rng.standard_normal((sizes[0], m)), rng.integers(0, max(2, sizes[-1]), m)
    Y = Y if sizes[-1] > 1 else Y[None]
    one_by_one, cost = copy.deepcopy(start), []
    for _ in range(4):
        J, gradient = one_by_one.cost_and_grad(X, Y)
        cost.append(J)
        one_by_one.params -= one_by_one.dtype.type(0.5) * gradient.vector
    for n_threads in (1, 2):
        net = copy.deepcopy(start)
        assert fs.gradient_descent(net, X, Y, 0.5, 4, n_threads=n_threads).cost.tolist() == cost
        assert np.array_equal(net.params, one_by_one.params)
        net = copy.deepcopy(start)
        fs.train(net, X, Y, fs.GradientDescent(0.5), epochs=4, batch_size=None, n_threads=n_threads)
        assert np.array_equal(net.params, one_by_one.params)


@pytest.mark.parametrize(
    ("sizes", "m", "dtype"),
    [
        ((3000, 2900, 2), 130, "float32"),
        ((3, 2900, 3000), 70, "float32"),
        ((2900, 3000, 1), 70, "float32"),
        ((2900, 3000, 4), 70, "float32"),
        pytest.param((4096, 4096, 1), 1000, "float32", marks=pytest.mark.slow),
        pytest.param((2, 3000, 1400, 3), 1000, "float64", marks=pytest.mark.slow),
        pytest.param((4096, 4096), 1, "float64", marks=pytest.mark.slow),
    ],
    ids=name_of,
)
def test_threads_that_share_out_one_large_layer(sizes, m, dtype):
    net, X, Y = network_and_data(sizes, "tanh", "linear", dtype, m)
    assert block_count(10**6, net.layers, net.dtype.itemsize) == 1  # too large for two slots
    wanted = bits(net, X, Y, n_threads=1)
    for n_threads in (2, 3, 4, None):
        assert bits(net, X, Y, n_threads=n_threads) == wanted, n_threads
    check_sizes(sizes, "tanh", "linear", dtype, m)


def random_network(seed):
    """Return sizes, names and the number of examples of a random network."""
    rng = np.random.default_rng(seed)
    depth = int(rng.integers(1, 5))
    most = int(rng.choice([4, 9, 40, 140]))
    sizes = tuple(rng.integers(1, most + 1, depth + 1).tolist())
    hidden = [str(name) for name in rng.choice(cases.HIDDEN, depth - 1)]
    return sizes, hidden, str(rng.choice(cases.OUTPUTS)), int(rng.choice([1, 3, 60, 500, 2100]))


def check_random_network(seed):
    """Compare one with the naive form, to max|difference| / max|array| <= 1e-12."""
    sizes, hidden, output, m = random_network(seed)
    net, X, Y = network_and_data(sizes, hidden, output, "float64", m, seed)
    names, (W, b) = (*hidden, output), cases.exact_parameters(net)
    X = cases.lay_out(cases.off_the_kinks(net, X, names), cases.MEMORY[seed % 7], "float64")
    options = cases.draw_options(np.random.default_rng(seed), m, seed)
    J, g = net.cost_and_grad(X, Y, **options)
    w, alpha = options.get("sample_weight"), options.get("alpha", 0.0)
    J_wanted, dW, db = naive.by_columns(W, b, names, np.array(X), Y, w, alpha)
    what = f"network {seed}: {sizes} {hidden} {output}, m = {m}"
    cases.assert_close([J], [J_wanted], 1e-12, f"J of {what}")
    for i in range(len(W)):
        cases.assert_close(g.dW[i], dW[i], 1e-12, f"dW{i + 1} of {what}")
        cases.assert_close(g.db[i], db[i], 1e-12, f"db{i + 1} of {what}")


def test_sample_of_random_networks():
    for seed in range(0, 1000, 25):
        check_random_network(seed)


@pytest.mark.slow
def test_a_thousand_random_networks():
    for seed in range(1000):
        check_random_network(seed)


# Rounding ------------------------------------------------------------------------------------


def numpy_gradient(net, X, Y):
    """Return J's gradient, whole matrices in the dtype of X, as an array by layer in a list."""
    m, (W1, W2), (b1, b2) = (
        X.dtype.type(X.shape[1]),
        *([a.astype(X.dtype) for a in v] for v in (net.W, net.b)),
    )
    A1 = np.tanh(W1 @ X + b1)
    dZ2 = 1 / (1 + np.exp(-(W2 @ A1 + b2))) - Y
    dZ1 = (W2.T @ dZ2) * (1 - A1 * A1)
    return [
        *(dZ1 @ X.T / m, dZ1.sum(axis=1, keepdims=True) / m),
        *(dZ2 @ A1.T / m, dZ2.sum(axis=1, keepdims=True) / m),
    ]


@pytest.mark.parametrize("m", [50_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_float32_gradient_errs_no_more_than_that_of_numpy(m):
    net, X, Y = network_and_data((28, 64, 1), "tanh", "sigmoid", "float32", m)
    Y = np.rint(Y)
    exact = [np.zeros(a.shape) for a in (net.W1, net.b1, net.W2, net.b2)]
    for part in np.array_split(np.arange(m), 20):
        share = part.size / m
        parts = numpy_gradient(net, X[:, part].astype(float), Y[:, part].astype(float))
        exact = [total + share * g for total, g in zip(exact, parts, strict=True)]
    g = net.cost_and_grad(X, Y)[1]
    ours = (g.dW1, g.db1, g.dW2, g.db2)

    def errors(arrays):
        pairs = zip(arrays, exact, strict=True)
        return np.array([np.abs(a - e).max() / np.abs(e).max() for a, e in pairs])

    assert errors(ours).max() <= errors(numpy_gradient(net, X, Y)).max()
