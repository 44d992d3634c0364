"""Print, as JSON, hashes of all that is computed at 1 to 4 threads on the layer of this process.

Run by test_threads.py as a process of its own: Numba chooses its threading layer once.
"""

from __future__ import annotations

import hashlib
import json
import sys

import cases
import numpy as np

import fastshallow as fs
from fastshallow._threads import threading_layer

M = 1500  # several blocks, and tiles that end early


def network_and_data(output, dtype):
    """Return a network with a hidden layer of every kind, X and Y."""
    rng = np.random.default_rng(0)
    hidden = ["tanh", "leaky_relu"] if dtype == "float32" else ["sigmoid", "relu"]
    net = fs.Network((5, 17, 6, 3), hidden, output, dtype).init(seed=0)
    X = rng.standard_normal((5, M)).astype(dtype)
    return net, X, cases.draw_targets(rng, output, 3, M)


def everything(output, dtype, n_threads):
    """Return a hash of J, gradient, predictions and trained parameters."""
    net, X, Y = network_and_data(output, dtype)
    w = np.random.default_rng(1).random(M)
    J, g = net.cost_and_grad(X, Y, sample_weight=w, alpha=0.1, n_threads=n_threads)
    digest = hashlib.sha256(np.float64(J).tobytes() + g.vector.tobytes())
    if output in ("sigmoid", "softmax"):
        digest.update(net.predict_proba(X, n_threads=n_threads).tobytes())
    digest.update(net.predict(X, n_threads=n_threads).tobytes())
    result = fs.gradient_descent(net, X, Y, 0.05, 5, n_threads=n_threads)
    digest.update(result.cost.tobytes() + net.params.tobytes())
    return digest.hexdigest()


def main(counts):
    """Print the hashes for these numbers of threads."""
    hashes = {n: [everything(o, d, n) for o in cases.OUTPUTS for d in cases.DTYPES] for n in counts}
    print(json.dumps({"layer": threading_layer(), "hashes": hashes}))


if __name__ == "__main__":
    main([int(n) for n in sys.argv[1:]])
