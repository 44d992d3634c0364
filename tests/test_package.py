"""The package as a whole: what it imports, that what is written about it is true."""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fastshallow as fs

PACKAGE = Path(fs.__file__).parent
ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
DOCUMENTS = (
    "README.md",
    "docs/guide.md",
    "docs/faq.md",
    "docs/notes.md",
    "docs/migration.md",
    "docs/cli.md",
)


def modules():
    """Return the names of the package's modules, those of the wings too."""
    paths = [path.relative_to(PACKAGE.parent).with_suffix("") for path in PACKAGE.rglob("*.py")]
    return sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)


def test_import_is_light():
    heavy = ["numba", "numpy", "sklearn", "scipy", "matplotlib", "pandas", "safetensors", "tqdm"]
    code = (
        "import sys, fastshallow, fastshallow.__main__; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


def test_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+", fs.__version__)
    assert f"## {fs.__version__}\n" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_typed():
    assert (PACKAGE / "py.typed").exists()


def test_command_is_there():
    module, name = PYPROJECT["project"]["scripts"]["fastshallow"].split(":")
    assert callable(getattr(importlib.import_module(module), name))


# Public names --------------------------------------------------------------------------------


def test_all_is_what_is_loaded_lazily():
    assert set(fs.__all__) == {"__version__", *fs._HOMES, *fs._MODULES}
    assert set(fs.__all__) <= set(dir(fs))
    with pytest.raises(AttributeError, match="module 'fastshallow' has no attribute 'Netwrok'"):
        _ = fs.Netwrok


@pytest.mark.parametrize("name", sorted(set(fs.__all__) - {"__version__"}))
def test_public_names_are_documented(name):
    thing = getattr(fs, name)
    text = inspect.getdoc(thing)
    assert text
    if inspect.ismodule(thing):
        for public in thing.__all__:
            assert inspect.getdoc(getattr(thing, public)), f"{name}.{public}"
        return
    assert "Examples\n--------\n>>> " in text
    parameters = inspect.signature(thing).parameters
    assert "Parameters\n----------\n" in text or not parameters
    for parameter in parameters:
        assert re.search(rf"^(\w+, )*{parameter}(, \w+)*( :|$)", text, re.MULTILINE), parameter


@pytest.mark.parametrize("document", DOCUMENTS)
def test_names_in_documents_exist(document):
    names = set(re.findall(r"\bfs\.([A-Za-z_][\w.]*\w)", (ROOT / document).read_text("utf-8")))
    assert len(names) > 5
    for name in names:
        thing = fs
        for part in name.split("."):
            assert hasattr(thing, part), f"{document}: fs.{name}"
            thing = getattr(thing, part)


def resolves(name):
    """Return whether a dotted name leads to something, by way of modules and attributes."""
    parts = name.split(".")
    thing = fs
    for i, part in enumerate(parts[1:], 2):
        if not hasattr(thing, part):
            try:
                importlib.import_module(".".join(parts[:i]))
            except ImportError:
                return False
        thing = getattr(thing, part)
    return True


def test_what_texts_refer_to_is_there():
    texts = [*PACKAGE.rglob("*.py"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")]
    names, paths = set(), set()
    for path in texts:
        text = path.read_text("utf-8")
        names |= set(re.findall(r"`(fastshallow\.[\w.]*\w)", text))
        paths |= set(re.findall(r"`((?:fastshallow|tests|asv_bench|docs|\.ci)/[\w/.-]+)`", text))
    assert len(names) > 30 and len(paths) > 30
    assert {name for name in names if not resolves(name)} == set()
    assert {path for path in paths if not (ROOT / path).exists()} == set()


def test_the_walks_lead_to_functions_that_are_there():
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    place = r"`((?:fastshallow/)?[\w/]+\.py)`"
    named = re.findall(rf"`([\w.]+)`(?: and `[\w.]+`)?(?:, | \(){place}", text)
    assert len(named) > 30
    for name, file in named:
        source = (PACKAGE / file.removeprefix("fastshallow/")).read_text("utf-8")
        last = name.rpartition(".")[2]
        pattern = rf"^\s*(def|class) {last}\b|^(\w+, )*{last}\b.* = "
        assert re.search(pattern, source, re.MULTILINE), f"{name} is not in {file}"
    for file in re.findall(r"`((?:\w+/)+\w+\.py)`", text):
        assert (PACKAGE / file).exists() or (ROOT / file).exists(), file


# Examples ------------------------------------------------------------------------------------


def examples(module):
    """Return the examples of a module and of all that it defines."""
    found = doctest.DocTestFinder().find(importlib.import_module(module))
    return [test for test in found if test.examples]


def run(test):
    """Run one docstring's examples, and fail with doctest's own report."""
    report = []
    doctest.DocTestRunner(optionflags=doctest.REPORT_NDIFF).run(test, out=report.append)
    assert not report, "".join(report)


@pytest.mark.parametrize("module", modules())
def test_examples_of_docstrings(module):
    for test in examples(module):
        run(test)


def test_examples_of_kernels_are_found():
    names = {test.name for test in examples("fastshallow.kernels.activations")}
    assert {"fastshallow.kernels.activations", "fastshallow.kernels.activations.g"} <= names


@pytest.mark.parametrize("document", DOCUMENTS)
def test_examples_of_documents(document):
    text = (ROOT / document).read_text("utf-8")
    # only what stands between the fences: doctest would take the closing one for output
    code = "".join(re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    test = doctest.DocTestParser().get_doctest(code, {}, document, document, 0)
    assert test.examples or document != "README.md"
    run(test)


# What the files around it say ----------------------------------------------------------------


def package_name(requirement):
    """Return the name of what a requirement requires."""
    return re.match(r"[A-Za-z0-9_-]+", requirement)[0]


def test_every_dependency_has_a_reason():
    project = PYPROJECT["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    required = {package_name(r) for r in sum(lists, PYPROJECT["build-system"]["requires"])}
    table = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("## Dependencies")[1]
    reasons = dict(re.findall(r"^\| ([a-z-]+) \| .* \| (.+) \|$", table, re.MULTILINE))
    assert required - {"fastshallow"} == set(reasons) - {"package"}


def test_benchmarks_install_what_the_package_needs():
    required = {package_name(r) for r in PYPROJECT["project"]["dependencies"]}
    assert set(json.loads((ROOT / "asv.conf.json").read_text())["matrix"]["req"]) == required


def test_the_oldest_versions_are_those_declared():
    project = PYPROJECT["project"]
    extras = [project["optional-dependencies"][extra] for extra in ("cli", "plot", "test")]
    declared = dict(part.split(">=") for part in sum(extras, project["dependencies"]))
    text = (ROOT / ".ci/oldest.txt").read_text("utf-8")
    oldest = dict(re.findall(r"^([a-z-]+)==([0-9.]+)", text, re.MULTILINE))
    assert oldest.pop("scipy")  # which scikit-learn brings
    assert oldest.keys() == declared.keys()
    for name, version in declared.items():  # 8 is 8.0.0
        assert re.fullmatch(re.escape(version) + r"(\.0)*", oldest[name]), name


def test_newcomers_commands_are_the_readmes():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert 'python -m pip install ".[cli,plot]" && fastshallow train\n' in readme
    assert (
        'python -m pip install ".[test]" && python -m pytest -n auto --dist worksteal\n' in readme
    )
    assert not re.search(r"python -m pytest", (ROOT / ".ci/run").read_text("utf-8"))


def test_citation_has_the_version():
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.findall(r"^version: (.+)$", text, re.MULTILINE) == [fs.__version__]


def test_workflows_run_the_commands_of_the_documents():
    ci, release = (
        (ROOT / f".github/workflows/{name}.yml").read_text("utf-8") for name in ("ci", "release")
    )
    readme, contributing, everything = (
        (ROOT / name).read_text("utf-8") for name in ("README.md", "CONTRIBUTING.md", ".ci/run")
    )
    tests = re.search(r'^ *(python -m pip install "\.\[test\]" .*)$', readme, re.MULTILINE)[1]
    oldest = re.search(r"^\| `(.* -c \.ci/oldest\.txt .*)` \|", contributing, re.MULTILINE)[1]
    installed = re.search(r"fastshallow versions && .*(?=\))", everything)[0]
    for command in (".ci/run", tests, oldest):
        assert f"\n      - run: {command}\n" in ci
    for command in (tests, installed):
        assert f"\n          {command}\n" in release


def test_workflows_try_the_pythons_that_are_declared():
    matrix = re.search(r"python: \[(.*)\]", (ROOT / ".github/workflows/ci.yml").read_text("utf-8"))[
        1
    ]
    declared = re.findall(r"Python :: (3\.\d+)", " ".join(PYPROJECT["project"]["classifiers"]))
    assert re.findall(r"[\d.]+", matrix) == declared
    release = (ROOT / ".github/workflows/release.yml").read_text("utf-8")
    assert f"\n        python: [{matrix}]\n" in release  # a wheel of kernels for each
    assert PYPROJECT["project"]["requires-python"] == f">={declared[0]}"


def test_commit_hooks_are_tools_of_the_extra_dev():
    text = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    entries = re.findall(r"^ +entry: (\S+)", text, re.MULTILINE)
    assert {"ruff", "mypy"} == set(entries)
    extra = PYPROJECT["project"]["optional-dependencies"]["dev"]
    assert {"ruff", "mypy", "pre-commit"} <= {package_name(r) for r in extra}
