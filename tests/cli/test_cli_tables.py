"""The command on tables that the tests write, driven as a process."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import time
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
from command_line import command, environment, interrupted, value
from sklearn.compose import make_column_transformer
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import fastshallow as fs
from fastshallow.tables.columns import read_values
from fastshallow.tables.scores import classification_scores

NUMBERS, TEXTS = ["age", "height"], ["city", "member"]


def people(m=300, seed=0):
    """Return a table with numbers, text, booleans, three classes and a number to predict."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "age": rng.integers(18, 80, m),
            "height": rng.normal(170, 10, m).round(1),
            "city": rng.choice(["Oslo", "Paris", "Rome, Lazio", "Bern"], m),
            "member": rng.random(m) < 0.5,
        }
    )
    score = (table.age - 49) / 10 + (table.city == "Oslo") * 2 + table.member
    table["class"] = np.where(score > 1.5, "high", np.where(score < -0.5, "low", "mid – é"))
    table["income"] = 50_000 + 10_000 * score + rng.normal(0, 500, m)
    return table


FITTED = ("--hidden", "12", "--epochs", "60", "--learning-rate", "0.02", "--seed", "3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with tables."""
    folder = tmp_path_factory.mktemp("tables")
    people().to_csv(folder / "people.csv", index=False)
    people(80, seed=1).to_csv(folder / "new.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def classifier(folder):
    """Train on text classes; return what was printed."""
    options = ("--target", "class", "--drop", "income", "--plot", "loss.png", *FITTED)
    return command(folder, "train", "people.csv", *options, "--out", "class.safetensors")


@pytest.fixture(scope="module")
def regressor(folder):
    """Train on numbers; return what was printed."""
    options = ("--target", "income", "--drop", "class", "--solver", "lbfgs", "--hidden", "6")
    limit = ("--epochs", "25", "--alpha", "0.1", "--json", "--out", "income.safetensors")
    return command(folder, "train", "people.csv", *options, *limit)


def answers(text):
    """Return the rows of a CSV as dicts."""
    return list(csv.DictReader(io.StringIO(text)))


def encoder(train):
    """Return scikit-learn's encoding of the features, fitted."""
    numbers = (StandardScaler(), NUMBERS)
    texts = (OneHotEncoder(handle_unknown="ignore", sparse_output=False), TEXTS)
    return make_column_transformer(numbers, texts).fit(train)


# Training ----------------------------------------------------------------------------------------


def test_train_reports(classifier, folder):
    done = classifier
    assert done.returncode == 0, done.stderr
    assert value(done.stdout, "Data") == "people.csv: 300 rows, 240 to train on, 60 held out"
    assert value(done.stdout, "Target").startswith("class: classification, 3 classes (high ")
    assert re.search(r"^city +text +Bern, Oslo, Paris, Rome, Lazio +4$", done.stdout, re.M)
    assert re.search(r"^member +boolean +False, True +2$", done.stdout, re.M)
    assert float(value(done.stdout, "Held-out accuracy").split()[0]) > 0.85
    assert "Confusion matrix" in done.stdout and "mid – é" in done.stdout
    assert re.fullmatch(r"[\d,]+ examples per second", value(done.stdout, "Speed"))
    assert "60/60" in done.stderr or "until it did not improve" in done.stdout
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_classifier_is_that_of_the_python_interface(classifier, folder):
    table = people()
    chosen, rest = train_test_split(
        np.arange(300), test_size=60, stratify=table["class"], random_state=3
    )
    encode = encoder(table.iloc[chosen])
    model = fs.ShallowClassifier(12, max_iter=60, learning_rate_init=0.02, random_state=3)
    X = encode.transform(table).astype("float32")
    with pytest.warns() if "all that were" in classifier.stdout else nullcontext():
        model.fit(X[chosen], table["class"].iloc[chosen])
    P = model.predict_proba(X[rest])
    right = table["class"].iloc[rest]
    accuracy, loss = accuracy_score(right, model.predict(X[rest])), log_loss(right, P)
    assert value(classifier.stdout, "Held-out accuracy") == f"{accuracy:.4f} (60 examples)"
    assert abs(float(value(classifier.stdout, "Log loss")) - loss) < 2e-4
    new = people(80, seed=1)
    done = command(folder, "predict", "class.safetensors", "new.csv", "--proba")
    rows = answers(done.stdout)
    X_new = encode.transform(new).astype("float32")
    assert [row["prediction"] for row in rows] == model.predict(X_new).tolist()
    written = np.array(
        [[float(row[f"probability_{label}"]) for label in model.classes_] for row in rows]
    )
    # the means are summed in another order here
    assert np.abs(written - model.predict_proba(X_new)).max() < 1e-4


def test_regressor_is_that_of_the_python_interface(regressor, folder):
    report = json.loads(regressor.stdout)
    table = people()
    chosen, rest = train_test_split(np.arange(300), test_size=60, random_state=0)
    encode = encoder(table.iloc[chosen])
    X, y = encode.transform(table), table["income"].to_numpy()
    mean, scale = y[chosen].mean(), y[chosen].std()
    model = fs.ShallowRegressor(
        "squared_error", 6, solver="lbfgs", max_iter=25, alpha=0.1, random_state=0
    )
    with pytest.warns() if report["training"]["stopped"] == "epochs" else nullcontext():
        model.fit(X[chosen], (y[chosen] - mean) / scale)
    predicted = model.predict(X[rest]) * scale + mean
    assert report["held_out"]["r2"] > 0.97
    assert abs(report["held_out"]["r2"] - r2_score(y[rest], predicted)) < 1e-6
    assert report["model"]["sizes"] == [8, 6, 1]
    done = command(folder, "predict", "income.safetensors", "new.csv")
    written = np.array([float(row["prediction"]) for row in answers(done.stdout)])
    new = model.predict(encode.transform(people(80, seed=1))) * scale + mean
    assert np.abs(written - new).max() < 1e-3 * scale


def test_json_is_all_of_it(regressor):
    assert regressor.returncode == 0
    report = json.loads(regressor.stdout)
    assert report["data"]["rows"] == 300 and report["data"]["held_out"] == 60
    assert [column["name"] for column in report["data"]["columns"]] == [*NUMBERS, *TEXTS]
    assert report["data"]["target"]["task"] == "regression"
    assert len(report["training"]["loss_curve"]) == report["training"]["epochs"] <= 25
    assert set(report["held_out"]) == {"r2", "rmse", "mae", "baseline"}


# Predicting --------------------------------------------------------------------------------------


def test_predictions_equal_those_of_load(classifier, regressor, folder):
    new = people(80, seed=1)
    for name in ("class", "income"):
        path = f"{name}.safetensors"
        done = command(folder, "predict", path, "-", stdin=(folder / "new.csv").read_text("utf-8"))
        assert (done.returncode, done.stderr) == (0, "")
        model = fs.load(folder / path)
        expected = model.predict(new)
        rows = [row["prediction"] for row in answers(done.stdout)]
        assert (rows if name == "class" else [float(row) for row in rows]) == expected.tolist()
        assert np.array_equal(model.predict(new.to_dict("list")), expected)
        assert isinstance(model, fs.Pipeline) and isinstance(model.net, fs.Network)


def test_columns_in_any_order_and_others_too(classifier, folder):
    new = people(80, seed=1)
    shuffled = new[["city", "member", "income", "height", "age"]].assign(more=1)
    shuffled.to_csv(folder / "shuffled.csv", index=False)
    arguments = ("class.safetensors", "shuffled.csv", "--out", "predictions.csv")
    done = command(folder, "predict", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "predictions.csv (80 rows)" in done.stdout
    found = answers((folder / "predictions.csv").read_text("utf-8"))
    expected = fs.load(folder / "class.safetensors").predict(new)
    assert [row["prediction"] for row in found] == expected.tolist()


def test_unseen_categories_are_zeros_and_one_line(classifier, folder):
    new = people(80, seed=1)
    new.loc[[3, 5, 7], "city"] = ["Bergen", "Como", "Bergen"]
    new.to_csv(folder / "unseen.csv", index=False)
    done = command(folder, "predict", "class.safetensors", "unseen.csv", "--proba")
    assert done.returncode == 0
    assert done.stderr == (
        "fastshallow: warning: categories that training did not see, taken as all zeros: "
        "column 'city': 'Bergen', 'Como'\n"
    )
    model = fs.load(folder / "class.safetensors")
    X = model.transform(people(80, seed=1))
    X[[3, 5, 7], 2:6] = 0
    row = answers(done.stdout)[3]
    assert [float(row[f"probability_{c}"]) for c in model.classes] == pytest.approx(
        model.net.predict_proba(X[3]).ravel().tolist(), rel=1e-5
    )


def test_evaluate(classifier, regressor, folder):
    new = people(80, seed=1)
    done = command(folder, "evaluate", "class.safetensors", "new.csv", "--target", "class")
    model = fs.load(folder / "class.safetensors")
    accuracy = accuracy_score(new["class"], model.predict(new))
    assert value(done.stdout, "Test accuracy") == f"{accuracy:.4f} (80 examples)"
    done = command(folder, "evaluate", "income.safetensors", "new.csv", "--json")
    r2 = r2_score(new["income"], fs.load(folder / "income.safetensors").predict(new))
    assert json.loads(done.stdout)["r2"] == pytest.approx(r2, abs=1e-9)


def test_info_and_diagnose(classifier, folder):
    done = command(folder, "info", "class.safetensors")
    assert "Network((8, 12, 3), hidden='relu', output='softmax'" in done.stdout
    assert value(done.stdout, "target") == "class: classes 'high', 'low', 'mid – é'"
    assert re.search(r"^city +text +Bern, Oslo, Paris, Rome, Lazio +4$", done.stdout, re.M)
    done = command(folder, "diagnose", "class.safetensors", "new.csv")
    assert done.returncode == 0
    assert re.search(r"^ +1  relu +12 ", done.stdout, re.M)
    model, new = fs.load(folder / "class.safetensors"), people(80, seed=1)
    Y = model.target.encode(read_values("class", new["class"]))
    assert done.stdout.rstrip("\n") == repr(fs.diagnose(model.net, model.transform(new).T, Y))


# Labels, missing values, formats -----------------------------------------------------------------


def test_missing_values_are_filled_with_medians(tmp_path):
    table = people()
    table.loc[:9, "age"] = np.nan
    table.loc[5:29, "city"] = None
    table.to_csv(tmp_path / "holes.csv", index=False)
    options = ("--target", "income", "--impute", "median", "--epochs", "5", "--test-size", "0")
    done = command(tmp_path, "train", "holes.csv", *options, "--quiet")
    assert done.returncode == 0, done.stderr
    model = fs.load(tmp_path / "model.safetensors")
    fill = {"age": table["age"].median(), "city": table["city"].mode()[0]}
    assert {c.name: c.fill for c in model.columns if c.name in fill} == fill
    assert np.array_equal(model.predict(table), model.predict(table.fillna(fill)))


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ([3, 1, 2], int),
        pytest.param(["01", "1", "x"], str, marks=pytest.mark.slow),
        pytest.param([True, False, False], bool, marks=pytest.mark.slow),
    ],
)
def test_labels_come_back_as_they_were(tmp_path, labels, kind):
    rng = np.random.default_rng(0)
    which = rng.integers(0, 3, 90)
    x = np.eye(3)[which] + rng.normal(0, 0.01, (90, 3))
    table = pd.DataFrame(x, columns=["a", "b", "c"]).assign(y=[labels[i] for i in which])
    table.to_csv(tmp_path / "t.csv", index=False)
    options = ("--target", "y", "--solver", "lbfgs", "--quiet")
    done = command(tmp_path, "train", "t.csv", *options)
    assert done.returncode == 0, done.stderr
    model = fs.load(tmp_path / "model.safetensors")
    assert {type(label) for label in model.target.classes} == {kind}
    assert model.predict(table).tolist() == table["y"].tolist()
    done = command(tmp_path, "evaluate", "model.safetensors", "t.csv")
    assert value(done.stdout, "Test accuracy").startswith("1.0000")


@pytest.mark.slow
def test_json_of_info_and_diagnose(classifier, folder):
    described = json.loads(command(folder, "info", "class.safetensors", "--json").stdout)
    assert described["columns"][2]["categories"] == ["Bern", "Oslo", "Paris", "Rome, Lazio"]
    done = command(folder, "diagnose", "class.safetensors", "new.csv", "--json")
    assert [layer["units"] for layer in json.loads(done.stdout)["layers"]] == [12, 3]


@pytest.mark.slow
def test_other_files(tmp_path):
    pytest.importorskip("pyarrow")
    table = people()
    table.to_parquet(tmp_path / "t.parquet")
    table.to_csv(tmp_path / "t.csv.gz", index=False)
    table.to_csv(tmp_path / "t.tsv", index=False, sep="\t")
    table.to_csv(tmp_path / "t.csv", index=False, sep=";", encoding="utf-8-sig")
    files = []
    for name in ("t.parquet", "t.csv.gz", "t.tsv", "t.csv"):
        done = command(tmp_path, "train", name, "--target", "class", *FITTED, "--quiet")
        assert done.returncode == 0, done.stderr
        files.append((tmp_path / "model.safetensors").read_bytes())
    assert len(set(files)) == 1


def test_rare_classes_are_trained_on(tmp_path):
    table = people(60)
    table.loc[11, "class"] = "only one"
    table.to_csv(tmp_path / "t.csv", index=False)
    options = ("--target", "class", "--epochs", "3", "--json", "--quiet")
    report = json.loads(command(tmp_path, "train", "t.csv", *options).stdout)
    assert report["data"]["held_out"] == 12
    rare = report["held_out"]["classes"][-1]
    assert (rare["class"], rare["examples"]) == ("only one", 0)


def width(path):
    """Return the width of a PNG."""
    return int.from_bytes(path.read_bytes()[16:20], "big")


def test_two_features_have_a_decision_boundary(classifier, folder, tmp_path):
    table = people()[["age", "height", "class"]]
    table.to_csv(tmp_path / "t.csv", index=False)
    done = command(
        *(tmp_path, "train", "t.csv", "--target", "class", "--epochs", "3", "--quiet"),
        *("--plot", "p.png", "--early-stopping", "--class-weight", "balanced"),
    )
    assert done.returncode == 0, done.stderr
    assert width(tmp_path / "p.png") == 2 * width(folder / "loss.png")


# Size, interruption, a terminal ------------------------------------------------------------------

PEAK = """
import sys
from fastshallow.__main__ import main
code = main(sys.argv[1:])
with open("/proc/self/status") as file:
    print(next(int(line.split()[1]) << 10 for line in file if "VmHWM" in line))
sys.exit(code)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the peak as Linux tells it")
def test_memory_of_200_000_rows(tmp_path):
    rng = np.random.default_rng(0)
    m = 200_000
    table = pd.DataFrame(rng.standard_normal((m, 8), "f4"), columns=list("abcdefgh"))
    table["city"] = rng.choice(["Oslo", "Paris", "Rome"], m)
    table["y"] = np.where(table.a + table.b > 0, "yes", "no")
    table.to_csv(tmp_path / "big.csv", index=False)
    table[:200].to_csv(tmp_path / "small.csv", index=False)
    peaks = []
    for name in ("small.csv", "big.csv"):
        done = subprocess.run(
            *([sys.executable, "-c", PEAK, "train", name, "--target", "y", "--epochs", "2"],),
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout.split()[-1]))
    # a hidden layer of all rows alone would be 80 MB
    assert peaks[1] - peaks[0] < 75e6
    assert float(value(done.stdout, "Held-out accuracy").split()[0]) > 0.97


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("solver", ["adam", pytest.param("lbfgs", marks=pytest.mark.slow)])
def test_ctrl_c_saves_the_last_whole_state(tmp_path, solver):
    rng = np.random.default_rng(0)
    m = 30_000
    X = rng.standard_normal((m, 5)).astype("f4")
    y = np.sin(3 * X[:, 0]) * X[:, 1] + rng.normal(0, 1, m)
    table = pd.DataFrame(X, columns=list("abcde")).assign(y=y)
    table.to_csv(tmp_path / "t.csv", index=False)
    size = () if solver == "lbfgs" else ("--batch-size", str(m))  # a step is an epoch
    options = ("--target", "y", "--solver", solver, "--epochs", "100000", "--hidden", "300")
    arguments = ("train", "t.csv", *options, "--test-size", "0", "--json", *size)
    done = interrupted(tmp_path, r" [2-9]\d*/100000", *arguments)  # epochs have been taken
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert "interrupted: model.safetensors holds the last whole state" in done.stderr
    training = json.loads(done.stdout)["training"]
    assert training["stopped"] == "interrupted" and training["epochs"] >= 2
    model = fs.load(tmp_path / "model.safetensors")
    net = fs.ShallowRegressor(
        **{"hidden_layer_sizes": 300, "solver": solver, "max_iter": training["epochs"]},
        batch_size=m if solver == "adam" else "auto",
        random_state=0,
    )
    X = model.transform(pd.read_csv(tmp_path / "t.csv"))
    y = (y - model.target.mean) / model.target.scale
    with pytest.warns():
        net.fit(X, y)
    assert np.abs(net.net_.params - model.net.params).max() < 1e-5


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals")
def test_terminal_shows_the_progress_bar(folder):
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))  # 100 columns
    process = subprocess.Popen(
        [sys.executable, "-m", "fastshallow", "train", "people.csv", "--target", "class"],
        cwd=folder,
        env=environment() | {"TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        close_fds=True,
    )
    os.close(theirs)
    seen, until = b"", time.monotonic() + 120
    try:
        while time.monotonic() < until:
            try:
                more = os.read(ours, 4096)
            except OSError:  # Linux, when the other end is closed
                break
            if not more:
                break
            seen += more
        process.wait(timeout=60)
    finally:
        process.kill()
        os.close(ours)
    screen = seen.decode()
    assert process.returncode == 0, screen
    bars = re.findall(r"\rtraining: +\d+%\|([^|\r]*)\| [1-9]\d*/200 \[[^\r]*cost [\d.]+", screen)
    assert bars and "█" in bars[-1], screen
    assert "Held-out accuracy" in screen and "Confusion matrix" in screen
    assert "Traceback" not in screen


def test_scores_of_a_case_by_hand():
    P = np.array([[0.8, 0.2], [0.4, 0.6], [0.7, 0.3], [0.1, 0.9]])
    scores = classification_scores(np.array([0, 0, 1, 1]), P, ["a", "b"])
    assert scores["accuracy"] == 0.5
    assert scores["log_loss"] == pytest.approx(-np.log([0.8, 0.4, 0.3, 0.9]).mean())
    assert scores["confusion"] == [[1, 1], [1, 1]]
    assert [c["precision"] for c in scores["classes"]] == [0.5, 0.5]
