"""Nuclei and cells cut out, against outlines by hand.

    python benchmarks/segmentation.py

Prints Markdown. Outlines: the test part of bccd, and all of segmentation-wbc-1, on which nothing was tuned.
A cell of bccd is every outlined one that lies mostly inside an annotated box. Everybody gets the same boxes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.cluster.vq import kmeans2
from skimage.color import rgb2hed, rgb2hsv, rgb2lab
from skimage.filters import threshold_multiotsu, threshold_otsu

from bloodfilm import Detector, read_image
from bloodfilm.film.segment import segment
from bloodfilm.io.images import RGB
from bloodfilm.weights import DEFAULT_MODEL
from sources import bccd, data_folder

Mask = np.ndarray


@dataclass(frozen=True, eq=False)
class Outlined:
    """One cell with its outlines by hand, (H, W) as the picture, and the boxes of it and of others."""

    picture: RGB
    box: np.ndarray
    neighbours: np.ndarray
    nucleus: Mask
    cell: Mask


def outlined_bccd(split: str) -> Iterator[Outlined]:
    base = data_folder() / "bccd"
    for _, name, part, content, cells in bccd(base):
        if part != split:
            continue
        picture = np.array(Image.open(BytesIO(content)).convert("RGB"))
        levels = np.array(Image.open(base / "nucleus-masks" / f"{Path(name).stem}.png").convert("L"))
        labels, count = ndimage.label(levels > 87)
        boxes = np.array([c["bbox"] for c in cells if c["category_id"] <= 15], float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        for row, (x0, y0, x1, y1) in enumerate(boxes.astype(int)):
            inside = np.bincount(labels[y0:y1, x0:x1].ravel(), minlength=count + 1)
            kept = inside > 0.5 * np.bincount(labels.ravel())
            kept[0] = False
            if kept.any():
                own = kept[labels]
                yield Outlined(picture, boxes[row], np.delete(boxes, row, 0), own & (levels > 214), own)


def outlined_wbc_1() -> Iterator[Outlined]:
    for path in sorted((data_folder() / "segmentation-wbc-1").glob("*.bmp")):
        levels = np.array(Image.open(path.with_suffix(".png")))
        y, x = np.nonzero(levels)
        box = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], float)
        yield Outlined(read_image(path), box, np.empty((0, 4)), levels == 255, levels > 0)


Segmenter = Callable[[RGB, np.ndarray, np.ndarray], tuple[Mask, Mask]]


def ours(picture: RGB, box: np.ndarray, neighbours: np.ndarray) -> tuple[Mask, Mask]:
    found = segment(picture, box, neighbours)
    whole = np.zeros((2, *picture.shape[:2]), bool)
    height, width = found.cell.shape
    whole[:, found.top : found.top + height, found.left : found.left + width] = found.nucleus, found.cell
    return whole[0], whole[1]


def in_box(classes: Callable[[RGB], tuple[Mask, Mask]]) -> Segmenter:
    """Return a segmenter that asks for nucleus and cell in the box alone, fills holes and keeps the largest cell."""

    def segmented(picture: RGB, box: np.ndarray, _: np.ndarray) -> tuple[Mask, Mask]:
        x0, y0, x1, y1 = np.maximum(np.round(box), 0).astype(int)
        whole = np.zeros((2, *picture.shape[:2]), bool)
        nucleus, cell = classes(picture[y0:y1, x0:x1])
        labels, _ = ndimage.label(ndimage.binary_opening(cell, iterations=2))
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        cell = ndimage.binary_fill_holes(labels == sizes.argmax()) if sizes.any() else cell
        whole[:, y0:y1, x0:x1] = nucleus, cell
        return whole[0], whole[1]

    return segmented


def by_thresholds(channel: Callable[[RGB], np.ndarray]) -> Segmenter:
    """Two of Otsu's thresholds: film, cytoplasm and nucleus; the nucleus is what is high."""

    def classes(crop: RGB) -> tuple[Mask, Mask]:
        values = ndimage.gaussian_filter(channel(crop).astype(float), 1)
        low, high = threshold_multiotsu(values, 3)
        return values > high, values > low

    return in_box(classes)


def by_threshold(channel: Callable[[RGB], np.ndarray]) -> Segmenter:
    def classes(crop: RGB) -> tuple[Mask, Mask]:
        values = ndimage.gaussian_filter(channel(crop).astype(float), 1)
        nucleus = values > threshold_otsu(values)
        return nucleus, nucleus

    return in_box(classes)


