"""How every kernel is compiled: one set of options, with the reason for each.

=============  ==========================================================================
option         reason
=============  ==========================================================================
cache          compiling takes seconds, loading a compiled kernel milliseconds
nogil          other Python threads go on while a kernel runs
error_model    "numpy": 1/0 is inf, as in NumPy; a zero test in a loop stops vectorisation
fastmath       never: a helper without the option takes its first caller's flags, so that
               results would depend on the order of calls, and isnan() would be deleted
parallel       only explicit ``prange`` loops: Numba's own parallel reductions give other
               bits for another number of threads
=============  ==========================================================================
"""

from __future__ import annotations

import hashlib
import logging
import os
import pkgutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec
from typing import Any

import numpy as np
from numba import config, njit, prange
from numba.core import event, sigutils
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.misc.appdirs import AppDirs

from . import argument_types

__all__ = [
    "ONE",
    "ZERO",
    "cache_directory",
    "in_python",
    "jit",
    "package_stamp",
    "prange",
    "unannounced",
]

# The whole package: a kernel may change with a module of any wing.
PACKAGE = __name__.partition(".")[0]

logger = logging.getLogger(PACKAGE)

# Numba compiles a function anew for every constant it is called with; these are no constants to it.
ZERO, ONE = np.int64(0), np.int64(1)

PRANGE_ONLY = {
    "comprehension": False,
    "reduction": False,
    "inplace_binop": False,
    "setitem": False,
    "numpy": False,
    "stencil": False,
    "fusion": False,
    "prange": True,
}

_uncached_logged = False


def package_stamp() -> str:
    """Return a hash of the package's modules, the freshness mark of every cached kernel.

    They are hashed as Python finds them: sources or compiled files, in a folder or an archive.
    "" where they cannot be read: then nothing says whether a kernel is fresh.
    """
    digest = hashlib.sha256()
    try:
        for name, spec in _modules(sys.modules[PACKAGE].__spec__):
            digest.update(name.encode())
            digest.update(spec.loader.get_data(spec.origin))  # type: ignore[union-attr]
    except (AttributeError, OSError):  # a program in one file, say, with an importer of its own
        return ""
    return digest.hexdigest()


def _modules(spec: Any, name: str = "") -> Iterator[tuple[str, ModuleSpec]]:
    """Yield a package and all modules within it, in the order of their names; import none."""
    yield name, spec
    found = pkgutil.iter_modules(spec.submodule_search_locations)
    for finder, part, is_package in sorted(found, key=lambda module: module.name):
        inner = finder.find_spec(part)  # type: ignore[call-arg]
        full = f"{name}.{part}"
        if is_package:
            yield from _modules(inner, full)
        else:
            assert inner is not None
            yield full, inner


_STAMP = package_stamp()


def jit(
    function: Callable[..., Any] | None = None,
    *,
    parallel: bool = False,
    internal: bool = False,
    allocates: bool = False,
    linked: bool | None = None,
    takes: Mapping[str, Any] | Callable[..., None] | None = None,
) -> Any:
    """Compile a kernel when it is first called, with the options of this module.

    Parameters
    ----------
    function : callable
        The kernel, in Python.
    parallel : bool
        Whether its ``prange`` loops run in parallel.
    internal : bool
        Whether only other kernels call it. It then has no code to be called from Python, which
        takes longer to compile than a small kernel itself; calling it so ends the process.
    linked : bool
        Whether it is part of its callers' code alone, and has none of its own: see `_Linked`.
        Default: if it is internal.
    allocates : bool
        Whether it makes arrays. All others count no references: their caller keeps the arrays that
        they are passed. (An atomic count takes 5 ns; a step of 2-4-1 took 3.5 us with them and
        1.7 us without.) So one that allocates must not call one that does not and returns an
        array, which the former would count down without its having been counted up.
    takes : dict
        For a kernel that users call: by the names of its arguments, what they may be; see
        `fastshallow.jit.argument_types`. Or a function that is given their types, and raises.

    Returns
    -------
    callable
        Numba's dispatcher, or the function itself where ``NUMBA_DISABLE_JIT`` is set.
    """
    if function is None:
        given = {"parallel": parallel, "internal": internal, "allocates": allocates}
        return lambda f: jit(f, **given, linked=linked, takes=takes)
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": False}
    options["parallel"] = PRANGE_ONLY if parallel else False
    options["no_cpython_wrapper"] = internal
    options["no_cfunc_wrapper"] = True  # none is ever passed as a function pointer
    options["_nrt"] = allocates or parallel  # always stated, or a helper takes its first caller's
    linked = internal if linked is None else linked
    if linked:
        options["pipeline_class"] = _LinkedCompiler
    kernel = njit(**options)(function)
    if not (linked or config.DISABLE_JIT):
        try:
            kernel._cache = KernelCache(function)
        except (RuntimeError, OSError) as error:  # "no locator available": nowhere to write
            _log_uncached(error)
    if takes is not None and not config.DISABLE_JIT:
        _check_types(kernel, function, takes)
    return kernel


