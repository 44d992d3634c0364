"""The commands that use a model file: predict, evaluate, info, diagnose; and warmup."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

import fastshallow as fs

from ..files.models import replace_file
from ..jit.compile import loads_watched
from ..kernels.losses import LOSSES
from ..network.checks import cast, shown
from ..tables.formulas import without_formulas
from ..tables.mistakes import DONE, Mistake, listed, plain
from ..tables.pipeline import Pipeline
from ..tables.read import source_name, table_csv
from ..tables.reading import AS_FOUND, Reading, named
from ..tables.scores import predicted_classes
from ..tables.scores_text import scores_line, scores_text
from .common import check_outputs, is_stdout, load_model, load_pipeline, note, print_json
from .model_input import read_answers, read_input
from .report import columns_text, importance_text
from .scoring import importance_of, scores_of

__all__ = ["diagnose", "evaluate", "info", "predict", "warmup"]

#: Groups of scores in a model file, and their names for people.
MEASURED = {"held_out": "held out", "test": "test", "cross_validation": "folds"}

#: Kernels that `fastshallow.warmup` compiles, in this order of dtypes and on two cores. It loads
#: fewer: some end up within their callers.
FORMS = {"float32": 75, "float64": 64, None: 11}


def predict(
    path: str,
    data: str,
    out: str | None,
    proba: bool,
    threads: int | None,
    reading: Reading = AS_FOUND,
    threshold: float | None = None,
    keep: Sequence[str] = (),
    keep_all: bool = False,
    as_is: bool = False,
) -> int:
    """Write the predictions of a table's rows as CSV."""
    model = load_pipeline(path)
    if proba and model.task == "regression":
        raise Mistake(f"--proba: expected a classifier; {path} is a regression")
    check_threshold(model, path, threshold)
    out = None if is_stdout(out) else out
    if out and out.lower().endswith((".gz", ".bz2", ".xz", ".zip", ".parquet", ".xlsx")):
        raise Mistake(f"--out {out}: expected the name of a CSV; predictions are not packed")
    check_outputs({"--out": out}, path, data)

    def kept(names: list[str]) -> list[str]:
        return names if keep_all else named("--keep", keep, names, source_name(data))

    table, X = read_input(model, data, reading, kept=kept)
    answers = predictions(model, X, proba, threads, threshold)
    twice = [name for name in answers if name in table.kept]
    if twice:
        option = "--keep-all" if keep_all else "--keep"
        raise Mistake(
            f"{option}: the predictions have columns of these names: {listed(twice)}; rename them "
            "in DATA, or keep others"
        )
    columns, changed = without_formulas(table.kept | answers)
    text = table_csv(table.kept | answers if as_is else columns)
    if out is None:
        sys.stdout.write(text)
    else:
        replace_file(out, text.encode("utf-8", "backslashreplace"))
        print(f"Predictions        {out} ({len(X):,} rows)")
    if changed and not as_is:
        where = ", ".join(f"{listed([name])} ({count})" for name, count in changed.items())
        note(
            "warning: text that a spreadsheet would run is written after an apostrophe, in "
            f"{plain(where, 500)}; --as-is writes it as it is"
        )
    return DONE


def predictions(
    model: Pipeline, X: np.ndarray, proba: bool, threads: int | None, threshold: float | None
) -> dict[str, Any]:
    """Return the columns of the predictions."""
    answers: dict[str, Any] = {"prediction": model.answers(X, threads)}
    if not proba and threshold is None:
        return answers
    P = model.probabilities(X, threads)
    if threshold is not None:
        answers["prediction"] = model.target.labels()[predicted_classes(P, threshold)]
    if proba:
        for label, column in zip(model.target.classes, P.T, strict=True):
            answers[f"probability_{label}"] = column
    return answers


def check_threshold(model: Pipeline, path: str, threshold: float | None) -> None:
    """Raise where a threshold has no meaning."""
    if threshold is not None and len(model.target.classes) != 2:
        held = f"{len(model.target.classes)} classes" if model.target.classes else "a regression"
        raise Mistake(f"--threshold: expected a model of two classes; {path} has {held}")


def evaluate(
    path: str,
    data: str,
    target: str | None,
    threads: int | None,
    json: bool,
    reading: Reading = AS_FOUND,
    threshold: float | None = None,
    importance: bool = False,
) -> int:
    """Print the scores of a model on a table with the right answers."""
    model = load_pipeline(path)
    check_threshold(model, path, threshold)
    name = target or model.target.name
    table, X = read_input(model, data, reading, name)
    y = read_answers(model, table, name, data)
    scores = scores_of(model, X, y, threads, 0.5 if threshold is None else threshold)
    assert scores is not None  # a table has rows
    shuffled = importance_of(model, X, y, threads) if importance else None
    if json:
        more = {} if shuffled is None else {"importance": shuffled}
        print_json({"model": path, "data": data, "examples": len(y), **scores, **more})
        return DONE
    print(scores_text(scores, len(y), "Test"))
    if shuffled is not None:
        print(f"\n{importance_text(shuffled, model.task)}")
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
        print(f"target      {_target(pipeline)}")
        for name, text in MEASURED.items():
            found = (pipeline.scores or {}).get(name)
            if found:
                print(f"{text:<11} {found.get('rows') or 0:,} rows: {scores_line(found)}")
        print(f"\n{columns_text(pipeline.columns)}")
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
    table, X = read_input(model, data, reading, name)
    Y = None
    if name in table.frame:
        y = read_answers(model, table, name, data)
        Y = cast(y, X.dtype)
        if not np.isfinite(Y).all():
            at = int(np.argmin(np.isfinite(Y)))
            raise Mistake(
                f"{source_name(data)}: target {shown(name)}: the number in row {at + 1} is too far "
                "from those trained on"
            )
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
        with kernels_bar(dtype):
            seconds = fs.warmup(dtype)
        print(f"{dtype or 'both':7}  {seconds:.2f} s", flush=True)
    return DONE


@contextmanager
def kernels_bar(dtype: str | None) -> Iterator[None]:
    """Show how many kernels of how many are loaded or compiled within the context, on a terminal.

    Compiled forms are counted: one kernel has several, for other types.
    """
    from tqdm import tqdm

    with (
        tqdm(
            total=FORMS[dtype],
            unit="kernel",
            desc=dtype or "both",
            disable=None,  # silent where stderr is no terminal
            leave=False,
        ) as bar,
        loads_watched(lambda name: bar.update()),
    ):
        yield
