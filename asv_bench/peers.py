"""Compare the speed of fastshallow and other packages on the same training.

    python asv_bench/peers.py                 steps of full-batch gradient descent
    python asv_bench/peers.py --epochs        epochs of Adam over batches of 200
    python asv_bench/peers.py --estimators    fit and predict, against scikit-learn's estimators
    python asv_bench/peers.py --batches       a step of Adam, by batch size
    python asv_bench/peers.py --flat          time per example of a step, from m = 10^4 to 10^7

The results are checked first. Then the packages are timed in turns, `--repeat` times. The output is
the median, half the range, and the ratio of the fastest float32 peer to fastshallow. Packages that
are not installed are skipped. The modules in `compare` have the details.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import fastshallow as fs

# A separate folder, because asv imports the modules beside this file.
sys.path.insert(0, str(Path(__file__).parent / "compare"))


def use_threads(threads: int | None) -> None:
    """Set the number of threads of every peer; None keeps the defaults."""
    if threads is None:
        return
    import numba
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(threads)


def cpu() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        import platform

        return platform.processor() or platform.machine()


def main() -> None:
    import peers_epochs
    import peers_estimators
    import peers_steps

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", nargs="*", metavar="PART", help="works with this in their name")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--threads", type=int, help="of every peer; default: its own choice")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    what = parser.add_mutually_exclusive_group()
    for name in ("epochs", "estimators", "batches", "flat"):
        what.add_argument(f"--{name}", action="store_true")
    options = parser.parse_args()

    def chosen(works):
        return [w for w in works if not options.work or any(p in w.name for p in options.work)]

    use_threads(options.threads)
    fs.show_versions()
    print(f"\n{cpu()}; median of {options.repeat} repeats\n")
    if options.flat:
        rows = peers_steps.flat(options.repeat)
    elif options.batches:
        rows = peers_epochs.batches(options.repeat, options.threads)
    elif options.epochs:
        rows = peers_epochs.report(chosen(peers_epochs.EPOCHS), options.repeat)
    elif options.estimators:
        rows = peers_estimators.report(chosen(peers_estimators.FITS), options.repeat)
    else:
        rows = peers_steps.report(chosen(peers_steps.STEPS), options.repeat)
    if options.json:
        head = {"cpu": cpu(), "repeat": options.repeat, "fastshallow": fs.__version__}
        options.json.write_text(json.dumps({**head, "rows": rows}, indent=1), "utf-8")


if __name__ == "__main__":
    main()
