"""Processes that find no compiled kernels, some, or no place for any: the same bits, and no noise.

What is compared are hashes that processes print. A cold process compiles for many seconds, so all
but one are slow tests.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from processes import run

import fastshallow as fs

# What a process computes, by name and dtype; its arguments are what to do, in this order.
STEPS = """
    import hashlib, json, logging, sys
    import numpy as np
    from numba import types
    from numba.core import event

    class Said(logging.Handler):
        lines = []

        def emit(self, record):
            self.lines.append(record.getMessage())

    logging.basicConfig(level=logging.INFO, format="log: %(message)s")
    logging.getLogger("fastshallow").addHandler(Said(logging.WARNING))
    compiled = event.RecordingListener()
    event.register("numba:compile", compiled)
    import fastshallow as fs

    def problem(dtype):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((5, 1200)).astype(dtype)
        net = fs.Network((5, 12, 6, 3), ["tanh", "sigmoid"], "softmax", dtype).init(seed=0)
        return net, X, rng.integers(0, 3, 1200)

    def predict(dtype):
        net, X, Y = problem(dtype)
        return net.predict_proba(X)

    def cost(dtype):
        net, X, Y = problem(dtype)
        J, g = net.cost_and_grad(X, Y)
        return np.append(J, g.vector)

    def descend(dtype):
        net, X, Y = problem(dtype)
        costs = fs.gradient_descent(net, X, Y, 0.1, 3, n_threads=2).cost
        return np.append(costs, net.params)

    def train(dtype):
        net, X, Y = problem(dtype)
        history = fs.train(net, X, Y, epochs=2, batch_size=500, n_threads=2)
        return np.append(history.cost, net.params)

    def single(dtype):
        return problem(dtype)[0].predict_proba(np.arange(5.0).astype(dtype))

    def layers(dtype):
        net, X, Y = problem(dtype)
        return net.forward(X).Z2

    hashes = {}
    for step in sys.argv[1:]:
        name, dtype = step.split(":")
        hashes[step] = hashlib.sha256(vars()[name](dtype).tobytes()).hexdigest()
    kernels = [e.data["dispatcher"] for _, e in compiled.buffer]
    kernels = {kernel.py_func.__name__: kernel for kernel in kernels}

    def holds_array(type_):
        return isinstance(type_, types.Array) or any(map(holds_array, getattr(type_, "types", ())))

    def returns_array(kernel):
        return any(holds_array(o.signature.return_type) for o in kernel.overloads.values())

    counting = {name for name, k in kernels.items() if k.targetoptions.get("_nrt", True)}
    handing = {name for name, k in kernels.items() if name not in counting and returns_array(k)}
    names = {name: set(kernels[name].py_func.__code__.co_names) for name in counting}
    calls = {name: sorted(handing & names[name]) for name in counting}
    public = [name for name in handing if not kernels[name].targetoptions["no_cpython_wrapper"]]
    answer = {"hashes": hashes, "compiled": sorted(kernels), "said": Said.lines}
    answer["counting"], answer["handing"], answer["public"] = calls, sorted(handing), public
    print(json.dumps(answer))
