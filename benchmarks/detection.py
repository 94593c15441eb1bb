"""AP50, AP and recall per data set beside YOLO11n, and attribute F1 beside the second annotator.

    python benchmarks/detection.py

Test pictures only, split by the identity of the field (`sources.py`). The rivals come from `rivals.py`; one without
weights is left out. Prints Markdown.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

import sources
from bloodfilm import LLD, Cells, Detector, Field, read_coco, read_image
from bloodfilm.detection.detector import LOWEST_SCORE
from bloodfilm.evaluation.attributes import macro_f1
from bloodfilm.evaluation.calibration import calibration_error, score_hits
from bloodfilm.evaluation.detection import score_detection
from bloodfilm.weights import DEFAULT_MODEL
from rivals import RIVALS, Find


def bloodfilm_model(model: str | Path) -> Find:
    detector = Detector(model)
    return lambda field: detector.detect(read_image(field.path), LOWEST_SCORE)


def by_source(fields: list[Field]) -> dict[str, list[Field]]:
    groups = defaultdict(list)
    for field in fields:
        groups[field.source].append(field)
    return dict(sorted(groups.items()))


HOME = "all that were trained on"
NOT_HOME = ("lld-samples", HOME)

LOWEST_SHOWN = 0.05
"""Calibration is judged on cells from this score on, all that the panel can show."""


def score_sources(find: Find, fields: list[Field]) -> dict[str, dict[str, float]]:
    """Return the scores of `score_detection` and the calibration error for each data set, and for all that are home.

    The error is that of all cells that the panel could show.
    """
    groups = by_source(fields)
    groups[HOME] = [field for field in fields if field.source != "lld-samples"]
    scores = {}
    for source, group in groups.items():
        found = [find(field) for field in group]
        shown_cells = [table[table.scores >= LOWEST_SHOWN] for table in found]
        error = calibration_error(*score_hits(shown_cells, group))
        scores[source] = score_detection(found, group) | {"calibration_error": error}
    return scores


def shown(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3f}" if isinstance(value, float) else str(value)


def print_detection(models: dict[str, Find], fields: list[Field]) -> None:
    scores = {name: score_sources(find, fields) for name, find in models.items()}
    columns = ("fields", "cells", "ap50", "ap", "recall", "false_per_field", "calibration_error")
    print("| data set | model | fields | cells | AP50 | AP | recall | false boxes per field | calibration error |")
    print("|---" * 9 + "|")
    for source in next(iter(scores.values())):
        for name in models:
            print(f"| {source} | {name} | " + " | ".join(shown(scores[name][source][key]) for key in columns) + " |")
    for name in models:
        home = [s for source, s in scores[name].items() if source not in NOT_HOME and s["cells"]]
        means = " | ".join(shown(float(np.mean([s[key] for s in home]))) for key in ("ap50", "ap"))
        print(f"| mean of {len(home)} sets that were trained on | {name} | | | {means} | | | |")


def central(cells: Cells, field: Field) -> Cells:
    """Return the best cell that covers the middle of the picture, if there is one."""
    middle = np.array([field.width, field.height]) / 2
    covers = ((cells.boxes[:, :2] < middle) & (cells.boxes[:, 2:] > middle)).all(1)
    return cells[covers][:1]


def attribute_codes(table: list[dict[str, str]]) -> np.ndarray:
    """Return types and LLD attributes (rows, 8) of WBCAtt's rows, through the bridge."""
    codes = []
    for row in table:
        words = sources.attributes(row)
        values = [attribute.code(words.get(attribute.name)) for attribute in LLD.attributes]
        codes.append([LLD.class_code(row["label"]), *values])
    return np.array(codes)


class Readings(NamedTuple):
    """Codes of type and attributes (N, 8) of N found cells, their probabilities, and the true codes."""

    said: np.ndarray
    sure: np.ndarray
    true: np.ndarray
    missed: int


def read_test_cells(find: Find, data: Path) -> Readings:
    """Read WBCAtt's test cells: crops, and the fields of TXL-PBC."""
    cells = [(f, codes) for f in read_coco(data / "test.json") if (codes := annotated(f)) is not None]
    cells += read_labelled_crops(data / "crops-test.json")
    rows = [(central(find(field), field), true) for field, true in cells]
    found = [(table, true) for table, true in rows if len(table)]
    return Readings(
        np.array([[table.codes[0], *table.attributes[0]] for table, _ in found]),
        np.array([[table.class_scores[0], *table.attribute_scores[0]] for table, _ in found]),
        np.array([true for _, true in found]),
        len(rows) - len(found),
    )


def print_attributes(readings: Readings) -> None:
    base = sources.data_folder() / "pbc-wbcatt"
    first = {row["img_name"]: row for row in sources.rows(base / "wbcatt.csv")}
    second = sources.rows(base / "wbcatt-second-annotator.csv")
    other, one = attribute_codes(second), attribute_codes([first[row["img_name"]] for row in second])
    count = len(readings.said)
    print(
        f"\n{count} WBCAtt test cells, {readings.missed} more were not found; second annotator: {len(second)} cells.\n"
    )
    print("| reading | macro-F1 | accuracy | calibration error | second annotator's macro-F1 | agreement |")
    print("|---|---|---|---|---|---|")
    columns = zip(("type", *LLD.attribute_names), *(part.T for part in readings[:3]), other.T, one.T, strict=True)
    for name, said, sure, true, theirs, ours in columns:
        known = (said >= 0) & (true >= 0)
        if not known.any():
            print(f"| {name} | not predicted | | | | |")
            continue
        right = (said == true)[known]
        print(
            f"| {name} | {macro_f1(said, true):.3f} | {right.mean():.3f} | {calibration_error(sure[known], right):.3f} "
            f"| {macro_f1(theirs, ours):.3f} | {(theirs == ours).mean():.3f} |"
        )
    print(f"\n{(readings.said[:, 0] < 0).mean():.1%} of these cells were given no type.")


def annotated(field: Field) -> np.ndarray | None:
    """Return type and attributes of the one cell of `field` that has them."""
    rows = np.flatnonzero((field.cells.attributes >= 0).any(1))
    return np.array([field.cells.codes[rows[0]], *field.cells.attributes[rows[0]]]) if len(rows) else None


def read_labelled_crops(path: Path) -> list[tuple[Field, np.ndarray]]:
    import json

    content = json.loads(path.read_text())
    crops = []
    for image, annotation in zip(content["images"], content["annotations"], strict=True):
        field = Field(path.parent / image["file_name"], Cells.empty(), image["width"], image["height"])
        values = [attribute.code(annotation["attributes"].get(attribute.name)) for attribute in LLD.attributes]
        crops.append((field, np.array([annotation["category_id"] - 1, *values])))
    return crops


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--yolo11n", type=Path, default=Path("build/yolo11n/weights/last.pt"))
    parser.add_argument("--retinanet", type=Path, default=Path("build/retinanet/last.pt"))
    parser.add_argument("--corrected", action="store_true", help="Test on corrected labels.")
    args = parser.parse_args()
    if not (args.data / "test.json").exists():
        sources.write(args.data)
    models = {args.model: bloodfilm_model(args.model)}
    for name, (_, load) in RIVALS.items():
        if (weights := getattr(args, name)).exists():
            models[name] = load(weights)
    test = "test-corrected.json" if args.corrected else "test.json"
    print_detection(models, read_coco(args.data / test) + read_coco(args.data / "lld.json"))
    print_attributes(read_test_cells(models[args.model], args.data))


if __name__ == "__main__":
    main()
