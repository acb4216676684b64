"""How large a recording or a label config may be: more than anybody labels, and little enough to be read at all."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_CONFIG = 1_000_000  # characters; the same with a thousand labels has a tenth


@dataclass(frozen=True)
class Limits:
    """What is refused as too large, with a LabelConfigError or a RecordingError that names the setting.

    channels: of a time series in the config, and columns of a recording. labels: of all controls of a config together.
    """

    rows: int = 10_000_000
    channels: int = 1_000
    labels: int = 1_000


USUAL = Limits()
