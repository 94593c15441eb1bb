"""Files of torch.save: what comes out of good ones, and that bad ones are refused before anything of them runs."""

from __future__ import annotations

import builtins
import importlib
import os
import pathlib
import pickle
import runpy
import shutil
import subprocess
import zipfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bloodfilm.errors import CheckpointError
from bloodfilm.io.torch_file import MAX_PROGRAM, Foreign, read_torch_file


class Call:
    """Pickled, the call of a function when the pickle is run."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, state: Any = None) -> None:
        self.made = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.made


def saved(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


def packed(path: Path, program: bytes, compression: int = zipfile.ZIP_STORED, **entries: bytes) -> Path:
    """Write an archive like PyTorch's with any program in it."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", program)
        for name, content in entries.items():
            archive.writestr(f"archive/{name}", content)
    return path


def refused(path: Path, reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason) as error:
        read_torch_file(path)
    assert str(error.value).startswith(str(path))


def test_containers_numbers_and_words_come_back(tmp_path: Path) -> None:
    content = {"a": [1, 2.5, -3, 2**40, None, True, False], "b": ("x", ("y",), (), (1, 2), (1, 2, 3, 4)), 3: {"é": {}}}
    assert read_torch_file(saved(tmp_path / "a.pt", content)) == content


def test_a_set_comes_back_as_a_list(tmp_path: Path) -> None:
    assert sorted(read_torch_file(saved(tmp_path / "a.pt", {"a", "b"}))) == ["a", "b"]


@pytest.mark.parametrize(
    "dtype",
    [torch.float16, torch.float32, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8],
    ids=str,
)
def test_tensors_come_back_as_arrays(tmp_path: Path, dtype: torch.dtype) -> None:
    tensor = torch.arange(24).view(2, 3, 4).to(dtype)
    array = read_torch_file(saved(tmp_path / "a.pt", tensor))
    assert torch.equal(torch.from_numpy(array.copy()), tensor)


def test_bfloat16_comes_back_as_float32(tmp_path: Path) -> None:
    tensor = torch.tensor([1.5, -2.25, 3e38], dtype=torch.bfloat16)
    np.testing.assert_array_equal(read_torch_file(saved(tmp_path / "a.pt", tensor)), tensor.float().numpy())


def test_views_transposed_empty_and_single_numbers_come_back(tmp_path: Path) -> None:
    base = torch.arange(24.0).view(4, 6)
    tensors = [
        base[1:3, ::2],
        base.T,
        base[:0],
        torch.tensor(7),
        torch.ones(2, 3, 4, 4).to(memory_format=torch.channels_last),
    ]
    for tensor, array in zip(tensors, read_torch_file(saved(tmp_path / "a.pt", tensors)), strict=True):
        np.testing.assert_array_equal(array, tensor.numpy())


def test_a_module_comes_back_as_what_it_holds(tmp_path: Path) -> None:
    layer = nn.Linear(2, 3)
    read = read_torch_file(saved(tmp_path / "a.pt", layer))
    assert read.name == "torch.nn.modules.linear.Linear"
    np.testing.assert_array_equal(read.state["_parameters"]["weight"], layer.weight.detach().numpy())


def test_what_training_scripts_keep_beside_the_weights_is_no_hindrance(tmp_path: Path) -> None:
    content = {
        "opt": Namespace(imgsz=416),
        "path": pathlib.PurePosixPath("a/b"),
        "best": np.float64(0.5),
        "n": np.ones(2),
    }
    read = read_torch_file(saved(tmp_path / "a.pt", content))
    assert read["opt"].state == {"imgsz": 416}
    assert all(isinstance(each, Foreign) for each in read.values())


SENTINEL = "sentinel"
EMPTY = b"\x80\x02}."


