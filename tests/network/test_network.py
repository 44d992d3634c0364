"""The network as an object: its views, methods and what they return."""

from __future__ import annotations

import copy
import pickle

import cases
import naive
import numpy as np
import pytest
from sklearn.metrics import r2_score

import fastshallow as fs


@pytest.fixture
def net():
    """A network with two hidden layers."""
    return fs.Network((3, 5, 4, 2), ["tanh", "leaky_relu"], "linear", "float64", 0.2).init(seed=0)


def test_one_vector_holds_W_transposed_then_b_layer_by_layer(net):
    parts = [part for W, b in zip(net.W, net.b, strict=True) for part in (W.T.ravel(), b.ravel())]
    assert np.array_equal(net.params, np.concatenate(parts))
    assert net.params.flags.c_contiguous
    assert [W.shape for W in net.W] == [(5, 3), (4, 5), (2, 4)]
    assert [b.shape for b in net.b] == [(5, 1), (4, 1), (2, 1)]


def test_names_are_views(net):
    for i in (1, 2, 3):
        assert getattr(net, f"W{i}") is net.W[i - 1]
        assert getattr(net, f"b{i}") is net.b[i - 1]
        assert np.shares_memory(net.W[i - 1], net.params)
        assert f"W{i}" in dir(net)
    net.W2[1, 3] = 7
    net.b3[0] = 8
    # W2 begins behind 5 * 3 + 5 parameters, and its (1, 3) is (3, 1) of the transpose
    assert net.params[20 + 3 * 4 + 1] == 7
    assert net.params[-2] == 8
    net.params[0] = 9
    assert net.W1[0, 0] == 9


def test_assignment_copies(net):
    mine = np.ones((5, 3))
    net.W1 = mine
    mine[0, 0] = 5
    assert net.W1[0, 0] == 1
    assert np.shares_memory(net.W1, net.params)
    net.params = np.arange(net.params.size)
    assert net.W1[0, 1] == 5
    net.W1 -= 1
    assert net.W1[0, 1] == 4
    net.b1 = [[1], [2], [3], [4], [5]]
    assert net.b1[4, 0] == 5


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("W1", np.ones((3, 5)), ValueError, r"W1: expected shape \(5, 3\); got shape \(3, 5\)"),
        ("b2", np.ones(4), ValueError, r"b2: expected shape \(4, 1\); got shape \(4,\)"),
        ("W1", 1.0, ValueError, r"W1: expected shape \(5, 3\); got shape \(\)"),
        ("params", np.ones(3), ValueError, r"params: expected shape \(54,\); got shape \(3,\)"),
        ("W1", "abc", TypeError, "W1: expected real numbers; got dtype <U3"),
        ("W1", [[1], [2, 3]], ValueError, "W1: expected an array of numbers"),
        ("W4", np.ones((2, 2)), AttributeError, "'W4' of a Network cannot be set"),
        ("output", "sigmoid", AttributeError, "'output' of a Network cannot be set"),
        ("sizes", (3, 2), AttributeError, "'sizes' of a Network cannot be set"),
        ("nonsense", 1, AttributeError, "'nonsense' of a Network cannot be set"),
    ],
)
def test_wrong_assignment_changes_nothing(net, name, value, error, message):
    before = net.params.copy()
    with pytest.raises(error, match=message):
        setattr(net, name, value)
    assert np.array_equal(net.params, before)


def test_unknown_attributes(net):
    for name in ("W0", "W4", "b04", "Wx", "dW1", "nonsense"):
        with pytest.raises(AttributeError, match=name):
            getattr(net, name)


def test_copies_have_parameters_of_their_own(net):
    others = [net.copy(), copy.copy(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))]
    for other in others:
        assert other == net
        assert repr(other) == repr(net)
        assert not np.shares_memory(other.params, net.params)
        assert np.shares_memory(other.W1, other.params)
        other.W1[0, 0] += 1
        assert other != net


def test_equality_is_of_architecture_and_parameters(net):
    others = [
        fs.Network((3, 5, 4, 2), ["tanh", "leaky_relu"], "linear", "float64", 0.3),
        fs.Network((3, 5, 4, 2), ["tanh", "leaky_relu"], "relu", "float64", 0.2),
        fs.Network((3, 5, 4, 2), ["tanh", "relu"], "linear", "float64", 0.2),
        fs.Network((3, 5, 4, 2), ["tanh", "leaky_relu"], "linear", "float32", 0.2),
        fs.Network((3, 4, 5, 2), ["tanh", "leaky_relu"], "linear", "float64", 0.2),
    ]
    for other in others:
        assert other != net
    assert net != "net"
    with pytest.raises(TypeError, match="unhashable"):
        hash(net)


