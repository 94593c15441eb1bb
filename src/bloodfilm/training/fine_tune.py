"""Train on the project in a folder, and tell what that was good for."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from bloodfilm.cells import Field
from bloodfilm.detection.detector import LOWEST_SCORE, Detector
from bloodfilm.errors import UserError
from bloodfilm.evaluation.detection import score_detection
from bloodfilm.io.files import replacing
from bloodfilm.io.images import read_image
from bloodfilm.nets.checkpoint import read_card
from bloodfilm.training.loop import STATE, Report, train
from bloodfilm.training.method import Method
from bloodfilm.training.project import COMPARISON, LOCK, MethodName, Project, load, read
from bloodfilm.training.samples import SAMPLES, WHEN, draw_samples
from bloodfilm.training.settings import FEW_REGIONS
from bloodfilm.training.sparse import Sparse
from bloodfilm.training.supervised import Supervised

ROUND = 64
"""Pictures, each changed at random, that an epoch shows at least, however few fields there are."""


def usual_method(name: MethodName, init: str | None) -> Method:
    """Return AttriDet, or SLA-Det as it suits a model that knows white cells from `init`, or not yet."""
    if name == "attridet":
        return Supervised()
    return Sparse(FEW_REGIONS if init and read_card(init).head == "own" else None)


def fine_tune(
    folder: Path,
    out: Path | None = None,
    report: Report | None = None,
    progress: Report | None = None,
    cancelled: Callable[[], bool] | None = None,
    method: Method | None = None,
) -> Path:
    """Train on the project in `folder`, by its `method`, and return the path of the best weights, as `train` does.

    Writes what `bloodfilm.training.loop.train` does to `out`, by default `folder`, and goes on with what was begun
    there. Arguments and errors are those of `train` and `bloodfilm.training.project.load`; no two programs train in one
    folder.
    """
    out = out or folder
    project, fields = load(folder)
    learned, judges = parts(project, fields)
    again = math.ceil(ROUND / len(learned))
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / LOCK, timeout=0):
            best = train(
                learned * again,
                judges,
                out,
                project.settings,
                (out / STATE).exists(),
                report,
                _until(project.minutes, cancelled),
                method=method or usual_method(project.method, project.settings.init),
                progress=progress,
            )
    except Timeout:
        raise UserError(f"Another program is training in {out}.") from None
    return best


def parts(project: Project, fields: Sequence[Field]) -> tuple[list[Field], list[Field]]:
    """Return the fields to learn from, and those to judge by."""
    judges = [field for field in fields if field.name in project.judged_by]
    learned = [field for field in fields if field.name not in project.judged_by]
    return learned, judges or [field for field in learned if len(field.cells)]


def compare(folder: Path, out: Path | None = None) -> dict[str, dict[str, float]]:
    """Return the scores of the weights that the project in `folder` began with, and of the best in `out`.

    Both are judged by the fields held out, by those learned from if there are none. Also written as
    ``comparison.json``, with pictures of what both find in ``samples``.
    """
    out = out or folder
    project, fields = read(folder)
    judges = parts(project, fields)[1]
    models = project.settings.init, out / "best.safetensors"
    scores = {}
    for name, model in zip(WHEN, models, strict=True):
        if model:
            detector = Detector(model, project.settings.device)
            found = [detector.detect(read_image(field.path), LOWEST_SCORE) for field in judges]
            scores[name] = score_detection(found, judges)
            draw_samples(out / SAMPLES, name, judges, found)
    with replacing(out / COMPARISON) as temporary:
        temporary.write_text(json.dumps(scores, indent=1))
    return scores


def _until(minutes: float | None, cancelled: Callable[[], bool] | None) -> Callable[[], bool]:
    end = math.inf if minutes is None else time.monotonic() + 60 * minutes

    def over() -> bool:
        nonlocal end
        before = time.monotonic()
        stop = before > end or bool(cancelled and cancelled())
        end += time.monotonic() - before  # a pause, for which `cancelled` waits, does not count
        return stop

    return over
