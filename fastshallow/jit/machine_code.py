"""Compiled kernels as the contents of files: in the user's cache, and prebuilt.

Numba's own form takes longer to read. It imports what a compiler needs, and parses LLVM's code.
"""

from __future__ import annotations

import pickle
from typing import Any

import llvmlite.binding as llvm
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import compile_result
from numba.core.runtime import rtsys
from numba.core.serialize import dumps

__all__ = ["packed", "unpacked"]


class _Library(JITCodeLibrary):
    """Machine code from a file. LLVM's code is parsed only if a caller is linked with it."""

    def __init__(self, codegen: Any, name: str, code: bytes, names: list[str], inner: bytes):
        super().__init__(codegen, name)
        self._shared_module: Any = None
        self._inner = inner
        self.enable_object_caching()
        self._set_compiled_object(code)
        self._finalize_final_module()
        codegen._engine._defined_symbols.update(names)

    def _get_module_for_linking(self) -> Any:
        if self._shared_module is None:
            self._shared_module = llvm.parse_bitcode(self._inner)
        return self._shared_module


def packed(compiled: Any) -> bytes:
    """Return a compiled kernel as the content of a file."""
    (name, _, (code, inner)), *rest = compiled._reduce()
    module = compiled.library._get_module_for_linking()
    symbols = [*module.functions, *module.global_variables]
    names = [symbol.name for symbol in symbols if not symbol.is_declaration]
    return bytes(dumps((name, code, names, inner, rest)))


def unpacked(target_context: Any, data: bytes) -> Any:
    """Return the compiled kernel of a file.

    Numba's own cache first refreshes the context, which imports all that a compiler needs. Machine
    code needs the memory allocator alone.
    """
    name, code, names, inner, rest = pickle.loads(data)
    description, environment, signature, objectmode, lifted, annotation, reload, others = rest
    rtsys.initialize(target_context)
    for function in reload:  # the threads of parallel kernels
        function()
    codegen = target_context.codegen()
    library = _Library(codegen, name, code, names, inner)
    entry = target_context.get_executable(library, description, environment)
    for other in others:
        codegen.set_env(other.env_name, other)
    return compile_result(
        target_context=target_context,
        typing_context=target_context.typing_context,
        library=library,
        environment=environment,
        entry_point=entry,
        fndesc=description,
        type_annotation=annotation,
        signature=signature,
        objectmode=objectmode,
        lifted=lifted,
        typing_error=None,
        call_helper=None,
        metadata=None,
        reload_init=reload,
        referenced_envs=others,
    )
