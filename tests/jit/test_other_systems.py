"""Without what only POSIX has: the package imports, trains, saves, loads and goes on.

This is Linux that hides those names: Windows and macOS themselves are not tested.
"""

from __future__ import annotations

import sys
import textwrap

import pytest
from processes import run

WORK = """
    import hashlib, sys
    import numpy as np
    import fastshallow as fs
    from fastshallow.__main__ import main
    from fastshallow.files.models import ModelFileError

    folder = sys.argv[1]
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((4, 3000)).astype("f4"), rng.integers(0, 2, 3000)
    X.tofile(folder + "/X")
    mapped = np.memmap(folder + "/X", "f4", "r", shape=X.shape)
    found = []

    def trained(X, epochs, **options):
        net = fs.Network((4, 9, 1), "tanh").init(seed=0)
        return fs.train(net, X, Y, epochs=epochs, batch_size=1000, n_threads=2, **options), net

    for options in ({}, {"shuffle": "windows"}):
        history, net = trained(mapped, 2, **options)
        found += [history.cost.tobytes(), net.params.tobytes()]
    trained(X, 2, checkpoint=folder + "/state")
    history, net = trained(X, 4, checkpoint=folder + "/state", resume=True)
    assert net == trained(X, 4)[1] and len(history) == 4
    best = fs.ModelCheckpoint(folder + "/best.safetensors")
    trained(X, 2, validation=(X, Y), callbacks=[best, fs.JSONLinesLogger(folder + "/log")])
    net.predict(X)
    fs.gradient_descent(net, X, Y, 0.1, 3)
    for _ in range(2):  # the second in the place of the first
        fs.save(net, folder + "/model.safetensors")
    assert fs.load(folder + "/model.safetensors") == net
    try:
        fs.load(folder)
    except ModelFileError as error:
        print(error, file=sys.stderr)
    learner = fs.ShallowClassifier(5, max_iter=3, tol=1, n_iter_no_change=1, random_state=0)
    learner.fit(X.T, Y)
    found += [net.params.tobytes(), learner.predict_proba(X.T).tobytes()]
    assert main(["info", folder + "/model.safetensors"]) == 0
    fs.show_versions()
    print("hash", hashlib.sha256(b"".join(found)).hexdigest())
"""

HIDDEN = """
    import builtins, mmap, os, sys, types
    # what is no part of the package has its names
    import joblib, numba, numpy, pandas, safetensors.numpy, scipy.optimize, sklearn.metrics
    import sklearn.model_selection, sklearn.neural_network, tqdm.auto

    gone = set()

    class Elsewhere(types.ModuleType):
        def __init__(self, module, hidden, **others):
            super().__init__(module.__name__)
            self.__dict__.update({k: v for k, v in vars(module).items() if k not in hidden})
            self.__dict__.update(others)
            gone.update(hidden & set(vars(module)))

    def opened(path, flags, mode=0o777):
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", path)  # as Windows does
        return os.open(path, flags, mode)

    posix = {"fork", "register_at_fork", "sched_getaffinity", "sched_setaffinity", "getuid",
             "geteuid", "O_NONBLOCK", "O_DIRECTORY", "O_CLOEXEC", "mkfifo", "fchmod", "kill"}
    advice = {name for name in vars(mmap) if name.startswith("MADV_")}
    hiding = {
        "os": Elsewhere(os, posix, name="nt", open=opened),
        "mmap": Elsewhere(mmap, advice),
        "fcntl": None, "resource": None, "pwd": None, "grp": None, "termios": None,
    }
    real_import = builtins.__import__

    def found_by(name, globals=None, *more, **options):
        ours = (globals or {}).get("__name__", "").startswith("fastshallow")
        if ours and name in hiding:
            if hiding[name] is None:
                raise ModuleNotFoundError(name)
            return hiding[name]
        return real_import(name, globals, *more, **options)

    builtins.__import__ = found_by
    assert {"fork", "register_at_fork", "sched_getaffinity", "MADV_DONTNEED"} <= gone
"""
CHECK = """
    from fastshallow.files import models
    from fastshallow.training import trainer
    assert models.os.name == "nt" and not hasattr(trainer.mmap, "MADV_DONTNEED")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it hides what Linux has")
def test_without_what_only_posix_has(tmp_path):
    hashes = []
    for name, source in (("here", WORK), ("elsewhere", HIDDEN + WORK + CHECK)):
        (tmp_path / name).mkdir()
        lines = run(["-c", textwrap.dedent(source), str(tmp_path / name)]).splitlines()
        hashes += [line for line in lines if line.startswith("hash ")]
        assert not list((tmp_path / name).glob("*.tmp"))
    assert len(hashes) == 2 and hashes[0] == hashes[1]
