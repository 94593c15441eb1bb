from __future__ import annotations

import copy
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bloodfilm.cells import Cells, Field
from bloodfilm.detection.detector import Detector
from bloodfilm.errors import UserError
from bloodfilm.io.coco import write_coco
from bloodfilm.io.images import read_image
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.checkpoint import load, read_card, save
from bloodfilm.synth import draw_field
from bloodfilm.training.adaptation import Adaptation, AdaptSettings, adapt, balanced, unlabelled, ways_of
from bloodfilm.training.data import FieldDataset
from bloodfilm.training.labels import collate
from bloodfilm.training.memory import Memory
from bloodfilm.training.method import Step
from bloodfilm.training.mixing import FREE, Guesses, mix, with_guesses
from bloodfilm.training.settings import Settings
from bloodfilm.training.stain import densities, macenko, reinhard
from bloodfilm.training.statistics import reestimated
from bloodfilm.vocabulary import UNKNOWN

SETTINGS = Settings(image_size=64, batch=4, epochs=1, device="cpu", mosaic=0.0, warm_up=0.0)


@pytest.fixture(scope="module")
def target(fields: list[Field], tmp_path_factory: pytest.TempPathFactory) -> list[Field]:
    """The same pictures from a microscope that shows all bluer and darker."""
    folder = tmp_path_factory.mktemp("target")
    others = []
    for field in fields:
        picture = read_image(field.path) / 255 * (0.6, 0.7, 0.95)
        Image.fromarray((picture * 255).astype(np.uint8)).save(folder / field.path.name)
        others.append(replace(field, path=folder / field.path.name))
    return others


def test_stain_maps_the_target_to_the_colours_of_the_source(fields: list[Field], target: list[Field]) -> None:
    ours, theirs = densities(fields), densities(target)
    assert theirs.mean() > ours.mean() + 0.1
    images = torch.from_numpy(np.stack([read_image(field.path) for field in target])).permute(0, 3, 1, 2) / 255
    wanted = torch.from_numpy(np.stack([read_image(field.path) for field in fields])).permute(0, 3, 1, 2) / 255
    assert (images - wanted).abs().mean() > 0.1
    assert (reinhard(ours, theirs).apply(images) - wanted).abs().mean() < 0.02


def test_the_same_colours_are_left_as_they_are(fields: list[Field]) -> None:
    ours = np.abs(np.random.default_rng(0).normal(0.4, 0.2, (500, 2))) @ np.array(
        [[0.65, 0.7, 0.29], [0.07, 0.99, 0.11]]
    )
    images = torch.rand(2, 3, 8, 8)
    for fit in (reinhard, macenko):
        assert torch.allclose(fit(ours, ours).apply(images), images.clamp(min=1 / 255), atol=1e-5)


def test_macenko_gives_stains_the_colour_and_strength_of_the_source() -> None:
    amounts = np.random.default_rng(0).gamma(2, 0.4, (4000, 2)) * (np.random.default_rng(1).random((4000, 2)) < 0.6)
    ours, theirs = np.array([[0.65, 0.7, 0.29], [0.2, 0.9, 0.4]]), np.array([[0.6, 0.6, 0.53], [0.3, 0.9, 0.3]])
    mapped = macenko(amounts @ ours, amounts @ theirs * 0.5)
    density = amounts @ theirs * 0.5 @ np.array(mapped.matrix).T
    assert np.abs(density - amounts @ ours).mean() < 0.05


def test_statistics_become_those_of_the_target_and_weights_stay(checkpoint: Path, target: list[Field]) -> None:
    network, card = load(checkpoint)
    after = reestimated(network, card, target)
    for name, tensor in network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            changed = not torch.equal(tensor, after.state_dict()[name])
            assert changed == (name.startswith("detector") and name.endswith(("running_mean", "running_var"))), name
    seen = []
    conv = after.detector.model[0].conv
    conv.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    images = torch.from_numpy(np.stack([read_image(field.path) for field in target])).permute(0, 3, 1, 2) / 255
    after.detector(images)
    torch.testing.assert_close(after.detector.model[0].bn.running_mean, seen[0].mean((0, 2, 3)), atol=1e-4, rtol=1e-3)
    assert not after.training