def by_clusters(crop: RGB) -> tuple[Mask, Mask]:
    """k-means of three colours in Lab; the darkest is the nucleus, the lightest the film."""
    colours = rgb2lab(crop).reshape(-1, 3)
    order = colours[:, 0].argsort()
    start = colours[order[[len(order) // 20, len(order) // 2, -len(order) // 20]]]
    middles, labels = kmeans2(colours, start, minit="matrix", seed=0)
    light = middles[:, 0][labels].reshape(crop.shape[:2])
    return light == middles[:, 0].min(), light < middles[:, 0].max()


def ellipse(picture: RGB, box: np.ndarray, _: np.ndarray) -> tuple[Mask, Mask]:
    y, x = np.ogrid[: picture.shape[0], : picture.shape[1]]
    (middle_x, middle_y), (half_x, half_y) = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    cell = np.hypot((x + 0.5 - middle_x) / half_x, (y + 0.5 - middle_y) / half_y) < 1
    return np.zeros_like(cell), cell


def green(crop: RGB) -> np.ndarray:
    return -crop[..., 1].astype(float)


def saturation(crop: RGB) -> np.ndarray:
    return rgb2hsv(crop)[..., 1]


def haematoxylin(crop: RGB) -> np.ndarray:
    return rgb2hed(crop)[..., 0]


SEGMENTERS: dict[str, Segmenter] = {
    "bloodfilm": ours,
    "Otsu, green": by_threshold(green),
    "two Otsu thresholds, green": by_thresholds(green),
    "Otsu, saturation": by_threshold(saturation),
    "two Otsu thresholds, saturation": by_thresholds(saturation),
    "Otsu, deconvolved haematoxylin": by_threshold(haematoxylin),
    "k-means in Lab": in_box(by_clusters),
    "ellipse of the box": ellipse,
}


def dice(found: Mask, truth: Mask) -> float:
    return 2 * float((found & truth).sum()) / float(found.sum() + truth.sum())


def print_outlines(sets: dict[str, list[Outlined]], segmenters: dict[str, Segmenter]) -> None:
    print("| data set | method | cells | nucleus | worst tenth below | cell | worst tenth below | ms a cell |")
    print("|---|---|---|---|---|---|---|---|")
    for source, cells in sets.items():
        for method, segmenter in segmenters.items():
            start = time.process_time()
            found = [segmenter(each.picture, each.box, each.neighbours) for each in cells]
            ms = 1000 * (time.process_time() - start) / len(cells)
            scores = np.array([(dice(n, e.nucleus), dice(c, e.cell)) for (n, c), e in zip(found, cells, strict=True)]).T
            shown = [f"{s.mean():.3f} | {np.quantile(s, 0.1):.3f}" if s.any() else " | " for s in scores]
            print(f"| {source} | {method} | {len(cells)} | {' | '.join(shown)} | {ms:.1f} |")


def with_boxes_found(detector: Detector, cells: Iterable[Outlined]) -> list[Outlined]:
    """Return the cells that the detector finds (overlap of at least 0.5), with its boxes for the annotated ones."""
    kept = []
    for each in cells:
        boxes = detector.detect(each.picture).boxes
        if len(boxes):
            overlaps = [overlap(box, each.box) for box in boxes]
            best = int(np.argmax(overlaps))
            if overlaps[best] >= 0.5:
                others = np.delete(boxes, best, 0)
                kept.append(Outlined(each.picture, boxes[best], others, each.nucleus, each.cell))
    return kept


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    inner = np.prod(np.clip(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0, None))
    return float(inner / (np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - inner))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tuning", action="store_true", help="show the part of bccd that the method was tuned on")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    args = parser.parse_args()
    if args.tuning:
        print_outlines({"bccd, training part": list(outlined_bccd("train"))}, SEGMENTERS)
        return
    sets = {"bccd": list(outlined_bccd("test")), "segmentation-wbc-1": list(outlined_wbc_1())}
    print_outlines(sets, SEGMENTERS)
    detector = Detector(args.model)
    found = {f"{source}, boxes by {args.model}": with_boxes_found(detector, cells) for source, cells in sets.items()}
    print_outlines(found, {"bloodfilm": ours})


if __name__ == "__main__":
    main()
