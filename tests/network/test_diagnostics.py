"""diagnose: a network made to show each fault, healthy ones, and what it takes and gives."""

from __future__ import annotations

import sys
import tracemalloc

import numpy as np
import pytest
from matplotlib.figure import Figure

import fastshallow as fs
from fastshallow.network import diagnostics
from fastshallow.network.diagnostics import ADVICE, COLUMNS, NOTHING


@pytest.fixture
def X(rng):
    return rng.standard_normal((3, 500))


@pytest.fixture
def Y(X):
    return (X[0] * X[1] > 0).astype(int)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hidden", ["sigmoid", "tanh", "relu", "leaky_relu", "linear"])
@pytest.mark.parametrize("method", ["course", None])
def test_healthy_networks(hidden, method, dtype, X, Y):
    net = fs.Network((3, 16, 1), hidden, dtype=dtype).init(method, seed=0)
    found = fs.diagnose(net, X, Y)
    assert found.healthy, found
    assert [row.advice for row in found.rows] == [NOTHING] * 2
    fs.gradient_descent(net, X, Y, 0.5, 100)
    assert fs.diagnose(net, X, Y).healthy


@pytest.mark.parametrize("hidden", ["sigmoid", "tanh"])
def test_saturated_units(hidden, X, Y):
    net = fs.Network((3, 20, 1), hidden).init(seed=0)
    net.W1[:5] *= 1000
    net.b1[5] = -100  # not by large weights alone
    row = fs.diagnose(net, X).rows[0]
    assert row.saturated == 6 / 20
    assert row.faults == ("saturated",)
    # a factor that leaves most z where g bends
    net = fs.Network((3, 20, 1), hidden).init("glorot", 2.0, seed=0)
    assert fs.diagnose(net, X, Y).rows[0].saturated == 0


def test_one_example_out_of_many_does_not_wake_a_saturated_unit(X):
    net = fs.Network((3, 1, 1), "tanh").init(seed=0)
    net.W1 *= 1000
    X[:, 0] = 0
    assert fs.diagnose(net, X).rows[0].saturated == 1


def test_saturation_is_the_mean_slope():
    # tanh: 1 - a^2 is 1 at z = 0 and 0 at 50, so the mean over n examples, one at 0, is 1/n
    net = fs.Network((1, 1, 1), "tanh")
    net.W1, net.W2 = [[1.0]], [[1.0]]
    for n, saturated in ((9, 0), (11, 1)):
        X = np.full((1, n), 50.0)
        X[0, 3] = 0
        assert fs.diagnose(net, X).rows[0].saturated == saturated


@pytest.mark.parametrize("hidden", ["relu", "leaky_relu"])
def test_dead_units(hidden, X, Y):
    net = fs.Network((3, 8, 1), hidden).init(seed=0)
    net.b1[[1, 4]] = -100
    found = fs.diagnose(net, X, Y)
    assert found.rows[0].dead == 2 / 8
    assert found.rows[0].faults == ("dead",)
    assert not found.healthy
    # one example suffices to live
    X[:, 7] = 1000 * net.W1[1]
    assert fs.diagnose(net, X).rows[0].dead == 1 / 8


def test_a_dead_relu_output(X):
    net = fs.Network((3, 4, 1), "tanh", "relu").init(seed=0)
    net.b2 = [[-100]]
    found = fs.diagnose(net, X, np.ones(500))
    assert found.rows[1].dead == 1
    assert "dead" in found.rows[1].faults


def test_a_sure_output_is_no_fault(X):
    net = fs.Network((3, 4, 1), "tanh").init(seed=0)
    net.b2 = [[50]]
    row = fs.diagnose(net, X).rows[1]
    assert (row.saturated, row.dead, row.twins, row.faults) == (None, None, None, ())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hidden", ["tanh", "relu", "linear"])
def test_twins_of_zero_initialisation_stay(hidden, dtype, X, Y):
    net = fs.Network((3, 6, 1), hidden, dtype=dtype)
    net.b1, net.W2 = np.full((6, 1), 0.3), np.full((1, 6), 0.7)
    for _ in range(2):
        row = fs.diagnose(net, X, Y).rows[0]
        assert row.twins == 1
        assert ADVICE["twins"] in row.advice
        fs.gradient_descent(net, X, Y, 0.5, 200)
    assert np.abs(net.W1).max() > 0.01  # it has moved, all units together


