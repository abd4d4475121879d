"""What runs a plan: emission, compilation, caching, the executor and its buffers."""

if __name__ != "graphc.runtime":
    raise ImportError(
        f"this folder is the package 'graphc.runtime', not {__name__!r}: "
        "write 'import graphc.runtime' (under a second name, each of its modules would exist twice)"
    )
