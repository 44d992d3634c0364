"""Kernels that count references to arrays take arrays only from kernels that do, too.

A kernel without ``allocates`` counts none. An array that it returns to one that counts them would
be freed while it is in use.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import fastshallow

PACKAGE = Path(fastshallow.__file__).parent


def decorated(tree):
    """Return the functions that are kernels, and whether each counts references."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                call = decorator if isinstance(decorator, ast.Call) else None
                name = getattr(call.func if call else decorator, "id", "")
                if name in ("jit", "out_of_line"):
                    options = {option.arg: option.value for option in call.keywords} if call else {}
                    given = (options.get(option) for option in ("allocates", "parallel"))
                    yield node, any(getattr(value, "value", False) for value in given)


def calls(*nodes):
    """Return the names of the functions that are called within nodes."""
    walked = (part for node in nodes for part in ast.walk(node))
    functions = (part.func for part in walked if isinstance(part, ast.Call))
    return {getattr(f, "id", getattr(f, "attr", "")) for f in functions}


def made_by(function):
    """Return the names that are called to make what a function returns; "slice" for a slice."""
    values = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
    values = [value for value in values if value is not None]
    names = {part.id for v in values for part in ast.walk(v) if isinstance(part, ast.Name)}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            targets = {part.id for t in node.targets for part in ast.walk(t) if hasattr(part, "id")}
            values += [node.value] if targets & names else []
    slices = (part for v in values for part in ast.walk(v) if isinstance(part, ast.Slice))
    return calls(*values) | ({"slice"} if any(slices) else set())


def faults(sources):
    """Return (caller, callee) of every kernel that takes an array from one that counts none."""
    kernels = [found for source in sources for found in decorated(ast.parse(source))]
    uncounted = {node.name: node for node, counts in kernels if not counts}
    arrays = {"Buffers", "Examples", "Matrix", "Model", "Rule", "Tile", "WeightCopies", "Workspace"}
    arrays |= {"slice", "view_as", "on_stack", "flat"}
    returning: set[str] = set()
    while True:
        more = {name for name, node in uncounted.items() if made_by(node) & (arrays | returning)}
        if more == returning:
            break
        returning = more
    counting = [node for node, counts in kernels if counts]
    return {(node.name, name) for node in counting for name in calls(*node.body) & returning}


def test_no_kernel_takes_an_array_from_one_that_counts_no_references():
    sources = [path.read_text("utf-8") for path in PACKAGE.rglob("*.py")]
    assert not faults(sources)


@pytest.mark.parametrize("option", ["allocates", "parallel"])
def test_such_a_kernel_would_be_found(option):
    source = f"""
@jit(internal=True)
def matrix(data):
    return Matrix(data, 0, 1, 1)

@jit(internal=True)
def rows(data):
    found = matrix(data) if data.size else matrix(data)
    return found, 1

@jit({option}=True)
def caller(data):
    rows(data)
"""
    assert faults([source]) == {("caller", "rows")}
    assert not faults([source.replace(f"@jit({option}=True)", "@jit")])
