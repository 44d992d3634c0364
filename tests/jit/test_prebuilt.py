"""Prebuilt kernels: taken where they fit, compiled anew where not, and never written to.

The fast tests build three kernels. One of them is called through a pointer, and one is parallel.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import llvmlite.binding as llvm
import pytest
from processes import TESTS, run, script

import fastshallow as fs
from fastshallow.jit import prebuilt

ROOT = Path(fs.__file__).parents[1]
HERE = llvm.get_host_cpu_features()
X86 = llvm.get_process_triple().startswith("x86_64")
LEVEL = [
    level
    for level, features in prebuilt.LEVELS.items()
    if level.startswith("x86") == X86 and all(HERE.get(name) for name in features)
][-1]
x86 = pytest.mark.skipif(not X86, reason="levels of x86")

BUILD = """
    import sys
    from numba import types
    from fastshallow import prebuild
    from fastshallow.jit import linking
    from fastshallow.kernels import activations, rules

    f8 = types.float64
    forms = [("fastshallow.kernels.activations.g", (types.int64, f8, f8))]
    for kernel in linking._kernels:
        if kernel.function.__name__ in ("update", "update_shared"):
            forms.append((kernel.name, kernel.arguments(f8)))
    print(prebuild.build(sys.argv[2:], sys.argv[1], forms))
"""

USE = """
    import hashlib, json, logging, sys
    logging.basicConfig(level=logging.WARNING, stream=sys.stdout)
    # what is said once compiling has taken a second is another matter
    logging.getLogger("fastshallow").addFilter(lambda record: "is compiling" not in record.msg)
    import numba
    import numpy as np
    from numba.core import event
    compiled = event.RecordingListener()
    event.register("numba:compile", compiled)
    from fastshallow.jit import linking, prebuilt
    from fastshallow.jit.compile import package_stamp
    from fastshallow.kernels import activations, rules

    rng = np.random.default_rng(0)
    w, grad, state = rng.standard_normal(999), rng.standard_normal(999), np.zeros((2, 999))
    rule = rules.Rule(rules.ADAM, np.array([0.9, 0.999, 1e-8, 0.0]), state)
    rules.update(rule, 0.1, 1, w, grad, 0, w.size)
    for kernel in linking._kernels:
        if kernel.function.__name__ == "update_shared":
            kernel.compile((numba.types.float64,))
    answers = [
        activations.g(1, np.float64(0.5), np.float64(0.01)).hex(),
        hashlib.sha256(w.tobytes()).hexdigest(),
    ]
    names = {e.data["dispatcher"].py_func.__name__ for _, e in compiled.buffer}
    found = prebuilt.find(package_stamp())
    print(json.dumps([answers, sorted(names & {"g", "update", "update_shared"}), found.why]))
"""
ALL = ["g", "update", "update_shared"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel of three kernels."""
    out = tmp_path_factory.mktemp("wheel")
    lines = run(["-c", textwrap.dedent(BUILD), str(out), LEVEL]).splitlines()
    return Path(lines[-1])


@pytest.fixture
def site(built, tmp_path):
    """A folder of packages with that wheel's content."""
    folder = tmp_path / "site"
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What compiled kernels answer."""
    found, names, why = use(None, tmp_path_factory.mktemp("plain"), FASTSHALLOW_PREBUILT="0")
    assert names == ALL and why == "FASTSHALLOW_PREBUILT is 0"
    return found


def use(site, cache, **environ):
    """Run a process with a folder of packages and its own kernel cache; return what it found."""
    path = [str(ROOT), str(TESTS), *([] if site is None else [str(site)])]
    environ = {"FASTSHALLOW_PREBUILT": "1", "PYTHONPATH": os.pathsep.join(path), **environ}
    output = script(USE, NUMBA_CACHE_DIR=str(cache), **environ)
    (line,) = output.splitlines()  # the log says nothing
    return json.loads(line)


def manifest_of(site):
    return site / prebuilt.HOME / LEVEL / prebuilt.MANIFEST


def content(folder):
    """Return all files of a folder, with times and hashes."""
    return {
        path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes())
        for path in sorted(folder.rglob("*"))
    }


def test_kernels_that_fit_are_taken(site, answers, tmp_path):
    before = content(site)
    assert use(site, tmp_path / "cache") == [answers, [], ""]
    assert content(site) == before
    assert not list((tmp_path / "cache").rglob("*.nbc"))


IN_USERS_CODE = """
    import numpy as np
    from numba import njit
    from numba.core import event
    compiled = event.RecordingListener()
    event.register("numba:compile", compiled)
    from fastshallow.kernels import activations

    first = activations.g(1, np.float64(0.5), np.float64(0.01))

    @njit
    def mine(code, x, slope):  # no literals: for them Numba would compile g again
        return activations.g(code, x, slope) + 1

    assert mine(1, 0.5, 0.01) == first + 1
    print({e.data["dispatcher"].py_func.__name__ for _, e in compiled.buffer})
