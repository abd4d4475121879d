"""Which scatters of CUDA become atomic additions, and as what a compiler sees these.

What they compute is in `cuda_atomic_cases.py`, which `test_cuda.py` runs in the simulator.
"""

from dataclasses import replace

import numpy as np
import pytest
from cuda_fake import FakeDriver, in_use

import graphc
import graphc.tensor as T
from graphc.core.kernel import Let, Load
from graphc.runtime.cuda.atomics import addition_of
from graphc.runtime.cuda.emit import form_of

DTYPES = ("float32", "float64", "int32", "int64")


@pytest.fixture(autouse=True)
def driver():
    with in_use(FakeDriver()) as made:
        yield made


def scatter(dtype, deterministic=False, rows=1000, columns=2):
    """A function that adds rows to a table, called once, and its scatter's step."""
    x, v, i = T.matrix("x", dtype), T.matrix("v", dtype), T.lvector("i")
    with graphc.config(cuda_deterministic=deterministic):
        f = graphc.function([x, v, i], T.inc_subtensor(x[i], v), target="cuda")
    f(np.ones((7, columns), dtype), np.ones((rows, columns), dtype), np.zeros(rows, "int64"))
    (step,) = (s for s in f.plan.steps if s.kernel is not None and form_of(s.kernel) == "scatter")
    return f, step


def test_all_additions_are_dealt_out(driver):
    """A grid for all elements of the rows, where the ordered form has one for the columns."""
    grids = []
    for deterministic in (True, False):
        driver.calls.clear()
        _, step = scatter("float32", deterministic)
        grids += [grid for _, kernel, grid, _, _ in driver.launches() if kernel == step.label]
    assert grids == [1, -(-1000 * 2 // 256)]


def test_the_setting_is_read_when_a_function_is_compiled():
    ordered, step = scatter("float32", deterministic=True)
    assert "atomic" not in step.source and not any("atomic" in n for n in ordered.plan.notes)
    free, step = scatter("float32")
    assert "cuda.atomic.add(y0, " in step.source and "y0[" not in step.source
    assert [n for n in free.plan.notes if "atomic" in n] == [
        f"{step.label}: atomic additions, in no fixed order"
    ]
    assert graphc.config.cuda_deterministic is True
    with pytest.raises(ValueError, match="graphc.config.cuda_deterministic may be True, False"):
        graphc.config.cuda_deterministic = "mostly"


def test_nests_that_see_their_own_results_keep_their_order():
    _, step = scatter("float32")
    kernel = step.kernel
    (old,) = (s for s in kernel.row if isinstance(s, Load) and s.operand == "y0")
    *front, store = kernel.row
    value = store.adds
    assert addition_of(kernel).store == store

    def changed(row=None, **options):
        return addition_of(replace(kernel, row=kernel.row if row is None else row, **options))

    narrow = [replace(o, dtype="float16") for o in kernel.operands]
    of_value = next(s.operand for s in kernel.row if isinstance(s, Load) and s.name == value)
    wide = [replace(o, dtype="float64") if o.name == of_value else o for o in kernel.operands]
    shared = [replace(o, alias="y0") if o.name == of_value else o for o in kernel.operands]
    for refused in (
        changed([*front, replace(store, adds="")]),  # who knows what the sum is
        changed([*front, replace(store, offset="v9")]),  # another place than was loaded
        changed([*front, store, store]),
        changed([*front, replace(old, name="again"), store]),
        changed([*front, Let("more", f"float32({old.name} * 2)"), store]),
        changed([*front, Let("more", f"float32({store.value} * 2)"), store]),
        changed([s for s in kernel.row if s is not old]),
        changed(operands=narrow),
        changed(operands=wide),  # the sum is rounded once, from float64
        changed(operands=shared),  # what is added lies where others write
        changed(top=[Let("one", "float32(1)")]),
        addition_of(replace(kernel, axes=())),
    ):
        assert refused is None


@pytest.mark.compiler
@pytest.mark.parametrize("capability", [(8, 0), (9, 0)])
def test_ptx_adds_to_global_memory(capability):
    from graphc.runtime.cuda.ptx import compile_ptx

    for dtype in DTYPES:
        _, step = scatter(dtype)
        text = compile_ptx(step.source, capability)
        kind = dtype.replace("float", "f").replace("int", "u")  # of integers the bits are the same
        adds = [line.split()[0] for line in text.splitlines() if f".add.{kind}" in line
                and line.split()[0].startswith(("atom.", "red."))]  # fmt: skip
        assert adds and all(".global." in a for a in adds), (dtype, adds)
        assert f"st.global.{kind}" not in text and "atom.cas" not in text
        _, step = scatter(dtype, deterministic=True)
        text = compile_ptx(step.source, capability)
        assert "atom." not in text and "red." not in text
