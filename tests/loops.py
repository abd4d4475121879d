"""What the tests of loops share: variables, values, and a run in both modes."""

import numpy as np

import graphc
import graphc.tensor as T

MODES = ("numpy", "native")
X = np.arange(12.0).reshape(6, 2) / 10
LINE = np.array([0.3, -0.2, 0.5, 0.1, -0.4, 0.25])
MATRIX = np.array([[0.4, -0.3], [0.2, 0.7]])

x, v, w = T.dmatrix("x"), T.dvector("v"), T.dvector("w")
a, n = T.dscalar("a"), T.lscalar("n")


def run(outputs, given=(), updates=None):
    """The values with NumPy, after comparing what is native with them."""
    given = dict(given)
    shared = list(updates or {})
    before = [s.get_value() for s in shared]
    found = {}
    for mode in MODES:
        for s, value in zip(shared, before):
            s.set_value(value)
        f = graphc.function(list(given), outputs, updates=updates, mode=mode)
        made = f(*given.values())
        found[mode] = made if isinstance(made, list) else [made]
    for a, b in zip(*found.values(), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-12)
    return found["numpy"] if isinstance(outputs, list) else found["numpy"][0]


def close(found, expected):
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
