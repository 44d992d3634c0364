"""Each way through the kernels, with as few multiply-adds as it takes.

So they can be run as plain Python, where every branch is counted: see `.ci/kernel-passes`.
"""

from __future__ import annotations

import cases
import naive
import numpy as np
import pytest
from processes import script

import fastshallow as fs
from fastshallow import kernels
from fastshallow.kernels import few_examples
from fastshallow.kernels.layout import tile_length
from fastshallow.kernels.propagation import BAD_X
from fastshallow.kernels.split import block_count, tile_count
from fastshallow.simd import elementary
from fastshallow.training.trainer import Trainer

# Lanes over examples; over units; over units and, in the output layer, over examples.
SMALL = [((2, 4, 1), "tanh", "sigmoid", 300), ((3, 4, 2), "relu", "softmax", 3)]
SMALL += [((3, 9, 9, 3), "leaky_relu", "exp", 300), ((2, 2), [], "relu", 70)]
SMALL += [((3, 16, 4), "tanh", "softmax", 70), ((65, 3, 2), "tanh", "softmax", 20)]
# Weights that are packed, and a dZ; a first layer that copies X.
LARGE = [((5, 4, 3), "sigmoid", "softmax", 250), ((3, 64, 140, 1), "tanh", "linear", 60)]
LARGE += [((3, 512, 1), "relu", "sigmoid", 17), ((65, 257, 1), "relu", "sigmoid", 2)]
LARGE += [((65, 4, 3), "tanh", "softmax", 20), ((3, 70, 3), "relu", "softmax", 5)]
# Blocks and tiles: 1 and 1, whose scratch holds the examples of the step before; 1 and 3, which do
# not; 2 and 2; 2 and 4.
BLOCKS = {
    (1, 1): SMALL[1],
    (1, 3): ((2, 4, 1), "tanh", "sigmoid", 1030),
    (2, 2): ((3, 9, 9, 3), "sigmoid", "linear", 540),
    (2, 4): ((5, 9, 4), "tanh", "softmax", 1030),
}


def case_of(network, layout="C"):
    """Return the case of a network in float64."""
    sizes, hidden, output, m = network
    hidden = (hidden,) * (len(sizes) - 2) if hidden else ()
    return cases.Case(sizes, hidden, output, "float64", layout, m, 4)


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("network", SMALL + LARGE, ids=lambda n: "-".join(map(str, n[0])))
def test_cost_and_gradient(network, n_threads):
    case = case_of(network, "F" if network in LARGE else "C")
    drawn = cases.draw(case)
    options = drawn.options | {"n_threads": n_threads}
    J, g = drawn.net.cost_and_grad(drawn.X, drawn.Y, **options)
    cases.assert_gradient(case, drawn, J, g, cases.reference(case, drawn))
    assert drawn.net.cost(drawn.X, drawn.Y, **options) == J


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("layout", ["C", "F", "strided", "one_reversed", "other_float"])
@pytest.mark.parametrize("network", SMALL, ids=lambda n: "-".join(map(str, n[0])))
def test_outputs(network, layout, n_threads):
    drawn = cases.draw(case_of(network, layout))
    net, names = drawn.net, (*drawn.net.hidden, drawn.net.output)
    Z, A = naive.forward(*cases.exact_parameters(net), names, drawn.exact_X)
    values = net.forward(drawn.X)
    for found, wanted in zip((*values.Z, *values.A), (*Z, *A[1:]), strict=True):
        cases.assert_close(found, wanted, 1e-12, "Z and A")
    classes = net.output in ("sigmoid", "softmax")
    last = net.predict_proba if classes else net.predict
    # a few examples go another way, on the stack
    for n in (drawn.exact_X.shape[1], 2):
        X, P = drawn.X[:, :n], A[-1][:, :n]
        cases.assert_close(last(X, n_threads=n_threads), P, 1e-12, "A[L]")
        if net.output == "softmax":
            assert np.array_equal(net.predict(X, n_threads=n_threads), P.argmax(axis=0))
            out = np.empty(P.shape[1], np.int64)
            assert np.array_equal(net.predict(X, out=out), P.argmax(axis=0))
        elif net.output == "sigmoid":
            assert np.array_equal(net.predict(X, n_threads=n_threads), P > 0.5)
    X = np.array(drawn.exact_X)
    X[-1, -1] = np.inf
    for n in (0, -2):  # all, and a few
        with pytest.raises(ValueError, match="X: expected finite"):
            last(X[:, n:], n_threads=n_threads)
    with pytest.raises(ValueError, match="X: expected finite"):
        net.forward(X)


