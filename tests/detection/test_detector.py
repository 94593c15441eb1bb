from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import bloodfilm
from bloodfilm.cells import Cells
from bloodfilm.detection.detector import LOWEST_SCORE, Cancelled, Detector
from bloodfilm.detection.letterbox import resize
from bloodfilm.detection.naming import MIN_CLASS_SCORE
from bloodfilm.detection.provenance import provenance
from bloodfilm.errors import CheckpointError, DeviceError, PictureError
from bloodfilm.nets.attridet import MIN_READ_SCORE, AttriDet, with_auxiliary
from bloodfilm.nets.checkpoint import Card, load, save
from bloodfilm.vocabulary import LLD, UNKNOWN

NUCLEOLUS = LLD.attribute_names.index("nucleolus")


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def picture() -> np.ndarray:
    """A picture that tiles of 64 px cover with two rows of three."""
    return noise(96, 120)


def assert_close(a: Cells, b: Cells) -> None:
    np.testing.assert_allclose(a.boxes, b.boxes, atol=0.05)
    np.testing.assert_allclose(a.scores, b.scores, atol=5e-3)
    np.testing.assert_array_equal(a.codes, b.codes)
    np.testing.assert_allclose(a.attribute_scores, b.attribute_scores, atol=0.02)


@pytest.mark.parametrize("tile", [None, 64])
def test_a_picture_gives_the_same_cells_every_time(detector: Detector, picture: np.ndarray, tile: int | None) -> None:
    first, second = (detector.detect(picture, 0.2, tile) for _ in range(2))
    assert len(first) > 10
    for name in ("boxes", "scores", "codes", "class_scores", "attributes", "attribute_scores"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize("tile", [None, 64])
def test_cells_come_by_falling_score(detector: Detector, picture: np.ndarray, tile: int | None) -> None:
    assert (np.diff(detector.detect(picture, 0.2, tile).scores) <= 0).all()


@pytest.mark.parametrize("batch", [2, 8])
def test_the_number_of_tiles_in_a_pass_changes_nothing(checkpoint: Path, picture: np.ndarray, batch: int) -> None:
    detector = Detector(checkpoint, "cpu", torch.float64)
    assert_close(detector.detect(picture, 0.2, 64, batch=batch), detector.detect(picture, 0.2, 64, batch=1))


def test_pictures_together_give_what_each_gives_alone(checkpoint: Path) -> None:
    detector = Detector(checkpoint, "cpu", torch.float64)
    pictures = [noise(96, 96), noise(160, 200, 1), noise(90, 70, 2), noise(200, 160, 3), noise(96, 96, 4)]
    for together, each in zip(detector.detect_batch(pictures, 0.1), pictures, strict=True):
        assert_close(together, detector.detect(each, 0.1))


def test_no_pictures_give_no_results(detector: Detector) -> None:
    assert detector.detect_batch([]) == []


@pytest.mark.parametrize("tile", [None, 64])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 200), (70, 77), (129, 33), (65, 64)])
def test_boxes_lie_in_pictures_of_odd_sizes(detector: Detector, height: int, width: int, tile: int | None) -> None:
    boxes = detector.detect(noise(height, width), 0.1, tile).boxes
    assert len(boxes)
    assert boxes.min() >= 0
    assert boxes[:, 2].max() <= width
    assert boxes[:, 3].max() <= height


def test_boxes_are_in_pixels_of_the_picture(detector: Detector) -> None:
    large = noise(288, 288)
    small = resize(large, (96, 96)).permute(1, 2, 0).numpy()
    found = detector.detect_batch([np.ascontiguousarray(small), large], 0.3)
    np.testing.assert_allclose(found[1].boxes, 3 * found[0].boxes, atol=1)


def test_boxes_fit_where_the_shorter_side_was_rounded(detector: Detector) -> None:
    large = noise(334, 960)
    small = resize(large, (33, 96), pad_to=1).permute(1, 2, 0).numpy()
    assert small.shape == (33, 96, 3)
    found = detector.detect_batch([np.ascontiguousarray(small), large], 0.3)
    assert len(found[0])
    np.testing.assert_allclose(found[1].boxes, found[0].boxes * np.array([10, 334 / 33] * 2), atol=0.01)


