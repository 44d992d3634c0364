"""Output in every locale, and streams that are closed or full."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from command_line import environment

import fastshallow as fs
from fastshallow.tables.columns import Column, Target

posix = pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a model and a table whose words no small encoding has."""
    folder = tmp_path_factory.mktemp("streams")
    columns = [Column("größe", "text", categories=("Øst", "日本"))]
    net = fs.Network((2, 1))
    net.W1 = [[1.0, -1.0]]
    model = fs.Pipeline(net, columns, Target("ā", "classification", ("nein", "そう")))
    fs.save(model, folder / "model")
    (folder / "new.csv").write_text("größe\nØst\n日本\n", "utf-8")
    return folder


def ran(folder, *arguments, shell="", **more):
    """Run the command in a shell; return exit code, output and errors as bytes."""
    line = f'exec "{sys.executable}" -m fastshallow {" ".join(arguments)} {shell}'
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=folder,
        env=environment() | more,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@posix
@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "cp1252"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C"},
    ],
)
def test_output_is_utf_8(folder, variables):
    code, out, err = ran(folder, "predict", "model", "new.csv", **variables)
    assert (code, out.decode(), err) == (0, "prediction\nそう\nnein\n", b"")
    code, out, err = ran(folder, "info", "model", **variables)
    assert code == 0 and "größe" in out.decode() and "日本" in out.decode()
    code, _, err = ran(folder, "evaluate", "model", "new.csv", "--target", "日本", **variables)
    assert (code, err.count(b"\n")) == (2, 1) and "日本" in err.decode()


@posix
@pytest.mark.parametrize("name", ["info", "predict", "versions"])
def test_closed_output_is_one_line(folder, name):
    arguments = {"info": ["model"], "predict": ["model", "new.csv"]}.get(name, [])
    code, _, err = ran(folder, name, *arguments, shell=">&-")
    assert (code, err) == (1, b"fastshallow: standard output is closed\n")
    assert ran(folder, name, *arguments, shell=">&- 2>&-") == (1, b"", b"")


@posix
def test_closed_input_is_one_line(folder):
    code, out, err = ran(folder, "predict", "model", "-", shell="<&-")
    assert (code, out, err.count(b"\n")) == (2, b"", 1)
    assert err.startswith(b"fastshallow: standard input: ")


@posix
def test_closed_errors_do_no_harm(folder):
    code, out, err = ran(folder, "predict", "model", "new.csv", shell="2>&-")
    assert (code, out.decode(), err) == (0, "prediction\nそう\nnein\n", b"")
    assert ran(folder, "info", "none", shell="2>&-") == (2, b"", b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a full disk as Linux has it")
def test_a_full_disk_is_one_line(folder):
    code, _, err = ran(folder, "info", "model", shell="> /dev/full")
    assert (code, err) == (1, b"fastshallow: [Errno 28] No space left on device\n")
