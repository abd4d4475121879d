"""Estimators: scikit-learn's own checks, and what they can't know."""

import copy
import importlib.util
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from test_readme import python_program

import graphc
import graphc.tensor as T
from graphc import nn, optim
from graphc.core.errors import GraphError
from graphc.data.problems import MissingPackageError

sklearn = pytest.importorskip("sklearn", minversion="1.6")

from sklearn.base import clone  # noqa: E402
from sklearn.datasets import load_iris, make_regression  # noqa: E402
from sklearn.decomposition import PCA  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402

from graphc.estimators import (  # noqa: E402
    GraphcClassifier,
    GraphcRegressor,
    GraphcTransformer,
    needed,
)

TESTS = Path(__file__).resolve().parent
PAGE = TESTS.parent / "docs" / "estimators.md"
KINDS = (GraphcClassifier, GraphcRegressor, GraphcTransformer)
X, Y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)


def tower(inputs, outputs, seed, units=6, rate=0.2):
    """A model with everything that is hard to pickle: a lambda, running averages, a stream."""
    return nn.Sequential(
        nn.Dense(inputs, units, lambda z: T.tanh(z), seed=seed), nn.BatchNorm(units),
        nn.Dropout(rate, seed=seed + 1), nn.Dense(units, outputs, seed=seed + 2),
    )  # fmt: skip


def quick(kind=GraphcClassifier, *given, **settings):
    settings = {"epochs": 5, "learning_rate": 0.02, "random_state": 0, **settings}
    return kind(*given, **settings)


def same(a, b):
    return a.dtype == b.dtype and a.tobytes() == b.tobytes()


# --- scikit-learn's checks ----------------------------------------------------------------------


def failures(estimator, monkeypatch):
    """The checks that did not pass, and how many there were."""
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # or a check that applies is skipped
    if sklearn.__version__.startswith("1.6."):
        check_estimator(estimator)  # raises at the first failure
        return [], None
    found = check_estimator(estimator, on_fail=None, on_skip=None)
    bad = [(c["check_name"], c["status"], c["exception"]) for c in found if c["status"] != "passed"]
    if importlib.util.find_spec("pandas") is None:
        bad = [c for c in bad if "pandas is not installed" not in str(c[2])]
    return bad, len(found)


@pytest.mark.parametrize("kind", KINDS)
def test_scikit_learn_s_checks_pass_and_none_is_skipped(kind, monkeypatch):
    linear = {"hidden": (), "epochs": 60, "learning_rate": 0.1}  # quick; as constructed: below
    bad, count = failures(kind(**linear), monkeypatch)
    assert bad == [] and (count is None or count >= 45)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"mode": "numpy", "epochs": 40, "learning_rate": 0.02}])
@pytest.mark.parametrize("kind", KINDS)
def test_scikit_learn_s_checks_pass_as_constructed_and_interpreted(kind, settings, monkeypatch):
    assert failures(kind(**settings), monkeypatch)[0] == []


# --- parameters ---------------------------------------------------------------------------------


def test_options_are_parameters_and_nothing_is_changed_in_place():
    given = {"units": 3}
    model = quick(GraphcClassifier, tower, options=given)
    assert model.get_params()["options__units"] == 3 and model.options is given
    changed = clone(model).set_params(options__units=9, options__rate=0.0, epochs=2)
    assert changed.options == {"units": 9, "rate": 0.0} and given == {"units": 3}
    changed.fit(X, Y)
    assert changed.n_iter_ == 2 and changed.model_[0].units == 9
    assert quick().set_params(options__dropout=0.5).options == {"dropout": 0.5}
    with pytest.raises(ValueError, match="epoch"):
        changed.set_params(epoch=3)


def test_pipelines_searches_and_processes():
    network = quick(GraphcClassifier, tower, epochs=10, mode="numpy")  # natively in the page
    pipeline = make_pipeline(StandardScaler(), network)
    grid = {
        "graphcclassifier__options__units": [2, 8], "graphcclassifier__learning_rate": [1e-5, 0.05]
    }  # fmt: skip
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2, error_score="raise").fit(X, Y)
    assert search.best_params_["graphcclassifier__learning_rate"] == 0.05
    assert search.best_estimator_[-1].classes_.tolist() == [0, 1, 2]
    alone = cross_val_score(pipeline, X, Y, cv=2)
    assert (alone == cross_val_score(pipeline, X, Y, cv=2, n_jobs=2)).all()