def test_cells_below_the_score_are_left_out(detector: Detector, picture: np.ndarray) -> None:
    every, some = detector.detect(picture, 0.0), detector.detect(picture, 0.5)
    assert every.scores.min() >= LOWEST_SCORE
    assert 0 < len(some) == (every.scores >= 0.5).sum()


def test_nothing_found_is_an_empty_table(detector: Detector, picture: np.ndarray) -> None:
    for tile in (None, 64):
        cells = detector.detect(picture, 1.1, tile)
        assert len(cells) == 0
        assert cells.vocabulary == LLD


def test_without_an_attribute_in_the_card_it_is_never_predicted(detector: Detector, picture: np.ndarray) -> None:
    cells = detector.detect(picture, MIN_READ_SCORE)
    assert (cells.attributes[:, NUCLEOLUS] == UNKNOWN).all()
    assert np.isnan(cells.attribute_scores[:, NUCLEOLUS]).all()
    others = np.delete(np.arange(7), NUCLEOLUS)
    assert (cells.attributes[:, others] >= 0).all()
    assert (cells.attribute_scores[:, others] > 0.3).all()


def test_a_class_outside_the_card_is_never_said(network: AttriDet, detector: Detector) -> None:
    untaught = (set(LLD.classes) - set(detector.card.classes)).pop()
    everything = Card(name="all", image_size=96, classes=list(LLD.classes), attributes=list(LLD.attribute_names))
    free = Detector.from_network(copy.deepcopy(network), everything, torch.device("cpu"))

    def said(each: Detector) -> set[str]:
        return {name for seed in range(8) for name in each.detect(noise(96, 120, seed), MIN_READ_SCORE).class_names}

    assert untaught in said(free)
    assert untaught not in said(detector)


def test_cells_that_nobody_reads_have_no_type_and_no_attributes(detector: Detector, picture: np.ndarray) -> None:
    cells = detector.detect(picture, 0.01)
    weak = cells.scores < MIN_READ_SCORE
    assert 0 < weak.sum() < len(cells)
    assert (cells.codes[weak] == UNKNOWN).all()
    assert (cells.attributes[weak] == UNKNOWN).all()
    assert np.isnan(cells.attribute_scores[weak]).all()
    assert (cells.attributes[~weak] != UNKNOWN).any()


def test_a_doubtful_type_is_unknown_and_has_no_score(detector: Detector, picture: np.ndarray) -> None:
    cells = detector.detect(picture, LOWEST_SCORE)
    unknown = cells.codes == UNKNOWN
    assert 0 < unknown.sum() < len(cells)
    assert np.isnan(cells.class_scores[unknown]).all()
    assert (cells.class_scores[~unknown] >= MIN_CLASS_SCORE).all()


def test_a_card_that_teaches_nothing_gives_boxes_only(network: AttriDet, picture: np.ndarray) -> None:
    card = Card(name="boxes", image_size=96)
    cells = Detector.from_network(copy.deepcopy(network), card, torch.device("cpu")).detect(picture, 0.1)
    assert len(cells)
    assert (cells.codes == UNKNOWN).all()
    assert (cells.attributes == UNKNOWN).all()


@pytest.mark.parametrize(
    "image",
    [
        np.empty((0, 0, 3), np.uint8),
        np.zeros((4, 96, 3), np.uint8),
        np.zeros((5, 96, 96), np.uint8),
        np.zeros((2, 96, 96, 3), np.uint8),
        np.full((96, 96), np.nan),
        np.full((96, 96), -1.0),
        np.zeros((96, 96), complex),
    ],
    ids=["empty", "4 px", "stack", "colour stack", "NaN", "negative", "complex"],
)
def test_what_is_no_picture_is_a_picture_error(detector: Detector, image: np.ndarray) -> None:
    with pytest.raises(PictureError):
        detector.detect(image)


def test_grey_rgba_and_16_bit_pictures_are_searched_like_rgb(detector: Detector) -> None:
    grey = noise(96, 96)[..., 0]
    wanted = detector.detect(np.stack([grey] * 3, -1), 0.1)
    for image in (grey, np.dstack([grey] * 3 + [np.full_like(grey, 255)]), grey.astype(np.uint16) * 257, grey.tolist()):
        assert_close(detector.detect(image, 0.1), wanted)


def test_searching_stops_before_the_next_batch_once_cancelled(detector: Detector, picture: np.ndarray) -> None:
    done: list[int] = []
    with pytest.raises(Cancelled):
        detector.detect(
            picture, tile=64, batch=2, progress=lambda n, _: done.append(n), cancelled=lambda: len(done) == 2
        )
    assert done == [2, 4]


