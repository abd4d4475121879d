"""Data that don't suit a task: told early, by field and row, and with what to do."""

import numpy as np
import pytest
import scipy.sparse

import graphc
import graphc.tensor as T
from graphc import data, nn, optim, train
from graphc.data.problems import DataError

RANDOM = np.random.RandomState(0)
X = RANDOM.standard_normal((40, 4))
Y = RANDOM.randint(3, size=40).astype("int32")


def make(target=None):
    with graphc.config(floatX="float64"):
        x, y = T.matrix("x"), T.ivector("y") if target is None else target
        model = nn.Sequential(nn.Dense(4, 6, seed=1), T.tanh, nn.Dense(6, 3, seed=2))
        return train.Task(model, x, y, nn.losses.cross_entropy, optimiser=optim.sgd, mode="numpy")


def told(x, y, *messages, task=None, **options):
    """What `fit` says; no step was made, nor compiled."""
    task = task or make()
    with pytest.raises(DataError) as raised:
        train.fit(task, (x, y), **{"batch": 10, "epochs": 1, "progress": False, **options})
    text = str(raised.value)
    for message in messages:
        assert message in text, text
    assert "hint: " in text and "step" not in vars(task)
    return text


def changed(array, place, value):
    made = array.copy()
    made[place] = value
    return made


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_in_inputs(value):
    told(changed(X, (17, 2), value), Y, f"field 'x': 1 of 160 values is not finite; the first is "
         f"x[17, 2] = {value}", "numpy.nan_to_num")  # fmt: skip


def test_nan_that_a_transform_makes():
    rows = data.from_arrays(X, Y).map(lambda x: np.log(x - x), "x")
    with pytest.raises(DataError, match="field 'x': .* not finite.*in batch 0 of epoch 0"):
        with np.errstate(all="ignore"):
            train.fit(make(), rows, batch=10, progress=False)


def test_class_numbers_that_are_none():
    told(X, changed(Y, 11, 3), "field 'y': row 11 has class 3 (y[11]) among 3 classes; the numbers "
         "go from 0 to 3", "these need 4; is the model's last layer too small?")  # fmt: skip
    told(X, Y + 1, "and ", "go from 1 to 3", "numbered from 0: y - 1")
    told(X, changed(Y, 5, -1), "row 5 has class -1", "without a class")  # NumPy would count back
    told(X, Y, "the validation set: field 'y': row 2 has class 7",
         validation=(X, changed(Y, 2, 7)))  # fmt: skip


def test_a_mask_may_stand_for_no_class():
    x, y = T.dmatrix("x"), T.ivector("y")
    with graphc.config(floatX="float64"):
        task = train.Task(
            nn.Dense(4, 3, seed=1), x, y, mode="numpy",
            loss=lambda p, y: nn.losses.cross_entropy(p, y) * T.ge(y, 0),
        )  # fmt: skip
    train.fit(task, (X, changed(Y, 5, -1)), batch=10, epochs=1, progress=False)
    del vars(task)["step"]
    told(X, changed(Y, 5, -4), "row 5 has class -4", task=task)


def test_class_numbers_of_a_part_of_the_rows():
    rows = data.from_arrays(X, changed(Y, 11, 3))
    train.fit(make(), rows.take(slice(12, 40)), batch=10, epochs=1, progress=False)
    with pytest.raises(DataError, match=r"row 1 has class 3"):
        train.fit(make(), rows.take(slice(10, 40)), batch=10, progress=False)


def test_tokens_that_are_not_in_the_table():
    tokens, y = T.lmatrix("tokens"), T.ivector("y")
    with graphc.config(floatX="float64"):
        model = nn.Sequential(nn.Embedding(7, 4, seed=0), nn.Flatten(), nn.Dense(12, 3, seed=1))
        task = train.Task(model, tokens, y, nn.losses.cross_entropy, mode="numpy")
    given = RANDOM.randint(7, size=(40, 3))
    train.fit(task, (given, Y), batch=10, epochs=1, progress=False)
    del vars(task)["step"]
    told(changed(given, (8, 1), 7), Y, "field 'x': row 8 has entry 7 (x[8, 1]) among 7 entries",
         task=task)  # fmt: skip


def test_class_numbers_in_a_stream_are_told_when_they_come():
    rows = data.from_generator(lambda: zip(X, changed(Y, 25, 3)))
    with pytest.raises(DataError, match="batch 2 of epoch 0, rows of .*y goes from 0 to 3"):
        train.fit(make(), rows, batch=10, shuffle=False, progress=False)
    with pytest.raises(DataError, match="y goes from 0 to 3"):
        train.evaluate(make(), (X, changed(Y, 25, 3)))


def test_labels_as_floats():
    told(X, Y.astype("float64"), "field 'y' is float64[rows], which can't be y: int32[?], a target",
         "y.astype('int32')")  # fmt: skip
    told(X, Y + 0.5, "floats for integers", "aren't whole numbers")


def test_one_hot_rows_for_class_numbers_and_the_other_way():
    told(X, np.eye(3)[Y], "float64[rows, 3]", "class numbers are y.argmax(axis=-1)")
    told(X, np.eye(3, dtype="int32")[Y], "class numbers are y.argmax(axis=-1)")
    told(X, Y[:, None], "leave out the last axis", "y[..., 0]")
    told(X, Y, "data.one_hot(y, classes)", task=make(T.dmatrix("y")))
    told(X[:, 0], Y, "field 'x' is float64[rows]", "2 axes")
    told(X + 1j, Y, "complex numbers")


