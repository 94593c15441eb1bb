"""What a training step of SLA-Det costs beside one on full labels: seconds of the processor, and memory.

    python benchmarks/sparse_step.py

The same network, size and pictures, in turns within one process for the time, in a process of its own each for the
memory. Pseudo-labels are sought on every picture, none of which is a collage then. All start from the model that ships,
which finds cells from the first step on: this is about cost, not about what is learned. Prints Markdown.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from bloodfilm import Field
from bloodfilm.nets.checkpoint import load
from bloodfilm.training.augment import disturb, turn
from bloodfilm.training.average import Average
from bloodfilm.training.data import FieldDataset
from bloodfilm.training.labels import collate
from bloodfilm.training.method import Method, Step
from bloodfilm.training.settings import Settings, SparseSettings
from bloodfilm.training.sparse import Sparse
from bloodfilm.training.supervised import Supervised
from bloodfilm.weights import DEFAULT_MODEL
from sparse_data import SETS, in_patch

SPARSE = {
    "sladet": SparseSettings(),
    "sladet-pseudo": SparseSettings(pseudo=True, burn_in=0.0, collage=(0.0, 0.0)),
}
METHODS = ("attridet", *SPARSE)


class Stepper:
    """One method, stepped by hand as the loop does it."""

    def __init__(self, method: Method, fields: list[Field], settings: Settings) -> None:
        torch.manual_seed(0)
        self.method, self.settings = method, settings
        network, _ = load(DEFAULT_MODEL)
        self.network = network.to(memory_format=torch.channels_last).train()
        method.begin(fields, settings)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=settings.learning_rate, fused=True)
        self.average = Average(self.network)
        self.dataset = FieldDataset(fields, settings.image_size, labels=method.labels)
        self.dataset.collage = method.collage(1.0)
        self.generator = torch.Generator().manual_seed(0)

    def step(self, number: int, done: float = 1.0) -> None:
        rows = [(number * self.settings.batch + i) % len(self.dataset) for i in range(self.settings.batch)]
        images, targets = collate([self.dataset[row] for row in rows])
        plain, targets = turn(images.float() / 255, targets, self.generator)
        images = disturb(plain, self.generator).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            losses = self.method.losses(Step(self.network, self.average.network, images, plain, targets, done))
        torch.stack(list(losses.values())).sum().backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.update(self.network)


def stepper(name: str, data: Path, settings: Settings) -> Stepper:
    truth = SETS["pbc"](data).train
    if name == "attridet":
        return Stepper(Supervised(), truth, settings)
    return Stepper(Sparse(SPARSE[name]), [in_patch(field, 0.2, 0) for field in truth], settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    parser.add_argument("--image-size", type=int, default=320)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warm-up", type=int, default=10, help="Steps before any is timed.")
    parser.add_argument("--memory", choices=METHODS, help="Only print the peak memory of this method in MB.")
    args = parser.parse_args()
    settings = Settings(image_size=args.image_size, batch=args.batch)
    if args.memory:
        one = stepper(args.memory, args.data, settings)
        for number in range(args.warm_up + 5):
            one.step(number)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        return
    memory = {
        name: int(
            subprocess.run(
                [sys.executable, *sys.argv, "--memory", name], check=True, capture_output=True, text=True
            ).stdout
        )
        for name in METHODS
    }
    steppers = {name: stepper(name, args.data, settings) for name in METHODS}
    times: dict[str, list[float]] = {name: [] for name in METHODS}
    for number in range(args.warm_up + args.steps):
        for name, one in steppers.items():
            began = time.process_time()
            one.step(number)
            times[name] += [time.process_time() - began] * (number >= args.warm_up)
    labels = ", ".join(
        f"{float(value):.1f} {name}" for name, value in steppers["sladet-pseudo"].method.measures().items()
    )
    print(f"{args.image_size} px, batch {args.batch}, median of {args.steps} steps; in the last one {labels}\n")
    print("| method | processor seconds a step | times | peak memory, MB | times |")
    print("|---" * 5 + "|")
    first = METHODS[0]
    for name in METHODS:
        middle = statistics.median(times[name])
        share, more = middle / statistics.median(times[first]), memory[name] / memory[first]
        print(f"| {name} | {middle:.3f} | {share:.2f} | {memory[name]} | {more:.2f} |")


if __name__ == "__main__":
    main()
