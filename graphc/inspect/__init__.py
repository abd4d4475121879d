"""Looking inside: listings, formulas, graphs for other tools, explanations, profiles."""

from graphc.inspect.explanation import Explanation, explain
from graphc.inspect.listing import dprint, pp, pprint
from graphc.inspect.networks import to_dot, to_networkx
from graphc.inspect.profile import Profile, profile_of

__all__ = [
    "Explanation", "Profile", "dprint", "explain", "pp", "pprint", "profile_of", "to_dot",
    "to_networkx",
]  # fmt: skip