def test_equal_seeds_give_equal_bits_and_others_do_not():
    model = quick(GraphcClassifier, tower, validation_fraction=0.2)
    first = model.fit(X, Y).predict_proba(X)
    assert same(first, clone(model).fit(X, Y).predict_proba(X))
    assert same(first, model.fit(X, Y).predict_proba(X))
    assert not same(first, model.set_params(random_state=1).fit(X, Y).predict_proba(X))
    random = [quick(random_state=np.random.RandomState(3)).fit(X, Y) for _ in range(2)]
    assert same(*(m.predict_proba(X) for m in random))
    free = [quick(random_state=None).fit(X, Y).predict_proba(X) for _ in range(2)]
    assert not same(*free)


# --- pickles ------------------------------------------------------------------------------------


def test_a_pickle_predicts_the_same_bits_in_a_new_process_and_goes_on_from_there(tmp_path):
    model = quick(GraphcClassifier, tower).fit(X, Y)
    before = model.predict_proba(X)
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model))
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    code = (
        "import pickle, numpy as np\n"
        "model = pickle.load(open('model.pickle', 'rb'))\n"
        "x, y = np.load('x.npy'), np.load('y.npy')\n"
        "np.save('before.npy', model.predict_proba(x))\n"
        "model = pickle.loads(pickle.dumps(model))\n"
        "np.save('after.npy', model.partial_fit(x, y).predict_proba(x))\n"
    )
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=120, text=True,
                         capture_output=True, env={**os.environ, "PYTHONPATH": paths})  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert same(before, np.load(tmp_path / "before.npy"))
    copied = copy.deepcopy(model)
    after = model.partial_fit(X, Y).predict_proba(X)
    assert same(after, np.load(tmp_path / "after.npy")) and not same(after, before)
    assert same(copied.predict_proba(X), before) and model.n_iter_ == 6


def test_a_pickle_of_another_model_is_refused():
    state = quick(GraphcClassifier, tower, options={"units": 4}).fit(X, Y).__getstate__()
    assert "model_" not in state and "task_" not in state
    broken = GraphcClassifier.__new__(GraphcClassifier)
    with pytest.raises(GraphError, match="not the values of this model"):
        broken.__setstate__({**state, "options": {"units": 5}})


# --- data ---------------------------------------------------------------------------------------


def test_floats_keep_their_precision_and_sparse_rows_are_rows():
    model = quick().fit(X, Y)
    assert model.predict_proba(X).dtype == "float64" == model.model_[0].weights.dtype
    single = quick().fit(X.astype("float32"), Y)
    assert single.predict_proba(X).dtype == "float32" == single.model_[0].weights.dtype
    np.testing.assert_allclose(single.predict_proba(X), model.predict_proba(X), atol=1e-4)
    for form in (scipy.sparse.csr_matrix, scipy.sparse.coo_array):
        sparse = quick().fit(form(X), Y)
        assert same(sparse.predict_proba(form(X)), model.predict_proba(X))
    assert graphc.config.floatX == "float64"


@pytest.mark.parametrize("names", [["b", "a", "c"], [-7, 3, 1000], [True, False]])
def test_classes_of_any_kind(names):
    rows = Y < len(names)
    x, y = X[rows], np.array(names)[Y[rows]]
    model = quick(epochs=40).fit(x, y)
    assert model.classes_.tolist() == sorted(names) and model.score(x, y) > 0.8
    p, scores = model.predict_proba(x), model.decision_function(x)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(x)), p)
    if len(names) == 2:
        assert scores.shape == (len(x),) and ((scores > 0) == (p[:, 1] > 0.5)).all()
    else:
        assert (scores.argmax(axis=1) == p.argmax(axis=1)).all()
    assert (model.predict(x) == model.classes_[p.argmax(axis=1)]).all()


def test_weights_stand_for_repeated_rows_and_classes():
    weights = np.where(Y == 1, 3.0, Y)  # class 0 not at all
    rows = np.repeat(np.arange(150), weights.astype(int))
    weighted = quick(batch_size=1000, epochs=20, class_weight={0: 9, 1: 1, 2: 1})
    weighted.fit(X, Y, sample_weight=weights)
    repeated = quick(batch_size=1000, epochs=20).fit(
        np.r_[X[rows], X[:1]], np.r_[Y[rows], 0], np.r_[np.ones(len(rows)), 0]
    )
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-9)
    assert weighted.history_["accuracy"][-1] == pytest.approx(
        np.average(weighted.predict(X) == Y, weights=weights), abs=0.02
    )
    balanced = quick(class_weight="balanced", epochs=40).fit(X[:60], Y[:60])
    by_hand = quick(epochs=40).fit(X[:60], Y[:60], np.where(Y[:60] == 0, 0.6, 3.0))
    np.testing.assert_allclose(balanced.predict_proba(X), by_hand.predict_proba(X), rtol=1e-9)


