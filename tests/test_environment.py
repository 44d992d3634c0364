"""What fastshallow says of its surroundings, and compiling ahead of time."""

from __future__ import annotations

import os
import subprocess
import sys

import llvmlite.binding
import numba
import numpy as np
import pytest

import fastshallow as fs
from fastshallow import batches, environment, kernels


def shown(capsys):
    """Return what `show_versions` prints, by name."""
    fs.show_versions()
    lines = capsys.readouterr().out.splitlines()
    column = lines[0].index("3.")
    return {line[:column].strip(): line[column:] for line in lines}


def test_show_versions(capsys):
    facts = shown(capsys)
    assert facts["fastshallow"] == fs.__version__
    assert facts["numba"] == numba.__version__
    assert facts["python"].startswith(sys.version.split()[0])
    assert facts["threads"].startswith(f"{numba.get_num_threads()} ")
    assert facts["threading layer"] in ("omp", "tbb", "workqueue")
    assert facts["cores"].startswith(str(os.cpu_count()))
    assert facts["SIMD width"] in ("128 bits", "256 bits", "512 bits")
    assert os.path.isdir(facts["kernel cache"])
    assert all(facts.values())


def test_package_that_is_missing(capsys, monkeypatch):
    monkeypatch.setattr(environment, "PACKAGES", ("numpy", "no-such-package"))
    assert shown(capsys)["no-such-package"] == "not installed"


@pytest.mark.parametrize(
    ("features", "bits"),
    [
        ({"avx512f": True, "avx2": True}, 512),
        ({"avx512f": False, "avx2": True}, 256),
        ({"avx2": False}, 128),
        ({"neon": True}, 128),
    ],
)
def test_simd_bits(monkeypatch, features, bits):
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", lambda: features)
    assert environment.simd_bits() == bits


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_warmup_compiles_what_training_and_prediction_use(dtype):
    seconds = fs.warmup(dtype)
    assert seconds > 0
    used = (kernels.cost_and_grad, batches.train, kernels.forward)
    before = [len(kernel.signatures) for kernel in used]
    # other sizes, outputs, memory orders and thread counts: the same kernels
    X = np.asfortranarray(np.ones((4, 600), dtype))
    for output, Y in (("softmax", np.zeros(600, int)), ("linear", np.ones((3, 600), bool))):
        net = fs.Network((4, 5, 3), "tanh", output, dtype).init(seed=0)
        fs.gradient_descent(net, X, Y, 0.1, 2, sample_weight=np.ones(600), n_threads=2)
        net.cost(X[:, ::-2], Y[..., ::2], alpha=0.1)
        net.predict(X, n_threads=2)
    assert [len(kernel.signatures) for kernel in used] == before


def test_warmup_names_the_dtypes():
    with pytest.raises(ValueError, match="dtype: expected float32 or float64; got 'float16'"):
        fs.warmup("float16")


def test_without_a_place_for_kernels(tmp_path):
    # NUMBA_DISABLE_JIT: the same answer as a machine where no folder can be written to
    done = subprocess.run(
        [sys.executable, "-c", "import fastshallow as fs; fs.show_versions()"],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "none: each process compiles" in done.stdout
