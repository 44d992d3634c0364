"""The decorator `jit` for all kernels, the reasons for its options, and the cache on disk.

=============  ==========================================================================
option         reason
=============  ==========================================================================
cache          compiling a kernel takes seconds, loading it takes milliseconds
nogil          other Python threads run while a kernel runs
error_model    "numpy": 1/0 is inf, as in NumPy; a zero test in a loop stops vectorisation
fastmath       off: a helper inherits the flags of its first caller, and then results depend
               on the order of calls; fastmath also deletes isnan()
parallel       explicit ``prange`` loops only: the bits of Numba's own parallel reductions
               depend on the number of threads
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
from numba.core.caching import CompileResultCacheImpl, FunctionCache, NullCache, _CacheLocator
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.misc.appdirs import AppDirs

from . import argument_types, machine_code, prebuilt

__all__ = [
    "KERNELS",
    "ONE",
    "ZERO",
    "cache_directory",
    "in_python",
    "jit",
    "loads_watched",
    "package_stamp",
    "prange",
    "tell_watchers",
    "unannounced",
]

PACKAGE = __name__.partition(".")[0]

logger = logging.getLogger(PACKAGE)

# Numba compiles a function again for every literal argument. It does not treat these as literals.
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

#: All kernels of the package with machine code of their own, by module and name.
KERNELS: dict[str, Any] = {}

_uncached_logged = False
_watchers: list[Callable[[str], None]] = []


def package_stamp() -> str:
    """Return a hash of all modules of the package, or "" if they cannot be read.

    A cached kernel is valid only for the hash that it was compiled with. Modules are hashed as
    Python finds them: sources or ``.pyc`` files, in a folder or an archive.
    """
    digest = hashlib.sha256()
    try:
        for name, spec in _modules(sys.modules[PACKAGE].__spec__):
            digest.update(name.encode())
            digest.update(spec.loader.get_data(spec.origin))  # type: ignore[union-attr]
    except (AttributeError, OSError):  # an importer without files, as in a frozen program
        return ""
    return digest.hexdigest()


def _modules(spec: Any, name: str = "") -> Iterator[tuple[str, ModuleSpec]]:
    """Yield the package and all its modules, sorted by name, without importing them."""
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
    """Compile a kernel at its first call, with the options of this module.

    Parameters
    ----------
    function : callable
        The kernel, in Python.
    parallel : bool
        Run its ``prange`` loops in parallel.
    internal : bool
        Only other kernels call it: no Python wrapper is compiled. A call from Python ends the
        process.
    allocates : bool
        The kernel makes arrays. All other kernels count no references, because atomic counts are
        slow and the caller keeps the arrays alive. A kernel that allocates must not call a kernel
        that does not allocate and returns an array: the caller would decref an array that was never
        increfed.
    linked : bool
        The kernel gets no machine code of its own and is compiled into its callers only; see
        `_Linked`. The default is the value of ``internal``.
    takes : dict or callable
        For a kernel that users call: the check of each argument, by name; see
        `fastshallow.jit.argument_types`. A callable gets the argument types and raises.

    Returns
    -------
    callable
        Numba's dispatcher, or the function itself if ``NUMBA_DISABLE_JIT`` is set.
    """
    if function is None:
        given = {"parallel": parallel, "internal": internal, "allocates": allocates}
        return lambda f: jit(f, **given, linked=linked, takes=takes)
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": False}
    options["parallel"] = PRANGE_ONLY if parallel else False
    options["no_cpython_wrapper"] = internal
    options["no_cfunc_wrapper"] = True  # no kernel is passed as a function pointer
    options["_nrt"] = allocates or parallel  # a helper without it inherits its first caller's
    linked = internal if linked is None else linked
    if linked:
        options["pipeline_class"] = _LinkedCompiler
    kernel = njit(**options)(function)
    if not (linked or config.DISABLE_JIT):
        _cache(kernel, function)
    if takes is not None and not config.DISABLE_JIT:
        _check_types(kernel, function, takes)
    return kernel


def _cache(kernel: Any, function: Callable[..., Any]) -> None:
    """Give a dispatcher a cache, and a place in `KERNELS`."""
    try:
        kernel._cache = KernelCache(function)
    except (RuntimeError, OSError) as error:  # "no locator available"
        kernel._cache = _PrebuiltOnly(function, error)
    if function.__module__.startswith(f"{PACKAGE}."):
        KERNELS[_name(function)] = kernel


def _name(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def in_python(kernel: Any) -> Callable[..., Any]:
    """Return the Python function under a kernel."""
    function: Callable[..., Any] = getattr(kernel, "py_func", kernel)
    return function


def _check_types(kernel: Any, function: Callable[..., Any], takes: Any) -> None:
    """Make a dispatcher check the argument types before it compiles a call."""
    # calls from Python and from compiled code both go through this method
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
    """LLVM code of a kernel that is linked into its callers and optimised there only.

    Numba's own class also optimises it alone, compiles it and caches the unused result.
    """

    @property
    def codegen(self) -> _Linked:
        return self

    def set_env(self, name: str, env: Any) -> None:
        """Do nothing: no machine code reads Python's globals."""

    def get_pointer_to_function(self, name: str) -> int:
        """Return 0: there is no machine code."""
        self._ensure_finalized()
        return 0

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True


