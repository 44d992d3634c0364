"""The same answers, or the same refusals, whatever the user has told `np.seterr`.

Values that are tiny, subnormal, huge or not finite in one dtype or the other go through the public
surface twice: as NumPy starts, and where NumPy raises for all that its arithmetic can report.
"""

from __future__ import annotations

import functools
import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure

import fastshallow as fs
from fastshallow.tables.columns import Column, Target, read_values
from fastshallow.tables.scores import classification_scores
from fastshallow.training.schedules import schedule_of

DTYPES = ("float32", "float64")
M = 12

#: Numbers by what they are in float32: normal, subnormal, too small, large, too large.
KINDS = {
    "plain": (0.5, -1.5, 3.0, 0.0),
    "subnormal": (1e-40, -1e-42, 1e-45, 1.0),
    "too small": (5e-324, -1e-310, 1e-60, 1e-46),
    "large": (1e19, -3e38, 1e30, 1.0),
    "too large": (1e300, -1.7e308, 1e39, 1.0),
    "all": (1e-40, 5e-324, 1e300, -3e38),
}


def drawn(kind, shape, seed=0):
    """Return float64 numbers of a kind."""
    return np.random.default_rng(seed).choice(KINDS[kind], shape)


def bits(value):
    """Return what tells two results apart."""
    if isinstance(value, (list, tuple)):
        return [bits(item) for item in value]
    if isinstance(value, dict):
        return {name: bits(item) for name, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic, float)):
        array = np.asarray(value)
        if array.dtype.kind == "f":  # NaN has many bits, of which NumPy promises none
            return (
                array.dtype.str,
                np.isnan(array).tolist(),
                np.where(np.isnan(array), 0, array).tobytes(),
            )
        return array.dtype.str, array.tolist()
    return repr(value)


