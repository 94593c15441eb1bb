"""Files and folders that are written whole or not at all, and label files wherever they lie."""

from __future__ import annotations

import os
import secrets
import shutil
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources.abc import Traversable
from pathlib import Path
from zipfile import BadZipFile

from bloodfilm.errors import LabelError
from bloodfilm.io.lld.names import is_hidden


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; put it in place of `path` once the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give a new folder beside `path`, which does not exist; it becomes `path` if the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    temporary.mkdir()
    try:
        yield temporary
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_labels(path: Traversable) -> bytes:
    """Return the content of a label file, which may lie in a zip, as UTF-8 without a mark at its start.

    It is taken for UTF-16 if it begins with the mark of that.

    Raises
    ------
    LabelError
        If it cannot be read, or is neither.
    """
    try:
        content = path.read_bytes()
        if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
            content = content.decode("utf-16").encode()
        content = content.removeprefix(BOM_UTF8)
        content.decode()
        return content
    except UnicodeDecodeError as error:
        place = f"byte {error.start} is no {error.encoding.upper()} ({error.reason})"
        raise LabelError(f"{path}: {place}; save it as UTF-8.") from None
    except (OSError, RuntimeError, BadZipFile, zlib.error) as error:
        raise LabelError(f"{path}: {getattr(error, 'strerror', None) or error}.") from None


def files_below(folder: Path, pattern: str) -> Iterator[Path]:
    """Yield what is called like `pattern` in and below `folder`, without what macOS or the like left behind."""
    return (path for path in folder.rglob(pattern) if not any(map(is_hidden, path.relative_to(folder).parts)))


def way_to(path: str | Path, folder: str | Path) -> str:
    """Return how to go from `folder` to `path`, with slashes; the whole path if they are on two drives."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return Path(os.path.abspath(path)).as_posix()
