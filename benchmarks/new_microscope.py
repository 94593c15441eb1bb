"""Fine-tune on a microscope that a model never saw, with a few labelled patches of it: drawn at random, and proposed.

    python benchmarks/new_microscope.py run
    python benchmarks/new_microscope.py table

A model that learned from all microscopes but one (`leave_one_out.py`, seed 1; its weights have to be there) learns from
patches of a fifth of a field each, as the Train widget teaches it: white cells only, settings that people get. Patches
at random lie anywhere on fields drawn without return, those proposed are the first that `propose` names; seeds are
those of the draw and of the training. Where no patch holds a cell, the model stays as it was. "all" is the same from
every training field, with every white cell. All are judged on the test fields of the microscope; to see what is
forgotten, "home" is AP50, false boxes and the share of types that are right on 60 test fields of the other ones. Start
it with OMP_NUM_THREADS=1 for its CPU minutes to count.

One row for each is kept in ``benchmarks/results/new_microscope.csv``; what is there is not run again, and a training
that was stopped goes on.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from bloodfilm import Cells, Detector, Field, read_coco, read_image
from bloodfilm.evaluation.attributes import score_attributes
from bloodfilm.evaluation.detection import score_detection
from bloodfilm.training.fine_tune import fine_tune
from bloodfilm.training.project import PROJECT, Project, choose_judges, choose_method, save
from bloodfilm.training.proposals import LOWEST_SCORE, propose
from bloodfilm.training.settings import Settings, for_people
from detection import bloodfilm_model
from leave_one_out import LEFT_OUT
from recipe import COARSE
from results import append, finished
from sparse_data import inside

TARGETS = ("bccd", "txl-raabin", "warty-pig")
PATCHES, SEEDS = (1, 3, 5, 10), (0, 1, 2)
SHARE = 0.2
SOURCE_ONLY, ALL = "source only", "all"
WAYS = (SOURCE_ONLY, "random", "proposed", ALL)
HOME = 60
GAP = 0.01
"""Of AP50 between no label and all, below which there is nothing to close."""

DATA, BASES, OUT = Path("build/data"), Path("build/leave-one-out"), Path("build/new-microscope")
RESULTS = Path(__file__).parent / "results" / "new_microscope.csv"
SCORES = ("ap50", "ap", "recall", "false_per_field")
HOME_SCORES = ("home_ap50", "home_false_per_field", "home_types")
COLUMNS = ("target", "seed", "way", "patches", "cells", *SCORES, *HOME_SCORES, "minutes", "cpu_minutes")


@cache
def read(path: Path) -> list[Field]:
    return read_coco(path)


def fields_of(data: Path, split: str, target: str) -> list[Field]:
    return [field for field in read(data / f"{split}.json") if field.source == target]


def home_fields(data: Path, target: str, split: str = "test") -> list[Field]:
    fields = [
        field for field in read(data / f"{split}.json") if field.source not in LEFT_OUT[target] and len(field.cells)
    ]
    return [fields[i] for i in np.random.default_rng(0).permutation(len(fields))[:HOME]]


def base_of(bases: Path, target: str) -> Path:
    """Return the weights of the model that never saw `target`."""
    return bases / f"bloodfilm-{target}-1" / "calibrated.safetensors"


@cache
def search(base: Path, data: Path, target: str) -> list[Cells]:
    detector = Detector(base)
    return [detector.detect(read_image(field.path), LOWEST_SCORE) for field in fields_of(data, "train", target)]


def labelled(field: Field, regions: np.ndarray | None) -> Field:
    """Return what somebody would label in `regions` (R, 4), or everywhere: white cells, and nothing else."""
    field = replace(field, auxiliary={}, complete=frozenset())
    if regions is None:
        return field
    rows = np.any([inside(field.cells.boxes, region) for region in regions], axis=0)
    return replace(field, cells=field.cells[rows], labelled_regions=regions.astype(np.float32))


def at_random(fields: Sequence[Field], number: int, seed: int) -> list[Field]:
    random = np.random.default_rng(seed)
    chosen = []
    for field in (fields[i] for i in random.permutation(len(fields))[:number]):
        whole = np.array([field.width, field.height])
        corner = random.uniform(0, whole * (1 - np.sqrt(SHARE)))
        chosen.append(labelled(field, np.concatenate((corner, corner + whole * np.sqrt(SHARE)))[None]))
    return chosen


def proposed(fields: Sequence[Field], found: Sequence[Cells], number: int) -> list[Field]:
    """Return the fields of the first proposals, those of one field together."""
    regions: dict[int, list[tuple[float, ...]]] = {}
    for proposal in propose(fields, found, number, SHARE):
        regions.setdefault(proposal.field, []).append(proposal.region)
    return [labelled(fields[index], np.array(parts)) for index, parts in regions.items()]


def choose(way: str, base: Path, target: str, number: int, seed: int, data: Path) -> list[Field]:
    fields = fields_of(data, "train", target)
    if way == ALL:
        return [labelled(field, None) for field in fields]
    if way == "random":
        return at_random(fields, number, seed)
    return proposed(fields, search(base, data, target), number)


def tune(fields: Sequence[Field], folder: Path, settings: Settings) -> Path:
    """Return the weights that the Train widget would make of `fields` in a `folder`, with these settings."""
    if not (folder / PROJECT).exists():
        method = choose_method(fields)[0]
        save(folder, Project(method=method, settings=settings, judged_by=choose_judges(fields)), fields)
    return fine_tune(folder)


def run(way: str, target: str, number: int, seed: int, data: Path, bases: Path, out: Path) -> None:
    weights = base = base_of(bases, target)
    fields = [] if way == SOURCE_ONLY else choose(way, base, target, number, seed, data)
    cells = sum(len(field.cells) for field in fields)
    wall, cpu = time.monotonic(), time.process_time()
    if cells:
        settings = for_people(str(base), COARSE.image_size, seed=seed, device="cpu")
        weights = tune(fields, out / f"{way}-{target}-{number}-{seed}", settings)
    minutes = {"minutes": (time.monotonic() - wall) / 60, "cpu_minutes": (time.process_time() - cpu) / 60}
    find = bloodfilm_model(weights)
    test, home = fields_of(data, "test", target), home_fields(data, target)
    found = [find(field) for field in home]
    there, here = score_detection([find(field) for field in test], test), score_detection(found, home)
    types = score_attributes(found, home)["class"]["accuracy"]
    figures = {name: there[name] for name in SCORES}
    figures |= dict(zip(HOME_SCORES, (here["ap50"], here["false_per_field"], types), strict=True))
    row: dict[str, object] = {"target": target, "seed": seed, "way": way, "patches": number, "cells": cells}
    append(RESULTS, row | {name: f"{value:.4f}" for name, value in (figures | minutes).items()}, COLUMNS)


def print_table() -> None:
    rows = finished(RESULTS)
    by: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in rows:
        by.setdefault((row["target"], row["way"], row["patches"]), []).append(row)

    def mean(target: str, way: str, patches: object, column: str = "ap50") -> float:
        return float(np.mean([float(row[column]) for row in by.get((target, way, str(patches)), [])] or [np.nan]))

    print(
        "| microscope | way | patches | white cells | AP50 (seeds) | false boxes per field | gap closed "
        "| AP50 at home | false boxes per field at home | types right at home | CPU minutes |"
    )
    print("|---" * 11 + "|")
    for target in TARGETS:
        low, high = mean(target, SOURCE_ONLY, 0), mean(target, ALL, 0)
        mine = [key for key in by if key[0] == target]
        for key in sorted(mine, key=lambda key: (WAYS.index(key[1]), int(key[2]))):
            _, way, patches = key
            cells, false, minutes = (mean(*key, column) for column in ("cells", "false_per_field", "cpu_minutes"))
            home = " | ".join(f"{mean(*key, column):.3f}" for column in HOME_SCORES)
            gap = high - low if way in ("random", "proposed") else 0.0
            shown = f"{(mean(*key) - low) / gap:.0%}" if gap >= GAP else ""
            print(
                f"| {target} | {way} | {patches if patches != '0' else ''} | {cells:.1f} "
                f"| {mean(*key):.3f} ({len(by[key])}) | {false:.3f} | {shown} | {home} | {minutes:.1f} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table"))
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=TARGETS)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--patches", type=int, nargs="+", default=PATCHES)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--bases", type=Path, default=BASES)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    if args.command == "table":
        print_table()
        return
    warnings.filterwarnings("ignore", "Using bfloat16")
    done = {(row["target"], int(row["seed"]), row["way"], int(row["patches"])) for row in finished(RESULTS)}
    for seed in args.seeds:
        for target in args.targets:
            for way in args.ways:
                for number in [0] if way in (SOURCE_ONLY, ALL) else args.patches:
                    if (target, seed, way, number) not in done and not (way == SOURCE_ONLY and seed):
                        run(way, target, number, seed, args.data, args.bases, args.out)


if __name__ == "__main__":
    main()