class _LinkedCompiler(Compiler):
    """Numba's compiler, with `_Linked` as the code library."""

    def _compile_core(self) -> Any:
        state = self.state
        if state.library is None:
            state.library = _Linked(state.targetctx.codegen(), state.func_id.func_qualname)
        return super()._compile_core()


class _SourcelessLocator(_CacheLocator):
    """Cache folder for a package without sources: ``.pyc`` files only, or an archive.

    Numba has no locator for these. The folders are Numba's: ``NUMBA_CACHE_DIR``, beside the module,
    the user's cache.
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
        """Return a locator of a writable folder, or None if Numba's own locators work."""
        module = sys.modules.get(py_func.__module__)
        file = getattr(module, "__file__", None)
        ours = py_func.__module__.partition(".")[0] == PACKAGE
        if not ours or file is None or (file.endswith(".py") and os.path.exists(file)):
            return None
        below = cls.get_suitable_cache_subpath(file)
        folders = [os.path.join(config.CACHE_DIR, below)] if config.CACHE_DIR else []
        beside = os.path.dirname(file)
        if os.path.isdir(beside):  # false within an archive
            folders.append(os.path.join(beside, "__pycache__"))
        own = AppDirs(appname="numba", appauthor=False).user_cache_dir
        for folder in [*folders, os.path.join(own, below)]:
            locator = cls(folder, py_func.__code__.co_firstlineno)
            with suppress(OSError):
                locator.ensure_cache_path()
                return locator
        return None


class _Stamped(CompileResultCacheImpl):
    """Cached machine code together with the `package_stamp` that it was compiled with."""

    _locator_classes = (_SourcelessLocator, *CompileResultCacheImpl._locator_classes)

    def reduce(self, cres: Any) -> tuple[str, bytes]:
        return _STAMP, machine_code.packed(cres)

    def rebuild(self, target_context: Any, payload: tuple[str, bytes]) -> Any:
        stamp, compiled = payload
        return machine_code.unpacked(target_context, compiled) if stamp == _STAMP else None


def _prebuilt(function: Callable[..., Any], sig: Any, target_context: Any) -> Any:
    """Tell those who watch that a kernel is needed; return its prebuilt form, or None."""
    name = _name(function)
    tell_watchers(name)
    arguments = sigutils.normalize_signature(sig)[0]
    return prebuilt.load(name, arguments, _STAMP, target_context) if _STAMP else None


