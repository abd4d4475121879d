"""The command line, run in this process."""

import numpy as np
import pytest
from cuda_fake import FakeLibrary

import graphc
import graphc.commands.cache
from graphc import cli, demo, doctor
from graphc.runtime.cuda import probe


def test_version_is_the_package_s(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == f"graphc {graphc.__version__}"


def test_without_a_command_the_usage_is_shown(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([])
    assert end.value.code == 2
    assert "usage: graphc" in capsys.readouterr().err


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What a demo of one epoch says and leaves behind."""
    pytest.importorskip("sklearn")
    out = tmp_path_factory.mktemp("demo") / "new" / "folder"
    said = []
    history = demo.run(demo.Settings(epochs=1), out, said.append)
    return history, out, said


def test_the_demo_learns(trained):
    history, _, said = trained
    assert len(history.test) == 1 and history.test[0] > 0.85
    assert any(line.startswith("epoch   1/1") for line in said)
    assert any(line.startswith("test accuracy") for line in said)


def test_the_demo_leaves_curves_weights_and_a_report(trained):
    from safetensors.numpy import load_file

    _, out, said = trained
    assert sorted(p.name for p in out.iterdir()) == sorted(demo.FILES)
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    weights = load_file(out / "weights.safetensors")
    assert weights["hidden0.W"].shape == (64, 256)
    assert all(np.isfinite(w).all() for w in weights.values())
    report = (out / "report.txt").read_text("utf-8")
    for part in ("rules fired", "log_softmax", "plan of step", "def kernel(", "demo.py:"):
        assert part in report
    for name in demo.FILES:
        assert any(str(out / name) in line for line in said)


def test_the_demo_runs_from_the_command_line(tmp_path, capsys):
    pytest.importorskip("sklearn")
    out = tmp_path / "out"
    assert cli.main(["demo", "--epochs", "1", "--mode", "numpy", "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert "test accuracy" in captured.out and str(out / "curves.png") in captured.out
    assert "training" in captured.err  # the progress bar


def test_modes_agree_on_what_the_demo_computes():
    pytest.importorskip("sklearn")
    data = demo.load_digits()
    losses = []
    for mode in ("numpy", "native"):
        model = demo.build(demo.Settings(mode=mode), data)
        batches = -(-len(data.train_x) // demo.Settings().batch)
        losses.append([float(model.step(k)) for k in (0, 1, batches - 1)])
    np.testing.assert_allclose(*losses, rtol=1e-4)


def test_missing_extras_are_named_with_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(demo.EXTRAS, "no_such_module", "no-such-package")
    assert cli.main(["demo"]) == 1
    message = capsys.readouterr().err
    assert "no-such-package" in message and "pip install 'graphc[demo]'" in message


def test_images_are_moved_but_not_much():
    images = np.zeros((2, 64), "float32")
    images[:, 27] = 1
    moved = demo.shifted(images, 0.5, np.random.RandomState(0))
    assert moved.shape == images.shape and moved.dtype == np.float32
    np.testing.assert_allclose(moved.sum(axis=1), 1, rtol=1e-6)
    assert (moved.argmax(axis=1) == 27).all() and (moved[:, 27] < 1).all()


def test_the_doctor_finds_this_machine_well(capsys):
    assert cli.main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == "all is well"
    assert "BAD" not in said and "a function compiled without any cache and was right" in said


def test_the_doctor_goes_on_after_a_failure(monkeypatch, capsys):
    def broken():
        raise OSError("it hurts here")
        yield

    monkeypatch.setattr(doctor, "CHECKS", (broken, *doctor.CHECKS[:1]))
    assert cli.main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "BAD   broken: OSError: it hurts here" in said and "ok    Python" in said


def test_the_cache_is_shown_and_emptied(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path / "kernels"))
    x = graphc.tensor.dvector("x")
    constant = float(np.random.RandomState().uniform())
    graphc.function([x], graphc.tensor.tanh(x) ** 3 + constant, mode="native")(np.ones(3))
    assert cli.main(["cache"]) == 0
    assert str(tmp_path) in capsys.readouterr().out
    assert cli.main(["cache", "--clear"]) == 0
    assert cli.main(["cache"]) == 0
    assert ": 0, 0 B" in capsys.readouterr().out.splitlines()[-1]


def test_ctrl_c_ends_without_a_traceback(monkeypatch, capsys):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(graphc.commands.cache, "run", interrupted)
    assert cli.main(["cache"]) == 130
    assert capsys.readouterr().err.strip() == "stopped"


def test_the_doctor_names_the_devices_of_a_driver(monkeypatch):
    made = FakeLibrary([("NVIDIA One", (9, 0), 80 << 30), ("NVIDIA Two", (3, 5), 4 << 30)])
    versions = {"nvidia-nvvm": "13.1.2", "numba-cuda": "0.30", "nvmath-python": None}
    monkeypatch.setattr(probe, "library", lambda: made)
    monkeypatch.setattr(probe, "installed", versions.get)
    versions_line, lacks, one, two = doctor._device()
    assert versions_line.what == (
        "CUDA: the driver serves CUDA 13.0, the installed compiler is of CUDA 13.1; numba-cuda 0.30"
    )
    assert lacks.state == "note" and "cuBLAS needs nvmath-python" in lacks.what
    assert one.what == "device cuda NVIDIA One, compute capability 9.0, 80.0 GiB"
    assert two.state == "note" and "cuda:1 NVIDIA Two" in two.what and "7.5 and above" in two.what
    made.version = 12080
    assert "too old" in list(doctor._device())[-1].what  # the driver, for a compiler of CUDA 13
    made.code = 100
    (finding,) = doctor._device()
    assert finding.state == "note" and "error 100" in finding.what
    monkeypatch.setattr(probe, "library", lambda: None)
    (finding,) = doctor._device()
    assert finding.what == "there is no NVIDIA driver: CPU only (with numba-cuda 0.30)"


def test_the_doctor_tells_of_too_many_threads(monkeypatch):
    from graphc.runtime import blas, team

    monkeypatch.setattr(team, "cores", lambda: 2)
    monkeypatch.setattr(blas, "threads", lambda: (0, 64))
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    (finding,) = doctor._threads()
    assert finding.state == "note" and "OMP_NUM_THREADS=2" in finding.advice
    assert "64 for BLAS, OMP_NUM_THREADS=64" in finding.what
