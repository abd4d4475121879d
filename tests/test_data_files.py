"""Data from files: what is read, and what is said about files that are damaged or absent."""

import gzip
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from test_readme import python_program

import graphc
from graphc import data
from graphc.data import DataError, MissingDataError, MissingPackageError

# IDX ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["idx", "idx.gz"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "float32", "float64"])
def test_idx_files_come_back_as_they_were_written(tmp_path, dtype, end):
    values = np.arange(-12, 12).reshape(2, 3, 4).astype(dtype)
    data.write_idx(tmp_path / f"a.{end}", values)
    found = data.read_idx(tmp_path / f"a.{end}")
    assert found.dtype == dtype and found.dtype.isnative
    np.testing.assert_array_equal(found, values)


def test_an_idx_file_is_read_as_the_format_says(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(bytes([0, 0, 11, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 255, 254]))
    np.testing.assert_array_equal(data.read_idx(path), [[258, -2]])


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_cut_anywhere_are_refused(tmp_path, packed):
    good, path = tmp_path / ("a.gz" if packed else "a"), tmp_path / "cut"
    data.write_idx(good, np.random.default_rng(0).integers(0, 255, (5, 7)).astype("uint8"))
    content = good.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(DataError, match="cut: "):
            data.read_idx(path)
    if not packed:
        path.write_bytes(content + b"\0")
        with pytest.raises(DataError, match="more than the 35 bytes"):
            data.read_idx(path)


def test_idx_files_with_a_damaged_head_or_body_are_refused(tmp_path):
    path = tmp_path / "a"
    for head in (b"PK\3\4", b"\0\0\7\1", b"\0\0\10\0"):
        path.write_bytes(head + bytes(8))
        with pytest.raises(DataError, match="no IDX file: it begins with"):
            data.read_idx(path)
    path.write_bytes(bytes([0, 0, 8, 3]) + b"\xff" * 12 + bytes(100))  # more than any memory
    with pytest.raises(DataError, match="holds 100 of the"):
        data.read_idx(path)
    content = bytearray(gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 50]) + bytes(range(50))))
    content[25] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError):
        data.read_idx(path)
    with pytest.raises(DataError, match="IDX can't hold int64"):
        data.write_idx(path, np.arange(3))


def write_mnist(folder, rows=6, end=".gz"):
    folder.mkdir(exist_ok=True)
    for part in ("train", "t10k"):
        images = np.arange(rows * 784).reshape(rows, 28, 28).astype("uint8")
        data.write_idx(folder / f"{part}-images-idx3-ubyte{end}", images)
        data.write_idx(folder / f"{part}-labels-idx1-ubyte{end}", np.arange(rows).astype("uint8"))


@pytest.mark.parametrize("end", ["", ".gz"])
def test_mnist_is_read_from_its_files(tmp_path, end, monkeypatch):
    write_mnist(tmp_path / "mnist", end=end)
    monkeypatch.delenv("GRAPHC_DATA_DIR", raising=False)
    with graphc.config(data_dir=str(tmp_path), floatX="float32"):
        train, test = data.mnist()
        assert train["x"].dtype == "float32" and train["x"].shape == (6, 28, 28)
        assert train["x"].max() == 1 and test["y"].tolist() == list(range(6))
    raw, _ = data.mnist(tmp_path / "mnist", scale=False)
    assert raw["x"].dtype == "uint8" and raw["y"].dtype == "int32"


