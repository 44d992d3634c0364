"""Build the wheel of prebuilt kernels, for levels of CPUs instead of one CPU.

    python -m fastshallow.prebuild --level x86-64-v3 --level x86-64-v4 --out dist

The wheel ``fastshallow-kernels`` is a companion: ``fastshallow`` itself stays one wheel for all
Pythons and systems. The companion holds machine code, and fits one minor version of Python, one
system, and one version each of fastshallow, numba and llvmlite. `fastshallow.jit.prebuilt` reads
it.

Two cores are needed, because the kernels of several threads are among them. A level that this
machine does not have can be built: its kernels are compiled and never run.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import importlib
import io
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

from ._version import __version__
from .environment import warmup
from .jit.compile import KERNELS, package_stamp, unannounced
from .jit.machine_code import packed
from .jit.prebuilt import HOME, LEVELS, MANIFEST, SWITCH, key, made_for
from .jit.threads import allowed

__all__ = ["build", "compile_level", "loaded", "main", "record", "wheel"]

Form = tuple[str, tuple[Any, ...]]

X86 = llvm.get_process_triple().startswith("x86_64")

# LLVM prefers vectors of 32 bytes for some levels that have 64.
X86_FEATURES = "-prefer-256-bit"

ABOUT = """Kernels of fastshallow {version}, compiled ahead of time for {levels}.

Install this package beside fastshallow, and the first call compiles nothing. It holds data only.
"""


def build(levels: Sequence[str], out: str | Path, forms: Iterable[Form] | None = None) -> Path:
    """Compile kernels for some levels, and return the wheel that holds them.

    Parameters
    ----------
    levels : sequence of str
        Names of `fastshallow.jit.prebuilt.LEVELS`.
    out : str or Path
        The folder of the wheel.
    forms : iterable of (str, tuple), optional
        The kernels, with the types of their arguments. The default is all that `fs.warmup` loads.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        recorded = folder / "forms"
        if forms is None:
            # The first process may compile, and also for callees that end up within their callers.
            # The second loads only what is called.
            for _ in range(2):
                _run("record", os.fspath(recorded), **{SWITCH: "0"})
        else:
            recorded.write_bytes(pickle.dumps(list(forms)))
        for level in levels:
            began = time.perf_counter()
            target = {"NUMBA_CPU_NAME": level, "NUMBA_CACHE_DIR": str(folder / "cache" / level)}
            if X86:
                target["NUMBA_CPU_FEATURES"] = X86_FEATURES
            place = folder / HOME / level
            _run("compile_level", str(recorded), str(place), **target)
            sizes = [path.stat().st_size for path in place.iterdir()]
            seconds = time.perf_counter() - began
            print(
                f"{level}: {len(sizes) - 1} kernels, {sum(sizes) / 1e6:.1f} MB, {seconds:.0f} s",
                flush=True,
            )
        return wheel(folder / HOME, out, levels)


