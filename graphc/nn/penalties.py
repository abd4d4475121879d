"""Penalties and constraints on parameters: those of `graphc.optim`, beside losses and metrics."""

from graphc.optim.penalties import constrained, elastic, l1, l2, max_norm, within_norm

__all__ = ["constrained", "elastic", "l1", "l2", "max_norm", "within_norm"]
