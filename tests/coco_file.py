"""A COCO file with one cell, and its parts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

IMAGE = {"id": 1, "file_name": "a.png", "width": 100, "height": 50}
ANNOTATION = {"id": 1, "image_id": 1, "category_id": 3, "bbox": [10, 20, 30, 20]}
CATEGORIES = [{"id": 3, "name": "neutrophil"}]


def write(path: Path, **changes: Any) -> Path:
    """Write a COCO file with one cell, but for `changes`."""
    content = {"images": [IMAGE], "annotations": [ANNOTATION], "categories": CATEGORIES} | changes
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))
    return path
