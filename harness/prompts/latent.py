"""A latent file from which every image starts, as in MLPerf's text-to-image benchmark."""

import hashlib
import io
from typing import Any

import numpy as np

from harness.checkpoints.header import refuse_pointers
from harness.core.errors import UsageError
from harness.core.parsing import expand_user
from harness.core.plan import Latent


def describe_latent(path: str) -> Latent:
    """Return what a .npy file of shape (1, channels, rows, columns) or without the 1 holds.

    Raises UsageError for a file that cannot be read or is no noise: not three-dimensional, not
    finite floats.
    """
    content = _read(path)
    noise = _parse(content, path)
    return Latent(
        path=str(expand_user(path).absolute()),
        sha256=hashlib.sha256(content).hexdigest(),
        shape=noise.shape,
    )


def read_latent(latent: Latent) -> Any:
    """Return the float32 noise of shape (channels, rows, columns); UsageError if the file is not
    what it was."""
    content = _read(latent.path)
    if hashlib.sha256(content).hexdigest() != latent.sha256:
        raise UsageError(
            "it is not the file that the plan was made with",
            latent.path,
            "Begin a new run: --fresh.",
        )
    return _parse(content, latent.path)


def _read(path: str) -> bytes:
    file = expand_user(path)
    refuse_pointers((file,))
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read the latent: {error.strerror}", str(path), "Name a .npy file."
        ) from error


def _parse(content: bytes, path: str) -> Any:
    fix = "Save it with numpy.save, as floats of shape (1, channels, rows, columns)."
    try:
        found = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UsageError("not a .npy file of numbers", path, fix) from error
    if not isinstance(found, np.ndarray) or not np.issubdtype(found.dtype, np.floating):
        raise UsageError("not an array of floats", path, fix)
    noise = found[0] if found.ndim == 4 and len(found) == 1 else found
    if noise.ndim != 3 or not np.isfinite(noise).all():
        raise UsageError(f"not one latent of finite numbers: its shape is {found.shape}", path, fix)
    return noise.astype(np.float32)
