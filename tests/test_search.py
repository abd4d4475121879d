"""Searches for hyper-parameters: what is drawn, in which process, and what is written down."""

import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc import train
from graphc.core.errors import ArgumentError, GraphError

CHECKOUT = Path(__file__).resolve().parent.parent


# --- what is drawn -------------------------------------------------------------------


def test_draws_are_spread_as_their_space_says():
    random = np.random.default_rng(0)

    def drawn(space, count=4000):
        return np.array([space.draw(random) for _ in range(count)])

    rates = drawn(train.log_uniform(1e-4, 1))
    assert rates.min() >= 1e-4 and rates.max() <= 1
    np.testing.assert_allclose(np.histogram(np.log10(rates), 4, (-4, 0))[0], 1000, rtol=0.1)
    np.testing.assert_allclose(np.histogram(drawn(train.uniform(-1, 3)), 4, (-1, 3))[0], 1000,
                               rtol=0.1)  # fmt: skip
    whole = drawn(train.integers(2, 5))
    assert whole.dtype.kind == "i"
    np.testing.assert_allclose(np.bincount(whole)[2:], 1000, rtol=0.1)
    sizes = drawn(train.log_integers(1, 64))
    share = np.log((np.arange(1, 65) + 0.5) / (np.arange(1, 65) - 0.5)) / np.log(64.5 / 0.5)
    assert sizes.min() == 1 and sizes.max() == 64
    np.testing.assert_allclose(np.bincount(sizes)[1:5] / 4000, share[:4], rtol=0.12)
    assert set(drawn(train.choice("ab".split() + ["c"]), 50)) == {"ab", "c"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: train.uniform(1, 1), "the first bound is the lower one"),
        (lambda: train.log_uniform(0, 1), "positive bounds"),
        (lambda: train.integers(0.5, 2), "bounds are integers"),
        (lambda: train.uniform(0, math.inf), "finite numbers"),
        (lambda: train.choice([]), "nothing to choose from"),
        (lambda: train.choice("relu"), "no list of options"),
        (lambda: train.random_search(max, {}), "the space to search is {}"),
        (lambda: train.random_search(max, {"a b": 1}), "'a b'"),
        (lambda: train.grid_search(max, {"a": train.uniform(0, 1)}), "numpy.geomspace"),
        (lambda: train.random_search(lambda a: a, {"a": 1}), "one called seed"),
        (lambda: train.random_search(lambda b, seed: b, {"a": 1}), "can't be called with a, seed"),
        (lambda: train.random_search(lambda a, seed: a, {"a": 1}, jobs=0), "jobs=0"),
        (lambda: train.random_search(lambda a, seed: a, {"a": 1}, better="more"), "'more'"),
        (lambda: train.random_search(lambda a, seed: a, {"a": 1}, trials=0), "trials is 0"),
    ],
)
def test_spaces_and_searches_that_make_no_sense(make, message):
    with pytest.raises(GraphError, match=message):
        make()


# --- searches ------------------------------------------------------------------------

SPACE = {"rate": train.log_uniform(1e-4, 1), "size": train.log_integers(4, 64),
         "way": ["plain", T.tanh], "fixed": (1, 2)}  # fmt: skip


def scored(rate, size, way, fixed, seed):
    """A module's function, which other processes find by its name or by value."""
    return {"score": -abs(math.log10(rate) + 2), "size squared": np.int64(size) ** 2,
            "process": os.getpid()}  # fmt: skip


def search(objective=scored, trials=6, **options):
    options = {"progress": False, "seed": 3, **options}
    return train.random_search(objective, SPACE, trials, **options)


def test_a_search_is_a_table_with_the_best_first():
    found = search(trials=12)
    scores = [t.score for t in found]
    assert scores == sorted(scores, reverse=True) and len(found) == 12
    best = found.best
    assert best.score == scores[0] == scored(**best.arguments)["score"]
    assert best.figures["size squared"] == best.arguments["size"] ** 2
    assert {t.arguments["fixed"] for t in found} == {(1, 2)}
    assert {t.arguments["way"] for t in found} == {"plain", T.tanh}
    assert len({t.arguments["seed"] for t in found}) == 12
    assert {r["way"] for r in found.rows} == {"plain", "tanh"}
    header, first, *_ = str(found).splitlines()
    columns = ["trial", "score", "rate", "size", "way", "size", "squared", "process"]
    assert header.split() == columns
    assert first.split()[0] == str(best.number)
    table = found.to_csv().splitlines()
    assert len(table) == 13 and table[0].startswith("trial,score,rate,size,way,fixed,seed,")
    lowest = search(lambda rate, **_: rate, better="lower")
    assert lowest.best.score == min(t.score for t in lowest)


