"""Keep a share of the old weights in fine-tuning, and see what is won on the new microscope and lost on the old ones.

    python benchmarks/kept_weights.py bccd build/leave-one-out/bloodfilm-bccd-1

The model of a folder of `leave_one_out.py`, calibrated, learns from 5, 20 and 40 proposed patches of the microscope
that it never saw, as in `new_microscope.py`. Each time the new weights are mixed with the old ones, and judged on 60
training fields without a labelled patch, and on 40 validation fields of the other microscopes ("at home"): what
`choose_kept` keeps was chosen so, without test fields. Trainings are kept in the same folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bloodfilm import Field
from bloodfilm.evaluation.attributes import score_attributes
from bloodfilm.evaluation.detection import score_detection
from bloodfilm.nets.checkpoint import load, save
from bloodfilm.training.average import mix
from bloodfilm.training.settings import for_people
from detection import bloodfilm_model
from new_microscope import DATA, TARGETS, choose, fields_of, home_fields, tune
from recipe import COARSE

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
PATCHES = (5, 20, 40)
THERE, HOME = 60, 40


def judge(weights: Path, fields: Sequence[Field]) -> str:
    """Return AP50, AP, false boxes per field and the share of types that are right."""
    find = bloodfilm_model(weights)
    found = [find(field) for field in fields]
    scores, types = score_detection(found, fields), score_attributes(found, fields)["class"]
    figures = [*(scores[name] for name in ("ap50", "ap", "false_per_field")), types["accuracy"]]
    return " | ".join(f"{figure:.3f}" for figure in figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("base", type=Path, help="Folder of a model that learned without the target.")
    parser.add_argument("--data", type=Path, default=DATA)
    args = parser.parse_args()
    base = args.base / "calibrated.safetensors"
    settings = for_people(str(base), COARSE.image_size, device="cpu", kept=(0.0, 0.0))
    old, _ = load(base)
    fields, home = fields_of(args.data, "train", args.target), home_fields(args.data, args.target, "val")[:HOME]
    fields = [fields[i] for i in np.random.default_rng(0).permutation(len(fields))]
    print(
        "| patches | white cells | old weights | AP50 | AP | false boxes per field | types right | at home "
        "| AP | false boxes per field | types right |"
    )
    print("|---" * 11 + "|")
    for patches in PATCHES:
        learned = choose("proposed", base, args.target, patches, 0, args.data)
        seen = {field.path for field in learned}
        there = [field for field in fields if field.path not in seen][:THERE]
        tuned = tune(learned, args.base / f"fine-tuned-{patches}", settings)
        for share in SHARES:
            network, card = load(tuned)
            mix(network, old, (share, share))
            save(args.base / "mixed.safetensors", network, card)
            scores = " | ".join(judge(args.base / "mixed.safetensors", part) for part in (there, home))
            cells = sum(len(field.cells) for field in learned)
            print(f"| {patches} | {cells} | {share:.0%} | {scores} |", flush=True)


if __name__ == "__main__":
    main()
