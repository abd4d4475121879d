"""Tiles of products and convolutions: which is chosen, and what the compiler makes of them.

What they compute is in `cuda_tile_cases.py`.
"""

import re
import struct
from itertools import product

import pytest

from graphc.passes.implicit import Implicit
from graphc.runtime.cuda import implicit, matrices, store, tiles

ALONG = tuple(product(("sum", "own"), repeat=2))


def convolution(kind, dtype, channels=64, stride=1):
    made = (56 // stride, 56 // stride)
    return Implicit(kind, dtype, 1, channels, 64, (56, 56), (3, 3), made, (stride,) * 2, (1, 1),
                    (1, 1))  # fmt: skip


def every_tile():
    for menus in (tiles.MENUS, tiles.IMPLICIT_MENUS):
        for dtype, menu in menus.items():
            for tile in (*menu.squares, menu.tall, menu.flat):
                yield menus is tiles.MENUS, dtype, tile


def test_every_tile_deals_its_strips_out_evenly_and_fits_shared_memory():
    for is_product, dtype, tile in every_tile():
        assert tile.shared(dtype) <= 48 * 1024 and tile.threads % 32 == 0 and tile.threads <= 256
        if is_product:
            sources = [matrices.tiled(tile, dtype, *along, 1) for along in ALONG]
        else:
            sources = [implicit.tiled(convolution(kind, dtype), tile, False)
                       for kind in ("forward", "input", "weight")]  # fmt: skip
        for source in sources:
            assert source.startswith(f"@bounded({tile.threads}, ")
            compile(source, "kernel", "exec")


def test_sizes_alone_choose_a_tile_and_how_many_blocks_share_a_sum():
    def chosen(m, n, k, stack=1, dtype="float32"):
        tile, parts = tiles.chosen(tiles.MENUS, dtype, m, n, stack, k, 256)
        return tile.rows, tile.columns, parts

    assert chosen(4096, 4096, 4096) == (128, 128, 1)
    assert chosen(1024, 1024, 1024) == (64, 64, 1)
    assert chosen(256, 256, 256) == (32, 32, 1)
    assert chosen(128, 128, 1 << 20) == (32, 32, 16)
    assert chosen(1 << 20, 1, 64) == (64, 8, 1) and chosen(3, 10_000, 64) == (8, 64, 1)
    assert chosen(8, 8, 1 << 20) == (32, 32, 256)
    assert chosen(64, 64, 64, stack=1000) == (64, 64, 1)
    assert chosen(33, 33, 64, stack=1000) == (64, 64, 1)
    assert chosen(65, 65, 64, stack=1000) == (32, 32, 1)
    assert chosen(4096, 4096, 64, dtype="float64") == (128, 64, 1)
    assert tiles.chosen(tiles.MENUS, "float32", 4096, 4096, 1, 64, 4)[0].threads == 4


@pytest.mark.compiler
def test_sums_stay_in_registers_and_words_have_16_bytes():
    from graphc.runtime.cuda.ptx import compile_ptx

    large, square = tiles.MENUS["float32"].squares[0], tiles.IMPLICIT_MENUS["float32"].squares[0]
    gradient = implicit.tiled(convolution("weight", "float32"), square, False)
    cases = (
        (matrices.tiled(large, "float32", "sum", "own", 1), (9, 0), large, 4, "v4.b32"),
        (gradient, (8, 0), square, 3, ""),
        (matrices.tiled(large, "float16", "sum", "own", 1), (8, 0), large, 4, ""),
    )
    for source, capability, tile, reads, loads in cases:
        text = compile_ptx(source, capability)
        assert ".local" not in text and text.count("bar.sync") == 1 and "call" not in text
        assert f".maxntid {tile.threads}" in text and ".minnctapersm" in text
        copies = max(1, tiles.TOGETHER // (tile.high * tile.wide))
        products = len(re.findall(r"fma\.rn\.f\d\d", text))
        words = len(re.findall(r"ld\.shared\.v[24]", text))
        assert words % (reads * copies) == 0 and words, words
        assert products >= tile.high * tile.wide * words // reads
        assert not re.search(r"ld\.shared\.[bf]", text)
        found = re.findall(r"ld\.global\.(v\d\.\w\d\d)", text)
        kinds = [re.sub("[bfu]", "b", f) for f in found]
        assert not loads or re.sub("[bfu]", "b", loads) in kinds, found
        if "_float16" in source:
            assert len(re.findall(r"ld\.global\.[bu]64", text)) > 14, text  # 4 halves each
        assert ("cvt.f32.f16" in text) == ("cvt.rn.f16.f32" in text) == ("_float16" in source)


def registers_of(code):
    """The most registers of a function (the kernel's; divisions are calls) in NVIDIA's ELF file."""
    (first,), (_, count, names) = (struct.unpack_from("<Q", code, 0x28),
                                   struct.unpack_from("<3H", code, 0x3A))  # fmt: skip
    sections = [struct.unpack_from("<IIQQQQ", code, first + 64 * k) for k in range(count)]
    text = sections[names][4]
    (info,) = (s for s in sections if code[text + s[0] :].startswith(b".nv.info\0"))
    at, end, found = info[4], info[4] + info[5], []
    while at < end:
        form, what, size = struct.unpack_from("<BBH", code, at)
        if (form, what) == (4, 0x2F):  # what is known as EIATTR_REGCOUNT
            found.append(struct.unpack_from("<II", code, at + 4)[1])
        at += 4 + (size if form == 4 else 0)
    return max(found)


@pytest.mark.compiler
def test_stored_machine_code_keeps_to_the_registers_of_its_bounds(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path))
    large = tiles.MENUS["float32"].squares[0]
    source = matrices.tiled(large, "bfloat16", "own", "sum", 0, "float32")
    bound = re.search(r"@bounded\((\d+), (\d+)\)", source)
    threads, blocks = map(int, bound.groups())
    assert (threads, blocks) == (256, 2)
    given = [registers_of(store.cubin_of(text, (9, 0)))
             for text in (source, source.replace(bound[0], f"@bounded({threads}, 1)"))]  # fmt: skip
    assert given[0] <= 65536 // (threads * blocks) < given[1] <= 255, given
