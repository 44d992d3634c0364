"""Kernels that were compiled ahead of time, for a level of CPUs instead of one CPU.

The package ``fastshallow_kernels`` is optional and has data only: a folder for each level, with a
``manifest.json`` and a file for each compiled form of a kernel. `fastshallow.prebuild` makes it. A
file is a pickle like those of Numba's cache, and is trusted as any installed package is.

Kernels are taken only if all that machine code depends on is as it was in the build, see
`made_for`. Everything else is compiled. Nothing here writes a file.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np
from numba import config

from .machine_code import unpacked

__all__ = ["LEVELS", "SWITCH", "Prebuilt", "compiled_in", "find", "key", "load", "made_for"]

HOME = "fastshallow_kernels"
MANIFEST = "manifest.json"

# The environment variable that switches prebuilt kernels off, if it is 0.
SWITCH = "FASTSHALLOW_PREBUILT"

V2 = ("cx16", "popcnt", "sahf", "sse3", "sse4.1", "sse4.2", "ssse3")
V3 = (*V2, "avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave")
V4 = (*V3, "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl")

#: Levels from the lowest to the highest: LLVM's names of what a CPU must have.
LEVELS = {"generic": (), "x86-64-v2": V2, "x86-64-v3": V3, "x86-64-v4": V4}

# Settings of Numba that change machine code.
SETTINGS = (
    "BOUNDSCHECK",
    "DEBUGINFO_DEFAULT",
    "DEBUG_ARRAY_OPT_RUNTIME",
    "DEBUG_NRT",
    "ENABLE_PROFILING",
    "EXTEND_VARIABLE_LIFETIMES",
    "JIT_COVERAGE",
    "LLVM_REFPRUNE_FLAGS",
    "LLVM_REFPRUNE_PASS",
    "LOOP_VECTORIZE",
    "NRT_STATS",
    "OPT",
    "PARFOR_MAX_TUPLE_SIZE",
    "SLP_VECTORIZE",
    "USING_SVML",
)

logger = logging.getLogger("fastshallow")

_constants: dict[str, Any] = {}


class Prebuilt(NamedTuple):
    """The prebuilt kernels of a process; ``why`` says why there are none."""

    level: str
    folder: Path
    kernels: Mapping[str, Mapping[str, str]]
    why: str


def compiled_in(**values: Any) -> None:
    """Note constants of this process that are compiled into kernels.

    Prebuilt kernels are taken only if they were compiled with the same.
    """
    _constants.update(values)


def made_for(stamp: str) -> dict[str, Any]:
    """Return what machine code of this process depends on, except the CPU.

    Parameters
    ----------
    stamp : str
        The hash of the package's sources.

    Examples
    --------
    >>> from fastshallow.jit.prebuilt import made_for
    >>> made_for("a hash")["sources"]
    'a hash'
    """
    return {
        "python": f"{sys.implementation.cache_tag}{getattr(sys, 'abiflags', '')}",
        "numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
        "numpy": int(np.__version__.partition(".")[0]),
        # a name of macOS ends with its version
        "platform": re.sub(r"[\d.]+$", "", llvm.get_process_triple()),
        "sources": stamp,
        **_constants,
        **{name: str(getattr(config, name, None)) for name in SETTINGS},
    }


@cache
def find(stamp: str) -> Prebuilt:
    """Return the kernels of the highest level that fits this process.

    Parameters
    ----------
    stamp : str
        The hash of the package's sources.
    """
    try:
        why = _refused()
        folder = None if why else _home()
        if folder is None:
            return Prebuilt("", Path(), {}, why or "not installed")
        found = _best(folder, made_for(stamp))
    except Exception as error:  # whatever is wrong with a file, kernels are compiled
        found = Prebuilt("", Path(), {}, repr(error))
    logger.debug("prebuilt kernels: %s", found.level or found.why)
    return found


def _home() -> Path | None:
    """Return the folder of the package that has the levels, without importing it."""
    spec = importlib.util.find_spec(HOME)
    places = None if spec is None else spec.submodule_search_locations
    return Path(next(iter(places))) if places else None


def _refused() -> str:
    """Return why this process takes no prebuilt kernels at all, or ""."""
    if os.environ.get(SWITCH) == "0":
        return f"{SWITCH} is 0"
    if config.DISABLE_JIT:
        return "NUMBA_DISABLE_JIT is set"
    if config.CPU_NAME is not None or config.CPU_FEATURES is not None:
        return "NUMBA_CPU_NAME or NUMBA_CPU_FEATURES is set"
    return ""


def _best(folder: Path, wanted: Mapping[str, Any]) -> Prebuilt:
    """Return the kernels of the highest level in a folder that fits."""
    here = llvm.get_host_cpu_features()
    reasons = []
    for level, features in reversed(LEVELS.items()):
        path = folder / level / MANIFEST
        if not path.is_file():
            continue
        lacking = [feature for feature in features if not here.get(feature)]
        if lacking:
            reasons.append(f"{level} needs {', '.join(lacking)}")
            continue
        try:
            manifest = json.loads(path.read_text("utf-8"))
            made, kernels = dict(manifest["made_for"]), dict(manifest["kernels"])
            others = [name for name in wanted if made.get(name) != wanted[name]]
            others += sorted(made.keys() - wanted.keys())
        except Exception as error:  # any error of a damaged file
            reasons.append(f"{level}: {error!r}")
            continue
        if not others:
            return Prebuilt(level, folder / level, kernels, "")
        reasons.append(f"{level} was built with other {', '.join(others)}")
    return Prebuilt("", Path(), {}, "; ".join(reasons) or "no level")


def load(name: str, arguments: tuple[Any, ...], stamp: str, target_context: Any) -> Any:
    """Return a compiled kernel, or None if there is no prebuilt one that is whole.

    Parameters
    ----------
    name : str
        The kernel's module and name.
    arguments : tuple of numba.types.Type
        The types of its arguments.
    stamp : str
        The hash of the package's sources.
    target_context : numba.core.base.BaseContext
        Numba's context of the CPU.
    """
    found = find(stamp)
    entry = found.kernels.get(key(name, arguments)) if found.level else None
    if entry is None:
        return None
    try:
        data = (found.folder / entry["file"]).read_bytes()
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            raise ValueError(f"{entry['file']} is damaged")
        compiled = unpacked(target_context, data)
    except Exception as error:  # a pickle raises any type
        logger.debug("a prebuilt kernel cannot be read, and is compiled: %r", error)
        return None
    return compiled if compiled.signature.args == arguments else None


def key(name: str, arguments: tuple[Any, ...]) -> str:
    """Return the name of a compiled form in a manifest."""
    return f"{name}({', '.join(map(str, arguments))})"
