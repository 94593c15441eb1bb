"""Keep a share of the old weights in fine-tuning, and see what is won on the new microscope and lost on the old ones.

    python benchmarks/kept_weights.py

Models that learned from all microscopes but one (as in `new_microscope.py`) learn from 5, 20 and 40 proposed patches of
it. Each time the new weights are mixed with the old ones, and judged on 60 training fields without a labelled patch
and on 40 validation fields of the other microscopes ("at home"): what `shares_kept` says was chosen so, without test
fields. Figures are means of the three microscopes; types are named on one of them, bccd. Trainings are kept in
``build/kept-weights``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bloodfilm import Field
from bloodfilm.evaluation.attributes import score_attributes
from bloodfilm.evaluation.detection import score_detection
from bloodfilm.nets.checkpoint import load, save
from bloodfilm.training.average import mix
from bloodfilm.training.settings import for_people
from detection import bloodfilm_model
from new_microscope import BASES, DATA, TARGETS, base_of, choose, fields_of, home_fields, tune
from recipe import COARSE

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
PATCHES = (5, 20, 40)
THERE, HOME = 60, 40
FIGURES = ("AP50", "AP", "false boxes per field", "types right")


def judge(weights: Path, fields: Sequence[Field]) -> list[float]:
    find = bloodfilm_model(weights)
    found = [find(field) for field in fields]
    scores, types = score_detection(found, fields), score_attributes(found, fields)["class"]
    return [*(scores[name] for name in ("ap50", "ap", "false_per_field")), types["accuracy"]]


def figures(target: str, patches: int, data: Path, bases: Path, out: Path) -> Iterator[list[float]]:
    """Yield, for each of `SHARES`, the labelled cells, those held out among them, and `FIGURES` there and at home."""
    base = base_of(bases, target)
    learned = choose("proposed", base, target, patches, 0, data)
    seen, fields = {field.path for field in learned}, fields_of(data, "train", target)
    order = np.random.default_rng(0).permutation(len(fields))
    there = [fields[i] for i in order if fields[i].path not in seen][:THERE]
    home = home_fields(data, target, "val")[:HOME]
    settings = for_people(str(base), COARSE.image_size, device="cpu", kept=0.0, kept_readings=0.0)
    tuned = tune(learned, out / f"{target}-{patches}", settings)
    for share in SHARES:
        network, card = load(tuned)
        mix(network, load(base)[0], share, share)
        save(out / "mixed.safetensors", network, card)
        cells = float(sum(len(field.cells) for field in learned))
        yield [cells, *judge(out / "mixed.safetensors", there), *judge(out / "mixed.safetensors", home)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--bases", type=Path, default=BASES)
    parser.add_argument("--out", type=Path, default=Path("build/kept-weights"))
    args = parser.parse_args()
    columns = ["patches", "white cells", "old weights", *FIGURES, *(f"{figure} at home" for figure in FIGURES)]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for patches in PATCHES:
        of_targets = [list(figures(target, patches, args.data, args.bases, args.out)) for target in TARGETS]
        for share, rows in zip(SHARES, zip(*of_targets, strict=True), strict=True):
            cells, *means = np.nanmean(rows, axis=0)
            print(
                f"| {patches} | {cells:.0f} | {share:.0%} | {' | '.join(f'{mean:.3f}' for mean in means)} |", flush=True
            )


if __name__ == "__main__":
    main()
