"""Loops in which sizes depend on the step: they are interpreted, and right."""

import numpy as np
import pytest

import graphc
import graphc.tensor as T


@pytest.mark.parametrize(
    "part",
    [lambda x, t: x[:t], lambda x, t: x[x > t]],
    ids=["a slice", "a mask"],
)
def test_several_results_of_a_loop_whose_sizes_depend_on_the_step(part):
    x, n, c = T.dvector("x"), T.lscalar("n"), T.dscalar("c")
    y, _ = graphc.scan(lambda t, s: s + c * part(x, t).sum(), T.arange(1, n), 0.0)
    roots = [y, graphc.grad(y[-1], c), y.sum()]
    found, expected = (
        graphc.function([x, n, c], roots, mode=mode)(np.arange(4.0), 4, 2.0)
        for mode in ("native", "numpy")
    )
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b)
    np.testing.assert_allclose(2 * found[1], found[0][-1])
