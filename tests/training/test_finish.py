from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bloodfilm.cells import Field
from bloodfilm.detection.detector import Detector
from bloodfilm.io.images import read_image
from bloodfilm.nets.attridet import AttriDet
from bloodfilm.nets.checkpoint import NO_NOVELTY, NOT_CALIBRATED, Card
from bloodfilm.synth import draw_field
from bloodfilm.training.finish import finish

CARD = Card(name="test", image_size=128)


def drawn(folder: Path, count: int, first: int) -> list[Field]:
    fields = []
    for seed in range(first, first + count):
        picture, cells = draw_field(160, 128, 1, seed, 30.0)
        path = folder / f"{seed}.png"
        Image.fromarray(picture).save(path)
        fields.append(Field(path, cells, 160, 128, name=path.name))
    return fields


def test_films_are_usual_to_a_network_that_saw_films_and_noise_is_new(network: AttriDet, tmp_path: Path) -> None:
    finished, card = finish(network, CARD, drawn(tmp_path, 40, 0), drawn(tmp_path, 20, 100))
    detector = Detector.from_network(copy.deepcopy(finished), card, torch.device("cpu"))
    films = [detector.detect(read_image(field.path)).novelty for field in drawn(tmp_path, 10, 200)]
    noise = np.random.default_rng(0).integers(0, 256, (128, 160, 3), dtype=np.uint8)
    assert np.median([film for film in films if film is not None]) < 1
    assert (detector.detect(noise).novelty or 0) > 2


def test_few_held_out_fields_leave_no_notion_of_the_usual(network: AttriDet, tmp_path: Path) -> None:
    assert NO_NOVELTY in finish(network, CARD, drawn(tmp_path, 40, 0), drawn(tmp_path, 1, 100))[1].limits


def test_few_fields_leave_no_notion_of_the_usual(network: AttriDet, fields: list[Field]) -> None:
    finished, card = finish(network, CARD, fields, fields)
    assert finish(finished, card, fields, fields)[1].limits == card.limits == [NOT_CALIBRATED, NO_NOVELTY]
    detector = Detector.from_network(finished, card, torch.device("cpu"))
    assert detector.detect(read_image(fields[0].path)).novelty is None
