"""Epochs: against a plain loop, in any cut into kernel calls, on any number of threads."""

from __future__ import annotations

import itertools

import cases
import naive
import numpy as np
import pytest

import fastshallow as fs
from fastshallow.training import trainer
from fastshallow.training.orders import Given, InOrder, Shuffled, ShuffledWindows
from fastshallow.training.trainer import Trainer


def problem(sizes=(5, 12, 3), m=1100, dtype="float64", output="softmax", seed=0):
    """Return a network, X, Y, weights."""
    rng = np.random.default_rng(seed)
    net = fs.Network(sizes, "tanh", output, dtype).init(seed=seed)
    X = rng.standard_normal((sizes[0], m)).astype(dtype)
    return net, X, cases.draw_targets(rng, output, sizes[-1], m), rng.random(m)


def plain_epochs(net, X, Y, w, optimizer, orders, size, alpha):
    """Return the costs of epochs of SGD or Adam in plain NumPy; the network is modified."""
    names = (*net.hidden, net.output)
    v = m = np.zeros_like(net.params)
    costs, t = [], 0
    for order in orders:
        cost = 0.0
        for at in range(0, len(order), size):
            batch, t = order[at : at + size], t + 1
            J, dW, db = naive.by_columns(
                net.W, net.b, names, X[:, batch], Y[:, batch], w[batch], alpha
            )
            cost += J * len(batch) / len(order)
            g = np.concatenate(
                [a for W, b in zip(dW, db, strict=True) for a in (W.T.ravel(), b[:, 0])]
            )
            if isinstance(optimizer, fs.Adam):
                m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
                rate = optimizer.learning_rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
                net.params -= rate * m / (np.sqrt(v) + 1e-8)
            else:
                v = 0.9 * v - optimizer.learning_rate * g
                net.params += 0.9 * v - optimizer.learning_rate * g
        costs.append(cost)
    return costs


