"""Checks of users' arguments; they raise before anything is modified.

Every message names the argument, the expected value and the given one. The kernels check the values
of X and Y while they read them; `explain` then finds the bad value for the message.
"""

from __future__ import annotations

import math
import numbers
import os
import reprlib
import sys
import warnings
from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np

from ..jit.compile import in_python
from ..kernels.losses import TABLE as OUTPUTS
from ..kernels.propagation import BAD_X
from ..kernels.targets import class_number
from ..simd.matmul import Matrix

# Limits of messages: bits of an integer that is shown in digits, and characters of any value.
BITS_MOST = 10_000
SHOWN_MOST = 250

# A warning points to the nearest line outside of these packages.
INSIDE = (__name__.partition(".")[0], "sklearn", "joblib")

__all__ = ["explain", "flat_rows", "number", "numeric", "one_of", "shown", "warn", "weights"]


class _ShortRepr(reprlib.Repr):
    """Short repr of a value, for messages."""

    def repr_int(self, x: int, level: int) -> str:
        bits = x.bit_length()
        if bits > BITS_MOST:  # Python refuses to convert it, or takes long
            return f"an integer of {bits} bits"
        text = repr(x)
        return text if len(text) <= 40 else f"{text[:20]}... ({len(text)} characters)"


_REPR = _ShortRepr()
_REPR.maxstring = _REPR.maxother = 80
_REPR.maxlevel, _REPR.maxlist, _REPR.maxtuple, _REPR.maxdict, _REPR.maxset = 3, 8, 8, 8, 8


def shown(value: Any) -> str:
    """Return the short repr of a value for a message, without control characters.

    Examples
    --------
    >>> from fastshallow.network.checks import shown
    >>> shown("a"), shown("\\x1b[2J"), len(shown("b" * 10**6)), len(shown(["b" * 99] * 10**6))
    ("'a'", "'\\\\x1b[2J'", 80, 250)
    """
    text = _REPR.repr(value)
    text = text if text.isprintable() else repr(text)[1:-1]  # from a __repr__ of the user's class
    return text if len(text) <= SHOWN_MOST else f"{text[: SHOWN_MOST - 3]}..."


def one_of(name: str, value: Any, known: Iterable[str]) -> str:
    """Return ``value``, which must be one of the known names."""
    known = list(known)
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name}: expected one of {', '.join(known)}; got {shown(value)}")
    return value


def number(
    name: str,
    value: Any,
    least: float = -math.inf,
    above: float = -math.inf,
    below: float = math.inf,
    most: float = math.inf,
) -> float:
    """Return a finite real number within bounds: >= least, > above, < below, <= most."""
    real = not isinstance(value, (bool, np.bool_)) and isinstance(value, numbers.Real)
    try:
        found = float(value) if real else math.nan
    except OverflowError:  # an integer beyond float64
        found = math.inf
    if math.isfinite(found) and least <= found <= most and above < found < below:
        return found
    bounds = ((">=", least), (">", above), ("<", below), ("<=", most))
    limits = [f"{sign} {bound:g}" for sign, bound in bounds if math.isfinite(bound)]
    wanted = " ".join(["a finite number", " and ".join(limits)]).strip()
    if not real:
        raise TypeError(
            f"{name}: expected {wanted}; got {shown(value)} of type {type(value).__name__}"
        )
    raise ValueError(f"{name}: expected {wanted}; got {shown(value)}")


def whole(name: str, value: Any, least: int, most: float = math.inf) -> int:
    """Return an integer from ``least`` to ``most``."""
    wanted = f"an integer >= {least}" + (f" and <= {most}" if most < math.inf else "")
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise TypeError(
            f"{name}: expected {wanted}; got {shown(value)} of type {type(value).__name__}"
        )
    found = int(value)
    if not least <= found <= most:
        raise ValueError(f"{name}: expected {wanted}; got {shown(value)}")
    return found


def patience(value: Any) -> float:
    """Return a number of epochs: an integer >= 0, or infinity."""
    if isinstance(value, float) and value == math.inf:
        return value
    return whole("patience", value, 0)


def path(name: str, value: Any) -> str:
    """Return a path as a string."""
    try:
        found = os.fspath(value)
    except TypeError:
        found = b""
    if not isinstance(found, str) or not found:
        raise TypeError(f"{name}: expected a path; got {shown(value)}")
    return found


def flag(name: str, value: Any) -> bool:
    """Return True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(
            f"{name}: expected True or False; got {shown(value)} of type {type(value).__name__}"
        )
    return bool(value)


def listed(name: str, value: Any, wanted: str) -> list[Any]:
    """Return the items of an iterable as a list."""
    try:
        return list(value)
    except TypeError:
        raise TypeError(f"{name}: expected {wanted}; got {shown(value)}") from None


def numeric(name: str, value: Any) -> np.ndarray:
    """Return ``value`` as an array of real numbers, without a copy if it is one already."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:  # ragged lists
        raise ValueError(f"{name}: expected an array of numbers; {error}") from error
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected real numbers; got dtype {array.dtype}")
    return array


