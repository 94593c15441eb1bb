from __future__ import annotations

import pytest
import torch

from bloodfilm.nets.novelty import AXES, Novelty, describe


def samples(count: int, seed: int) -> torch.Tensor:
    """Return points (count, 50) of a long flat cloud, away from the origin."""
    generator = torch.Generator().manual_seed(seed)
    along = torch.randn(count, 3, generator=generator) @ torch.randn(3, 50, generator=torch.Generator().manual_seed(9))
    return 5 + along + 0.1 * torch.randn(count, 50, generator=generator)


@pytest.fixture
def fitted() -> Novelty:
    novelty = Novelty(50)
    novelty.fit(samples(400, 0), samples(1000, 1))
    return novelty


def test_one_in_a_hundred_held_out_pictures_is_above_1(fitted: Novelty) -> None:
    assert (fitted(samples(2000, 2)) > 1).float().mean() == pytest.approx(0.01, abs=0.01)


def test_what_lies_beside_the_cloud_is_new_and_far_along_it_less_so(fitted: Novelty) -> None:
    usual = samples(200, 3)
    beside = usual + 0.5 * torch.randn(50, generator=torch.Generator().manual_seed(4))
    assert fitted(beside).min() > 1.5
    assert fitted(5 + 1.3 * (usual - 5)).median() < fitted(beside).median() - 0.5


def test_without_a_fit_there_is_no_novelty() -> None:
    assert Novelty(50)(samples(3, 0)).isinf().all()


def test_it_lives_in_the_state(fitted: Novelty) -> None:
    other = Novelty(50)
    other.load_state_dict(fitted.state_dict())
    torch.testing.assert_close(other(samples(5, 6)), fitted(samples(5, 6)))


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match=f"{AXES + 1} are needed"):
        Novelty(50).fit(samples(AXES, 0), samples(10, 1))


def test_a_picture_is_described_by_mean_and_deviation_of_each_channel() -> None:
    maps = torch.zeros(2, 2, 4, 4)
    maps[0, 0], maps[1, 1, :2] = 3, 1
    assert describe([maps, maps[:, :1]]).tolist() == [[0, 0, 3, 0, 0, 3], [0, 0.5, 0, 0.5, 0, 0]]
