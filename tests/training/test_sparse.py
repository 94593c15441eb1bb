from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from short_run import VALIDATION, stop_after

from bloodfilm.cells import Cells, Field
from bloodfilm.errors import UserError
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.training.augment import turn
from bloodfilm.training.data import FieldDataset
from bloodfilm.training.labels import SETTLED, collate, labels_of, settle
from bloodfilm.training.loop import train
from bloodfilm.training.losses import Guess, Known, detection_losses, known
from bloodfilm.training.method import Method, Step
from bloodfilm.training.published import Published
from bloodfilm.training.settings import Settings, SparseSettings
from bloodfilm.training.sparse import Sparse
from bloodfilm.training.teacher import MEASURES, Pseudo, Teacher, measure
from bloodfilm.vocabulary import LLD

SIDE = 96
SETTINGS = Settings(image_size=64, batch=2, epochs=2, device="cpu")
EAGER = SparseSettings(pseudo=True, burn_in=0.0, precision=0.0, max_entropy=1.0)


@pytest.fixture(scope="module")
def sparse(fields: list[Field]) -> list[Field]:
    """The fields with only their left cell labelled."""
    region = np.array([[0, 0, SIDE / 2, SIDE]], np.float32)
    return [replace(field, cells=field.cells[:1], labelled_regions=region) for field in fields]


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_regions_follow_the_picture_wherever_it_goes(tmp_path: Path, mosaic: float) -> None:
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    picture[...] = (220, 20, 20)
    regions = [[8, 16, 50, 60], [60, 40, 90, 96]]
    for x0, y0, x1, y1 in regions:
        picture[y0:y1, x0:x1] = (20, 220, 20)
    Image.fromarray(picture).save(tmp_path / "a.png")
    field = Field(tmp_path / "a.png", Cells.empty(), SIDE, SIDE, labelled_regions=np.array(regions, np.float32))
    dataset = FieldDataset([field] * 16, 128, mosaic, mirrored=0.5)
    images, targets = collate([dataset[index] for index in range(16)])
    images, targets = turn(images.float(), targets, torch.Generator().manual_seed(0))
    level = known(targets, [torch.Size((16, 3, side, side, 5)) for side in (16, 8, 4)], 1)[0]
    red, green = (images[:, channel] > 150 for channel in (0, 1))
    sure = torch.nn.functional.max_pool2d
    all_red, all_green = (1 - sure(1 - mask.float(), 5, 1, 2) for mask in (red & ~green, green & ~red))
    middles = slice(4, None, 8)
    assert (all_red[:, middles, middles] > 0).sum() > 100
    assert not (level.looked & (all_red[:, middles, middles] > 0)).any()
    assert (all_green[:, middles, middles] > 0).sum() > 50
    assert (level.looked | (all_green[:, middles, middles] == 0)).all()


