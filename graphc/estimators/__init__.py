"""``graphc.estimators``: model definitions as scikit-learn's estimators.

Each takes a function that builds a model, and everything else as parameters, so that pipelines,
searches and cross-validation can copy, change and fit it. scikit-learn 1.6 or newer is needed for
this module, and for nothing else.
"""

from graphc.estimators.needed import check_version

check_version()

from graphc.estimators.building import ParameterError, autoencoder, multilayer  # noqa: E402
from graphc.estimators.classifier import GraphcClassifier  # noqa: E402
from graphc.estimators.regressor import GraphcRegressor  # noqa: E402
from graphc.estimators.transformer import GraphcTransformer  # noqa: E402

__all__ = [
    "GraphcClassifier", "GraphcRegressor", "GraphcTransformer", "ParameterError", "autoencoder",
    "multilayer",
]  # fmt: skip
