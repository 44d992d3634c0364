"""What is said about a table, a model and its training: text, JSON and a plot."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import numpy as np

from ..network.plotting import Boundary, cost_png
from ..tables.columns import Column
from ..tables.mistakes import plain
from ..tables.pipeline import Pipeline
from ..tables.scores_text import scores_text, text_table
from .fit import Run
from .options import TrainOptions
from .prepare import Prepared

__all__ = [
    "columns_text",
    "data_text",
    "figures",
    "importance_text",
    "model_text",
    "plot_png",
    "report_text",
    "train_scores_text",
    "use_text",
]

#: Rows of the table of columns that are printed, and points of a decision boundary by axis.
ROWS_MOST = 30
GRID = 200
#: Examples that are drawn on it.
POINTS_MOST = 2000

USE = """
Use it:

    fastshallow predict {path} {new}{flags} --out predictions.csv

or from Python:

    import fastshallow as fs

    model = fs.load({out!r})
    print(model.predict(model.read("{new}"{arguments})))  # model.net is the network
"""

USE_DIGITS = """
Use it from Python:

    import fastshallow as fs
    from fastshallow.cli.prepare import digits

    model = fs.load({out!r})
    print(model.predict(digits()))  # model.net is the network
"""


def data_text(data: Prepared, options: TrainOptions) -> str:
    """Return the table of the data."""
    where = "standard input" if options.data == "-" else options.source
    rows = (
        f"{data.rows:,} rows, {len(data.y):,} to train on, {len(data.y_held_out):,} held out"
        if options.test is None
        else f"{len(data.y):,} rows to train on; {options.test}: {len(data.y_held_out):,} to score"
    )
    lines = [
        f"Data               {where}: {rows}",
        f"Target             {target_text(data)}",
        "",
        columns_text(data.columns),
    ]
    return "\n".join(lines)


def target_text(data: Prepared) -> str:
    """Return the line of the target."""
    target = data.target
    if target.task == "regression":
        return (
            f"{plain(target.name)}: regression, mean {target.mean:.6g}, standard deviation "
            f"{target.scale:.6g}"
        )
    counts = np.bincount(data.y_of_table.astype(np.int64))
    shown = [f"{plain(label)} {n:,}" for label, n in zip(target.classes, counts, strict=True)][:10]
    more = ", ..." if len(counts) > 10 else ""
    return f"{plain(target.name)}: classification, {len(counts)} classes ({', '.join(shown)}{more})"


def columns_text(columns: list[Column]) -> str:
    """Return the columns as a table: kind, inputs of the network, values."""
    rows: list[tuple[Any, ...]] = [("column", "kind", "values", "inputs")]
    for column in columns[:ROWS_MOST]:
        if column.kind == "number":
            values = f"mean {column.mean:.4g}, standard deviation {column.scale:.4g}"
        elif column.kind == "date":
            values = f"from {column.start}: {', '.join(name for name, *_ in column.parts)}"
        else:
            values = ", ".join(map(plain, column.categories[:4])) + (
                ", ..." * (len(column.categories) > 4)
            )
        if column.fill is not None:
            fill = f"{column.fill:.4g}" if isinstance(column.fill, float) else plain(column.fill)
            values += f"; where missing {fill}"
        rows.append((plain(column.name), column.kind, values, column.width))
    left_out = len(columns) - ROWS_MOST
    return text_table(rows, 3) + (f"\n... and {left_out} more columns" if left_out > 0 else "")


def model_text(data: Prepared, options: TrainOptions) -> str:
    """Return sizes, activation, solver and epochs."""
    sizes = "-".join(map(str, data.sizes(options.hidden)))
    name = options.activation if options.hidden else "no hidden layer"
    return f"{sizes}, {name}, {options.solver}, {options.epochs} epochs at most"


def report_text(
    run: Run, data: Prepared, scores: dict[str, Any] | None, options: TrainOptions
) -> str:
    """Return scores, loss, speed, and what to do with the files."""
    lines = [""]
    if found := train_scores_text(run, data, scores, options):
        lines += [found, ""]
    if run.loss:
        lines += [
            f"Loss               {run.loss[0]:.4f} -> {run.loss[-1]:.4f}, {epochs_text(run)}",
            f"Speed              {examples_per_second(run, data):,.0f} examples per second",
        ]
    lines += [
        f"Time               compile {run.compile_seconds:.2f} s, train {run.seconds:.2f} s",
        f"Model              {options.out}",
    ]
    if options.plot:
        lines += [f"Plot               {options.plot}"]
    return "\n".join([*lines, use_text(options)])


def use_text(options: TrainOptions) -> str:
    """Return how to use the model, from a shell and from Python."""
    if options.data is None:
        return USE_DIGITS.format(out=options.out)
    # a new table has no right answers
    names = tuple(name for name in options.reading.names if name != options.target)
    reading = replace(options.reading, names=names)
    return USE.format(
        out=options.out,
        path=shlex.quote(options.out),
        new="NEW.parquet" if options.data.endswith(".parquet") else "NEW.csv",
        flags=reading.flags(),
        arguments=reading.arguments(),
    )


def train_scores_text(
    run: Run, data: Prepared, scores: dict[str, Any] | None, options: TrainOptions
) -> str:
    """Return all scores, "" if there are none."""
    found = []
    if scores is not None:
        where = "Held-out" if options.test is None else "Test"
        found.append(scores_text(scores, len(data.y_held_out), where))
    if run.cross_validation is not None:
        found.append(scores_text(run.cross_validation, len(data.y), f"{options.cv}-fold"))
    if run.importance is not None:
        found.append(importance_text(run.importance, data.target.task))
    return "\n\n".join(found)


def importance_text(rows: list[dict[str, Any]], task: str) -> str:
    """Return the importance of columns as a table."""
    loss = "log loss" if task == "classification" else "RMSE"
    cells = [
        (plain(row["column"]), f"{row['mean']:.4g}", f"{row['spread']:.2g}")
        for row in rows[:ROWS_MOST]
    ]
    left_out = len(rows) - len(cells)
    return text_table([("column, shuffled", f"{loss} grows by", "+-"), *cells]) + (
        f"\n... and {left_out} columns that matter less" if left_out else ""
    )


def epochs_text(run: Run) -> str:
    """Return the number of epochs, and why there were no more."""
    text = f"{len(run.loss)} epochs"
    return {
        "epochs": f"{text}, all that were allowed",
        "interrupted": f"{text}, then interrupted",
    }.get(run.stopped, f"{text}, until it did not improve any more")


def examples_per_second(run: Run, data: Prepared) -> float:
    """Return the speed of training."""
    return len(run.loss) * len(data.y) / max(run.seconds, 1e-9)


def figures(
    run: Run, data: Prepared, scores: dict[str, Any] | None, options: TrainOptions
) -> dict[str, Any]:
    """Return the report as JSON has it."""
    net = run.model.net
    return {
        "data": {
            "path": options.data,
            "rows": data.rows,
            "train": len(data.y),
            "held_out": len(data.y_held_out),
            "left_out": data.left_out,
            "test": options.test,
            **{name: value for name, value in run.model.describe().items() if name != "scores"},
        },
        "model": {
            "path": options.out,
            "sizes": list(net.sizes),
            "hidden": list(net.hidden),
            "output": net.output,
            "dtype": net.dtype.name,
        },
        "training": {
            "epochs": len(run.loss),
            "stopped": run.stopped,
            "loss": run.loss[-1] if run.loss else None,
            "loss_curve": run.loss,
            "seconds": run.seconds,
            "compile_seconds": run.compile_seconds,
            "examples_per_second": examples_per_second(run, data),
        },
        "held_out": scores,
        "cross_validation": run.cross_validation,
        "importance": run.importance,
        "plot": options.plot,
    }


def plot_png(run: Run, data: Prepared) -> bytes:
    """Return loss curves, and the decision boundary of a classifier of two numbers."""
    model = run.model
    title = f"{model.target.name}: loss by epoch"
    validation = None
    if run.loss and run.held_out_loss:  # Ctrl-C may end the last epoch before its second value
        values = np.full(len(run.loss), np.nan)
        values[: len(run.held_out_loss)] = run.held_out_loss[: len(run.loss)]
        validation = values
    two = len(model.columns) == 2 and all(column.kind == "number" for column in model.columns)
    boundary = boundary_of(model, data) if two and model.task == "classification" else None
    return cost_png(run.loss or [np.nan], title, validation, boundary, "epoch")


@np.errstate(all="ignore")
def boundary_of(model: Pipeline, data: Prepared) -> Boundary:
    """Return what the model answers over the rectangle of the examples, and some of them."""
    mean = np.array([column.mean for column in model.columns])
    scale = np.array([column.scale for column in model.columns])
    points = data.X.astype(np.float64) * scale + mean
    low, high = points.min(axis=0), points.max(axis=0)
    margin = np.where(high > low, 0.05 * (high - low), 1.0)
    x, y = np.linspace(low - margin, high + margin, GRID).T
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    X = ((grid - mean) / scale).astype(model.net.dtype)
    few = np.random.default_rng(0).permutation(len(points))[:POINTS_MOST]
    return Boundary(
        names=model.names,
        x=x,
        y=y,
        numbers=model.probabilities(X).argmax(axis=1).reshape(GRID, GRID),
        points=points[few],
        labels=data.y[few],
        classes=[str(label) for label in model.target.classes],
    )
