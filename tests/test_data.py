"""Data sets and their mini-batches: what a batch holds, its order, its state, its thread."""

import gc
import itertools
import json
import threading
import time
import traceback

import numpy as np
import pytest

import graphc
import graphc.tensor as T
from graphc import data
from graphc.data import DataError


def pairs(rows=10, width=3):
    x = np.arange(rows * width, dtype="float32").reshape(rows, width)
    return data.from_arrays(x, np.arange(rows, dtype="int32"))


def labels(batches):
    return [y.tolist() for _, y in batches]


def stream(rows=10, **settings):
    return data.from_generator(lambda: ((np.full(3, k), k) for k in range(rows)), **settings)


SOURCES = {"table": pairs, "stream": stream, "long stream": lambda: stream(buffer=4)}


def test_batches_are_rows_in_order_and_the_last_is_short_or_left_out():
    rows = pairs()
    assert labels(rows.batches(4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert labels(rows.batches(4, drop_last=True)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(rows.batches(4)) == 3 and len(rows.batches(4, drop_last=True)) == 2
    for x, y in rows.batches(4, shuffle=True):
        assert x.dtype == "float32" and y.dtype == "int32" and x.flags.c_contiguous
        np.testing.assert_array_equal(x[:, 0], 3 * y)


def test_batches_are_copies():
    rows = pairs()
    for x, _ in rows.batches(5):
        x[:] = -1
    assert rows["x"].min() == 0


def test_batches_go_into_compiled_functions():
    x, y = T.fmatrix("x"), T.ivector("y")
    f = graphc.function([x, y], x.sum(axis=1) + y, mode="numpy")
    found = np.concatenate([f(*batch) for batch in pairs().batches(4)])
    np.testing.assert_array_equal(found, pairs()["x"].sum(axis=1) + pairs()["y"])
    named = [f(**batch) for batch in pairs().dicts().batches(4, prefetch=2)]
    np.testing.assert_array_equal(np.concatenate(named), found)


@pytest.mark.parametrize("source", SOURCES)
def test_every_epoch_has_an_order_of_its_own(source):
    rows = SOURCES[source]()
    batches = rows.batches(4, shuffle=True, seed=5)
    epochs = [sum(labels(batches), []) for _ in range(3)]
    assert batches.epoch == 3
    assert all(sorted(e) == list(range(10)) for e in epochs)
    assert len({tuple(e) for e in epochs}) == 3
    again = rows.batches(3, shuffle=True, seed=5)
    assert [sum(labels(again), []) for _ in range(3)] == epochs
    assert sum(labels(rows.batches(4, shuffle=True, seed=6)), []) != epochs[0]


def test_orders_are_these_under_every_version_of_numpy():
    assert data.permutation(8, 1, 2).tolist() == [2, 0, 5, 7, 1, 6, 4, 3]


@pytest.mark.parametrize("prefetch", [0, 3])
@pytest.mark.parametrize("source", SOURCES)
def test_a_restored_state_gives_the_same_bits(source, prefetch):
    """Stopped after any number of batches, in any epoch, with random transforms."""

    def made(seed):
        rows = SOURCES[source]().map(data.Noise(0.1, seed=2))
        return rows.batches(4, shuffle=True, seed=seed, prefetch=prefetch)

    def run(batches, epochs):
        for epoch in range(batches.epoch, epochs):
            for x, y in batches:
                yield epoch, x.tobytes(), y.tobytes()

    whole = list(run(made(7), 3))
    assert len(whole) == 9 and len(set(whole)) == 9
    for stop in range(10):
        first = made(7)
        seen = list(itertools.islice(run(first, 3), stop))
        state = json.loads(json.dumps(first.state_dict()))
        first.close()
        second = made(None)
        second.load_state_dict(state)
        assert seen + list(run(second, 3)) == whole


def test_a_broken_off_epoch_goes_on_or_starts_again():
    batches = pairs().batches(4)
    assert next(iter(batches))[1].tolist() == [0, 1, 2, 3]
    assert labels(batches) == [[4, 5, 6, 7], [8, 9]]
    next(iter(batches))
    batches.rewind()
    assert len(labels(batches)) == 3 and batches.epoch == 2


def test_two_loops_over_the_same_batches_are_refused():
    batches = pairs().batches(4)
    outer = iter(batches)
    next(outer), next(iter(batches))
    with pytest.raises(DataError, match="another loop"):
        next(outer)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": 5}, "size was 5 and is 4"), ({"rows": 9}, "rows was 9"),
        ({"version": 2}, "version 2"), ({"epoch": -1}, "epoch is -1"), ({"seed": -1}, "seed is -1"),
    ],
)  # fmt: skip
def test_states_of_other_batches_are_refused(change, words):
    batches = pairs().batches(4)
    before = batches.state_dict()
    with pytest.raises(DataError, match=words):
        batches.load_state_dict({**before, **change})
    with pytest.raises(DataError, match="has no rows"):
        batches.load_state_dict({k: v for k, v in before.items() if k != "rows"})
    assert batches.state_dict() == before


# Prefetching ------------------------------------------------------------------------------------


def threads():
    return [t for t in threading.enumerate() if t.name == "graphc-prefetch"]


def wait_until(condition):
    end = time.monotonic() + 5
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    assert condition()


def test_prefetching_gives_the_same_batches_and_works_ahead():
    assert labels(pairs().batches(3, prefetch=2)) == labels(pairs().batches(3))
    made = []

    def count(x):
        made.append(len(x))
        return x

    batches = pairs().map(count).batches(1, prefetch=3)
    loop = iter(batches)
    next(loop)
    wait_until(lambda: len(made) == 4)  # the one taken, and three ahead
    time.sleep(0.02)
    assert len(made) == 4 and batches.batch == 1
    loop.close()
    assert not threads()


def test_errors_in_the_thread_come_up_with_their_traceback():
    def fail_at_six(x):
        if (x == 6).any():
            raise KeyError("the sixth")
        return x

    rows = data.from_arrays(np.arange(10)).map(fail_at_six)
    batches = rows.batches(2, prefetch=2)
    seen = []
    with pytest.raises(KeyError, match="the sixth") as caught:
        for (x,) in batches:
            seen.append(x.tolist())
    assert seen == [[0, 1], [2, 3], [4, 5]]
    assert "fail_at_six" in "".join(traceback.format_tb(caught.value.__traceback__))
    assert not threads() and (batches.epoch, batches.batch) == (0, 3)


@pytest.mark.parametrize("prefetch", [0, 2])
def test_an_error_ends_the_loop_and_not_the_epoch(prefetch):
    failing = [True]

    def fail_once(x):
        if failing and (x == 6).any():
            raise OSError("not there")
        return x

    batches = data.from_arrays(np.arange(10)).map(fail_once).batches(2, prefetch=prefetch)
    loop = iter(batches)
    with pytest.raises(OSError, match="not there"):
        list(loop)
    assert list(loop) == [] and (batches.epoch, batches.batch) == (0, 3)
    failing.clear()
    assert [x.tolist() for (x,) in batches] == [[6, 7], [8, 9]]


@pytest.mark.parametrize("how", ["close", "forget", "another", "exhaust"])
def test_threads_end_with_their_loops(how):
    ended = []

    def examples():
        try:
            yield from range(100)
        finally:
            ended.append(True)

    batches = data.from_generator(examples).batches(2, prefetch=2)
    ended.clear()
    loop = iter(batches)
    next(loop)
    assert len(threads()) == 1
    if how == "close":
        batches.close()
    elif how == "another":
        batches.rewind()
    elif how == "exhaust":
        assert len(list(loop)) == 49
    else:
        del loop
        gc.collect()
    wait_until(lambda: not threads() and ended == [True])


# Fields, rows, transforms ------------------------------------------------------------------------


def test_fields_are_had_by_name_and_number():
    rows = data.from_arrays(image=np.zeros((4, 2)), label=np.arange(4))
    assert rows.names == ("image", "label") and rows[1].tolist() == [0, 1, 2, 3]
    assert rows["label"].tolist() == rows[-1].tolist()
    assert set(next(iter(rows.batches(2)))) == {"image", "label"}
    assert isinstance(next(iter(rows.tuples().batches(2))), tuple)
    with pytest.raises(DataError, match="fields are image, label"):
        rows["y"]


def test_taken_rows_share_memory_and_can_be_taken_from():
    rows = pairs()
    some = rows.take(slice(2, 8)).take([5, 0]).take(np.array([True, False]))
    assert some["y"].tolist() == [7] and some.columns["x"] is rows.columns["x"]
    for bad in ([10], [0.5], [], slice(4, 4), np.zeros((2, 2), int)):
        with pytest.raises(DataError, match="take"):
            rows.take(bad)


def test_transforms_are_applied_in_order_to_the_fields_they_name():
    rows = pairs().map(lambda x: x + 1).map(lambda x: x * 2, "x").map(lambda y: y - 1, "y")
    np.testing.assert_array_equal(rows["x"], (pairs()["x"] + 1) * 2)
    both = rows.map(lambda x, y: (x[:, 0] + y, y), ("x", "y"))
    np.testing.assert_array_equal(both["x"], rows["x"][:, 0] + rows["y"])
    np.testing.assert_array_equal(np.concatenate([x for x, _ in both.batches(4)]), both["x"])


def test_a_field_needs_only_its_own_transforms():
    def fail(x):
        raise AssertionError("not asked for")

    assert pairs().map(fail, "x")["y"].tolist() == list(range(10))


def test_memory_maps_are_read_when_used(tmp_path):
    path = tmp_path / "x.bin"
    np.arange(12, dtype=">f4").tofile(path)
    mapped = np.memmap(path, ">f4", "r", shape=(4, 3))
    rows = data.from_arrays(mapped)
    assert rows.columns["x"] is mapped
    (x,) = next(iter(rows.batches(2, shuffle=True)))
    assert x.dtype == np.dtype("float32") and x.dtype.isnative and type(x) is np.ndarray


def test_dtypes_are_those_that_functions_take():
    """bfloat16 too, which NumPy hasn't; not long doubles, which graphc has not."""
    rows = data.from_arrays(graphc.to_bfloat16(np.arange(4, dtype="float32")))
    (x,) = next(iter(rows.batches(4)))
    assert x.dtype == graphc.BFLOAT16 and graphc.from_bfloat16(x).tolist() == [0, 1, 2, 3]
    with pytest.raises(DataError, match="not numbers"):
        data.from_arrays(np.array(["2026-01-01"], "datetime64[D]"))
    if np.dtype("longdouble").itemsize > 8:
        with pytest.raises(DataError, match="values are"):
            data.from_arrays(np.ones(2, "longdouble"))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: pairs().batches(11), "batch of 11 rows is larger than the data, 10 rows"),
        (lambda: pairs().batches(0), "size is 0"),
        (lambda: pairs().batches(2.0), "size is 2.0"),
        (lambda: pairs().batches(2, seed=-1), "seed is -1"),
        (lambda: pairs().batches(2, prefetch=-1), "prefetch is -1"),
        (lambda: data.from_arrays(np.zeros((3, 2)), np.zeros(4)), r"x \(3, 2\), y \(4,\)"),
        (lambda: data.from_arrays(np.zeros((0, 2))), r"no rows: x \(0, 2\)"),
        (lambda: data.from_arrays(np.array(3.0)), "has no rows"),
        (lambda: data.from_arrays(["a", "b"]), "'x': values are <U1"),
        (lambda: data.from_arrays([[1], [1, 2]]), "'x': .*inhomogeneous"),
        (lambda: data.from_arrays(), "give arrays"),
        (lambda: data.from_arrays([1], y=[1]), "give arrays"),
        (lambda: pairs().map(3), "3 can't be called"),
        (lambda: pairs().map(data.Noise(1.0, seed=None)), "seed is None"),
        (lambda: pairs().map(lambda x: x[1:])["x"], r"shape \(9, 3\) of shape \(10, 3\)"),
        (lambda: pairs().check(classes=9), "label 9 in row 9 among 9 classes, 1 such rows"),
        (lambda: pairs().check(classes=9, labels="x"), "'x': labels are float32, not integers"),
        (lambda: data.from_generator(iter([1])), "can be read once only"),
        (lambda: data.from_generator(lambda: []), "made no example"),
        (lambda: data.from_generator(lambda: ["a"]), "example 0 is <U1"),
        (lambda: stream(3, length=2).batches(3), "larger than the data, 2 rows"),
        (lambda: list(stream(3, length=4).batches(2)), "made 3 examples; length=4"),
        (lambda: list(stream(3).batches(4, drop_last=True)), "fewer than 4 examples"),
    ],
)
def test_bad_data_and_arguments(make, words):
    with pytest.raises(DataError, match=words) as caught:
        make()
    assert isinstance(caught.value, graphc.GraphError | ValueError)
    assert "test_data.py" in str(caught.value)


