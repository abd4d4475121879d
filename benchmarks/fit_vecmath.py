"""Derive the polynomials of graphc.runtime.vecmath and print runtime/vecmath/coefficients.py.

Run: ``python benchmarks/fit_vecmath.py [TABLE ...]``.

Each polynomial minimises the largest weighted error ``weight(t) * |p(t) - target(t)|`` on an
interval (Remez' exchange on a fine grid, 50 digits). The lowest coefficients are rounded to the
format one at a time and the rest is fitted again around them, so that rounding costs next to
nothing. The errors are relative to the function that the polynomial serves, in units of the
format's half last place (``2**-24`` or ``2**-53``).
"""

import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from mpmath import mp, mpf

mp.dps = 50
PRECISION = {"float32": 24, "float64": 53}
Scalar = Callable[[mpf], mpf]


@dataclass(frozen=True)
class Fit:
    """One polynomial: its use, target, error weight, interval and degree per format."""

    formula: str
    target: Scalar
    weight: Scalar
    interval: tuple[float, float]
    degrees: dict[str, int]
    refitted: int = 4


def chebyshev_grid(low: mpf, high: mpf, count: int) -> list[mpf]:
    """Points that crowd towards both ends, without those next to zero, where targets are 0/0."""
    middle, half = (low + high) / 2, (high - low) / 2
    points = [middle - half * mp.cos(mp.pi * i / (count - 1)) for i in range(count)]
    return [p for p in points if abs(p) > half / 100]


def exchange(grid: list[mpf], target: list[mpf], weight: list[mpf], degree: int) -> list[mpf]:
    """Coefficients, lowest first, of the minimax polynomial on the grid."""
    size, last = degree + 2, len(grid) - 1
    chosen = [round(last * i / (size - 1)) for i in range(size)]
    best: tuple[mpf, list[mpf]] = (mp.inf, [])
    for _ in range(30):
        rows = mp.matrix(size, size)
        right = mp.matrix(size, 1)
        for i, k in enumerate(chosen):
            for j in range(degree + 1):
                rows[i, j] = grid[k] ** j
            rows[i, degree + 1] = (-1) ** i / weight[k]
            right[i] = target[k]
        solution = mp.lu_solve(rows, right)
        coefficients, level = list(solution[: degree + 1]), abs(solution[degree + 1])
        error = [w * (mp.polyval(coefficients[::-1], t) - g)
                 for t, g, w in zip(grid, target, weight, strict=True)]
        best = min(best, (max(abs(e) for e in error), coefficients), key=lambda pair: pair[0])
        if best[0] <= level * mpf("1.01"):
            break
        chosen = alternation(error, size)
    return best[1]


def alternation(error: list[mpf], size: int) -> list[int]:
    """Indices of ``size`` extrema of alternating sign, the largest kept."""
    peaks: list[int] = []
    for k in range(len(error)):
        if peaks and (error[k] > 0) == (error[peaks[-1]] > 0):
            if abs(error[k]) > abs(error[peaks[-1]]):
                peaks[-1] = k
        else:
            peaks.append(k)
    while len(peaks) > size:
        peaks.pop(0 if abs(error[peaks[0]]) < abs(error[peaks[-1]]) else -1)
    if len(peaks) < size:
        raise ArithmeticError(f"only {len(peaks)} alternations for {size}: the degree is too high")
    return peaks


def rounded(value: mpf, precision: int) -> mpf:
    """The nearest number of that precision."""
    with mp.workprec(precision):
        return +value


