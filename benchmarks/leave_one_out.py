"""Train on all microscopes but one, test on that one: ours beside the rivals, on as many pictures of the same size.

    python benchmarks/leave_one_out.py train bloodfilm      # and yolo11n, retinanet; side by side if there are cores
    python benchmarks/leave_one_out.py table

One line for each finished run is kept in ``benchmarks/results/leave_one_out.csv``; what is there is not run again. The
microscope left out is missing from validation, too, by which ours is calibrated, and all of its pictures are the test.
BCCD's copies in TXL-PBC go with it. The weights are the last ones, not those that score best at home.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import sources
from bloodfilm import Field, read_coco
from bloodfilm.evaluation.detection import score_detection
from bloodfilm.nets.checkpoint import load, save
from bloodfilm.training.calibration import calibrate
from bloodfilm.training.loop import STATE, train
from bloodfilm.training.settings import Settings
from detection import bloodfilm_model
from recipe import COARSE, shown, single_cells
from results import append, finished
from rivals import RIVALS, Find

LEFT_OUT = {
    "bccd": ("bccd", "txl-bccd", "txl-bccd-416"),
    "txl-raabin": ("txl-raabin",),
    "txl-pbc": ("txl-pbc",),
    "warty-pig": ("warty-pig",),
    "draaslan": ("draaslan",),
}
SEEDS = (0, 1, 2)
PICTURES = 24_000
"""Pictures seen in one training; only ours is told the size of their red cells."""

FEW = 8
"""Fields that epochs are judged by, for nothing hangs on it."""

RESULTS = Path(__file__).parent / "results" / "leave_one_out.csv"
COLUMNS = ("model", "left_out", "seed", "ap50", "ap", "recall", "false_per_field")


def train_bloodfilm(
    fields: Sequence[Field], validation: Sequence[Field], out: Path, epochs: int, image_size: int, seed: int
) -> Path:
    settings: Settings = replace(COARSE, epochs=epochs, image_size=image_size, seed=seed)
    few = [field for field in validation if len(field.cells)][:FEW]
    train(fields, few, out, settings, resume=(out / STATE).exists(), singles=single_cells(fields))
    calibrated = out / "calibrated.safetensors"
    save(calibrated, *calibrate(*load(out / "last.safetensors"), validation))
    return calibrated


MODELS = {"bloodfilm": (train_bloodfilm, bloodfilm_model), **RIVALS}


def run(model: str, name: str, seed: int, data: Path, out: Path) -> dict[str, object]:
    parts = {split: read_coco(data / f"{split}.json") for split in ("train", "val", "test")}
    others = {split: [f for f in part if f.source not in LEFT_OUT[name]] for split, part in parts.items()}
    test = [field for part in parts.values() for field in part if field.source == name]
    fields = shown(others["train"]) if model == "bloodfilm" else others["train"]
    learn, find_with = MODELS[model]
    weights = learn(fields, others["val"], out, round(PICTURES / len(fields)), COARSE.image_size, seed)
    find: Find = find_with(weights)
    scores = score_detection([find(field) for field in test], test)
    return {"model": model, "left_out": name, "seed": seed} | {name: f"{scores[name]:.4f}" for name in COLUMNS[3:]}


def print_table() -> None:
    """Print means of all seeds, with their deviation and number, and the mean of what is left out, once all was."""
    rows = finished(RESULTS)
    names = [model for model in MODELS if any(row["model"] == model for row in rows)]
    columns = [(model, column) for model in names for column in ("ap50", "ap")]
    print("| left out | " + " | ".join(f"{model}, {column.upper()}" for model, column in columns) + " |")
    print("|---" * (1 + len(columns)) + "|")
    means = []
    for name in LEFT_OUT:
        runs = [
            [float(row[column]) for row in rows if (row["model"], row["left_out"]) == (model, name)]
            for model, column in columns
        ]
        means.append([float(np.mean(run)) if run else np.nan for run in runs])
        cells = [f"{np.mean(run):.3f} ± {np.std(run):.3f} ({len(run)})" if run else "" for run in runs]
        print(f"| {name} | " + " | ".join(cells) + " |")
    together = ["" if np.isnan(mean) else f"{mean:.3f}" for mean in np.mean(means, axis=0)]
    print("| **mean** | " + " | ".join(together) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("model", choices=MODELS)
    training.add_argument("--left-out", nargs="+", choices=LEFT_OUT, default=list(LEFT_OUT))
    training.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    training.add_argument("--data", type=Path, default=Path("build/data"))
    training.add_argument("--out", type=Path, default=Path("build/leave-one-out"))
    commands.add_parser("table")
    args = parser.parse_args()
    if args.command == "table":
        print_table()
        return
    if not (args.data / "train.json").exists():
        sources.write(args.data)
    done = {(row["model"], row["left_out"], int(row["seed"])) for row in finished(RESULTS)}
    for seed in args.seeds:
        for name in args.left_out:
            if (args.model, name, seed) not in done:
                append(
                    RESULTS, run(args.model, name, seed, args.data, args.out / f"{args.model}-{name}-{seed}"), COLUMNS
                )


if __name__ == "__main__":
    main()
