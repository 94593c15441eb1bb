"""The model that comes with the package, on synthetic fields and, where they are, on real ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from bloodfilm.cells import Cells, Field
from bloodfilm.cli import app
from bloodfilm.detection.detector import Detector
from bloodfilm.detection.ruler import learned
from bloodfilm.evaluation.matching import match
from bloodfilm.io.coco import read_coco
from bloodfilm.io.images import read_image
from bloodfilm.io.table import read_csv
from bloodfilm.nets.checkpoint import locate, read_card
from bloodfilm.synth import draw_field, sample_field

DATA = Path(os.environ.get("BLOODFILM_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(device="cpu")


@pytest.fixture(scope="module", params=["wbc-n", "wbc-s"])
def each(request: pytest.FixtureRequest) -> Detector:
    return Detector(request.param, "cpu")


def found_share(cells: Cells, truth: Cells, picture: np.ndarray) -> float:
    field = Field(Path(), truth, picture.shape[1], picture.shape[0])
    return float((match(cells, field) >= 0).mean())


@pytest.mark.parametrize(("name", "size"), [("wbc-n", 8_000_000), ("wbc-s", 20_000_000)])
def test_the_models_are_small_and_say_what_they_are(name: str, size: int) -> None:
    card = read_card(name)
    assert card.name == name
    assert locate(name).stat().st_size < size
    assert card.classes == ["Neutrophil", "Lymphocyte", "Monocyte", "Eosinophil", "Basophil"]
    assert "nucleolus" not in card.attributes
    assert len(card.attributes) == 6
    assert card.data
    assert card.limits


def test_all_cells_of_the_sample_are_found_and_read(each: Detector) -> None:
    picture, truth = sample_field()
    cells = each.detect(picture)
    assert len(cells) == len(truth)
    assert found_share(cells, truth, picture) == 1
    assert (cells.attributes[:, [0, 1, 2, 4, 5, 6]] >= 0).all()
    assert (cells.attributes[:, 3] == -1).all()


@pytest.mark.parametrize("diameter", [30.0, 46.0, 80.0])
def test_synthetic_fields_are_searched_well_at_several_magnifications(detector: Detector, diameter: float) -> None:
    shares = []
    for seed in range(4):
        picture, truth = draw_field(640, 480, 4, seed, diameter)
        shares.append(found_share(detector.detect(picture), truth, picture))
    assert np.mean(shares) >= 0.9


@pytest.mark.parametrize("diameter", [20.0, 46.0, 110.0])
def test_pictures_are_searched_where_red_cells_are_as_large_as_learned(detector: Detector, diameter: float) -> None:
    scale = detector.detect(draw_field(640, 480, 4, 0, diameter)[0]).scale
    low, high = learned(detector.card.red_cells)
    assert scale is not None
    assert 0.9 * low < diameter * scale.resized[0] < 1.1 * high


def test_a_film_without_white_cells_gives_none(each: Detector) -> None:
    assert sum(len(each.detect(draw_field(white_cells=0, seed=seed)[0])) for seed in range(4)) == 0


def test_a_large_picture_is_searched_in_tiles(detector: Detector) -> None:
    picture, truth = draw_field(1600, 1200, 12, 3, 46.0)
    cells = detector.detect(picture, tile=640)
    assert found_share(cells, truth, picture) >= 0.9
    assert len(cells) <= len(truth) + 1


def test_the_demo_shows_a_table_and_writes_picture_overlay_and_csv(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path), "--device", "cpu"])
    assert result.exit_code == 0
    assert "Not predicted: nucleolus" in result.output
    picture, overlay = (np.asarray(Image.open(tmp_path / name)) for name in ("field.png", "overlay.png"))
    assert (picture != overlay).any()
    assert len(read_csv(tmp_path / "cells.csv")[0].cells) == len(sample_field()[1])


def test_the_demo_opens_napari_in_a_process_without_torch(tmp_path: Path) -> None:
    code = f"""
import sys
from types import SimpleNamespace
from bloodfilm.cli import main
show_demo = lambda picture, cells: print(picture.shape, len(cells), "torch" in sys.modules)
sys.modules["bloodfilm.napari.demo"] = SimpleNamespace(show_demo=show_demo)
sys.argv[1:] = ["demo", "--gui", "--out", {str(tmp_path)!r}, "--device", "cpu"]
main()
"""
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert told.splitlines()[-1] == f"(720, 960, 3) {len(sample_field()[1])} False"


def test_synthetic_fields_are_written_with_their_labels(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["synth", "--out", str(tmp_path), "--fields", "2"])
    assert result.exit_code == 0
    first, second = read_coco(tmp_path / "fields.json")
    picture, truth = draw_field(seed=1)
    np.testing.assert_array_equal(read_image(second.path), picture)
    np.testing.assert_array_equal(second.cells.attributes, truth.attributes)
    assert len(first.cells) > 0


def test_scale_and_novelty_of_a_picture_are_written(tmp_path: Path) -> None:
    Image.fromarray(sample_field()[0]).save(tmp_path / "field.png")
    result = CliRunner().invoke(app, ["detect", str(tmp_path / "field.png"), "--out", str(tmp_path), "--device", "cpu"])
    assert result.exit_code == 0
    (field,) = read_coco(tmp_path / "cells.json")
    assert field.cells.scale is not None
    assert field.cells.scale.sure
    assert field.cells.scale.um_per_px[1] == pytest.approx(7.5 / 58, rel=0.05)
    assert (field.cells.novelty or 0) > 0
    assert {"diameter_um", "novelty"} <= set(pd.read_csv(tmp_path / "cells.csv"))


@pytest.mark.skipif(not DATA.is_dir(), reason=f"real pictures are not at {DATA}; set BLOODFILM_DATA")
def test_a_cell_on_a_real_field_is_boxed(detector: Detector) -> None:
    cells = detector.detect(read_image(DATA / "bccd" / "images" / "BloodImage_00000.jpg"))
    truth = Cells([[260, 177, 491, 376]])
    assert found_share(cells, truth, np.empty((480, 640, 3))) == 1


@pytest.mark.skipif(not DATA.is_dir(), reason=f"real pictures are not at {DATA}; set BLOODFILM_DATA")
def test_fields_without_white_cells_give_hardly_any(detector: Detector) -> None:
    pictures = sorted((DATA / "chula-negatives" / "images").iterdir())[:20]
    assert sum(len(detector.detect(read_image(path))) for path in pictures) <= 1


def test_many_small_cells_of_a_large_picture_are_found(detector: Detector) -> None:
    """At 416 px its red cells would be of 6 px, and clumps of them taken for cells."""
    picture, truth = draw_field(1500, 420, white_cells=110, seed=3, red_cell_diameter=21.0)
    cells = detector.detect(picture)
    assert found_share(cells, truth, picture) > 0.95
    assert cells.scale is not None
    assert cells.scale.um_per_px[0] == pytest.approx(7.5 / 21, rel=0.1)
    assert found_share(detector.detect(picture, 0.001), truth, picture) == 1
