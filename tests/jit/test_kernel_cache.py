"""The folder of compiled kernels, whatever becomes of it: right results, and one line in the log.

The kernels of these tests are small ones: what the cache does is the same for all.
"""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
import textwrap
import time
import zipfile
from pathlib import Path

import pytest
from processes import run

import fastshallow as fs

posix = pytest.mark.skipif(os.name != "posix", reason="limits, mounts and permissions")

SMALL = """
    import logging, os, shutil, sys
    import numpy as np
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    # what is said once compiling has taken a second is another matter
    logging.getLogger("fastshallow").addFilter(lambda record: "is compiling" not in record.msg)
    from fastshallow.kernels import activations
    from fastshallow.jit.compile import jit

    def answer(dtype="f8"):
        return float(activations.g(1, np.dtype(dtype).type(0.5), np.dtype(dtype).type(0.01)))
"""


def small(source, folder, *arguments, **environment):
    """Run a process with its own folder of compiled kernels; return its output."""
    source = textwrap.dedent(SMALL) + textwrap.dedent(source)
    return run(["-c", source, *arguments], NUMBA_CACHE_DIR=str(folder), **environment)


def files(folder, ending):
    """Return the files of a folder with this ending."""
    return sorted(Path(folder).rglob(f"*{ending}"))


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A folder with kernels, and the answer that they gave."""
    folder = tmp_path_factory.mktemp("kernels")
    return folder, small("print(answer())", folder)


def test_the_kernels_are_there(filled):
    folder, answer = filled
    assert files(folder, ".nbi") and files(folder, ".nbc")
    before = {path: path.stat().st_mtime_ns for path in files(folder, ".nbc")}
    assert small("print(answer())", folder) == answer
    assert before == {path: path.stat().st_mtime_ns for path in files(folder, ".nbc")}


DAMAGE = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "noise": lambda data: b"\x80\x05noise" * 40,
    "another pickle": lambda data: b"\x80\x04K\x01.",
}
BOTH = [(".nbi", "noise"), (".nbc", "cut")]
REST = [(e, d) for e in (".nbi", ".nbc") for d in DAMAGE if (e, d) not in BOTH]


@pytest.mark.parametrize(
    ("ending", "damage"), BOTH + [pytest.param(*pair, marks=pytest.mark.slow) for pair in REST]
)
def test_damaged_files_are_made_anew(filled, tmp_path, damage, ending):
    folder, answer = filled
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for path in files(copy, ending):
        path.write_bytes(DAMAGE[damage](path.read_bytes()))
    assert small("print(answer())", copy) == answer
    sizes = [path.stat().st_size for path in files(copy, ending)]
    assert sizes == [path.stat().st_size for path in files(folder, ending)]


def test_the_data_of_another_kernel_are_not_taken(tmp_path):
    # what two processes can leave behind that write at once: the index of one, data of the other
    small("print(answer('f4'))", tmp_path / "a")
    answer = small("print(answer('f8'))", tmp_path / "b")
    for single, double in zip(
        files(tmp_path / "a", ".nbc"), files(tmp_path / "b", ".nbc"), strict=True
    ):
        assert single.name == double.name
        shutil.copy(single, double)
    assert small("print(answer('f8'))", tmp_path / "b") == answer


def test_a_folder_that_is_removed_meanwhile(tmp_path):
    source = """
        first = answer("f4")
        shutil.rmtree(os.environ["NUMBA_CACHE_DIR"])
        open(os.environ["NUMBA_CACHE_DIR"], "w").close()  # nor can it be made again
        print(first, answer("f8"))
        """
    lines = small(source, tmp_path / "cache").splitlines()
    assert len(lines) == 2
    assert "no folder for compiled kernels can be written to" in lines[0]
    assert lines[1].split()[1] == small("print(answer())", tmp_path / "other").strip()


@posix
def test_a_disk_without_room(tmp_path):
    source = """
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        print(answer())
        """
    lines = small(source, tmp_path / "cache").splitlines()
    assert len(lines) == 2 and "File too large" in lines[0]
    assert lines[1] == small("print(answer())", tmp_path / "other").strip()
    assert not files(tmp_path / "cache", ".nbc")


@posix
def test_a_folder_that_may_not_be_read(tmp_path, filled):
    if os.getuid() == 0:
        pytest.skip("root may read everything")
    folder, answer = filled
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for path in files(copy, ".nbi"):
        path.chmod(0)
    assert small("print(answer())", copy).splitlines()[-1] == answer.strip()


TOGETHER = """
    import time
    time.sleep(max(0.0, float(sys.argv[2]) - time.time()))
    print(answer("f4" if sys.argv[1] == "0" else "f8"), answer())
"""


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_two_processes_compile_into_one_folder(rounds, tmp_path, filled):
    wanted = float(filled[1])
    search = os.pathsep.join([str(Path(fs.__file__).parents[1])])
    source = textwrap.dedent(SMALL) + textwrap.dedent(TOGETHER)
    for number in range(rounds):
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / str(number))}
        environment["PYTHONPATH"] = search
        start = str(time.time() + 1.5)  # importing numba takes about a second
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", source, str(which), start],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for which in range(2)
        ]
        for process in processes:
            output, error = process.communicate(timeout=300)
            assert process.returncode == 0, error
            first, second = map(float, output.split())
            assert abs(first - wanted) < 1e-6 and second == wanted
        # whatever they left, the next one finds its way
        assert float(small("print(answer())", tmp_path / str(number))) == wanted


def test_an_edited_helper_is_never_served_stale(tmp_path):
    # g of activations calls sigmoid of a module of another wing
    package = Path(fs.__file__).parent
    copy = tmp_path / "site" / package.name
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    source = textwrap.dedent(SMALL) + "sys.stdin.readline(); print(answer(sys.argv[1]))\n"

    def start(dtype):
        return subprocess.Popen(
            [sys.executable, "-c", source, dtype],
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")},
            cwd=copy.parent,  # -c looks there first
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def answer(process):
        return float(process.communicate("go\n", timeout=300)[0])

    old = answer(start("f8"))
    helper = copy / "simd" / "elementary.py"
    text = helper.read_text("utf-8")
    more = "\n\n_old = sigmoid\n\n\n@jit\ndef sigmoid(x):\n    return _old(x) + 1\n"
    helper.write_text(text + more, "utf-8")
    assert answer(start("f8")) == old + 1
    helper.write_text(text, "utf-8")
    assert answer(start("f8")) == old


# Packages without sources ------------------------------------------------------------------------

INSTALLED = """
    value = answer()
    from fastshallow.jit.compile import cache_directory, package_stamp
    found = cache_directory(activations.g)
    hits = sum(activations.g.stats.cache_hits.values())
    for line in (activations.__file__, value, hits, package_stamp(), found):
        print(line)
