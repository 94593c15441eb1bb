"""Means of a network's weights, which are what a run leaves."""

from __future__ import annotations

import copy
import math
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from bloodfilm.nets.attridet import AttriDet

Network = TypeVar("Network", bound=nn.Module)


class Average(Generic[Network]):
    """Exponential moving average of a network's weights and statistics."""

    def __init__(self, network: Network, decay: float = 0.998, ramp: float = 100) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay, self.ramp, self.updates = decay, ramp, 0

    @torch.no_grad()
    def update(self, network: Network) -> None:
        self.updates += 1
        keep = self.decay * (1 - math.exp(-self.updates / self.ramp))
        torch._foreach_lerp_(_floating(self.network), _floating(network), 1 - keep)
        for counted, count in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
            if not count.is_floating_point():
                counted.copy_(count)


@torch.no_grad()
def mix(network: AttriDet, before: AttriDet, finding: float, reading: float) -> None:
    """Let shares of what finds and boxes cells in `network`, and of what reads them, be as `before` it was trained.

    It knows most of what either knows (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022).
    """
    for name, share in ("detector", finding), ("refiner", finding), ("attributes", reading):
        now, then = (_floating(getattr(each, name)) for each in (network, before))
        torch._foreach_lerp_(now, then, share)


def _floating(network: nn.Module) -> list[Tensor]:
    return [state for state in network.state_dict().values() if state.is_floating_point()]
