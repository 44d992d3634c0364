"""Initial weights: the published draws, their spread, and that nothing global is touched."""

from __future__ import annotations

import numpy as np
import pytest

import fastshallow as fs
from fastshallow.network.initialization import METHODS, draw


def test_course_is_the_notes_call_for_call():
    net = fs.Network((2, 4, 3, 1), dtype="float64").init("course", seed=2)
    legacy = np.random.RandomState(2)
    for W in net.W:
        assert np.array_equal(W, 0.01 * legacy.randn(*W.shape))


def test_course_draws_the_published_weights():
    # np.random.seed(2); np.random.randn(4, 2) * 0.01 begins so
    net = fs.Network((2, 4, 1), dtype="float64").init("course", seed=2)
    assert net.W1[0].tolist() == pytest.approx([-0.00416757847, -0.000562668272], rel=1e-8)


@pytest.mark.parametrize("scale", [None, 0.5, 3.0])
def test_spread_of_glorot_and_he(scale):
    net = fs.Network((300, 200, 100), hidden="tanh", dtype="float64")
    factor = 1.0 if scale is None else scale
    for W in net.init("glorot", scale, seed=0).W:
        bound = factor * np.sqrt(6 / sum(W.shape))
        assert np.abs(W).max() <= bound
        assert W.std() == pytest.approx(bound / np.sqrt(3), rel=0.02)
    for W in net.init("he", scale, seed=0).W:
        assert W.std() == pytest.approx(factor * np.sqrt(2 / W.shape[1]), rel=0.02)


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_fills_W_and_clears_b(method):
    net = fs.Network((3, 4, 2))
    net.params[...] = 7
    assert net.init(method, seed=0) is net
    assert all(not b.any() for b in net.b)
    assert all((W != 7).all() for W in net.W)
    assert [W.shape for W in draw(method, (3, 4, 2), None, 0)] == [(4, 3), (2, 4)]
    again = fs.Network((3, 4, 2)).init(method, seed=0)
    assert again == net


@pytest.mark.parametrize("method", ["course", "glorot", "he"])
def test_seeds_differ_and_none_is_fresh(method):
    net = fs.Network((3, 4, 2))
    drawn = [net.init(method, seed=seed).params.copy() for seed in (0, 1, None, None)]
    for i in range(4):
        for j in range(i):
            assert not np.array_equal(drawn[i], drawn[j])


@pytest.mark.parametrize(
    ("hidden", "method"),
    [
        ("relu", "he"),
        ("leaky_relu", "he"),
        (["relu", "leaky_relu"], "he"),
        ("tanh", "glorot"),
        ("sigmoid", "glorot"),
        (["relu", "tanh"], "glorot"),
    ],
)
def test_default_method(hidden, method):
    net = fs.Network((3, 5, 5, 1), hidden)
    assert np.array_equal(net.init(seed=3).params, net.copy().init(method, seed=3).params)


def test_default_without_hidden_layers_is_glorot():
    net = fs.Network((3, 2))
    assert np.array_equal(net.init(seed=3).params, net.copy().init("glorot", seed=3).params)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            ("Course",),
            ValueError,
            "method: expected one of course, glorot, he, zeros; got 'Course'",
        ),
        ((3,), ValueError, "method: expected one of"),
        (("he", -1.0), ValueError, "scale: expected a finite number >= 0; got -1.0"),
        (("he", "big"), TypeError, "scale: expected a finite number >= 0; got 'big' of type str"),
        (("he", np.inf), ValueError, "scale: expected a finite number"),
        (("he", 1.0, -1), ValueError, "seed: expected an integer >= 0; got -1"),
        (("he", 1.0, 0.5), TypeError, "seed: expected an integer >= 0; got 0.5 of type float"),
        (
            ("course", 1.0, 2**32),
            *(ValueError, "seed: expected an integer >= 0 and <= 4294967295; got 4294967296"),
        ),
    ],
)
def test_wrong_arguments_change_nothing(arguments, error, message):
    net = fs.Network((3, 4, 2)).init(seed=0)
    before = net.params.copy()
    with pytest.raises(error) as caught:
        net.init(*arguments)
    assert message in str(caught.value)
    assert np.array_equal(net.params, before)


def test_a_scale_beyond_the_dtype_changes_nothing():
    # 1e300 is a finite number but no float32 weight.
    net = fs.Network((3, 4, 2)).init(seed=0)
    before = net.params.copy()
    with pytest.raises(ValueError, match="scale"):
        net.init("he", 1e300, seed=0)
    assert np.array_equal(net.params, before)
