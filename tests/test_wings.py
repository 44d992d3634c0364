"""The wings of the package: nothing points up, and what is written about them is true."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

spec = importlib.util.spec_from_file_location("wings", DOCS / "wings.py")
wings = importlib.util.module_from_spec(spec)
spec.loader.exec_module(wings)

INNER = wings.WINGS[:-1]
ORDER = list(wings.WINGS)


def test_every_folder_is_a_wing():
    folders = {module[0] for module in wings.modules() if len(module) > 1}
    assert folders == set(INNER)
    assert all(len(module) <= 2 for module in wings.modules())


@pytest.mark.parametrize("module", wings.modules()[1:], ids=".".join)
def test_nothing_points_up(module):
    wing = wings.wing_of(module)
    for other in wings.imported(module):
        found = wings.wing_of(other)
        if found != wing:
            assert ORDER.index(found) < ORDER.index(wing), f"{module} imports {other}, above it"
            # of a wing a module imports what it needs, and waits for nothing else
            assert len(other) == 2 or other == ("kernels",), f"{module} imports all of {other}"
        else:
            assert other != (wing,), f"{module} imports its own wing"


@pytest.mark.parametrize("wing", ORDER)
def test_no_circle_in_a_wing(wing):
    assert wings.in_order(wing)


@pytest.mark.parametrize("wing", INNER)
def test_a_wing_says_what_it_imports_and_what_others_use(wing):
    text = wings.path_of((wing,)).read_text("utf-8")
    said = dict(re.findall(r"^(May import|Used above): ([^.]*)\.", text, re.MULTILINE))
    may, used = (set(re.split(r",\s+", said[key])) for key in ("May import", "Used above"))
    assert may - {"nothing"} == wings.wing_imports(wing)
    users = [module for module in wings.modules() if wings.wing_of(module) != wing]
    found = {o[1] for user in users for o in wings.imported(user) if o[0] == wing and len(o) == 2}
    assert used - {"nothing"} == found


def test_imports_are_found():
    assert {("jit", "compile"), ("kernels", "blocks")} <= wings.imported(("kernels", "passes"))
    assert ("estimators", "regressor") in wings.imported(("environment",))  # within a function
    assert {("kernels",), ("network", "problem")} <= wings.imported(("network", "network"))
    assert ("network", "network") in wings.imported(())


def test_the_picture_is_drawn_from_these_imports():
    assert wings.picture() == (DOCS / "wings.svg").read_text("utf-8"), "python docs/wings.py"


@pytest.mark.skipif(os.name != "posix", reason="a shell script")
def test_the_branches_of_every_kernel_are_counted():
    # as plain Python, or, of what writes vector instructions, with indices checked
    listing = subprocess.run(
        [ROOT / ".ci/kernel-passes", "--list"], capture_output=True, text=True, check=True
    ).stdout
    listed = [line.split()[1] for line in listing.splitlines()]
    assert len(set(listed)) == len(listed) and all((ROOT / path).exists() for path in listed)
    compiled = re.compile(r"^@(jit|out_of_line)", re.MULTILINE)
    paths = map(wings.path_of, wings.modules())
    kernels = [path for path in paths if compiled.search(path.read_text("utf-8"))]
    assert {str(path.relative_to(ROOT)) for path in kernels} <= set(listed)
    assert len(kernels) > 20
