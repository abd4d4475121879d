"""Whether scikit-learn is there, and new enough."""

from __future__ import annotations

import re

from graphc.core.node import user_frames
from graphc.data.problems import MissingPackageError, optional

LEAST = (1, 6)


def check_version() -> None:
    """Raise unless scikit-learn can be imported and has what the estimators are made of."""
    found = optional("sklearn", "scikit-learn", "graphc.estimators").__version__
    if tuple(map(int, re.findall(r"\d+", found)[:2])) < LEAST:
        least = ".".join(map(str, LEAST))
        raise MissingPackageError(
            f"graphc.estimators needs scikit-learn {least} or newer, and this is {found}",
            f"pip install -U 'scikit-learn>={least}'", user_frames(),
        )  # fmt: skip
