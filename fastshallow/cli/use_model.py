"""The commands that use a model file: predict, evaluate, info, diagnose; and warmup."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

import fastshallow as fs

from ..files.models import replace_file
from ..kernels.losses import LOSSES
from ..tables.columns import Values, check_present, read_values
from ..tables.mistakes import DONE, Mistake, did_you_mean, listed, plain
from ..tables.pipeline import Pipeline
from ..tables.read import source_name, table_csv
from ..tables.reading import AS_FOUND, Reading
from ..tables.scores import scores_text
from .common import (
    check_outputs,
    is_stdout,
    load_model,
    load_pipeline,
    print_json,
    scores_of,
    unseen_noted,
)
from .report import columns_text

__all__ = ["diagnose", "evaluate", "info", "predict", "warmup"]


def encoded(
    model: Pipeline, path: str, reading: Reading, target: str | None = None
) -> tuple[Any, np.ndarray]:
    """Return a table and its X."""
    with unseen_noted():
        table = model.read(path, target, **vars(reading))
        try:
            return table, model.transform(table)
        except Mistake as error:
            raise Mistake(f"{source_name(path)}: {error}") from error


def predict(
    path: str,
    data: str,
    out: str | None,
    proba: bool,
    threads: int | None,
    reading: Reading = AS_FOUND,
) -> int:
    """Write the predictions of a table's rows as CSV."""
    model = load_pipeline(path)
    if proba and model.task == "regression":
        raise Mistake(f"--proba: expected a classifier; {path} is a regression")
    if is_stdout(out):
        out = None
        if sys.stdout is None:
            raise Mistake("standard output is closed; --out names a file")
    check_outputs({"--out": out}, path, data)
    _, X = encoded(model, data, reading)
    answers = {"prediction": model.answers(X, threads)}
    if proba:
        P = model.probabilities(X, threads).T
        for label, column in zip(model.target.classes, P, strict=True):
            answers[f"probability_{label}"] = column
    text = table_csv(answers)
    if out is None:
        sys.stdout.write(text)
    else:
        replace_file(out, text.encode())
        print(f"Predictions        {out} ({len(X):,} rows)")
    return DONE


def wanted(model: Pipeline, table: Any, name: str, path: str) -> Values:
    """Return the values of the target column."""
    if name not in table:
        columns = [str(column) for column in table.columns]
        raise Mistake(
            f"--target: expected a column of {path}, which has {listed(columns)}; got "
            f"{listed([name])}{did_you_mean([name], columns)}"
        )
    values = read_values(name, table[name])
    check_present([values], "rows to score need the target")
    return values


def evaluate(
    path: str,
    data: str,
    target: str | None,
    threads: int | None,
    json: bool,
    reading: Reading = AS_FOUND,
) -> int:
    """Print the scores of a model on a table with the right answers."""
    model = load_pipeline(path)
    name = target or model.target.name
    table, X = encoded(model, data, reading, name)
    y = model.target.encode(wanted(model, table, name, data))
    scores = scores_of(model, X, y, threads)
    assert scores is not None  # a table has rows
    if json:
        print_json({"model": path, "data": data, "examples": len(y), **scores})
    else:
        print(scores_text(scores, len(y), "Test"))
    return DONE


def info(path: str, json: bool) -> int:
    """Print what a model file holds."""
    model = load_model(path)
    pipeline = model if isinstance(model, Pipeline) else None
    net: fs.Network = model.net if pipeline else model
    if json:
        described = {} if pipeline is None else pipeline.describe()
        print_json(
            {
                "path": path,
                "kind": type(model).__name__,
                "sizes": list(net.sizes),
                "hidden": list(net.hidden),
                "output": net.output,
                "dtype": net.dtype.name,
                "parameters": net.params.size,
                **described,
            }
        )
        return DONE
    print(f"{path}: {net!r}")
    print(f"loss        {LOSSES[net.output].replace('_', ' ')}")
    print(f"parameters  {net.params.size:,} ({net.params.nbytes:,} bytes)")
    for layer, (W, b) in enumerate(zip(net.W, net.b, strict=True), 1):
        name = [*net.hidden, net.output][layer - 1]
        print(f"layer {layer}     W{layer} {W.shape}, b{layer} {b.shape}, {name}")
    if pipeline is not None:
        reading = pipeline.reading.describe()
        if reading:
            print(f"reading     {plain(reading, 300)}")
        print(f"target      {_target(pipeline)}\n\n{columns_text(pipeline.columns)}")
    return DONE


def _target(model: Pipeline) -> str:
    target = model.target
    if target.task == "regression":
        return (
            f"{plain(target.name)}: mean {target.mean:.6g}, standard deviation {target.scale:.6g}"
        )
    return f"{plain(target.name)}: classes {listed([str(label) for label in target.classes])}"


def diagnose(path: str, data: str, json: bool, reading: Reading = AS_FOUND) -> int:
    """Print what `fastshallow.diagnose` finds, with the norms of dW if the target is there."""
    model = load_pipeline(path)
    name = model.target.name
    table, X = encoded(model, data, reading, name)
    Y = None
    if name in table:
        Y = model.target.encode(wanted(model, table, name, data)).astype(X.dtype)
    found = fs.diagnose(model.net, X.T, Y)
    if json:
        layers = [
            {**vars(row), "faults": list(row.faults), "advice": row.advice} for row in found.rows
        ]
        for layer in layers:
            if layer["dW_norm"] is not None and not math.isfinite(layer["dW_norm"]):
                layer["dW_norm"] = None
        print_json({"healthy": found.healthy, "examples": len(X), "layers": layers})
    else:
        print(found)
    return DONE


def warmup() -> int:
    """Compile the kernels; last those of a float32 network with float64 data."""
    for dtype in ("float32", "float64", None):
        print(f"{dtype or 'both':7}  {fs.warmup(dtype):.2f} s", flush=True)
    return DONE