def guesses(image: list[int], boxes: list[list[float]], scores: list[float]) -> Guesses:
    return Guesses(torch.tensor(image), torch.tensor(boxes, dtype=torch.float32).view(-1, 4), torch.tensor(scores))


def test_target_labels_are_never_seen(fields: list[Field], target: list[Field]) -> None:
    method = Adaptation(AdaptSettings(), target)
    labels = method.labels(target[0])
    assert len(labels.boxes) == 0
    assert FREE in labels.unknown_kinds
    assert len(method.labels(fields[0]).boxes) == 2
    assert all(len(field.cells) == 0 for field in balanced(fields, target)[1::2])


def test_source_and_target_are_shown_equally_often(fields: list[Field], target: list[Field]) -> None:
    shown = balanced(fields, target[:1])
    assert [field.path for field in shown[1::2]] == [target[0].path] * 4
    assert [field.path for field in shown[::2]] == [field.path for field in fields]


def test_only_sure_cells_on_target_pictures_become_labels(fields: list[Field], target: list[Field]) -> None:
    method = Adaptation(AdaptSettings(), target)
    image = torch.zeros(3, 96, 96, dtype=torch.uint8)
    _, targets = collate([(image, method.labels(fields[0])), (image, method.labels(target[0]))])
    box = [10.0, 10, 30, 30]
    found = guesses([0, 1, 1, 1], [box, box, [40, 40, 60, 60], [90, 90, 120, 120]], [0.9, 0.9, 0.3, 0.9]).inside(
        targets
    )
    assert found.image.tolist() == [1, 1]
    after = with_guesses(targets, found, sure=0.5)
    assert after.boxes[len(targets.boxes) :].tolist() == [box]
    assert after.codes[-1].tolist() == [UNKNOWN] * 8
    assert after.unknown[-1].tolist() == [40, 40, 60, 60]


def test_the_surest_quarter_is_put_on_a_labelled_picture(fields: list[Field], target: list[Field]) -> None:
    method = Adaptation(AdaptSettings(), target)
    blank = torch.zeros(3, 96, 96, dtype=torch.uint8)
    labels = method.labels(fields[0])._replace(boxes=torch.tensor([[60.0, 60, 80, 80], [38, 60, 54, 70]]))
    _, targets = collate([(blank, labels), (blank, method.labels(target[0]))])
    found = guesses([1, 1, 1], [[50, 55, 70, 75], [10, 10, 20, 20], [60, 86, 80, 120]], [0.8, 0.6, 0.9])
    images = torch.stack((torch.zeros(3, 96, 96), torch.ones(3, 96, 96)))
    mixed, after = mix(images, with_guesses(targets, found, sure=0.5), found)
    assert mixed[0, :, 48:, 48:].min() == 1
    assert mixed[0].sum() == 3 * 48 * 48
    assert after.boxes[after.image == 0].tolist() == [[50, 55, 70, 75]]
    unknown = after.unknown[after.unknown_image == 0].tolist()
    assert [38, 60, 54, 70] in unknown  # a source cell that the quarter cuts
    assert [60, 86, 80, 96] in unknown  # a target cell that the quarter cuts
    assert len(after.codes) == len(after.kinds) == len(after.boxes) == len(after.image) == 4


def test_a_batch_of_one_kind_is_not_mixed(fields: list[Field]) -> None:
    blank = torch.zeros(3, 96, 96, dtype=torch.uint8)
    _, targets = collate([(blank, Adaptation(AdaptSettings(), []).labels(field)) for field in fields[:2]])
    images = torch.rand(2, 3, 96, 96)
    mixed, after = mix(images, targets, guesses([], [], []))
    assert mixed is images
    assert after is targets


