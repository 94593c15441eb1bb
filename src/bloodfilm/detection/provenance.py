"""What made a result: model, versions, device, settings, date."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Literal

import torch

from bloodfilm.detection.detector import MAX_OVERLAP, Detector


def provenance(detector: Detector, **settings: Any) -> dict[str, Any]:
    """Return what a reader of the result needs to repeat it."""
    return {
        "software": f"bloodfilm {version('bloodfilm')}",
        "torch": str(torch.__version__),  # of its own class it would load torch where it is unpickled
        "model": detector.card.name,
        "model_sha256": detector.card.sha256,
        "types": list(detector.card.classes),
        "attributes": list(detector.card.attributes),
        "score_of": score_of(detector),
        "device": str(detector.device),
        "precision": str(detector.precision).removeprefix("torch."),
        "max_overlap": MAX_OVERLAP,
        **settings,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "note": "Research software: not a diagnosis.",
    }


def score_of(detector: Detector) -> Literal["cell", "cell and type"]:
    """Return of what a score is the probability: of a cell, or, as in YOLOv5, of a cell of the type that is said."""
    return "cell" if detector.card.head == "own" else "cell and type"
