"""The kernels of CUDA as a compiler sees them: vector accesses, shuffles, launches by sizes.

What they compute is in `cuda_kernel_cases.py`, which `test_cuda.py` runs in the simulator.
"""

import re
import struct

import numpy as np
import pytest
from cuda_fake import FakeDriver, in_use

import graphc
import graphc.tensor as T


@pytest.fixture(autouse=True)
def driver():
    with in_use(FakeDriver()) as made:
        yield made


def launched(build, *shapes, dtype="float32"):
    """The launches of a function of arrays of shapes: (source, grid, last argument)."""
    inputs = [T.TensorType(dtype, (None,) * len(s))(f"x{k}") for k, s in enumerate(shapes)]
    f = graphc.function(inputs, build(*inputs), target="cuda")
    f(*(np.ones(s, dtype) for s in shapes))
    (bound,) = f._program.bound.values()
    return [(x.source, x.grid, x.parts) for a in bound.linked.actions for x in a.launches]


def norm(x, scale):
    mean, variance = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)
    return (x - mean) / T.sqrt(variance + 1e-5) * scale


def count(word, text):
    return len(re.findall(rf"\b{word}\b", text))


# --- by sizes -------------------------------------------------------------------------


def test_vectors_where_rows_lie_apart_by_whole_ones():
    ways = {width: launched(lambda x, b: x * 2 + b, (64, width), (width,))[0][0]
            for width in (64, 66, 65)}  # fmt: skip
    assert "load4(x" in ways[64] and "store4(y0" in ways[64]
    assert "load2(x" in ways[66] and "load4" not in ways[66]
    assert "load" not in ways[65].replace("reload", "")
    ((source, _, _),) = launched(lambda x: x * 2, (64, 65))  # one long row, with a tail
    assert "load4(x1, i1)" in source and "while i1 < n_i1" in source
    ((source, _, _),) = launched(lambda x: x[:, ::2] * 2, (64, 64))
    assert "load" not in source
    ((source, _, _),) = launched(lambda x: x + 1, (64, 64), dtype="float64")
    assert "load2(x" in source


def test_a_thread_reads_a_row_that_fits_into_registers_once():
    for build, shapes in ((T.nnet.softmax, [(512, 4096)]), (norm, [(512, 2048), (2048,)])):
        ((source, grid, _),) = launched(build, *shapes)
        runs = shapes[0][1] // 4 // 256
        assert grid == 512 and len(re.findall(r"= load4\(x0, i0 \* ", source)) == runs
        assert len(re.findall(r"x0\[", source)) == 0
        assert "at_float32(place" not in source  # no scratch memory
    ((source, grid, _),) = launched(T.nnet.softmax, (512, 50_000))
    assert "at_float32(place" in source and source.count("while at < span") == 3