@pytest.mark.parametrize(
    "arguments",
    [
        {"sizes": (3, 1)},
        {"sizes": (3, 4, 1)},
        {"sizes": (3, 4, 5, 2), "hidden": ["tanh", "relu"], "output": "softmax"},
        {"sizes": (3, 4, 2), "hidden": "leaky_relu", "leaky_slope": 0.3, "dtype": "float64"},
    ],
)
def test_repr_builds_the_network_again(arguments):
    net = fs.Network(**arguments)
    assert eval(repr(net), {"Network": fs.Network}) == net


def test_representations(net):
    assert repr(fs.Network((2, 4, 1), "tanh")) == (
        "Network((2, 4, 1), hidden='tanh', output='sigmoid', dtype='float32')"
    )
    X, Y = np.ones((3, 2)), np.ones((2, 2))
    assert repr(net.backward(X, Y)) == "Gradient(dW1, db1, dW2, db2, dW3, db3)"
    assert repr(net.forward(X)) == "LayerValues(Z1, A1, Z2, A2, Z3, A3)"
    assert {"dW1", "db3"} <= set(dir(net.backward(X, Y)))
    assert {"Z1", "A3"} <= set(dir(net.forward(X)))


def test_gradient_names_are_views(net):
    g = net.backward(np.ones((3, 2)), np.ones((2, 2)))
    assert g.dW2 is g.dW[1]
    g.db3[1] = 9
    assert g.vector[-1] == 9
    assert g.vector.dtype == net.dtype


@pytest.mark.parametrize("output", cases.OUTPUTS)
def test_shapes_and_dtypes_of_predictions(output, rng):
    X = rng.standard_normal((3, 10))
    net = fs.Network((3, 5, 2), output=output).init(seed=0)
    prediction, values = net.predict(X), net.forward(X).A2
    if output == "sigmoid":
        assert np.array_equal(prediction, (values > 0.5).astype(int))
    elif output == "softmax":
        assert np.array_equal(prediction, values.argmax(axis=0))
    else:
        assert np.array_equal(prediction, values)
    if output in ("sigmoid", "softmax"):
        assert prediction.dtype == np.int64
        assert np.array_equal(net.predict_proba(X), values)
    else:
        with pytest.raises(AttributeError, match="predict_proba needs output sigmoid or softmax"):
            net.predict_proba(X)
    # one example may come as a vector
    assert np.array_equal(net.predict(X[:, 0]), prediction[..., :1])


def test_threshold():
    net = fs.Network((1, 1), dtype="float64")
    net.W1 = [[1.0]]
    X = np.array([[-2.0, 0.0, 2.0]])  # a = 0.12, 0.5, 0.88
    assert net.predict(X).tolist() == [[0, 0, 1]]  # 0.5 itself is not above 0.5
    assert net.predict(X, threshold=0.1).tolist() == [[1, 1, 1]]
    assert net.predict(X, threshold=0.9).tolist() == [[0, 0, 0]]
    for wrong in ("half", None, np.nan):
        with pytest.raises((TypeError, ValueError), match="threshold: expected a finite number"):
            net.predict(X, threshold=wrong)


@pytest.mark.parametrize("output", cases.OUTPUTS)
def test_out_is_filled_and_returned(output, rng):
    X = rng.standard_normal((3, 7))
    net = fs.Network((3, 4, 2), output=output).init(seed=0)
    wanted = net.predict(X)
    for kind in ("float64", "float32") + (("int8",) if output in ("sigmoid", "softmax") else ()):
        for order in "CF":
            out = np.empty(wanted.shape, kind, order=order)
            assert net.predict(X, out=out) is out
            assert np.array_equal(out, wanted)


