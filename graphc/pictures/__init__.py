"""Pictures of data, models and training, drawn by matplotlib.

Every function takes arrays, lists or dicts, and returns a matplotlib ``Figure`` of its own: a
notebook shows it, ``figure.savefig(path)`` keeps it. pyplot isn't used, so that no state is left
behind and no window opened. matplotlib is imported by the first call.
"""

from graphc.pictures.fields import receptive_field
from graphc.pictures.layers import histograms, update_ratios
from graphc.pictures.maps import embedding
from graphc.pictures.matrices import attention, confusion
from graphc.pictures.mosaics import filters, images
from graphc.pictures.planes import decision_regions, trace
from graphc.pictures.series import series
from graphc.pictures.style import PALETTE, STYLE
from graphc.pictures.training import curves
from graphc.pictures.trials import search

__all__ = [
    "PALETTE", "STYLE", "attention", "confusion", "curves", "decision_regions", "embedding",
    "filters", "histograms", "images", "receptive_field", "search", "series", "trace",
    "update_ratios",
]  # fmt: skip
