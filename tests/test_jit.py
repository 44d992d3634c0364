"""Options of the kernels that cannot be seen in their results until something breaks."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
from numba import types
from numba.core.dispatcher import Dispatcher

import fastshallow as fs


def returns_array(kernel):
    """Return whether a compiled form of a kernel returns an array, alone or in a tuple."""

    def holds_array(type_):
        return isinstance(type_, types.Array) or any(map(holds_array, getattr(type_, "types", ())))

    return any(holds_array(o.signature.return_type) for o in kernel.overloads.values())


def test_kernels_that_count_references_call_none_that_hand_out_arrays_uncounted():
    net = fs.Network((3, 4, 1)).init(seed=0)
    X, Y = np.ones((3, 5), "f4"), np.ones(5, "f4")
    fs.gradient_descent(net, X, Y, 0.1, 2)
    net.forward(X)
    net.predict(X)
    kernels, counting = {}, {}
    for name in (path.stem for path in Path(fs.__file__).parent.glob("*.py")):
        for value in vars(importlib.import_module(f"fastshallow.{name}")).values():
            kernel = getattr(value, "kernel", value)
            if isinstance(kernel, Dispatcher):
                kernels[kernel.py_func.__name__] = kernel
                if kernel.targetoptions["_nrt"]:
                    counting[kernel.py_func.__name__] = kernel
    uncounted = {
        name for name, kernel in kernels.items() if name not in counting and returns_array(kernel)
    }
    assert {"matrix", "input_rows"} <= uncounted
    assert {"aligned_empty", "gradient_descent", "run_blocks"} <= set(counting)
    for kernel in counting.values():
        assert not uncounted & set(kernel.py_func.__code__.co_names)
    for name in uncounted:  # or compiled code of a user, which counts, would call it
        assert kernels[name].targetoptions["no_cpython_wrapper"], f"{name} is not internal"