"""
STEPS = textwrap.dedent(STEPS)

NAMES = ("cost", "predict", "descend", "train", "single", "layers")
SINGLE = tuple(f"{name}:float32" for name in NAMES)
DOUBLE = tuple(f"{name}:float64" for name in NAMES)


def compute(steps, folder, **environment):
    """Return the hashes by step, and the names of what was compiled."""
    answer = ask(steps, folder, **environment)
    return answer["hashes"], answer["compiled"]


def ask(steps, folder, **environment):
    """Return all that a process says of the steps."""
    return json.loads(run(["-c", STEPS, *steps], NUMBA_CACHE_DIR=str(folder), **environment))


@pytest.fixture(scope="module")
def wanted():
    """The hashes by step, from the kernels of the whole test run."""
    return compute(SINGLE + DOUBLE, os.environ["NUMBA_CACHE_DIR"])[0]


def no_array_is_handed_out_uncounted(answer):
    """Check the rule that `fastshallow.jit.compile.jit` gives for kernels that make arrays.

    What they broke would show in their memory, and only sometimes.
    """
    assert {"matrix", "input_rows"} <= set(answer["handing"])
    assert {"aligned_empty", "cost_and_grad_call", "forward_layers_call"} <= set(answer["counting"])
    calls = {name: called for name, called in answer["counting"].items() if called}
    assert calls == {}, "kernels that count references call some that hand out arrays uncounted"
    assert answer["public"] == [], "and so could a user's"


def test_a_second_process_compiles_nothing_and_gives_the_same_bits(tmp_path):
    steps = ("cost:float32", "predict:float32", "layers:float32")
    first = ask(steps, tmp_path)
    cold, compiled = first["hashes"], first["compiled"]
    assert {"cost_and_grad_call", "forward"} <= set(compiled)
    no_array_is_handed_out_uncounted(first)
    # that it takes some time is said once
    (line,) = first["said"]
    assert line.startswith("fastshallow is compiling its kernels.")
    # every kernel has a file: none is compiled by each process anew
    second = ask(steps, tmp_path)
    warm = second["hashes"]
    assert second["compiled"] == [] == second["said"]
    assert cold == warm == compute(steps, os.environ["NUMBA_CACHE_DIR"])[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "steps",
    [
        SINGLE + DOUBLE,
        DOUBLE + SINGLE,
        SINGLE[::-1] + DOUBLE[::-1],
        # dtypes in turn, predictions first
        [s for pair in zip(DOUBLE[::-1], SINGLE[::-1], strict=True) for s in pair],
    ],
)
def test_the_order_of_calls_is_not_seen_in_the_bits(steps, tmp_path, wanted):
    assert compute(steps, tmp_path)[0] == wanted
    warm, compiled = compute(steps[::-1], tmp_path)
    assert warm == wanted
    assert compiled == []


USER = """
    # A user's own code, compiled with fastmath, that calls the package's functions first: a helper
    # without flags of its own would take those of this caller, and keep them on disk.
    import numba, numpy as np
    from fastshallow.kernels import activations, losses
    from fastshallow.simd.elementary import exp, log, log1p, sigmoid, softplus, tanh

    @numba.njit(fastmath=True)
    def user(x):
        total = np.zeros_like(x)
        for i in range(x.size):
            v = x[i]
            total[i] = exp(v) + tanh(v) + sigmoid(v) + softplus(v) + log(v * v + 1) + log1p(v * v)
            total[i] += activations.g(1, v, 0.01) + activations.dg(1, v, 0.01)
        return total

    for dtype in ("f4", "f8"):
        assert np.isfinite(user(np.linspace(-2, 2, 51)[1::2].astype(dtype))).all()
"""


@pytest.mark.slow
def test_a_users_fastmath_is_not_taken_over(tmp_path, wanted):
    steps = SINGLE + DOUBLE
    for _ in ("cold", "warm"):
        source = textwrap.dedent(USER) + STEPS
        answer = json.loads(run(["-c", source, *steps], NUMBA_CACHE_DIR=str(tmp_path)))
        assert answer["hashes"] == wanted


@pytest.fixture
def unwritable(tmp_path):
    """The environment of a process for which every place that Numba tries is refused.

    A folder below a file can be made by nobody, not even by root, who may write anywhere else.
    """
    package = Path(fs.__file__).parent
    copy = tmp_path / "site" / package.name
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [copy, *copy.glob("*/")]:
        (folder / "__pycache__").write_text("a file in the place of the folder")
    nowhere = str(tmp_path / "file" / "folder")
    (tmp_path / "file").write_text("no folder")
    names = ("NUMBA_CACHE_DIR", "HOME", "XDG_CACHE_HOME", "USERPROFILE", "LOCALAPPDATA")
    return {name: nowhere for name in names} | {"PYTHONPATH": str(copy.parent)}


@pytest.mark.slow
def test_no_place_for_compiled_kernels(unwritable, wanted):
    steps = ("predict:float32", "cost:float32", "descend:float32")
    done = subprocess.run(
        [sys.executable, "-c", STEPS, *steps],
        env={**os.environ, **unwritable},
        cwd=unwritable["PYTHONPATH"],  # -c looks for modules in the working directory first
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["hashes"] == {step: wanted[step] for step in steps}
    assert answer["compiled"]
    lines = [line for line in done.stderr.splitlines() if "no folder for compiled kernels" in line]
    assert len(lines) == 1, done.stderr
    assert "NUMBA_CACHE_DIR" in lines[0]
