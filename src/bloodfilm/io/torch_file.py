"""What `torch.save` wrote, read without running it.

A pickle is a program. Here `pickletools` takes it apart, which runs nothing, and a machine puts it together that knows
only the operations that `torch.save` writes. Whatever the program names is kept as a name: nothing is imported, and
nothing is called.
"""

from __future__ import annotations

import math
import pickletools
import re
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bloodfilm.errors import CheckpointError

Array = npt.NDArray[Any]

MAX_PROGRAM = 2**24
"""Bytes of the largest program that is read; that of a whole YOLOv5x has less than 2**18."""

USUAL = re.compile(
    r"(models|utils|yolov5|ultralytics|torch\.nn)\.[\w.]+"
    r"|torch\.(_utils\._rebuild_(tensor_v2|parameter)|\w+Storage|Size|device|(b?float|u?int)\d+)"
    r"|collections\.OrderedDict|__builtin__\.set|argparse\.Namespace|datetime\.\w+|pathlib[\w.]*Path"
    r"|_codecs\.encode|numpy\.(dtype|ndarray|_?core\.multiarray\.(scalar|_reconstruct))"
)
"""What training files name. The names are never looked up: the list is for telling hostile files from others."""

STORAGES = {
    "Half": "<f2",
    "BFloat16": "<u2",
    "Float": "<f4",
    "Double": "<f8",
    "Byte": "u1",
    "Char": "i1",
    "Short": "<i2",
    "Int": "<i4",
    "Long": "<i8",
    "Bool": "?",
}
CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(eq=False)
class Foreign:
    """A class or an object of somebody else, known by its dotted name; `state` is what an object holds."""

    name: str
    state: Any = None