def tell_watchers(name: str) -> None:
    """Call the functions of `loads_watched`."""
    for watcher in _watchers:
        watcher(name)


@contextmanager
def loads_watched(watcher: Callable[[str], None]) -> Iterator[None]:
    """Call a function with a kernel's name whenever one is about to be loaded or compiled."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


class _PrebuiltOnly(NullCache):
    """The cache of a kernel where no folder can be written to."""

    def __init__(self, function: Callable[..., Any], error: Exception):
        self._function, self._error = function, error

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        return _prebuilt(self._function, sig, target_context)

    def save_overload(self, sig: Any, cres: Any) -> None:
        _log_uncached(self._error)


class KernelCache(FunctionCache):
    """Prebuilt kernels, and Numba's cache on disk.

    A problem with the cache leads to compiling, never to an error.

    Numba checks only the file of the kernel, not its helpers in other files (numba #1833). This
    cache compares `package_stamp` instead. Two processes that write at once can mix index and data
    files. The signature of a loaded kernel is therefore compared with the wanted one.
    """

    _impl_class = _Stamped

    def __init__(self, function: Callable[..., Any]):
        if not _STAMP:
            raise RuntimeError("the files of fastshallow cannot be read")
        super().__init__(function)
        self._cache_file._source_stamp = _STAMP

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        compiled = _prebuilt(self._py_func, sig, target_context)
        if compiled is not None:
            return compiled
        try:
            # Numba's own method first imports what a compiler needs
            with self._guard_against_spurious_io_errors():
                compiled = self._load_overload(sig, target_context)
        except Exception as error:  # a damaged pickle raises any type
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
        except Exception:  # the index is damaged: start a new one
            try:
                self.flush()
                super().save_overload(sig, data)
            except Exception as error:
                _log_uncached(error)


# The notice that kernels are being compiled ---------------------------------------------------


class _Announcer(event.Listener):
    """Log one warning per process when compiling has taken a second in all.

    Without a logging setup Python writes warnings to stderr.
    """

    def __init__(self) -> None:
        self.seconds_left = 1.0
        self.depth, self.muted = 0, False
        self.began = 0.0
        self.timer: threading.Timer | None = None

    def on_start(self, happens: event.Event) -> None:
        """Start the timer with the outermost kernel."""
        if not self._is_ours(happens):
            return
        self.depth += 1
        if self.depth == 1 and self.seconds_left > 0 and not self.muted:
            self.began = time.perf_counter()
            self.timer = threading.Timer(self.seconds_left, self.say)
            self.timer.daemon = True
            self.timer.start()

    def on_end(self, happens: event.Event) -> None:
        """Stop the timer with the outermost kernel."""
        if not self._is_ours(happens):
            return
        self.depth -= 1
        if self.depth == 0 and self.timer is not None:
            self.timer.cancel()
            self.timer.join()
            self.timer = None
            self.seconds_left -= time.perf_counter() - self.began

    def _is_ours(self, happens: event.Event) -> bool:
        module = happens.data["dispatcher"].py_func.__module__ or ""
        return module.startswith(PACKAGE + ".")

    def say(self) -> None:
        """Log the warning."""
        self.seconds_left = -1.0
        logger.warning(
            "fastshallow is compiling its kernels. This takes up to two minutes, once on a "
            "machine; fastshallow.warmup() does it ahead of time."
        )


_announcer = _Announcer()
if not config.DISABLE_JIT:
    event.register("numba:compile", _announcer)


@contextmanager
def unannounced() -> Iterator[None]:
    """Suppress the notice that kernels are being compiled."""
    before, _announcer.muted = _announcer.muted, True
    try:
        yield
    finally:
        _announcer.muted = before


def _log_uncached(error: Exception) -> None:
    """Warn once per process that kernels are not cached, and say what to change."""
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
    """Return the folder of a kernel's cached machine code, or None."""
    stats = getattr(kernel, "stats", None)
    return None if stats is None else stats.cache_path