@pytest.mark.parametrize(
    ("examples", "words"),
    [
        ([np.zeros(3), np.zeros(3), np.zeros(4)], r"example 2 is float64\[4\], the first was"),
        ([(1, 2), (1, 2, 3)], "example 1 has 3 fields, the first had 2"),
        ([{"a": 1}, {"b": 1}], r"example 1 has the fields \['b'\]"),
        ([1.0, 2], r"example 1 is int64\[\], the first was float64\[\]"),
    ],
)
def test_examples_that_differ_are_named(examples, words):
    with pytest.raises(DataError, match=words):
        list(data.from_generator(lambda: examples).batches(1))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_found(bad):
    x = np.zeros((3000, 2))
    x[2900, 1] = bad
    rows = data.from_arrays(x)
    with pytest.raises(DataError, match=r"1 of .* x\[2900, 1\] = (nan|inf)"):
        rows.check()
    batches = rows.batches(1000, finite=True, prefetch=1)
    seen = []
    with pytest.raises(DataError, match=r"x\[900, 1\].*in batch 2 of epoch 0"):
        seen.extend(batches)
    assert batches.batch == 2
    assert len(list(rows.batches(1000))) == 3
    assert pairs().check(classes=10).names == ("x", "y")


# Symbolic mini-batches ---------------------------------------------------------------------------


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("mode", ["numpy", "native"])
def test_an_epoch_of_shared_data_is_that_of_the_batches(shuffle, mode):
    """Also where the last batch is short."""
    rows = pairs().map(data.Scale(2, "float64"))
    held = data.shared(rows, shuffle=shuffle, seed=3)
    i = T.lscalar("i")
    x, y = held.batch(i, size=4)
    f = graphc.function([i], [x.sum(), (x[:, 0] * y).sum()], mode=mode)
    batches = rows.batches(4, shuffle=shuffle, seed=3)
    for epoch in range(2):
        if shuffle:
            held.start_epoch(epoch)
        expected = [(x.sum(), (x[:, 0] * y).sum()) for x, y in batches]
        found = graphc.loop(f, graphc.each(held.numbers(4)))
        np.testing.assert_array_equal(np.transpose(found), expected)


