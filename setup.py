"""Say which folder is which package; everything else about the project is in pyproject.toml.

Packages are found, not listed, so a new sub-package cannot be left out of the wheel by accident.
"""

import shutil

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOMS = {
    "graphc": "graphc",
    "graphc.ops": "ops",
    "graphc.passes": "passes",
    "graphc.runtime": "runtime",
}


class FreshBuild(build_py):
    """Forget earlier builds: setuptools would ship modules that were deleted since."""

    def run(self):
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


setup(
    packages=[
        package
        for room, folder in ROOMS.items()
        for package in [room, *(f"{room}.{inner}" for inner in find_packages(folder))]
    ],
    package_dir=ROOMS,
    package_data={"": ["*"]},  # templates and the like travel with the package they lie in
    cmdclass={"build_py": FreshBuild},
)
