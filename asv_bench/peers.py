"""fastshallow beside its peers: the same gradient-descent steps, in one run on one machine.

    python asv_bench/peers.py [--work NAME ...] [--repeat N]
    python asv_bench/peers.py --flat
    python asv_bench/peers.py --estimators

Every peer starts from the same parameters and takes the same full-batch steps. First each must
agree with NumPy in float64; then all are timed in turn, `--repeat` times over, and the medians
are printed with the ratio to the fastest float32 peer. Peers that are not installed are named and
left out. PyTorch is eager float32 (its bf16 autocast is shown, not counted); JAX has the loop
inside jit, as `lax.scan`. ``--flat`` prints fastshallow's time per example from m = 10^4 to 10^7.
``--estimators`` is fit and predict of the estimators, see `peers_estimators`.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import fastshallow as fs

LEARNING_RATE = 0.1


@dataclass(frozen=True)
class Work:
    """A network, its hidden activation and a number of examples."""

    sizes: tuple[int, ...]
    m: int
    hidden: str
    must: float
    aim: float

    @property
    def output(self) -> str:
        return "sigmoid" if self.sizes[-1] == 1 else "softmax"

    @property
    def name(self) -> str:
        return f"{'-'.join(map(str, self.sizes))}, m {self.m:,}"


STEPS = (
    Work((2, 4, 1), 400, "tanh", 2.5, 4),
    Work((64, 32, 10), 1_797, "tanh", 2.5, 4),
    Work((4, 32, 16, 4), 150, "tanh", 3, 3),
    Work((10, 16, 1), 442, "tanh", 3, 3),
    Work((13, 50, 3), 178, "tanh", 3, 3),
    Work((30, 100, 1), 569, "tanh", 3, 3),
    Work((30, 64, 1), 100_000, "tanh", 3, 5),
    Work((28, 64, 1), 1_000_000, "tanh", 4, 6),
    Work((784, 128, 10), 60_000, "tanh", 1.3, 1.7),
    Work((784, 1024, 10), 8_192, "tanh", 1.1, 1.4),
)

Params = list[tuple[np.ndarray, np.ndarray]]  # W (n_l, n_{l-1}) and b (n_l, 1), by layer
Run = Callable[[int], object]  # takes that many steps


def make_data(work: Work) -> tuple[np.ndarray, np.ndarray, Params]:
    """Return X (m, n_x), class numbers (m,) and initial parameters, all seeded."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((work.m, work.sizes[0]), dtype=np.float32)
    y = rng.integers(0, max(2, work.sizes[-1]), work.m)
    params = [
        (rng.standard_normal((out, into)) / np.sqrt(into), np.zeros((out, 1)))
        for into, out in zip(work.sizes, work.sizes[1:], strict=False)
    ]
    return X, y, params


# The peers: each returns a function that takes n steps and one that returns its parameters ------


def with_numpy(work: Work, X, y, params, dtype="float32"):
    X = np.ascontiguousarray(X.T, dtype)
    Y = np.eye(max(2, work.sizes[-1]), dtype=dtype)[:, y] if work.sizes[-1] > 1 else None
    Y = y.reshape(1, -1).astype(dtype) if Y is None else np.ascontiguousarray(Y)
    params = [[W.astype(dtype), b.astype(dtype)] for W, b in params]
    m = np.dtype(dtype).type(work.m)
    rate = np.dtype(dtype).type(LEARNING_RATE)

    def step():
        A = [X]
        for W, b in params[:-1]:
            A.append(np.tanh(W @ A[-1] + b))
        Z = params[-1][0] @ A[-1] + params[-1][1]
        if work.output == "sigmoid":
            with np.errstate(over="ignore"):
                out = 1 / (1 + np.exp(-Z))
        else:
            E = np.exp(Z - Z.max(axis=0))
            out = E / E.sum(axis=0)
        dZ = out - Y
        for layer in range(len(params) - 1, -1, -1):
            W, b = params[layer]
            dW, db = dZ @ A[layer].T / m, dZ.sum(axis=1, keepdims=True) / m
            if layer > 0:
                dZ = (W.T @ dZ) * (1 - A[layer] ** 2)
            W -= rate * dW
            b -= rate * db

    def run(n):
        for _ in range(n):
            step()

    return run, lambda: params


