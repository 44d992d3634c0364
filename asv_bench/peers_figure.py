"""Draw docs/peers.svg: the speed of fastshallow relative to the fastest peer.

python asv_bench/peers.py --json steps.json
python asv_bench/peers.py --epochs --json epochs.json
python asv_bench/peers_figure.py steps.json epochs.json
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).resolve().parents[1] / "docs"

# Excluded from the fastest peer: fastshallow, and arithmetic that is not float32.
NOT_COUNTED = ("fastshallow", "PyTorch bf16")


class Ratio(NamedTuple):
    """A work, its fastest peer, and the least, median and largest ratio of times."""

    work: str
    peer: str
    least: float
    middle: float
    largest: float


def ratio(row: dict, kind: str) -> Ratio:
    """Return the ratio of medians and the extremes of the repeats, for a row of the file."""
    seconds = {name: times for name, times in row["seconds"].items() if name not in NOT_COUNTED}
    ours = row["seconds"]["fastshallow"]
    peer = min(seconds, key=lambda name: statistics.median(seconds[name]))
    theirs = seconds[peer]
    middle = statistics.median(theirs) / statistics.median(ours)
    return Ratio(
        f"{kind} {row['work']}", peer, min(theirs) / max(ours), middle, max(theirs) / min(ours)
    )


def draw(ratios: list[Ratio], out: Path) -> None:
    """Draw one bar per work, reproducibly."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": "peers", "svg.fonttype": "none", "font.size": 9}
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 0.4 + 0.27 * len(ratios)), layout="constrained")
    places = range(len(ratios))
    middles = [r.middle for r in ratios]
    spread = [[r.middle - r.least for r in ratios], [r.largest - r.middle for r in ratios]]
    axes.barh(places, middles, color="tab:blue", height=0.6)
    axes.errorbar(middles, places, xerr=spread, fmt="none", ecolor="black", linewidth=0.8)
    axes.axvline(1, color="grey", linewidth=1)
    for place, r in zip(places, ratios, strict=True):
        axes.text(1.02 * r.largest, place, f" {r.middle:.1f} x {r.peer}", va="center")
    axes.set(xscale="log", yticks=places, yticklabels=[r.work for r in ratios])
    axes.set_xlim(0.9, 2 * max(r.largest for r in ratios))
    axes.set(xticks=[1, 2, 4, 8, 16], xticklabels=["1", "2", "4", "8", "16"])
    axes.set_xlabel("times as fast as the fastest float32 peer (lines: extremes of the repeats)")
    axes.invert_yaxis()
    axes.minorticks_off()
    figure.savefig(out, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("steps", type=Path)
    parser.add_argument("epochs", type=Path, nargs="?")
    parser.add_argument("--out", type=Path, default=DOCS / "peers.svg")
    options = parser.parse_args()
    ratios = []
    for kind, path in (("step", options.steps), ("epoch", options.epochs)):
        if path is not None:
            ratios += [ratio(row, kind) for row in json.loads(path.read_text("utf-8"))["rows"]]
    draw(ratios, options.out)


if __name__ == "__main__":
    main()
