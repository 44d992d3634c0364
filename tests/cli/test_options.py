"""The options of train: parser, help, documents and estimators have the same defaults."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

import fastshallow as fs
from fastshallow.__main__ import main
from fastshallow.cli import train
from fastshallow.cli.options import TrainOptions
from fastshallow.tables.reading import Reading

DOCS = Path(__file__).parents[2] / "docs"

# The arguments of the estimators, by the name of the option.
ARGUMENTS = {
    "hidden": "hidden_layer_sizes",
    "activation": "activation",
    "solver": "solver",
    "epochs": "max_iter",
    "batch-size": "batch_size",
    "learning-rate": "learning_rate_init",
    "alpha": "alpha",
    "early-stopping": "early_stopping",
}

# What of the estimators stands in for None.
ESTIMATORS_OWN = {"batch-size": "auto", "learning-rate": 0.001}


def parsed(monkeypatch, *arguments):
    """Return what the command would train by."""
    found = []
    monkeypatch.setattr(train, "train", lambda options: found.append(options) or 0)
    assert main(["train", *arguments]) == 0
    return found[0]


def in_help(monkeypatch, capsys):
    """Return what stands in parentheses in the help of each option of train."""
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = capsys.readouterr().out.split("options:\n")[1]
    texts = re.split(r"\n  --", text)[1:]
    found = {t.split()[0].strip(","): re.search(r"\(([^)]*)\)", t) for t in texts}
    return {name: match[1] for name, match in found.items() if match}


def test_the_parser_has_the_defaults(monkeypatch):
    assert parsed(monkeypatch) == TrainOptions()
    assert parsed(monkeypatch, "t.csv", "--target", "y") == TrainOptions("t.csv", target="y")


def test_every_option_is_read(monkeypatch):
    given = (
        "t.csv --target y --drop a --drop b --task regression --hidden 8,4 --activation tanh "
        "--solver sgd --epochs 7 --batch-size 9 --learning-rate 0.5 --alpha 0 --early-stopping "
        "--class-weight balanced --seed 3 --test-size 0.5 --impute median --out m --plot p "
        "--quiet --json --threads 2 --test u.csv --cv 3 --importance --force --sep tab --decimal , "
        "--missing ? --missing n/k --keep-na --text a,b --text c --number d --encoding latin-1 "
        "--no-header --names a,b,c,d"
    )
    options = parsed(monkeypatch, *given.split())
    wanted = TrainOptions(
        data="t.csv",
        target="y",
        drop=("a", "b"),
        task="regression",
        hidden=(8, 4),
        activation="tanh",
        solver="sgd",
        epochs=7,
        batch_size=9,
        learning_rate=0.5,
        alpha=0.0,
        early_stopping=True,
        class_weight="balanced",
        seed=3,
        test_size=0.5,
        test="u.csv",
        cv=3,
        importance=True,
        impute="median",
        out="m",
        force=True,
        plot="p",
        quiet=True,
        json=True,
        threads=2,
        reading=Reading(
            sep="\t",
            decimal=",",
            missing=("?", "n/k"),
            keep_na=True,
            text=("a,b", "c"),
            number=("d",),
            encoding="latin-1",
            no_header=True,
            names=("a", "b", "c", "d"),
        ),
    )
    assert options == wanted
    for what in (wanted, wanted.reading):
        for field in dataclasses.fields(what):
            assert getattr(what, field.name) != field.default, field.name
    assert parsed(monkeypatch, "--hidden", "none").hidden == ()


@pytest.mark.parametrize("make", [fs.ShallowClassifier, fs.ShallowRegressor])
def test_defaults_are_those_of_the_estimators(make):
    parameters = inspect.signature(make).parameters
    for option, argument in ARGUMENTS.items():
        ours = getattr(TrainOptions, option.replace("-", "_"))
        ours = ESTIMATORS_OWN[option] if ours is None else ours
        assert ours == parameters[argument].default, option


def test_the_help_and_the_documents_say_the_defaults(monkeypatch, capsys):
    names = ("activation", "solver", "epochs", "alpha", "seed", "test-size", "out")
    wanted = {name: str(getattr(TrainOptions, name.replace("-", "_"))) for name in names}
    wanted["hidden"] = ",".join(map(str, TrainOptions.hidden))
    wanted["learning-rate"] = str(ESTIMATORS_OWN["learning-rate"])
    # what "auto" is
    wanted["batch-size"] = re.search(r"min\((\d+), ", inspect.getdoc(fs.ShallowClassifier))[1]
    in_words = {"batch-size": f"{wanted['batch-size']}, or all of fewer", "threads": "by the work"}
    assert in_help(monkeypatch, capsys) == wanted | in_words
    text = (DOCS / "cli.md").read_text("utf-8")
    written = dict(re.findall(r"^\| `--([\w-]+)` \| `?([^|`]+)`? \|", text, re.MULTILINE))
    assert {name: written.get(name) for name in wanted} == wanted


def test_options_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainOptions().seed = 1
