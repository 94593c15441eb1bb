from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from bloodfilm.cells import Cells, Field
from bloodfilm.errors import UserError
from bloodfilm.io.images import read_image
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.reader import PATCH, REACH
from bloodfilm.nets.refiner import moved
from bloodfilm.training.boxed import cut_out
from bloodfilm.training.heads import teach_boxes, teach_readings
from bloodfilm.training.settings import HeadSettings
from bloodfilm.vocabulary import LLD, UNKNOWN

QUICK = HeadSettings(epochs=20, batch=4, device="cpu")
PALE, DARK = (200, 160, 190), (90, 50, 140)


@pytest.fixture(scope="module")
def told_by_colour(tmp_path_factory: pytest.TempPathFactory) -> list[Field]:
    """Sixteen fields of a pale Neutrophil and a dark Lymphocyte with a vacuole, both oblong."""
    folder = tmp_path_factory.mktemp("colours")
    random = np.random.default_rng(0)
    fields = []
    for number in range(16):
        picture = np.full((96, 192, 3), 235, np.uint8)
        boxes = []
        for x, colour in ((48, PALE), (144, DARK)):
            width, height = random.integers(20, 40, 2)
            x0, y0 = x - width // 2, 48 - height // 2
            picture[y0 : y0 + height, x0 : x0 + width] = colour
            boxes.append([x0, y0, x0 + width, y0 + height])
        Image.fromarray(picture).save(folder / f"{number}.png")
        attributes = np.full((2, 7), UNKNOWN)
        attributes[:, 6] = 0, 1
        codes = [LLD.class_code("Neutrophil"), LLD.class_code("Lymphocyte")]
        fields.append(Field(folder / f"{number}.png", Cells(boxes, codes=codes, attributes=attributes), 192, 96))
    return fields


def test_cells_are_cut_out_with_their_box_square_in_the_middle(told_by_colour: list[Field]) -> None:
    patches, codes = cut_out(told_by_colour[:1])
    assert patches.shape == (2, 3, PATCH, PATCH)
    assert codes[:, 0].tolist() == [LLD.class_code("Neutrophil"), LLD.class_code("Lymphocyte")]
    assert codes[:, 7].tolist() == [0, 1]
    half = PATCH / REACH / 2
    for patch, colour in zip(patches.float(), (PALE, DARK), strict=True):
        inside = (patch - torch.tensor(colour)[:, None, None]).abs().amax(0) < 8
        rows, columns = (torch.nonzero(inside.any(axis))[:, 0] for axis in (1, 0))
        for places in (rows, columns):
            assert places.min() == pytest.approx(PATCH / 2 - half, abs=6)
            assert places.max() == pytest.approx(PATCH / 2 + half, abs=6)


def test_cells_of_which_nothing_is_known_are_not_cut_out(told_by_colour: list[Field]) -> None:
    field = told_by_colour[0]
    untold = replace(field, cells=Cells(field.cells.boxes, codes=[UNKNOWN, 3]))
    assert cut_out([untold]).codes[:, 0].tolist() == [3]
    assert cut_out([untold], every=True).codes[:, 0].tolist() == [UNKNOWN, 3]


def test_there_is_nothing_to_learn_without_a_type_or_an_attribute(
    told_by_colour: list[Field], network: AttriDet
) -> None:
    untold = replace(told_by_colour[0], cells=Cells(told_by_colour[0].cells.boxes))
    for fields in ([untold], []):
        with pytest.raises(UserError, match="nothing to learn"):
            teach_readings(network, cut_out(fields), QUICK)
    with pytest.raises(UserError, match="no cell"):
        teach_boxes(network, cut_out([], every=True), QUICK)


def test_an_imported_head_is_not_taught(told_by_colour: list[Field]) -> None:
    cells = cut_out(told_by_colour[:1])
    for teach in (teach_readings, teach_boxes):
        with pytest.raises(UserError, match="imported"):
            teach(AttriDet("n", head="published"), cells, QUICK)


def test_types_and_attributes_are_learned_and_nothing_else_changes(
    told_by_colour: list[Field], network: AttriDet
) -> None:
    losses: list[float] = []
    taught = teach_readings(network, cut_out(told_by_colour), QUICK, lambda row: losses.append(row["loss"])).eval()
    details, readings = losses[: QUICK.epochs], losses[QUICK.epochs :]
    assert len(details) == len(readings)
    assert readings[-1] < 0.5 * readings[0]
    before, after = network.state_dict(), taught.state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"attributes"}
    picture = torch.from_numpy(read_image(told_by_colour[0].path)).permute(2, 0, 1)[None] / 255
    rois = torch.cat((torch.zeros(2, 1), torch.from_numpy(told_by_colour[0].cells.boxes)), 1)
    with torch.inference_mode():
        parts = taught.read(picture, rois)
    assert parts[0].argmax(1).tolist() == told_by_colour[0].cells.codes.tolist()
    assert parts[7].argmax(1).tolist() == [0, 1]


def test_the_same_seed_teaches_the_same(told_by_colour: list[Field], network: AttriDet) -> None:
    cells = cut_out(told_by_colour[:4])
    one, other, third = (
        teach_readings(network, cells, replace(QUICK, epochs=1, seed=seed)).attributes.state_dict()["last.weight"]
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, other)
    assert not torch.equal(one, third)


def test_boxes_are_learned_and_nothing_else_changes(told_by_colour: list[Field], network: AttriDet) -> None:
    taught = teach_boxes(network, cut_out(told_by_colour, every=True), replace(QUICK, epochs=40)).eval()
    before, after = network.state_dict(), taught.state_dict()
    assert {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])} == {"refiner"}
    missed, left = [], []
    for field in told_by_colour:
        true = torch.from_numpy(field.cells.boxes)
        found = moved(true, torch.tensor([0.1, -0.1, 0.1, 0.05]).expand(len(true), 4))
        picture = torch.from_numpy(read_image(field.path)).permute(2, 0, 1)[None] / 255
        with torch.inference_mode():
            moves = taught.refiner(picture, torch.cat((torch.zeros(len(found), 1), found), 1))
        missed.append((found - true).abs().mean())
        left.append((moved(found, moves) - true).abs().mean())
    assert torch.stack(left).mean() < 0.5 * torch.stack(missed).mean()


@pytest.mark.parametrize("epochs", [1, 2, 10])
def test_a_few_steps_are_enough(told_by_colour: list[Field], network: AttriDet, epochs: int) -> None:
    taught = teach_boxes(network, cut_out(told_by_colour[:1], every=True), replace(QUICK, epochs=epochs))
    assert torch.isfinite(taught.refiner.last.weight).all()
    assert (taught.refiner.last.weight != network.refiner.last.weight).any()
