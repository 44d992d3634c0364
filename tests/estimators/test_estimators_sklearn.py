"""The estimators within scikit-learn: its checks, its own tests of MLP, and what it does with them.

Where random_state is None they draw from NumPy's global generator, as scikit-learn's do; a fixture
puts that back.
"""

from __future__ import annotations

import copy
import importlib.util
import inspect
import io
import pickle
import sys
import warnings

import joblib
import numpy as np
import pytest
import sklearn
import sklearn.neural_network
from peer import PEERS, QUICK, data, difference, quietly
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingRegressor, VotingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

import fastshallow as fs

CLASSIFIER, REGRESSOR = fs.ShallowClassifier, fs.ShallowRegressor

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning"),
]


@pytest.fixture(autouse=True)
def global_generator():
    """Put NumPy's global generator back after a test."""
    state = np.random.get_state()  # noqa: NPY002
    yield
    np.random.set_state(state)  # noqa: NPY002


# scikit-learn's checks -----------------------------------------------------------------------


@parametrize_with_checks(
    [
        CLASSIFIER(),
        CLASSIFIER(solver="lbfgs"),
        CLASSIFIER(solver="sgd"),
        REGRESSOR(),
        REGRESSOR(solver="lbfgs"),
    ]
)
def test_checks(estimator, check):
    with warnings.catch_warnings():
        # a check of column names asks for a FutureWarning, others for none
        warnings.simplefilter("default")
        warnings.simplefilter("ignore", ConvergenceWarning)
        check(estimator)


def failures(estimator):
    """Return the names of the checks that an estimator fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, on_fail=None)
    return {result["check_name"] for result in results if result["status"] == "failed"}


OTHERS = (
    {"solver": "sgd"},
    {"solver": "sgd", "learning_rate": "adaptive"},
    {"solver": "sgd", "learning_rate": "invscaling", "warm_start": True},
    {"solver": "sgd", "nesterovs_momentum": False, "early_stopping": True},
    {"early_stopping": True, "validation_fraction": 0.3},
    {"activation": "tanh"},
    {"activation": "logistic", "solver": "lbfgs"},
    {"activation": "identity"},
    {"hidden_layer_sizes": ()},
    {"hidden_layer_sizes": (20, 10)},
    {"solver": "lbfgs", "hidden_layer_sizes": (10, 5, 3)},
    {"shuffle": False, "batch_size": 7},
    {"alpha": 0.0, "batch_size": 1},
    {"n_iter_no_change": 1, "tol": 0.1},
    {"max_iter": 1},
    {"warm_start": True},
    {"solver": "lbfgs", "warm_start": True},
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ours", "arguments"),
    [
        *((ours, arguments) for ours in PEERS for arguments in OTHERS),
        (REGRESSOR, {"loss": "poisson"}),
        (REGRESSOR, {"loss": "poisson", "solver": "lbfgs"}),
    ],
    ids=str,
)
def test_no_check_fails_where_theirs_passes(ours, arguments):
    theirs = PEERS[ours](**arguments)
    # theirs has no class weights; with such sample weights it is the same model, and as far off
    for name in failures(ours(**arguments)) - {"check_class_weight_classifiers"}:
        # some are for one kind of X only, as theirs takes sparse X
        with warnings.catch_warnings(), pytest.raises(Exception):  # noqa: B017
            warnings.simplefilter("ignore")
            getattr(estimator_checks, name)(name, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("ours", PEERS)
@pytest.mark.parametrize(
    "arguments",
    [{"activation": ["leaky_relu"]}, {"init": "he"}, {"n_threads": 2}, {"restore_best": False}],
    ids=str,
)
def test_no_check_fails_with_what_is_new(ours, arguments):
    assert not failures(ours(**arguments))


# scikit-learn's own tests --------------------------------------------------------------------

#: Tests of test_mlp.py that are left out.
LEFT_OUT = {
    "test_gradient": "calls a private method, _loss_grad_lbfgs",
    "test_sparse_matrices": "sparse X is refused",
}


def load_test_mlp():
    """Return scikit-learn's module of tests, with our estimators in the place of its own."""
    path = "sklearn.neural_network.tests.test_mlp"
    source = importlib.util.find_spec(path)
    module = importlib.util.module_from_spec(source)
    theirs = {name: getattr(sklearn.neural_network, name) for name in MLP}
    try:
        for name, ours in MLP.items():
            setattr(sklearn.neural_network, name, ours)
        source.loader.exec_module(module)
    finally:
        for name, their in theirs.items():
            setattr(sklearn.neural_network, name, their)
    return module


