"""``graphc.sparse.sandbox``: Theano's path of products at the entries of a pattern."""

from graphc.sparse.sandbox import sp2

__all__ = ["sp2"]
