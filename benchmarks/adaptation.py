"""From one microscope to another without labels of it: each way of `bloodfilm train --method adapt` beside both bounds.

    python benchmarks/adaptation.py develop      # bccd to draaslan, on which the default was chosen
    python benchmarks/adaptation.py run          # four pairs that were fixed beforehand, all ways
    python benchmarks/adaptation.py all          # the default on all other pairs
    python benchmarks/adaptation.py table

Sources, and the oracles that learned from the target's labels, are the models of `domain_matrix.py` with the same seed;
those that are not there are trained. The target's training pictures are shown without labels; its test pictures are
searched once for each way. One row for each is kept in ``benchmarks/results/adaptation.csv``; what is there is not run
again.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np

from bloodfilm import Field
from bloodfilm.training.adaptation import AdaptSettings, adapt
from bloodfilm.training.loop import STATE
from domain_matrix import DATA, DOMAINS, OUT, SETTINGS, domain, score, source_model
from results import append, finished

PAIRS = (("bccd", "txl-raabin"), ("bccd", "txl-pbc"), ("bccd", "warty-pig"), ("draaslan", "bccd"))
DEVELOPED = (("bccd", "draaslan"),)
OTHERS = tuple(pair for pair in permutations(DOMAINS, 2) if pair not in (*PAIRS, *DEVELOPED))
SEEDS = (0, 1, 2)

NOTHING = AdaptSettings(stain=None, teacher=False)
WAYS = {
    "reinhard": replace(NOTHING, stain="reinhard"),
    "reinhard, always": replace(NOTHING, stain="reinhard", only_if_surer=False),
    "macenko": replace(NOTHING, stain="macenko", only_if_surer=False),
    "statistics": replace(NOTHING, statistics=True),
    "teacher": replace(NOTHING, teacher=True),
    "reinhard, teacher": replace(NOTHING, stain="reinhard", only_if_surer=False, teacher=True),
    "reinhard, teacher, mixing": replace(NOTHING, stain="reinhard", only_if_surer=False, teacher=True, mixing=True),
}
BOUNDS = ("source only", "oracle")
DEFAULT = "reinhard"

PICTURES = 2_000
"""Pictures, half of them of the target, in one training of a teacher and its student."""

RESULTS = Path(__file__).parent / "results" / "adaptation.csv"


def adapted(way: str, source: str, target: str, seed: int, data: Path, out: Path) -> Path:
    """Return the weights that one way, or one bound, leads to."""
    if way in BOUNDS:
        return source_model(data, out, source if way == BOUNDS[0] else target, seed)
    fields, unlabelled = domain(data, "train", source), domain(data, "train", target)
    settings = replace(SETTINGS, seed=seed, learning_rate=5e-4, warm_up=0.3, mosaic=0.3)
    settings = replace(settings, epochs=max(round(PICTURES / (2 * max(len(fields), len(unlabelled)))), 1))
    folder = out / f"{way.replace(', ', '-')}-{source}-{target}-{seed}"
    init = source_model(data, out, source, seed)
    begun = (folder / STATE).exists()
    return adapt(init, fields, domain(data, "val", source), unlabelled, folder, settings, WAYS[way], begun)


def run(way: str, source: str, target: str, seed: int, data: Path, out: Path, test: list[Field]) -> None:
    scores = score(adapted(way, source, target, seed, data, out), test)
    append(RESULTS, {"source": source, "target": target, "way": way, "seed": seed} | scores)


def print_table() -> None:
    rows = finished(RESULTS)
    ways = [way for way in (BOUNDS[0], *WAYS, BOUNDS[1]) if any(row["way"] == way for row in rows)]
    print("| source → target | " + " | ".join(ways) + " |")
    print("|---" * (1 + len(ways)) + "|")
    for title, pairs in (("pairs fixed beforehand", PAIRS), ("other pairs", OTHERS), ("to choose by", DEVELOPED)):
        gains: dict[str, list[float]] = {way: [] for way in ways}
        for source, target in pairs:
            by_way = {w: {r["seed"]: float(r["ap50"]) for r in rows if _is(r, source, target, w)} for w in ways}
            cells = [f"{np.mean([*v.values()]):.3f} ({len(v)})" if v else "" for v in by_way.values()]
            print(f"| {source} → {target} | " + " | ".join(cells) + " |")
            for way, values in by_way.items():
                gain = [value - by_way[BOUNDS[0]][seed] for seed, value in values.items() if seed in by_way[BOUNDS[0]]]
                gains[way] += [100 * float(np.mean(gain))] if gain else []
        means = [f"{np.mean(v):+.1f} (least {min(v):+.1f})" if v else "" for v in gains.values()]
        print(f"| **mean gain, points, {title}** | " + " | ".join(means) + " |")


def _is(row: dict[str, str], source: str, target: str, way: str) -> bool:
    return (row["source"], row["target"], row["way"]) == (source, target, way)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("develop", "run", "all", "table"))
    parser.add_argument("--ways", nargs="+")
    parser.add_argument("--sources", nargs="+", default=DOMAINS)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    if args.command == "table":
        print_table()
        return
    ways = args.ways or (
        (BOUNDS[0], DEFAULT, f"{DEFAULT}, always", BOUNDS[1])
        if args.command == "all"
        else (BOUNDS[0], *WAYS, BOUNDS[1])
    )
    pairs = {"run": PAIRS, "all": OTHERS, "develop": DEVELOPED}[args.command]
    split = "train" if args.command == "develop" else "test"
    done = {(row["source"], row["target"], row["way"], int(row["seed"])) for row in finished(RESULTS)}
    for seed in args.seeds:
        for way in ways:
            for source, target in pairs:
                if source in args.sources and (source, target, way, seed) not in done:
                    run(way, source, target, seed, args.data, args.out, domain(args.data, split, target))


if __name__ == "__main__":
    main()
