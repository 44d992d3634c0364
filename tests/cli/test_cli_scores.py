"""Scores of train, evaluate and info: test tables, folds, importance, early stopping, --force."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import value
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score, balanced_accuracy_score, r2_score, roc_auc_score
from sklearn.model_selection import KFold, StratifiedKFold

import fastshallow as fs
from fastshallow.__main__ import main
from fastshallow.cli.fit import fit, split_validation
from fastshallow.cli.options import TrainOptions
from fastshallow.cli.prepare import folds, prepare, raw
from fastshallow.files import tensor_files
from fastshallow.files.models import _contents
from fastshallow.files.tensor_files import TooLong, check_length, to_bytes
from fastshallow.tables.columns import Column, Target
from fastshallow.tables.mistakes import Mistake

QUICK = ("--hidden", "6", "--epochs", "40", "--learning-rate", "0.1")


def table(m=200, seed=0):
    """Return a table of two classes, one of them rare, and a number."""
    rng = np.random.default_rng(seed)
    found = pd.DataFrame(rng.normal(size=(m, 2)), columns=["a", "b"])
    found["city"] = rng.choice(["Oslo", "Rome"], m)
    found["class"] = np.where(found.a + rng.normal(0, 0.3, m) > 1, "yes", "no")
    found["income"] = 10 * found.a + (found.city == "Oslo") + rng.normal(0, 0.1, m)
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Work in a folder with tables."""
    monkeypatch.chdir(tmp_path)
    table().to_csv("t.csv", index=False)
    table(80, seed=1).to_csv("test.csv", index=False)
    return tmp_path


@pytest.fixture
def run(folder, capsys):
    """Return a function that runs a command and returns what it printed."""

    def ran(*arguments, code=0):
        done = main(list(map(str, arguments)))
        said = capsys.readouterr()
        assert done == code, said.err
        return said.err if code else said.out

    return ran


TRAIN = ("train", "t.csv", "--target", "class", "--drop", "income", *QUICK)


def test_a_baseline_stands_beside_every_score(run):
    said = run(*TRAIN, "--quiet")
    scores = re.findall(r"^(\S.*?)  +[\d.]+.*\n  baseline +[\d.]+", said, re.MULTILINE)
    assert scores == ["Held-out accuracy", "Balanced accuracy", "ROC AUC", "PR AUC", "Log loss"]
    train = table()
    assert re.search(r"^  baseline +0\.\d{4}, always 'no'$", said, re.MULTILINE)
    said = json.loads(run(*TRAIN, "--json", "--quiet"))
    share = (train["class"] == "no").mean()
    assert said["held_out"]["baseline"]["accuracy"] == pytest.approx(share, abs=0.02)


def test_the_scores_of_a_test_table(run):
    report = json.loads(run(*TRAIN, "--test", "test.csv", "--json", "--quiet"))
    model, test = fs.load("model.safetensors"), pd.read_csv("test.csv")
    P = model.predict_proba(test)
    assert report["data"]["train"] == 200 and report["data"]["held_out"] == 80
    scores = report["held_out"]
    assert scores["accuracy"] == accuracy_score(test["class"], model.predict(test))
    assert scores["roc_auc"] == pytest.approx(roc_auc_score(test["class"] == "yes", P[:, 1]))
    assert scores["balanced_accuracy"] == pytest.approx(
        balanced_accuracy_score(test["class"], model.predict(test))
    )
    again = json.loads(run("evaluate", "model.safetensors", "test.csv", "--json"))
    assert {name: again[name] for name in scores} == scores
    kept = model.scores
    assert sum(kept["class_counts"]) == 200 and set(kept) == {"class_counts", "test"}
    assert kept["test"]["rows"] == 80 and kept["test"]["accuracy"] == scores["accuracy"]
    said = run(*TRAIN, "--test", "test.csv")
    assert "t.csv: 200 rows to train on; test.csv: 80 to score" in said
    assert value(said, "Test accuracy").endswith("(80 examples)")
    said = run("info", "model.safetensors")
    assert value(said, "test").startswith(f"80 rows: accuracy {scores['accuracy']:.4f} (baseline ")