def read_torch_file(path: Path) -> Any:
    """Return what `torch.save` wrote to `path`: plain containers, arrays for tensors, `Foreign` for other objects.

    Raises
    ------
    CheckpointError
        If the file is not a whole one of `torch.save` (PyTorch 1.6 or newer), or asks for what weights do not need.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive, path.stat().st_size)
    except CheckpointError as error:
        raise CheckpointError(f"{path} {error}") from None
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}.") from None
    except (zipfile.BadZipFile, struct.error, EOFError):
        raise CheckpointError(f"{path} is not a whole file of PyTorch 1.6 or newer; get it again.") from None
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is broken ({type(error).__name__}: {str(error)[:200]}); get it again.") from None


def _read(archive: zipfile.ZipFile, size: int) -> Any:
    names, entries = archive.namelist(), archive.infolist()
    if any(name.endswith("/constants.pkl") for name in names):
        raise CheckpointError("is an exported TorchScript program; give the file that training wrote.")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CheckpointError("is compressed, which PyTorch never does; it may be hostile, and was not unpacked.")
    if sum(entry.file_size for entry in entries) > size:
        raise CheckpointError("says that it holds more than it does; it may be hostile, and was not unpacked.")
    programs = [name for name in names if name.endswith("/data.pkl")]
    if len(programs) != 1:
        raise CheckpointError("is an archive, but not one of PyTorch; give the file that training wrote.")
    root = programs[0].removesuffix("data.pkl")
    if archive.getinfo(programs[0]).file_size > MAX_PROGRAM:
        raise CheckpointError("has a larger header than any checkpoint; it may be hostile, and was not read.")
    if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
        raise CheckpointError("was written by a big-endian computer; save it again on another.")
    return _Machine(archive, root).run(archive.read(programs[0]))


class _Machine:
    """The stack, marks and memory of a pickle; `root` is the folder of the tensors in `archive`."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        self.archive, self.root = archive, root
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memory: dict[int, Any] = {}
        self.storages: dict[str, Array] = {}
        self.steps: dict[str, Callable[[Any], None]] = {
            "PROTO": lambda _: None,
            "MARK": lambda _: self.marks.append(len(self.stack)),
            "TUPLE": lambda _: self.stack.append(tuple(self.pop_to_mark())),
            "BINPUT": self.remember,
            "LONG_BINPUT": self.remember,
            "BINGET": self.recall,
            "LONG_BINGET": self.recall,
            "APPEND": lambda _: self.append(self.pop(1)),
            "APPENDS": lambda _: self.append(self.pop_to_mark()),
            "SETITEM": lambda _: self.set_items(self.pop(2)),
            "SETITEMS": lambda _: self.set_items(self.pop_to_mark()),
            "GLOBAL": self.name,
            "REDUCE": self.make,
            "NEWOBJ": self.make,
            "BUILD": self.build,
            "BINPERSID": self.load_storage,
        }

    def run(self, program: bytes) -> Any:
        for operation, argument, _ in pickletools.genops(program):
            name = operation.name
            if name == "STOP":
                break
            if name in CONSTANTS:
                self.stack.append(CONSTANTS[name]())
            elif name in LITERALS:
                self.stack.append(argument)
            elif name in TUPLES:
                self.stack.append(tuple(self.pop(TUPLES[name])))
            elif name in self.steps:
                self.steps[name](argument)
            else:
                raise CheckpointError(f"has the operation {name}, which torch.save does not write; save it again.")
        return self.stack.pop()

    def pop(self, count: int) -> list[Any]:
        return [self.stack.pop() for _ in range(count)][::-1]

    def pop_to_mark(self) -> list[Any]:
        return self.pop(len(self.stack) - self.marks.pop())

    def remember(self, place: int) -> None:
        self.memory[place] = self.stack[-1]

    def recall(self, place: int) -> None:
        self.stack.append(self.memory[place])

    def append(self, items: list[Any]) -> None:
        self.stack[-1].extend(items)

    def set_items(self, flat: list[Any]) -> None:
        for key, value in zip(flat[::2], flat[1::2], strict=True):
            if not isinstance(key, str | int | float | None):
                raise CheckpointError("has keys that are neither words nor numbers; save it again.")
            self.stack[-1][key] = value

    def name(self, words: str) -> None:
        name = words.replace(" ", ".")
        if not USUAL.fullmatch(name):
            raise CheckpointError(
                f"asks for {name[:80]!r}, which weights have no use for. It may be hostile; nothing of it was run."
            )
        self.stack.append(Foreign(name))

    def make(self, _: Any) -> None:
        function, arguments = self.pop(2)
        match function.name:
            case "torch._utils._rebuild_tensor_v2":
                made: Any = _tensor(*arguments[:4])
            case "torch._utils._rebuild_parameter" | "__builtin__.set":
                made = arguments[0]
            case "collections.OrderedDict":
                made = {}
            case name:
                made = Foreign(name)
        self.stack.append(made)

    def build(self, _: Any) -> None:
        (state,) = self.pop(1)
        if isinstance(self.stack[-1], Foreign):
            self.stack[-1].state = state

    def load_storage(self, _: Any) -> None:
        _, kind, key, _, count = self.stack.pop()
        if key not in self.storages:
            code = STORAGES[kind.name.removeprefix("torch.").removesuffix("Storage")]
            numbers: Array = np.frombuffer(self.archive.read(f"{self.root}data/{key}"), code)
            if len(numbers) != count:
                raise CheckpointError(f"has {len(numbers)} numbers where it says {count}; get it again.")
            if kind.name == "torch.BFloat16Storage":
                numbers = (numbers.astype("<u4") << 16).view("<f4")
            self.storages[key] = numbers
        self.stack.append(self.storages[key])


def _tensor(storage: Array, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """Return the part of the one-dimensional `storage` that makes a tensor; `strides` are in numbers."""
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    inside = min((offset, *shape, *strides)) >= 0 and last < len(storage) and math.prod(shape) <= len(storage)
    if not inside and 0 not in shape:
        raise CheckpointError("has a tensor that is larger than what it holds; it may be hostile, and was not made.")
    steps = [step * storage.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False)
