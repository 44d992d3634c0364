"""Run every benchmark once, with what is installed; exit with 1 unless each gives a figure.

    python asv_bench/smoke.py [--bench REGEX ...]

asv itself exits with 2 where a benchmark raises or takes too long, and with 1 where a module cannot
be imported. It exits with 0 where a benchmark says that it does not apply ("n/a"), which a suite
says of commits older than what it measures, and where a module has lost all of its benchmarks:
here both are errors.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NO_SUITES = ("__init__", "common", "peers*", "scaling", "smoke")
ASV = (sys.executable, "-m", "asv")


def run_all(folder: Path, bench: list[str]) -> int:
    """Run asv with results in a folder of its own, and return its exit status."""
    config = json.loads((ROOT / "asv.conf.json").read_text("utf-8"))
    config |= {
        "repo": str(ROOT),
        "benchmark_dir": str(ROOT / config["benchmark_dir"]),
        "results_dir": str(folder / "results"),
        "env_dir": str(folder / "env"),
    }
    (folder / "asv.conf.json").write_text(json.dumps(config), "utf-8")
    # asv keeps what it knows of the machine at home, and asks where there is nothing
    home = os.environ | {"HOME": str(folder), "USERPROFILE": str(folder)}
    subprocess.run([*ASV, "machine", "--yes"], cwd=folder, env=home, check=True)
    command = [*ASV, "run", "-E", "existing", "--quick", "--show-stderr", "--durations", "all"]
    command += ["--set-commit-hash", "HEAD"]  # else nothing is written
    command += [word for regex in bench for word in ("--bench", regex)]
    return subprocess.run(command, cwd=folder, env=home, check=False).returncode


def complaints(folder: Path, bench: list[str]) -> list[str]:
    """Return what the results of the chosen benchmarks lack."""
    found = []
    results = {}
    for path in (folder / "results").glob("*/*-existing-*.json"):
        results |= json.loads(path.read_text("utf-8"))["results"]
    benchmarks = json.loads((folder / "results" / "benchmarks.json").read_text("utf-8"))
    del benchmarks["version"]
    for name, benchmark in benchmarks.items():
        if bench and not any(re.search(regex, name) for regex in bench):
            continue
        count = math.prod(len(values) for values in benchmark["params"])
        figures = results.get(name, [None])[0] or [None]
        good = sum(figure is not None and math.isfinite(figure) for figure in figures)
        if good < count:
            found.append(f"{name}: {good} figures for {count} combinations of parameters")
    suites = {name.split(".")[0] for name in benchmarks}
    for path in sorted((ROOT / "asv_bench").glob("*.py")):
        if path.stem not in suites and not any(map(path.with_suffix("").match, NO_SUITES)):
            found.append(f"{path.name}: no benchmark")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bench", action="append", default=[], help="only those that match")
    bench = parser.parse_args().bench
    with tempfile.TemporaryDirectory() as folder:
        status = run_all(Path(folder), bench)
        if status not in (0, 2):  # 2: some failed, and are named below
            raise SystemExit(f"asv exited with {status}")
        found = complaints(Path(folder), bench)
    if found or status:
        raise SystemExit("\n".join(["Some benchmarks gave no figure:", *found]))


if __name__ == "__main__":
    main()