def test_shared_data_say_what_they_cannot_be():
    held = data.shared(pairs().dicts())
    assert set(held.batch(T.lscalar(), 2)) == {"x", "y"} and len(held) == 10
    assert held.numbers(4).tolist() == [0, 1, 2] and held.numbers(4, True).tolist() == [0, 1]
    with pytest.raises(DataError, match="shuffle=True"):
        held.start_epoch(1)
    with pytest.raises(DataError, match="batch of 11 rows"):
        held.batch(T.lscalar(), 11)
    with pytest.raises(DataError, match="Stream is not held in memory"):
        data.shared(stream())
    with pytest.raises(DataError, match="transform Noise is random"):
        data.shared(pairs().map(data.Noise(1.0)))


def test_fields_are_left_out():
    rows = data.from_arrays(np.arange(6.0), np.arange(6), np.arange(6) % 2)
    names = rows.names
    some = rows.only(names[2], 0)
    (first, other), *_ = some.batches(4)
    assert first.tolist() == [0, 1, 0, 1] and other.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert rows.names == names and len(some) == 6 and "6 rows of field2" in repr(some)
    made = data.from_generator(lambda: ((float(k), k, k % 2) for k in range(6)))
    for (first,) in made.only(1).batches(6):
        assert first.tolist() == [0, 1, 2, 3, 4, 5]
    for batch in made.only(2, 0).dicts().batches(6, shuffle=True, seed=3):
        assert list(batch) == [names[2], names[0]] and set(batch[names[2]]) == {0, 1}
    for wrong in ((), ("x", "x"), ("nothing",)):
        with pytest.raises(DataError):
            rows.only(*wrong)
    mapped = rows.map(lambda a, b: (a, b), (0, 1))
    with pytest.raises(DataError, match="needs"):
        mapped.only(0)
    assert mapped.only(0, 1)[0].tolist() == list(range(6))