@pytest.mark.parametrize("optimizer", [fs.SGD(0.05), fs.Adam(0.01)])
@pytest.mark.parametrize(("output", "size"), [("softmax", 200), ("linear", 1100), ("exp", 7)])
def test_epochs_are_those_of_a_plain_loop(output, size, optimizer):
    net, X, Y, w = problem(output=output, m=300)
    other = net.copy()
    orders = np.array([np.random.default_rng(e).permutation(300) for e in range(3)])
    wanted = plain_epochs(other, X, Y, w, optimizer, orders, size, 0.5)
    taken = Trainer(net, X, Y, optimizer, size, w, alpha=0.5)
    costs = np.concatenate(list(taken.epochs(3, orders)))
    cases.assert_close(costs, wanted, 1e-12, "costs")
    cases.assert_close(net.params, other.params, 1e-10, "params")
    assert taken.state.steps == 3 * -(-300 // size)
    assert (taken.state.examples, taken.state.epochs) == (900, 3)


def bits(net, *arguments, orders=None, n=4, **options):
    """Return costs, parameters and state after some epochs, as bytes."""
    net = net.copy()
    taken = Trainer(net, *arguments, **options)
    costs = np.concatenate(list(taken.epochs(n, orders)))
    return b"".join(a.tobytes() for a in (costs, net.params, taken.state.vectors))


# one block a batch, several, all examples, layers wide enough for threads to share the update
CUT = [((5, 12, 3), 40), ((5, 12, 3), 500), ((5, 12, 3), None), ((70, 450, 3), 200)]


@pytest.mark.slow_in_plain_python
@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize(("sizes", "size"), CUT)
def test_neither_calls_nor_threads_change_the_bits(sizes, size, dtype, call_seconds):
    net, X, Y, w = problem(sizes, dtype=dtype)
    orders = None
    if size is not None:
        orders = np.array([np.random.default_rng(e).permutation(1100) for e in range(2)])
    n = 4 if orders is None else 2
    wanted = None
    for seconds, n_threads in itertools.product((1e9, 0.0), (1, 3)):
        call_seconds(seconds)
        found = bits(*(net, X, Y, fs.Adam(), size, w, 0.1, n_threads), orders=orders, n=n)
        wanted = wanted or found
        assert found == wanted, f"{seconds} s a call, {n_threads} threads"


def test_a_long_step_is_taken_in_parts(call_seconds):
    call_seconds(0.0)
    net, X, Y, _ = problem(m=2500)
    before = net.params.copy()
    taken = Trainer(net, X, Y, fs.GradientDescent(0.1))
    calls, positions = 0, []
    for costs in taken.epochs(1):
        calls += 1
        positions.append(taken.position)
        assert np.array_equal(net.params, before) == (not costs.size)
    assert calls > 1
    assert positions == sorted(positions) and positions[-1] == 1


@pytest.mark.slow_in_plain_python
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("seconds", [1e-12, 0.1])
@pytest.mark.parametrize(("m", "size"), [(500, 256), (460, 256), (4097, 2049), (300, 100)])
def test_a_smaller_last_batch_may_be_more_blocks(m, size, seconds, n_threads, call_seconds):
    call_seconds(seconds)
    net = fs.Network((30, 64, 1), dtype="float64").init(seed=0)
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((30, m)), rng.integers(0, 2, (1, m))
    one_by_one = net.copy()
    fs.train(
        *(net, X, Y, fs.SGD(0.1, momentum=0.0)),
        **{"epochs": 3, "batch_size": size, "shuffle": False, "n_threads": n_threads},
    )
    for _ in range(3):
        for at in range(0, m, size):
            batch = slice(at, at + size)
            _, gradient = one_by_one.cost_and_grad(X[:, batch], Y[:, batch])
            one_by_one.params -= 0.1 * gradient.vector
    assert np.array_equal(net.params, one_by_one.params)


@pytest.mark.slow_in_plain_python
@pytest.mark.parametrize("layout", sorted(set(cases.LAYOUTS) - {"bool"}))
def test_batches_are_gathered_from_any_layout(layout, rng):
    X, Y = rng.integers(-3, 4, (5, 300)).astype(float), rng.integers(0, 2, (2, 300)).astype(float)
    net = fs.Network((5, 16, 2), "tanh", dtype="float32").init(seed=0)
    order = rng.permutation(300).reshape(1, -1)
    laid = cases.lay_out(X, layout, "float32"), cases.lay_out(Y, layout, "float32")
    wanted = bits(net, X, Y, fs.SGD(0.1), 64, orders=order)
    assert bits(net, *laid, fs.SGD(0.1), 64, orders=order) == wanted
    # as they lie, without a copy
    gathered = bits(net, *laid, fs.SGD(0.1), 64, orders=np.arange(300).reshape(1, -1))
    assert bits(net, *laid, fs.SGD(0.1), 64) == gathered


@pytest.mark.slow_in_plain_python
def test_class_numbers_are_one_hot_columns():
    net, X, Y, w = problem()
    order = np.random.default_rng(0).permutation(1100).reshape(1, -1)
    one_hot = bits(net, X, Y, fs.Adam(), 64, w, orders=order)
    assert bits(net, X, Y.argmax(axis=0), fs.Adam(), 64, w, orders=order) == one_hot


@pytest.mark.slow_in_plain_python
def test_some_examples_are_those_alone():
    net, X, Y, w = problem()
    chosen = np.random.default_rng(0).permutation(1100)[:300].reshape(1, -1)
    some = bits(net, X, Y, fs.Adam(), 64, w, orders=chosen)
    assert bits(net, X[:, chosen[0]], Y[:, chosen[0]], fs.Adam(), 64, w[chosen[0]]) == some


def test_weights_that_are_all_zero_change_nothing():
    net, X, Y, w = problem(m=100)
    w[:50] = 0
    before = net.params.copy()
    taken = Trainer(net, X, Y, fs.SGD(), 50, w)
    taken.epoch(np.arange(50))
    assert np.array_equal(net.params, before)
    assert np.isfinite(taken.epoch())
    assert not np.array_equal(net.params, before)


def test_loss_scale_is_for_reports_only():
    nets = [problem(output="linear")[0] for _ in range(2)]
    _, X, Y, _ = problem(output="linear")
    one = Trainer(nets[0], X, Y, fs.Adam(), 100, alpha=2.0)
    third = Trainer(nets[1], X, Y, fs.Adam(), 100, alpha=2.0, loss_scale=1 / 3)
    penalty = np.mean([0.5 * 2.0 / 100 * sum((W**2).sum() for W in nets[0].W)])
    a = Trainer(nets[0], X[:, :100], Y[:, :100], fs.Adam(), 100, alpha=2.0).epoch(rates=0.0)
    b = Trainer(nets[1], X[:, :100], Y[:, :100], fs.Adam(), 100, alpha=2.0, loss_scale=1 / 3).epoch(
        rates=0.0
    )
    assert b == pytest.approx((a - penalty) / 3 + penalty, rel=1e-12)
    one.epoch(), third.epoch()
    assert nets[0] == nets[1]


@pytest.mark.slow_in_plain_python
def test_state_goes_on():
    net, X, Y, _ = problem()
    other = net.copy()
    whole = Trainer(net, X, Y, fs.Adam(), 100)
    costs = [whole.epoch() for _ in range(4)]
    first = Trainer(other, X, Y, fs.Adam(), 100)
    parts = [first.epoch(), first.epoch()]
    second = Trainer(other, X, Y, fs.Adam(), 100, state=first.state)
    parts += [second.epoch(), second.epoch()]
    assert parts == costs and net == other


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_bad_data_in_the_last_batch_leaves_everything_as_it_was(dtype):
    for spoil in ("X", "Y"):
        net, X, Y, _ = problem(dtype=dtype)
        before = net.copy()
        (X if spoil == "X" else Y)[0, -1] = np.nan
        taken = Trainer(net, X, Y, fs.Adam(), 100)
        with pytest.raises(ValueError, match=rf"{spoil}: .* \(1 such of"):
            taken.epoch()
        assert net == before
        assert not taken.state.vectors.any() and taken.state.steps == 0


@pytest.mark.parametrize("rate", [1e300, 1e4])
def test_divergence_leaves_the_last_finite_parameters(rate):
    net, X, Y, _ = problem((5, 2), output="linear", m=100)
    taken = Trainer(net, X, Y, fs.SGD(rate), 10)
    with pytest.raises(fs.DivergenceError) as caught:
        for _ in range(1000):
            taken.epoch()
    error = caught.value
    assert np.isfinite(net.params).all()
    assert (error.step, error.learning_rate) == (taken.state.steps, rate)
    assert error.epoch == error.step // 10
    for part in (f"epoch {error.epoch}", f"step {error.step}", f"{rate:g}", "Try a smaller"):
        assert part in str(error)
    # one step less is the same parameters, and one more is not finite
    again = problem((5, 2), output="linear", m=100)[0]
    with np.errstate(all="ignore"):
        for t in range(error.step + 1):
            assert np.isfinite(again.params).all()
            if t == error.step:
                assert np.array_equal(again.params, net.params)
            if t == 0:
                v = np.zeros_like(again.params)
            part = slice(t % 10 * 10, t % 10 * 10 + 10)
            J, g = again.cost_and_grad(X[:, part], Y[:, part])
            v = 0.9 * v - rate * g.vector
            again.params += 0.9 * v - rate * g.vector
    assert not (np.isfinite(J) and np.isfinite(again.params).all())


def test_without_guard_it_goes_on():
    net, X, Y, _ = problem((5, 2), output="linear", m=100)
    costs = np.concatenate(list(Trainer(net, X, Y, fs.SGD(1e300), 10, guard=False).epochs(3)))
    assert costs.shape == (3,) and not np.isfinite(costs[-1])


# Orders --------------------------------------------------------------------------------------


def test_orders_take_every_example_once():
    chosen = np.array([1, 4, 6, 7, 9])
    rng = np.random.default_rng(0)
    for order in (
        InOrder(10, chosen),
        Shuffled(10, chosen, rng),
        ShuffledWindows(10, chosen, rng, 2),
        Given(10, chosen, lambda m: np.arange(m)[::-1]),
    ):
        for row in order(3):
            assert sorted(row) == chosen.tolist()
    assert InOrder(10)(3) is None
    assert not np.array_equal(*Shuffled(100, None, rng)(2))


def test_windows_are_neighbours():
    order = ShuffledWindows(103, None, np.random.default_rng(0), 10)(1)[0]
    assert sorted(order) == list(range(103))
    windows, at = [], 0
    while at < 103:
        window = order[at] // 10
        size = 3 if window == 10 else 10
        assert set(order[at : at + size] // 10) == {window}
        windows.append(window)
        at += size
    assert windows != sorted(windows)


@pytest.mark.parametrize(("m", "window"), [(40, 10), (43, 10), (7, 1), (9, 2)])
def test_windows_and_what_is_in_them_come_in_every_order(m, window):
    n, epochs = -(-m // window), 400
    orders = ShuffledWindows(m, None, np.random.default_rng(0), window)(epochs)
    windows = [[w for w, _ in itertools.groupby(row // window)] for row in orders]
    assert all(sorted(row) == list(range(n)) for row in windows)
    # a window is first, an example the first of its window, in a fair share of all epochs
    inside = [row[row // window == 0][0] for row in orders]
    for first, values in (([row[0] for row in windows], n), (inside, window)):
        share = np.bincount(first, minlength=values) / epochs
        assert share.size == values
        assert np.abs(share - 1 / values).max() < 5 * np.sqrt(1 / values / epochs)


@pytest.mark.parametrize("order", [[0, 1], [0, 0, 1], [0.0, 1.0, 2.0], [1, 2, 3], "abc"])
def test_an_order_that_is_no_permutation(order):
    with pytest.raises(ValueError, match=r"shuffle: expected .* a permutation of 0 \.\.\. 2; got"):
        Given(3, None, lambda m: order)(1)


def test_pages_of_a_private_map_are_kept(tmp_path):
    # they may have been written to, and no file has what was
    path = tmp_path / "X"
    np.zeros(20_000).tofile(path)
    for mode, released in (("r", True), ("r+", True), ("c", False)):
        X = np.memmap(path, "f8", mode, shape=(2, 10_000))
        assert (trainer.mapping(np.asarray(X)[:, ::2]) is not None) == released, mode
    private = np.memmap(path, "f8", "c", shape=(2, 10_000))
    private[...] = 3.0
    net = fs.Network((2, 1), output="linear", dtype="float64")
    fs.train(net, private, np.ones(10_000), epochs=1)
    assert (private == 3.0).all()
    assert trainer.mapping(np.zeros(3)) is None


# What kernels write into, and read by ---------------------------------------------------------


def unaligned(array):
    """Return a copy at an odd address."""
    memory = np.zeros(array.nbytes + 1, np.uint8)
    copy = memory[1:].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def read_only(array):
    """Return a copy that cannot be written to."""
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("optimizer", [fs.SGD(), fs.Adam()])
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_vectors_that_kernels_cannot_write_into(optimizer, dtype):
    net, X, Y, _ = problem(m=50, dtype=dtype)
    k, n = optimizer.vectors, net.params.size
    good = np.zeros((k, n), dtype)
    other = np.float32 if dtype == "float64" else np.float64
    wrong = [
        read_only(good),
        unaligned(good),
        np.zeros((4, n), dtype)[::2][:k] if k > 1 else read_only(good),
        np.zeros((k, 2 * n), dtype)[:, ::2],
        np.zeros((k, n + 1), dtype)[:, 1:] if k > 1 else read_only(good),
        np.asfortranarray(np.zeros((2, n), dtype))[:k],
        np.broadcast_to(np.zeros(n, dtype), (k, n)),
        good.astype(other),
        good.astype(np.dtype(dtype).newbyteorder()),
        good.astype(int),
        good.astype(object),
        np.zeros((k, n - 1), dtype),
        np.zeros((k, n + 1), dtype),
        np.zeros((k + 1, n), dtype),
        np.zeros(k * n, dtype),
        good.tolist(),
        None,
    ]
    before = net.copy()
    for vectors in wrong:
        with pytest.raises((TypeError, ValueError), match=r"state\.vectors: expected"):
            Trainer(net, X, Y, optimizer, 10, state=trainer.State(vectors))
    big = fs.Network((5, 12, 3), "tanh", "softmax", dtype)
    own = big.params.reshape(1, -1)
    with pytest.raises(ValueError, match=r"state\.vectors: expected memory of its own"):
        Trainer(big, X, Y, fs.SGD(), 10, state=trainer.State(own))
    assert net == before
    Trainer(net, X, Y, optimizer, 10, state=trainer.State(good)).epoch()
    assert good.any()


@pytest.mark.parametrize("bad", [-1, 300, 2**40, -(2**63), 2**63 - 1])
@pytest.mark.parametrize("at", [0, 150, 299])
def test_orders_of_examples_that_are_not_there(bad, at):
    net, X, Y, _ = problem(m=300)
    order, before = np.arange(300), net.copy()
    order[at] = bad
    with pytest.raises(ValueError, match=r"order: expected numbers of examples, 0 \.\.\. 299"):
        Trainer(net, X, Y, fs.SGD(), 50).epoch(order)

    def shuffle(m):
        return order

    with pytest.raises(ValueError, match=r"shuffle: expected .* permutation of 0 \.\.\. 299"):
        fs.train(net, X, Y, batch_size=50, shuffle=shuffle, epochs=2)
    assert net == before


@pytest.mark.parametrize("kind", [read_only, unaligned, lambda a: np.repeat(a, 2)[::2]])
def test_orders_in_any_memory(kind):
    nets = []
    for order in (np.arange(300)[::-1].copy(), kind(np.arange(300)[::-1].copy())):
        net, X, Y, _ = problem(m=300)
        Trainer(net, X, Y, fs.SGD(), 50).epoch(order)
        fs.train(net, X, Y, batch_size=50, shuffle=lambda m, order=order: order, epochs=2)
        nets.append(net)
    assert nets[0] == nets[1]


@pytest.mark.parametrize(
    "rates", [lambda t: 0.1, lambda t: t[:-1] * 0.1, lambda t: np.ones((2, 3))]
)
def test_schedules_with_rates_for_other_steps(rates):
    class Own(fs.Constant):
        def rates(self, steps):
            return rates(steps)

    net, X, Y, _ = problem(m=300)
    before = net.copy()
    with pytest.raises(ValueError, match="schedule: expected learning rates of shape"):
        fs.train(net, X, Y, batch_size=50, schedule=Own(), epochs=2)
    assert net == before
