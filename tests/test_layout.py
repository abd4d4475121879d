"""The rooms of the project: who imports whom, under which names, and what gets installed."""

import ast
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import NamedTuple

import networkx as nx
import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
FOLDERS = {
    "graphc": "graphc",
    "graphc.ops": "ops",
    "graphc.passes": "passes",
    "graphc.runtime": "runtime",
}

# Each room, and the rooms it may import from. Whatever is in none of the others is the facade.
MAY_IMPORT = {
    "graphc.core": {"graphc.core"},
    "graphc.ops": {"graphc.core", "graphc.ops"},
    "graphc.passes": {"graphc.core", "graphc.ops", "graphc.passes"},
    "graphc.runtime": {"graphc.core", "graphc.runtime"},
    "graphc": {"graphc.core", "graphc.ops", "graphc.passes", "graphc.runtime", "graphc"},
}
# Libraries that only the runtime may import. An op may name a SciPy function as its meaning.
OF_THE_RUNTIME = re.compile(
    r"(numba|numba_cuda|llvmlite|cuda|cupy|mpi4py"
    r"|scipy\.linalg\.(blas|lapack|cython_blas|cython_lapack))(\.|$)"
)
# Libraries that `import graphc` must not load: each of them costs a user tenths of a second.
HEAVY = {"numba", "llvmlite", "scipy", "networkx", "matplotlib", "sklearn", "safetensors", "mpi4py"}


class Import(NamedTuple):
    """One imported name, as written in `module` at `line`."""

    module: str
    line: int
    target: str  # the module imported, or imported from
    name: str | None  # what `from target import name` takes out of it
    inside: bool  # within a function, so run late or never
    typing_only: bool  # under `if TYPE_CHECKING:`

    def __str__(self):
        what = f"from {self.target} import {self.name}" if self.name else f"import {self.target}"
        return f"{source_of(self.module)}:{self.line}: {what}"


def find_modules() -> dict[str, Path]:
    """Every module of the project under the name it is installed by."""
    modules = {}
    for package, folder in FOLDERS.items():
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            parts = path.relative_to(CHECKOUT / folder).with_suffix("").parts
            if parts[-1] == "__init__":
                parts = parts[:-1]
            modules[".".join([package, *parts])] = path
    return modules


MODULES = find_modules()


def source_of(module: str) -> Path:
    return MODULES[module].relative_to(CHECKOUT)


def is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def room_of(module: str) -> str:
    return next(room for room in MAY_IMPORT if is_within(module, room))


def read_imports(module: str, source: str, is_package: bool = False) -> Iterator[Import]:
    """All imports of a module's source: also those inside functions and conditions."""
    pending = [(child, False, False) for child in ast.parse(source).body]
    while pending:
        node, inside, typing_only = pending.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, node.lineno, alias.name, None, inside, typing_only)
        elif isinstance(node, ast.ImportFrom):
            target = node.module or ""
            if node.level:
                parents = module.split(".")
                parents = parents[: len(parents) - node.level + is_package]
                target = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(module, node.lineno, target, alias.name, inside, typing_only)
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            pending += [(child, inside, True) for child in node.body]
            pending += [(child, inside, typing_only) for child in node.orelse]
        else:
            pending += [(child, inside, typing_only) for child in ast.iter_child_nodes(node)]


def all_imports() -> list[Import]:
    return [
        found
        for module, path in MODULES.items()
        for found in read_imports(module, path.read_text("utf-8"), path.name == "__init__.py")
    ]


def module_behind(found: Import) -> str:
    """The module that an import of ours leads to: `from graphc.core import node` leads to node."""
    deeper = f"{found.target}.{found.name}"
    return deeper if deeper in MODULES else found.target


def is_ours(found: Import) -> bool:
    return is_within(found.target, "graphc")


def is_backward(found: Import) -> bool:
    return room_of(module_behind(found)) not in MAY_IMPORT[room_of(found.module)]


def takes_from_the_facade(found: Import) -> bool:
    return found.target == "graphc" and found.module != "graphc"


def belongs_to_the_runtime(found: Import) -> bool:
    if room_of(found.module) == "graphc.runtime":
        return False
    full = f"{found.target}.{found.name}" if found.name else found.target
    return bool(OF_THE_RUNTIME.match(full))


def loads_scipy_early(found: Import) -> bool:
    return (
        is_within(found.target, "scipy")
        and room_of(found.module) != "graphc.runtime"
        and not (found.inside or found.typing_only)
    )


def is_foreign_to_core(found: Import) -> bool:
    top = found.target.split(".")[0]
    known = top in sys.stdlib_module_names or top in {"numpy", "graphc"}
    return room_of(found.module) == "graphc.core" and not known


def offenders(rule) -> list[str]:
    return sorted(str(found) for found in all_imports() if rule(found))