def fit(task: Fit, name: str) -> tuple[list[mpf], float]:
    """Coefficients of ``task`` for the format ``name``, and the error in half units."""
    precision, degree = PRECISION[name], task.degrees[name]
    low, high = (mpf(str(end)) for end in task.interval)
    grid = chebyshev_grid(low, high, 40 * (degree + 2))
    exact = [task.target(t) for t in grid]
    weight = [task.weight(t) for t in grid]
    target, scaled, done = list(exact), list(weight), []
    for remaining in range(degree, -1, -1):
        coefficients = exchange(grid, target, scaled, remaining)
        if len(done) == task.refitted:
            done += [rounded(c, precision) for c in coefficients]
            break
        done.append(rounded(coefficients[0], precision))
        target = [(g - done[-1]) / t for g, t in zip(target, grid, strict=True)]
        scaled = [w * abs(t) for w, t in zip(scaled, grid, strict=True)]
    worst = max(abs(w * (mp.polyval(done[::-1], t) - g))
                for t, g, w in zip(grid, exact, weight, strict=True))
    return done, float(worst * 2**precision)


def scaled_erfc(x: mpf) -> mpf:
    """``(1 + x) exp(x**2) erfc(x)``."""
    return (1 + x) * mp.exp(x * x) * mp.erfc(x)


def stirling(x: mpf) -> mpf:
    """What Stirling's formula leaves out of ``log(gamma(x))``, about ``1 / (12 x)``."""
    return mp.loggamma(x) - (x - mpf(1) / 2) * mp.log(x) + x - mp.log(2 * mp.pi) / 2


def inverse_erfc(q: mpf) -> mpf:
    """The y of ``erfc(y) = q``."""
    if q > mpf("0.1"):
        return mp.erfinv(1 - q)
    y = mp.sqrt(-mp.log(q * mp.sqrt(-mp.log(q))))
    for _ in range(6):
        y += mp.log(mp.erfc(y) / q) * mp.erfc(y) * mp.exp(y * y) * mp.sqrt(mp.pi) / 2
    return y


def erfinv_centre(w: mpf) -> mpf:
    """``erfinv(x) / x`` with ``w = -log(1 - x**2)``."""
    if w < mpf("1e-12"):
        return mp.sqrt(mp.pi) / 2
    x = mp.sqrt(-mp.expm1(-w))
    return mp.erfinv(x) / x


def erfinv_tail(u: mpf) -> mpf:
    """``erfinv(x) u`` with ``1 / u**2 = -log(1 - x**2)``."""
    e = mp.exp(-1 / u**2)
    return inverse_erfc(e / (1 + mp.sqrt(1 - e))) * u


