"""What all tests share: a cache of their own for compiled kernels, four threads, and Ctrl-C.

The first two are environment variables that Numba reads when it is imported, and that the
processes which tests start inherit. Prebuilt kernels that are installed are not taken: many tests
are about compiling.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import shutil
import signal
import stat
import sys
import tempfile
import time
from pathlib import Path


def package_hash() -> str:
    """Return a hash of the sources of the package that will be imported."""
    spec = importlib.util.find_spec("fastshallow")
    assert spec is not None and spec.origin is not None, "fastshallow cannot be imported"
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted(Path(spec.origin).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def private_folder(name: str) -> str:
    """Return a folder below the temporary one that nobody else can write to.

    Cached kernels are pickles: whoever can write them runs code in this process.
    """
    path = Path(tempfile.gettempdir()) / name
    path.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid"):
        found = path.lstat()
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
        if not ours or stat.S_IMODE(found.st_mode) & 0o077:
            return tempfile.mkdtemp(prefix=name)
    return str(path)


def remove_old_folders(prefix: str) -> None:
    """Remove the folders of sources that nobody has tested for a day."""
    for path in Path(tempfile.gettempdir()).glob(prefix + "*"):
        if path.lstat().st_mtime < time.time() - 86400:
            shutil.rmtree(path, ignore_errors=True)


# Named after the sources: a kernel of an older version can never be served.
if "NUMBA_CACHE_DIR" not in os.environ:
    _PREFIX = f"fastshallow-tests-{os.getuid() if hasattr(os, 'getuid') else 'user'}-"
    _FOLDER = private_folder(_PREFIX + package_hash())
    os.utime(_FOLDER)
    remove_old_folders(_PREFIX)
    os.environ["NUMBA_CACHE_DIR"] = _FOLDER
os.environ["FASTSHALLOW_PREBUILT"] = "0"
# Four threads on any machine, so that results can be compared at 1 to 4.
os.environ.setdefault("NUMBA_NUM_THREADS", "4")
# A shell that starts the tests in the background has Ctrl-C ignored, in their processes too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import numba  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402


@pytest.fixture(scope="session")
def prepared():
    """Fill the cells that compiled code calls kernels through, for tests of single kernels."""
    from fastshallow.jit.linking import prepare

    for dtype in ("f4", "f8"):
        prepare(np.dtype(dtype))


@pytest.fixture(autouse=True)
def nothing_global_changes():
    """Fail a test after which the thread count or NumPy's global generator is another."""
    threads = numba.get_num_threads()
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    yield
    assert numba.get_num_threads() == threads
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.fixture
def call_seconds(monkeypatch):
    """Return a function that sets how long one call of the kernels takes; 0: a part of a step."""
    from fastshallow.training import trainer

    return functools.partial(monkeypatch.setattr, trainer, "CALL_SECONDS")


@pytest.fixture
def rng():
    """A generator that starts anew for every test."""
    return np.random.default_rng(0)
