"""Train on each microscope, test on all of them: how much is lost on another one.

    python benchmarks/domain_matrix.py train
    python benchmarks/domain_matrix.py table

One row for each model and test is kept in ``benchmarks/results/domain_matrix.csv``; what is there is not run again. The
models are the sources of `adaptation.py`, and those of the target its oracle. BCCD's copies in TXL-PBC are left out.
Weights are those of the last epoch: nothing is selected.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from bloodfilm import Field, Settings, read_coco, train
from bloodfilm.evaluation.detection import score_detection
from bloodfilm.training.loop import STATE
from detection import bloodfilm_model
from results import append, finished

DOMAINS = ("bccd", "txl-raabin", "txl-pbc", "warty-pig", "draaslan")
SEEDS = (0, 1, 2)
PICTURES = 4_000
"""Pictures seen in one training."""

SETTINGS = Settings(image_size=320, batch=8, learning_rate=1.5e-3, mirrored=0.3, scale=(0.4, 1.4))
DATA, OUT = Path("build/data"), Path("build/domains")
RESULTS = Path(__file__).parent / "results" / "domain_matrix.csv"
SCORES = ("ap50", "ap", "recall", "false_per_field")
COLUMNS = ("trained_on", "seed", "tested_on", *SCORES)


@cache
def read(path: Path) -> list[Field]:
    return read_coco(path)


def domain(data: Path, split: str, name: str) -> list[Field]:
    return [field for field in read(data / f"{split}.json") if field.source == name]


def source_model(data: Path, out: Path, name: str, seed: int) -> Path:
    """Return the weights trained on the domain `name`, trained now if they are not there."""
    folder = out / f"{name}-{seed}"
    weights, fields = folder / "last.safetensors", domain(data, "train", name)
    if not (folder / "done").exists():
        settings = replace(SETTINGS, epochs=round(PICTURES / len(fields)), seed=seed)
        train(fields, domain(data, "val", name), folder, settings, resume=(folder / STATE).exists())
        (folder / "done").touch()
    return weights


def score(weights: Path, test: list[Field]) -> dict[str, str]:
    find = bloodfilm_model(weights)
    scores = score_detection([find(field) for field in test], test)
    return {name: f"{scores[name]:.4f}" for name in SCORES}


def print_table() -> None:
    rows = finished(RESULTS)
    print("| trained on | " + " | ".join(DOMAINS) + " |")
    print("|---" * (1 + len(DOMAINS)) + "|")
    for name in DOMAINS:
        mine = [row for row in rows if row["trained_on"] == name]
        values = [[float(row["ap50"]) for row in mine if row["tested_on"] == other] for other in DOMAINS]
        print(f"| {name} | " + " | ".join(f"{np.mean(v):.3f}" if v else "" for v in values) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("train", "table"))
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    if args.command == "table":
        print_table()
        return
    done = {(row["trained_on"], int(row["seed"]), row["tested_on"]) for row in finished(RESULTS)}
    for seed in args.seeds:
        for name in DOMAINS:
            for other in DOMAINS:
                if (name, seed, other) not in done:
                    weights = source_model(args.data, args.out, name, seed)
                    scores = score(weights, domain(args.data, "test", other))
                    append(RESULTS, {"trained_on": name, "seed": seed, "tested_on": other} | scores)


if __name__ == "__main__":
    main()
