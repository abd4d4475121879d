"""``graphc.compile.io``: Theano's path of `In` and `Out`."""

from graphc.arguments import In, Out

__all__ = ["In", "Out"]