def test_draws_depend_on_the_seed_the_trial_and_the_name_only():
    arguments = {t.number: t.arguments for t in search(trials=8)}
    assert {t.number: t.arguments for t in search(trials=4)}.items() <= arguments.items()
    more = train.random_search(lambda **_: 0.0, {"also": train.uniform(0, 1), **SPACE}, 8, seed=3,
                               progress=False)  # fmt: skip
    for trial in more:
        also = trial.arguments.pop("also")
        assert 0 <= also <= 1 and trial.arguments == arguments[trial.number]
    other = {t.number: t.arguments for t in search(trials=8, seed=4)}
    assert all(other[k]["rate"] != arguments[k]["rate"] for k in range(8))
    # and stay what they are from version to version
    assert [round(arguments[k]["rate"], 6) for k in range(3)] == [0.00036, 0.001756, 0.001145]


def test_other_processes_take_closures_and_survive_their_death():
    pytest.importorskip("joblib")
    rates = sorted(t.arguments["rate"] for t in search(trials=8))
    worst, large = rates[4], rates[6]
    here = os.getpid()
    held = np.arange(3.0)
    weights = graphc.shared(held, name="weights")

    def objective(rate, seed, **_):
        if rate == worst:
            os.kill(os.getpid(), signal.SIGKILL)
        if rate >= large:
            raise KeyError("too large", rate)
        assert os.getpid() != here
        return {"score": rate, "total": weights.get_value().sum() + held.sum()}

    found = search(objective, trials=8, jobs=2)
    assert {t.number: t.arguments for t in found} == {
        t.number: t.arguments for t in search(trials=8)
    }
    errors = {t.arguments["rate"]: t.error for t in found.failed}
    assert errors.pop(worst) == "the process ended: killed, out of memory, or crashed"
    assert sorted(errors) == rates[6:]
    assert all(e.startswith("KeyError: ('too large', ") for e in errors.values())
    assert {t.figures["total"] for t in found if t.error is None} == {6.0}
    assert [t.error is None for t in found] == sorted(t.error is None for t in found)[::-1]
    lock = threading.Lock()
    with pytest.raises(ArgumentError, match="can't be sent to another process"):
        search(lambda **_: lock, jobs=2)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("good", "returned str, which is no score"),
        (None, "returned NoneType"),
        (True, "returned bool"),
        (np.zeros(2), "returned ndarray"),
        ({"loss": 1.0}, "returned 'loss', no 'score'"),
        ({"score": 1.0, "model": object()}, "figure 'model' is object"),
    ],
)
def test_an_objective_that_returns_no_score_is_a_failed_trial(returned, message):
    found = search(lambda **_: returned, trials=2)
    assert len(found.failed) == 2 and message in found.failed[0].error
    assert "Traceback" in found.failed[0].traceback
    with pytest.raises(train.SearchError, match="none of 2 trials has a score: ArgumentError"):
        found.best  # noqa: B018
    assert message[:10] in str(found)


def test_nan_is_worse_than_any_score():
    found = search(lambda rate, **_: math.nan if rate > 1e-2 else rate, trials=8, better="lower")
    scores = [t.score for t in found]
    finite = [s for s in scores if not math.isnan(s)]
    assert scores[: len(finite)] == sorted(finite) and 0 < len(finite) < 8
    assert not found.failed


