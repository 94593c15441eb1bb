"""How unlike a picture is to those that a network learned from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

AXES = 32
TYPICAL = 0.99
"""Share of the held-out pictures with a novelty of at most 1."""


def describe(maps: Sequence[Tensor]) -> Tensor:
    """Return mean and deviation over the picture of each channel of `maps`, each (B, C, H, W), as (B, 2 sum C)."""
    parts = [part for each in maps for part in torch.std_mean(each.float(), (2, 3), correction=0)]
    return torch.cat(parts, 1)


class Novelty(nn.Module):
    """Mahalanobis distance (Lee et al., NeurIPS 2018) of the description of a picture, 1 where few held-out ones go.

    The covariance is that of probabilistic principal components (Tipping and Bishop, 1999): as measured along the main
    axes, the same in all other directions. Before it is fitted every novelty is infinite.
    """

    mean: Tensor
    deviation: Tensor
    axes: Tensor
    variances: Tensor
    rest: Tensor
    limit: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        self.register_buffer("axes", torch.zeros(features, AXES))
        self.register_buffer("variances", torch.ones(AXES))
        self.register_buffer("rest", torch.ones(()))
        self.register_buffer("limit", torch.zeros(()))

    def forward(self, described: Tensor) -> Tensor:
        """Return the novelty (B,) of pictures with the descriptions (B, features)."""
        z = (described - self.mean) / self.deviation
        along = z @ self.axes
        beside = (z.square().sum(1) - along.square().sum(1)).clamp(min=0)
        distance: Tensor = ((along.square() / self.variances).sum(1) + beside / self.rest).sqrt()
        return distance / self.limit

    @torch.no_grad()
    def fit(self, described: Tensor, held_out: Tensor) -> None:
        """Learn from descriptions (N, features) of training pictures, and the limit from held-out ones.

        Raises
        ------
        ValueError
            If there are no more pictures than axes.
        """
        if len(described) <= AXES:
            raise ValueError(f"{len(described)} pictures are too few to tell what is usual; {AXES + 1} are needed.")
        deviation, mean = torch.std_mean(described, 0)
        self.mean.copy_(mean)
        self.deviation.copy_(deviation.clamp(min=1e-3))
        z = (described - self.mean) / self.deviation
        variances, axes = torch.linalg.eigh((z.T @ z / len(z)).double())
        self.axes.copy_(axes[:, -AXES:])
        self.variances.copy_(variances[-AXES:])
        self.rest.copy_(variances[:-AXES].mean().clamp(min=1e-3))
        self.limit.fill_(1)
        self.limit.copy_(self(held_out).quantile(TYPICAL))
