"""CUDA kernels in the cache on disk: found again, never wrong, mended where damaged."""


import numpy as np
import pytest
from cuda_fake import FakeDriver

import graphc
import graphc.tensor as T
from graphc.runtime import cache as disk
from graphc.runtime.cuda import kernels, store
from graphc.runtime.cuda.driver import use_driver


@pytest.fixture
def compilations(tmp_path, monkeypatch):
    """An empty cache, and what is compiled into it."""
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path / "kernels"))
    made = []

    def compile_ptx(text, capability):
        made.append((text, capability))
        return f"// {capability}\n.visible .entry _Z{len(made)}k(\n{text}"

    monkeypatch.setattr(store, "compile_ptx", compile_ptx)
    return made


def test_ptx_is_compiled_once_per_source_and_capability(compilations):
    for _ in range(2):
        for text in ("a", "bb"):
            for capability in ((8, 0), (9, 0)):
                found = store.ptx_of(text, capability)
                assert found.endswith(text) and str(capability) in found
                assert ".entry kernel(" in found
    assert len(compilations) == 4 == len(disk.cache().entries())


def test_a_damaged_entry_is_compiled_again_with_a_warning(compilations):
    text = store.ptx_of("a", (8, 0))
    (entry,) = disk.cache().entries()
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-1] + b"?")
    with pytest.warns(UserWarning, match="unusable entry"):
        assert store.ptx_of("a", (8, 0)) == text
    assert len(compilations) == 2 and entry.read_bytes() == whole
    assert store.ptx_of("a", (8, 0)) == text and len(compilations) == 2


def test_keys_depend_on_all_that_code_depends_on(monkeypatch):
    keys = {store.key_of(*given) for given in (
        ("a", (8, 0), "ptx"), ("b", (8, 0), "ptx"), ("a", (9, 0), "ptx"), ("a", (8, 0), "cubin"),
    )}  # fmt: skip
    monkeypatch.setattr(store, "environment", lambda: "another compiler")
    keys.add(store.key_of("a", (8, 0), "ptx"))
    assert len(keys) == 5


@pytest.mark.compiler
def test_a_function_finds_its_kernels_again(tmp_path, monkeypatch):
    """PTX and machine code from NVIDIA's compiler and linker, then from the disk alone."""
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path / "kernels"))
    use_driver(FakeDriver())
    try:
        x = T.fmatrix("x")
        f = graphc.function([x], [T.exp(x).sum(), T.tanh(x) + x], target="cuda")
        f(np.ones((4, 3), "float32"))
        made = [(k.compiled.ptx((9, 0)), k.compiled.cubin((9, 0))) for k in f.kernels]
        assert all(code[:4] == b"\x7fELF" for _, codes in made for code in codes)

        def nothing(*given):
            raise AssertionError("compiled again")

        monkeypatch.setattr(store, "compile_ptx", nothing)
        again = [(k.compiled.ptx((9, 0)), k.compiled.cubin((9, 0))) for k in f.kernels]
        assert again == made
    finally:
        use_driver(None)


@pytest.mark.compiler
def test_the_linker_takes_kernels_of_both_capabilities(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path / "kernels"))
    for capability in ((8, 0), (9, 0)):
        code = store.cubin_of(kernels.COMPACT, capability)
        assert b".text.kernel\0" in code
