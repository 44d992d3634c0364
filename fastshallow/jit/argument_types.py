"""What may be passed to the kernels that users call: refused by name when a call is compiled.

A kernel states the types that it takes. `fastshallow.jit.compile.jit` looks at them before it
compiles. Without it Numba would compile a comparison of a string with a number (never true). It
would refuse a wrong array deep inside, in words that name no argument.
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

# Of a type's text in a message: that of a tuple of arrays may be long.
TEXT_MOST = 160

FLOATS = (types.float32, types.float64)

Given = Mapping[str, types.Type]
Wanted = Callable[[str, types.Type, Given], None]


class KernelTypeError(errors.TypingError, TypeError):
    """An argument of a type that a kernel does not take."""


def refuse(name: str, wanted: str, found: Any) -> NoReturn:
    """Raise the error that names an argument, what was expected and what came."""
    text = str(found)
    if len(text) > TEXT_MOST:
        text = text[:TEXT_MOST] + " ..."
    raise KernelTypeError(f"{name}: expected {wanted}; got {text}")


def _of_kind(wanted: str, *kinds: type) -> Wanted:
    def check_kind(name: str, found: types.Type, given: Given) -> None:
        if not isinstance(found, kinds):
            refuse(name, wanted, found)

    return check_kind


#: An integer; a truth value; a number; a float32 or float64.
INTEGER = _of_kind("an integer", types.Integer)
FLAG = _of_kind("an integer, or True or False", types.Integer, types.Boolean)
REAL = _of_kind("a number", types.Float, types.Integer)


def VALUE(name: str, found: types.Type, given: Given) -> None:
    """Check that an argument is a float32 or a float64."""
    if found not in FLOATS:
        refuse(name, "a float32 or float64", found)


def array(
    *ndims: int,
    like: str = "",
    any_order: bool = False,
    written: bool = False,
    also: tuple[types.Type, ...] = (),
) -> Wanted:
    """Return the check of an array.

    Parameters
    ----------
    *ndims : int
        How many dimensions it may have.
    like : str
        The argument, an array or a Model, whose dtype it must have; "" for float32 or float64.
    any_order : bool
        Whether it need not be contiguous, in C order.
    written : bool
        Whether the kernel writes to it.
    also : tuple
        Other dtypes that it may have.
    """

    def check_array(name: str, found: types.Type, given: Given) -> None:
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


def table(name: str, found: types.Type, given: Given) -> None:
    """Check a table of layers."""
    fits = isinstance(found, types.Array) and (found.ndim, found.layout) == (2, "C")
    if not (fits and found.dtype == types.int64):
        refuse(name, "the table of a network, `Network.layers`: a 2-D array of int64", found)


def _record(kind: str, **fields: Wanted) -> Wanted:
    """Return the check of a named tuple of the package, field by field."""

    def check_record(name: str, found: types.Type, given: Given) -> None:
        maker: Any = getattr(found, "instance_class", None)
        if maker is None or (maker.__name__, maker._fields) != (kind, tuple(fields)):
            refuse(name, f"a fastshallow.kernels.{kind}", found)
        for (field, wanted), type_ in zip(fields.items(), tuple(found), strict=True):
            wanted(f"{name}.{field}", type_, given)

    return check_record


def matrix(like: str = "", written: bool = False) -> Wanted:
    """Return the check of a `Matrix`; arguments as of `array`."""
    data = array(1, like=like, written=written)
    return _record("Matrix", data=data, start=INTEGER, row=INTEGER, col=INTEGER)


def model(written: bool = False) -> Wanted:
    """Return the check of a `Model`, whose parameters are written to or not."""
    return _record("Model", params=array(1, written=written), layers=table, slope=REAL)


#: The check of the `Examples` of the network in the argument ``model``.
examples = _record(
    "Examples", X=matrix(), Y=matrix("model"), labels=FLAG, weight=array(1, like="model")
)

#: The check of the `WeightCopies` of the network in the argument ``model``.
copies = _record("WeightCopies", W=array(1, like="model"), W_T=array(1, like="model"))


def check(
    function: Callable[..., Any], takes: Mapping[str, Wanted], found: Sequence[types.Type]
) -> None:
    """Raise `KernelTypeError` unless a kernel takes arguments of these types."""
    given = dict(zip(inspect.signature(function).parameters, found, strict=False))
    for name, wanted in takes.items():
        if name in given:  # numba itself says which is missing
            wanted(f"{_path(function)}: {name}", given[name], given)


def check_exact(
    function: Callable[..., Any],
    choices: Sequence[Sequence[types.Type]],
    found: Sequence[types.Type],
) -> None:
    """Raise `KernelTypeError` unless arguments can be cast to one of some lists of types.

    The one that most of them fit is what was expected.
    """
    names = list(inspect.signature(function).parameters)
    if len(names) != len(found):
        refuse(_path(function), f"the arguments {', '.join(names)}", f"{len(found)}, or named ones")
    fit = [[_casts(a, b) for a, b in zip(found, wanted, strict=True)] for wanted in choices]
    best = max(range(len(choices)), key=lambda i: sum(fit[i]))
    for name, type_, wanted, fits in zip(names, found, choices[best], fit[best], strict=True):
        if not fits:
            refuse(f"{_path(function)}: {name}", _words(wanted), type_)


def _casts(found: Any, wanted: Any) -> bool:
    """Return whether a type can be cast to another one without a change of what it says."""
    if isinstance(wanted, types.Integer):
        return isinstance(found, (types.Integer, types.Boolean))
    if isinstance(wanted, types.Float):
        return isinstance(found, (types.Float, types.Integer))
    if isinstance(wanted, types.Array):
        same = isinstance(found, types.Array) and found.dtype == wanted.dtype and found.aligned
        return same and (found.ndim, found.layout) == (wanted.ndim, wanted.layout)
    if not isinstance(found, types.BaseTuple) or len(found) != len(wanted):
        return False
    return all(map(_casts, found, wanted))


def _words(wanted: Any) -> str:
    if isinstance(wanted, types.Integer):
        return "an integer"
    if isinstance(wanted, types.Float):
        return "a number"
    if isinstance(wanted, types.Array):
        return f"a contiguous {wanted.ndim}-D array of {wanted.dtype}"
    return f"a {wanted.instance_class.__name__} of {_dtype(wanted)}"


def _path(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__name__}"