def cast(array: np.ndarray, dtype: Any, order: Any = "K") -> np.ndarray:
    """Return a copy in another dtype, without warnings; too large values become infinite."""
    with np.errstate(all="ignore"):
        return array.astype(dtype, order=order)


def shaped(array: np.ndarray, name: str, expected: str, dtypes: tuple[Any, ...]) -> np.ndarray:
    """Return a non-empty array, aligned and in one of the dtypes; else cast it to the first."""
    if array.size == 0:
        raise ValueError(f"{name}: expected {expected}; got an empty array, shape {array.shape}")
    steps_fit = all(s % array.itemsize == 0 for s in array.strides)
    if array.dtype in dtypes and array.dtype.isnative and array.flags.aligned and steps_fit:
        return array
    return cast(array, array.dtype if array.dtype in dtypes and array.dtype.isnative else dtypes[0])


def inputs(X: Any, n_x: int, dtype: np.dtype) -> np.ndarray:
    """Return X as (n_x, m) in float32 or float64, without a copy if possible."""
    array = numeric("X", X)
    expected = f"shape ({n_x}, m) with examples as columns, or ({n_x},) for one example"
    if array.ndim == 1:
        array = array.reshape(-1, 1)
    if array.ndim != 2 or (array.shape[0] != n_x and array.size):
        hint = "; did you mean X.T?" if array.ndim == 2 and array.shape[1] == n_x else ""
        raise ValueError(f"X: expected {expected}; got shape {np.shape(X)}{hint}")
    return shaped(array, "X", expected, (dtype, np.dtype("f4"), np.dtype("f8")))


def targets(Y: Any, n_y: int, m: int, softmax: bool, dtype: np.dtype) -> tuple[np.ndarray, int]:
    """Return Y in ``dtype`` as (n_y, m) and 0, or as class numbers (1, m) and 1."""
    array = numeric("Y", Y)
    labels, expected = 0, f"shape ({n_y}, {m})"
    if softmax:
        expected += f", one-hot, or class numbers of shape ({m},)"
    elif n_y == 1:
        expected += f" or ({m},)"
    if array.ndim == 0 or (array.ndim == 1 and array.size == m and (softmax or n_y == 1)):
        labels, array = int(softmax), array.reshape(1, -1)
    elif array.ndim == 1 and m == 1:
        array = array.reshape(-1, 1)
    if array.size and array.shape != (1 if labels else n_y, m):
        raise ValueError(f"Y: expected {expected}; got shape {np.shape(Y)}")
    return shaped(array, "Y", expected, (dtype,)), labels


def out_array(out: Any, shape: tuple[int, ...], kinds: str) -> None:
    """Raise unless ``out`` is a writable array of the shape and of one of the dtype kinds."""
    got = type(out).__name__
    if isinstance(out, np.ndarray):
        got = f"shape {out.shape}{'' if out.flags.writeable else ', read-only'}"
    if not isinstance(out, np.ndarray) or out.shape != shape or not out.flags.writeable:
        raise ValueError(f"out: expected a writable array of shape {shape}; got {got}")
    if out.dtype.kind not in kinds:
        raise TypeError(f"out: expected a dtype that holds predictions; got {out.dtype}")


def writable(name: str, array: Any, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Raise unless ``array`` has the shape and dtype and is C-ordered, aligned and writable."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name}: expected an array; got {type(array).__name__}")
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(
            f"{name}: expected shape {shape} and dtype {dtype}; got {array.shape}, {array.dtype}"
        )
    if not array.flags.carray:
        raise ValueError(f"{name}: expected a writable, aligned array in C order; got another")


def weights(sample_weight: Any, m: int, dtype: np.dtype) -> tuple[np.ndarray, float]:
    """Return sample weights in ``dtype`` and their sum; for None an empty array and m."""
    if sample_weight is None:
        return np.empty(0, dtype), float(m)
    name = "sample_weight"
    given = numeric(name, sample_weight)
    if given.shape != (m,):
        raise ValueError(f"{name}: expected shape ({m},); got shape {given.shape}")
    wanted = "finite numbers >= 0, not all of them 0"
    with np.errstate(all="ignore"):
        array = np.ascontiguousarray(given, dtype)
    if not (np.isfinite(array).all() and (array >= 0).all()):
        where = int(np.argmax(~(np.isfinite(array) & (array >= 0))))
        raise ValueError(f"{name}: expected {wanted}; got {given[where]} at {where}")
    with np.errstate(all="ignore"):
        total = float(array.sum(dtype=np.float64))
    if total == 0:
        raise ValueError(f"{name}: expected {wanted}; got zeros only, as {dtype}")
    if total == np.inf:
        raise ValueError(f"{name}: expected numbers with a finite sum; got one beyond 1e308")
    return array, total