@pytest.mark.parametrize("mixing", [False, True])
def test_the_student_learns_what_the_teacher_finds(
    network: torch.nn.Module, fields: list[Field], target: list[Field], mixing: bool
) -> None:
    method = Adaptation(AdaptSettings(mixing=mixing, sure=0.4, possible=0.1), target)
    samples = [(torch.from_numpy(method.picture(f)).permute(2, 0, 1), method.labels(f)) for f in (fields[0], target[0])]
    images, targets = collate(samples)
    losses = method.losses(Step(network, network, images / 255, images / 255, targets, 0.5))  # type: ignore[arg-type]
    assert method.measures()["pseudo"] > 0
    torch.stack(list(losses.values())).sum().backward()
    assert torch.isfinite(torch.stack(list(losses.values()))).all()


@pytest.mark.parametrize("mixing", [False, True])
def test_red_cells_that_nobody_labels_are_remembered(fields: list[Field], target: list[Field], mixing: bool) -> None:
    method = Adaptation(AdaptSettings(mixing=mixing), target)
    dataset = FieldDataset([fields[0], target[0]], 64, 0.0, scale=(1.0, 1.0), labels=method.labels)
    images, targets = collate([dataset[0], dataset[1]])
    network = AttriDet("n", auxiliary=2)
    memory = Memory(network, [1, 2])
    step = Step(network, copy.deepcopy(network).eval(), images / 255, images / 255, targets, 0.0, memory)
    assert method.losses(step)["memory"] > 0


def test_statistics_are_those_of_pictures_as_large_as_they_are_searched(tmp_path: Path) -> None:
    picture, cells = draw_field(seed=3)
    many = np.tile(picture, (2, 2, 1))
    Image.fromarray(many).save(tmp_path / "many.png")
    network, card = load("wbc-n")
    shapes: list[torch.Size] = []
    network.detector.register_forward_pre_hook(lambda module, inputs: shapes.append(inputs[0].shape[2:]))
    reestimated(network, card, [Field(tmp_path / "many.png", cells, many.shape[1], many.shape[0])])
    scale = Detector("wbc-n", "cpu").detect(many).scale
    assert scale and scale.sure
    assert shapes[-1][1] == pytest.approx(many.shape[1] * scale.resized[0], abs=32)
    assert shapes[-1][1] != shapes[0][1]


def test_adaptation_leaves_a_model_that_knows_how_to_stain(
    checkpoint: Path, fields: list[Field], target: list[Field], tmp_path: Path
) -> None:
    ways = AdaptSettings(statistics=True, teacher=True, mixing=True)
    best = adapt(checkpoint, fields[:3], fields[3:], target, tmp_path / "run", SETTINGS, ways)
    card = read_card(best)
    assert card.method == "adapt"
    assert card.stain is not None
    Detector(best, "cpu").detect(read_image(target[0].path))


@pytest.mark.parametrize("teacher", [False, True])
def test_the_card_of_an_adapted_model_says_what_it_was(
    checkpoint: Path, fields: list[Field], target: list[Field], tmp_path: Path, teacher: bool
) -> None:
    network, card = load(checkpoint)
    old = tmp_path / "old.safetensors"
    save(old, network, card.model_copy(update={"name": "old", "data": ["slides"], "scores": {"a": 1}}))
    ways = AdaptSettings(teacher=teacher)
    card = read_card(adapt(old, fields[:3], fields[3:], target, tmp_path / "new", SETTINGS, ways))
    assert (card.name, card.data, card.scores) == ("new", ["slides"], {})
    assert card.description == f"old, adapted to {len(target)} pictures without labels."
    files = {path.name for path in (tmp_path / "new").iterdir()}
    assert "log.csv" in files if teacher else files == {"adapted.safetensors"}


