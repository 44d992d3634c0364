"""Type checks of the arguments of kernels that users call.

A kernel declares the types of its arguments, and `fastshallow.jit.compile.jit` checks them before
it compiles a call. The error names the argument. Without these checks Numba compiles a comparison
of a string with a number, and its error about a wrong array names no argument.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from numba import types
from numba.core import errors

__all__ = [
    "FLAG",
    "INTEGER",
    "REAL",
    "VALUE",
    "KernelTypeError",
    "array",
    "check",
    "check_exact",
    "examples",
    "matrix",
    "model",
    "refuse",
    "table",
]

# Characters of a type in a message: Numba's name of a tuple of arrays is long.
TYPE_TEXT_MOST = 160

FLOATS = (types.float32, types.float64)

TypesByName = Mapping[str, types.Type]
TypeCheck = Callable[[str, types.Type, TypesByName], None]


class KernelTypeError(errors.TypingError, TypeError):
    """A kernel does not take an argument of this type."""


def refuse(name: str, wanted: str, found: Any) -> NoReturn:
    """Raise the error that names the argument, the expected type and the given type."""
    text = str(found)
    if len(text) > TYPE_TEXT_MOST:
        text = text[:TYPE_TEXT_MOST] + " ..."
    raise KernelTypeError(f"{name}: expected {wanted}; got {text}")


def _instance_of(wanted: str, *kinds: type) -> TypeCheck:
    def check_instance(name: str, found: types.Type, given: TypesByName) -> None:
        if not isinstance(found, kinds):
            refuse(name, wanted, found)

    return check_instance


INTEGER = _instance_of("an integer", types.Integer)
FLAG = _instance_of("an integer, or True or False", types.Integer, types.Boolean)
REAL = _instance_of("a number", types.Float, types.Integer)


def VALUE(name: str, found: types.Type, given: TypesByName) -> None:
    """Check that the argument is a float32 or a float64."""
    if found not in FLOATS:
        refuse(name, "a float32 or float64", found)


def array(
    *ndims: int,
    like: str = "",
    any_order: bool = False,
    written: bool = False,
    also: tuple[types.Type, ...] = (),
) -> TypeCheck:
    """Return the check of an array.

    Parameters
    ----------
    *ndims : int
        Allowed numbers of dimensions.
    like : str
        Name of an argument, an array or a Model. The array must have the same dtype. "" allows
        float32 and float64.
    any_order : bool
        Allow arrays that are not C-contiguous.
    written : bool
        The kernel writes to the array: it must be writable.
    also : tuple
        More allowed dtypes.
    """

    def check_array(name: str, found: types.Type, given: TypesByName) -> None:
        dtypes = (*((_dtype(given[like]),) if like else FLOATS), *also)
        shape = " or ".join(f"{n}-D" for n in ndims)
        order = "" if any_order else "contiguous "
        wanted = f"a {order}{shape} array of {' or '.join(map(str, dtypes))}"
        wanted += " that can be written to" if written else ""
        if not (
            isinstance(found, types.Array)
            and found.ndim in ndims
            and found.dtype in dtypes
            and (any_order or (found.layout == "C" and found.aligned))
            and (found.mutable or not written)
        ):
            refuse(name, wanted, found)

    return check_array


def _dtype(found: Any) -> types.Type:
    """Return the dtype of an array, or of the first array of a tuple."""
    return found.dtype if isinstance(found, types.Array) else _dtype(next(iter(found)))


def table(name: str, found: types.Type, given: TypesByName) -> None:
    """Check `Network.layers`."""
    fits = isinstance(found, types.Array) and (found.ndim, found.layout) == (2, "C")
    if not (fits and found.dtype == types.int64):
        refuse(name, "the table of a network, `Network.layers`: a 2-D array of int64", found)


def _record(kind: str, **fields: TypeCheck) -> TypeCheck:
    """Return the check of a named tuple of `fastshallow.kernels`, field by field."""

    def check_record(name: str, found: types.Type, given: TypesByName) -> None:
        maker: Any = getattr(found, "instance_class", None)
        if maker is None or (maker.__name__, maker._fields) != (kind, tuple(fields)):
            refuse(name, f"a fastshallow.kernels.{kind}", found)
        for (field, wanted), type_ in zip(fields.items(), tuple(found), strict=True):
            wanted(f"{name}.{field}", type_, given)

    return check_record


def matrix(like: str = "", written: bool = False) -> TypeCheck:
    """Return the check of a `Matrix`; the arguments are those of `array`."""
    data = array(1, like=like, written=written)
    return _record("Matrix", data=data, start=INTEGER, row=INTEGER, col=INTEGER)


def model(written: bool = False) -> TypeCheck:
    """Return the check of a `Model`; ``written``: the kernel writes to its parameters."""
    return _record("Model", params=array(1, written=written), layers=table, slope=REAL)


#: Check of `Examples`; the dtypes must be those of the argument ``model``.
examples = _record(
    "Examples", X=matrix(), Y=matrix("model"), labels=FLAG, weight=array(1, like="model")
)

#: Check of `WeightCopies`; the dtypes must be those of the argument ``model``.
copies = _record("WeightCopies", W=array(1, like="model"), W_T=array(1, like="model"))


def check(
    function: Callable[..., Any], takes: Mapping[str, TypeCheck], found: Sequence[types.Type]
) -> None:
    """Raise `KernelTypeError` unless a kernel takes arguments of these types."""
    given = dict(zip(inspect.signature(function).parameters, found, strict=False))
    for name, wanted in takes.items():
        if name in given:  # Numba reports missing arguments
            wanted(f"{_path(function)}: {name}", given[name], given)


def check_exact(
    function: Callable[..., Any],
    choices: Sequence[Sequence[types.Type]],
    found: Sequence[types.Type],
) -> None:
    """Raise `KernelTypeError` unless the arguments can be cast to one of the lists of types.

    The message reports the list that most arguments fit.
    """
    names = list(inspect.signature(function).parameters)
    if len(names) != len(found):
        refuse(_path(function), f"the arguments {', '.join(names)}", f"{len(found)}, or named ones")
    fit = [[_can_cast(a, b) for a, b in zip(found, wanted, strict=True)] for wanted in choices]
    best = max(range(len(choices)), key=lambda i: sum(fit[i]))
    for name, type_, wanted, fits in zip(names, found, choices[best], fit[best], strict=True):
        if not fits:
            refuse(f"{_path(function)}: {name}", _type_in_words(wanted), type_)


def _can_cast(found: Any, wanted: Any) -> bool:
    """Return whether Numba can cast a type to another one and keep the values."""
    if isinstance(wanted, types.Integer):
        return isinstance(found, (types.Integer, types.Boolean))
    if isinstance(wanted, types.Float):
        return isinstance(found, (types.Float, types.Integer))
    if isinstance(wanted, types.Array):
        same = isinstance(found, types.Array) and found.dtype == wanted.dtype and found.aligned
        return same and (found.ndim, found.layout) == (wanted.ndim, wanted.layout)
    if not isinstance(found, types.BaseTuple) or len(found) != len(wanted):
        return False
    return all(map(_can_cast, found, wanted))


def _type_in_words(wanted: Any) -> str:
    if isinstance(wanted, types.Integer):
        return "an integer"
    if isinstance(wanted, types.Float):
        return "a number"
    if isinstance(wanted, types.Array):
        return f"a contiguous {wanted.ndim}-D array of {wanted.dtype}"
    return f"a {wanted.instance_class.__name__} of {_dtype(wanted)}"


def _path(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__name__}"
