"""Make a model that ships, ``src/bloodfilm/weights/NAME.safetensors``, from the pictures of `sources.py`.

    python benchmarks/train_shipped.py wbc-n
    python benchmarks/train_shipped.py wbc-s --readings wbc-n

go through all stages: boxes (coarse, then one-size, at all scales and squeezes, in crowds, with red cells and
platelets), tight (boxes found again in cells cut out of fields), crops (boxes for the WBCAtt crops by that detector),
readings (types and attributes of cells cut out of fields and crops, or both heads of another model), and ship
(calibrated on validation fields, with its card).
Runs unchanged on CPU and CUDA. What was done before is not done again (a training of boxes that was stopped goes on
where it was); their curves are in ``build/NAME/*/log.csv``.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

import sources
from bloodfilm import Field
from bloodfilm.detection.detector import Detector
from bloodfilm.io.coco import read_coco
from bloodfilm.io.files import replacing
from bloodfilm.io.images import read_image
from bloodfilm.nets.checkpoint import load, read_card, save
from bloodfilm.training.boxed import cut_out
from bloodfilm.training.calibration import unfold
from bloodfilm.training.finish import finish
from bloodfilm.training.heads import teach_boxes, teach_readings
from bloodfilm.training.loop import STATE, train
from bloodfilm.training.settings import Settings
from bloodfilm.weights import WEIGHTS
from detection import bloodfilm_model, score_sources
from recipe import HEADS, STAGES, named, shown, single_cells, to_refine_by


def report(row: dict[str, float]) -> None:
    print(" ".join(f"{k} {v:.4g}" for k, v in row.items()), flush=True)


def run(fields: list[Field], data: Path, out: Path, settings: Settings) -> Path:
    """Train, or go on training, in `out`; return the weights of the last epoch."""
    print(f"{out}: {len(fields)} pictures, {settings.epochs} epochs", flush=True)
    train(
        fields,
        read_coco(data / "val.json"),
        out,
        settings,
        resume=(out / STATE).exists(),
        singles=single_cells(fields),
        report=report,
    )
    return out / "last.safetensors"


def box_crops(data: Path, weights: str | Path, split: str, out: Path, device: str = "auto") -> Path:
    """Give each WBCAtt crop the box found nearest its centre, once; crops without a sure one are left out."""
    boxed = out / f"crops-{split}-{read_card(weights).sha256[:8]}.json"
    if boxed.exists():
        return boxed
    detector = Detector(weights, device)
    content = json.loads((data / f"crops-{split}.json").read_text())
    for annotation, image in zip(content["annotations"], content["images"], strict=True):
        image["file_name"] = str((data / image["file_name"]).resolve())
        found = detector.detect(read_image(image["file_name"]), min_score=0.4)
        middle = np.array([image["width"], image["height"]]) / 2
        inside = ((found.boxes[:, :2] < middle) & (found.boxes[:, 2:] > middle)).all(1)
        x0, y0, x1, y1 = found.boxes[inside][0].tolist() if inside.any() else [0] * 4
        annotation["bbox"] = [x0, y0, x1 - x0, y1 - y0]
    kept = [a for a in content["annotations"] if a["bbox"][2] > 0]
    of_kept = {a["image_id"] for a in kept}
    images = [image for image in content["images"] if image["id"] in of_kept]
    with replacing(boxed) as temporary:
        temporary.write_text(json.dumps(content | {"images": images, "annotations": kept}))
    print(f"{len(kept)} of {len(content['images'])} crops boxed", flush=True)
    return boxed


def teach(what: str, detector: str | Path, fields: list[Field], out: Path, device: str) -> Path:
    """Teach the network at `detector` ``tight`` boxes, or ``readings``, of the cells of `fields`."""
    network, card = load(detector)
    weights = out / f"{what}-{card.sha256[:8]}.safetensors"
    if not weights.exists():
        cells = cut_out(fields, every=what == "tight")
        print(f"{weights}: {len(cells.codes)} cells", flush=True)
        learn = teach_boxes if what == "tight" else teach_readings
        network = learn(network, cells, replace(HEADS[what], device=device), report)
        save(weights, network, card.model_copy(update={"calibration": {}}))
    return weights


def with_readings(detector: str | Path, readings: str, out: Path) -> Path:
    """Write the network at `detector` with what looks closely at the cells that it finds, as taught at `readings`."""
    (network, card), (other, told) = load(detector), load(readings)
    unfold(other, told)
    if not other.refiner.last.weight.any():
        raise SystemExit(f"{readings} was taught before boxes were refined: teach it again.")
    network.attributes, network.refiner = other.attributes, other.refiner
    taught = {"classes": told.classes, "attributes": told.attributes, "calibration": {}}
    save(out / "with-readings.safetensors", network, card.model_copy(update=taught))
    return out / "with-readings.safetensors"


def ship(name: str, data: Path, weights: Path, crops: Path, target: Path, detector: Path | None) -> None:
    text = json.loads((Path(__file__).parent / "card.json").read_text())
    fields, held_out = (read_coco(data / f"{split}.json") for split in ("train", "val"))
    network, card = finish(*load(weights), fields, held_out, read_coco(crops))
    known, before = load(detector) if detector else (network, card)
    if before.calibration:
        network.detector, network.novelty = known.detector, known.novelty
        scores = {key: value for key, value in before.calibration.items() if key.startswith("score_")}
        card = card.model_copy(update={"calibration": card.calibration | scores})
    card = card.model_copy(update=text | {"name": name, "data_sha256": sources.digests(data)})
    save(target, network, card, half=True)
    scores = score_sources(bloodfilm_model(target), read_coco(data / "test.json") + read_coco(data / "lld.json"))
    scores = {source: {k: round(v, 3) for k, v in s.items() if v == v} for source, s in scores.items()}
    save(target, network, card.model_copy(update={"scores": scores}), half=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=STAGES)
    parser.add_argument("--data", type=Path, default=Path("build/data"))
    parser.add_argument("--out", type=Path, default=Path("build"))
    parser.add_argument("--target", type=Path, default=WEIGHTS, help="Folder for the finished model.")
    parser.add_argument(
        "--detector", type=Path, help="Weights that find and score cells: the first stages are left out."
    )
    parser.add_argument("--readings", help="Weights that refine boxes and read: neither is taught.")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    if not (args.data / "train.json").exists():
        sources.write(args.data)
    out = args.out / args.name
    out.mkdir(parents=True, exist_ok=True)
    fields = read_coco(args.data / "train.json")
    detector = args.detector
    if detector is None:
        for name, stage in STAGES[args.name].items():
            start = {"init": str(detector)} if detector else {"size": args.name[-1]}
            detector = run(shown(fields), args.data, out / name, replace(stage, device=args.device, **start))
    if args.readings:
        readings = with_readings(detector, args.readings, out)
    else:
        tight = teach("tight", detector, to_refine_by(fields), out, args.device)
        boxed = box_crops(args.data, tight, "train", out, args.device)
        readings = teach("readings", tight, named(fields) + read_coco(boxed), out, args.device)
    held_out = box_crops(args.data, readings, "val", out, args.device)
    ship(args.name, args.data, readings, held_out, args.target / f"{args.name}.safetensors", args.detector)


if __name__ == "__main__":
    main()
