"""Running the command as a process, for its tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import fastshallow as fs

PACKAGE_ROOT = str(Path(fs.__file__).parents[1])


def environment(*first):
    """Return an environment in which processes find the package, after these folders."""
    return os.environ | {"PYTHONPATH": os.pathsep.join([*map(str, first), PACKAGE_ROOT])}


def command(folder, *arguments, env=None, stdin=None):
    """Run the command in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "fastshallow", *map(str, arguments)],
        cwd=folder,
        input=stdin,
        env=env or environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def value(output, name):
    """Return what stands behind a name in the command's report."""
    return re.search(rf"^{name} +(.*)$", output, re.MULTILINE)[1]