def test_zeros_are_twins_in_every_hidden_layer(X, Y):
    found = fs.diagnose(fs.Network((3, 4, 5, 2), output="softmax"), X, Y)
    assert [row.twins for row in found.rows] == [1, 1, None]
    assert [row.saturated for row in found.rows] == [None] * 3
    assert found.rows[0].dead == 1
    assert ["zero" in row.faults for row in found.rows] == [True] * 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_pair_of_twins(dtype, X):
    net = fs.Network((3, 40, 2), "tanh", "softmax", dtype=dtype).init(seed=0)
    net.W1[7], net.W2[:, 7] = net.W1[31], net.W2[:, 31]
    assert fs.diagnose(net, X).rows[0].twins == 2 / 40
    net.W1[7] *= 1 + 10 * np.finfo(dtype).eps  # up to rounding
    assert fs.diagnose(net, X).rows[0].twins == 2 / 40
    for name, at in (("W1", (7, 0)), ("b1", (7, 0)), ("W2", (1, 7))):
        other = net.copy()
        getattr(other, name)[at] += 0.01
        assert fs.diagnose(other, X).rows[0].twins == 0, name


def test_twins_against_all_pairs(rng, X):
    # groups of several sizes, among units of very different size
    net = fs.Network((3, 60, 2), "tanh", "softmax").init(seed=0)
    copies = rng.integers(0, 40, 60)
    net.W1[:] = (net.W1 * 10.0 ** rng.integers(-4, 3, (60, 1)))[copies]
    net.W2[:] = net.W2[:, copies]
    equal = (copies[:, None] == copies).sum(axis=1) > 1
    assert fs.diagnose(net, X).rows[0].twins == pytest.approx(equal.mean(), abs=1e-12)


def test_vanishing_gradients(X, Y):
    deep = fs.Network((3, *[8] * 8, 1), "sigmoid").init(seed=0)
    found = fs.diagnose(deep, X, Y)
    assert found.rows[0].faults == ("vanishing",)
    assert found.rows[-1].faults == ()
    norms = [row.dW_norm for row in found.rows]
    assert norms == pytest.approx([np.linalg.norm(dW) for dW in deep.backward(X, Y).dW], rel=1e-5)
    assert norms[0] < 1e-3 * norms[-1]
    relu = fs.Network((3, *[8] * 8, 1), "relu").init(seed=0)
    assert all("vanishing" not in row.faults for row in fs.diagnose(relu, X, Y).rows)


def test_a_gradient_that_overflows(X):
    net = fs.Network((3, 4, 1), "linear", "linear").init(seed=0)
    net.W1 *= 1e20
    net.W2 *= 1e20
    found = fs.diagnose(net, X, np.zeros(500))
    assert "not finite" in found.rows[0].faults


def test_without_targets_there_are_no_norms(X):
    net = fs.Network((3, *[8] * 8, 1), "sigmoid").init(seed=0)
    found = fs.diagnose(net, X)
    assert [row.dW_norm for row in found.rows] == [None] * 9
    assert found.healthy


def test_no_hidden_layer(X, Y):
    found = fs.diagnose(fs.Network((3, 1)), X, Y)
    assert len(found.rows) == 1
    assert found.healthy


def test_pieces_are_not_seen(X, Y, monkeypatch):
    net = fs.Network((3, 5, 4, 1), ["tanh", "relu"]).init(seed=0)
    net.W1[:2] *= 300
    net.b2[1] = -50
    whole = fs.diagnose(net, X, Y).rows
    monkeypatch.setattr(diagnostics, "CHUNK_VALUES", 7 * sum(net.sizes))
    assert fs.diagnose(net, X, Y).rows == whole


def test_nothing_is_modified(X, Y):
    net = fs.Network((3, 5, 1), "tanh").init(seed=0)
    copy, X_before, Y_before = net.copy(), X.copy(), Y.copy()
    fs.diagnose(net, X, Y)
    assert net == copy
    assert np.array_equal(X, X_before)
    assert np.array_equal(Y, Y_before)


def test_memory_does_not_grow_with_the_examples(rng):
    net = fs.Network((2, 256, 1), "tanh").init(seed=0)
    peaks = []
    for m in (10_000, 100_000):
        X = rng.standard_normal((2, m), dtype=np.float32)
        fs.diagnose(net, X[:, :10])  # compiled, and its modules loaded
        tracemalloc.start()
        fs.diagnose(net, X)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 0.2 * 4 * 256 * 100_000  # Z alone of all examples


