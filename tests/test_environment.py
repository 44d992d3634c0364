"""What fastshallow says of its surroundings, and compiling ahead of time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import llvmlite.binding
import numba
import numpy as np
import pytest
from processes import script

import fastshallow as fs
from fastshallow import environment, kernels
from fastshallow.kernels import steps
from fastshallow.simd import vectors
from fastshallow.simd.vectors import vector_shape


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
    assert facts["prebuilt kernels"] == "none: FASTSHALLOW_PREBUILT is 0"
    assert all(facts.values())


def test_package_that_is_missing(capsys, monkeypatch):
    monkeypatch.setattr(environment, "PACKAGES", ("numpy", "no-such-package"))
    assert shown(capsys)["no-such-package"] == "not installed"


@pytest.mark.parametrize(
    ("features", "shape"),
    [
        ({"avx512f": True, "avx2": True, "fma": True}, (64, 32)),
        ({"avx512f": False, "avx2": True, "fma": True}, (32, 16)),
        ({"avx2": True, "fma": False}, (16, 16)),
        ({"avx2": False}, (16, 16)),
        ({"neon": True}, (16, 32)),
    ],
)
def test_vectors_of_this_machine(monkeypatch, features, shape):
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", lambda: features)
    assert vector_shape(None, None) == vector_shape("host", None) == shape


x86 = pytest.mark.skipif(
    not llvmlite.binding.get_process_triple().startswith("x86_64"), reason="names of x86's CPUs"
)

SHORT, LONG, LONGEST = (16, 16), (32, 16), (64, 32)
OF_NAMES = {
    "generic": SHORT,
    "nehalem": SHORT,
    "x86-64-v2": SHORT,
    "sandybridge": SHORT,  # AVX, without FMA
    "bdver2": SHORT,  # AVX and FMA, without AVX2
    "haswell": LONG,
    "skylake": LONG,
    "alderlake": LONG,
    "znver1": LONG,
    "znver3": LONG,
    "x86-64-v3": LONG,
    "x86-64-v4": LONGEST,
    "skylake-avx512": LONGEST,  # for which LLVM by itself prefers vectors of 32 bytes
    "icelake-server": LONGEST,
    "sapphirerapids": LONGEST,
    "znver4": LONGEST,
}
FEATURES = {"sse": "+64bit,+sse4.2", "avx2": "+64bit,+avx2,+fma"}
FEATURES["avx512"] = FEATURES["avx2"] + ",+avx512f,+avx512vl,+avx512dq,+avx512bw"


@x86
@pytest.mark.parametrize(("cpu", "shape"), OF_NAMES.items())
def test_vectors_of_a_target_are_what_it_and_this_machine_have(monkeypatch, cpu, shape):
    assert vector_shape(cpu, "") == shape
    for features, most in (("sse", SHORT), ("avx2", LONG), ("avx512", LONGEST)):
        switched_off = ",-avx512f" * (features != "avx512") + ",-avx2,-fma" * (features == "sse")
        found = FEATURES[features] + switched_off  # as Numba flattens what LLVM finds
        monkeypatch.setattr(vectors, "get_host_cpu_features", lambda found=found: found)
        assert vector_shape(cpu, None) == min(shape, most)


@x86
@pytest.mark.parametrize(
    ("cpu", "features", "shape"),
    [
        ("generic", FEATURES["avx2"], LONG),
        ("generic", FEATURES["avx512"], LONGEST),
        ("generic", "+avx2", SHORT),  # a multiply-add would be a call
        ("znver4", "-avx512f", LONG),
        ("x86-64-v3", "-prefer-256-bit", LONG),  # as prebuilt kernels are compiled
        ("x86-64-v4", "-prefer-256-bit", LONGEST),
        ("x86-64-v4", "+prefer-256-bit", LONGEST),
        ("haswell", "-fma", SHORT),
        (None, FEATURES["sse"] + ",-avx2,-fma,-avx512f", SHORT),
        ("no such CPU", "", SHORT),
    ],
)
def test_vectors_of_features(cpu, features, shape):
    assert vector_shape(cpu, features) == shape


TARGETS = [
    {},
    {"NUMBA_CPU_NAME": "x86-64-v3"},
    {"NUMBA_CPU_NAME": "skylake-avx512"},
    {"NUMBA_CPU_NAME": "nehalem"},
    {"NUMBA_CPU_NAME": "x86-64-v4", "NUMBA_CPU_FEATURES": "-prefer-256-bit"},
    {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": FEATURES["avx512"]},
    {"NUMBA_ENABLE_AVX": "0"},
]


@x86
@pytest.mark.parametrize("environ", TARGETS, ids=str)
def test_what_is_said_of_vectors_is_what_the_kernels_have(environ):
    source = """
        from numba import config
        from fastshallow import environment
        from fastshallow.simd import register_tile, vectors
        shape = vectors.vector_shape(config.CPU_NAME, config.CPU_FEATURES)
        assert shape == (vectors.VECTOR_BYTES, vectors.REGISTERS)
        print(environment.simd_bits(), 8 * vectors.VECTOR_BYTES)
    """
    said, had = map(int, script(source, **environ).split())
    assert said == had
    if "NUMBA_CPU_FEATURES" in environ:
        assert said == 512
    elif "nehalem" in environ.values() or "NUMBA_ENABLE_AVX" in environ:
        assert said == 128


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_warmup_compiles_what_training_and_prediction_use(dtype):
    seconds = fs.warmup(dtype)
    assert seconds > 0
    used = (kernels.cost_and_grad, steps.train, kernels.forward)
    before = [len(kernel.signatures) for kernel in used]
    # other sizes, outputs, memory orders and thread counts: the same kernels
    X = np.asfortranarray(np.ones((4, 600), dtype))
    for output, Y in (("softmax", np.zeros(600, int)), ("linear", np.ones((3, 600), bool))):
        net = fs.Network((4, 5, 3), "tanh", output, dtype).init(seed=0)
        fs.gradient_descent(net, X, Y, 0.1, 2, sample_weight=np.ones(600), n_threads=2)
        net.cost(X[:, ::-2], Y[..., ::2], alpha=0.1)
        net.predict(X, n_threads=2)
    assert [len(kernel.signatures) for kernel in used] == before


AFTER_WARMUP = """
    import gc, logging, warnings
    import numpy as np
    from numba.core.dispatcher import Dispatcher
    from sklearn.model_selection import cross_val_score
    import fastshallow as fs

    warnings.simplefilter("ignore")
    fs.warmup()

    def compiled():
        ours = {
            f"{kernel.py_func.__module__}.{kernel.py_func.__name__}{signature}"
            for kernel in gc.get_objects()
            if isinstance(kernel, Dispatcher)
            for signature in kernel.overloads
        }
        return {name for name in ours if name.startswith("fastshallow.")}

    before = compiled()
    rng = np.random.default_rng(0)
    X, step = rng.standard_normal((400, 7)), np.arange(400)
    for dtype in ("f4", "f8"):
        kinds = [(fs.ShallowClassifier, step % 2), (fs.ShallowClassifier, step % 3)]
        kinds += [(fs.ShallowClassifier, np.eye(4, dtype=int)[step % 4])]
        kinds += [(fs.ShallowRegressor, X[:, 0]), (fs.ShallowRegressor, X[:, :2])]
        for kind, y in kinds:
            for solver in ("adam", "sgd", "lbfgs"):
                model = kind(hidden_layer_sizes=(9,), solver=solver, max_iter=2)
                cross_val_score(model, X.astype(dtype), y, cv=2)
                model.set_params(early_stopping=True, validation_fraction=0.3)
                model.fit(X.astype(dtype), y).predict(X[:1].astype(dtype))
                model.predict(X[:5].astype(dtype))
                if kind is fs.ShallowClassifier:
                    model.predict_proba(X[:1].astype(dtype))
                    model.predict_proba(X[:5].astype(dtype))
    for dtypes in (("f4", "f4"), ("f4", "f8"), ("f8", "f8")):
        for output, n_y in (("sigmoid", 1), ("softmax", 3), ("linear", 2)):
            net = fs.Network((7, 6, n_y), "tanh", output, dtypes[0]).init(seed=0)
            for columns in (X.T.astype(dtypes[1]), np.ascontiguousarray(X.T, dtypes[1])):
                Y = step % 3 if output == "softmax" else (columns[:n_y] > 0)
                for kind in (fs.GradientDescent, fs.Adam, fs.SGD, fs.AdamW, fs.LBFGS):
                    optimizer = kind()
                    whole = optimizer.whole
                    fs.train(net, columns, Y, optimizer, 2, None if whole else 50, validation=0.2)
                fs.gradient_descent(net, columns, Y, 0.1, 3)
                net.cost_and_grad(columns, Y)
                net.score(columns, Y)
                for m in (1, 5, 400):
                    some = columns[:, :m]
                    net.predict(some, out=net.predict(some))
                net.predict(columns[:, 0])
                net.forward(columns)
        # several threads, blocks, and panels of weights
        for sizes, m in (((64, 100, 10), 5000), ((64, 2000, 10), 300)):
            net = fs.Network(sizes, output="softmax", dtype=dtypes[0]).init(seed=0)
            columns, Y = rng.standard_normal((64, m)).astype(dtypes[1]), np.arange(m) % 10
            net.cost(columns, Y)
            net.cost_and_grad(columns, Y)
            net.predict(columns)
            fs.train(net, columns, Y, epochs=1, batch_size=100)
            fs.gradient_descent(net, columns, Y, 0.1, 2)
    print(*sorted(compiled() - before), sep="\\n", end="")
"""


def test_after_warmup_nothing_that_users_call_is_compiled():
    # whatever was compiled before is loaded here: what counts are the kernels, not the time
    assert script(AFTER_WARMUP) == ""


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


def test_ctrl_c_while_an_estimator_warms_up_is_not_lost(monkeypatch):
    def interrupted(dtype):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(environment, "_warm_estimators", interrupted)
    with pytest.raises(KeyboardInterrupt):
        environment.warmup("float64")