def test_teams_are_as_large_as_rows_want():
    for width, team, repeats in ((2, 1, 1), (8, 1, 2), (10, 4, 2), (64, 8, 2), (256, 32, 2),
                                 (512, 32, 4), (1000, 128, 2), (4096, 256, 4)):  # fmt: skip
        ((source, grid, _),) = launched(lambda x: x.max(axis=1), (10_000, width))
        assert ("member = thread % " in source) == (team < 256)
        if team < 256:
            assert f"member = thread % {team}\n" in source, width
            assert grid == -(-10_000 * team // 256)
        assert source.count("if ok_") == repeats, width


def test_blocks_share_rows_and_strips_that_are_few(driver):
    for build, shape in ((lambda x: x.sum(axis=1), (4, 1_000_000)),
                         (lambda x: x.argmax(axis=0), (100_000, 64))):  # fmt: skip
        (_, grid, parts), (_, last, again) = launched(build, shape)
        assert parts == again > 8 and grid > 500 and last < 4
        words = 2 if shape[1] == 64 else 1
        rows = min(shape)
        assert rows * parts * 8 * words in driver.allocated
    ((_, grid, parts),) = launched(lambda x: x.sum(axis=1), (4000, 10_000))
    assert grid == parts == 4000


def test_batches_of_like_sizes_share_their_kernels(driver):
    before = 0
    for rows in (1000, 1001, 1777):
        launched(lambda x, y: [T.nnet.softmax(x), x.sum(axis=1), T.exp(x) * y], *[(rows, 96)] * 2)
        found = len(driver.sources)
        before = found if rows == 1000 else before
        assert found == before


def test_every_exchange_is_a_statement_of_its_own():
    """In an operand of `or`, a shuffle would be run by some threads only."""
    texts = []
    for reduce in (T.max, T.argmax, T.sum, lambda x, axis: T.any(x > 0, axis)):
        for shape in ((64, 100), (64, 5000)):
            found = launched(lambda x, reduce=reduce: reduce(x, axis=1), shape)
            texts += [source for source, _, _ in found]
    assert all("shuffle_down" in text for text in texts)
    for text in texts:
        for line in text.splitlines():
            if "shuffle" in line:
                assert re.fullmatch(r" +\w+ = shuffle_(down|from)\(\w+, \w+\)", line), line


# --- PTX ------------------------------------------------------------------------------


def ptx_of(sources, capability=(8, 0)):
    from graphc.runtime.cuda.ptx import compile_ptx

    return [compile_ptx(s, capability) for s, _, _ in sources]


@pytest.mark.compiler
def test_vector_accesses_are_instructions():
    sources = launched(lambda x, y: [T.exp(x) * T.tanh(y), (x * y).sum()], (512, 512), (512, 512))
    text, _ = ptx_of(sources)
    assert count("ld.global.v4.f32", text) == 4 and count("st.global.v4.f32", text) == 2
    assert "div.u64" not in text and "div.s64" not in text
    (text,) = ptx_of(launched(lambda x: x * 2, (64, 64), dtype="float64"))
    assert count("ld.global.v2.f64", text) == 2 and count("st.global.v2.f64", text) == 2
    (text,) = ptx_of(launched(lambda x: x + 3, (64, 64), dtype="int8"))
    assert re.search(r"ld\.global\.v[248]\.(u8|b8|u16|u32|b32)", text)


@pytest.mark.compiler
def test_kernels_use_no_local_memory_and_no_generic_addresses():
    families = (
        launched(T.nnet.softmax, (512, 1000)), launched(norm, (64, 4096), (4096,)),
        launched(lambda x: x.sum(axis=0), (5000, 64)),
        launched(lambda x: [x.sum(axis=1), x.max(axis=1)], (4, 100_000)),
    )  # fmt: skip
    for sources in families:
        for text in ptx_of(sources):
            assert not re.search(r"\.local\b", text)
            assert not re.search(r"\b(ld|st)\.(v[24]\.)?[usbf]\d", text)


@pytest.mark.compiler
def test_warps_exchange_registers():
    whole, last = ptx_of(launched(lambda x: x.max(), (512, 512)))
    for text in (whole, last):
        assert count("shfl.sync.down.b32", text) == 5 and count("bar.sync", text) == 2
    (text,) = ptx_of(launched(lambda x: x.max(axis=1), (512, 128)))
    assert count("shfl.sync.down.b32", text) == 4 and count("shfl.sync.idx.b32", text) == 1
    assert "bar.sync" not in text and ".shared" not in text


@pytest.mark.compiler
@pytest.mark.parametrize("capability", [(8, 0), (9, 0)])
def test_machine_code_spills_nothing(capability):
    from graphc.runtime.cuda.store import cubin_of

    for sources in (launched(T.nnet.softmax, (512, 1000)), launched(norm, (64, 4096), (4096,)),
                    launched(lambda x, y: T.exp(x) * T.tanh(y) + 1, (99, 9), (99, 9))):  # fmt: skip
        for source, _, _ in sources:
            registers, frame = resources(cubin_of(source, capability))
            assert frame == 0 and registers <= 160, (registers, frame, source)


def resources(code):
    """The registers of a thread and the bytes of its stack, from a cubin file's ``.nv.info``."""
    table, size, number, names = (*struct.unpack_from("<Q", code, 40),
                                  *struct.unpack_from("<HHH", code, 58))  # fmt: skip
    sections = [struct.unpack_from("<IIQQQQ", code, table + k * size) for k in range(number)]
    found = {}
    for name, _, _, _, at, length in sections:
        start = sections[names][4] + name
        if not code[start : code.index(b"\0", start)].startswith(b".nv.info"):
            continue
        end = at + length
        while at < end:
            form, attribute, value = struct.unpack_from("<BBH", code, at)
            at += 4
            if form == 4:  # a value of so many bytes
                if attribute in (0x2F, 0x11):  # registers, frame: of symbol, so many
                    found[attribute] = struct.unpack_from("<II", code, at)[1]
                at += value
    return found[0x2F], found[0x11]