def test_wrong_out(rng):
    X = rng.standard_normal((3, 7))
    net = fs.Network((3, 4, 2), output="linear").init(seed=0)
    read_only = np.zeros((2, 7))
    read_only.setflags(write=False)
    for out in (np.zeros((7, 2)), read_only, [[0.0] * 7] * 2):
        with pytest.raises(ValueError, match=r"out: expected a writable array of shape \(2, 7\)"):
            net.predict(X, out=out)
    with pytest.raises(ValueError, match=r"got shape \(2, 7\), read-only"):
        net.predict(X, out=read_only)
    out = np.full((2, 7), 5)
    with pytest.raises(TypeError, match="out: expected a dtype that holds predictions; got int64"):
        net.predict(X, out=out)
    X[0, 0] = np.nan
    out = np.full((2, 7), 5.0)
    with pytest.raises(ValueError, match="X: expected finite"):
        net.predict(X, out=out)
    assert (out == 5).all()


# One example or a few take a path of their own, which these compare with the other.
FEW = [
    ((30, 64, 1), "sigmoid"),
    ((3, 5, 2), "linear"),
    ((4, 7, 3), "softmax"),
    ((2, 4, 1), "sigmoid"),
    ((5, 1), "exp"),
    ((6, 9, 20, 12), "softmax"),
    ((3, 5, 2), "sigmoid"),
    # layers of 2 and 3 units are copied, each by itself: all weights would not fit on the stack
    ((90, 100, 3), "softmax"),
    ((20, 3, 120, 2, 60, 3), "softmax"),
    ((150, 2), "linear"),
    # the output layer has a copy of A[1] of its own
    ((64, 32, 10), "softmax"),
    ((3, 16, 4), "linear"),
]


@pytest.mark.parametrize("m", [1, 2, 13])
@pytest.mark.parametrize(("sizes", "output"), FEW)
def test_few_examples_are_predicted_as_many_are(sizes, output, m, rng):
    net = fs.Network(sizes, "tanh", output).init(seed=0)
    rows = rng.standard_normal((m, sizes[0]), "f4")
    wanted = net.predict(rows.T, n_threads=1)
    for X in (rows.T, np.ascontiguousarray(rows.T), *([rows[0]] if m == 1 else [])):
        for dtype in ("f4", "i8") if output in ("sigmoid", "softmax") else ("f4",):
            out = np.full_like(wanted, -1, dtype=dtype)
            before = X.copy()
            assert net._predict_few(X, 0.5, out)
            assert np.array_equal(out, wanted) and np.array_equal(X, before)
        assert np.array_equal(net.predict(X), wanted)
        if output in ("sigmoid", "softmax"):
            assert np.array_equal(net.predict_proba(X), net.predict_proba(X, n_threads=1))


def test_what_the_path_for_few_examples_refuses_changes_nothing(rng):
    net = fs.Network((30, 64, 1), "tanh").init(seed=0)
    x, out = rng.standard_normal(30, "f4"), np.full((1, 1), 7, "f4")
    bad = x.copy()
    bad[29] = np.inf
    for wrong, message in ((bad, "X: expected finite"), (x[:29], "X: expected shape")):
        with pytest.raises(ValueError, match=message):
            net.predict(wrong, out=out)
    with pytest.raises(ValueError, match="threshold"):
        net.predict(x, threshold=float("nan"), out=out)
    with pytest.raises(ValueError, match="out: expected"):
        net.predict(x, out=np.empty((1, 2), "f4"))
    net.b2[:] = np.nan
    with pytest.raises(ValueError, match="b2: expected finite"):
        net.predict(x, out=out)
    assert out == 7


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("sizes", "output"), [FEW[0], FEW[3], FEW[4], FEW[-1], ((4, 3, 9, 2), "softmax")]
)
def test_one_row_finds_every_parameter_that_is_not_finite(sizes, output, bad, rng):
    net = fs.Network(sizes, "relu", output).init("glorot", seed=0)
    # zeros, and units that relu leaves at 0, are multiplied too
    x, out = np.zeros((sizes[0], 1), "f4"), np.full((sizes[-1], 1), 7, "f4")
    assert net._predict_few(x, np.nan, out)
    before = out.copy()
    for p in rng.permutation(net.params.size)[:60]:
        kept, net.params[p] = net.params[p], bad
        assert not net._predict_few(x, np.nan, out)
        assert np.array_equal(out, before)
        with pytest.raises(ValueError, match="expected finite"):
            net.predict(x)
        net.params[p] = kept