def test_a_wrong_number_of_features():
    told(X[:, :3], Y, "the model can't take rows of x: float64[10, 3], y: int32[10]",
         "(10, 3) and (4, 6)", "test_train_bad_data.py")  # fmt: skip
    fixed = T.TensorType("float64", (None, 4))("x")
    with graphc.config(floatX="float64"):
        task = train.Task(nn.Dense(4, 3, seed=1), fixed, T.ivector("y"), nn.losses.cross_entropy)
    told(X[:, :3], Y, "axis 1 has size 3, not 4", task=task)
    with pytest.raises(DataError, match="can't take a batch of x: float64"):
        train.predict(make(), X[:, :3])


@pytest.mark.parametrize("loss", [lambda p, y: T.sqr(p - y), lambda p, y: abs(y - p).mean()])
def test_a_column_is_not_compared_with_a_vector(loss):
    x, y = T.dmatrix("x"), T.dvector("y")
    with graphc.config(floatX="float64"):
        wrong, right = nn.Dense(4, 1, seed=0), nn.Dense(4, 3, seed=0)
    told(X, X[:, 0], "y: float64[?] and add: float64[?, ?]", "each row meets all others",
         "p[:, 0]", task=train.Task(wrong, x, y, loss, mode="numpy"))  # fmt: skip
    rows = (X[:3], X[:3, 0])  # three columns and three rows: it can be meant
    train.fit(train.Task(right, x, y, loss, mode="numpy"), rows, batch=3, epochs=1, progress=False)


def test_no_rows_and_larger_batches_and_other_fields():
    told(X[:0], Y[:0], "no rows")
    told(X[:7], Y[:7], "a batch of 10 rows is larger than the data, 7 rows", "batch=7")
    told(X, Y, "the validation set: ", "the data has the fields x,", validation=(X,))
    with pytest.raises(DataError, match="the data has the fields x, and the task takes x, y"):
        train.fit(make(), (X,))
    with pytest.raises(DataError, match="the fields x, y, field2, and the task takes x, y"):
        train.fit(make(), (X, Y, Y))
    with pytest.raises(DataError) as raised:
        train.fit(make(), {"x": X, "label": Y})
    assert "there is no field y" in str(raised.value)
    with pytest.raises(DataError, match="ndarray is no data set"):
        train.fit(make(), X)
    with pytest.raises(DataError, match="generator is no data set(.|\n)*from_generator"):
        train.fit(make(), (row for row in X))
    told(X, Y, "the validation set: float is no data set", "data.split", validation=0.2)
    told(scipy.sparse.csr_matrix(X), Y, "field 'x' is sparse", "x.toarray()")
    told([[1, 2], [3]], Y, "field 'x'", "give their lengths")


def test_the_only_field_needs_no_tuple():
    x = T.dmatrix("x")
    with graphc.config(floatX="float64"):
        layer = nn.Dense(4, 4, seed=0)
        coder = train.Task(layer, x, loss=lambda p: T.sqr(p), mode="numpy")
    assert len(train.fit(coder, X, epochs=1, progress=False).epochs) == 1
    assert np.array_equal(train.predict(coder, X[:2].tolist()), train.predict(coder, (X[:2],)))
    assert np.isclose(train.evaluate(coder, X)["loss"], (train.predict(coder, X) ** 2).mean())
    with pytest.raises(DataError, match=r"x\[None\] is a single row"):
        train.predict(coder, X[0])


def test_names_that_do_not_tell_fields_apart():
    with graphc.config(floatX="float64"):
        task = train.Task(nn.Dense(4, 3), T.dmatrix("x"), T.ivector("x"), nn.losses.cross_entropy)
    with pytest.raises(DataError, match="names of their own, not x, x"):
        train.fit(task, {"x": X})


def test_generators_of_batches_and_ones_that_are_used_up():
    batches = data.from_generator(lambda: ((X[k : k + 5], Y[k : k + 5]) for k in (0, 5)))
    with pytest.raises(DataError, match="single examples, not batches"):
        train.fit(make(), batches, progress=False)
    examples = iter(list(zip(X, Y)))
    with pytest.raises(DataError, match="no example in epoch 1(.|\n)*a new iterator"):
        train.fit(make(), data.from_generator(lambda: examples), progress=False)


def test_a_small_validation_set_is_judged_whole():
    history = train.fit(make(), (X, Y), batch=10, epochs=1, validation=(X[:3], Y[:3]),
                        progress=False)  # fmt: skip
    assert len(history["validation loss"]) == 1


def test_other_dtypes_that_lose_nothing_are_taken():
    task, other = make(), make()
    train.fit(task, (X.astype("float32"), Y.astype("uint8")), batch=10, progress=False)
    train.fit(other, (X.astype("float32").astype("float64"), Y), batch=10, progress=False)
    for one, two in zip(task.params, other.params):
        assert (one.get_value() == two.get_value()).all()


def test_numbers_that_a_narrower_float_can_not_hold():
    x, y = T.fmatrix("x"), T.ivector("y")
    with graphc.config(floatX="float32"):
        task = train.Task(nn.Dense(4, 3), x, y, nn.losses.cross_entropy, mode="numpy")
    told(changed(X, (3, 1), -1e39), Y, "field 'x': 1e+39 is more than float32 can hold", task=task)
