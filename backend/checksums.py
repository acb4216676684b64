"""What proves that a version's files are those that were published, as `sha256sum -c SHA256SUMS` reads it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from segmenter.errors import ModelError

CHECKSUMS_FILE = "SHA256SUMS"


def write_checksums(folder: Path) -> None:
    """Note the checksums of all files of a folder in it."""
    (folder / CHECKSUMS_FILE).write_text(_checksums(folder))


def check(folder: Path) -> None:
    """Raises ModelError when a file of the folder is not what was published."""
    try:
        published = (folder / CHECKSUMS_FILE).read_text()
        if published != _checksums(folder):
            raise ModelError(f"The files in {folder} are not what {CHECKSUMS_FILE} says: use an older version.")
    except FileNotFoundError:
        pass  # who reads the model says which file is missing; the checksums alone are no loss


def _checksums(folder: Path) -> str:
    files = sorted(path for path in folder.iterdir() if path.name != CHECKSUMS_FILE)
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)
