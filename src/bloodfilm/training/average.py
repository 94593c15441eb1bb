"""The moving average of a network, which is what a run leaves."""

from __future__ import annotations

import copy
import math
from typing import Generic, TypeVar

import torch
from torch import nn

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
        states = self.network.state_dict().values(), network.state_dict().values()
        mean, now = ([state for state in part if state.is_floating_point()] for part in states)
        torch._foreach_lerp_(mean, now, 1 - keep)
        for counted, count in zip(*states, strict=True):
            if not count.is_floating_point():
                counted.copy_(count)