def test_one_row_whose_linear_step_overflows():
    net = fs.Network((2, 1, 1), "relu", "sigmoid").init(seed=0)
    net.params[:] = 3e38
    x = np.ones((2, 1), "f4")
    assert not net._predict_few(x, np.nan, np.empty((1, 1), "f4"))
    assert net.predict_proba(x) == net.predict_proba(x, n_threads=1) == 1


def test_a_network_too_large_for_the_stack_predicts_one_row(rng):
    net = fs.Network((50, 9000, 1), "tanh", "linear").init(seed=0)
    x, out = rng.standard_normal(50, "f4"), np.empty((1, 1), "f4")
    assert not net._predict_few(x, 0.5, out)
    assert net.predict(x, out=out) is out
    assert out == net.predict(x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m", [1, 2, 17, 48, 193, 700, 1024])
def test_out_that_shares_memory_with_x(m, dtype, rng):
    # 200 units: a tile of the path for few examples is shorter than most of these counts, and
    # what it writes may be what the next one reads
    net = fs.Network((2, 200, 2), "tanh", "linear", dtype).init(seed=0)

    def pairs(memory):
        rows, columns = memory.reshape(-1, 2), memory.reshape(2, -1)
        yield "the same", rows[:m].T, rows[:m].T
        yield "one further", rows[:m].T, rows[1 : m + 1].T
        yield "all further", rows[: m + 1][:m].T, rows[m : 2 * m].T
        yield "reversed", rows[:m].T, rows[:m][::-1].T
        yield "exchanged", columns[:, :m], columns[::-1, :m]
        yield "one in the other", columns[:, :m], memory[: 2 * m].reshape(m, 2).T

    size = 4 * m + 8
    for i, (name, X, _) in enumerate(pairs(rng.standard_normal(size).astype(dtype))):
        wanted = net.predict(X.copy())
        memory = np.zeros(size, dtype)
        _, X_here, out = list(pairs(memory))[i]
        X_here[...] = X
        assert net.predict(X_here, out=out) is out
        assert np.array_equal(out, wanted), name


def test_out_that_shares_memory_with_x_and_a_step_that_overflows():
    # the last example goes the other way after the first ones were written
    net = fs.Network((2, 200, 2), "linear", "linear").init(seed=0)
    net.W1 = np.ones((200, 2))
    X = np.ones((2, 1024), "f4")
    X[:, -1] = 3e38
    wanted = net.predict(X.copy(), n_threads=1)
    assert not np.isfinite(wanted[:, -1]).all()
    assert net.predict(X, out=X) is X
    assert np.array_equal(X, wanted, equal_nan=True)


def test_score_is_accuracy_or_r2(rng):
    X, w = rng.standard_normal((3, 50)), rng.random(50)
    net = fs.Network((3, 4, 1), "tanh").init(seed=0)
    Y = rng.integers(0, 2, 50)
    right = net.predict(X)[0] == Y
    assert net.score(X, Y) == right.mean()
    assert net.score(X, Y, w) == pytest.approx(np.average(right, weights=w))
    net = fs.Network((3, 4, 3), "tanh", "softmax").init(seed=0)
    Y = rng.integers(0, 3, 50)
    right = net.predict(X) == Y
    assert net.score(X, Y) == net.score(X, np.eye(3)[:, Y]) == right.mean()
    assert net.score(X, Y, w) == pytest.approx(np.average(right, weights=w))
    net = fs.Network((3, 4, 2), "tanh", "linear", "float64").init(seed=0)
    Y = rng.standard_normal((2, 50))
    assert net.score(X, Y) == pytest.approx(r2_score(Y.T, net.predict(X).T))
    net = fs.Network((3, 4, 2), "tanh", "sigmoid").init(seed=0)
    Y = rng.integers(0, 2, (2, 50))
    assert net.score(X, Y) == (net.predict(X) == Y).all(axis=0).mean()


@pytest.mark.parametrize(("dtype", "unit"), [("float32", 1e30), ("float64", 1e300)])
def test_r2_knows_no_unit(dtype, unit):
    net = fs.Network((1, 1), output="linear", dtype=dtype)
    net.W1 = [[unit]]
    X, Y = np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 2.0, 4.0]])
    expected = 1 - 1 / ((Y - Y.mean()) ** 2).sum()
    assert net.score(X, unit * Y) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("output", cases.OUTPUTS)