def test_a_stained_model_sees_the_target_as_the_source(
    checkpoint: Path, fields: list[Field], target: list[Field], tmp_path: Path
) -> None:
    best = adapt(checkpoint, fields, fields[3:], target, tmp_path)
    adapted, plain = Detector(best, "cpu"), Detector(checkpoint, "cpu")
    there = adapted.describe(read_image(target[0].path))
    home, before = (plain.describe(read_image(field.path)) for field in (fields[0], target[0]))
    assert torch.dist(there, home) < 0.5 * torch.dist(before, home)


def test_colours_are_changed_only_if_the_model_is_surer_then(
    checkpoint: Path, fields: list[Field], target: list[Field], tmp_path: Path
) -> None:
    def finds(model: Path) -> np.ndarray:
        detector = Detector(model, "cpu")
        return np.concatenate([detector.detect(read_image(field.path), 0.1).scores for field in target])

    always = adapt(checkpoint, fields, [], target, tmp_path / "always", ways=AdaptSettings(only_if_surer=False))
    assert read_card(always).stain is not None
    before, after = finds(checkpoint), finds(always)
    surer = (after < 0.5).sum() < (before < 0.5).sum() and (after >= 0.5).sum() >= (before >= 0.5).sum() / 2
    chosen = adapt(checkpoint, fields, [], target, tmp_path / "chosen")
    assert (read_card(chosen).stain is not None) == surer
    with pytest.warns(UserWarning, match="Colours stay as they are"):
        same = adapt(checkpoint, fields, [], fields, tmp_path / "same")
    assert read_card(same).stain is None


def test_adaptation_needs_both_sides(checkpoint: Path, fields: list[Field], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="pictures of the target"):
        adapt(checkpoint, fields, fields, [], tmp_path)


@pytest.mark.slow
def test_cells_of_the_target_make_no_difference(
    checkpoint: Path, fields: list[Field], target: list[Field], tmp_path: Path
) -> None:
    torn = [replace(field, cells=Cells([[1, 2, 3, 4]])) for field in target]
    runs = [
        adapt(checkpoint, fields[:3], fields[3:], part, tmp_path / name, SETTINGS, AdaptSettings(teacher=True))
        for name, part in (("labelled", target), ("torn", torn))
    ]
    one, other = (load(run)[0].state_dict() for run in runs)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_pictures_of_folders_and_coco_files_come_without_labels(
    fields: list[Field], target: list[Field], tmp_path: Path
) -> None:
    write_coco(tmp_path / "some.json", [replace(field, name=str(field.path)) for field in fields])
    pictures = unlabelled([tmp_path / "some.json", target[0].path.parent])
    assert len(pictures) == len(fields) + len(target)
    assert all(len(field.cells) == 0 and field.width == 96 for field in pictures)
    write_coco(tmp_path / "some.json", [replace(fields[0], name=name) for name in (str(fields[0].path), "gone.png")])
    with pytest.warns(UserWarning, match="1 of 2 pictures are missing and left out, for instance gone.png"):
        assert len(unlabelled([tmp_path / "some.json"])) == 1


def test_pictures_to_test_on_are_adapted_to_only_if_they_are_asked_for(fields: list[Field], tmp_path: Path) -> None:
    subset = tmp_path / "H_40X_C2" / "Images"
    for number, split in enumerate(("train", "Test")):
        (subset / split).mkdir(parents=True)
        shutil.copy(fields[number].path, subset / split / f"{number}_1_400_ALL.png")
    with pytest.warns(UserWarning, match="H_40X_C2: 1 pictures in folders called test are left out"):
        assert [field.name for field in unlabelled([tmp_path / "H_40X_C2"])] == ["0_1_400_ALL.png"]
    assert [field.name for field in unlabelled([subset / "Test"])] == ["1_1_400_ALL.png"]


def test_ways_are_named() -> None:
    assert ways_of("") == AdaptSettings()
    assert ways_of("macenko, statistics") == AdaptSettings("macenko", True, False, False)
    wrong = {"reinhard,macenko": "not by both", "mixing": "without the teacher", "magic": "magic is no way"}
    for text, said in wrong.items():
        with pytest.raises(UserError, match=said):
            ways_of(text)
