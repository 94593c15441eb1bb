"""Many picture files: read ahead on threads, searched in batches, failures told apart."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from bloodfilm.cells import Cells, Field
from bloodfilm.detection.detector import MAX_WHOLE, Detector, check_batch
from bloodfilm.errors import PictureError, UserError
from bloodfilm.io.images import MIN_SIDE, RGB, read_image, read_pixel_size
from bloodfilm.weights import MIN_SCORE

READERS = 2


def detect_files(
    detector: Detector,
    paths: Sequence[Path],
    min_score: float = MIN_SCORE,
    tile: int | None = None,
    batch: int = 8,
    region: tuple[int, int, int, int] | None = None,
    failed: Callable[[Path, str], None] | None = None,
    pixel_size: float | None = None,
) -> Iterator[Field]:
    """Search picture files in their order; yield each as a Field with the cells found.

    A file that cannot be read is handed to `failed` with the reason, or raised as `PictureError` without it.
    `region` is the part ``x0, y0, x1, y1`` of each picture to search, in pixels. `pixel_size`, in micrometres, is
    used where the red cells do not tell it; without, what the file says.
    """
    check_batch(batch)
    if region and not (0 <= region[0] < region[2] and 0 <= region[1] < region[3]):
        raise UserError(f"The region {region} is none: it needs 0 <= x0 < x1 and 0 <= y0 < y1.")
    ready: list[tuple[Path, RGB]] = []
    for path, picture in _read(paths, batch, failed):
        ready.append((path, picture))
        if len(ready) == batch or tile or max(picture.shape) > MAX_WHOLE:
            yield from _search(detector, ready, min_score, tile, batch, region, failed, pixel_size)
            ready = []
    yield from _search(detector, ready, min_score, tile, batch, region, failed, pixel_size)


def _read(paths: Sequence[Path], batch: int, failed: Callable[[Path, str], None] | None) -> Iterator[tuple[Path, RGB]]:
    """Yield the pictures in order; `batch` small ones are read ahead, of large ones one for each thread."""
    todo = iter(paths)
    waiting: deque[tuple[Path, Future[RGB]]] = deque()
    ahead = READERS
    with ThreadPoolExecutor(READERS) as pool:
        while True:
            waiting.extend((path, pool.submit(read_image, path)) for path in islice(todo, max(ahead - len(waiting), 0)))
            if not waiting:
                return
            path, future = waiting.popleft()
            try:
                picture = future.result()
            except PictureError as error:
                if failed is None:
                    raise
                failed(path, error.reason)
                continue
            ahead = READERS if max(picture.shape) > MAX_WHOLE else max(batch, READERS)
            yield path, picture


def _search(
    detector: Detector,
    pictures: list[tuple[Path, RGB]],
    min_score: float,
    tile: int | None,
    batch: int,
    region: tuple[int, int, int, int] | None,
    failed: Callable[[Path, str], None] | None,
    pixel_size: float | None,
) -> Iterator[Field]:
    x0, y0, x1, y1 = region or (0, 0, None, None)
    parts = [picture[y0:y1, x0:x1] for _, picture in pictures]
    sides = [part.shape[:2] for part in parts]
    small = [
        i for i, side in enumerate(sides) if tile is None and min(side) >= MIN_SIDE and max(side) <= detector.small
    ]
    sizes = [pixel_size or read_pixel_size(path) for path, _ in pictures]
    found_together = detector.detect_batch([parts[i] for i in small], min_score, pixel_sizes=[sizes[i] for i in small])
    together = dict(zip(small, found_together, strict=True))
    for i, (path, picture) in enumerate(pictures):
        try:
            found: Cells = together[i] if i in together else detector.detect(parts[i], min_score, tile, batch, sizes[i])
        except PictureError as error:
            if failed is None:
                raise
            failed(path, f"region {region} of {picture.shape[1]} x {picture.shape[0]} px: {error.reason}")
            continue
        height, width = picture.shape[:2]
        yield Field(path, found.shifted(x0, y0), width, height)