MLP = {"MLPClassifier": CLASSIFIER, "MLPRegressor": REGRESSOR}
test_mlp = load_test_mlp()


@pytest.fixture
def global_random_seed():
    """What scikit-learn's own configuration of pytest supplies."""
    return 42


class TestMLP:
    """Every test of test_mlp.py but those left out."""


for _name, _test in vars(test_mlp).items():
    if _name.startswith("test_") and inspect.isfunction(_test) and _name not in LEFT_OUT:
        # warnings are errors here, and not there
        _marked = pytest.mark.filterwarnings("default")(_test)
        setattr(TestMLP, _name, staticmethod(_marked))
del test_mlp  # pytest would take it for a test


def test_what_is_left_out_is_there():
    tests = {name for name in vars(TestMLP) if name.startswith("test_")}
    # 1.7 has 40, later versions have more
    assert len(tests) > (40 if np.lib.NumpyVersion(sklearn.__version__) >= "1.8.0" else 39)
    assert not tests & set(LEFT_OUT)
    assert hasattr(load_test_mlp(), "test_gradient")
    assert load_test_mlp().MLPClassifier is CLASSIFIER


# What scikit-learn does with them ------------------------------------------------------------


@pytest.mark.parametrize("ours", PEERS)
def test_signature(ours):
    wanted = inspect.signature(PEERS[ours]).parameters
    found = inspect.signature(ours).parameters
    for (name, their), our in zip(wanted.items(), found.values(), strict=False):
        assert (name, their.kind, their.default) == (our.name, our.kind, our.default)
    assert all(p.kind is p.KEYWORD_ONLY for p in list(found.values())[len(wanted) :])
    assert (is_classifier if ours is CLASSIFIER else is_regressor)(ours())
    for method in ("fit", "partial_fit", "predict", "score"):
        theirs = inspect.signature(getattr(PEERS[ours], method)).parameters
        assert list(inspect.signature(getattr(ours, method)).parameters)[: len(theirs)] == list(
            theirs
        )


@pytest.mark.parametrize("ours", PEERS)
def test_attributes(ours):
    X, y = data("iris")
    theirs = quietly(PEERS[ours](**QUICK).fit, X, y)
    wanted = {name for name in vars(theirs) if name.endswith("_") and name[0] != "_"}
    mine = quietly(ours(**QUICK).fit, X, y)
    assert {name for name in wanted if not hasattr(mine, name)} == set()


def copies():
    def through_joblib(estimator):
        file = io.BytesIO()
        joblib.dump(estimator, file)
        file.seek(0)
        return joblib.load(file)

    return [
        lambda estimator: pickle.loads(pickle.dumps(estimator)),
        copy.deepcopy,
        copy.copy,
        through_joblib,
    ]


@pytest.mark.parametrize("make", copies())
@pytest.mark.parametrize("ours", PEERS)
def test_copies(ours, make):
    X, y = data("iris")
    estimator = ours(**QUICK)
    assert not hasattr(make(estimator), "coefs_")
    estimator.fit(X, y)
    other = make(estimator)
    assert difference(other, estimator) == 0
    assert np.array_equal(other.predict(X), estimator.predict(X))
    # what is copied goes on as the original does, and its arrays are views of its network
    if make is not copy.copy:
        other.partial_fit(X, y)
        assert difference(other, estimator) > 0
        estimator.partial_fit(X, y)
        assert difference(other, estimator) == 0
    other.coefs_[0][0, 0] = 7
    assert other.net_.W1[0, 0] == 7


def test_poisson_says_that_targets_are_positive():
    for loss in ("squared_error", "poisson"):
        tags = REGRESSOR(loss=loss).__sklearn_tags__()
        assert tags.target_tags.positive_only == (loss == "poisson")


@pytest.mark.parametrize(
    "check", ["check_classifier_data_not_an_array", "check_sample_weights_not_an_array"]
)
def test_balanced_classes_of_what_is_no_array(check):
    getattr(estimator_checks, check)(check, CLASSIFIER(class_weight="balanced"))


