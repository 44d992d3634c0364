"""Steps of full-batch gradient descent, by NumPy, PyTorch, JAX and fastshallow.

Every peer starts from the same parameters and takes the same steps. First its parameters must agree
with NumPy in float64. PyTorch is eager float32; its bf16 autocast is shown, but not counted. JAX
has the loop inside jit, as `lax.scan`.
"""

from __future__ import annotations

import numpy as np
from peers_table import Params, Run, Table, Work, make_data, measure

import fastshallow as fs

LEARNING_RATE = 0.1

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


# Peers: each returns a function that takes n steps, and a function that returns the parameters ---


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

# Number of steps in the check against float64, and tolerated relative errors.
CHECK_STEPS, TOLERANCE = 3, {"PyTorch bf16": 5e-2}


def largest_error(got: Params, wanted: Params) -> float:
    """Return the largest error of an array, relative to the array's largest entry."""
    return max(
        float(np.abs(g - w).max() / np.abs(w).max())
        for pair, wanted_pair in zip(got, wanted, strict=True)
        for g, w in zip(pair, wanted_pair, strict=True)
    )


def set_up(work: Work) -> tuple[dict[str, Run], list[str]]:
    """Return each peer's function that takes steps, after a check, and the missing peers."""
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


def report(works: list[Work], repeat: int) -> list[dict]:
    """Print the table of steps; return its rows."""
    table = Table("step", *PEERS, "ratio", "must / aim", "reached")
    for work in works:
        runs, missing = set_up(work)
        table.compare(work, list(PEERS), measure(runs, repeat, CHECK_STEPS), COUNTED)
    if works and missing:
        print(f"\nnot installed: {', '.join(missing)}")
    return table.rows


def flat(repeat: int) -> list[dict]:
    """Print the time per example of a step of 28-64-1 for growing m; return the rows."""
    table = Table("m", "step", "per example")
    for m in (10**4, 10**5, 10**6, 10**7):
        work = Work((28, 64, 1), m, "tanh", 0, 0)
        run, _ = with_fastshallow(work, *make_data(work))
        times = measure({"fastshallow": run}, repeat, CHECK_STEPS)["fastshallow"]
        cells = [f"{m:,}", str(times), f"{times.median / m * 1e9:.1f} ns"]
        table.add(cells, {"m": m, "seconds": times.values})
    return table.rows
