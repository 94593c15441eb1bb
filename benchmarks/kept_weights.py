"""Keep a share of the old weights in fine-tuning, and see what is won on the new microscope and lost on the old ones.

    python benchmarks/kept_weights.py warty-pig build/leave-one-out/bloodfilm-warty-pig-1

The model of a folder of `leave_one_out.py`, calibrated, learns from five proposed patches of the microscope that it
never saw, as in `new_microscope.py`, three times. Each time the new weights are mixed with the old ones, and judged on
the test fields of that microscope and on 60 of the others ("at home"). Trainings are kept in the same folder.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from bloodfilm.evaluation.detection import score_detection
from bloodfilm.nets.checkpoint import load, save
from bloodfilm.training.average import mix
from bloodfilm.training.settings import for_people
from detection import bloodfilm_model
from new_microscope import DATA, SEEDS, TARGETS, choose, fields_of, home_fields, tune
from recipe import COARSE

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
PATCHES = 5


def judge(weights: Path, data: Path, target: str) -> list[float]:
    """Return AP50, AP, recall and false boxes per field, and the AP50 and false boxes at home."""
    find = bloodfilm_model(weights)
    test, home = fields_of(data, "test", target), home_fields(data, target)
    there, here = (score_detection([find(field) for field in fields], fields) for fields in (test, home))
    names = "ap50", "ap", "recall", "false_per_field"
    return [*(there[name] for name in names), here["ap50"], here["false_per_field"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("base", type=Path, help="Folder of a model that learned without the target.")
    parser.add_argument("--data", type=Path, default=DATA)
    args = parser.parse_args()
    base = args.base / "calibrated.safetensors"
    settings = replace(for_people(str(base), COARSE.image_size, device="cpu"), kept=0.0)
    old, _ = load(base)
    print("| old weights | AP50 | AP | cells found | false boxes per field | at home AP50 | false boxes per field |")
    print("|---" * 7 + "|")
    scores: dict[float, list[list[float]]] = {share: [] for share in SHARES}
    for seed in SEEDS:
        fields = choose("proposed", base, args.target, PATCHES, seed, args.data)
        out = args.base / f"fine-tuned-{seed}"
        tuned = tune(fields, out, replace(settings, seed=seed))
        for share in SHARES[: None if seed == SEEDS[0] else -1]:
            network, card = load(tuned)
            mix(network, old, share, readings=False)
            save(out / "mixed.safetensors", network, card)
            scores[share].append(judge(out / "mixed.safetensors", args.data, args.target))
    for share, rows in scores.items():
        print(f"| {share:.0%} | " + " | ".join(f"{figure:.3f}" for figure in np.mean(rows, axis=0)) + " |", flush=True)


if __name__ == "__main__":
    main()
