"""Many picture files: read ahead on threads, searched in batches, failures told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from bloodfilm.cells import Cells, Field
from bloodfilm.detection.detector import MAX_WHOLE, MIN_SCORE, Detector
from bloodfilm.errors import PictureError, UserError
from bloodfilm.io.images import MIN_SIDE, RGB, read_image

READERS = 2


def detect_files(
    detector: Detector,
    paths: Sequence[Path],
    min_score: float = MIN_SCORE,
    tile: int | None = None,
    batch: int = 8,
    region: tuple[int, int, int, int] | None = None,
    failed: Callable[[Path, str], None] | None = None,
) -> Iterator[Field]:
    """Search picture files in their order; yield each as a Field with the cells found.

    A file that cannot be read is handed to `failed` with the reason, or raised as `PictureError` without it.
    `region` is the part ``x0, y0, x1, y1`` of each picture to search, in pixels.
    """
    if batch < 1:
        raise UserError(f"A batch of {batch} searches nothing; give 1 or more.")
    with ThreadPoolExecutor(READERS) as pool:
        waiting: list[tuple[Path, Future[RGB]]] = []
        todo = iter(paths)
        while True:
            while len(waiting) < 2 * batch and (path := next(todo, None)):
                waiting.append((path, pool.submit(read_image, path)))
            if not waiting:
                return
            ready, waiting = waiting[:batch], waiting[batch:]
            pictures = [
                (path, picture) for path, future in ready if (picture := _result(path, future, failed)) is not None
            ]
            yield from _search(detector, pictures, min_score, tile, region, failed)


def _result(path: Path, future: Future[RGB], failed: Callable[[Path, str], None] | None) -> RGB | None:
    try:
        return future.result()
    except PictureError as error:
        if failed is None:
            raise
        failed(path, error.reason)
        return None


def _search(
    detector: Detector,
    pictures: list[tuple[Path, RGB]],
    min_score: float,
    tile: int | None,
    region: tuple[int, int, int, int] | None,
    failed: Callable[[Path, str], None] | None,
) -> Iterator[Field]:
    x0, y0, x1, y1 = region or (0, 0, None, None)
    parts = [picture[y0:y1, x0:x1] for _, picture in pictures]
    sides = [part.shape[:2] for part in parts]
    small = [i for i, side in enumerate(sides) if tile is None and min(side) >= MIN_SIDE and max(side) <= MAX_WHOLE]
    together = dict(zip(small, detector.detect_batch([parts[i] for i in small], min_score), strict=True))
    for i, (path, picture) in enumerate(pictures):
        try:
            found: Cells = together[i] if i in together else detector.detect(parts[i], min_score, tile)
        except PictureError as error:
            if failed is None:
                raise
            failed(path, f"region {region}: {error.reason}")
            continue
        height, width = picture.shape[:2]
        yield Field(path, found.shifted(x0, y0), width, height)