def payloads() -> dict[str, Any]:
    """Contents that make the file `SENTINEL` in the working folder when their pickle is run."""
    touch, python = f"touch {SENTINEL}", f"open({SENTINEL!r}, 'w').close()"
    model = nn.Sequential(nn.Linear(1, 1))
    model[0].names = Call(os.system, touch)
    return {
        "os.system": Call(os.system, touch),
        "subprocess": Call(subprocess.call, ["touch", SENTINEL]),
        "eval": Call(builtins.eval, python),
        "exec": Call(builtins.exec, python),
        "open": Call(builtins.open, SENTINEL, "w"),
        "run_path": Call(runpy.run_path, "script.py"),
        "copy": Call(shutil.copyfile, "script.py", SENTINEL),
        "method": Call(pathlib.Path.touch, pathlib.PurePosixPath(SENTINEL)),
        "unpickled inside": Call(pickle.loads, pickle.dumps(Call(os.system, touch))),
        "beside weights": {"model": {"a": torch.ones(2)}, "opt": [{"c": (Call(os.system, touch),)}]},
        "inside a module": {"model": model},
        "as a tensor": Call(torch._utils._rebuild_parameter, Call(os.system, touch), False, {}),
        "as the state of an object": Call(Namespace, state={"a": Call(os.system, touch)}),
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a script that makes the sentinel."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.py").write_text(f"open({SENTINEL!r}, 'w').close()")
    return tmp_path


@pytest.mark.parametrize("kind", payloads())
def test_code_in_a_file_is_named_and_not_run(folder: Path, kind: str) -> None:
    refused(saved(folder / "a.pt", payloads()[kind]), "asks for '.+It may be hostile; nothing of it was run")
    assert not (folder / SENTINEL).exists()


@pytest.mark.parametrize("kind", ["os.system", "eval", "exec", "run_path", "copy", "unpickled inside"])
def test_the_code_in_these_tests_would_run(folder: Path, kind: str) -> None:
    pickle.loads(pickle.dumps(payloads()[kind]))
    assert (folder / SENTINEL).exists()


@pytest.mark.parametrize(
    "function",
    [torch.hub.load, torch.load, torch.jit.load, importlib.import_module, builtins.getattr],
)
def test_functions_that_load_code_are_refused(tmp_path: Path, function: Callable[..., Any]) -> None:
    refused(saved(tmp_path / "a.pt", {"model": Call(function, "somebody/something", "model")}), "asks for")


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n(S'touch sentinel'\ntR.",
        b"(S'touch sentinel'\nios\nsystem\n.",
        b"(cos\nsystem\nS'touch sentinel'\no.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0etouch sentinel\x85R.",
        b"\x80\x02\x82\x01.",
        b"\x80\x02Pos.system\n.",
    ],
    ids=["protocol 0", "instance", "object", "protocol 4", "registered extension", "textual id"],
)
def test_ways_to_name_code_that_torch_does_not_use_are_refused(folder: Path, program: bytes) -> None:
    refused(packed(folder / "a.pt", program), "asks for 'os.system'|has the operation [A-Z0-9_]+, which torch.save")
    assert not (folder / SENTINEL).exists()


def test_an_object_may_bear_any_usual_name_and_stays_a_name(folder: Path) -> None:
    (folder / "models.py").write_text(f"open({SENTINEL!r}, 'w').close()")
    program = b"\x80\x02cmodels\nevil\nX\x01\x00\x00\x00a\x85R."
    assert read_torch_file(packed(folder / "a.pt", program)).name == "models.evil"
    assert not (folder / SENTINEL).exists()


@pytest.mark.parametrize("tenth", range(10))
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, tenth: int) -> None:
    whole = saved(tmp_path / "a.pt", {"model": nn.Linear(50, 50)}).read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) * tenth // 10])
    refused(tmp_path / "cut.pt", "is not a whole file of PyTorch")