"""


def test_users_compile_them_into_their_own_code(site, tmp_path):
    # the first kernel is loaded before Numba's compiler is
    path = os.pathsep.join([str(ROOT), str(site)])
    cache = str(tmp_path / "cache")
    output = script(IN_USERS_CODE, PYTHONPATH=path, NUMBA_CACHE_DIR=cache, FASTSHALLOW_PREBUILT="1")
    assert output == "{'mine'}\n"


@pytest.mark.parametrize("layer", ["workqueue", "omp"])
def test_any_threading_layer(site, answers, tmp_path, layer):
    found = use(site, tmp_path / "cache", NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="1")
    assert found == [answers, [], ""]


@pytest.mark.skipif(os.name != "posix", reason="permissions")
def test_folders_that_may_not_be_written_to(site, answers, tmp_path):
    for path in [*site.rglob("*"), site]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    nowhere = tmp_path / "file"
    nowhere.write_text("no folder")
    home = {"HOME": f"{nowhere}/x", "XDG_CACHE_HOME": f"{nowhere}/x"}
    try:
        # nor is there a place for kernels that are compiled: nobody needs to know
        assert use(site, nowhere / "cache", **home) == [answers, [], ""]
    finally:
        for path in [site, *site.rglob("*")]:
            path.chmod(0o755)


MADE_FOR = sorted(prebuilt.made_for(""))


@pytest.mark.parametrize(
    "name",
    ["sources", "vector_bytes"]
    + [
        pytest.param(name, marks=pytest.mark.slow)
        for name in MADE_FOR
        if name not in ("sources", "vector_bytes")
    ],
)
def test_kernels_of_another_build_are_compiled(site, answers, tmp_path, name):
    path = manifest_of(site)
    manifest = json.loads(path.read_text())
    manifest["made_for"][name] = "another"
    path.write_text(json.dumps(manifest))
    before = content(site)
    found, names, why = use(site, tmp_path / "cache")
    assert (found, names) == (answers, ALL)
    assert why == f"{LEVEL} was built with other {name}"
    assert content(site) == before


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"NUMBA_CPU_NAME": llvm.get_host_cpu_name()}, "NUMBA_CPU_NAME or NUMBA_CPU_FEATURES"),
        ({"NUMBA_OPT": "2"}, "other OPT"),
        pytest.param({"NUMBA_BOUNDSCHECK": "1"}, "other BOUNDSCHECK", marks=pytest.mark.slow),
        pytest.param({"NUMBA_DEBUGINFO": "1"}, "other DEBUGINFO", marks=pytest.mark.slow),
        pytest.param({"NUMBA_LOOP_VECTORIZE": "0"}, "other LOOP_V", marks=pytest.mark.slow),
    ],
)
def test_settings_that_change_code_are_heard(site, tmp_path, environ, reason):
    names, why = use(site, tmp_path / "cache", **environ)[1:]
    assert names == ALL and reason in why


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def one_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


def folder_instead(path):
    path.unlink()
    path.mkdir()


DAMAGE = [cut, one_bit, folder_instead, Path.unlink, lambda path: path.write_bytes(b"")]
NAMES = ["cut", "one bit", "a folder", "removed", "empty"]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(*pair, id=name, marks=[] if name == "one bit" else pytest.mark.slow)
        for name, *pair in zip(NAMES, DAMAGE, strict=True)
    ],
)
def test_a_damaged_kernel_is_compiled_and_the_others_are_taken(site, answers, tmp_path, damage):
    (path,) = site.rglob("*.g.*.kernel")
    damage(path)
    before = content(site)
    assert use(site, tmp_path / "cache") == [answers, ["g"], ""]
    # from now on the user's own cache has it
    assert use(site, tmp_path / "cache") == [answers, [], ""]
    assert content(site) == before


def test_a_kernel_in_the_place_of_another_is_compiled(site, answers, tmp_path):
    path = manifest_of(site)
    manifest = json.loads(path.read_text())
    names = sorted(manifest["kernels"])
    manifest["kernels"][names[0]] = manifest["kernels"][names[1]]
    path.write_text(json.dumps(manifest))
    assert use(site, tmp_path / "cache") == [answers, ["g"], ""]


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"made_for": 1, "kernels": {}}', '{"kernels": {}}', "\0", "removed"]
)
def test_a_damaged_manifest_is_none(site, tmp_path, monkeypatch, text):
    path = manifest_of(site)
    path.write_text(text)
    if text == "removed":
        path.unlink()
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv(prebuilt.SWITCH, "1")
    assert prebuilt.find.__wrapped__("a hash").level == ""


def test_kernels_without_files_and_with_odd_entries(site, answers, tmp_path):
    path = manifest_of(site)
    manifest = json.loads(path.read_text())
    for name, odd in zip(manifest["kernels"], (None, 3, {"file": 1}), strict=True):
        manifest["kernels"][name] = odd
    path.write_text(json.dumps(manifest))
    assert use(site, tmp_path / "cache")[:2] == [answers, ALL]


# Levels --------------------------------------------------------------------------------------


def levels_in(folder, *levels):
    """Write manifests of levels without kernels that fit this process."""
    for level in levels:
        (folder / level).mkdir(parents=True)
        manifest = {"made_for": prebuilt.made_for("a hash"), "kernels": {}}
        (folder / level / prebuilt.MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("lacking", "best"),
    [
        ((), "x86-64-v4"),
        (("avx512vl",), "x86-64-v3"),
        (("avx512f", "fma"), "x86-64-v2"),
        (("avx512f", "fma", "ssse3"), "generic"),
    ],
)
def test_the_highest_level_that_the_cpu_has(tmp_path, monkeypatch, lacking, best):
    levels_in(tmp_path, *prebuilt.LEVELS)
    features = {name: name not in lacking for name in prebuilt.V4}
    monkeypatch.setattr(llvm, "get_host_cpu_features", lambda: features)
    wanted = prebuilt.made_for("a hash")
    assert prebuilt._best(tmp_path, wanted).level == best
    # a level with other vectors is passed over, and the next one is looked at
    path = tmp_path / best / prebuilt.MANIFEST
    manifest = json.loads(path.read_text())
    manifest["made_for"]["vector_bytes"] = 8
    path.write_text(json.dumps(manifest))
    assert prebuilt._best(tmp_path, wanted).level != best


@pytest.mark.parametrize("kernels", [[1], 1, None, "text"])
def test_a_list_of_kernels_of_another_form(tmp_path, kernels):
    levels_in(tmp_path, "generic")
    wanted = prebuilt.made_for("a hash")
    assert prebuilt._best(tmp_path, wanted).level == "generic"
    manifest = json.dumps({"made_for": wanted, "kernels": kernels})
    (tmp_path / "generic" / prebuilt.MANIFEST).write_text(manifest)
    assert prebuilt._best(tmp_path, wanted).level == ""


def test_none_are_installed(monkeypatch):
    monkeypatch.setattr(prebuilt, "HOME", "no_such_package")
    monkeypatch.setenv(prebuilt.SWITCH, "1")
    assert prebuilt.find.__wrapped__("a hash").why == "not installed"


VECTORS_OF_CODE = """
    import re
    from numba import types
    from fastshallow.jit import linking
    from fastshallow.simd import register_tile, vectors

    (kernel,) = (k for k in linking._kernels if k.function is register_tile.product.__wrapped__)
    arguments = kernel.arguments(types.float64)
    kernel.kernel.compile(arguments)  # not run: this machine may lack the level
    code = kernel.kernel.inspect_asm(arguments)
    fused = re.findall(r"vfmadd.*", code)
    print(vectors.VECTOR_BYTES, len(fused), sum("zmm" in line for line in fused))
