"""Errors that are the caller's to mend; each message names what is wrong and where."""

from __future__ import annotations


class UserError(ValueError):
    """Something given to bloodfilm cannot be used; the message says what to do."""


class Mended(UserWarning):
    """Something that was wrong in a file and has been put right."""


class PictureError(UserError):
    """A picture that cannot be read."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name, self.reason = name, reason

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


class LabelError(UserError):
    """A label file that cannot be used."""


class CheckpointError(UserError):
    """A checkpoint that cannot be used."""


class DeviceError(UserError):
    """A device that this machine does not have."""
