"""The other end of `DetectionProcess`: a process that holds the network and answers one caller.

Messages in: a dict with image, model, device and the options of `Detector.detect`, or with boxes to be read;
anything that comes while it searches means "cancel". Messages out: ``(kind, content)`` with the kinds ready (the
model is loaded), progress, done, cancelled, refused (the caller's to mend) and failed. torch is loaded by the first
request, so that the caller can connect, and change its mind, before.
"""

from __future__ import annotations

import sys
import tempfile
import time
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bloodfilm.errors import UserError
from bloodfilm.weights import MIN_SCORE

if TYPE_CHECKING:
    from bloodfilm.detection.detector import Detector


def serve(connection: Connection) -> None:
    """Answer requests until the caller hangs up."""
    detectors: dict[tuple[Any, ...], Detector] = {}
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return
        try:
            connection.send(_answer(connection, detectors, **request))
        except UserError as error:
            connection.send(("refused", str(error)))
        except Exception as error:  # noqa: BLE001  the caller shows it
            connection.send(("failed", f"{type(error).__name__}: {error}"))


def _answer(
    connection: Connection,
    detectors: dict[tuple[Any, ...], Detector],
    image: Any,
    model: str,
    device: str,
    pixel_size: float | None,
    min_score: float = MIN_SCORE,
    boxes: Any = None,
) -> tuple[str, Any]:
    from bloodfilm.detection.detector import Cancelled, Detector
    from bloodfilm.detection.provenance import provenance
    from bloodfilm.nets.checkpoint import locate

    key = (model, device, locate(model).stat().st_mtime_ns)
    if key not in detectors:
        detectors.clear()
        detectors[key] = Detector(model, device)
    detector = detectors[key]
    connection.send(("ready", None))
    begin = time.perf_counter()
    try:
        cells = (
            detector.read_boxes(image, boxes, pixel_size)
            if boxes is not None
            else detector.detect(
                image,
                min_score,
                pixel_size=pixel_size,
                progress=lambda done, total: connection.send(("progress", (done, total))),
                cancelled=connection.poll,
            )
        )
    except Cancelled:
        connection.recv()
        return "cancelled", None
    seconds = time.perf_counter() - begin
    info = provenance(detector, min_score=min_score, pixel_size=pixel_size)
    return "done", (cells, seconds, detector.running_on, info)


def main() -> None:
    key = bytes.fromhex(sys.stdin.readline().strip())
    with tempfile.TemporaryDirectory(prefix="bloodfilm-") as folder:
        address = None if sys.platform == "win32" else str(Path(folder) / "socket")
        with Listener(address, authkey=key) as listener:
            print(listener.address, flush=True)
            connection = listener.accept()
    with connection:
        serve(connection)


if __name__ == "__main__":
    main()