def in_python(kernel: Any) -> Callable[..., Any]:
    """Return the Python function of a kernel."""
    function: Callable[..., Any] = getattr(kernel, "py_func", kernel)
    return function


def _check_types(kernel: Any, function: Callable[..., Any], takes: Any) -> None:
    """Make a dispatcher look at the types of a call before it compiles.

    Calls from Python and from other compiled code both come through its method `compile`.
    """
    compile_ = kernel.compile

    def checked(signature: Any) -> Any:
        found = sigutils.normalize_signature(signature)[0]
        if callable(takes):
            takes(found)
        else:
            argument_types.check(function, takes, found)
        return compile_(signature)

    kernel.compile = checked


class _Linked(JITCodeLibrary):
    """The code of a kernel that is only ever linked into its callers', and optimised there.

    Numba would optimise it by itself too, make machine code of it and keep that in a file: of the
    first step of a process with an empty cache, 2.5 of 12 s.
    """

    @property
    def codegen(self) -> _Linked:
        return self

    def set_env(self, name: str, env: Any) -> None:
        """Do nothing: there is no code that would look for Python's globals."""

    def get_pointer_to_function(self, name: str) -> int:
        """Return 0, which stands for none."""
        self._ensure_finalized()
        return 0

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True


class _LinkedCompiler(Compiler):
    """Numba's compiler, with another library for the code."""

    def _compile_core(self) -> Any:
        state = self.state
        if state.library is None:
            state.library = _Linked(state.targetctx.codegen(), state.func_id.func_qualname)
        return super()._compile_core()


class _SourcelessLocator(_CacheLocator):
    """Finds a folder for the kernels of a package without sources, where Numba finds none.

    That is, one of ``.pyc`` files alone, or within an archive. The folders are those that Numba
    would try: the user's choice, beside the module, the user's cache.
    """

    def __init__(self, folder: str, line: int):
        self._folder, self._line = folder, line

    def get_cache_path(self) -> str:
        return self._folder

    def get_source_stamp(self) -> str:
        return _STAMP

    def get_disambiguator(self) -> str:
        return str(self._line)

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> _SourcelessLocator | None:
        """Return the locator of a folder that can be written to, if Numba needs one from here."""
        module = sys.modules.get(py_func.__module__)
        file = getattr(module, "__file__", None)
        ours = py_func.__module__.partition(".")[0] == PACKAGE
        if not ours or file is None or (file.endswith(".py") and os.path.exists(file)):
            return None
        below = cls.get_suitable_cache_subpath(file)
        folders = [os.path.join(config.CACHE_DIR, below)] if config.CACHE_DIR else []
        beside = os.path.dirname(file)
        if os.path.isdir(beside):  # and no place within an archive
            folders.append(os.path.join(beside, "__pycache__"))
        own = AppDirs(appname="numba", appauthor=False).user_cache_dir
        for folder in [*folders, os.path.join(own, below)]:
            locator = cls(folder, py_func.__code__.co_firstlineno)
            with suppress(OSError):
                locator.ensure_cache_path()
                return locator
        return None


class _Stamped(CompileResultCacheImpl):
    """Machine code in a file, together with the stamp of the sources that it was made from."""

    _locator_classes = (_SourcelessLocator, *CompileResultCacheImpl._locator_classes)

    def reduce(self, cres: Any) -> tuple[str, Any]:
        return _STAMP, super().reduce(cres)

    def rebuild(self, target_context: Any, payload: tuple[str, Any]) -> Any:
        stamp, compiled = payload
        return super().rebuild(target_context, compiled) if stamp == _STAMP else None


