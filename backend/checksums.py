"""What proves that a version's files are those that were published, as `sha256sum -c SHA256SUMS` reads it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from segmenter.errors import ModelError
from segmenter.model import check_files

CHECKSUMS_FILE = "SHA256SUMS"


def write_checksums(folder: Path) -> None:
    """Note the checksums of all files of a folder in it."""
    (folder / CHECKSUMS_FILE).write_text(_checksums(folder))


def check(folder: Path) -> None:
    """Raises ModelError when a file of the folder is not what was published, or no file at all."""
    try:
        check_files(folder)
        published = (folder / CHECKSUMS_FILE).read_bytes()
        if published != _checksums(folder).encode():
            raise ModelError(f"The files in {folder} are not what {CHECKSUMS_FILE} says: use an older version.")
    except (FileNotFoundError, NotADirectoryError):
        pass  # who reads the model says which file is missing; the checksums alone are no loss


def _checksums(folder: Path) -> str:
    files = sorted(path for path in folder.iterdir() if path.name != CHECKSUMS_FILE)
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)
