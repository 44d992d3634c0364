"""fastshallow beside its peers: the same training, in one run on one machine.

    python asv_bench/peers.py [--work NAME ...] [--repeat N]
    python asv_bench/peers.py --epochs [--threads N]
    python asv_bench/peers.py --batches [--threads N]
    python asv_bench/peers.py --flat
    python asv_bench/peers.py --estimators

Every peer starts from the same parameters and takes the same full-batch steps. First each must
agree with NumPy in float64; then all are timed in turn, `--repeat` times over, and the medians
are printed with the ratio to the fastest float32 peer. Peers that are not installed are named and
left out. PyTorch is eager float32 (its bf16 autocast is shown, not counted); JAX has the loop
inside jit, as `lax.scan`. ``--flat`` prints fastshallow's time per example from m = 10^4 to 10^7.

``--epochs`` does the same with epochs of Adam over shuffled batches of 200, against scikit-learn
and PyTorch. Each first trains for a few epochs, in orders of its own, and must reach the cost that
NumPy in float64 reaches. ``--batches`` prints fastshallow's time for a step of Adam, 30-64-2, at
batches of 1 to 10,000 examples, and what of it does not grow with the batch.

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


# Epochs of Adam over batches -------------------------------------------------------------------

EPOCHS = (
    Work((30, 64, 2), 100_000, "relu", 7, 12),
    Work((64, 32, 10), 1_797, "relu", 6, 10),
    Work((784, 128, 10), 60_000, "relu", 1.8, 2.5),
)
BATCH, ADAM_RATE = 200, 1e-3
BATCHES = (1, 32, 200, 1_000, 10_000)


def make_classes(work: Work) -> tuple[np.ndarray, np.ndarray, Params]:
    """Return `make_data`, with class numbers that can be learned from X."""
    X, _, params = make_data(work)
    rng = np.random.default_rng(1)
    directions = rng.standard_normal((work.sizes[0], work.sizes[-1]), dtype=np.float32)
    return X, (X @ directions).argmax(axis=1), params


def adam_with_numpy(work: Work, X, y, params):
    X, Y, rng = X.astype(float), np.eye(work.sizes[-1])[y], np.random.default_rng(0)
    w = [a.astype(float) for W, b in params for a in (W.T, b.ravel())]
    m, v, t = [np.zeros_like(a) for a in w], [np.zeros_like(a) for a in w], 0

    def batch(rows):
        nonlocal t
        t += 1
        A = np.maximum(X[rows] @ w[0] + w[1], 0)
        Z = A @ w[2] + w[3]
        E = np.exp(Z - Z.max(axis=1, keepdims=True))
        dZ = (E / E.sum(axis=1, keepdims=True) - Y[rows]) / len(rows)
        dZ1 = (dZ @ w[2].T) * (A > 0)
        gradient = (X[rows].T @ dZ1, dZ1.sum(axis=0), A.T @ dZ, dZ.sum(axis=0))
        rate = ADAM_RATE * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        for i, g in enumerate(gradient):
            m[i] = 0.9 * m[i] + 0.1 * g
            v[i] = 0.999 * v[i] + 0.001 * g * g
            w[i] -= rate * m[i] / (np.sqrt(v[i]) + 1e-8)

    def run(n):
        for _ in range(n):
            order = rng.permutation(len(X))
            for at in range(0, len(X), BATCH):
                batch(order[at : at + BATCH])

    return run, lambda: [(w[0].T, w[1].reshape(-1, 1)), (w[2].T, w[3].reshape(-1, 1))]


def adam_with_torch(work: Work, X, y, params):
    import torch
    import torch.nn.functional as F

    inputs, target = torch.from_numpy(X), torch.from_numpy(y)
    tensors = [
        torch.tensor(a, dtype=torch.float32).requires_grad_()
        for W, b in params
        for a in (W, b.ravel())
    ]
    optimizer = torch.optim.Adam(tensors, lr=ADAM_RATE)

    def run(n):
        for _ in range(n):
            for rows in torch.randperm(len(inputs)).split(BATCH):
                A = torch.relu(F.linear(inputs[rows], tensors[0], tensors[1]))
                loss = F.cross_entropy(F.linear(A, tensors[2], tensors[3]), target[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    def result():
        arrays = [t.detach().numpy() for t in tensors]
        return [(W, b.reshape(-1, 1)) for W, b in zip(arrays[::2], arrays[1::2], strict=True)]

    return run, result


def adam_with_sklearn(work: Work, X, y, params):
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(work.sizes[1:-1], alpha=0.0, learning_rate_init=ADAM_RATE, random_state=0)
    # One example of every class makes the arrays, whose values are then the common start;
    # the state that this step leaves in Adam is made anew.
    _, firsts = np.unique(y, return_index=True)
    model.partial_fit(X[firsts], y[firsts], classes=np.arange(work.sizes[-1]))
    expected = {layer.shape for layer in model.coefs_}
    if work.sizes[-1] == 2:  # scikit-learn has one sigmoid output for two classes
        (W, b), params = params[-1], params[:-1]
        params = [*params, (W[1:] - W[:1], b[1:] - b[:1])]
    for i, (W, b) in enumerate(params):
        model.coefs_[i][...], model.intercepts_[i][...] = W.T, b.ravel()
    assert expected == {W.T.shape for W, _ in params}
    del model._optimizer
    model.set_params(batch_size=BATCH)

    def run(n):
        for _ in range(n):
            model.partial_fit(X, y)

    def result():
        found = [
            (W.T, b.reshape(-1, 1)) for W, b in zip(model.coefs_, model.intercepts_, strict=True)
        ]
        if work.sizes[-1] == 2:
            W, b = found[-1]
            found[-1] = (np.vstack([-W / 2, W / 2]), np.vstack([-b / 2, b / 2]))
        return found

    return run, result


def adam_with_fastshallow(work: Work, X, y, params, batch=BATCH, threads=None):
    net = fs.Network(work.sizes, work.hidden, work.output)
    for layer, (W, b) in enumerate(params, 1):
        setattr(net, f"W{layer}", W)
        setattr(net, f"b{layer}", b)

    def run(n):
        fs.train(net, X.T, y, fs.Adam(ADAM_RATE), n, batch, n_threads=threads)

    return run, lambda: list(zip(net.W, net.b, strict=True))


ADAM_PEERS = {
    "scikit-learn": adam_with_sklearn,
    "PyTorch": adam_with_torch,
    "fastshallow": adam_with_fastshallow,
}

# Orders differ, so costs do, by the noise of batches.
CHECK_EPOCHS, COST_TOLERANCE = 2, 0.05


def cost_of(work: Work, X, y, params: Params) -> float:
    """Return the cross-entropy of all examples, in float64."""
    A = X.astype(float).T
    for W, b in params[:-1]:
        A = np.maximum(W @ A + b, 0)
    Z = params[-1][0] @ A + params[-1][1]
    top = Z.max(axis=0)
    return float(np.mean(top + np.log(np.exp(Z - top).sum(axis=0)) - Z[y, np.arange(len(y))]))


def report_epochs(work: Work, repeat: int) -> None:
    """Print a row of the table of epochs."""
    X, y, params = make_classes(work)
    run, result = adam_with_numpy(work, X, y, params)
    run(CHECK_EPOCHS)
    start, wanted = cost_of(work, X, y, params), cost_of(work, X, y, result())
    runs = {}
    for name, make in ADAM_PEERS.items():
        try:
            run, result = make(work, X, y, params)
        except ImportError:
            continue
        run(CHECK_EPOCHS)
        cost = cost_of(work, X, y, result())
        # two classes by one sigmoid move otherwise than by two outputs: another model of theirs
        same = name != "scikit-learn" or work.sizes[-1] > 2
        if not abs(cost - wanted) < COST_TOLERANCE * start and (same or cost > start):
            raise SystemExit(f"{name} is wrong on {work.name}: cost {cost:.4g}, not {wanted:.4g}")
        runs[name] = run
    medians = measure(runs, repeat)
    peers = [medians[name] for name in medians if name != "fastshallow"]
    ratio = min(peers) / medians["fastshallow"] if peers else float("nan")
    reached = "aim" if ratio >= work.aim else "must" if ratio >= work.must else "neither"
    cells = [readable(medians[name]) if name in medians else "-" for name in ADAM_PEERS]
    row = [work.name, *cells, f"{ratio:.2f}", f"{work.must:g} / {work.aim:g}", reached]
    print("| " + " | ".join(row) + " |", flush=True)


def batches(repeat: int, threads: int | None) -> None:
    """Print the time of a step of Adam by batch size, and what of it is not arithmetic.

    The arithmetic is taken from the step over all examples: so much an example. What is left holds
    the optimiser's update, too.
    """
    work = EPOCHS[0]
    X, y, params = make_classes(work)

    def step(size: int) -> float:
        run, _ = adam_with_fastshallow(work, X, y, params, size, threads)
        return measure({"fastshallow": run}, repeat)["fastshallow"] / -(-work.m // size)

    each = step(work.m) / work.m
    print("| batch | epoch | step | per example | beside the arithmetic |\n" + "| --- " * 5 + "|")
    for size in BATCHES:
        seconds = step(size)
        cells = [f"{size:,}", readable(seconds * -(-work.m // size)), readable(seconds)]
        cells += [f"{seconds / size * 1e9:.1f} ns", readable(max(0.0, seconds - size * each))]
        print("| " + " | ".join(cells) + " |", flush=True)


def use_threads(threads: int | None) -> None:
    """Let every peer use so many threads; None leaves them as they are."""
    if threads is None:
        return
    import numba
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(threads)


# Printing --------------------------------------------------------------------------------------


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
    names = [work.name for work in (*STEPS, *EPOCHS)]
    parser.add_argument("--work", nargs="*", help=f"only works whose name contains it: {names}")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--flat", action="store_true", help="time per example as m grows")
    parser.add_argument("--epochs", action="store_true", help="epochs of Adam over batches")
    parser.add_argument("--batches", action="store_true", help="a step of Adam by batch size")
    parser.add_argument("--threads", type=int, help="of every peer; as many as it likes")
    parser.add_argument("--estimators", action="store_true", help="against scikit-learn's")
    options = parser.parse_args()
    use_threads(options.threads)
    fs.show_versions()
    print(f"\n{platform.processor() or platform.machine()}; median of {options.repeat} repeats\n")
    if options.flat:
        flat(options.repeat)
        return
    if options.batches:
        batches(options.repeat, options.threads)
        return
    if options.epochs:
        print("| epoch | " + " | ".join(ADAM_PEERS) + " | ratio | must / aim | reached |")
        print("| --- " * (len(ADAM_PEERS) + 4) + "|")
        for work in EPOCHS:
            if not options.work or any(part in work.name for part in options.work):
                report_epochs(work, options.repeat)
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
