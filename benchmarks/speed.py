"""Fields per second of `bloodfilm detect`, by each shipped model, and of `ultralytics` YOLO11n, if it was trained.

    python benchmarks/speed.py

Each runs as a process of its own over the same folder of test pictures, in turn, several times; start-up is
told apart by a run over a single picture. All have their defaults. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import sources

PREDICT = "from ultralytics import YOLO; [None for _ in YOLO({0!r}).predict({1!r}, stream=True, verbose=False)]"


def seconds(command: list[str], environment: dict[str, str]) -> float:
    begin = time.perf_counter()
    subprocess.run(
        command, check=True, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    parser.add_argument("--rival", type=Path, default=Path("build/yolo11n/weights/last.pt"))
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    if not (args.data / "test.json").exists():
        sources.write(args.data)
    images = json.loads((args.data / "test.json").read_text())["images"]
    with tempfile.TemporaryDirectory() as scratch:
        folder, one = Path(scratch, "all"), Path(scratch, "one")
        folder.mkdir()
        one.mkdir()
        for image in images:
            name = image["source"] + "_" + Path(image["file_name"]).name
            shutil.copy(args.data / image["file_name"], folder / name)
        shutil.copy(args.data / images[0]["file_name"], one)

        def ours(model: str, pictures: Path) -> list[str]:
            out = str(Path(scratch, "out"))
            return [sys.executable, "-m", "bloodfilm", "detect", str(pictures), "--out", out, "--model", model]

        def theirs(pictures: Path) -> list[str]:
            return [sys.executable, "-c", PREDICT.format(str(args.rival), str(pictures))]

        runs: dict[str, tuple[Callable[[Path], list[str]], dict[str, str]]] = {
            f"bloodfilm detect, {model}": (partial(ours, model), {}) for model in ("wbc-n", "wbc-s")
        }
        if args.rival.exists():
            offline = {"YOLO_OFFLINE": "true"}
            runs |= {
                "ultralytics predict": (theirs, offline),
                "ultralytics predict, OMP_WAIT_POLICY=passive": (theirs, offline | {"OMP_WAIT_POLICY": "passive"}),
            }
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
        for _ in range(args.repeat):
            for name, (command, environment) in runs.items():
                times[name].append((seconds(command(one), environment), seconds(command(folder), environment)))
    count = len(images)
    print(f"{count} pictures, median of {args.repeat} runs, {os.cpu_count()} cores\n")
    print("| program | start-up, s | whole run, s | fields per second, start-up apart | with start-up |")
    print("|---|---|---|---|---|")
    for name, pairs in times.items():
        start, whole = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"| {name} | {start:.1f} | {whole:.1f} | {(count - 1) / (whole - start):.1f} | {count / whole:.1f} |")


if __name__ == "__main__":
    main()
