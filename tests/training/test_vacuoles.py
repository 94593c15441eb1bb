from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bloodfilm.nets.reader import PATCH, REACH
from bloodfilm.training.boxed import Boxed
from bloodfilm.training.vacuoles import draw_vacuoles, vacuolated
from bloodfilm.vocabulary import LLD, UNKNOWN, Vocabulary

GLASS, CYTOPLASM, NUCLEUS = (250, 240, 225), (150, 140, 200), (80, 40, 120)


def cells(count: int) -> Tensor:
    """Return patches of a round cell with a nucleus of half its width, on glass."""
    y, x = np.mgrid[:PATCH, :PATCH] + 0.5 - PATCH / 2
    away = np.hypot(y, x) / (PATCH / REACH / 2)
    picture = np.select([away[..., None] < 0.5, away[..., None] < 1], [NUCLEUS, CYTOPLASM], GLASS)
    return torch.from_numpy(picture.astype(np.uint8)).permute(2, 0, 1).repeat(count, 1, 1, 1)


def test_vacuoles_are_holes_in_the_cytoplasm_as_light_as_the_glass() -> None:
    plain = cells(20)
    drawn = draw_vacuoles(plain, seed=0)
    changed = (drawn != plain).any(1)
    assert changed.flatten(1).any(1).all()
    assert not changed[(plain == torch.tensor(GLASS)[:, None, None]).all(1)].any()
    nucleus = (plain == torch.tensor(NUCLEUS)[:, None, None]).all(1)
    assert (changed & nucleus).sum() < 0.1 * changed.sum()
    assert (drawn >= plain).all()
    assert drawn[:, 0][changed].max() > 225


def test_the_same_seed_draws_the_same() -> None:
    one, other, third = (draw_vacuoles(cells(3), seed) for seed in (0, 0, 1))
    assert torch.equal(one, other)
    assert not torch.equal(one, third)


def test_cells_without_vacuoles_come_twice_those_not_judged_not_at_all() -> None:
    codes = torch.full((3, 8), UNKNOWN)
    codes[:, 7] = torch.tensor([0, 1, UNKNOWN])
    plain = cells(3)
    both = vacuolated(Boxed(plain, codes), LLD, seed=0)
    assert both.codes.tolist() == [0, 1, 1]
    assert torch.equal(both.patches[:2], plain[:2])
    assert not torch.equal(both.patches[2], plain[0])


def test_a_vocabulary_without_vacuoles_has_none_to_learn() -> None:
    none = vacuolated(Boxed(cells(2), torch.zeros(2, 1, dtype=torch.int64)), Vocabulary(("a", "b")), seed=0)
    assert len(none.patches) == len(none.codes) == 0
