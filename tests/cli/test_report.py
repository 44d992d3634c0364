"""What is said about a run, made from its parts, without a training or a command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

import fastshallow as fs
from fastshallow.cli.fit import Run
from fastshallow.cli.options import TrainOptions
from fastshallow.cli.prepare import Prepared
from fastshallow.cli.report import (
    columns_text,
    data_text,
    figures,
    model_text,
    plot_png,
    report_text,
    use_text,
)
from fastshallow.cli.scoring import scores_of
from fastshallow.tables.columns import Column, Target
from fastshallow.tables.reading import Reading

OPTIONS = TrainOptions("t.csv", target="y", hidden=(3,), epochs=9)


@pytest.fixture
def data():
    """Return six rows of two numbers, two of them held out."""
    columns = [Column("a", "number", 2.0, 4.0), Column("b", "number", fill=1.5)]
    X = np.random.default_rng(0).standard_normal((6, 2), "f4")
    y = np.array([0, 1, 0, 1, 1, 0])
    target = Target("y", "classification", ("no", "yes"))
    return Prepared(columns, target, X[:4], y[:4], X[4:], y[4:])


@pytest.fixture
def run(data):
    """Return two epochs that took half a second."""
    model = fs.Pipeline(fs.Network((2, 3, 1)).init(seed=0), data.columns, data.target)
    return Run(model, [0.7, 0.6], [], seconds=0.5, compile_seconds=0.25, stopped="epochs")


def test_the_data(data):
    assert data_text(data, OPTIONS) == (
        "Data               t.csv: 6 rows, 4 to train on, 2 held out\n"
        "Target             y: classification, 2 classes (no 3, yes 3)\n\n"
        "column  kind    values                                           inputs\n"
        "a       number  mean 2, standard deviation 4                          1\n"
        "b       number  mean 0, standard deviation 1; where missing 1.5       1"
    )
    piped = data_text(data, TrainOptions("-", target="y"))
    assert piped.startswith("Data               standard input: 6 rows")
    built_in = data_text(data, TrainOptions())
    assert built_in.startswith("Data               the handwritten digits of scikit-learn: 6 rows")


def test_a_regression(data):
    target = Target("income", "regression", (), 5.0, 2.0)
    numbers = Prepared(data.columns, target, data.X, data.X[:, 0], data.X, data.X[:, 0])
    said = "income: regression, mean 5, standard deviation 2"
    assert said in data_text(numbers, OPTIONS)


def test_columns_beyond_30_are_counted():
    lines = columns_text([Column(f"c{i}", "number") for i in range(64)]).splitlines()
    assert len(lines) == 32 and lines[-1] == "... and 34 more columns"


def test_the_model(data):
    assert model_text(data, OPTIONS) == "2-3-1, relu, adam, 9 epochs at most"
    alone = TrainOptions(hidden=(), solver="lbfgs")
    assert model_text(data, alone) == "2-1, no hidden layer, lbfgs, 200 epochs at most"


@pytest.mark.parametrize(
    ("stopped", "text"),
    [
        ("epochs", "2 epochs, all that were allowed"),
        ("interrupted", "2 epochs, then interrupted"),
        ("converged", "2 epochs, until it did not improve any more"),
    ],
)
def test_the_report(data, run, stopped, text):
    run.stopped = stopped
    options = TrainOptions("t.csv", target="y", plot="p.png", out="m")
    assert report_text(run, data, None, options).startswith(
        f"\nLoss               0.7000 -> 0.6000, {text}\n"
        "Speed              16 examples per second\n"
        "Time               compile 0.25 s, train 0.50 s\n"
        "Model              m\n"
        "Plot               p.png\n\nUse it:\n"
    )


def test_the_lines_that_use_a_model():
    reading = Reading(names=("a", "b c", "y"), sep="tab")
    said = use_text(TrainOptions("t.csv", target="y", out="my model", reading=reading))
    assert "predict 'my model' NEW.csv --sep tab --names 'a,b c' --out predictions.csv" in said
    assert """model.read("NEW.csv", sep='tab', names=['a', 'b c'])""" in said
    said = use_text(TrainOptions("t.parquet", target="y", out="m"))
    assert "predict m NEW.parquet --out" in said and 'model.read("NEW.parquet")' in said


def test_scores_stand_first(data, run):
    scores = scores_of(run.model, data.X_held_out, data.y_held_out, None)
    assert report_text(run, data, scores, OPTIONS).startswith("\nHeld-out accuracy  ")
    assert scores_of(run.model, data.X[:0], data.y[:0], None) is None


def test_what_to_do_with_the_files(data, run):
    table, built_in = (
        report_text(run, data, None, options) for options in (OPTIONS, TrainOptions(out="m"))
    )
    assert "    fastshallow predict model.safetensors NEW.csv --out predictions.csv\n" in table
    assert "NEW.csv" not in built_in and "    model = fs.load('m')\n" in built_in


def test_json(data, run):
    found = json.loads(json.dumps(figures(run, data, None, OPTIONS), allow_nan=False))
    assert found["data"]["path"] == "t.csv" and found["data"]["rows"] == 6
    assert found["model"]["sizes"] == [2, 3, 1]
    assert found["training"]["examples_per_second"] == 16.0
    assert figures(run, data, None, TrainOptions())["data"]["path"] is None
    run.loss = []  # interrupted in the first epoch
    assert figures(run, data, None, OPTIONS)["training"]["loss"] is None


def test_a_plot_of_two_numbers_has_a_decision_boundary(data, run):
    def width(png):
        assert png.startswith(b"\x89PNG\r\n\x1a\n")
        return int.from_bytes(png[16:20], "big")

    both = width(plot_png(run, data))
    run.model = fs.Pipeline(
        fs.Network((2, 3, 1), output="linear"), data.columns, Target("y", "regression")
    )
    assert both == 2 * width(plot_png(run, data))