def test_absent_files_are_named_with_folder_and_source(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHC_DATA_DIR", str(tmp_path))
    write_mnist(tmp_path / "mnist")
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(MissingDataError) as caught:
        data.mnist()
    text = str(caught.value)
    assert f"not in {tmp_path / 'mnist'}: t10k-labels-idx1-ubyte.gz\n" in text
    assert "https://" in text and "GRAPHC_DATA_DIR" in text
    assert isinstance(caught.value, FileNotFoundError)
    for load in (data.cifar10, data.cifar100):
        with pytest.raises(MissingDataError, match="binary.tar.gz") as caught:
            load()
        assert "kriz/cifar" in str(caught.value) and str(tmp_path) in str(caught.value)


def test_images_and_labels_of_other_numbers_are_refused(tmp_path):
    data.write_idx(tmp_path / "a", np.zeros((3, 2), "uint8"))
    data.write_idx(tmp_path / "b", np.zeros(4, "uint8"))
    with pytest.raises(DataError, match=r"a and .*b: lengths differ: x \(3, 2\), y \(4,\)"):
        data.from_idx(tmp_path / "a", tmp_path / "b")


def cifar_records(rows, head):
    records = np.arange(rows * (3072 + head)).reshape(rows, -1).astype("uint8")
    records[:, :head] = np.arange(rows)[:, None] + 10 * np.arange(head)
    return records


@pytest.mark.parametrize("packed", [False, True])
def test_cifar_is_read_from_files_and_archives(tmp_path, packed):
    names = [f"data_batch_{k}.bin" for k in range(1, 6)] + ["test_batch.bin"]
    inner = tmp_path / "cifar-10-batches-bin"
    inner.mkdir()
    records = cifar_records(2, 1)
    for name in names:
        (inner / name).write_bytes(records.tobytes())
    if packed:
        with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as file:
            file.add(inner, inner.name)
        for name in names:
            (inner / name).unlink()
    train, test = data.cifar10(tmp_path, scale=False)
    assert train["x"].shape == (10, 3, 32, 32) and test["y"].tolist() == [0, 1]
    np.testing.assert_array_equal(test["x"].reshape(2, -1), records[:, 1:])
    assert train.classes[0] == "airplane"
    if packed:
        whole = (tmp_path / "cifar-10-binary.tar.gz").read_bytes()
        (tmp_path / "cifar-10-binary.tar.gz").write_bytes(whole[: len(whole) // 2])
    else:
        (inner / names[0]).write_bytes(records.tobytes()[:-1])
    with pytest.raises(DataError, match="incomplete|not in it"):
        data.cifar10(tmp_path)


def test_fine_labels_of_cifar_100(tmp_path):
    for name in ("train.bin", "test.bin"):
        (tmp_path / name).write_bytes(cifar_records(3, 2).tobytes())
    train, _ = data.cifar100(tmp_path)
    assert train["y"].tolist() == [10, 11, 12] and train["x"].max() <= 1


# CSV ---------------------------------------------------------------------------------------------


@pytest.fixture
def write(tmp_path):
    def written(text, name="a.csv"):
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return written


def test_tables_are_read_with_and_without_a_head(write):
    rows = data.from_csv(write("a,b,c\n1,2.5,0\n\n3,4,1\n"), target="c", dtype="float32")
    assert rows["x"].tolist() == [[1, 2.5], [3, 4]] and rows["x"].dtype == "float32"
    assert rows["y"].tolist() == [0, 1] and rows["y"].dtype == "int32"
    assert data.from_csv(write("1;2\n3;4"), delimiter=";", target=-1)["y"].tolist() == [2, 4]
    some = data.from_csv(write("a,b,c\n1,x,3\n"), columns=["c", "a"])
    assert some["x"].tolist() == [[3, 1]] and some.names == ("x",)
    quoted = data.from_csv(write('kind,n\n"b, or\nc",1\na,2\n'), target=0)
    assert quoted["y"].tolist() == [1, 0] and quoted.classes == ("a", "b, or\nc")
    assert data.from_csv(write("1,2.5\n2,3.5\n"), target=1)["y"].tolist() == [2.5, 3.5]


def test_empty_values_become_nan_if_asked_for(write):
    path = write("a,b\n1,\n,4\n")
    found = data.from_csv(path, missing="nan")["x"]
    np.testing.assert_array_equal(found, [[1, np.nan], [np.nan, 4]])
    with pytest.raises(DataError, match=r"a.csv, line 3, column 'a': there is no value"):
        data.from_csv(path)


@pytest.mark.parametrize(
    ("text", "settings", "words"),
    [
        ("a,b\n1,2\n3,4\n5\n", {}, "line 4: 1 values, the lines before have 2"),
        ("a,b\n1,2,3\n3,4\n", {}, "line 2: 3 values, the lines before have 2"),
        ("a,b\n1,2\n3,four\n", {}, "line 3, column 'b': 'four' is no number"),
        ('a,b\n1,2\n3,"4\n5', {}, "line 4: unexpected end of data"),
        ("a,b\n", {}, "no lines with values"),
        ("", {}, "no lines with values"),
        ("a,b\n1,2\n", {"target": "c"}, "no column 'c'"),
        ("a,b\n1,2\n", {"target": 2}, "no column 2"),
        ("a,b\n1,\n", {"target": "b"}, "line 2, column 'b': there is no value"),
        ("a\n1\n", {"target": "a"}, "no column is left for x"),
        ("a\n1\n", {"missing": "drop"}, "missing is 'drop'"),
    ],
)
def test_bad_tables(write, text, settings, words):
    with pytest.raises(DataError, match=words) as caught:
        data.from_csv(write(text), **settings)
    assert "a.csv" in str(caught.value) or "missing" in settings


def test_text_in_another_encoding_is_named(tmp_path):
    (tmp_path / "a.csv").write_bytes("größe\n1\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"a.csv: 'utf-8"):
        data.from_csv(tmp_path / "a.csv")
    assert len(data.from_csv(tmp_path / "a.csv", encoding="latin-1")) == 1
    with pytest.raises(FileNotFoundError):
        data.from_csv(tmp_path / "b.csv")


# NPZ and NPY -------------------------------------------------------------------------------------


def test_archives_are_read_by_name(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.zeros((3, 2)), y=np.arange(3), n=5)
    rows = data.from_npz(path, ["y", "x"], as_dict=True)
    assert rows.names == ("y", "x") and set(next(iter(rows.batches(2)))) == {"x", "y"}
    for fields, words in ((["z"], "no array 'z'"), (None, "n has no rows")):
        with pytest.raises(DataError, match=words):
            data.from_npz(path, fields)
    np.savez(path, x=np.zeros(3), y=np.zeros(4))
    with pytest.raises(DataError, match=r"a.npz: lengths differ: x \(3,\), y \(4,\)"):
        data.from_npz(path)
    np.savez(path, x=np.array([None, 1]))
    with pytest.raises(DataError, match="allow_pickle"):
        data.from_npz(path)


def test_damaged_archives_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.random.default_rng(0).normal(size=500))
    content = bytearray(path.read_bytes())
    for size in (0, 3, 100, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(DataError, match=r"a.npz: "):
            data.from_npz(path)
    content[2000] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match="CRC"):
        data.from_npz(path)


def test_npy_files_are_mapped(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.arange(2000.0).reshape(1000, 2))
    rows = data.from_npy(path)
    assert isinstance(rows.columns["x"], np.memmap) and rows.take([3])["x"].tolist() == [[6, 7]]
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match=r"x.npy: "):
        data.from_npy(x=path)
    np.savez(tmp_path / "a.npz", x=np.zeros(2))
    with pytest.raises(DataError, match="from_npz"):
        data.from_npy(tmp_path / "a.npz")
    with pytest.raises(DataError, match="from_npy"):
        np.save(path, np.zeros(3))
        data.from_npz(path)


# Images ------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for name, value in (("cats", 10), ("dogs", 200)):
        (tmp_path / name).mkdir()
        for k in range(2):
            pixels = np.full((4, 6, 3), value + k, "uint8")
            pixels[..., 1] = 0
            image.fromarray(pixels).save(tmp_path / name / f"{k}.png")
    return tmp_path


def test_images_are_read_by_class(folder):
    rows = data.from_folder(folder, scale=False)
    assert rows.classes == ("cats", "dogs") and rows["y"].tolist() == [0, 0, 1, 1]
    assert rows["x"].shape == (4, 3, 4, 6) and rows["x"][:, 0, 0, 0].tolist() == [10, 11, 200, 201]
    assert not rows["x"][:, 1].any()
    small = data.from_folder(folder, size=(2, 3), grey=True)
    assert small["x"].shape == (4, 1, 2, 3) and 0 < small["x"].max() < 1
    bare = data.from_folder(folder / "cats")
    assert bare.names == ("x",) and len(bare) == 2


def test_bad_images_and_folders_are_named(folder):
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (5, 5)).save(folder / "dogs" / "9.png")
    with pytest.raises(DataError, match=r"9.png: height and width are \(5, 5\)"):
        data.from_folder(folder)["x"]
    assert len(data.from_folder(folder, size=(4, 4))["x"]) == 5
    whole = (folder / "dogs" / "0.png").read_bytes()
    (folder / "dogs" / "0.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"0.png: can't be read as an image"):
        data.from_folder(folder, size=(4, 4))["x"]
    (folder / "birds").mkdir()
    with pytest.raises(DataError, match="no image in the folders birds"):
        data.from_folder(folder)
    with pytest.raises(MissingDataError, match="no image in it"):
        data.from_folder(folder / "birds")
    with pytest.raises(MissingDataError, match="no such folder"):
        data.from_folder(folder / "fish")


# Optional packages -------------------------------------------------------------------------------


@pytest.fixture
def without(monkeypatch):
    """Make a package impossible to import."""

    def hide(package):
        for name in [m for m in sys.modules if m.split(".")[0] == package]:
            monkeypatch.delitem(sys.modules, name)

        class Finder:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] == package:
                    raise ImportError(name)

        monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])

    return hide