def test_clone():
    X, y = data("iris")
    estimator = CLASSIFIER(**QUICK, callbacks=[fs.EarlyStopping()], class_weight="balanced")
    other = clone(estimator.fit(X, y))
    assert not hasattr(other, "net_")
    assert difference(other.fit(X, y), estimator) == 0


def test_grid_search():
    X, y = data("iris")
    search = GridSearchCV(
        make_pipeline(StandardScaler(), CLASSIFIER(**QUICK)),
        {"shallowclassifier__alpha": [1e-4, 1.0], "shallowclassifier__solver": ["adam", "lbfgs"]},
        n_jobs=2,
        cv=2,
    )
    search.fit(X, y)
    assert search.best_params_["shallowclassifier__solver"] == "lbfgs"
    assert search.best_score_ > 0.9
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_calibration():
    X, y = data("iris")
    model = CalibratedClassifierCV(CLASSIFIER(**QUICK), cv=2).fit(X, y)
    assert np.allclose(model.predict_proba(X).sum(axis=1), 1)


def test_ensembles():
    X, y = data("iris")
    bagging = BaggingClassifier(CLASSIFIER(**QUICK), n_estimators=3, random_state=0).fit(X, y)
    assert bagging.score(X, y) > 0.3
    voting = VotingClassifier(
        [("a", CLASSIFIER(**QUICK)), ("b", CLASSIFIER(**QUICK))], voting="soft"
    )
    assert voting.fit(X, y).predict_proba(X).shape == (150, 3)
    stacking = StackingRegressor([("a", REGRESSOR(**QUICK))], REGRESSOR(**QUICK), cv=2)
    assert stacking.fit(X, y).predict(X).shape == (150,)


def test_permutation_importance():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3))
    model = REGRESSOR(solver="lbfgs", max_iter=100, random_state=0).fit(X, X[:, 1] ** 2)
    found = permutation_importance(model, X, X[:, 1] ** 2, n_repeats=3, random_state=0)
    assert found.importances_mean.argmax() == 1


def test_metadata_routing():
    X, y = data("iris")
    weight = np.linspace(0, 1, len(X))
    with sklearn.config_context(enable_metadata_routing=True):
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="sample_weight"):
            cross_val_score(CLASSIFIER(**QUICK), X, y, params={"sample_weight": weight}, cv=2)
        model = CLASSIFIER(**QUICK)
        model.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scores = cross_val_score(model, X, y, params={"sample_weight": weight}, cv=2)
        assert scores.shape == (2,)
        search = GridSearchCV(model, {"alpha": [1e-4]}, cv=2)
        search.fit(X, y, sample_weight=weight)
    alone = CLASSIFIER(**QUICK).fit(X, y, sample_weight=weight)
    assert difference(search.best_estimator_, alone) == 0


@pytest.mark.parametrize("ours", PEERS)
def test_representation(ours):
    assert repr(ours(alpha=1.0)) == f"{ours.__name__}(alpha=1.0)"
    assert ours.__name__ in ours()._repr_html_()
    X, y = data("iris")
    fitted = make_pipeline(StandardScaler(), ours(**QUICK)).fit(X, y)
    assert ours.__name__ in fitted._repr_html_()


def test_frames():
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    X, y = data("iris")
    names = ["a", "b", "c", "d"]
    wanted = CLASSIFIER(**QUICK).fit(X, y)
    for frame, target in (
        (pandas.DataFrame(X, columns=names), pandas.Series(y)),
        (polars.DataFrame(X, schema=names), polars.Series(y)),
    ):
        model = CLASSIFIER(**QUICK).fit(frame, target)
        assert difference(model, wanted) == 0
        assert model.feature_names_in_.tolist() == names
        assert np.array_equal(model.predict_proba(frame[:3]), wanted.predict_proba(X[:3]))
        with pytest.warns(UserWarning, match="X does not have valid feature names"):
            model.predict(X[:1])
        with pytest.raises(ValueError, match="feature names"):
            model.predict(frame[["b", "a", "c", "d"]][:3])


def test_import_of_the_estimators_alone():
    # the patch above must not be what makes the module importable
    assert CLASSIFIER.__module__ == "fastshallow.estimators.classifier"
    assert sys.modules["fastshallow.estimators.classifier"].ShallowClassifier is CLASSIFIER