def test_a_search_goes_on_where_it_was(tmp_path, capsys):
    calls = []

    def objective(rate, **_):
        calls.append(rate)
        if len(calls) == 4:
            raise KeyboardInterrupt
        if len(calls) == 2:
            raise ValueError("no luck")
        return {"score": rate, "list": np.arange(2)}

    found = search(objective, trials=7, folder=tmp_path, progress=True)
    assert found.interrupted and len(found) == 3
    said = capsys.readouterr().out
    assert f"interrupted after 3 of 7 trials; to go on, search in {tmp_path} again" in said
    assert "trial 1 of 7   failed" in said and "ValueError: no luck" in said
    assert (tmp_path / "results.csv").read_text() == found.to_csv()
    (tmp_path / "trials" / ".00000003.json.77-0badcafe").write_text("half a tri")

    again = search(objective, trials=7, folder=tmp_path)
    expected = {t.number: t.arguments["rate"] for t in search(trials=7)}
    assert calls[4:] == [expected[k] for k in (3, 4, 5, 6)]
    assert not again.interrupted and {t.number for t in again} == set(range(7))
    assert {t.number: t.arguments["rate"] for t in again} == expected
    assert [t.number for t in again.failed] == [1] and again.best.figures == {"list": [0, 1]}
    assert not list((tmp_path / "trials").glob(".*"))
    assert len(search(objective, trials=9, folder=tmp_path)) == 9 and len(calls) == 10

    with pytest.raises(train.SearchError, match="another search: better was higher and is lower"):
        search(objective, folder=tmp_path, better="lower")
    with pytest.raises(train.SearchError, match="search was random and is grid"):
        train.grid_search(objective, {"rate": [1.0]}, folder=tmp_path)
    (tmp_path / "trials" / "00000005.json").write_text("{")
    with pytest.raises(train.SearchError, match="00000005.json is damaged"):
        search(objective, folder=tmp_path)


def test_only_one_process_searches_in_a_folder(tmp_path):
    def objective(**_):
        search(folder=tmp_path)

    found = search(objective, trials=1, folder=tmp_path)
    assert "another process searches in" in found.failed[0].error


def test_an_interrupt_before_the_first_trial_is_passed_on():
    def objective(**_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(objective)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_program_is_interrupted_and_another_one_goes_on(tmp_path):
    pytest.importorskip("joblib")
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent("""
        import pathlib, sys, time
        from graphc import train

        slow = sys.argv[1] == "slow"

        def objective(rate, seed):            # a function of __main__, with a global
            if slow and rate > 0.5:
                pathlib.Path("reached").touch()
                time.sleep(600)
            return rate

        found = train.random_search(objective, {"rate": train.uniform(0, 1)}, trials=8, seed=1,
                                    jobs=2 if slow else 1, folder="search")
        print(len(found), found.interrupted)
    """))
    command = [sys.executable, str(program)]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    options = {"cwd": tmp_path, "env": environment, "text": True, "stdout": subprocess.PIPE}
    with subprocess.Popen([*command, "slow"], start_new_session=True, **options) as running:
        end = time.monotonic() + 60
        while len(list(tmp_path.glob("search/trials/0*.json"))) < 1 or not (
            tmp_path / "reached"
        ).exists():
            assert time.monotonic() < end and running.poll() is None
            time.sleep(0.05)
        os.killpg(running.pid, signal.SIGINT)
        said, _ = running.communicate(timeout=60)
    done = len(list(tmp_path.glob("search/trials/0*.json")))
    assert said.splitlines()[-1] == f"{done} True" and running.returncode == 0
    over = subprocess.run([*command, "fast"], timeout=60, **options)
    assert over.stdout.splitlines()[-1] == "8 False"
    assert len(over.stdout.splitlines()) == 8 - done + 1


def test_a_grid_has_all_combinations():
    def objective(a, b, c, seed):
        return a * 10 + b

    space = {"a": [1, 2], "b": np.array([3.0, 4.0, 5.0]), "c": "constant"}
    found = train.grid_search(objective, space, seed=1, progress=False)
    in_order = sorted(found, key=lambda t: t.number)
    assert [(t.arguments["a"], t.arguments["b"]) for t in in_order] == [
        (a, b) for a in (1, 2) for b in (3, 4, 5)
    ]
    assert found.best.score == 25 and found.varied == ("a", "b")
    own = train.grid_search(lambda seed, a: seed, {"seed": [5, 6], "a": [0]}, progress=False)
    assert [t.score for t in own] == [6, 5]