def test_sample_weights_count_examples(output, rng):
    X, Y = rng.standard_normal((3, 6)), cases.draw_targets(rng, output, 2, 6)
    w = np.array([3, 0, 1, 0, 2, 5])
    net = fs.Network((3, 4, 2), "tanh", output, "float64").init(seed=0)
    J, g = net.cost_and_grad(X, Y, sample_weight=w, alpha=0.5)
    # an example of weight 3 stands there three times, one of weight 0 never
    J_repeated, g_repeated = net.cost_and_grad(X.repeat(w, 1), Y.repeat(w, 1), alpha=0.5)
    assert pytest.approx(J_repeated, rel=1e-14) == J
    cases.assert_close(g.vector, g_repeated.vector, 1e-13, output)
    J_ones, g_ones = net.cost_and_grad(X, Y, sample_weight=np.ones(6))
    J_none, g_none = net.cost_and_grad(X, Y)
    assert J_ones == J_none
    assert np.array_equal(g_ones.vector, g_none.vector)


def test_alpha_penalizes_weights_not_biases(rng):
    X, Y = rng.standard_normal((3, 6)), rng.integers(0, 2, 6)
    net = fs.Network((3, 4, 1), "tanh", dtype="float64").init(seed=0)
    net.b1, net.b2 = np.ones((4, 1)), [[2.0]]
    J, g = net.cost_and_grad(X, Y)
    J_alpha, g_alpha = net.cost_and_grad(X, Y, alpha=3)
    squares = np.sum(net.W1**2) + np.sum(net.W2**2)
    assert J_alpha - J == pytest.approx(3 / (2 * 6) * squares)
    cases.assert_close(g_alpha.dW1 - g.dW1, 3 / 6 * net.W1, 1e-14, "dW1")
    assert np.array_equal(g_alpha.db1, g.db1)
    assert np.array_equal(g_alpha.db2, g.db2)


def test_class_numbers_are_one_hot_columns(rng):
    X, Y = rng.standard_normal((3, 20)), rng.integers(0, 4, 20)
    net = fs.Network((3, 5, 4), output="softmax").init(seed=0)
    J, g = net.cost_and_grad(X, Y)
    for other in (np.eye(4)[:, Y], np.eye(4)[:, Y].astype(bool), Y.tolist(), Y.astype(np.uint8)):
        J_other, g_other = net.cost_and_grad(X, other)
        assert J_other == J
        assert np.array_equal(g_other.vector, g.vector)


def test_one_example_as_vectors():
    net = fs.Network((3, 4, 2), output="linear").init(seed=0)
    x, y = [1.0, 2.0, 3.0], [0.5, -0.5]
    assert net.cost(x, y) == net.cost(np.array([x]).T, np.array([y]).T)
    net = fs.Network((3, 4, 2), output="softmax").init(seed=0)
    assert net.cost(x, 1) == net.cost(x, [1]) == net.cost(x, [[0], [1]])


def test_forward_has_every_layer_of_the_notes(net, rng):
    X = rng.standard_normal((3, 60))
    values = net.forward(X)
    names = ("tanh", "leaky_relu", "linear")
    Z, A = naive.forward(net.W, net.b, names, X, slope=0.2)
    for i in range(3):
        assert getattr(values, f"Z{i + 1}").shape == (net.sizes[i + 1], 60)
        cases.assert_close(values.Z[i], Z[i], 1e-14, f"Z{i + 1}")
        cases.assert_close(values.A[i], A[i + 1], 1e-14, f"A{i + 1}")


# Made without the constructor ------------------------------------------------------------------


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "state": cases.by_dict,
    "method": lambda thing: thing.copy() if hasattr(thing, "copy") else copy.copy(thing),
    **{
        f"pickle {protocol}": lambda thing, p=protocol: pickle.loads(pickle.dumps(thing, p))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}


