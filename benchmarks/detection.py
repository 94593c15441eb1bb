"""AP50, AP and recall per data set beside YOLO11n, and attribute F1 beside the second annotator.

    python benchmarks/detection.py

Test pictures only, split by the identity of the field (`sources.py`). The rival comes from `rival.py`; without
its weights its columns stay empty. Prints Markdown.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

import sources
from bloodfilm import LLD, Cells, Detector, Field, read_coco, read_image
from bloodfilm.detection.detector import LOWEST_SCORE
from bloodfilm.evaluation.attributes import macro_f1
from bloodfilm.evaluation.detection import score_detection
from bloodfilm.weights import DEFAULT_MODEL

Find = Callable[[Field], Cells]


def bloodfilm_model(model: str | Path) -> Find:
    detector = Detector(model)
    return lambda field: detector.detect(read_image(field.path), LOWEST_SCORE)


def yolo_model(weights: Path) -> Find:
    from ultralytics import YOLO

    model = YOLO(weights)

    def find(field: Field) -> Cells:
        boxes = model.predict(str(field.path), conf=LOWEST_SCORE, verbose=False)[0].boxes
        corners = boxes.xyxy.cpu().numpy()
        solid = (corners[:, 2:] > corners[:, :2]).all(1)
        return Cells(corners[solid], scores=boxes.conf.cpu().numpy()[solid])

    return find


def by_source(fields: list[Field]) -> dict[str, list[Field]]:
    groups = defaultdict(list)
    for field in fields:
        groups[field.source].append(field)
    return dict(sorted(groups.items()))


WANTED = {"bccd": 0.96, "txl-pbc": 0.96, "txl-raabin": 0.93, "warty-pig": 0.92}
"""AP50 that the shipped model is to reach."""


def score_sources(find: Find, fields: list[Field]) -> dict[str, dict[str, float]]:
    """Return the scores of `score_detection` for each data set."""
    return {
        source: score_detection([find(field) for field in group], group) for source, group in by_source(fields).items()
    }


def print_detection(models: dict[str, Find], fields: list[Field]) -> None:
    scores = {name: score_sources(find, fields) for name, find in models.items()}
    print("| data set | fields | cells | model | AP50 | wanted | AP | recall | false boxes per field |")
    print("|---|---|---|---|---|---|---|---|---|")
    for source in by_source(fields):
        for name in models:
            s = scores[name][source]
            print(
                f"| {source} | {s['fields']} | {s['cells']} | {name} | {s['ap50']:.3f} | {WANTED.get(source, '')} "
                f"| {s['ap']:.3f} | {s['recall']:.3f} | {s['false_per_field']:.3f} |"
            )


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


def print_attributes(find: Find, data: Path) -> None:
    said, true = [], []
    crops = read_labelled_crops(data / "crops-test.json")
    boxed = [f for f in read_coco(data / "test.json") if f.source == "txl-pbc"]
    missed = 0
    for field, codes in [*crops, *[(f, annotated(f)) for f in boxed if annotated(f) is not None]]:
        found = central(find(field), field)
        if len(found):
            said.append([found.codes[0], *found.attributes[0]])
            true.append(codes)
        else:
            missed += 1
    found_codes, true_codes = np.array(said), np.array(true)
    base = sources.data_folder() / "pbc-wbcatt"
    first = {row["img_name"]: row for row in sources.rows(base / "wbcatt.csv")}
    second = sources.rows(base / "wbcatt-second-annotator.csv")
    other, one = attribute_codes(second), attribute_codes([first[row["img_name"]] for row in second])
    print(f"\n{len(said)} WBCAtt test cells, {missed} more were not found; second annotator: {len(second)} cells.\n")
    print("| reading | macro-F1 | accuracy | second annotator's macro-F1 | agreement |")
    print("|---|---|---|---|---|")
    for column, name in enumerate(("type", *LLD.attribute_names)):
        known = (found_codes[:, column] >= 0) & (true_codes[:, column] >= 0)
        if not known.any():
            print(f"| {name} | not predicted | | | |")
            continue
        accuracy = (found_codes == true_codes)[known, column].mean()
        agreed = (other == one)[:, column].mean()
        print(
            f"| {name} | {macro_f1(found_codes[:, column], true_codes[:, column]):.3f} | {accuracy:.3f} "
            f"| {macro_f1(other[:, column], one[:, column]):.3f} | {agreed:.3f} |"
        )
    unknown = (found_codes[:, 0] < 0).mean()
    print(f"\n{unknown:.1%} of these cells were given no type.")


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
    parser.add_argument("--same-budget", type=Path, default=Path("build/weights/detector/last.safetensors"))
    parser.add_argument("--rival", type=Path, default=Path("build/rival/weights/last.pt"))
    args = parser.parse_args()
    if not (args.data / "test.json").exists():
        sources.write(args.data)
    models = {"bloodfilm, shipped": bloodfilm_model(args.model)}
    if args.same_budget.exists():
        models["bloodfilm, same image budget"] = bloodfilm_model(args.same_budget)
    if args.rival.exists():
        models["ultralytics YOLO11n"] = yolo_model(args.rival)
    print_detection(models, read_coco(args.data / "test.json") + read_coco(args.data / "lld.json"))
    print_attributes(models["bloodfilm, shipped"], args.data)


if __name__ == "__main__":
    main()
