"""Running the command as a process, for its tests."""

from __future__ import annotations

import os
import re
import signal
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


def interrupted(folder, seen, *arguments):
    """Run the command, press Ctrl-C once standard error matches ``seen``, and wait for its end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fastshallow", *map(str, arguments)],
        cwd=folder,
        env=environment() | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        said = b""
        while not re.search(seen, said.decode()):
            more = os.read(process.stderr.fileno(), 4096)
            assert more, said
            said += more
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    return subprocess.CompletedProcess(
        arguments, process.returncode, out.decode(), (said + err).decode()
    )


def value(output, name):
    """Return what stands behind a name in the command's report."""
    return re.search(rf"^{name} +(.*)$", output, re.MULTILINE)[1]