@pytest.mark.parametrize("target", ["class", "income"])
def test_folds_hold_every_row_out_once(folder, target):
    options = TrainOptions("t.csv", target=target, cv=4, seed=3)
    whole = table()
    parts = list(folds(options, raw(options)))
    make = StratifiedKFold if target == "class" else KFold
    cuts = make(4, shuffle=True, random_state=3).split(whole, whole[target])
    for part, (chosen, _) in zip(parts, cuts, strict=True):
        assert (len(part.y), len(part.y_held_out)) == (150, 50)
        # no row that is held out has a say in the encoding
        assert part.columns[0].mean == pytest.approx(whole["a"].iloc[chosen].mean())


def test_cross_validation(run):
    said = run(*TRAIN, "--cv", "3")
    assert re.findall(r"^Fold (\d) of 3 ", said, re.MULTILINE) == ["1", "2", "3"]
    assert "200 rows, 200 to train on, 0 held out" in said
    found = re.search(r"^3-fold accuracy +(0\.\d+) \+- 0\.\d+ \(200 examples\)$", said, re.M)
    report = json.loads(run(*TRAIN, "--cv", "3", "--json", "--quiet"))
    assert report["held_out"] is None
    scores = report["cross_validation"]
    assert found[1] == f"{scores['accuracy']:.4f}" and np.sum(scores["confusion"]) == 200
    kept = fs.load("model.safetensors").scores
    assert kept["cross_validation"]["spread"] == scores["spread"]
    assert (kept["cross_validation"]["folds"], sum(kept["class_counts"])) == (3, 200)
    assert value(run("info", "model.safetensors"), "folds").startswith("200 rows: accuracy 0.")
    options = ("train", "t.csv", "--target", "income", *QUICK, "--cv", "2", "--quiet")
    assert run(*options, "--out", "r").startswith("2-fold R2          ")


def test_cross_validation_is_that_of_its_trainings(folder):
    options = TrainOptions("t.csv", target="income", cv=2, epochs=5, quiet=True, out="r")
    found = []
    for part in folds(options, raw(options)):
        model = fit(part, options).model
        right = part.y_held_out * part.target.scale + part.target.mean
        found.append(r2_score(right, model.answers(part.X_held_out)))
    train = ["train", "t.csv", "--target", "income", "--cv", "2", "--epochs", "5", "--quiet"]
    assert main([*train, "--out", "r"]) == 0
    assert fs.load("r").scores["cross_validation"]["r2"] == pytest.approx(np.mean(found))


def test_importance(run):
    said = run(*TRAIN, "--importance", "--quiet")
    rows = said.split("column, shuffled  log loss grows by")[1].splitlines()[1:]
    assert rows[0].startswith("a ") and {row.split()[0] for row in rows} == {"a", "b", "city"}
    found = json.loads(run("evaluate", "model.safetensors", "test.csv", "--importance", "--json"))
    assert found["importance"][0]["column"] == "a" and found["importance"][0]["mean"] > 0.05
    run("train", "t.csv", "--target", "income", *QUICK, "--quiet", "--out", "r")
    said = run("evaluate", "r", "test.csv", "--importance")
    assert re.search(r"^column, shuffled  RMSE grows by +\+-\na  ", said, re.MULTILINE)


def test_a_threshold(run):
    run(*TRAIN, "--quiet")
    test, model = pd.read_csv("test.csv"), fs.load("model.safetensors")
    wanted = np.where(model.predict_proba(test)[:, 1].astype(float) > 0.1, "yes", "no")
    assert (wanted != model.predict(test)).any()
    said = json.loads(
        run("evaluate", "model.safetensors", "test.csv", "--threshold", 0.1, "--json")
    )
    assert said["accuracy"] == accuracy_score(test["class"], wanted)
    written = run("predict", "model.safetensors", "test.csv", "--threshold", "0.1").split("\n")
    assert written[1:-1] == wanted.tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--cv", "5", "--test-size", "0.3"), "--test-size: expected none beside --cv"),
        (("--test", "test.csv", "--test-size", "0"), "--test-size: expected none beside --test"),
        (("--test", "t.csv"), "--test t.csv: expected another file than the one to train on"),
        (("--test", "none.csv"), "none.csv: cannot be read .No such file"),
        (("--test", "test.csv", "--out", "test.csv"), "--out test.csv: expected another file"),
        (("--cv", "5", "--importance"), "--importance: expected rows held out, not --cv"),
        (("--test-size", "0", "--importance"), "--importance: expected rows held out"),
        (("--cv", "100"), "--cv 100: expected 100 rows or more of every class .*; got "),
    ],
)
def test_mistakes_are_one_line(run, arguments, message):
    said = run(*TRAIN, "--quiet", *arguments, code=2)
    assert re.search(message, said) and said.count("\n") == 1