# What it shows -------------------------------------------------------------------------------


@pytest.fixture
def found(X, Y):
    net = fs.Network((3, 4, 5, 1), ["tanh", "relu"]).init(seed=0)
    net.b2[:] = -100
    return fs.diagnose(net, X, Y)


def test_text(found):
    lines = repr(found).splitlines()
    assert lines[0].split() == " ".join(COLUMNS).split()
    assert lines[1].split()[:5] == ["1", "tanh", "4", "0%", "0%"]
    assert lines[2].split()[:5] == ["2", "relu", "5", "100%", "0%"]
    assert lines[2].endswith(found.rows[1].advice)
    assert ADVICE["dead"] in found.rows[1].advice
    assert lines[3].split()[:3] == ["3", "sigmoid", "1"]
    assert (
        len({line.index(row.advice) for line, row in zip(lines[1:], found.rows, strict=True)}) == 1
    )
    assert str(found) == repr(found)


def test_html(found):
    html = found._repr_html_()
    assert html.count("<tr>") == 4
    assert html.count("<td>") == 3 * 8
    assert "z &lt;= 0" in html
    assert "<td>100%</td>" in html


def test_plot(found, X, Y):
    ax = found.plot(ax=Figure().subplots())
    heights = [[bar.get_height() for bar in group] for group in ax.containers]
    assert heights == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    net = fs.Network((3, 4, 5, 1), ["tanh", "relu"]).init(seed=0)
    net.W3[:] = 0  # so dW1 and dW2 are 0, and dW3 is not
    found = fs.diagnose(net, X, Y)
    ax = found.plot(ax=Figure().subplots())
    (right,) = (a for a in ax.figure.axes if a is not ax)
    (line,) = right.lines
    norms = [row.dW_norm or np.nan for row in found.rows]
    assert np.isnan(norms).tolist() == [True, True, False]
    assert np.array_equal(line.get_ydata(), norms, equal_nan=True)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["saturated", "dead", "twins", "norm of dW"]


def test_plot_without_norms(X):
    figure = Figure()
    fs.diagnose(fs.Network((3, 4, 1)), X).plot(figure.subplots())
    assert len(figure.axes) == 1
    figure.canvas.draw()


def test_plot_of_a_gradient_of_zeros(X, Y):
    figure = Figure()
    fs.diagnose(fs.Network((3, 4, 5, 2), output="softmax"), X, Y).plot(figure.subplots())
    assert len(figure.axes) == 1  # none with a logarithmic scale of nothing
    figure.canvas.draw()


def test_plot_needs_matplotlib(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="a plot needs matplotlib"):
        found.plot()


@pytest.mark.parametrize(
    ("X", "Y", "message"),
    [
        (np.zeros((2, 5)), None, r"X: expected shape \(3, m\)"),
        ([[0.0, 1], [0, np.nan], [0, 0]], None, r"X: expected finite float32 .* nan at \[1, 1\]"),
        (np.zeros((3, 5)), np.zeros(4), r"Y: expected shape \(1, 5\)"),
        (np.zeros((3, 2)), [0, 2], "Y: expected labels between 0 and 1"),
    ],
)
def test_bad_input(X, Y, message):
    with pytest.raises(ValueError, match=message):
        fs.diagnose(fs.Network((3, 4, 1)).init(seed=0), X, Y)


def test_a_bad_value_is_named_where_it_is(X, monkeypatch):
    net = fs.Network((3, 4, 1)).init(seed=0)
    monkeypatch.setattr(diagnostics, "CHUNK_VALUES", 10 * sum(net.sizes))
    X[2, 321] = np.inf
    with pytest.raises(ValueError, match=r"X: .* inf at \[2, 321\]"):
        fs.diagnose(net, X)


def test_bad_parameters(X):
    net = fs.Network((3, 4, 1)).init(seed=0)
    net.W1[0, 0] = np.nan
    with pytest.raises(ValueError, match="W1: expected finite parameters"):
        fs.diagnose(net, X)
    with pytest.raises(TypeError, match="net: expected a Network; got"):
        fs.diagnose("net", X)