def test_progress_counts_tiles(detector: Detector, picture: np.ndarray) -> None:
    told: list[tuple[int, int]] = []
    detector.detect(picture, tile=64, batch=4, progress=lambda *numbers: told.append(numbers))
    assert told == [(4, 6), (6, 6)]


def test_seams_leave_no_doubles(detector: Detector, picture: np.ndarray) -> None:
    from torchvision.ops import box_iou

    boxes = torch.from_numpy(detector.detect(picture, 0.2, 64).boxes)
    assert box_iou(boxes, boxes).fill_diagonal_(0).max() <= 0.45


def test_a_picture_in_one_tile_is_searched_as_a_whole(detector: Detector, picture: np.ndarray) -> None:
    assert_close(detector.detect(picture, 0.1, tile=1000), detector.detect(picture, 0.1))


def test_the_picture_is_not_changed(detector: Detector, picture: np.ndarray) -> None:
    before = picture.copy()
    detector.detect(picture, 0.5, 64)
    np.testing.assert_array_equal(picture, before)


def test_the_default_precision_finds_about_the_same(network: AttriDet, detector: Detector, picture: np.ndarray) -> None:
    fast = Detector.from_network(copy.deepcopy(network), detector.card, torch.device("cpu"))
    best, wanted = fast.detect(picture, 0.05).boxes, detector.detect(picture, 0.5).boxes
    near = np.abs(best[None] - wanted[:, None]).max(2).min(1)
    assert np.median(near) < 3


def test_a_file_is_searched_in_one_call(checkpoint: Path, picture: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(picture).save(tmp_path / "a.png")
    from_file = bloodfilm.detect(tmp_path / "a.png", checkpoint, "cpu", min_score=0.1)
    assert len(from_file)
    assert_close(from_file, bloodfilm.detect(picture, str(checkpoint), "cpu", min_score=0.1))


def test_a_missing_file_model_and_device_are_told_apart(checkpoint: Path, picture: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(PictureError):
        bloodfilm.detect(tmp_path / "nowhere.png", checkpoint)
    with pytest.raises(CheckpointError):
        Detector(tmp_path / "nowhere.safetensors")
    with pytest.raises(DeviceError):
        Detector(checkpoint, "abacus")


def test_the_provenance_tells_how_to_repeat_a_result(detector: Detector) -> None:
    info = provenance(detector, min_score=0.3, tile=64)
    assert info["model_sha256"] == detector.card.sha256 != ""
    assert (info["device"], info["precision"], info["min_score"], info["tile"]) == ("cpu", "float32", 0.3, 64)
    assert bloodfilm.__version__ in info["software"]
    assert "not a diagnosis" in info["note"]


@pytest.fixture(scope="module")
def with_red_cells(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Detector:
    """The untrained network with auxiliary kinds that see something about everywhere."""
    network, card = load(checkpoint)
    network = with_auxiliary(network, 2)
    with torch.no_grad():
        for conv in network.detector.detect.m:
            conv.bias.view(3, 21)[:, 19:] = 2
    path = tmp_path_factory.mktemp("red") / "red.safetensors"
    save(path, network, card.model_copy(update={"auxiliary": ["red blood cell", "platelet"]}))
    return Detector(path, "cpu", torch.float32)


@pytest.mark.parametrize("tile", [None, 64])
def test_a_model_that_finds_red_cells_says_the_scale(
    with_red_cells: Detector, picture: np.ndarray, tile: int | None
) -> None:
    scale = with_red_cells.detect(picture, tile=tile).scale
    assert scale is not None
    assert scale.red_cells > 0
    assert min(scale.um_per_px) > 0


def test_a_model_without_red_cells_says_no_scale(detector: Detector, picture: np.ndarray) -> None:
    assert detector.detect(picture).scale is None


@pytest.mark.parametrize("tile", [None, 64])
def test_a_given_pixel_size_is_said_and_searched_by(detector: Detector, picture: np.ndarray, tile: int | None) -> None:
    scale = detector.detect(picture, tile=tile, pixel_size=1.5).scale
    assert scale is not None
    assert scale.um_per_px == pytest.approx((1.5, 1.5))
    assert str(scale) == "1.500 µm per pixel as given"
    assert min(scale.resized) > 2