def test_thresholds_are_for_two_classes(run):
    run("train", "t.csv", "--target", "income", *QUICK, "--quiet")
    for name in ("predict", "evaluate"):
        said = run(name, "model.safetensors", "test.csv", "--threshold", "0.3", code=2)
        assert "--threshold: expected a model of two classes; model.safetensors has a reg" in said
    assert "expected 300 rows or more; got 200" in run(
        *("train", "t.csv", "--target", "income", "--cv", "300"), code=2
    )


# Early stopping ----------------------------------------------------------------------------------


def test_early_stopping_goes_by_the_loss(folder):
    load_iris(as_frame=True).frame.to_csv("iris.csv", index=False)
    options = TrainOptions("iris.csv", target="target", quiet=True)
    data = prepare(options)
    accuracy = []
    for early in (False, True):
        run = fit(data, TrainOptions("iris.csv", quiet=True, early_stopping=early))
        accuracy.append(run.model.net.score(data.X_held_out.T, data.y_held_out))
    assert accuracy[1] >= accuracy[0] - 0.04  # by accuracy it stopped at 0.87


def test_early_stopping_keeps_the_best_weights(folder):
    options = TrainOptions("t.csv", target="income", early_stopping=True, quiet=True, seed=2)
    options = TrainOptions(**vars(options) | {"learning_rate": 0.05, "alpha": 0.0})
    data = prepare(options)
    run = fit(data, options)
    X, _, (X_rest, y_rest) = split_validation(data, options)
    assert (len(X), len(X_rest)) == (144, 16)
    assert run.stopped == "converged" and len(run.loss) < 200
    cost = float(run.model.net.cost(X_rest.T, y_rest[None].astype("f4")))
    assert cost == pytest.approx(min(run.held_out_loss), rel=1e-5)
    assert len(run.held_out_loss) == len(run.loss)


def test_early_stopping_weighs_the_classes_as_training_does(folder):
    options = TrainOptions("t.csv", target="class", early_stopping=True, class_weight="balanced")
    data = prepare(options)
    X, y, (X_rest, y_rest, weight) = split_validation(data, options)
    assert len(X) + len(X_rest) == len(data.X)
    for k in (0, 1):
        assert set(weight[y_rest == k].round(9)) == {round(len(y) / (2 * (y == k).sum()), 9)}


def test_early_stopping_needs_rows(run):
    table(120).to_csv("few.csv", index=False)
    said = run("train", "few.csv", "--target", "class", "--early-stopping", "--quiet", code=2)
    assert said == (
        "fastshallow: --early-stopping: expected 100 rows or more to train on, as it stops by the "
        "loss of a tenth of them; got 96\n"
    )
    with pytest.raises(Mistake, match="got 96"):
        options = TrainOptions("few.csv", target="class", early_stopping=True)
        fit(prepare(options), options)


# The model file ----------------------------------------------------------------------------------


def test_scores_that_find_no_room_cost_no_model(run, monkeypatch, capsys):
    def length(model):
        """Return the length of the header of a model's file."""
        with monkeypatch.context() as patch, pytest.raises(TooLong) as raised:
            patch.setattr(tensor_files, "HEADER_MOST", 0)
            check_length(*_contents(model))
        return raised.value.surplus

    run(*TRAIN, "--quiet")
    model = fs.load("model.safetensors")
    everything, counts = model.scores, {"class_counts": model.scores["class_counts"]}
    longest = length(model)
    model.scores = counts
    shortest = length(model)
    before = Path("model.safetensors").read_bytes()
    monkeypatch.setattr(tensor_files, "HEADER_MOST", shortest - 8)
    said = run(*TRAIN, "--quiet", "--out", "new", code=2)
    assert "description: expected one that takes" in said and not Path("new").exists()
    for most, kept in ((shortest, counts), (longest - 8, counts), (longest, everything)):
        monkeypatch.setattr(tensor_files, "HEADER_MOST", most)
        assert main([*TRAIN, "--quiet", "--out", "new"]) == 0
        assert ("without its scores" in capsys.readouterr().err) == (kept is counts)
        assert fs.load("new").scores == kept
    assert Path("new").read_bytes() == before