def with_torch(work: Work, X, y, params, bf16=False):
    import torch
    import torch.nn.functional as F

    inputs = torch.from_numpy(X)
    target = torch.from_numpy(y)
    if work.output == "sigmoid":
        target = target.reshape(-1, 1).float()
    tensors = [
        torch.tensor(a, dtype=torch.float32).requires_grad_()
        for W, b in params
        for a in (W, b.ravel())
    ]

    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            A = inputs
            for layer in range(0, len(tensors) - 2, 2):
                A = torch.tanh(F.linear(A, tensors[layer], tensors[layer + 1]))
            Z = F.linear(A, tensors[-2], tensors[-1])
        if work.output == "sigmoid":
            loss = F.binary_cross_entropy_with_logits(Z.float(), target)
        else:
            loss = F.cross_entropy(Z.float(), target)
        gradient = torch.autograd.grad(loss, tensors)
        with torch.no_grad():
            for parameter, g in zip(tensors, gradient, strict=True):
                parameter.sub_(g, alpha=LEARNING_RATE)

    def run(n):
        for _ in range(n):
            step()

    def result():
        arrays = [t.detach().numpy() for t in tensors]
        return [(W, b.reshape(-1, 1)) for W, b in zip(arrays[::2], arrays[1::2], strict=True)]

    return run, result


def with_jax(work: Work, X, y, params):
    import jax
    import jax.numpy as jnp

    inputs, target = jnp.asarray(X), jnp.asarray(y)
    state = [
        (jnp.asarray(W.T, jnp.float32), jnp.asarray(b.ravel(), jnp.float32)) for W, b in params
    ]

    def cost(state):
        A = inputs
        for W, b in state[:-1]:
            A = jnp.tanh(A @ W + b)
        Z = A @ state[-1][0] + state[-1][1]
        if work.output == "sigmoid":
            return jnp.mean(jnp.logaddexp(0, Z[:, 0]) - target * Z[:, 0])
        log_p = jax.nn.log_softmax(Z)
        return -jnp.mean(jnp.take_along_axis(log_p, target[:, None], axis=1))

    def step(state, _):
        gradient = jax.grad(cost)(state)
        return jax.tree.map(lambda p, g: p - LEARNING_RATE * g, state, gradient), None

    loop = jax.jit(lambda state, n: jax.lax.scan(step, state, None, length=n)[0], static_argnums=1)

    def run(n):
        nonlocal state
        state = jax.block_until_ready(loop(state, n))

    return run, lambda: [(np.asarray(W).T, np.asarray(b).reshape(-1, 1)) for W, b in state]


def with_fastshallow(work: Work, X, y, params):
    net = fs.Network(work.sizes, work.hidden, work.output)
    for layer, (W, b) in enumerate(params, 1):
        setattr(net, f"W{layer}", W)
        setattr(net, f"b{layer}", b)
    Y = y if work.output == "softmax" else y.astype(np.float32)

    def run(n):
        fs.gradient_descent(net, X.T, Y, LEARNING_RATE, n)

    return run, lambda: list(zip(net.W, net.b, strict=True))


PEERS = {
    "NumPy": with_numpy,
    "PyTorch": with_torch,
    "JAX": with_jax,
    "fastshallow": with_fastshallow,
    "PyTorch bf16": lambda *given: with_torch(*given, bf16=True),
}
COUNTED = ("NumPy", "PyTorch", "JAX")

# Steps that are compared with float64 before timing, and how far float32 may be off.
CHECK_STEPS, TOLERANCE = 3, {"PyTorch bf16": 5e-2}