"""
FORMS = ("sources", "pyc", "zip of sources", "zip of pyc")


def installed(form, folder, more=""):
    """Put a copy of the package below a folder in one of the forms; return what Python's path has.

    ``more`` is added to one of the modules.
    """
    package = Path(fs.__file__).parent
    site = folder / "site"
    copy = site / package.name
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / "tables" / "mistakes.py").open("a") as module:
        module.write(more)
    if form.endswith("pyc"):
        assert compileall.compile_dir(copy, quiet=1, legacy=True)
        for path in copy.rglob("*.py"):
            path.unlink()
    if not form.startswith("zip"):
        return site
    archive = folder / "site.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in copy.rglob("*.py*"):
            file.write(path, path.relative_to(site))
    shutil.rmtree(site)
    return archive


def process_of(path, folder, source=SMALL + INSTALLED, **environment):
    """Run a process that imports the package from a path; return its lines."""
    places = {name: str(folder / "home") for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        env={**os.environ, **places, "PYTHONPATH": str(path), **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


CHOSEN = [("pyc", True), ("pyc", False), ("zip of sources", False), ("zip of pyc", True)]
OTHERS = [
    (form, chosen) for form in FORMS for chosen in (True, False) if (form, chosen) not in CHOSEN
]


@pytest.mark.parametrize(
    ("form", "chosen"), CHOSEN + [pytest.param(*pair, marks=pytest.mark.slow) for pair in OTHERS]
)
def test_kernels_are_kept_whatever_the_package_is_installed_as(form, chosen, tmp_path):
    path = installed(form, tmp_path)
    kept = {"NUMBA_CACHE_DIR": str(tmp_path / "kernels") if chosen else ""}
    first, second = (process_of(path, tmp_path, **kept) for _ in range(2))
    assert first[0].startswith(str(path)) and first[0].endswith("pyc" if "pyc" in form else "py")
    assert (first[2], second[2]) == ("0", "1"), "the second one compiled again"
    assert (first[1], *first[3:]) == (second[1], *second[3:])  # and nothing in the log
    home = tmp_path / "kernels" if chosen else tmp_path
    assert files(home, ".nbc") and Path(second[4]).is_relative_to(home)


@pytest.mark.parametrize("form", FORMS)
def test_stamps_differ_where_a_module_does(form, tmp_path):
    source = "from fastshallow.jit.compile import package_stamp; print(package_stamp())"
    stamps = {}
    for name, more in (("a", ""), ("b", ""), ("c", "\nNEW = 1\n")):
        (tmp_path / name).mkdir()
        path = installed(form, tmp_path / name, more)
        if name == "b":
            path = path.rename(tmp_path / "a again")
        (stamps[name],) = process_of(path, tmp_path, source)
    assert len(stamps["a"]) == 64 and stamps["c"] not in (stamps["a"], stamps["b"])
    # compiled files hold the place of their sources too: a copy of them may count as another
    assert form.endswith("pyc") or stamps["a"] == stamps["b"]


@posix
@pytest.mark.parametrize("form", ["pyc", "zip of pyc"])
def test_the_log_says_what_is_set_already(form, tmp_path):
    path = installed(form, tmp_path)
    (tmp_path / "file").write_text("no folder")
    if path.is_dir():
        for folder in [path / "fastshallow", *(path / "fastshallow").glob("*/")]:
            (folder / "__pycache__").write_text("no folder")
    nowhere = str(tmp_path / "file" / "folder")
    home = {"HOME": nowhere, "XDG_CACHE_HOME": nowhere}
    line, *rest = process_of(path, tmp_path, **home, NUMBA_CACHE_DIR="")
    assert "no folder for compiled kernels can be written to" in line
    assert line.endswith("set NUMBA_CACHE_DIR to a writable folder of your own")
    assert rest[-1] == "None"
    line, *rest = process_of(path, tmp_path, **home, NUMBA_CACHE_DIR=nowhere)
    assert line.endswith(f"NUMBA_CACHE_DIR is {nowhere!r}: set it to a folder with room to write")
    assert rest[-1] == "None"


@pytest.mark.parametrize("error", ["OSError(28, 'full')", "RuntimeError('of any kind')"])
def test_an_index_that_cannot_be_begun_anew_costs_the_cache_alone(tmp_path, error):
    source = f"""
        from numba.core.caching import FunctionCache

        def raise_(self, *rest):
            raise {error}

        def damaged(self, *rest):
            raise ValueError("a damaged index")

        FunctionCache.save_overload, FunctionCache.flush = damaged, raise_
        print(answer())
    """
    said = small(source, tmp_path).splitlines()
    assert float(said[-1]) == pytest.approx(0.6224593312018546)
    assert len(said) == 2 and "compiled kernels" in said[0]
