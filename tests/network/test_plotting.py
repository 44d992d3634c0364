"""The loss curve."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

import fastshallow as fs
from fastshallow.network.plotting import cost_png


def test_draws_the_costs_by_step():
    ax = Figure().subplots()
    assert fs.plot_cost([3.0, 2.0, 1.0], ax=ax) is ax
    (line,) = ax.lines
    assert line.get_ydata().tolist() == [3, 2, 1]
    assert line.get_xdata().tolist() == [0, 1, 2]  # cost[i] is J before step i
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "cost J")
    assert ax.get_legend() is None


def test_validation_is_a_second_curve_with_a_legend():
    ax = fs.plot_cost([3.0, 2.0], validation=[4.0, 3.0], ax=Figure().subplots())
    assert [line.get_ydata().tolist() for line in ax.lines] == [[3, 2], [4, 3]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["training", "validation"]


def test_opens_a_figure_of_its_own(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    import matplotlib.pyplot as plt

    ax = fs.plot_cost([3.0, 2.0])
    assert ax.figure.number in plt.get_fignums()
    plt.close(ax.figure)


def test_takes_what_gradient_descent_gives():
    net = fs.Network((1, 1), output="linear")
    result = fs.gradient_descent(net, [[1.0, 2.0]], [[2.0, 4.0]], 0.1, 20)
    ax = fs.plot_cost(result.cost, ax=Figure().subplots())
    assert np.array_equal(ax.lines[0].get_ydata(), result.cost)


@pytest.mark.parametrize("cost", [[1.0], [1.0, np.nan, 2.0], [1.0, np.inf]])
def test_png_of_few_steps_and_of_costs_that_diverged(cost):
    assert cost_png(cost, "title").startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([],), ValueError, r"cost: expected the cost by step, 1-D; got shape \(0,\)"),
        (([[1.0]],), ValueError, r"cost: .* got shape \(1, 1\)"),
        ((["a"],), TypeError, "cost: expected real numbers"),
        (([1.0, 2.0], [1.0]), ValueError, "validation: .* each of the 2 steps of cost; got 1"),
    ],
)
def test_bad_input(arguments, error, message):
    with pytest.raises(error, match=message):
        fs.plot_cost(*arguments, ax=Figure().subplots())


def test_says_how_to_install_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'needs matplotlib .*pip install "fastshallow\[plot\]"'):
        fs.plot_cost([1.0, 0.5])
