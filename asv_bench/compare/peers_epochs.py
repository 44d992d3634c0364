"""Epochs of Adam over shuffled batches, by scikit-learn, PyTorch and fastshallow.

First each peer trains for a few epochs, and must reach the cost of NumPy in float64.
"""

from __future__ import annotations

import numpy as np
from peers_table import Params, Run, Table, Work, make_data, measure, readable

import fastshallow as fs

EPOCHS = (
    Work((30, 64, 2), 100_000, "relu", 7, 12),
    Work((64, 32, 10), 1_797, "relu", 6, 10),
    Work((784, 128, 10), 60_000, "relu", 1.8, 2.5),
)
BATCH, ADAM_RATE = 200, 1e-3
BATCHES = (1, 32, 200, 1_000, 10_000)


def make_classes(work: Work) -> tuple[np.ndarray, np.ndarray, Params]:
    """Return the data of `make_data` with classes that depend on X."""
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
    # A fit of one example per class makes the arrays. Then they get the common initial parameters,
    # and Adam's state is deleted.
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

COUNTED = ("scikit-learn", "PyTorch")

# The costs differ, because the peers shuffle differently.
CHECK_EPOCHS, COST_TOLERANCE = 2, 0.05


def cost_of(work: Work, X, y, params: Params) -> float:
    """Return the cross-entropy of all examples, in float64."""
    A = X.astype(float).T
    for W, b in params[:-1]:
        A = np.maximum(W @ A + b, 0)
    Z = params[-1][0] @ A + params[-1][1]
    top = Z.max(axis=0)
    return float(np.mean(top + np.log(np.exp(Z - top).sum(axis=0)) - Z[y, np.arange(len(y))]))


def set_up(work: Work) -> dict[str, Run]:
    """Return each peer's function that takes epochs, after a check of its cost."""
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
        # for two classes scikit-learn has one sigmoid output, which is another model
        same = name != "scikit-learn" or work.sizes[-1] > 2
        if not abs(cost - wanted) < COST_TOLERANCE * start and (same or cost > start):
            raise SystemExit(f"{name} is wrong on {work.name}: cost {cost:.4g}, not {wanted:.4g}")
        runs[name] = run
    return runs


def report(works: list[Work], repeat: int) -> list[dict]:
    """Print the table of epochs; return its rows."""
    table = Table("epoch", *ADAM_PEERS, "ratio", "must / aim", "reached")
    for work in works:
        times = measure(set_up(work), repeat, CHECK_EPOCHS)
        table.compare(work, list(ADAM_PEERS), times, COUNTED)
    return table.rows


def batches(repeat: int, threads: int | None) -> list[dict]:
    """Print the time of a step of Adam by batch size, and its overhead.

    The overhead is the time of a step minus the arithmetic of its examples, which is estimated from
    a step over all examples. It includes the optimiser's update.
    """
    work = EPOCHS[0]
    X, y, params = make_classes(work)

    def step(size: int) -> float:
        run, _ = adam_with_fastshallow(work, X, y, params, size, threads)
        times = measure({"fastshallow": run}, repeat, CHECK_EPOCHS)["fastshallow"]
        return times.median / -(-work.m // size)

    each = step(work.m) / work.m
    table = Table("batch", "epoch", "step", "per example", "beside the arithmetic")
    for size in BATCHES:
        seconds = step(size)
        beside = max(0.0, seconds - size * each)
        cells = [f"{size:,}", readable(seconds * -(-work.m // size)), readable(seconds)]
        cells += [f"{seconds / size * 1e9:.1f} ns", readable(beside)]
        table.add(cells, {"batch": size, "step": seconds, "beside": beside})
    return table.rows