def largest_error(got: Params, wanted: Params) -> float:
    """Return the largest difference of an array, over that array's largest value."""
    return max(
        float(np.abs(g - w).max() / np.abs(w).max())
        for pair, wanted_pair in zip(got, wanted, strict=True)
        for g, w in zip(pair, wanted_pair, strict=True)
    )


def set_up(work: Work) -> tuple[dict[str, Run], list[str]]:
    """Return each peer's function that takes steps, checked; and what was left out."""
    data = make_data(work)
    run, result = with_numpy(*(work, *data), dtype="float64")
    run(CHECK_STEPS)
    wanted = result()
    runs, missing = {}, []
    for name, make in PEERS.items():
        try:
            run, result = make(work, *data)
        except ImportError:
            missing.append(name)
            continue
        run(CHECK_STEPS)
        error = largest_error(result(), wanted)
        if not error < TOLERANCE.get(name, 1e-3):
            raise SystemExit(f"{name} is wrong on {work.name}: off by {error:.1e}")
        runs[name] = run
    return runs, missing


def measure(runs: dict[str, Run], repeat: int, seconds: float = 0.2) -> dict[str, float]:
    """Return the median seconds of a step of each peer, timed in turn."""
    counts = {}
    for name, run in runs.items():
        began = time.perf_counter()
        run(CHECK_STEPS)
        one = (time.perf_counter() - began) / CHECK_STEPS
        counts[name] = max(1, int(seconds / one))
        run(counts[name])  # JAX compiles for every number of steps
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeat):
        for name, run in runs.items():
            began = time.perf_counter()
            run(counts[name])
            times[name].append((time.perf_counter() - began) / counts[name])
    return {name: statistics.median(values) for name, values in times.items()}


def readable(seconds: float) -> str:
    """Return a time in a fitting unit."""
    for unit, scale in (("s", 1), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale or unit == "us":
            return f"{seconds / scale:.3g} {unit}"
    raise AssertionError


def report(work: Work, repeat: int) -> None:
    """Print a row of the table."""
    runs, missing = set_up(work)
    medians = measure(runs, repeat)
    peers = [medians[name] for name in COUNTED if name in medians]
    ratio = min(peers) / medians["fastshallow"] if peers else float("nan")
    reached = "aim" if ratio >= work.aim else "must" if ratio >= work.must else "neither"
    cells = [readable(medians[name]) if name in medians else "-" for name in PEERS]
    row = [work.name, *cells, f"{ratio:.2f}", f"{work.must:g} / {work.aim:g}", reached]
    print("| " + " | ".join(row) + " |", flush=True)
    if missing:
        print(f"  not installed: {', '.join(missing)}")


def flat(repeat: int) -> None:
    """Print the time per example of a step of 28-64-1, as m grows."""
    print("| m | step | per example |\n| --- | --- | --- |")
    for m in (10**4, 10**5, 10**6, 10**7):
        work = Work((28, 64, 1), m, "tanh", 0, 0)
        run, _ = with_fastshallow(work, *make_data(work))
        seconds = measure({"fastshallow": run}, repeat)["fastshallow"]
        print(f"| {m:,} | {readable(seconds)} | {seconds / m * 1e9:.1f} ns |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = [work.name for work in STEPS]
    parser.add_argument("--work", nargs="*", help=f"only works whose name contains it: {names}")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--flat", action="store_true", help="time per example as m grows")
    parser.add_argument("--estimators", action="store_true", help="against scikit-learn's")
    options = parser.parse_args()
    fs.show_versions()
    print(f"\n{platform.processor() or platform.machine()}; median of {options.repeat} repeats\n")
    if options.flat:
        flat(options.repeat)
        return
    if options.estimators:
        import peers_estimators  # beside this file; asv imports both from elsewhere

        peers_estimators.report(options.work, options.repeat, readable)
        return
    print("| step | " + " | ".join(PEERS) + " | ratio | must / aim | reached |")
    print("| --- " * (len(PEERS) + 4) + "|")
    for work in STEPS:
        if not options.work or any(part in work.name for part in options.work):
            report(work, options.repeat)


if __name__ == "__main__":
    main()