def outcome(call):
    """Return the bits of a result, or the error, and the warnings before it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = bits(call())
        except (ValueError, TypeError, fs.DivergenceError) as error:
            found = type(error).__name__, str(error)
    messages = [str(warning.message) for warning in caught]
    assert not [text for text in messages if "encountered in" in text], messages
    return found, messages


def check(call):
    """Check that a call does the same where NumPy raises."""
    usual = outcome(call)
    with np.errstate(all="raise"):
        assert outcome(call) == usual


def network(output, dtype, hidden="tanh", n_y=2, seed=0):
    """Return a small network of two inputs."""
    return fs.Network((2, 4, n_y), hidden, output, dtype).init(seed=seed)


def wanted(output, kind, n_y=2):
    """Return targets, (n_y, M), of a kind where the loss takes any number."""
    if output in ("sigmoid", "softmax"):
        return np.eye(n_y)[np.arange(M) % n_y].T
    Y = drawn(kind, (n_y, M), 1)
    return np.abs(Y) if output == "exp" else Y


PAIRS = [(x, n) for x in (*DTYPES, "float16", "int64") for n in DTYPES]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("x_dtype", "dtype"), PAIRS)
def test_networks(x_dtype, dtype, kind):
    with np.errstate(all="ignore"):
        X = drawn(kind, (2, M)).astype(x_dtype)
    weight = np.abs(drawn(kind, M, 2))
    for output in ("sigmoid", "softmax", "linear", "exp"):
        net, Y = network(output, dtype), wanted(output, kind)
        calls = {
            "forward": lambda net=net: net.forward(X).A,
            "predict": lambda net=net: net.predict(X),
            "few": lambda net=net: net.predict(X[:, :1]),
            "into": lambda net=net: net.predict(X, out=np.empty_like(net.predict(X), "f4")),
            "threshold": lambda net=net: net.predict(X, threshold=abs(KINDS[kind][0])),
            "cost": lambda net=net, Y=Y: net.cost(X, Y, alpha=abs(KINDS[kind][0])),
            "weights": lambda net=net, Y=Y: net.cost_and_grad(X, Y, weight)[1].vector,
            "score": lambda net=net, Y=Y: net.score(X, Y, weight),
            "diagnose": lambda net=net, Y=Y: [vars(row) for row in fs.diagnose(net, X, Y).rows],
        }
        for call in calls.values():
            check(call)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_parameters(dtype, kind):
    value = abs(KINDS[kind][0])

    def assigned():
        net = network("linear", dtype)
        net.W1 = drawn(kind, (4, 2))
        net.params = drawn(kind, net.params.size)
        return net.params

    def fitted():
        model = fs.ShallowRegressor(max_iter=1, tol=0, random_state=0, dtype=dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(np.ones((4, 1)), np.arange(4.0))
        model.coefs_[0] = drawn(kind, model.coefs_[0].shape)
        return model.coefs_[0]

    for call in (assigned, fitted):
        check(call)
    for method in ("course", "glorot", "he"):
        check(lambda method=method: network("linear", dtype).init(method, value, 0).params)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("output", ["sigmoid", "linear", "exp"])
def test_gradient_check(output, kind):
    X, Y = drawn(kind, (2, M)), wanted(output, kind, 1)
    check(lambda: fs.gradient_check(network(output, "float64", n_y=1), X, Y))


OPTIMIZERS = {
    "gradient descent": fs.GradientDescent,
    "sgd": fs.SGD,
    "adam": fs.Adam,
    "adamw": fs.AdamW,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_training(dtype, kind, tmp_path):
    X, weight = drawn(kind, (2, M)), np.abs(drawn(kind, M, 2))
    rate = abs(KINDS[kind][0])

    def trained(output, optimizer, **options):
        net = network(output, dtype)
        history = fs.train(net, X, wanted(output, kind), optimizer, 3, progress=False, **options)
        return net.params, history.cost, history.learning_rate, history.validation_score

    def descended():
        net = network("linear", dtype)
        cost = fs.gradient_descent(net, X, wanted("linear", kind), rate, 3).cost
        return net.params, cost

    def resumed():
        path = tmp_path / "checkpoint.safetensors"
        path.unlink(missing_ok=True)
        options = {"checkpoint": path, "resume": True}
        return trained("sigmoid", fs.LBFGS(), **options), trained("sigmoid", fs.LBFGS(), **options)

    check(descended)
    check(resumed)
    for output in ("softmax", "linear"):
        for make in OPTIMIZERS.values():
            check(functools.partial(trained, output, make(rate)))
        check(functools.partial(trained, output, fs.LBFGS()))
        check(functools.partial(trained, output, fs.Adam(), batch_size=5, validation=0.25))
        check(functools.partial(trained, output, fs.SGD(), batch_size=5, sample_weight=weight))


def test_schedules():
    steps = np.arange(2000)
    for name in ("constant", "inverse_scaling", "cosine", "step"):
        for learning_rate in (1e-310, 1e-5, 1e300):

            def rates(name=name, learning_rate=learning_rate):
                schedule = schedule_of(name)
                schedule.start(learning_rate, 1, 2000)
                return schedule.rates(steps)

            check(rates)
    for factor in (1e-3, 1e3):
        schedule = fs.StepDecay(1, factor)
        schedule.start(0.1, 1, 2000)
        check(functools.partial(schedule.rates, steps))


MODELS = {
    "adam": {},
    "sgd": {"solver": "sgd", "learning_rate": "adaptive"},
    "lbfgs": {"solver": "lbfgs"},
    "stopping": {"early_stopping": True, "validation_fraction": 0.3},
    "float32": {"dtype": "float32"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
def test_estimators(options, kind):
    X, y = drawn(kind, (M, 2)), drawn(kind, M, 1)
    settings = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0, **options}
    several = np.arange(M) % 3
    with np.errstate(all="ignore"):
        short = X[:1].astype("f4")

    def classified(labels, **more):
        model = fs.ShallowClassifier(**{**settings, **more}).fit(X, labels)
        return (
            *(model.predict(X), model.predict_proba(X), model.predict_log_proba(X)),
            *(model.score(X, labels), model.predict(X[:1]), model.loss_curve_),
        )

    def regressed(numbers, **more):
        model = fs.ShallowRegressor(**{**settings, **more}).fit(X, numbers)
        return model.predict(X), model.predict(short), model.loss_curve_

    check(lambda: classified(several))
    check(lambda: classified(several > 0))
    check(lambda: classified(np.eye(3, dtype=int)[several]))
    check(lambda: classified(several, output_activation="logistic"))
    check(lambda: classified(several, class_weight={0: 1e-300, 1: 1e300, 2: 1.0}))
    check(lambda: regressed(y))
    check(lambda: regressed(np.abs(y), loss="poisson"))
    check(lambda: regressed(np.stack([y, y[::-1]], axis=1)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_tables(dtype, kind, tmp_path):
    numbers, y = drawn(kind, M), drawn(kind, M, 1)
    table = {"a": numbers, "b": ["x", "y"] * (M // 2)}
    with np.errstate(all="ignore"):
        few = {"a": numbers[::-1] * 0.5, "b": ["x"] * M}

    def encoded():
        columns = [Column.of(read_values(name, values), True) for name, values in table.items()]
        found = read_values("y", y)
        target = Target.of(found, "regression").standardised(found)
        net = fs.Network((3, 4, 1), "tanh", "linear", dtype).init(seed=0)
        model = fs.Pipeline(net, columns, target)
        fs.save(model, tmp_path / "model.safetensors")
        again = fs.load(tmp_path / "model.safetensors")
        return target.encode(found), again.predict(table), again.predict(few), again.transform(few)

    check(encoded)
    column = Column("a", "number", 1e-300, 1e-10)
    found = read_values("a", [1e300, *numbers])
    check(lambda: column.into(np.zeros((M + 1, 1), dtype), found))
    check(lambda: Target("y", "regression", (), 0.0, 1e-300).encode(found))
    check(lambda: read_values("a", list(numbers)).values)
    check(lambda: classification_scores(np.arange(M) % 2, np.abs(drawn(kind, (M, 2))), [0, 1]))


def test_plots():
    for kind in ("plain", "subnormal"):
        check(
            lambda kind=kind: len(
                fs.plot_cost(np.abs(drawn(kind, 9)), ax=Figure().subplots()).lines
            )
        )
