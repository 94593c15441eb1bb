"""What each part of SLA-Det is worth: fields with labels in one random patch only, beside full labels.

    python benchmarks/sparse_ladder.py train pbc            # and wide; --rungs, --seeds, --share
    python benchmarks/sparse_ladder.py table

One line for each finished run is kept in ``benchmarks/results/sparse_ladder.csv``; what is there is not run again, and
a run that was stopped goes on where it was. All rungs train the same network from scratch on as many pictures, and
their last weights are tested. Ways to train are chosen by AP50 on the whole validation fields, which stands beside.

``pbc`` are TXL-PBC's fields with white cells, red cells and platelets; ``wide`` fields composed of 3 x 3 of them at
lower scale, with white cells of five types. AP50 is the mean over these classes.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torchmetrics.detection import MeanAveragePrecision
from torchvision.ops import batched_nms

import sources
from bloodfilm import Field, read_image
from bloodfilm.detection.letterbox import fit, resize
from bloodfilm.nets.checkpoint import load
from bloodfilm.training.loop import STATE, train
from bloodfilm.training.method import Method
from bloodfilm.training.published import Published
from bloodfilm.training.settings import Settings, SparseSettings
from bloodfilm.training.sparse import Sparse
from results import append, finished
from sparse_data import SETS, Parts, classes_of, in_patch, in_quarters

PICTURES = {"pbc": 5000, "wide": 5000}
"""Pictures seen in one training."""

SETTINGS = {
    "pbc": Settings(image_size=256, batch=8, learning_rate=1.5e-3, device="cpu", scale=(0.7, 1.4)),
    "wide": Settings(image_size=320, batch=8, learning_rate=1.5e-3, device="cpu", scale=(0.7, 1.4)),
}
SHARES = (0.2, 0.05, 0.1, 0.4)
RESULTS = Path(__file__).parent / "results" / "sparse_ladder.csv"
COLUMNS = ("data", "rung", "share", "seed", "val_ap50", "ap50", "ap", "pseudo_precision", "pseudo_recall")

ALONE = SparseSettings(pseudo=True, similarity=False, triplet=0.0)
TEACHER = replace(ALONE, precision=0.5, max_entropy=1.0, sizes=(0, 100), trust=1.0, empty_score=1.0, empty=1.0)
"""Self-training as it is usual: what the teacher finds is there, and nothing else is."""

Prepare = Callable[[list[Field], list[Field]], tuple[list[Field], Method | None]]


def sparse(settings: SparseSettings) -> Prepare:
    return lambda fields, truth: (fields, Sparse(settings, truth))


RUNGS: dict[str, Prepare] = {
    "background": lambda fields, truth: ([replace(field, labelled_regions=None) for field in fields], None),
    "region": sparse(SparseSettings(collage=(0.0, 0.0))),
    "collage-0.5": sparse(SparseSettings(collage=(0.5, 0.5))),
    "collage-0.8": sparse(SparseSettings(collage=(0.8, 0.8))),
    "sladet": sparse(SparseSettings()),
    "pseudo": sparse(ALONE),
    "similarity": sparse(replace(ALONE, similarity=True)),
    "triplet": sparse(SparseSettings(pseudo=True)),
    "teacher": sparse(TEACHER),
    "published": lambda fields, truth: (fields, Published(truth=truth)),
    "full": lambda fields, truth: (truth, None),
    "full-collage": lambda fields, truth: ([in_quarters(field) for field in truth], Sparse()),
}


def run(data: str, rung: str, share: float, seed: int, parts: Parts, out: Path) -> dict[str, object]:
    fields = [in_patch(field, share, seed) for field in parts.train]
    fields, method = RUNGS[rung](fields, parts.train)
    epochs = round(PICTURES[data] / len(fields))
    told: list[dict[str, float]] = []

    def report(row: dict[str, float]) -> None:
        told.append(row)
        print(data, rung, share, seed, " ".join(f"{k} {v:.3g}" for k, v in row.items()), flush=True)

    settings = replace(SETTINGS[data], epochs=epochs, seed=seed)
    train(fields, parts.val[:1], out, settings, (out / STATE).exists(), report, method=method)
    scores, chosen_by = (
        score(out / "last.safetensors", fields, by_type=data == "wide") for fields in (parts.test, parts.val)
    )
    late = {name: [row.get(name, math.nan) for row in told[-3:]] for name in ("pseudo_precision", "pseudo_recall")}
    return (
        {"data": data, "rung": rung, "share": share, "seed": seed, "val_ap50": f"{chosen_by['ap50']:.4f}"}
        | {name: f"{value:.4f}" for name, value in scores.items()}
        | {name: "" if np.isnan(values).all() else f"{np.nanmean(values):.4f}" for name, values in late.items()}
    )


@torch.inference_mode()
def score(weights: Path, fields: Sequence[Field], by_type: bool) -> dict[str, float]:
    """Return the mean AP50 and AP over kinds, or over types of white cells."""
    network, card = load(weights)
    network.eval()
    metric = MeanAveragePrecision(backend="faster_coco_eval", max_detection_thresholds=[1, 10, 300])
    metric.warn_on_many_detections = False
    for field in fields:
        picture = read_image(field.path)
        size = fit(picture.shape, card.image_size)
        image = resize(picture, size)[None].float() / 255
        features = network.detector(image)
        boxes, objectness, _, auxiliary = network.detector.decode(features.levels)
        scores = torch.cat((objectness[..., None], auxiliary), 2).sigmoid()[0]
        scores = scores[:, :1] if by_type else scores
        place, kind = torch.nonzero(scores > 0.01, as_tuple=True)
        found, values = boxes[0, place], scores[place, kind]
        kept = batched_nms(found, values, kind, 0.5)[:300]
        found, values, kind = found[kept], values[kept], kind[kept]
        if by_type:
            rois = torch.cat((torch.zeros(len(found), 1), found), 1)
            sure, kind = network.read(image, rois)[0].softmax(1).max(1)
            values = values * sure
        true, classes = classes_of(field, by_type)
        metric.update(
            [{"boxes": found * (picture.shape[1] / size[1]), "scores": values, "labels": kind}],
            [{"boxes": torch.from_numpy(true).float(), "labels": torch.from_numpy(classes)}],
        )
    result = metric.compute()
    return {"ap50": float(result["map_50"]), "ap": float(result["map"])}


def print_table() -> None:
    groups: dict[tuple[str, float, str], list[dict[str, str]]] = {}
    for row in finished(RESULTS):
        groups.setdefault((row["data"], float(row["share"]), row["rung"]), []).append(row)
    heads = ("fields", "share", "rung", "seeds", "AP50 on validation", "AP50", "of full labels", "AP", "right", "found")
    print("| " + " | ".join(heads) + " |")
    print("|---" * len(heads) + "|")
    order = list(RUNGS)
    for data, share, rung in sorted(groups, key=lambda key: (key[0], key[1] != SHARES[0], key[1], order.index(key[2]))):
        mine, full = groups[data, share, rung], groups.get((data, SHARES[0], "full"), [])
        cells = [spread(mine, name) for name in COLUMNS[4:]]
        cells.insert(2, f"{mean(mine, 'ap50') / mean(full, 'ap50'):.0%}" if full else "")
        print(f"| {data} | {share:.0%} | {rung} | {len(mine)} | " + " | ".join(cells) + " |")


def mean(rows: Sequence[dict[str, str]], name: str) -> float:
    return float(np.mean([float(row[name]) for row in rows]))


def spread(rows: Sequence[dict[str, str]], name: str) -> str:
    """Return mean and standard deviation of the runs; of one run, its value."""
    values = [float(row[name]) for row in rows if row[name]]
    return f"{np.mean(values):.3f}" + (f" ± {np.std(values):.3f}" if len(values) > 1 else "") if values else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("name", choices=SETS)
    training.add_argument("--rungs", nargs="+", choices=RUNGS, default=list(RUNGS))
    training.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    training.add_argument("--share", type=float, default=SHARES[0], help="Share of a field that is labelled.")
    training.add_argument("--data", type=Path, default=Path("build/data"))
    training.add_argument("--out", type=Path, default=Path("build/sparse-ladder"))
    commands.add_parser("table")
    args = parser.parse_args()
    if args.command == "table":
        print_table()
        return
    if not (args.data / "train.json").exists():
        sources.write(args.data)
    parts = SETS[args.name](args.data)
    for seed in args.seeds:
        for rung in args.rungs:
            key = (args.name, rung, str(args.share), str(seed))
            if key not in {(row["data"], row["rung"], row["share"], row["seed"]) for row in finished(RESULTS)}:
                append(RESULTS, run(args.name, rung, args.share, seed, parts, args.out / "-".join(key)), COLUMNS)


if __name__ == "__main__":
    main()