def test_a_model_of_another_table_is_not_replaced(run):
    run(*TRAIN, "--quiet")
    before = Path("model.safetensors").read_bytes()
    said = run("train", "t.csv", "--target", "income", *QUICK, "--quiet", code=2)
    assert said == (
        "fastshallow: --out model.safetensors: this file exists and is a model of 'class' by 'a', "
        "'b', 'city'; expected a new file, or a model of 'income' by columns of t.csv; --force "
        "replaces it\n"
    )
    assert Path("model.safetensors").read_bytes() == before
    for options in (("--drop", "b"), ("--seed", "3"), ("--hidden", "none")):  # the same table
        run(*TRAIN, *options, "--quiet")
    run("train", "t.csv", "--target", "income", *QUICK, "--quiet", "--force")
    assert fs.load("model.safetensors").target.name == "income"


@pytest.mark.parametrize("content", ["text", "network"])
def test_a_file_that_is_no_model_is_not_replaced(run, content):
    if content == "text":
        Path("thesis.txt").write_text("years of work")
    else:
        fs.save(fs.Network((2, 1)), "thesis.txt")
    said = run(*TRAIN, "--out", "thesis.txt", "--quiet", code=2)
    assert "is no model of fastshallow train; expected" in said and "--force replaces it" in said
    run(*TRAIN, "--out", "thesis.txt", "--quiet", "--force")


def test_a_model_file_without_scores(run):
    run(*TRAIN, "--quiet")
    model = fs.load("model.safetensors")
    assert model.scores["held_out"]["rows"] == 40
    old = fs.Pipeline(model.net, model.columns, model.target)
    assert "scores" not in old.describe() and old != model
    fs.save(old, "old")
    assert fs.load("old") == old and fs.load("old").scores is None
    assert "held out" not in run("info", "old")
    known, unknown = (
        json.loads(run("evaluate", path, "test.csv", "--json"))
        for path in ("model.safetensors", "old")
    )
    assert known["log_loss"] == unknown["log_loss"]
    assert known["baseline"]["log_loss"] > unknown["baseline"]["log_loss"]  # of the scored rows


@pytest.mark.parametrize(
    "scores",
    [
        3,
        [],
        {"class_counts": [1, 2, 3]},
        {"class_counts": [1, 0]},
        {"class_counts": [1, 2.5]},
        {"class_counts": [1, 10**400]},
        {"class_counts": None},
        {"test": None},
        {"test": {"accuracy": "0.5"}},
        {"test": {"accuracy": {}}},
        {"test": {"accuracy": float("inf")}},
        {"test": {"baseline": 3}},
        {"test": {"baseline": {"accuracy": {}}}},
        {"\x1b[2J": {"x" * 5000: [["x" * 5000]]}},
    ],
)
def test_scores_that_are_none(folder, scores):
    columns = [Column("a", "number")]
    target = Target("y", "classification", ("no", "yes"))
    net = fs.Network((1, 1))
    with pytest.raises((TypeError, ValueError), match=r"^scores: ") as raised:
        fs.Pipeline(net, columns, target, scores=scores)
    assert len(str(raised.value)) < 500 and str(raised.value).isprintable()
    tensors, description = _contents(fs.Pipeline(net, columns, target))
    (folder / "m").write_bytes(to_bytes(tensors, description | {"scores": scores}))
    with pytest.raises(fs.ModelFileError, match=r"no Pipeline's: scores: "):
        fs.load(folder / "m")


# What is said ------------------------------------------------------------------------------------


def test_quiet_is_quiet(folder, capsys):
    assert main([*TRAIN, "--quiet"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("Held-out accuracy ") and said.err == ""
    for name in ("Data", "Model", "Speed", "Time", "Use it", "Compiling"):
        assert name not in said.out
    assert main([*TRAIN, "--quiet", "--test-size", "0"]) == 0
    assert capsys.readouterr() == ("", "")
