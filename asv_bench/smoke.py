"""Run every benchmark once in this environment; exit with 1 unless each gives a figure.

    python asv_bench/smoke.py [--bench REGEX ...]

asv exits with 2 if a benchmark fails, and with 1 if a module cannot be imported. It exits with 0 if
a benchmark does not apply ("n/a", meant for old commits), and if a module has no benchmark. Here
these two are errors as well.
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
NO_SUITES = ("__init__", "calls", "common", "peers*", "scaling", "smoke")
ASV = (sys.executable, "-m", "asv")


def run_all(folder: Path, bench: list[str]) -> int:
    """Run asv with results in ``folder``, and return its exit status."""
    config = json.loads((ROOT / "asv.conf.json").read_text("utf-8"))
    config |= {
        "repo": str(ROOT),
        "benchmark_dir": str(ROOT / config["benchmark_dir"]),
        "results_dir": str(folder / "results"),
        "env_dir": str(folder / "env"),
    }
    (folder / "asv.conf.json").write_text(json.dumps(config), "utf-8")
    # asv stores the machine's description in HOME, and would ask for a missing one
    home = os.environ | {"HOME": str(folder), "USERPROFILE": str(folder)}
    subprocess.run([*ASV, "machine", "--yes"], cwd=folder, env=home, check=True)
    command = [*ASV, "run", "-E", "existing", "--quick", "--show-stderr", "--durations", "all"]
    command += ["--set-commit-hash", "HEAD"]  # else asv writes no results
    command += [word for regex in bench for word in ("--bench", regex)]
    return subprocess.run(command, cwd=folder, env=home, check=False).returncode


def complaints(folder: Path, bench: list[str]) -> list[str]:
    """Return the missing results of the chosen benchmarks."""
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
        if status not in (0, 2):  # 2: `complaints` names the failed benchmarks
            raise SystemExit(f"asv exited with {status}")
        found = complaints(Path(folder), bench)
    if found or status:
        raise SystemExit("\n".join(["Some benchmarks gave no figure:", *found]))


if __name__ == "__main__":
    main()
