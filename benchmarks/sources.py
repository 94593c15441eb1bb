"""Write the shared picture sets as COCO files, split by the identity of the field.

    python benchmarks/sources.py --out build/data

makes ``train.json``, ``val.json``, ``test.json`` (white blood cells of all detection sets), ``test-corrected.json``,
``lld.json`` (never trained on) and ``crops-*.json`` (one WBCAtt cell per picture, no box), with the pictures in
``images/<source>/``.

What is decided here, and nowhere else:

* BCCD fields and their copies in TXL-PBC share one group, so that they fall on one side.
  ``BloodImage_00037`` and ``00038`` overlap and share one, too.
* ``pbc`` fields follow WBCAtt's own split, so that attributes are tested on unseen cells.
* Training leaves out pictures with no box that are known to show a white cell
  (BCCD fields whose nucleus mask is not empty, Raabin crops, which are centred on one).
  Validation and test keep every picture as it is.
* Labels that are wrong beyond doubt are corrected for training and validation by ``corrections.csv``. They were found
  where models and labels disagree, and each was looked at. ``test.json`` keeps the labels as they came.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import os
import xml.etree.ElementTree as ET
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from bloodfilm import LLD

TYPES = {"neutrophil": 4, "lymphocyte": 8, "monocyte": 11, "eosinophil": 13, "basophil": 14}
UNKNOWN_TYPE = 15
RED_CELL, PLATELET = 16, 17
CLASSES = (*LLD.classes, "white blood cell", "red blood cell", "platelet")
CATEGORIES = [{"id": i, "name": name} for i, name in enumerate(CLASSES, start=1)]
INCOMPLETE: dict[str, list[int]] = {
    "draaslan": [PLATELET],
    **dict.fromkeys(("txl-raabin", "txl-pbc", "txl-bccd", "txl-bccd-416"), []),
}
"""Kinds of which a source labels some only; those that are not here label none."""

SHARES = defaultdict(lambda: (0.7, 0.8), {"chula-negatives": (0.4, 0.5)})  # train, train + val

# WBCAtt's words in LLD's: nucleolus has no counterpart, and LLD's "medium" size is never said.
BRIDGE = {
    "cell_size": ("cell_size", {"small": "small", "big": "large"}),
    "chromatin_density": ("nuclear_chromatin", {"loosely": "open", "densely": "coarse"}),
    "nucleus_shape": ("nuclear_shape", defaultdict(lambda: "irregular", {"unsegmented-round": "regular"})),
    "nuclear_cytoplasmic_ratio": ("cytoplasm", {"high": "scanty", "low": "abundant"}),
    "cytoplasm_colour": (
        "cytoplasmic_basophilia",
        {"light blue": "slight", "blue": "moderate", "purple blue": "moderate"},
    ),
    "cytoplasm_vacuole": ("cytoplasmic_vacuoles", {"no": "absent", "yes": "prominent"}),
}


def data_folder() -> Path:
    return Path(os.environ.get("BLOODFILM_DATA", Path(__file__).parents[2] / "shared" / "data")).resolve()


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def attributes(row: dict[str, str]) -> dict[str, str]:
    return {ours: words[row[theirs]] for theirs, (ours, words) in BRIDGE.items()}


def split_of(source: str, group: str) -> str:
    train, val = SHARES[source]
    share = int(hashlib.sha256(f"{group}".encode()).hexdigest()[:8], 16) / 16**8
    return "train" if share < train else "val" if share < val else "test"


def bccd_group(name: str) -> str:
    return name.replace("00038", "00037")


def cell(box: tuple[float, ...], category: int = UNKNOWN_TYPE, **extra: object) -> dict[str, object]:
    x0, y0, x1, y1 = box
    return {"bbox": [x0, y0, x1 - x0, y1 - y0], "category_id": category, **extra}


Item = tuple[str, str, str, bytes, list[dict[str, object]]]  # source, name, split, picture, cells


def bccd(base: Path) -> Iterator[Item]:
    cleaned = zipfile.ZipFile(base / "cbc-annotations.zip")
    for row in rows(base / "index.csv"):
        name, stem = row["image"], Path(row["image"]).stem
        member = f"cbc-annotations/{stem}.xml"
        text = (
            cleaned.read(member)
            if member in cleaned.namelist()
            else (base / "annotations" / f"{stem}.xml").read_bytes()
        )
        boxes, others = [], []
        for found in ET.fromstring(text).iter("object"):
            corners = tuple(float(found.findtext(f"bndbox/{k}", "nan")) for k in ("xmin", "ymin", "xmax", "ymax"))
            if corners[2] > corners[0] and corners[3] > corners[1]:
                kind = found.findtext("name", "").lower()
                if kind == "wbc":
                    boxes.append(corners)
                else:
                    others.append(cell(corners, RED_CELL if kind == "rbc" else PLATELET))
        category = TYPES.get(row["wbc_types"].lower(), UNKNOWN_TYPE) if len(boxes) == 1 else UNKNOWN_TYPE
        split = split_of("bccd", bccd_group(stem))
        if split == "train" and not boxes and row["nucleus_mask"] == "1":
            continue
        yield "bccd", name, split, (base / "images" / name).read_bytes(), [cell(b, category) for b in boxes] + others


def yolo_boxes(text: str, size: tuple[int, int], wanted: int = 0) -> list[tuple[float, ...]]:
    boxes = []
    for line in text.splitlines():
        label, x, y, w, h = map(float, line.split()[:5])
        if label == wanted:
            x, w, y, h = x * size[0], w * size[0], y * size[1], h * size[1]
            boxes.append((x - w / 2, y - h / 2, x + w / 2, y + h / 2))
    return boxes


def txl(base: Path) -> Iterator[Item]:
    archive = zipfile.ZipFile(base / "txl-pbc.zip")
    joined = {row["image"]: row for row in rows(base / "wbcatt-join.csv")}
    for row in rows(base / "index.csv"):
        name, source = row["image"], f"txl-{row['source']}"
        picture = archive.read(f"images/{name}")
        size = Image.open(io.BytesIO(picture)).size
        text = archive.read(f"labels/{Path(name).stem}.txt").decode()
        boxes = yolo_boxes(text, size)
        cells = [cell(box) for box in boxes]
        if source == "txl-pbc":
            label = joined[name]
            split = label["wbcatt_split"]
            if boxes:
                centre = min(
                    range(len(boxes)),
                    key=lambda i: abs(boxes[i][0] + boxes[i][2] - size[0]) + abs(boxes[i][1] + boxes[i][3] - size[1]),
                )
                cells[centre] = cell(boxes[centre], TYPES[label["label"].lower()], attributes=attributes(label))
        elif source == "txl-raabin":
            split = split_of(source, name)
            if split == "train" and not boxes:
                continue
        else:
            split = split_of("bccd", bccd_group(Path(row["original"]).stem))
        cells += [cell(box, RED_CELL) for box in yolo_boxes(text, size, 1)]
        cells += [cell(box, PLATELET) for box in yolo_boxes(text, size, 2)]
        yield source, name, split, picture, cells


def warty_pig(base: Path) -> Iterator[Item]:
    archive = zipfile.ZipFile(base / "warty-pig.zip")
    for row in rows(base / "index.csv"):
        name = row["image"]
        picture = archive.read(f"images/{name}")
        label = archive.read(f"labels/{name.removesuffix('.jpg')}.txt").decode()
        boxes = yolo_boxes(label, Image.open(io.BytesIO(picture)).size)
        yield "warty-pig", name, split_of("warty-pig", name.split("_JPG")[0]), picture, [cell(b) for b in boxes]


def draaslan(base: Path) -> Iterator[Item]:
    boxes = defaultdict(list)
    for row in rows(base / "annotations.csv"):
        corners = tuple(256 * float(row[k]) for k in ("xmin", "ymin", "xmax", "ymax"))
        boxes[row["image"]].append(cell(corners, UNKNOWN_TYPE if row["label"] == "wbc" else RED_CELL))
    for name, found in boxes.items():
        picture = (base / "images" / name).read_bytes()
        yield "draaslan", name, split_of("draaslan", name), picture, found


def chula(base: Path) -> Iterator[Item]:
    for path in sorted((base / "images").iterdir()):
        yield "chula-negatives", path.name, split_of("chula-negatives", path.name), path.read_bytes(), []


def lld(base: Path) -> Iterator[Item]:
    for image in json.loads((base / "annotations.json").read_text())["images"]:
        cells = [
            cell(tuple(b["bbox_xyxy"]), b["class_id"] + 1, attributes=b["attributes"] or {}) for b in image["boxes"]
        ]
        cells += [cell(tuple(b), iscrowd=1) for b in image["unlabelled_wbc_xyxy"]]
        path = base / image["file"]
        yield "lld-samples", path.name, "lld", path.read_bytes(), cells


def crops(base: Path) -> Iterator[Item]:
    archive = zipfile.ZipFile(base / "images.zip")
    for row in rows(base / "wbcatt.csv"):
        if row["in_bundle"] == "crop":
            label = cell((0, 0, 0, 0), TYPES[row["label"].lower()], attributes=attributes(row))
            yield "wbcatt", row["img_name"], f"crops-{row['wbcatt_split']}", archive.read(row["img_name"]), [label]


READERS = {
    "bccd": bccd,
    "txl-pbc": txl,
    "warty-pig": warty_pig,
    "draaslan": draaslan,
    "chula-negatives": chula,
    "lld-samples": lld,
    "pbc-wbcatt": crops,
}


def corrections() -> dict[tuple[str, str], list[dict[str, str]]]:
    """Return the rows of ``corrections.csv`` by source and name of the picture."""
    found = defaultdict(list)
    for row in rows(Path(__file__).parent / "corrections.csv"):
        found[row["source"], row["image"]].append(row)
    return found


def corrected(cells: list[dict[str, object]], changes: list[dict[str, str]]) -> list[dict[str, object]]:
    """Return `cells` after `changes`; raise ValueError if a box to remove is not there."""
    for change in changes:
        box = tuple(float(change[k]) for k in ("x0", "y0", "x1", "y1"))
        if change["change"] == "add":
            cells = [*cells, cell(box)]
            continue
        wanted = cell(box)["bbox"]
        kept = [c for c in cells if c["category_id"] > UNKNOWN_TYPE or not np.allclose(c["bbox"], wanted, atol=3)]
        if len(kept) != len(cells) - 1:
            raise ValueError(f"corrections.csv: {change['image']} has no white cell in {wanted}, or several.")
        cells = kept
    return cells


def write(out: Path) -> dict[str, Path]:
    """Write every split below `out`; return split -> COCO file."""
    splits: dict[str, dict[str, list]] = defaultdict(
        lambda: {"images": [], "annotations": [], "categories": CATEGORIES}
    )
    changes = corrections()
    for folder, read in READERS.items():
        for source, name, split, picture, cells in read(data_folder() / folder):
            better = corrected(cells, changes.pop((source, name), []))
            path = out / "images" / source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture)
            width, height = Image.open(path).size
            image = {
                "file_name": f"images/{source}/{name}",
                "width": width,
                "height": height,
                "source": source,
                "not_exhaustive_category_ids": INCOMPLETE.get(source, [RED_CELL, PLATELET]),
            }
            add(splits[split], image, cells if split == "test" else better)
            if split == "test":
                add(splits["test-corrected"], image, better)
    if changes:
        raise ValueError(f"corrections.csv: there is no picture {next(iter(changes))}.")
    written = {}
    for split, coco in splits.items():
        written[split] = out / f"{split}.json"
        written[split].write_text(json.dumps(coco))
    return written


def add(coco: dict[str, list], image: dict[str, object], cells: list[dict[str, object]]) -> None:
    image_id = len(coco["images"]) + 1
    coco["images"].append({"id": image_id, **image})
    for found in cells:
        number, (_, _, width, height) = len(coco["annotations"]) + 1, found["bbox"]
        coco["annotations"].append({"id": number, "image_id": image_id, "area": width * height, "iscrowd": 0, **found})


def digests(out: Path) -> dict[str, str]:
    """Return for each source that is trained on one SHA-256 over names, pictures and labels of its training part."""
    sums: dict[str, hashlib._Hash] = defaultdict(hashlib.sha256)
    for name in ("train.json", "crops-train.json"):
        content = json.loads((out / name).read_text())
        labels = defaultdict(list)
        for annotation in content["annotations"]:
            labels[annotation["image_id"]].append(annotation)
        for image in content["images"]:
            found = sums[image["source"]]
            found.update(json.dumps([image, labels[image["id"]]], sort_keys=True).encode())
            found.update((out / image["file_name"]).read_bytes())
    return {source: found.hexdigest() for source, found in sorted(sums.items())}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/data"))
    for split, path in write(parser.parse_args().out).items():
        content = json.loads(path.read_text())
        print(f"{split}: {len(content['images'])} pictures, {len(content['annotations'])} cells -> {path}")