def is_whole(net):
    """Assert that parameters and views are one, and what the kernels read."""
    net.params = np.arange(net.params.size)
    parts = [a for W, b in zip(net.W, net.b, strict=True) for a in (W.T.ravel(), b.ravel())]
    assert np.array_equal(net.params, np.concatenate(parts))
    for array in (*net.W, *net.b):
        assert np.shares_memory(array, net.params) and array.flags.writeable
    net.params = 0.0 * net.params
    net.W[-1][...] = 1
    getattr(net, f"b{len(net.b)}")[...] = 2
    X = np.zeros((net.sizes[0], 3))
    m = net.forward(X).Z[-1].shape[1]
    assert np.array_equal(net.forward(X).Z[-1], np.full((net.sizes[-1], m), 2))
    before = net.copy()
    fs.train(net, X + 1, np.ones((net.sizes[-1], 3)), epochs=2)
    assert net != before
    assert net.params.flags.aligned and net.params.flags.owndata is False


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("frozen", [False, True])
def test_a_copy_of_any_kind_is_whole_and_its_own(net, way, frozen):
    net.params.flags.writeable = not frozen
    other = COPIES[way](net)
    assert type(other) is fs.Network and other == net and repr(other) == repr(net)
    assert not np.shares_memory(other.params, net.params)
    before = net.params.copy()
    is_whole(other)
    assert np.array_equal(net.params, before)


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_of_a_gradient_has_views_of_its_own(net, way):
    g = net.backward(np.ones((3, 2)), np.ones((2, 2)))
    other = COPIES[way](g)
    assert np.array_equal(other.vector, g.vector)
    other.dW1[0, 0], other.db[2][1] = 7, 9
    assert (other.vector[0], other.vector[-1]) == (7, 9)
    other.vector = np.zeros(g.vector.size)
    assert not other.dW1.any() and g.vector.any()


def test_nothing_takes_the_place_of_a_view(net):
    """By name, by item or by the dict: it is copied in, or refused."""
    g = net.backward(np.ones((3, 2)), np.ones((2, 2)))
    for thing, vector, name in ((net, net.params, "W"), (g, g.vector, "dW")):
        arrays = getattr(thing, name)
        arrays[0] = np.full(arrays[0].shape, 5.0)
        assert vector[0] == 5
        setattr(thing, f"{name}1", np.full(arrays[0].shape, 6.0))
        assert vector[0] == 6
        arrays[:] = [np.full(a.shape, 7.0) for a in arrays]
        assert vector[0] == 7
        arrays[0] *= 2
        assert vector[0] == 14
        for wrong in (np.ones((2, 2)), 3.0, np.ones(15)):
            with pytest.raises(ValueError, match=r"expected shape \(5, 3\)"):
                arrays[0] = wrong
            with pytest.raises(ValueError, match=r"expected shape \(5, 3\)"):
                setattr(thing, f"{name}1", wrong)
        arrays.clear()
        assert len(getattr(thing, name)) == 3
        with pytest.raises(AttributeError):
            setattr(thing, name, [1, 2, 3])
        with pytest.raises(TypeError):
            vars(thing).update(params=np.zeros(3))
    with pytest.raises(AttributeError):
        net.layers = net.layers.copy()
    for name in ("params", "W1", "layers", "_memory", "W"):
        with pytest.raises(AttributeError, match="cannot be deleted"):
            delattr(net, name)


def state_of(net, **changes):
    """Return a network's state with changes; None leaves out."""
    state = net.__getstate__() | changes
    return {name: value for name, value in state.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"params": np.zeros(3)}, r"params: expected shape \(54,\); got shape \(3,\)"),
        ({"params": np.zeros((54, 1))}, "params: expected shape"),
        ({"params": np.zeros(54, "f4")}, "params: expected dtype float64; got float32"),
        ({"params": np.zeros(54, "O")}, "params: expected real numbers"),
        ({"params": "zeros"}, "params: expected real numbers"),
        ({"params": None}, "state of a Network: expected sizes, .*params; got"),
        ({"leaky_slope": None}, "state of a Network: expected sizes"),
        ({"W": [1]}, "state of a Network: expected sizes"),
        ({"sizes": [3, 5, 4]}, "hidden: expected one name, or 1"),
        ({"sizes": "abc"}, r"sizes\[0\]"),
        ({"dtype": "float16"}, "dtype: expected float32 or float64"),
        ({"hidden": ["cubic", "relu"]}, "hidden: expected one of"),
    ],
)
def test_a_state_that_is_none(net, changes, message):
    made = object.__new__(fs.Network)
    with pytest.raises((TypeError, ValueError), match=message):
        made.__setstate__(state_of(net, **changes))
    with pytest.raises(AttributeError, match="made without its constructor"):
        made.predict(np.ones((3, 1)))
    for state in (None, [], (None, {"params": np.zeros(54)})):
        with pytest.raises(ValueError, match="state of a Network"):
            made.__setstate__(state)
    before = net.copy()  # one that lives is as it was
    with pytest.raises((TypeError, ValueError), match=message):
        net.__setstate__(state_of(net, **changes))
    assert net == before
    is_whole(net)


