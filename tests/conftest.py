"""What every test run shares: a kernel cache of its own, and which tests need a device.

The cache is set before graphc is imported, lies in a fresh temporary folder, and is the same for
all processes of one run, so that a kernel is compiled once however many tests need it.
"""

import os
import shutil
import tempfile

import hypothesis
import pytest

IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ  # workers inherit the folder of the run's parent
if not IS_WORKER:
    os.environ["GRAPHC_CACHE_DIR"] = tempfile.mkdtemp(prefix="graphc-test-cache-")

import device  # noqa: E402  (graphc looks where the cache is)

import graphc  # noqa: E402

# The first example of a graph compiles and the others don't: a deadline would judge the compiler.
hypothesis.settings.register_profile("graphc", deadline=None, print_blob=True)
hypothesis.settings.register_profile(
    "graphc-ci", hypothesis.settings.get_profile("graphc"), derandomize=True
)
hypothesis.settings.load_profile("graphc-ci" if os.environ.get("CI") else "graphc")


def pytest_unconfigure():
    if not IS_WORKER:
        shutil.rmtree(os.environ["GRAPHC_CACHE_DIR"], ignore_errors=True)


@pytest.fixture(autouse=True)
def _where(request):
    """Where the functions of a test run; see `device`."""
    name = getattr(request, "param", graphc.config.device)
    with graphc.config(device=name):
        yield


def pytest_generate_tests(metafunc):
    device.add_variants(metafunc)


def pytest_collection_modifyitems(items):
    device.skip(items)


def pytest_terminal_summary(terminalreporter):
    device.report(terminalreporter)