def test_without_optional_packages_errors_say_what_to_install(without, tmp_path, monkeypatch):
    without("sklearn")
    with pytest.raises(MissingPackageError, match="scikit-learn") as caught:
        data.digits()
    assert "pip install scikit-learn" in str(caught.value)
    assert isinstance(caught.value, ImportError)
    without("PIL")
    with pytest.raises(MissingPackageError) as caught:
        data.from_folder(tmp_path)
    assert "pip install Pillow" in str(caught.value)
    without("platformdirs")
    monkeypatch.delenv("GRAPHC_DATA_DIR", raising=False)
    with graphc.config(data_dir=""):
        assert data.data_folder().name == "graphc"


BUNDLED = {
    "digits": ((1797, 64), 10), "iris": ((150, 4), 3), "wine": ((178, 13), 3),
    "breast_cancer": ((569, 30), 2), "diabetes": ((442, 10), None), "linnerud": ((20, 3), None),
}  # fmt: skip


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_data(name):
    pytest.importorskip("sklearn")
    shape, classes = BUNDLED[name]
    with graphc.config(floatX="float32"):
        rows = getattr(data, name)().check(classes=classes)
    assert rows["x"].shape == shape and rows["x"].dtype == "float32"
    if classes:
        assert len(rows.classes) == classes and len(set(rows["y"].tolist())) == classes


def test_digits_as_images():
    pytest.importorskip("sklearn")
    assert data.digits(flat=False)["x"].shape == (1797, 1, 8, 8)
    assert data.digits()["x"].max() == 1


def test_the_page_about_data_runs(capsys):
    pytest.importorskip("sklearn")
    text = (Path(__file__).parent.parent / "docs" / "data.md").read_text("utf-8")
    with graphc.config(floatX="float64"):
        exec(compile(python_program(text), "data.md", "exec"), {"__name__": "data_page"})
    said = capsys.readouterr().out
    assert said.startswith("field 'y': label 9 in row 9 among 9 classes, 180 such rows;")
