"""The official CIFAR archives from their publisher, checked against the published MD5 before they are unpacked."""

from __future__ import annotations

import hashlib
import http.client
import os
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tritforge.errors import DataError
from tritforge.files import reason


@dataclass(frozen=True)
class Archive:
    """A gzipped tar archive with one folder: where it lies, and the MD5 that its publisher gives for it."""

    url: str
    md5: str


ARCHIVES = {
    "cifar10": Archive("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),
    "cifar100": Archive("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),
}
TIMEOUT_SECONDS = 30
PIECE = 1 << 16


def download(name: str, folder: str | Path, advance: Callable[[int], None] | None = None) -> Path:
    """Download a data set and unpack it to ``folder/name``, whole or not at all.

    Args:
        name: ``cifar10`` or ``cifar100`` (the binary archives).
        folder: what the environment variable TRITFORGE_DATA is to name; created when missing.
        advance: called with the number of bytes just received.

    Returns:
        ``folder/name``.

    Raises:
        DataError: an unknown name, a folder that exists already, no network, or an archive that is not the published
            one, is damaged or cannot be written.
    """
    if name not in ARCHIVES:
        raise DataError(f"{name!r} cannot be downloaded; allowed are {', '.join(ARCHIVES)}")
    archive, target = ARCHIVES[name], Path(folder) / name
    if target.exists():
        raise DataError(f"{target} exists already; remove it to download {name} again")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=target.parent) as temporary:
            received = Path(temporary) / "archive"
            _fetch(archive, received, advance)
            os.replace(_unpack(archive, received, Path(temporary) / "unpacked"), target)
    except OSError as error:
        raise DataError(f"cannot write {target}: {reason(error)}") from error
    return target


def _fetch(archive: Archive, path: Path, advance: Callable[[int], None] | None) -> None:
    """Receive an archive into ``path``, and compare its MD5."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "wb") as file:
        for piece in _pieces(archive.url):
            digest.update(piece)
            file.write(piece)
            if advance is not None:
                advance(len(piece))
    if digest.hexdigest() != archive.md5:
        raise DataError(
            f"what came from {archive.url} has the MD5 {digest.hexdigest()} instead of {archive.md5}: it is incomplete "
            "or not the published archive, and was thrown away"
        )


def _pieces(url: str) -> Iterator[bytes]:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:
            while piece := response.read(PIECE):
                yield piece
    except (OSError, http.client.HTTPException) as error:
        raise DataError(
            f"cannot download {url}: {_why(error)}; without a network, bring the archive otherwise and unpack it"
        ) from error


def _why(error: Exception) -> str:
    """What went wrong on the network, as the second half of a sentence."""
    inner = getattr(error, "reason", None)
    if isinstance(inner, OSError):
        return reason(inner)
    return str(inner or error) or type(error).__name__


def _unpack(archive: Archive, path: Path, folder: Path) -> Path:
    """The one folder that an archive unpacks to; nothing in it may lead out of ``folder``."""
    try:
        with tarfile.open(path, "r:gz") as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        why = reason(error) if isinstance(error, OSError) and error.errno else "it is damaged"
        raise DataError(f"cannot unpack {archive.url}: {why}") from error
    inner = list(folder.iterdir()) if folder.is_dir() else []
    if len(inner) != 1 or not inner[0].is_dir():
        raise DataError(f"the archive {archive.url} does not hold one folder")
    return inner[0]