def divisor(total: float, dtype: np.dtype) -> None:
    """Raise if a sum of weights is too small for a finite reciprocal in ``dtype``."""
    least = float(np.finfo(dtype).tiny)
    if total < least:
        raise ValueError(
            f"sample_weight: expected numbers with a sum of {least:.3g} or more, in {dtype}; "
            f"got {total:.3g}"
        )


def finite_parameters(net: Any) -> None:
    """Raise unless all parameters of a network are finite."""
    if np.isfinite(net.params).all():
        return
    for letter, arrays in (("W", net.W), ("b", net.b)):
        for layer, array in enumerate(arrays, 1):
            if not np.isfinite(array).all():
                at = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
                raise ValueError(
                    f"{letter}{layer}: expected finite parameters; got {array[at]} at {at}"
                )


def flat_values(array: np.ndarray, writeable: bool = False) -> tuple[np.ndarray, int, int] | None:
    """Return the values of an array (n, m) in C or Fortran order as a view, else None.

    Also return the steps between examples and within one. The view is read-only unless
    ``writeable``.
    """
    flags, (n, m) = array.flags, array.shape
    if flags.c_contiguous:
        values, row, col = array.reshape(-1), 1, m if n > 1 else 1
    elif flags.f_contiguous:
        values, row, col = array.T.reshape(-1), n, 1
    else:
        return None
    values.flags.writeable = writeable
    return values, row, col


def flat_rows(array: np.ndarray, writeable: bool = False) -> Matrix:
    """Return an array (n, m) as a `Matrix` of m rows that shares its memory.

    The flat array of the `Matrix` is 1-D and contiguous, and read-only unless ``writeable``.
    Therefore one compiled kernel serves every memory layout.
    """
    plain = flat_values(array, writeable)
    if plain is not None:
        values, row, col = plain
        return Matrix(values, 0, row, col)
    positive = array[tuple(slice(None, None, -1 if s < 0 else 1) for s in array.strides)]
    (n, m), (down, along) = array.shape, (abs(s) // array.itemsize for s in array.strides)
    span = 1 + (n - 1) * down + (m - 1) * along
    flat = np.lib.stride_tricks.as_strided(
        positive, (span,), (array.itemsize,), writeable=writeable
    )
    if n == 1:
        down = 1  # any step fits one value per example, and 1 takes the kernels' contiguous path
    start = (n - 1) * down * (array.strides[0] < 0) + (m - 1) * along * (array.strides[1] < 0)
    signs = [-1 if s < 0 else 1 for s in array.strides]
    return Matrix(flat, int(start), along * signs[1], down * (signs[0] if n > 1 else 1))


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, pointing to the nearest caller outside of `INSIDE`."""
    frame, level = sys._getframe(), 1
    while (
        frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in INSIDE
    ):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def explain(status: int, X: np.ndarray, Y: np.ndarray | None, labels: int, net: Any) -> NoReturn:
    """Raise the error of a kernel's status, with the first bad value."""
    if status & BAD_X:
        refuse("X", X, ~finite(X, net.dtype), f"finite {net.dtype} numbers")
    assert Y is not None
    usable_targets(Y, labels, net)
    raise AssertionError("a kernel refused targets that nothing is wrong with")


def usable_targets(Y: np.ndarray, labels: int, net: Any) -> None:
    """Raise unless every target is legal for the loss."""
    wanted, bad = f"finite {net.dtype} numbers", ~finite(Y, net.dtype)
    row = OUTPUTS[net.output]
    # the rules are kernels for one number; their Python functions also take arrays
    if labels:
        wanted = f"class numbers 0 ... {net.sizes[-1] - 1}"
        bad |= ~in_python(class_number)(Y, net.sizes[-1])
    elif row.is_target is not None:
        wanted, bad = row.targets, bad | ~in_python(row.is_target)(Y)
        if net.output == "softmax":
            bad |= (Y == 1).sum(axis=0) != 1
    if bad.any():
        refuse("Y", Y, bad, wanted, by_example=bool(labels))


def finite(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return, for each value, whether it is finite in the dtype."""
    found: np.ndarray = np.isfinite(cast(array, dtype))
    return found


def refuse(
    name: str, array: np.ndarray, bad: np.ndarray, wanted: str, by_example: bool = False
) -> NoReturn:
    """Raise the error that names the first bad value and the number of bad values."""
    row, column = (int(i) for i in np.argwhere(bad)[0])
    where = f"example {column}" if by_example else f"[{row}, {column}]"
    raise ValueError(
        f"{name}: expected {wanted}; got {array[row, column]!s} at {where} "
        f"({int(bad.sum())} such of {bad.size})"
    )