DIGAMMA_ZERO = mp.findroot(mp.digamma, 1.46)
FITS = {
    "EXP": Fit(
        "exp(r) = 1 + r + r**2 p(r)",
        lambda r: (mp.expm1(r) - r) / r**2, lambda r: r**2 / mp.exp(r),
        (-0.34658, 0.34658), {"float32": 4, "float64": 9}),
    "EXP2": Fit(
        "2**r = 1 + r p(r)",
        lambda r: mp.expm1(r * mp.log(2)) / r, lambda r: abs(r) / mp.mpf(2)**r,
        (-0.5, 0.5), {"float32": 5, "float64": 11}),
    "LOG": Fit(
        "log(1 + f) = f - f**2 / 2 + f**3 p(f)",
        lambda f: (mp.log1p(f) - f + f**2 / 2) / f**3, lambda f: abs(f**3 / mp.log1p(f)),
        (-0.29290, 0.41422), {"float32": 7}),
    "LOG_QUOTIENT": Fit(
        "log(1 + f) = 2 s + s z p(z), s = f / (2 + f), z = s**2",
        lambda z: (mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 1) * 2 / z,
        lambda z: z, (0, 0.02944), {"float64": 6}),
    "LOG_UNIT": Fit(
        "log(1 + z) = z p(z)",
        lambda z: mp.log1p(z) / z, lambda z: z / mp.log1p(z),
        (0, 1), {"float32": 9, "float64": 21}),
    "LOG2_36_BITS": Fit(
        "log2(1 + f) = f p(f)",
        lambda f: mp.log1p(f) / mp.log(2) / f, lambda f: f * mp.log(2) / mp.log1p(f),
        (-0.29290, 0.41422), {"float64": 14}),
    "EXP2_33_BITS": Fit(
        "2**r = 1 + r p(r)",
        lambda r: mp.expm1(r * mp.log(2)) / r, lambda r: abs(r) / mp.mpf(2)**r,
        (-0.5, 0.5), {"float64": 6}),
    "ARTANH": Fit(
        "artanh(s) = s + s**3 / 3 + s z**2 p(z), z = s**2",
        lambda z: (mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 1 - z / 3) / z**2,
        lambda z: z**2, (0, 0.02944), {"float64": 7}),
    "SIN": Fit(
        "sin(r) = r + r z p(z), z = r**2",
        lambda z: (mp.sin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
        lambda z: z * mp.sqrt(z) / mp.sin(mp.sqrt(z)),
        (0, 0.92), {"float32": 2, "float64": 6}),
    "COS": Fit(
        "cos(r) = 1 - z / 2 + z**2 p(z), z = r**2",
        lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2,
        lambda z: z**2 / mp.cos(mp.sqrt(z)),
        (0, 0.92), {"float32": 2, "float64": 5}),
    "TAN": Fit(
        "tan(r) = r + r z p(z), z = r**2",
        lambda z: (mp.tan(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
        lambda z: z * mp.sqrt(z) / mp.tan(mp.sqrt(z)),
        (0, 0.92), {"float32": 7}),
    "TAN_DOUBLE": Fit(
        "the same to pi / 4",
        lambda z: (mp.tan(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
        lambda z: z * mp.sqrt(z) / mp.tan(mp.sqrt(z)),
        (0, 0.63), {"float64": 13}),
    "SINH": Fit(
        "sinh(x) = x + x z p(z), z = x**2",
        lambda z: (mp.sinh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
        lambda z: z * mp.sqrt(z) / mp.sinh(mp.sqrt(z)),
        (0, 1), {"float32": 2, "float64": 6}),
    "ARCSIN": Fit(
        "arcsin(x) = x + x z p(z), z = x**2",
        lambda z: (mp.asin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
        lambda z: z * mp.sqrt(z) / mp.asin(mp.sqrt(z)),
        (0, 0.25), {"float32": 4, "float64": 11}),
    "ARCTAN": Fit(
        "arctan(x) = x + x z p(z), z = x**2",
        lambda z: (mp.atan(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
        lambda z: z * mp.sqrt(z) / mp.atan(mp.sqrt(z)),
        (0, 0.25), {"float32": 4, "float64": 13}),
    "ERF_SMALL": Fit(
        "erf(x) = x + x p(z), z = x**2",
        lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1,
        lambda z: mp.sqrt(z) / mp.erf(mp.sqrt(z)),
        (0, 1), {"float32": 6, "float64": 11}),
    "ERF_LARGE": Fit(
        "erf(x) = 1 - exp(-x p(x))",
        lambda x: -mp.log(mp.erfc(x)) / x,
        lambda x: x * mp.erfc(x) / mp.erf(x),
        (0.95, 4), {"float32": 6}),
    "ERFC": Fit(
        "(1 + x) exp(x**2) erfc(x) = p(t), t = (x - 3) / (x + 3)",
        lambda t: scaled_erfc(3 * (1 + t) / (1 - t)),
        lambda t: 1 / scaled_erfc(3 * (1 + t) / (1 - t)),
        (-0.61, 0.803), {"float64": 19}, 2),
    "ERFC_SINGLE": Fit(
        "the same as far as float32 reaches",
        lambda t: scaled_erfc(3 * (1 + t) / (1 - t)),
        lambda t: 1 / scaled_erfc(3 * (1 + t) / (1 - t)),
        (-0.61, 0.55), {"float32": 8}, 2),
    "GAMMALN_MIDDLE": Fit(
        "log(gamma(2 + s)) = s p(s)",
        lambda s: mp.loggamma(2 + s) / s, lambda s: abs(s / mp.loggamma(2 + s)),
        (-0.8, 0.2), {"float64": 20}, 2),
    "GAMMALN_STIRLING": Fit(
        "log(gamma(x)) = (x - 1/2) (log(x) - 1) + (log(2 pi) - 1) / 2 + p(z) / x, z = 1 / x**2",
        lambda z: stirling(1 / mp.sqrt(z)) / mp.sqrt(z),
        lambda z: mp.sqrt(z) / abs(mp.loggamma(1 / mp.sqrt(z))),
        (0, 0.015625), {"float64": 6}),
    "GAMMA_MIDDLE": Fit(
        "gamma(2 + s) = p(s)",
        lambda s: mp.gamma(2 + s), lambda s: 1 / mp.gamma(2 + s),
        (-0.5, 0.5), {"float64": 19}, 2),
    "GAMMA_STIRLING": Fit(
        "gamma(x) = sqrt(2 pi) x**(x - 1/2) exp(-x) p(1 / x)",
        lambda t: mp.exp(stirling(1 / t)), lambda t: mp.exp(-stirling(1 / t)),
        (0, 0.125), {"float64": 10}),
    "DIGAMMA_MIDDLE": Fit(
        "digamma(2 + s) = (2 + s - x0) p(s), x0 its zero",
        lambda s: mp.digamma(2 + s) / (2 + s - DIGAMMA_ZERO),
        lambda s: (2 + s - DIGAMMA_ZERO) / mp.digamma(2 + s),
        (-0.8, 0.2), {"float64": 20}, 2),
    "DIGAMMA_STIRLING": Fit(
        "digamma(x) = log(x) - 1 / (2 x) - z p(z), z = 1 / x**2",
        lambda z: (mp.log(1 / mp.sqrt(z)) - mp.sqrt(z) / 2 - mp.digamma(1 / mp.sqrt(z))) / z,
        lambda z: z / mp.digamma(1 / mp.sqrt(z)),
        (0, 0.015625), {"float64": 7}),
    "ERFINV_CENTRE": Fit(
        "erfinv(x) = x p(w - 3), w = -log(1 - x**2)",
        lambda v: erfinv_centre(v + 3), lambda v: 1 / erfinv_centre(v + 3),
        (-3, 3.01), {"float64": 12}, 1),
    "ERFINV_TAIL": Fit(
        "erfinv(x) = s p(1 / s), s**2 = -log(1 - x**2)",
        erfinv_tail, lambda u: 1 / erfinv_tail(u),
        (0.0366, 0.41), {"float64": 13}, 1),
}


def table(key: str) -> str:
    """One table as Python source, with the errors as comments."""
    lines = [f"# {FITS[key].formula}", f"{key} = {{"]
    for name in FITS[key].degrees:
        coefficients, error = fit(FITS[key], name)
        numbers = [repr(c.item() if name == "float64" else float(str(c)))
                   for c in np.array([float(c) for c in coefficients]).astype(name)]
        body = textwrap.wrap(", ".join(numbers) + ",", 88)
        lines += [f'    "{name}": (  # error {error:.2f} half units']
        lines += [f"        {line}" for line in body] + ["    ),"]
    return "\n".join([*lines, "}"])


HEADER = '''"""Polynomials of vector maths, lowest order first.

Printed by ``benchmarks/fit_vecmath.py``. The errors are relative to the function that the
polynomial serves, in units of ``2**-24`` (float32) and ``2**-53`` (float64), which are half the
last place of 1.
"""
'''


def main(keys: list[str]) -> None:
    """Print the tables asked for, or the whole module."""
    if not keys:
        print(HEADER)
    print("\n\n".join(table(key) for key in keys or FITS))


if __name__ == "__main__":
    main(sys.argv[1:])