@pytest.mark.parametrize("tenth", range(10))
def test_a_header_that_is_cut_off_is_refused(tmp_path: Path, tenth: int) -> None:
    with zipfile.ZipFile(saved(tmp_path / "a.pt", {"model": nn.Linear(5, 5)})) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
        program = archive.read(name)
    refused(packed(tmp_path / "cut.pt", program[: len(program) * tenth // 10]), "is broken")


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    for name, content in {"empty": b"", "text": b"epoch 3\n" * 99, "pickle": pickle.dumps({"model": 1})}.items():
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, "is not a whole file of PyTorch 1.6")
    refused(
        saved(tmp_path / "old", {"a": 1}, _use_new_zipfile_serialization=False), "is not a whole file of PyTorch 1.6"
    )
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    refused(tmp_path / "zip", "not one of PyTorch")
    refused(tmp_path / "nowhere", "No such file")
    refused(tmp_path, "directory")


def test_an_exported_program_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.pt", EMPTY, zipfile.ZIP_DEFLATED, **{"constants.pkl": b""})
    refused(path, "exported TorchScript program")


def test_a_compressed_archive_is_refused_unread(tmp_path: Path) -> None:
    bomb = packed(tmp_path / "a.pt", EMPTY, zipfile.ZIP_DEFLATED, **{"data/0": bytes(10**8)})
    assert bomb.stat().st_size < 10**6
    refused(bomb, "is compressed")


def test_entries_that_are_said_to_be_larger_than_the_file_are_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.pt", EMPTY, **{"data/0": bytes(1000)})
    path.write_bytes(path.read_bytes().replace((1000).to_bytes(4, "little"), (2**31).to_bytes(4, "little")))
    refused(path, "says that it holds more than it does")


def test_a_huge_header_is_refused_unread(tmp_path: Path) -> None:
    refused(packed(tmp_path / "a.pt", b"\x80\x02" + b"N" * MAX_PROGRAM + b"."), "larger header")


def with_tensor(path: Path, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Path:
    """Write a file with a tensor of four stored numbers that says to have another layout."""
    made = torch.ones(4)
    storage = made.untyped_storage()
    typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
    return saved(path, {"a": Call(torch._utils._rebuild_tensor_v2, typed, offset, shape, strides, False, {})})


def test_a_tensor_inside_its_storage_is_made(tmp_path: Path) -> None:
    assert read_torch_file(with_tensor(tmp_path / "a.pt", 1, (3,), (1,)))["a"].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (10**12,), (0,)),
        (0, (5,), (1,)),
        (2, (3,), (1,)),
        (-1, (2,), (1,)),
        (3, (2,), (-1,)),
        (0, (2, 2), (4, 1)),
        (9, (), ()),
    ],
    ids=["bomb", "long", "late", "early", "backwards", "wide", "number"],
)
def test_a_tensor_that_reaches_outside_its_storage_is_refused(
    tmp_path: Path, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    refused(with_tensor(tmp_path / "a.pt", offset, shape, strides), "larger than what it holds")


def rewritten(path: Path, entry: str, content: bytes | None) -> Path:
    """Write an archive anew, one entry with other bytes or not at all."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, kept in entries.items():
            if not name.endswith(f"/{entry}"):
                archive.writestr(name, kept)
            elif content is not None:
                archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("entry", "content", "reason"),
    [
        ("data/0", bytes(8), "has 2 numbers where it says 4"),
        ("data/0", bytes(7), "is broken"),
        ("data/0", None, "is broken"),
        ("byteorder", b"big", "big-endian"),
    ],
    ids=["short", "odd", "missing", "big-endian"],
)
def test_numbers_that_are_not_there_are_refused(tmp_path: Path, entry: str, content: bytes | None, reason: str) -> None:
    refused(rewritten(saved(tmp_path / "a.pt", torch.ones(4)), entry, content), reason)


@pytest.mark.parametrize("place", range(0, 100, 3))
def test_a_file_with_a_changed_byte_is_read_or_refused(tmp_path: Path, place: int) -> None:
    path = saved(tmp_path / "a.pt", {"model": nn.Linear(3, 3)})
    content = bytearray(path.read_bytes())
    content[len(content) * place // 100] ^= 0x55
    path.write_bytes(content)
    try:
        read_torch_file(path)
    except CheckpointError as error:
        assert str(error).startswith(str(path))


def test_keys_that_take_for_ever_to_compare_are_refused(tmp_path: Path) -> None:
    pair_of_pairs = b")" + b"q\x00h\x00\x86" * 60
    refused(packed(tmp_path / "a.pt", b"\x80\x02}" + pair_of_pairs + b"Ns."), "neither words nor numbers")
