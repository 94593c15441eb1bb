"""Numbers measured of WBCAtt's test cells, beside what people and the network say of them.

    python benchmarks/measurement.py

Prints Markdown. Boxes are those that the model finds; of several cells on a picture the middle one counts.
"""

from __future__ import annotations

import argparse
import zipfile
from io import BytesIO

import numpy as np
import pandas as pd
from PIL import Image
from scipy.stats import rankdata

from bloodfilm import Cells, Detector
from bloodfilm.cells import concatenate
from bloodfilm.film.evidence import compare
from bloodfilm.film.measure import MEASURES, measure
from bloodfilm.vocabulary import LLD
from bloodfilm.weights import DEFAULT_MODEL
from sources import attributes, data_folder, rows

UM_PER_PX = 0.094
"""Of WBCAtt's pictures, by the red cells of those that show enough of them."""

QUESTIONS = {
    "cell_size big": ("cell_size", "big"),
    "nucleus_shape round": ("nucleus_shape", "unsegmented-round"),
    "nucleus_shape indented": ("nucleus_shape", "unsegmented-indented"),
    "nucleus_shape band": ("nucleus_shape", "unsegmented-band"),
    "nucleus_shape bilobed": ("nucleus_shape", "segmented-bilobed"),
    "nucleus_shape multilobed": ("nucleus_shape", "segmented-multilobed"),
    "nucleus_shape irregular": ("nucleus_shape", "irregular"),
    "nuclear_cytoplasmic_ratio high": ("nuclear_cytoplasmic_ratio", "high"),
    "chromatin_density loosely": ("chromatin_density", "loosely"),
    "cytoplasm_colour blue or purple blue": ("cytoplasm_colour", "blue|purple blue"),
    "cytoplasm_vacuole yes": ("cytoplasm_vacuole", "yes"),
}
MEASURE = {
    "cell_size big": "cell_area_px",
    "nucleus_shape round": "nucleus_roundness",
    "nucleus_shape indented": "nucleus_area_px",
    "nucleus_shape band": "nucleus_cytoplasm_ratio",
    "nucleus_shape bilobed": "nucleus_lobes",
    "nucleus_shape multilobed": "nucleus_lobes",
    "nucleus_shape irregular": "nucleus_area_px",
    "nuclear_cytoplasmic_ratio high": "nucleus_cytoplasm_ratio",
    "chromatin_density loosely": "nucleus_density",
    "cytoplasm_colour blue or purple blue": "cytoplasm_blueness",
    "cytoplasm_vacuole yes": "cytoplasm_vacuoles",
}
"""The measure that corresponds, chosen on the training part."""

NETWORK = {
    "cell_size big": ("cell_size", "large"),
    "nucleus_shape round": ("nuclear_shape", "regular"),
    "nuclear_cytoplasmic_ratio high": ("cytoplasm", "scanty"),
    "chromatin_density loosely": ("nuclear_chromatin", "open"),
    "cytoplasm_colour blue or purple blue": ("cytoplasmic_basophilia", "moderate"),
    "cytoplasm_vacuole yes": ("cytoplasmic_vacuoles", "prominent"),
}


def middle_cells(detector: Detector, split: str) -> tuple[pd.DataFrame, pd.DataFrame, Cells]:
    """Return what people say, what is measured and what the network reads of the cells it finds, row by row."""
    archive = zipfile.ZipFile(data_folder() / "pbc-wbcatt" / "images.zip")
    said, measured, read = [], [], []
    for row in rows(data_folder() / "pbc-wbcatt" / "wbcatt.csv"):
        if row["in_bundle"] != "crop" or row["wbcatt_split"] != split:
            continue
        picture = np.array(Image.open(BytesIO(archive.read(row["img_name"]))).convert("RGB"))
        cells = detector.detect(picture)
        if len(cells):
            middles = (cells.boxes[:, :2] + cells.boxes[:, 2:]) / 2
            middle = int(np.hypot(*(middles - np.array(picture.shape[1::-1]) / 2).T).argmin())
            said.append(row)
            measured.append(measure(picture, cells).iloc[[middle]])
            read.append(cells[[middle]])
    numbers = pd.concat(measured, ignore_index=True)
    numbers["cell_diameter_um"] = UM_PER_PX * np.sqrt(4 / np.pi * numbers["cell_area_px"])
    return pd.DataFrame(said), numbers, concatenate(read)