@pytest.mark.parametrize(("sizes", "m"), [((5, 9, 1), 70), ((65, 257, 1), 2)])
def test_examples_between_others_and_features_far_apart(sizes, m, rng):
    # a first layer that reads X as it lies, or not, for each of its strides
    net = fs.Network(sizes, "tanh", dtype="float64").init(seed=0)
    wide, Y = rng.standard_normal((m, sizes[0] + 2)), rng.integers(0, 2, m)
    between = wide[:, 1:-1].T
    wanted = net.cost(np.asfortranarray(between), Y)
    assert net.cost(between, Y) == wanted
    assert net.cost(np.ascontiguousarray(between), Y) == wanted
    wide[-1, 1] = np.nan
    with pytest.raises(ValueError, match="X: expected finite"):
        net.cost(between, Y)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("blocks", BLOCKS, ids=str)
def test_gradient_descent(blocks, n_threads):
    drawn = cases.draw(case_of(BLOCKS[blocks], "other_float"))  # a copy is taken of X
    m, layers = drawn.X.shape[1], drawn.net.layers
    assert blocks[0] == block_count(m, layers, 8)
    assert blocks[1] == tile_count(m, blocks[0], tile_length(layers, 8))
    W, b = cases.exact_parameters(drawn.net)
    names = (*drawn.net.hidden, drawn.net.output)
    options = (drawn.options["sample_weight"], drawn.options["alpha"])
    costs = []
    for _ in range(3):
        J, dW, db = naive.by_columns(W, b, names, drawn.exact_X, drawn.exact_Y, *options)
        costs.append(J)
        W = [p - 0.1 * d for p, d in zip(W, dW, strict=True)]
        b = [p - 0.1 * d for p, d in zip(b, db, strict=True)]
    found = fs.gradient_descent(drawn.net, drawn.X, drawn.Y, 0.1, 3, *options, n_threads=n_threads)
    cases.assert_close(found.cost, costs, 1e-13, "cost")
    for got, wanted in zip((*drawn.net.W, *drawn.net.b), (*W, *b), strict=True):
        cases.assert_close(got, wanted, 1e-12, "parameters")
    with pytest.raises(ValueError, match="X: expected finite"):
        fs.gradient_descent(drawn.net, drawn.exact_X * np.inf, drawn.Y, 0.1, 3)


def test_a_few_examples_that_are_refused():
    net = fs.Network((2, 3, 1), "tanh", dtype="float64").init(seed=0)
    model, X, nan = net.model, np.ones((2, 2)), np.nan
    predict = few_examples.predict_few
    assert predict(*model, X, nan, np.empty((1, 2))) == kernels.OK
    assert predict(*model, X[0], nan, np.empty((1, 1))) == kernels.OK
    assert predict(*model, X, nan, np.empty((1, 3))) == few_examples.OUT_SIZE
    assert predict(*model, X, nan, np.empty((2, 2))) == few_examples.OUT_SIZE
    assert predict(*model, X, nan, np.empty(2)) == few_examples.OUT_SIZE
    assert predict(*model, X[:1], nan, np.empty((1, 2))) == few_examples.X_SIZE
    assert predict(*model, X[:, ::-1], nan, np.empty((1, 2))) == few_examples.STRIDES
    assert predict(*model, X * np.inf, nan, np.empty((1, 2))) == BAD_X
    net.params[0] = nan
    assert predict(*model, X, nan, np.empty((1, 2))) == few_examples.OVERFLOW
    wide = fs.Network((2, 9000, 1)).init(seed=0)
    X = X.astype("f4")
    assert predict(*wide.model, X, nan, np.empty((1, 2), "f4")) == few_examples.STACK


