"""Print, as JSON, hashes of all that is computed at 1 to 4 threads on the layer of this process.

Run by `test_threads` as a process of its own: Numba chooses its threading layer once.
"""

from __future__ import annotations

import hashlib
import json
import sys

import cases
import numpy as np

import fastshallow as fs
from fastshallow.jit.threads import threading_layer

# Sizes and m: several blocks, and tiles that end early; lanes over examples; many blocks; wide
# layers, whose weights are packed.
PROBLEMS = {
    "deep": ((5, 17, 6, 3), 1500),
    "tiny": ((2, 4, 1), 1500),
    "large": ((9, 12, 2), 20_000),
    "wide": ((70, 130, 5), 1500),
}

# Every output by dtype; tiny has no classes.
KINDS = [
    (problem, output, dtype)
    for problem in PROBLEMS
    for output in cases.OUTPUTS
    for dtype in cases.DTYPES
    if (problem, output) != ("tiny", "softmax")
]


def network_and_data(output, dtype, problem="deep"):
    """Return a network with hidden layers of two kinds, X and Y."""
    rng = np.random.default_rng(0)
    sizes, m = PROBLEMS[problem]
    hidden = ["tanh", "leaky_relu"] if dtype == "float32" else ["sigmoid", "relu"]
    net = fs.Network(sizes, hidden[: len(sizes) - 2], output, dtype).init(seed=0)
    X = rng.standard_normal((sizes[0], m)).astype(dtype)
    return net, X, cases.draw_targets(rng, output, sizes[-1], m)


def everything(problem, output, dtype, n_threads):
    """Return a hash of J, gradient, predictions and trained parameters."""
    net, X, Y = network_and_data(output, dtype, problem)
    w = np.random.default_rng(1).random(X.shape[1])
    J, g = net.cost_and_grad(X, Y, sample_weight=w, alpha=0.1, n_threads=n_threads)
    digest = hashlib.sha256(np.float64(J).tobytes() + g.vector.tobytes())
    if output in ("sigmoid", "softmax"):
        digest.update(net.predict_proba(X, n_threads=n_threads).tobytes())
    digest.update(net.predict(X, n_threads=n_threads).tobytes())
    result = fs.gradient_descent(net, X, Y, 0.05, 5, n_threads=n_threads)
    digest.update(result.cost.tobytes() + net.params.tobytes())
    history = fs.train(net, X, Y, epochs=1, batch_size=500, sample_weight=w, n_threads=n_threads)
    digest.update(history.cost.tobytes() + net.params.tobytes())
    return digest.hexdigest()


def main(counts):
    """Print the hashes for these numbers of threads."""
    hashes = {n: [everything(*kind, n) for kind in KINDS] for n in counts}
    print(json.dumps({"layer": threading_layer(), "hashes": hashes}))


if __name__ == "__main__":
    main([int(n) for n in sys.argv[1:]])
