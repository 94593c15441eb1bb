"""Find white blood cells on blood films, name their type and read their morphology.

Research software: never a diagnosis.
"""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bloodfilm.cells import Cells, Field
    from bloodfilm.detection.detector import Detector, detect
    from bloodfilm.evaluation.report import evaluate
    from bloodfilm.film.film import Film, read_films
    from bloodfilm.film.report import write_report
    from bloodfilm.film.summary import Summary, summarise
    from bloodfilm.io.coco import read_coco, write_coco
    from bloodfilm.io.formats import read_fields, write_fields
    from bloodfilm.io.images import read_image
    from bloodfilm.io.lld.dataset import read_lld
    from bloodfilm.io.table import write_csv
    from bloodfilm.training.loop import train
    from bloodfilm.training.settings import Settings
    from bloodfilm.vocabulary import LLD, Vocabulary

_HOMES = {
    "Cells": "cells",
    "Field": "cells",
    "Detector": "detection.detector",
    "detect": "detection.detector",
    "evaluate": "evaluation.report",
    "Film": "film.film",
    "read_films": "film.film",
    "write_report": "film.report",
    "Summary": "film.summary",
    "summarise": "film.summary",
    "read_coco": "io.coco",
    "write_coco": "io.coco",
    "read_fields": "io.formats",
    "write_fields": "io.formats",
    "read_image": "io.images",
    "read_lld": "io.lld.dataset",
    "write_csv": "io.table",
    "Settings": "training.settings",
    "train": "training.loop",
    "LLD": "vocabulary",
    "Vocabulary": "vocabulary",
}

__version__ = version("bloodfilm")
__all__ = [
    "LLD",
    "Cells",
    "Detector",
    "Field",
    "Film",
    "Settings",
    "Summary",
    "Vocabulary",
    "detect",
    "evaluate",
    "read_coco",
    "read_fields",
    "read_films",
    "read_image",
    "read_lld",
    "summarise",
    "train",
    "write_coco",
    "write_csv",
    "write_fields",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"bloodfilm.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'bloodfilm' has no attribute {name!r}")