def test_what_users_pass_wrongly():
    net = fs.Network((2, 3, 1), "tanh", dtype="float64").init(seed=0)
    model, X, nan = net.model, np.ones((2, 2)), np.nan
    wide = fs.Network((2, 9000, 1), dtype="float64").init(seed=0)
    short = (net.params[1:], net.layers, 0.01)
    for wrong in (
        (*short, X, nan, np.empty((1, 2))),
        (*model, X[:1], nan, np.empty((1, 2))),
        (*model, X, nan, np.empty((1, 3))),
        (*model, X, nan, np.empty((1, 2), np.int64)),
        (*model, X, nan, np.empty(2)),
        (*model, X[:, ::-1], nan, np.empty((1, 2))),
        (*wide.model, X, nan, np.empty((1, 2))),
    ):
        with pytest.raises(ValueError, match=r"kernels\.predict: .*: expected"):
            kernels.predict(*wrong)
        assert np.isnan(wrong[-1]).all() if wrong[-1].dtype == float else (wrong[-1] == -1).all()
    out = np.zeros((1, 2))
    assert kernels.predict(*model, X, nan, out) == kernels.OK and np.all(out > 0)
    assert kernels.predict(*model, X * np.inf, nan, out) == BAD_X and np.isnan(out).all()
    net.params[0] = nan
    assert kernels.predict(*model, X, nan, out) == few_examples.OVERFLOW and np.isnan(out).all()


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize("labels", [False, True])
def test_batches_are_gathered(layout, labels, n_threads):
    # two tiles of a batch, and a last one that is smaller; an epoch of them is one over all
    case = cases.Case((5, 4, 3), ("tanh",), "softmax", "float64", layout, 260, 4 + labels)
    drawn = cases.draw(case)
    w = np.arange(260) % 3
    order = np.random.default_rng(0).permutation(260).reshape(1, -1)
    given = drawn.exact_Y.argmax(axis=0) if labels else drawn.Y
    trained = Trainer(drawn.net, drawn.X, given, fs.SGD(0.5), 250, w, 0.5, n_threads)
    W, b = cases.exact_parameters(drawn.net)
    v = 0.0
    for batch in (order[0, :250], order[0, 250:]):
        X, Y = drawn.exact_X[:, batch], drawn.exact_Y[:, batch]
        _, dW, db = naive.by_columns(W, b, ("tanh", "softmax"), X, Y, w[batch], 0.5)
        g = np.concatenate([a.T.ravel() for pair in zip(dW, db, strict=True) for a in pair])
        now = np.concatenate([a.T.ravel() for pair in zip(W, b, strict=True) for a in pair])
        v = 0.9 * v - 0.5 * g
        moved = fs.Network(drawn.net.sizes, "tanh", "softmax", "float64")
        moved.params[...] = now + 0.9 * v - 0.5 * g
        W, b = cases.exact_parameters(moved)
    list(trained.epochs(1, order))
    cases.assert_close(drawn.net.params, moved.params, 1e-12, "parameters")


def test_bad_data_of_every_kind():
    for output, bad in (("sigmoid", 2.0), ("exp", -1.0), ("softmax", 0.5), ("linear", np.nan)):
        net = fs.Network((2, 3, 2), "tanh", output, "float64").init(seed=0)
        Y = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
        net.cost(np.ones((2, 3)), Y)
        Y[0, 2] = bad
        with pytest.raises(ValueError, match="Y: expected"):
            net.cost(np.ones((2, 3)), Y)
    with pytest.raises(ValueError, match="Y: expected"):
        fs.Network((2, 2), [], "softmax").init(seed=0).cost(np.ones((2, 3)), [0, 2, 1])


@pytest.mark.parametrize("n", [1, 2, 5])
def test_logarithms_and_sums_of_exponentials(n):
    z = np.linspace(-3.0, 4.0, 7)
    wanted = np.log(np.exp(z[1 : 1 + n]).sum())
    assert elementary.log_sum_exp(z, 1, n) == pytest.approx(wanted, rel=1e-14)
    assert elementary.log_sum_exp(np.array([-np.inf, np.inf]), 0, 1) == -np.inf
    for x in (1e-310, 0.3, 1.0, 1.6, 1e300):
        assert elementary.log(x) == pytest.approx(np.log(x), rel=1e-14)
        assert elementary.log1p(x) == pytest.approx(np.log1p(x), rel=1e-14)


@pytest.mark.slow_in_plain_python
def test_an_index_outside_is_found_where_bounds_are_checked(tmp_path):
    source = """
        import numpy as np
        from fastshallow.kernels import losses
        from fastshallow.kernels.activations import SIGMOID

        scratch, weight = np.zeros(7), np.zeros(0)
        print(losses.output_step(SIGMOID, scratch, 0, 2, 3, 4, 1, 1, 1, 1, weight, 0))
        try:
            losses.output_step(SIGMOID, scratch, 0, 2, 6, 4, 2, 1, 1, 1, weight, 0)
        except IndexError as error:
            print(error)
        """
    lines = script(source, NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(tmp_path)).splitlines()
    assert len(lines) == 2 and "out of bounds" in lines[1]
