"""What the compiler does to a graph: autodiff, rewrite rules, and the way to a plan."""

if __name__ != "graphc.passes":
    raise ImportError(
        f"this folder is the package 'graphc.passes', not {__name__!r}: "
        "write 'import graphc.passes' (under a second name, each of its modules would exist twice)"
    )