def auroc(numbers: np.ndarray, positive: np.ndarray) -> float:
    known = np.isfinite(numbers)
    numbers, positive = numbers[known], positive[known]
    wins = rankdata(numbers)[positive].sum() - positive.sum() * (positive.sum() + 1) / 2
    return float(wins / (positive.sum() * (~positive).sum()))


def probability(cells: Cells, name: str, value: str) -> np.ndarray:
    column = LLD.attribute_names.index(name)
    scores, said = cells.attribute_scores[:, column], cells.attributes[:, column]
    return np.where(said == LLD.attributes[column].code(value), scores, 1 - scores).astype(float)


def print_readings(said: pd.DataFrame, measured: pd.DataFrame, read: Cells) -> None:
    print("| what people say | of them | measure | AUROC | area of the box | the network |")
    print("|---|---|---|---|---|---|")
    box = (read.boxes[:, 2:] - read.boxes[:, :2]).prod(1).astype(float)
    for question, (column, words) in QUESTIONS.items():
        positive = said[column].isin(words.split("|")).to_numpy()
        name = MEASURE[question]
        value = auroc(measured[name].to_numpy(), positive)
        shown = f"{name} | {value:.3f}" if value >= 0.5 else f"{name}, falling | {1 - value:.3f}"
        side = auroc(box, positive)
        network = f"{auroc(probability(read, *NETWORK[question]), positive):.3f}" if question in NETWORK else ""
        print(f"| {question} | {positive.sum()} | {shown} | {max(side, 1 - side):.3f} | {network} |")


def print_evidence(said: pd.DataFrame, measured: pd.DataFrame, read: Cells) -> None:
    """Contradicted cells: with people's labels, with the opposite labels one at a time, with the network's."""
    truth = [[a.code(attributes(row).get(a.name, "")) for a in LLD.attributes] for row in said.to_dict("records")]
    people = np.array(truth, np.int16)
    print("\n| attribute | compared | contradicted as people say | if it were the other | network wrong | of these |")
    print("|---|---|---|---|---|---|")
    verdict = compare(measured, with_codes(read, people))
    predicted = compare(measured, read)
    for column, attribute in enumerate(LLD.attributes):
        if attribute.name not in verdict:
            continue
        right = verdict[attribute.name]
        other = opposite(measured, read, people, column)
        wrong = (read.attributes[:, column] != people[:, column]) & (read.attributes[:, column] >= 0)
        caught = predicted[attribute.name][wrong].eq(False).mean()
        print(
            f"| {attribute.name} | {right.notna().sum()} | {share(right)} | {share(other)} "
            f"| {wrong.sum()} | {caught:.1%} |"
        )


def opposite(measured: pd.DataFrame, read: Cells, people: np.ndarray, column: int) -> pd.Series:
    """Return the verdict on each cell with the other value of one attribute, a twentieth of the cells at a time."""
    name = LLD.attribute_names[column]
    last = len(LLD.attributes[column].values) - 1
    verdict = pd.Series([pd.NA] * len(people), dtype="boolean")
    for first in range(20):
        changed = people.copy()
        changed[first::20, column] = last - people[first::20, column]
        verdict[first::20] = compare(measured, with_codes(read, changed))[name][first::20]
    return verdict


def with_codes(cells: Cells, codes: np.ndarray) -> Cells:
    return Cells(cells.boxes, attributes=codes)


def share(verdict: pd.Series) -> str:
    return f"{verdict.eq(False).sum() / max(1, verdict.notna().sum()):.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", default="test", choices=("train", "val", "test"))
    parser.add_argument("--model", default=DEFAULT_MODEL)
    args = parser.parse_args()
    said, measured, read = middle_cells(Detector(args.model), args.split)
    unmeasured = measured["cell_area_px"].isna().sum()
    print(f"{len(said)} cells found, {unmeasured} of them not measured ({len(MEASURES)} measures).\n")
    print_readings(said, measured, read)
    print_evidence(said, measured, read)


if __name__ == "__main__":
    main()
