from __future__ import annotations

import pytest
import torch

from bloodfilm.detection.devices import describe, fastest_precision, resolve_device
from bloodfilm.errors import DeviceError

ACCELERATORS = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}


def test_the_processor_is_always_there() -> None:
    assert resolve_device("cpu") == torch.device("cpu")


def test_auto_takes_an_accelerator_if_there_is_one() -> None:
    assert resolve_device().type == next((kind for kind, there in ACCELERATORS.items() if there), "cpu")


@pytest.mark.parametrize("name", ["gpu", "", "CPU", "tpu", "cuda0", "cpu:x"])
def test_a_name_that_is_no_device_is_an_error_that_lists_the_names(name: str) -> None:
    with pytest.raises(DeviceError, match="give auto, cpu, cuda, cuda:1"):
        resolve_device(name)


@pytest.mark.parametrize("name", ["cuda:99", *(kind for kind, there in ACCELERATORS.items() if not there)])
def test_a_device_that_is_not_there_is_an_error(name: str) -> None:
    with pytest.raises(DeviceError, match=f"no {name} device"):
        resolve_device(name)


def test_the_precision_is_one_that_the_device_calculates_in() -> None:
    precision = fastest_precision(torch.device("cpu"))
    assert precision == (torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32)
    assert fastest_precision(torch.device("mps")) == torch.float32


def test_a_device_is_described_in_words() -> None:
    assert describe(torch.device("cpu"), torch.bfloat16) == f"cpu ({torch.get_num_threads()} threads, bfloat16)"
