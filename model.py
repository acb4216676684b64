"""The model that Label Studio's ML SDK serves: a small LSTM that segments time series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backend.sdk import ModelBase
from backend.service import service


class TimeSeriesSegmenter(ModelBase):
    """Learns from the labelled ranges of a project's recordings, suggests the segments of the others."""

    @property
    def model_version(self) -> str:
        """The version that serves this project; it changes with every training."""
        return service().version(int(self.project_id))

    def fit(self, event: str, data: Mapping[str, Any], **_: Any) -> int | None:
        """An event arrives -> a training is asked for, in milliseconds; returns its number, None if none is due.

        The trainer process does the rest (`backend/trainer.py`): load the annotated tasks -> enough of them, and
        anything new? -> a state for each row from the labelled ranges -> fit the LSTM -> publish the new version.
        """
        return service().event(int(self.project_id), event, data)

    def predict(
        self, tasks: Sequence[Mapping[str, Any]], context: Mapping[str, Any] | None = None, **_: Any
    ) -> list[dict[str, Any]]:
        """Load the stored model -> read each task's recording -> a state for each row -> segments, with scores."""
        return service().suggest(int(self.project_id), self.label_config, tasks, context)
