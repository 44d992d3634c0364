"""Scores as text: a report, one line, and tables of aligned columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .mistakes import listed, plain
from .scores import SCORES

__all__ = ["scores_line", "scores_text", "text_table"]

#: Largest number of classes with a printed confusion matrix, and of printed scores by class.
CONFUSION_MOST = 10
CLASSES_MOST = 30
#: Characters of a cell.
CELL_MOST = 300
#: Relative difference below which a score equals that of the baseline.
ROUNDING = 1e-9


def text_table(rows: Sequence[Sequence[Any]], left: int = 1) -> str:
    """Return rows as aligned text.

    Parameters
    ----------
    rows : sequence of sequence
        Cells.
    left : int
        Number of left-aligned columns; the others are right-aligned.

    Examples
    --------
    >>> from fastshallow.tables.scores_text import text_table
    >>> print(text_table([["name", "m"], ["a", 10]]))
    name   m
    a     10
    """
    cells = [[plain(cell, CELL_MOST) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )


def scores_text(scores: dict[str, Any], examples: int, where: str = "Held-out") -> str:
    """Return scores as lines of text, each with its baseline below it.

    Parameters
    ----------
    scores : dict
        Result of `classification_scores`, `regression_scores` or `across_folds`.
    examples : int
        Number of scored examples.
    where : str
        Name of the examples, printed before the first score.

    Examples
    --------
    >>> from fastshallow.tables.scores_text import scores_text
    >>> print(scores_text({"r2": 0.5, "rmse": 0.25, "mae": 0.125}, 3))
    Held-out R2        0.5000 (3 examples)
    RMSE               0.25
    Mean abs. error    0.125
    >>> print(scores_text({"r2": -1.0, "baseline": {"answer": 2.5, "r2": 0.0}}, 3, "Test"))
    Test R2            -1.0000 (3 examples)
      baseline         0.0000, always 2.5: the model is worse
    """
    lines: list[str] = []
    for name in SCORES:
        if name in scores:
            lines += _score_lines(name, scores, examples, where if not lines else "")
    if "classes" in scores:
        lines += ["", _by_class(scores["classes"])]
        if len(scores["classes"]) <= CONFUSION_MOST:
            lines += ["", _confusion(scores)]
    return "\n".join(lines)


def _score_lines(name: str, scores: dict[str, Any], examples: int, where: str) -> list[str]:
    """Return the line of a score and that of its baseline; ``where`` makes them the first."""
    label = SCORES[name][0]
    text = _number(name, scores[name])
    if "spread" in scores:
        text += f" +- {_number(name, scores['spread'].get(name))}"
    if where:
        label, text = f"{where} {label}", f"{text} ({examples} examples)"
    if name == "pr_auc" and "classes" in scores:
        text += f" of {listed([str(scores['classes'][1]['class'])])}"
    lines = [f"{label[0].upper() + label[1:]:<18} {text}"]
    baseline = scores.get("baseline", {})
    if name in baseline:
        text = _number(name, baseline[name])
        if where and "answer" in baseline:
            answer = baseline["answer"]
            said = f"{answer:.6g}" if isinstance(answer, float) else listed([str(answer)])
            text += f", always {said}"
        lines.append(f"{'  baseline':<18} {text}{_verdict(name, scores[name], baseline[name])}")
    return lines


def _number(name: str, value: float | None) -> str:
    return "undefined" if value is None else format(value, SCORES[name][1])


def _verdict(name: str, value: float | None, baseline: float | None) -> str:
    """Return what is to say of a score that is not better than its baseline."""
    if value is None or baseline is None:
        return ""
    if abs(value - baseline) <= ROUNDING * max(abs(value), abs(baseline)):
        return ": the model is no better"
    return "" if (value > baseline) == SCORES[name][2] else ": the model is worse"


def scores_line(scores: dict[str, Any]) -> str:
    """Return the result of `totals` as one line.

    Parameters
    ----------
    scores : dict
        Result of `totals`.

    Examples
    --------
    >>> from fastshallow.tables.scores_text import scores_line
    >>> scores_line({"accuracy": 0.75, "log_loss": 0.5, "baseline": {"accuracy": 0.5}})
    'accuracy 0.7500 (baseline 0.5000), log loss 0.5000'
    """
    baseline = scores.get("baseline", {})
    return ", ".join(
        f"{label} {_number(name, scores[name])}"
        + (f" (baseline {_number(name, baseline[name])})" if name in baseline else "")
        for name, (label, _, _) in SCORES.items()
        if name in scores
    )


def _by_class(classes: list[dict[str, Any]]) -> str:
    head = ("class", "precision", "recall", "f1", "examples")
    rows = [
        (c["class"], *(f"{c[name]:.3f}" for name in head[1:4]), c["examples"])
        for c in classes[:CLASSES_MOST]
    ]
    left_out = len(classes) - len(rows)
    return text_table([head, *rows]) + (f"\n... and {left_out} more classes" if left_out else "")


def _confusion(scores: dict[str, Any]) -> str:
    labels = [c["class"] for c in scores["classes"]]
    rows = [(label, *row) for label, row in zip(labels, scores["confusion"], strict=True)]
    return "Confusion matrix (rows: the right class, columns: the predicted one)\n" + text_table(
        [("", *labels), *rows]
    )
