"""``graphc.scan_module``: Theano's path of loops."""

from graphc.absent import lookup
from graphc.looping import foldl, foldr, map, reduce, scan, until
from graphc.scan_module import scan_utils

__getattr__ = lookup("graphc.scan_module", globals())

__all__ = ["foldl", "foldr", "map", "reduce", "scan", "scan_utils", "until"]
