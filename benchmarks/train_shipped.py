"""Make the weights that ship: `src/bloodfilm/weights/attridet-n.safetensors`.

    python benchmarks/train_shipped.py detector     # boxes and types, from scratch
    python benchmarks/train_shipped.py microscopes  # boxes at other scales, squeezes and in crowds; red cells
    python benchmarks/train_shipped.py crops        # box the WBCAtt crops with it
    python benchmarks/train_shipped.py readings     # types and attributes from fields and crops; boxes stay
    python benchmarks/train_shipped.py ship         # write the shipped file with its card

Runs unchanged on CPU and CUDA; a stage that was stopped goes on where it was.
The curves are in ``build/weights/*/log.csv``.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

import sources
from bloodfilm.detection.detector import Detector
from bloodfilm.io.coco import read_coco
from bloodfilm.io.images import read_image
from bloodfilm.nets.checkpoint import load, save
from bloodfilm.training.supervised import STATE, Settings, train
from bloodfilm.weights import DEFAULT_MODEL, WEIGHTS
from detection import bloodfilm_model, score_sources

IMAGE_SIZE = 416
STAGES = {
    "detector": Settings(epochs=15, image_size=IMAGE_SIZE, batch=8, learning_rate=1.5e-3),
    "microscopes": Settings(
        epochs=6, image_size=IMAGE_SIZE, batch=8, learning_rate=8e-4, warm_up=0.3, mirrored=0.7, scale=(0.25, 1.4)
    ),
    "readings": Settings(epochs=6, image_size=IMAGE_SIZE, batch=16, learning_rate=1e-3, keep_detection=True),
}
BEGUN_WITH = {"microscopes": "detector", "readings": "microscopes"}


def run(stage: str, data: Path, out: Path, device: str, epochs: int | None) -> None:
    settings = replace(STAGES[stage], device=device)
    if epochs:
        settings = replace(settings, epochs=epochs)
    fields = read_coco(data / "train.json")
    if stage in BEGUN_WITH:
        settings = replace(settings, init=str(out / BEGUN_WITH[stage] / "last.safetensors"))
    if stage == "readings":
        fields = fields + read_coco(data / "crops-train-boxed.json")
    singles = [field for field in fields if field.source == "txl-pbc" and len(field.cells) == 1]
    print(f"{stage}: {len(fields)} pictures, {settings.epochs} epochs", flush=True)
    train(
        fields,
        read_coco(data / "val.json"),
        out / stage,
        settings,
        resume=(out / stage / STATE).exists(),
        singles=singles if stage == "microscopes" else (),
        report=lambda row: print(" ".join(f"{k} {v:.4g}" for k, v in row.items()), flush=True),
    )


def box_crops(data: Path, out: Path, device: str) -> None:
    """Give each WBCAtt crop the box found nearest its centre; crops without a sure one are left out."""
    detector = Detector(out / BEGUN_WITH["readings"] / "last.safetensors", device)
    content = json.loads((data / "crops-train.json").read_text())
    for annotation, image in zip(content["annotations"], content["images"], strict=True):
        found = detector.detect(read_image(data / image["file_name"]), min_score=0.4)
        middle = np.array([image["width"], image["height"]]) / 2
        inside = ((found.boxes[:, :2] < middle) & (found.boxes[:, 2:] > middle)).all(1)
        x0, y0, x1, y1 = found.boxes[inside][0].tolist() if inside.any() else [0] * 4
        annotation["bbox"] = [x0, y0, x1 - x0, y1 - y0]
    kept = [a for a in content["annotations"] if a["bbox"][2] > 0]
    shown = {a["image_id"] for a in kept}
    images = [image for image in content["images"] if image["id"] in shown]
    (data / "crops-train-boxed.json").write_text(json.dumps(content | {"images": images, "annotations": kept}))
    print(f"{len(kept)} of {len(content['images'])} crops boxed")


def ship(data: Path, out: Path) -> None:
    weights = out / "readings" / "last.safetensors"
    network, card = load(weights)
    text = json.loads((Path(__file__).parent / "card.json").read_text())
    scores = score_sources(bloodfilm_model(weights), read_coco(data / "test.json") + read_coco(data / "lld.json"))
    scores = {source: {k: round(v, 3) for k, v in s.items() if v == v} for source, s in scores.items()}
    card = card.model_copy(update=text | {"name": DEFAULT_MODEL, "scores": scores})
    save(WEIGHTS / f"{DEFAULT_MODEL}.safetensors", network, card, half=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=[*STAGES, "crops", "ship"])
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    parser.add_argument("--out", type=Path, default=Path("build/weights"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--epochs", type=int)
    args = parser.parse_args()
    if not (args.data / "train.json").exists():
        sources.write(args.data)
    if args.stage == "crops":
        box_crops(args.data, args.out, args.device)
    elif args.stage == "ship":
        ship(args.data, args.out)
    else:
        run(args.stage, args.data, args.out, args.device, args.epochs)


if __name__ == "__main__":
    main()
