"""Where the network runs, and in which precision."""

from __future__ import annotations

import torch

from bloodfilm.errors import DeviceError


def resolve_device(name: str = "auto") -> torch.device:
    """Return the device of ``auto``, ``cpu``, ``cuda`` or ``mps``; ``auto`` takes the fastest there is.

    Raises
    ------
    DeviceError
        If the device is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, available in there.items() if available)
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in there:
        raise DeviceError(f"No device is called {name}: give auto, cpu, cuda, cuda:1 (the second one) or mps.")
    if not there[device.type] or (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
        raise DeviceError(f"This machine has no {name} device that torch can use; give auto or cpu.")
    return device


def fastest_precision(device: torch.device) -> torch.dtype:
    """Return bfloat16 where the device calculates in it natively, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return torch.bfloat16
    return torch.float32


def describe(device: torch.device, precision: torch.dtype) -> str:
    """Return the device and precision in words, such as "cpu (2 threads, bfloat16)"."""
    detail = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    return f"{device} ({detail}, {str(precision).removeprefix('torch.')})"
