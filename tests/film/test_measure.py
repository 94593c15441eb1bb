"""Measuring: cells of known size, lobes and vacuoles, at known scale and squeeze."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from bloodfilm.cells import Cells, Field, Scale
from bloodfilm.film.measure import MEASURES, REASON, measure, measure_field
from bloodfilm.synth.stain import LIGHT, Stains

UM = 0.1
CELL_RADIUS, SIDE = 60, 180
MIDDLE = SIDE / 2
BOX = [MIDDLE - CELL_RADIUS, MIDDLE - CELL_RADIUS, MIDDLE + CELL_RADIUS, MIDDLE + CELL_RADIUS]
LOBES = {
    1: [(0, 0, 35)],
    2: [(0, -24, 20), (0, 24, 20), (0, 0, 6)],
    3: [(-22, -20, 16), (-22, 20, 16), (22, 0, 16), (-22, 0, 5)],
}
VACUOLES = [(0, 48), (0, -48), (48, 0), (-48, 0)]


def disc(y, x, radius):
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5 - MIDDLE
    return np.hypot(rows - y, columns - x) < radius


def nucleus_of(lobes):
    return np.logical_or.reduce([disc(*lobe) for lobe in LOBES[lobes]])


def photograph(lobes=1, vacuoles=0, stain="eosin"):
    """Return a picture (180, 180, 3) of a cell of 12 micrometres in its middle."""
    stains = Stains.typical()
    amount = disc(0, 0, CELL_RADIUS).astype(float)
    for y, x in VACUOLES[:vacuoles]:
        amount[disc(y, x, 4)] = 0
    nucleus = nucleus_of(lobes)
    density = (amount * ~nucleus)[..., None] * getattr(stains, stain) + nucleus[..., None] * stains.chromatin
    image = gaussian_filter(np.exp(-density), (1, 1, 0)) * np.array(LIGHT)
    image += np.random.default_rng(0).normal(0, 2, image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def known(x=UM, y=UM, sure=True):
    return Scale((x, y), 0.01, 12, sure, (1, 1))


def row(image, box=BOX, scale=None):
    return measure(image, Cells([box], scale=scale)).iloc[0]


def test_areas_and_diameter():
    found = row(photograph(), scale=known())
    cell, nucleus = np.pi * CELL_RADIUS**2, np.pi * 35**2
    assert found["cell_area_px"] == pytest.approx(cell, rel=0.06)
    assert found["nucleus_area_px"] == pytest.approx(nucleus, rel=0.08)
    assert found["cell_area_um2"] == pytest.approx(cell * UM**2, rel=0.06)
    assert found["nucleus_area_um2"] == pytest.approx(nucleus * UM**2, rel=0.08)
    assert found["cell_diameter_um"] == pytest.approx(12, rel=0.03)
    assert found["nucleus_cytoplasm_ratio"] == pytest.approx(nucleus / (cell - nucleus), rel=0.12)


@pytest.mark.parametrize("lobes", LOBES)
def test_lobes(lobes):
    assert row(photograph(lobes))["nucleus_lobes"] == lobes


def test_a_round_nucleus_is_round_and_a_lobed_one_is_not():
    one, two, three = (row(photograph(lobes)) for lobes in LOBES)
    assert one["nucleus_solidity"] > 0.96
    assert one["nucleus_roundness"] > 0.94
    assert two["nucleus_solidity"] < 0.9
    assert max(two["nucleus_roundness"], three["nucleus_roundness"]) < 0.8


@pytest.mark.parametrize("vacuoles", [0, 1, 4])
def test_vacuoles(vacuoles):
    assert row(photograph(vacuoles=vacuoles, stain="azure"))["cytoplasm_vacuoles"] == vacuoles


def test_azure_is_bluer_than_eosin():
    blue, pink = (row(photograph(stain=stain))["cytoplasm_blueness"] for stain in ("azure", "eosin"))
    assert blue > 2 * pink


def test_clumped_chromatin_has_more_contrast():
    image = photograph()
    clumps = np.random.default_rng(1).random((SIDE // 6, SIDE // 6)).repeat(6, 0).repeat(6, 1) > 0.6
    inside = clumps & disc(0, 0, 32)
    image[inside] = np.minimum(255, image[inside] * 1.6).astype(np.uint8)
    assert row(image)["chromatin_contrast"] > 1.5 * row(photograph())["chromatin_contrast"]


def test_the_squeeze_is_undone():
    image = photograph(lobes=2)
    squeezed = np.asarray(Image.fromarray(image).resize((int(0.6 * SIDE), SIDE), Image.Resampling.BILINEAR))
    box = np.array(BOX) * [0.6, 1, 0.6, 1]
    plain, undone = row(image, scale=known()), row(squeezed, box, known(UM / 0.6, UM))
    for name in ("cell_area_um2", "nucleus_area_um2", "cell_diameter_um", "nucleus_solidity", "nucleus_roundness"):
        assert undone[name] == pytest.approx(plain[name], rel=0.05)
    assert undone["cell_area_px"] == pytest.approx(0.6 * plain["cell_area_px"], rel=0.05)
    assert undone["nucleus_lobes"] == 2


@pytest.mark.parametrize("scale", [None, known(sure=False)])
def test_without_a_sure_scale_there_are_no_micrometres(scale):
    found = row(photograph(), scale=scale)
    assert found[[name for name in MEASURES if "_um" in name]].isna().all()
    assert found["cell_area_px"] > 0
    assert found[REASON] == ""


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ([0, 30, 90, 150], "cut by the picture's edge"),
        ([30, 60, 150, 180], "cut by the picture's edge"),
        ([200, 200, 260, 260], "too few pixels"),
        ([2, 2, 28, 28], "the cell does not stand out"),
    ],
)
def test_what_cannot_be_measured_says_why(box, reason):
    found = row(photograph(), box)
    assert found[REASON] == reason
    assert found[list(MEASURES)].isna().all()


def test_one_failure_leaves_the_other_cells_alone():
    frame = measure(photograph(), Cells([[2, 2, 28, 28], BOX]))
    assert list(frame.columns) == [*MEASURES, REASON]
    assert frame["cell_area_px"].isna().tolist() == [True, False]


def test_no_cells_are_an_empty_table():
    frame = measure(photograph(), Cells.empty())
    assert list(frame.columns) == [*MEASURES, REASON]
    assert len(frame) == 0


def test_a_grey_picture_is_measured_too():
    grey = photograph().mean(2).astype(np.uint8)
    assert row(grey)["cell_area_px"] == pytest.approx(np.pi * CELL_RADIUS**2, rel=0.1)


def test_a_field_is_measured_as_its_picture(tmp_path):
    path = tmp_path / "field.png"
    image, cells = photograph(), Cells([BOX], scale=known())
    Image.fromarray(image).save(path)
    found = measure_field(Field(path, cells, SIDE, SIDE))
    assert found.equals(measure(image, cells))
