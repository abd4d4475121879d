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

# The first example of a graph compiles and the others don't: a deadline would judge the compiler.
hypothesis.settings.register_profile("graphc", deadline=None, print_blob=True)
hypothesis.settings.register_profile(
    "graphc-ci", hypothesis.settings.get_profile("graphc"), derandomize=True
)
hypothesis.settings.load_profile("graphc-ci" if os.environ.get("CI") else "graphc")


def pytest_unconfigure():
    if not IS_WORKER:
        shutil.rmtree(os.environ["GRAPHC_CACHE_DIR"], ignore_errors=True)


def pytest_collection_modifyitems(items):
    needing_a_device = [item for item in items if item.get_closest_marker("gpu")]
    if needing_a_device and not _has_cuda_device():
        for item in needing_a_device:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


def _has_cuda_device():
    from numba import cuda  # heavy, and asked only when a test wants a device

    return cuda.is_available()