def test_a_state_with_parameters_in_other_orders_of_bytes(net):
    made = object.__new__(fs.Network)
    for params in (net.params.astype(">f8"), net.params.astype("<f8")):
        made.__setstate__(state_of(net, params=params))
        assert made == net
        is_whole(made)


@pytest.mark.parametrize("use", ["predict", "copy", "W1", "params", "init", "model", "sizes"])
def test_one_that_is_not_made_says_so(use):
    made = object.__new__(fs.Network)
    with pytest.raises(AttributeError, match="made without its constructor"):
        value = getattr(made, use)
        value(np.ones((1, 1))) if use == "predict" else value()


# Parameters that the caller made read-only -----------------------------------------------------

WRITE = {
    "init": lambda net, X, Y: net.init(seed=1),
    "params": lambda net, X, Y: setattr(net, "params", np.zeros(net.params.size)),
    "W1": lambda net, X, Y: setattr(net, "W1", np.zeros((5, 3))),
    "b[2]": lambda net, X, Y: net.b.__setitem__(2, np.zeros((2, 1))),
    "gradient_descent": lambda net, X, Y: fs.gradient_descent(net, X, Y, 0.1, 2),
    "train": lambda net, X, Y: fs.train(net, X, Y, epochs=2),
    "lbfgs": lambda net, X, Y: fs.train(net, X, Y, fs.LBFGS(), epochs=2),
}


@pytest.mark.parametrize("m", [2, 1000])
def test_read_only_parameters(net, m, rng):
    X, Y = rng.standard_normal((3, m)), rng.standard_normal((2, m))
    before = net.copy()
    out = np.empty((2, m))
    wanted = [net.predict(X), net.forward(X).A3, *net.cost_and_grad(X, Y), net.score(X, Y)]
    net.params.flags.writeable = False
    for write in WRITE.values():
        with pytest.raises(ValueError, match=r"params: expected writable|writable params"):
            write(net, X, Y)
    for view in (net.params, net.W1, net.b[2]):
        with pytest.raises(ValueError, match="read-only"):
            view[...] = 0
    assert net == before
    found = [net.predict(X, out=out), net.forward(X).A3, *net.cost_and_grad(X, Y), net.score(X, Y)]
    for a, b in zip(found, wanted, strict=True):
        assert np.array_equal(getattr(a, "vector", a), getattr(b, "vector", b))
    fs.gradient_check(net, X[:, :2], Y[:, :2])
    net.params.flags.writeable = True
    is_whole(net)


@pytest.mark.parametrize("optimizer", [fs.Adam(), fs.LBFGS()], ids=["adam", "lbfgs"])
def test_parameters_that_a_callback_makes_read_only(net, optimizer, rng):
    class Freeze:
        def on_epoch_end(self, state):
            state.net.params.flags.writeable = False
            self.params = state.net.params.copy()

    freeze = Freeze()
    with pytest.raises(ValueError, match="params: expected writable"):
        fs.train(
            *(net, rng.standard_normal((3, 20)), rng.standard_normal((2, 20)), optimizer),
            callbacks=[freeze],
        )
    assert np.array_equal(net.params, freeze.params)


@pytest.mark.parametrize("m", [1, 2, 3, 100, 2000])
def test_predictions_into_the_parameters_themselves(m, rng):
    # the kernel for a few examples would read what it has written
    net = fs.Network((3, 40, 2), "tanh", "linear", "float64").init(seed=0)
    X = rng.standard_normal((3, m))
    wanted = net.predict(X)
    for start in (0, 5):
        other = net.copy()
        if 2 * m + start > other.params.size:
            continue
        out = other.params[start : start + 2 * m].reshape(2, m)
        assert np.array_equal(other.predict(X, out=out), wanted)


def test_an_unaligned_place_for_predictions(net, rng):
    X = rng.standard_normal((3, 4))
    memory = np.zeros(2 * 4 * 8 + 1, np.uint8)
    out = memory[1:].view("f8").reshape(2, 4)
    assert not out.flags.aligned
    assert np.array_equal(net.predict(X, out=out), net.predict(X))