"""


@x86
def test_code_of_a_level_has_its_vectors_on_any_machine(tmp_path):
    target = {"NUMBA_CPU_NAME": "x86-64-v4", "NUMBA_CPU_FEATURES": "-prefer-256-bit"}
    output = script(VECTORS_OF_CODE, NUMBA_CACHE_DIR=str(tmp_path), **target)
    size, fused, longest = map(int, output.split())
    assert size == 64
    assert longest > 0.9 * fused > 20


# The wheel -----------------------------------------------------------------------------------


def test_the_wheel_is_one(built, tmp_path):
    name, version, *tags = built.stem.split("-")
    assert (name, version) == ("fastshallow_kernels", fs.__version__)
    assert tags[:2] == [f"cp{sys.version_info[0]}{sys.version_info[1]}", "none"]
    with zipfile.ZipFile(built) as archive:
        files = {member: archive.read(member) for member in archive.namelist()}
    (record,) = (member for member in files if member.endswith("/RECORD"))
    rows = list(csv.reader(files[record].decode().splitlines()))
    assert sorted(row[0] for row in rows) == sorted(files)
    for member, digest, size in rows:
        if member != record:
            hashed = base64.urlsafe_b64encode(hashlib.sha256(files[member]).digest())
            assert digest == "sha256=" + hashed.decode().rstrip("=")
            assert int(size) == len(files[member])
    metadata = files[record.replace("RECORD", "METADATA")].decode()
    for package in ("fastshallow", "numba", "llvmlite"):
        assert f"\nRequires-Dist: {package}==" in metadata


def test_pip_takes_the_wheel(built, answers, tmp_path):
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode:
        pytest.skip("pip is not installed")
    options = ["--no-deps", "--no-index", "--no-compile", "--target", str(tmp_path / "site")]
    done = subprocess.run(
        [*pip, "install", *options, str(built)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert use(tmp_path / "site", tmp_path / "cache") == [answers, [], ""]


def test_versions_are_shown(site):
    source = "import fastshallow as fs; fs.show_versions()"
    path = os.pathsep.join([str(ROOT), str(site)])
    for switch, shown in (("1", LEVEL), ("0", "none: FASTSHALLOW_PREBUILT is 0")):
        lines = script(source, PYTHONPATH=path, FASTSHALLOW_PREBUILT=switch).splitlines()
        (line,) = (line for line in lines if line.startswith("prebuilt kernels"))
        assert line.split(maxsplit=2)[2] == shown


# All kernels ---------------------------------------------------------------------------------

EVERYTHING = """
    import json, os, sys, warnings
    import numpy as np
    from numba.core import event
    compiled = event.RecordingListener()
    event.register("numba:compile", compiled)
    from sklearn.datasets import load_iris
    import fastshallow as fs
    from fastshallow.__main__ import main

    warnings.simplefilter("ignore")
    X, y = load_iris(return_X_y=True)
    model = fs.ShallowClassifier(random_state=0).fit(X, y)
    answers = [model.predict_proba(X).sum().hex(), model.loss_.hex()]
    net = fs.Network((4, 8, 3), output="softmax").init(seed=0)
    history = fs.train(net, X.T, y, fs.Adam(), 3, 32, validation=0.2)
    answers += [float(J).hex() for J in history.cost]
    fs.gradient_descent(net, X.T, y, 0.1, 3, n_threads=2)
    answers.append(float(net.cost(X.T, y)).hex())
    assert main(["train", "--quiet", "--epochs", "2"]) == 0
    fs.warmup()
    names = {e.data["dispatcher"].py_func.__qualname__ for _, e in compiled.buffer}
    print(json.dumps([answers, sorted(names)]))
"""


@pytest.mark.slow
def test_with_all_kernels_nothing_is_compiled(tmp_path):
    arguments = ["--level", LEVEL, "--out", str(tmp_path)]
    run(["-m", "fastshallow.prebuild", *arguments])
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    path = os.pathsep.join([str(ROOT), str(tmp_path / "site")])
    found = []
    for switch in ("1", "0"):
        folder = tmp_path / switch
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        options = {"PYTHONPATH": path, "FASTSHALLOW_PREBUILT": switch}
        if switch == "1":
            options["NUMBA_CACHE_DIR"] = str(tmp_path / "cache")
        source = f"import os; os.chdir({str(folder)!r})\n{textwrap.dedent(EVERYTHING)}"
        found.append(json.loads(script(source, **options).splitlines()[-1]))
    assert found[0] == [found[1][0], []]
    assert not list((tmp_path / "cache").rglob("*.nbc"))