def test_names_of_columns_are_kept():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=list("abcd"))
    coder = quick(GraphcTransformer).fit(table)
    assert coder.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        coder.transform(table[list("dcba")])
    made = coder.set_output(transform="pandas").transform(table)
    assert list(made.columns) == ["graphctransformer0", "graphctransformer1"]


# --- training -----------------------------------------------------------------------------------


def test_training_ends_early_with_the_values_of_the_best_epoch():
    model = quick(validation_fraction=0.3, patience=3, epochs=500, learning_rate=0.05)
    model.fit(X, Y)
    history = model.history_
    assert 3 < model.n_iter_ == len(history.epochs) < 500 and history.best == model.n_iter_ - 3
    assert "no better for 3 epochs" in history.stopped
    assert min(history["validation loss"]) == history["validation loss"][history.best - 1]


def test_the_penalty_is_that_of_the_formula_and_holds_weights_small():
    plain, held = quick(epochs=60).fit(X, Y), quick(epochs=60, penalty=0.5).fit(X, Y)
    weights = [layer.weights.get_value() for layer in held.model_]
    assert sum((w**2).sum() for w in weights) < 0.5 * sum(
        (layer.weights.get_value() ** 2).sum() for layer in plain.model_
    )
    again = quick(epochs=1, penalty=0.5, learning_rate=1e-12, batch_size=150).fit(X, Y)
    p = again.predict_proba(X)[np.arange(150), Y]
    squares = sum((layer.weights.get_value() ** 2).sum() for layer in again.model_)
    assert again.history_["loss"][0] == pytest.approx(-np.log(p).mean() + 0.25 * squares)


def test_partial_fit_learns_from_parts():
    model = quick(epochs=1)
    for epoch in range(30):
        for part in (slice(0, None, 2), slice(1, None, 2)):
            model.partial_fit(X[part], Y[part], classes=[0, 1, 2] if not epoch else None)
    assert model.score(X, Y) > 0.9 and model.n_iter_ == 60
    assert model.history_["steps"] == list(range(1, 61))


def test_losses_and_optimisers_of_one_s_own():
    x, y = make_regression(80, 5, random_state=0)
    y /= y.std()
    y[0] = 1000.0
    options = {"epochs": 150, "optimiser": optim.nesterov, "hidden": (), "learning_rate": 0.02}
    robust = quick(GraphcRegressor, loss=nn.losses.huber, **options).fit(x, y)
    squared = quick(GraphcRegressor, **options).fit(x, y)
    assert robust.score(x[1:], y[1:]) > 0.95 > squared.score(x[1:], y[1:])
    hinge = quick(loss=nn.losses.multiclass_hinge, epochs=60, optimiser="sgd",
                  learning_rate=lambda step: 0.2 / (1 + 0.01 * step)).fit(X, Y)  # fmt: skip
    assert hinge.score(X, Y) > 0.85 and hinge.history_["rate"][0] > hinge.history_["rate"][-1]


def test_a_regressor_gives_the_shape_that_it_was_given():
    x, y = make_regression(60, 4, n_targets=2, random_state=0)
    for target in (y, y[:, :1], y[:, 0]):
        model = quick(GraphcRegressor).fit(x, target)
        assert model.predict(x).shape == target.shape
    with pytest.raises(ValueError, match=r"y has shape \(60, 2\); .* was \(rows,\)"):
        model.partial_fit(x, y)


def test_a_linear_autoencoder_finds_the_principal_plane():
    model = quick(GraphcTransformer, epochs=400).fit(X)
    assert -model.score(X) < 1.05 * ((X - PCA(2).fit(X).inverse_transform(
        PCA(2).fit_transform(X))) ** 2).mean()  # fmt: skip
    code = model.transform(X)
    assert code.shape == (150, 2)
    assert -((model.inverse_transform(code) - X) ** 2).mean() == pytest.approx(model.score(X))
    assert model.score(scipy.sparse.csr_array(X)) == pytest.approx(model.score(X))


# --- mistakes -----------------------------------------------------------------------------------