def objectness_gradient(fields: list[Field], guess: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return for stride 8 where nobody looked, and which scores the losses would change, both (B, 8, 8)."""
    torch.manual_seed(0)
    network = AttriDet("n")
    dataset = FieldDataset(fields, 64, 0.0, scale=(1.0, 1.0))
    images, targets = collate([dataset[index] for index in range(len(fields))])
    features = network.detector(images / 255)
    for level in features.levels:
        level.retain_grad()
    masks = known(targets, [level.shape for level in features.levels], 1)
    none = torch.zeros(len(targets.boxes), dtype=torch.bool)
    made = Guess(masks, none, torch.ones(len(targets.boxes))) if guess else None
    losses = detection_losses(features, targets, network.detector.detect, made)
    torch.stack(list(losses.values())).sum().backward()
    gradient = features.levels[0].grad
    assert gradient is not None
    return ~masks[0].looked, (gradient != 0).any(1).any(-1)


@pytest.mark.parametrize("guess", [False, True])
def test_nothing_is_learned_where_nobody_looked(sparse: list[Field], guess: bool) -> None:
    unseen, changed = objectness_gradient(sparse, guess)
    assert unseen.sum() > 50
    assert not (changed & unseen).any()
    assert (changed & ~unseen).any()


def test_guessed_objects_teach_where_nobody_looked(sparse: list[Field]) -> None:
    network = AttriDet("n")
    dataset = FieldDataset(sparse[:1], 64, 0.0, scale=(1.0, 1.0))
    images, targets = collate([dataset[0]])
    features = network.detector(images / 255)
    features.levels[0].retain_grad()
    masks = known(targets, [level.shape for level in features.levels], 1)
    column = int(torch.nonzero(~masks[0].looked[0].all(0))[-1])
    box = torch.tensor([[8.0 * column - 8, 20.0, 8.0 * column + 8, 36.0]])
    targets = targets._replace(**{n: getattr(targets, n)[:0] for n in ("image", "boxes", "kinds", "codes")})
    targets = targets.plus(torch.tensor([0]), box, torch.tensor([0]), torch.tensor([3]))
    guess = Guess(masks, torch.tensor([True]), torch.tensor([0.5]))
    losses = detection_losses(features, targets, network.detector.detect, guess)
    assert losses["box"] > 0
    losses["objectness"].backward()
    gradient = features.levels[0].grad
    assert gradient is not None
    assert (gradient[..., 4] < 0).any()


@pytest.mark.parametrize("method", [lambda: Sparse(EAGER), Published], ids=["sladet", "published"])
def test_a_run_that_goes_on_ends_with_the_very_weights_of_a_whole_one(
    sparse: list[Field], tmp_path: Path, method: Callable[[], Method]
) -> None:
    train(sparse, sparse[:2], tmp_path / "whole", SETTINGS, method=method())
    train(sparse, sparse[:2], tmp_path / "parts", SETTINGS, method=method(), cancelled=stop_after(3 + VALIDATION))
    torch.manual_seed(99)
    train(sparse, sparse[:2], tmp_path / "parts", SETTINGS, method=method(), resume=True)
    whole, resumed = (load_file(tmp_path / out / "last.safetensors") for out in ("whole", "parts"))
    assert not [key for key in whole if not torch.equal(whole[key], resumed[key])]
    logs = [(tmp_path / out / "log.csv").read_text() for out in ("whole", "parts")]
    assert logs[0] == logs[1]


def test_a_run_is_not_gone_on_with_by_other_rules(sparse: list[Field], tmp_path: Path) -> None:
    train(sparse, sparse[:1], tmp_path, replace(SETTINGS, epochs=1), method=Sparse(EAGER))
    with pytest.raises(UserError, match="begun with trust"):
        train(sparse, sparse[:1], tmp_path, replace(SETTINGS, epochs=1), True, method=Sparse(replace(EAGER, trust=1.0)))
    with pytest.raises(UserError, match="begun with method sladet, not attridet"):
        train(sparse, sparse[:1], tmp_path, replace(SETTINGS, epochs=1), True)


def test_fields_without_regions_are_refused(fields: list[Field], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No field has a labelled region"):
        train(fields, fields, tmp_path, SETTINGS, method=Sparse())
    assert not list(tmp_path.iterdir())


class Oracle(torch.nn.Module):
    """A detector that finds the cells it was told of, with a score of its own for each."""

    def __init__(self, network: AttriDet, boxes: torch.Tensor, scores: list[float]) -> None:
        super().__init__()
        self.network, self.boxes, self.scores = network, boxes, scores
        self.detect = network.detector.detect

    def forward(self, images: torch.Tensor) -> object:
        return self.network.detector(images)

    def decode(self, levels: object) -> object:
        from bloodfilm.nets.yolo import Candidates

        scores = torch.full((1, 300), -9.0)
        scores[0, : len(self.scores)] = torch.tensor(self.scores).logit()
        boxes = torch.zeros(1, 300, 4)
        boxes[0, : len(self.scores)] = self.boxes
        return Candidates(boxes, scores, torch.zeros(1, 300, 14), torch.zeros(1, 300, 0))


def test_only_sure_finds_outside_of_the_regions_become_pseudo_labels(sparse: list[Field], fields: list[Field]) -> None:
    method = Sparse(replace(EAGER, precision=0.9, similarity=False), truth=fields)
    method.begin(sparse, SETTINGS)
    dataset = FieldDataset(sparse[:1], SIDE, 0.0, scale=(1.0, 1.0), labels=method.labels)
    for seed in range(50):
        dataset.seed = seed
        images, targets = collate([dataset[0]])
        hidden = targets.kinds >= 100
        if (targets.unknown_kinds == -1).any() and hidden.sum() == 2 and (~hidden).sum() == 1:
            break
    labelled, other = targets.boxes[~hidden], targets.boxes[hidden][1:]
    false = labelled + 0.7 * (labelled[:, 2:] - labelled[:, :2]).repeat(1, 2) * torch.tensor([0.0, 1, 0, 1])
    huge = torch.tensor([[-200.0, -200, 300, 300]]) + other[:, :2].repeat(1, 2)
    network, average = AttriDet("n"), AttriDet("n").eval()
    average.detector = Oracle(AttriDet("n").eval(), torch.cat((labelled, other, false, huge)), [0.9, 0.8, 0.3, 0.95])  # type: ignore[assignment]
    kinds = torch.zeros(40, dtype=torch.int64)
    method.teacher.by_score.learn(kinds, torch.linspace(0.21, 0.99, 40), torch.linspace(0.21, 0.99, 40) > 0.5)
    step = Step(network, average, images / 255, images / 255, targets, 1.0)
    features = network.detector(images / 255)
    masks = known(targets, [level.shape for level in features.levels], 1)
    pseudo, believed = method.teacher.guess(step, masks)
    assert pseudo.found.boxes.tolist() == other.tolist()
    measures = measure(pseudo, targets)
    assert list(measures) == list(MEASURES)
    assert [float(value) for value in measures.values()] == [1, 0, 1, 1]
    assert (believed[0].certain >= masks[0].certain).all()


@pytest.mark.parametrize("red_cells", [None, 8.0, 30.0])
def test_pseudo_labels_may_be_as_large_as_labelled_cells_are_shown(
    sparse: list[Field], red_cells: float | None
) -> None:
    teacher, settings = Teacher(SparseSettings(sizes=(0, 100))), replace(SETTINGS, scale=(1.0, 1.0), mosaic=0.0)
    teacher.begin(sparse, replace(settings, red_cells=red_cells))
    dataset = FieldDataset(sparse, 256, mosaic=0.0, scale=(1.0, 1.0), red_cells=red_cells)
    dataset.sides = [side * 64 // 256 for side in dataset.sides] if red_cells is None else dataset.sides
    _, targets = collate([dataset[index] for index in range(len(dataset))])
    sides = (targets.boxes[:, 2:] - targets.boxes[:, :2]).prod(1).sqrt()
    assert len(sides) == len(sparse)
    assert teacher.limits[0].tolist() == pytest.approx([float(sides.min()), float(sides.max())], rel=0.05)


def test_usual_pictures_are_shown_once_there_are_pseudo_labels(sparse: list[Field], tmp_path: Path) -> None:
    shown = []

    class Watched(Sparse):
        def losses(self, step: Step) -> dict[str, torch.Tensor]:
            settled = step.targets.unknown_image[step.targets.unknown_kinds == SETTLED]
            shown.append((step.done, len(settled), len(step.images)))
            return super().losses(step)

    settings = replace(EAGER, burn_in=0.5, collage=(1.0, 0.0))
    train(sparse, sparse[:1], tmp_path, SETTINGS, method=Watched(settings))
    assert {done >= 0.5 for done, _, _ in shown} == {True, False}
    for done, collages, images in shown:
        assert collages == (images if done < 0.5 else 0)


def test_truth_is_only_measured_by(sparse: list[Field], fields: list[Field], tmp_path: Path) -> None:
    told: list[dict[str, float]] = []
    train(sparse, fields[:1], tmp_path / "a", SETTINGS, method=Sparse(EAGER, truth=fields), progress=told.append)
    train(sparse, fields[:1], tmp_path / "b", SETTINGS, method=Sparse(EAGER))
    assert set(MEASURES) < set(told[-1])
    a, b = (load_file(tmp_path / name / "last.safetensors") for name in "ab")
    assert not [key for key in a if not torch.equal(a[key], b[key])]


def test_a_pseudo_label_that_is_none_counts_as_wrong() -> None:
    from bloodfilm.training.pseudo import Candidates
    from bloodfilm.training.similarity import References

    field = Field(Path("a"), Cells([[0, 0, 20, 20], [40, 40, 60, 60]]), 96, 96)
    labels = labels_of(field)
    _, targets = collate([(torch.zeros(3, 8, 8), labels._replace(kinds=labels.kinds + 100))])
    boxes = torch.tensor([[41.0, 40, 60, 60], [70, 70, 90, 90]])
    found = Candidates(torch.zeros(2).long(), torch.zeros(2).long(), boxes, torch.ones(2, 1))
    nothing = References(targets.image[:0], targets.boxes[:0], targets.kinds[:0])
    counts = torch.tensor(2), torch.tensor(0)
    measures = measure(Pseudo(torch.zeros(1, dtype=torch.int64), found, found.kinds, nothing, counts), targets)
    assert measures["pseudo_precision"] == 0.5
    assert measures["pseudo_recall"] == 0.5


def test_types_enter_by_their_entropy(sparse: list[Field]) -> None:
    method = Sparse(EAGER)
    method.begin(sparse, SETTINGS)
    assert [LLD.classes[code] for code in method.teacher.types] == ["Neutrophil", "Lymphocyte"]


def test_nothing_is_guessed_on_a_canvas_that_is_settled(sparse: list[Field]) -> None:
    network = AttriDet("n", auxiliary=2).eval()
    method = Sparse(replace(EAGER, similarity=False))
    method.begin(sparse, SETTINGS)
    dataset = FieldDataset(sparse[:4], 64, 0.0, scale=(1.0, 1.0))
    samples = [dataset[index] for index in range(4)]
    for settled in ([1, 2], [0, 1, 2, 3]):
        images, targets = collate(
            [(image, settle(labels, 64) if i in settled else labels) for i, (image, labels) in enumerate(samples)]
        )
        plain = images.float() / 255
        with torch.no_grad():
            levels = network.detector(plain).levels
        masks = known(targets, [level.shape for level in levels], 3)
        pseudo, believed = method.teacher.guess(Step(network, network, plain, plain, targets, 1.0), masks)
        assert not set(pseudo.found.image.tolist()) & set(settled)
        assert set(pseudo.references.image.tolist()) <= set(range(4)) - set(settled)
        for before, after in zip(masks, believed, strict=True):
            assert torch.equal(before.certain[settled], after.certain[settled])
    assert len(pseudo.found.image) == 0


def whole_fields(network: AttriDet, fields: list[Field]) -> tuple[Step, tuple[torch.Tensor, ...], list[Known]]:
    """Return a step with `fields` as they are, raw outputs of the network's levels for it, and what is known."""
    dataset = FieldDataset(fields, 64, 0.0, scale=(1.0, 1.0))
    images, targets = collate([dataset[index] for index in range(len(fields))])
    plain = images / 255
    with torch.no_grad():
        levels = network.detector(plain).levels
    masks = known(targets, [level.shape for level in levels], 3)
    return Step(network, network, plain, plain, targets, 1.0), levels, masks


def test_that_a_kind_is_absent_is_believed_only_of_labelled_kinds(sparse: list[Field]) -> None:
    network = AttriDet("n", auxiliary=2).eval()
    method = Sparse(EAGER)
    method.begin([replace(field, auxiliary={"platelet": field.cells.boxes}) for field in sparse], SETTINGS)
    step, _, masks = whole_fields(network, sparse)
    _, believed = method.teacher.guess(step, masks)
    more = believed[0].certain > masks[0].certain
    assert more.any(3).any(2).any(0).tolist() == [True, False, True]


def test_outside_of_the_regions_nothing_is_there_the_more_surely_the_less_is_seen(sparse: list[Field]) -> None:
    network = AttriDet("n", auxiliary=2).eval()
    method = Sparse(SparseSettings(quiet=0.5))
    method.begin(sparse, SETTINGS)
    step, levels, masks = whole_fields(network, sparse)
    for raw, before, after in zip(levels, masks, method.teacher.quiet(step, masks), strict=True):
        unseen = ~before.looked
        assert unseen.any()
        score = raw[..., network.detector.detect.score_channel(0)].sigmoid().amax(1)
        torch.testing.assert_close(after.certain[:, 0][unseen], 0.5 * (1 - score[unseen]) ** 2)
        assert torch.equal(after.certain[:, 0][before.looked], before.certain[:, 0][before.looked])
        unlabelled = after.certain[:, 1:]  # red cells and platelets
        assert torch.equal(unlabelled, before.certain[:, 1:])
