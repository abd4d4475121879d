"""``graphc cache``."""

from __future__ import annotations

import argparse

from graphc.core.config import config
from graphc.core.plan import size_text
from graphc.runtime.cache import cache


def run(options: argparse.Namespace) -> int:
    """Show or empty the cache; returns the exit status."""
    store = cache()
    count, size = len(store.entries()), size_text(store.size())
    if options.clear:
        store.clear()
        print(f"deleted {count} kernels, {size}, from {store.path}")
        return 0
    print(f"kernels in {store.path}: {count}, {size} of at most {config.cache_size_mb} MiB")
    return 0
