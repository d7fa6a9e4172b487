"""The zip file of a bundle: the same members give the same bytes, and no other bytes are accepted.

Members are stored without compression, because zlib's output differs between its versions.
"""

import io
import zipfile
from collections.abc import Mapping
from pathlib import PurePosixPath

from harness.signing.refusal import Refusal, RefusedError, refuse

_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX, _MODE = 3, 0o100644


def pack(members: Mapping[str, bytes]) -> bytes:
    """Return a zip file of members: sorted by name, stored, with one fixed time and mode."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.create_system, entry.external_attr = _UNIX, _MODE << 16
            archive.writestr(entry, members[name])
    return buffer.getvalue()


def unpack(data: bytes) -> dict[str, bytes]:
    """Return name → content of a bundle's members.

    Raises RefusedError for what is no zip file, for names that leave the folder, for members that
    are compressed or twice there, and for those whose checksum is wrong, each by its name.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _read_members(archive)
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, OSError) as error:
        raise refuse("archive", "bundle", f"not a sign-off bundle: {error}") from error


def _read_members(archive: zipfile.ZipFile) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    damaged: list[Refusal] = []
    for entry in archive.infolist():
        name = entry.filename
        if name in members or not _is_plain(name) or entry.compress_type != zipfile.ZIP_STORED:
            raise refuse("archive", name, "not a plain, uncompressed member, or there twice")
        try:
            members[name] = archive.read(entry)
        except (zipfile.BadZipFile, RuntimeError, EOFError) as error:
            damaged.append(Refusal(kind="changed", where=name, what=f"damaged: {error}"))
    if damaged:
        raise RefusedError(*damaged)
    return members


def _is_plain(name: str) -> bool:
    path = PurePosixPath(name)
    return not (path.is_absolute() or ".." in path.parts or "\\" in name) and str(path) == name