def vector(inputs, outputs, seed):
    return nn.Sequential(nn.Dense(inputs, outputs, seed=seed), lambda v: v.sum(axis=1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"build": lambda inputs, outputs: nn.Dense(inputs, outputs)}, "takes no seed"),
        (
            {"build": lambda inputs, outputs, seed: nn.Dense(inputs, 2)},
            r"gives shape \(1, 2\).*3\)",
        ),
        ({"build": vector}, r"gives shape \(1,\)"),
        ({"build": nn.Dense(4, 3)}, "is not a function"),
        ({"build": lambda inputs, outputs, seed: T.tanh}, "is no layer"),
        ({"options": {"units": 3}}, r"multilayer\(inputs, .*\) is given .*units"),
        ({"options": 3}, "options=3 is not a dict"),
        ({"optimiser": "adm"}, "optimiser='adm' is neither"),
        ({"activation": "rely"}, "activation='rely' is neither"),
        ({"hidden": (0,)}, r"hidden=\(0,\)"),
        ({"penalty": -1}, "penalty=-1"),
        ({"epochs": -1}, "epochs is -1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"patience": 0}, "patience is 0"),
        ({"learning_rate": "fast"}, "learning_rate='fast'"),
        ({"validation_fraction": 2}, "validation_fraction=2"),
        ({"loss": lambda s, y: nn.losses.cross_entropy(s, y).mean()}, "one number"),
    ],
)
def test_wrong_parameters_are_refused_by_fit(settings, message):
    model = quick(mode="numpy", **settings)
    with pytest.raises(ValueError, match=message) as caught:
        model.fit(X, Y)
    assert isinstance(caught.value, GraphError) and __file__ in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "settings", "call", "message"),
    [
        (GraphcClassifier, {}, lambda m: m.fit(X, np.eye(3, dtype=int)[Y]), "one class for each"),
        (GraphcClassifier, {}, lambda m: m.fit(X, np.zeros(150)), r"one class only, \[0.0\]"),
        (GraphcClassifier, {}, lambda m: m.fit(X, Y, Y == 1), r"one class only, \[1\]"),
        (GraphcClassifier, {}, lambda m: m.partial_fit(X, Y), "needs classes="),
        (GraphcClassifier, {}, lambda m: m.partial_fit(X, Y, [0, 1]), r"not named: \[2\]"),
        (GraphcClassifier, {"class_weight": "balanced"}, lambda m: m.partial_fit(X, Y, [0, 1, 2]),
         "needs all rows"),
        (GraphcRegressor, {}, lambda m: m.fit(X.astype("f4"), Y * 1e300), "infinite in float32"),
        (GraphcRegressor, {}, lambda m: m.fit(X, Y, Y * 0), "zero"),
        (GraphcTransformer, {"n_components": 0}, lambda m: m.fit(X), "n_components=0"),
        (GraphcTransformer, {"build": tower}, lambda m: m.fit(X), "is no pair"),
        (GraphcTransformer, {"build": lambda n, k, seed: (nn.Dense(n, 3), nn.Dense(3, n))},
         lambda m: m.fit(X), r"gives shape \(1, 3\)"),
    ],
)  # fmt: skip
def test_wrong_data_are_refused(kind, settings, call, message):
    with pytest.raises(ValueError, match=message):
        call(quick(kind, mode="numpy", **settings))


def test_what_was_not_fitted_says_so():
    for kind, method in ((GraphcClassifier, "predict"), (GraphcTransformer, "inverse_transform")):
        with pytest.raises(NotFittedError):
            getattr(kind(), method)(X)


def test_a_missing_or_old_scikit_learn_is_named(monkeypatch):
    code = "import sys; sys.modules['sklearn'] = None; import graphc; graphc.estimators"
    run = subprocess.run([sys.executable, "-c", code], cwd=TESTS.parent, capture_output=True,
                         text=True, timeout=60)  # fmt: skip
    assert "graphc.estimators needs scikit-learn" in run.stderr and "pip install" in run.stderr
    monkeypatch.setattr(sklearn, "__version__", "1.5.2")
    with pytest.raises(MissingPackageError, match="1.6 or newer, and this is 1.5.2"):
        needed.check_version()


def test_the_page_about_estimators_runs():
    program, names = python_program(PAGE.read_text("utf-8")), {"__name__": "estimators_page"}
    assert program.count("assert ") >= 9
    exec(compile(program, str(PAGE), "exec"), names)