class KernelCache(FunctionCache):
    """Numba's cache on disk, where whatever is wrong with it costs time and nothing else.

    Numba looks only at the file that holds a kernel, so an edited helper in another file would be
    served stale (numba #1833): the mark here is the stamp of all sources. Index and data are two
    files, and processes that write at once can leave the index of one with the data of the other:
    the data tell what they are, and others count as missing. A file that cannot be read, or
    written (disk full, folder removed), is a reason to compile, not to stop.
    """

    _impl_class = _Stamped

    def __init__(self, function: Callable[..., Any]):
        if not _STAMP:
            raise RuntimeError("the files of fastshallow cannot be read")
        super().__init__(function)
        self._cache_file._source_stamp = _STAMP

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            compiled = super().load_overload(sig, target_context)
        except Exception as error:  # of an unreadable pickle: of any kind
            logger.debug("a cached kernel cannot be read, and is compiled: %r", error)
            return None
        if compiled is None or compiled.signature.args != sigutils.normalize_signature(sig)[0]:
            return None
        return compiled

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _log_uncached(error)
        except Exception:  # an index that cannot be read: begin a new one
            try:
                self.flush()
                super().save_overload(sig, data)
            except OSError as error:
                _log_uncached(error)


# Saying that kernels are being compiled -------------------------------------------------------


class _Announcer(event.Listener):
    """Say once in a process that kernels are being compiled, when that has taken a second.

    It is a warning of the logger "fastshallow": where nobody has set up logging, Python writes it
    to stderr.
    """

    def __init__(self) -> None:
        self.left = 1.0  # seconds
        self.depth, self.muted = 0, False
        self.began = 0.0
        self.timer: threading.Timer | None = None

    def on_start(self, happens: event.Event) -> None:
        """Start the clock with the outermost kernel."""
        if not self._is_ours(happens):
            return
        self.depth += 1
        if self.depth == 1 and self.left > 0 and not self.muted:
            self.began = time.perf_counter()
            self.timer = threading.Timer(self.left, self.say)
            self.timer.daemon = True
            self.timer.start()

    def on_end(self, happens: event.Event) -> None:
        """Stop it."""
        if not self._is_ours(happens):
            return
        self.depth -= 1
        if self.depth == 0 and self.timer is not None:
            self.timer.cancel()
            self.timer.join()
            self.timer = None
            self.left -= time.perf_counter() - self.began

    def _is_ours(self, happens: event.Event) -> bool:
        module = happens.data["dispatcher"].py_func.__module__ or ""
        return module.startswith(PACKAGE + ".")

    def say(self) -> None:
        """Say it."""
        self.left = -1.0
        logger.warning(
            "fastshallow is compiling its kernels. This takes up to two minutes, once on a "
            "machine; fastshallow.warmup() does it ahead of time."
        )


_announcer = _Announcer()
if not config.DISABLE_JIT:
    event.register("numba:compile", _announcer)


@contextmanager
def unannounced() -> Iterator[None]:
    """Say nothing of compiling, where the caller knows of it."""
    before, _announcer.muted = _announcer.muted, True
    try:
        yield
    finally:
        _announcer.muted = before


def _log_uncached(error: Exception) -> None:
    """Say, once, that kernels are not kept, and what would change that."""
    global _uncached_logged
    if _uncached_logged:
        return
    _uncached_logged = True
    classes = getattr(config, "CACHE_LOCATOR_CLASSES", "")
    if not _STAMP:
        advice = "install it as files, in a folder or an archive"
    elif classes:
        advice = f"NUMBA_CACHE_LOCATOR_CLASSES is set, to {classes}: unset it"
    elif config.CACHE_DIR:
        advice = f"NUMBA_CACHE_DIR is {config.CACHE_DIR!r}: set it to a folder with room to write"
    else:
        advice = "set NUMBA_CACHE_DIR to a writable folder of your own"
    what = "no folder for compiled kernels can be written to" if _STAMP else "no kernels are kept"
    logger.warning("%s (%s): each process compiles anew; %s", what, error, advice)


def cache_directory(kernel: Any) -> str | None:
    """Return the folder in which a kernel's machine code is kept, or None."""
    stats = getattr(kernel, "stats", None)
    return None if stats is None else stats.cache_path
