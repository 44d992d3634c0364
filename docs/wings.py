"""Draw docs/wings.svg, the picture of the package's wings and their imports.

    python docs/wings.py

`tests/test_wings.py` uses this module to check the imports and the picture.
"""

from __future__ import annotations

import ast
import functools
import graphlib
from html import escape
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent / "fastshallow"

# From the lowest to the highest: a wing imports only wings before it.
WINGS = (
    "jit",
    "simd",
    "kernels",
    "network",
    "tables",
    "files",
    "training",
    "estimators",
    "cli",
    "",  # modules outside of the wings
)

Module = tuple[str, ...]


def path_of(module: Module) -> Path:
    """Return the file of a module or a wing."""
    folder = PACKAGE.joinpath(*module)
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


@functools.cache
def modules() -> list[Module]:
    """Return the package as (), the wings as (wing,), and all modules."""
    paths = [path.relative_to(PACKAGE).with_suffix("").parts for path in PACKAGE.rglob("*.py")]
    return sorted(path[:-1] if path[-1] == "__init__" else path for path in paths)


def wing_of(module: Module) -> str:
    """Return the name of a module's wing, or "" outside of the wings."""
    return module[0] if module and module[0] in WINGS else ""


@functools.cache
def imported(module: Module) -> set[Module]:
    """Return the modules and wings that a module imports, also within functions."""
    is_folder = path_of(module).name == "__init__.py"
    folder = ("fastshallow", *(module if is_folder else module[:-1]))
    names: set[tuple[str, ...]] = set()
    for node in ast.walk(ast.parse(path_of(module).read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            above = folder[: len(folder) + 1 - node.level] if node.level else ()
            inside = (*above, *(node.module.split(".") if node.module else ()))
            names |= {(*inside, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {tuple(alias.name.split(".")) for alias in node.names}
    known = set(modules()) - {()}
    ours = [name[1:] for name in names if name[0] == "fastshallow"]
    return {name if name in known else name[:-1] for name in ours} & known


def wing_imports(wing: str) -> set[str]:
    """Return the names of the other wings that a wing imports."""
    own = [module for module in modules() if wing_of(module) == wing]
    return {wing_of(other) for module in own for other in imported(module)} - {wing}


def in_order(wing: str) -> list[str]:
    """Return the modules of a wing, each after those that it imports.

    Raises CycleError for circular imports.
    """
    own = [
        module for module in modules() if wing_of(module) == wing and module not in ((), (wing,))
    ]
    graph = {module: imported(module) & set(own) for module in own}
    sorter = graphlib.TopologicalSorter(graph)
    sorter.prepare()
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order += [module[-1] for module in ready]
        sorter.done(*ready)
    return order


def purpose(wing: str) -> str:
    """Return the first line of a wing's docstring."""
    text = ast.get_docstring(ast.parse(path_of((wing,)).read_text("utf-8"))) if wing else None
    return text.split("\n")[0] if text else "What users and the command line begin with."


# The picture ---------------------------------------------------------------------------------

ROW, TEXT, CELL, LEFT = 64, 560, 46, 16
STYLE = """
    text { font: 13px sans-serif; fill: #222 }
    .wing { font-weight: bold; font-size: 15px }
    .modules { fill: #555; font-size: 11px }
    .box { fill: #f4f6f8; stroke: #b8c0c8 }
    .own { fill: #dfe5ea }
    .dot { fill: #2a6fb0 }
"""


def lines_of(names: list[str], most: int = 88) -> list[str]:
    """Return the names in comma-separated lines of at most ``most`` characters."""
    lines = [""]
    for name in names:
        longer = f"{lines[-1]}, {name}" if lines[-1] else name
        if len(longer) > most:
            lines.append(name)
        else:
            lines[-1] = longer
    return lines


def picture() -> str:
    """Return the picture as SVG: a row per wing, the lowest at the bottom, and dots for imports."""
    rows = WINGS[::-1]
    columns = WINGS[:-1]
    width, height = LEFT + TEXT + CELL * len(columns) + LEFT, ROW * len(rows) + 60
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">']
    parts.append(f"<style>{STYLE}</style>")
    for column, wing in enumerate(columns):
        x = LEFT + TEXT + CELL * column + CELL // 2
        parts.append(f'<text transform="translate({x - 8},52) rotate(-45)">{wing}</text>')
    for row, wing in enumerate(rows):
        y = 60 + ROW * row
        parts.append(
            f'<rect class="box" x="{LEFT}" y="{y}" width="{TEXT - 8}" height="{ROW - 6}"/>'
        )
        name = f"{wing}/" if wing else "fastshallow"
        parts.append(f'<text class="wing" x="{LEFT + 8}" y="{y + 19}">{name}</text>')
        about = escape(purpose(wing))
        parts.append(f'<text x="{LEFT + 110}" y="{y + 19}">{about}</text>')
        for number, line in enumerate(lines_of(in_order(wing))):
            at = y + 35 + 13 * number
            parts.append(f'<text class="modules" x="{LEFT + 8}" y="{at}">{escape(line)}</text>')
        for column, other in enumerate(columns):
            x = LEFT + TEXT + CELL * column
            own = " own" if other == wing else ""
            box = f'x="{x}" y="{y}" width="{CELL - 2}" height="{ROW - 6}"'
            parts.append(f'<rect class="box{own}" {box}/>')
            if other in wing_imports(wing):
                parts.append(f'<circle class="dot" cx="{x + 22}" cy="{y + 29}" r="7"/>')
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    (HERE / "wings.svg").write_text(picture(), "utf-8")
