"""Peak memory: nothing of size m x n_h, ever; what does not depend on m is allocated before."""

from __future__ import annotations

import json
import sys
import textwrap

import pytest
from processes import run, script

if sys.platform == "win32":
    pytest.skip("the peak is read as POSIX systems report it", allow_module_level=True)

N_X, N_H = 28, 64

# Linux hands the peak of the parent on through fork, so there the one of this memory map is read.
PEAK = """
    import json, resource, sys
    import numpy as np, fastshallow as fs

    def peak():
        try:
            with open("/proc/self/status") as file:
                return next(int(line.split()[1]) << 10 for line in file if "VmHWM" in line)
        except OSError:
            unit = 1 if sys.platform == "darwin" else 1 << 10
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    def forget_peak():
        try:
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")  # Linux: from now on, as if nothing had been freed before
        except OSError:
            pass
"""

BODY = f"""
    m, order = {{m}}, "{{order}}"
    X = np.zeros(({N_X}, m), "f4", order=order)
    for i in range({N_X}):
        X[i] = np.arange(m, dtype="f4") % (i + 2) - 0.5 * i
    Y = (np.arange(m) % 2).astype("f4")
    net = fs.Network(({N_X}, {N_H}, 1), "tanh").init(seed=0)
    few = np.ones(({N_X}, 20_000), "f4"), np.ones(20_000, "f4")

    def cost_and_grad(X, Y):
        return net.cost_and_grad(X, Y, n_threads=2)

    def predict(X, Y):
        return net.predict(X, n_threads=2)

    def predict_proba(X, Y):
        return net.predict_proba(X, n_threads=2)

    def descend(X, Y):
        return fs.gradient_descent(net, X, Y, 0.1, 2, n_threads=2)

    def whole_matrix(X, Y):
        return np.ones(({N_H}, X.shape[1]), "f4").sum()

    function = {{name}}
    function(*few)
    forget_peak()
    before = peak()
    result = function(X, Y)
    print(json.dumps([peak() - before, getattr(result, "nbytes", 0)]))
"""


def grown(name, m, order):
    """Return by how many bytes the peak grows through a call, without its output."""
    source = textwrap.dedent(PEAK) + textwrap.dedent(BODY.format(name=name, m=m, order=order))
    growth, output = json.loads(script(source))
    return growth - output


def most(m):
    """Return the bytes allowed: those of a few values an example, and some for noise.

    Predicted classes take a float32, a bool and a converted value on their way to the output.
    """
    return 16 * m + 8_000_000


CALLS = ("cost_and_grad", "predict", "predict_proba", "descend")
SIZES = (200_000, pytest.param(2_000_000, marks=pytest.mark.slow))


@pytest.mark.parametrize("m", SIZES)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", CALLS)
def test_peak_grows_by_nothing_of_the_size_of_a_layer(name, order, m):
    assert grown(name, m, order) <= most(m) < 4 * m * N_H / 4


@pytest.mark.parametrize("m", SIZES)
def test_a_whole_layer_would_be_seen(m):
    # the measure itself, put to the test
    assert grown("whole_matrix", m, "C") >= 0.9 * 4 * m * N_H


# Examples on disk ----------------------------------------------------------------------------

ON_DISK = """
    from fastshallow.training import trainer

    trainer.MAPPED_BYTES = 8 << 20  # 64 MB, made smaller with the file
    m, n_x = 250_000, 100
    shape = (m, n_x) if "{order}" == "F" else (n_x, m)

    def on_disk(folder):
        # 100 MB that no disk has to hold: a file with holes reads as zeros
        path = folder + "/X"
        with open(path, "wb") as file:
            file.truncate(4 * m * n_x)
        X = np.memmap(path, "f4", "r", shape=shape)
        return X.T if "{order}" == "F" else X

    few = np.zeros((n_x, 1000), "f4"), np.zeros(1000)
    Y = np.arange(m) % 2
    net = fs.Network((n_x, 8, 1), "tanh").init(seed=0)
    options = dict(epochs=1, batch_size={batch_size}, shuffle={shuffle}, n_threads=1)
    fs.train(net, *few, **options)
    X = on_disk(sys.argv[1])
    memory = dict(line.split(":") for line in open("/proc/self/status") if ":" in line)
    now = int(memory["VmData"].split()[0]) << 10
    # a copy of X would not fit: 100 MB are asked for, 40 MB more are allowed
    resource.setrlimit(resource.RLIMIT_DATA, (now + (40 << 20), now + (40 << 20)))
    forget_peak()
    before = peak()
    fs.train(net, X, Y, **options)
    grown = peak() - before
    try:
        np.array(X)
    except MemoryError:
        print(grown)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits and peaks are read as Linux has them")
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    ("shuffle", "batch_size"), [("False", 200), ("'windows'", 200), ("False", None)]
)
def test_an_epoch_over_a_file_larger_than_the_memory(shuffle, batch_size, order, tmp_path):
    options = {"shuffle": shuffle, "batch_size": batch_size, "order": order}
    source = textwrap.dedent(PEAK) + textwrap.dedent(ON_DISK.format(**options))
    grown = int(run(["-c", source, str(tmp_path)]))
    # a window of 8 MB, with the pages around it, the order and the targets of 250,000 examples
    assert grown < 50_000_000