def _run(task: str, *arguments: str, **environ: str) -> None:
    """Call a function of this module in a process of its own, with Numba's default settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    if "NUMBA_CACHE_DIR" in os.environ:
        kept["NUMBA_CACHE_DIR"] = os.environ["NUMBA_CACHE_DIR"]
    kept["PYTHONPATH"] = os.pathsep.join(sys.path)
    source = f"import sys; from {__package__} import prebuild; prebuild.{task}(*sys.argv[1:])"
    subprocess.run([sys.executable, "-c", source, *arguments], env={**kept, **environ}, check=True)


def record(path: str) -> None:
    """Write the kernels that `fs.warmup` loads, with the types of their arguments, to a file."""
    if allowed() < 2:
        raise RuntimeError("the kernels of several threads need two cores")
    warmup()
    Path(path).write_bytes(pickle.dumps(loaded()))


def loaded() -> list[Form]:
    """Return the kernels that this process has loaded, with the types of their arguments."""
    return [(name, types) for name, kernel in KERNELS.items() for types in kernel.overloads]


def compile_level(recorded: str, folder: str) -> None:
    """Compile recorded kernels for the CPU that ``NUMBA_CPU_NAME`` names, without running them."""
    place = Path(folder)
    kernels: dict[str, dict[str, str]] = {}
    place.mkdir(parents=True)
    forms: list[Form] = pickle.loads(Path(recorded).read_bytes())
    with unannounced():
        for name, types in forms:
            importlib.import_module(name.rpartition(".")[0])
            kernel = KERNELS[name]
            kernel.compile(types)
            data = packed(kernel.overloads[types])
            file = f"{name.removeprefix(f'{__package__}.')}.{len(kernels)}.kernel"
            (place / file).write_bytes(data)
            kernels[key(name, types)] = {"file": file, "sha256": hashlib.sha256(data).hexdigest()}
    if len(kernels) != len(forms):
        raise RuntimeError("two kernels have one name")
    manifest = {"made_for": made_for(package_stamp()), "kernels": kernels}
    (place / MANIFEST).write_text(json.dumps(manifest, indent=1), "utf-8")


# The wheel -----------------------------------------------------------------------------------


def wheel(folder: Path, out: str | Path, levels: Sequence[str]) -> Path:
    """Write a wheel of a folder with levels, and return its path.

    A wheel is an archive with three files of text, so it needs no build backend and no network.
    """
    about = ABOUT.format(version=__version__, levels=" and ".join(levels))
    files = {f"{HOME}/__init__.py": f'"""{about}"""\n'.encode()}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            files[path.relative_to(folder.parent).as_posix()] = path.read_bytes()
    tag, tags = _tags()
    info = f"{HOME}-{__version__}.dist-info"
    files[f"{info}/METADATA"] = _metadata(about).encode()
    lines = ["Wheel-Version: 1.0", "Generator: fastshallow.prebuild", "Root-Is-Purelib: false"]
    files[f"{info}/WHEEL"] = "\n".join([*lines, *(f"Tag: {tag}" for tag in tags), ""]).encode()
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD")
    Path(out).mkdir(parents=True, exist_ok=True)
    path = Path(out) / f"{HOME}-{__version__}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            member = zipfile.ZipInfo(name)  # of 1980: the same files are the same wheel
            member.external_attr = 0o100644 << 16
            archive.writestr(member, data, zipfile.ZIP_DEFLATED)
    return path


def _tags() -> tuple[str, list[str]]:
    """Return the tag of the wheel's name, and the same taken apart.

    The platforms are those of the installed numba, without which the kernels are of no use.
    """
    text = metadata.distribution("numba").read_text("WHEEL") or ""
    tags = [line.split()[1] for line in text.splitlines() if line.startswith("Tag: ")]
    if not tags:
        raise RuntimeError("numba is not installed from a wheel, which would name the platform")
    python = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    platforms = sorted({part for tag in tags for part in tag.split("-")[2].split(".")})
    return f"{python}-none-{'.'.join(platforms)}", [f"{python}-none-{p}" for p in platforms]


def _metadata(about: str) -> str:
    pinned = [f"fastshallow=={__version__}"]
    pinned += [f"{name}=={metadata.version(name)}" for name in ("numba", "llvmlite")]
    return "\n".join(
        [
            "Metadata-Version: 2.1",
            f"Name: {HOME.replace('_', '-')}",
            f"Version: {__version__}",
            "Summary: Compiled kernels of fastshallow: its first call compiles nothing",
            "License: BSD-3-Clause",
            f"Requires-Python: =={sys.version_info[0]}.{sys.version_info[1]}.*",
            *(f"Requires-Dist: {package}" for package in pinned),
            "",
            about,
        ]
    )


def _record(files: dict[str, bytes], own: str) -> bytes:
    """Return the wheel's list of files, with hashes and sizes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        writer.writerow([name, f"sha256={digest}", len(data)])
    writer.writerow([own, "", ""])
    return text.getvalue().encode()


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the wheel that the options describe."""
    parser = argparse.ArgumentParser(
        prog="python -m fastshallow.prebuild",
        description="Build fastshallow-kernels, the wheel of kernels that are compiled already.",
    )
    parser.add_argument(
        "--level",
        action="append",
        required=True,
        choices=LEVELS,
        help="a level of CPUs; give the option once for each",
    )
    parser.add_argument("--out", default="dist", help="the folder of the wheel [%(default)s]")
    options = parser.parse_args(arguments)
    for level in options.level:
        if level.startswith("x86") and not X86:
            parser.error(f"--level {level}: expected a level of this machine's architecture")
    print(build(list(dict.fromkeys(options.level)), options.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