def run_python(*arguments, cwd, **variables):
    """Run a fresh interpreter that sees only `variables` on top of this one's environment."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )


# Imports ----------------------------------------------------------------------------------------


def test_imports_follow_the_arrows_between_rooms():
    assert not offenders(lambda found: is_ours(found) and is_backward(found))


def test_imports_inside_never_come_from_the_facade():
    assert not offenders(takes_from_the_facade)


def test_imports_of_compilers_and_devices_are_in_the_runtime():
    assert not offenders(belongs_to_the_runtime)


def test_imports_of_scipy_wait_for_first_use():
    assert not offenders(loads_scipy_early)


def test_imports_of_core_are_numpy_and_the_standard_library():
    assert not offenders(is_foreign_to_core)


def test_imports_have_no_cycle_not_even_through_functions():
    graph = nx.DiGraph(
        (found.module, module_behind(found))
        for found in all_imports()
        if is_ours(found) and not found.typing_only
    )
    cycles = [sorted(group) for group in nx.strongly_connected_components(graph) if len(group) > 1]
    assert not cycles


@pytest.mark.parametrize(
    ("module", "source", "rule"),
    [
        ("graphc.core.node", "import graphc.ops.reduce", is_backward),
        ("graphc.core.node", "def f():\n    from graphc.ops import reduce", is_backward),
        ("graphc.ops.reduce", "from ..passes.fuse import fuse", is_backward),
        ("graphc.ops.reduce", "try:\n    import graphc.runtime.cpu\nfinally: pass", is_backward),
        ("graphc.runtime.cpu", "import graphc.passes as p", is_backward),
        ("graphc.runtime.cpu", "from graphc.ops.reduce import sum", is_backward),
        ("graphc.passes.fuse", "from graphc.runtime.cpu import run", is_backward),
        ("graphc.passes.fuse", "from graphc.api import function", is_backward),
        ("graphc.passes.fuse", "from graphc import function", takes_from_the_facade),
        ("graphc.api", "import graphc", takes_from_the_facade),
        ("graphc.api", "from . import tensor", takes_from_the_facade),
        ("graphc.passes.fuse", "import numba.core", belongs_to_the_runtime),
        ("graphc.api", "def f():\n    import llvmlite.binding", belongs_to_the_runtime),
        ("graphc.ops.linalg", "from scipy.linalg import blas", belongs_to_the_runtime),
        ("graphc.ops.linalg", "import scipy.special", loads_scipy_early),
        ("graphc.core.node", "import networkx", is_foreign_to_core),
    ],
)
def test_imports_that_break_a_rule_are_found(module, source, rule):
    assert [found for found in read_imports(module, source) if rule(found)]


# Names ------------------------------------------------------------------------------------------


def test_no_facade_module_is_named_like_a_public_name():
    tree = ast.parse(MODULES["graphc"].read_text("utf-8"))
    modules = {name.split(".")[1] for name in MODULES if name != "graphc"}
    public = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module != "graphc":
            public |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            public |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    fighting = modules & public
    assert not fighting


@pytest.mark.parametrize("module", ["ops", "passes", "runtime", "graphc.graphc"])
def test_a_package_refuses_a_second_name(module):
    run = run_python("-c", f"import {module}", cwd=CHECKOUT)
    right_name = "graphc" if module == "graphc.graphc" else f"graphc.{module}"
    assert run.returncode == 1
    assert "ImportError" in run.stderr and f"write 'import {right_name}'" in run.stderr


def test_python_started_in_the_checkout_finds_its_rooms():
    code = f"import {', '.join(FOLDERS)}; print(graphc.ops.__file__)"
    run = run_python("-c", code, cwd=CHECKOUT)
    assert run.stdout.strip() == str(CHECKOUT / "ops" / "__init__.py"), run.stderr


def test_importing_graphc_loads_no_heavy_library():
    code = "import graphc, sys; print(*{name.split('.')[0] for name in sys.modules})"
    run = run_python("-c", code, cwd=CHECKOUT)
    assert "graphc" in run.stdout.split(), run.stderr
    loaded = HEAVY & set(run.stdout.split())
    assert not loaded


# The wheel --------------------------------------------------------------------------------------


def test_the_map_of_the_cuda_target_names_every_file():
    folder = CHECKOUT / "runtime" / "cuda"
    named = set(re.findall(r"``(\w+)``", ast.get_docstring(ast.parse(
        (folder / "__init__.py").read_text("utf-8"))) or ""))  # fmt: skip
    assert {p.stem for p in folder.glob("*.py")} - {"__init__"} == named


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built offline from a copy of what a build needs."""
    pytest.importorskip("setuptools", minversion="77")
    copy = tmp_path_factory.mktemp("build")
    for folder in FOLDERS.values():
        copytree(CHECKOUT / folder, copy / folder, ignore=ignore_patterns("__pycache__", ".*"))
    for name in ["pyproject.toml", "setup.py", "README.md", "LICENSE"]:
        (copy / name).write_bytes((CHECKOUT / name).read_bytes())
    code = "from setuptools.build_meta import build_wheel; build_wheel('dist')"
    run = run_python("-c", code, cwd=copy)
    assert run.returncode == 0, run.stderr
    (built,) = (copy / "dist").glob("*.whl")
    return built


def files_below(folder: Path) -> list[Path]:
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return [path for path in paths if not re.search(r"(^|/)(__pycache__/|\.)", path.as_posix())]


def test_the_wheel_holds_every_file_of_the_rooms_and_nothing_else(wheel):
    expected = {
        "/".join([*package.split("."), path.as_posix()])
        for package, folder in FOLDERS.items()
        for path in files_below(CHECKOUT / folder)
    }
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert not expected - held, "left out: does a folder lack its __init__.py?"
    assert not held - expected, "shipped, but not in the tree"


def test_the_wheel_works_beside_an_unrelated_package_called_ops(wheel, tmp_path):
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (site / "ops").mkdir()
    (site / "ops" / "__init__.py").write_text("raise SystemExit('the wrong ops')")
    code = "import graphc.ops, graphc.passes, graphc.runtime; print(*graphc.__path__)"
    run = run_python("-c", code, cwd=tmp_path, PYTHONPATH=str(site))
    assert run.stdout.strip() == str(site / "graphc"), run.stderr
