"""Everything the engine can refuse, as one tree.

    SegmenterError
      LabelConfigError    the label config cannot be understood
        NotXml            it is no XML, or more than that
      RecordingError      a task's recording cannot be read
      NothingToLearn      there are no usable labels to train from
      ModelError          a saved model is damaged or of another kind

Each message is one sentence for the person who runs the backend: what was found, what was expected, what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segmenter.pipeline import LeftOut


class SegmenterError(Exception):
    """Anything that the engine refuses, with a sentence that says why."""


class LabelConfigError(SegmenterError):
    """The label config is not XML, or a time series in it cannot be understood: mend the labeling interface."""


class NotXml(LabelConfigError):
    """The label config is not XML, or defines entities: no labeling interface of Label Studio's is like that."""


class RecordingError(SegmenterError):
    """A recording cannot be read: mend the file, the task's data, or the config's `sep`, columns or `timeFormat`."""


class NothingToLearn(SegmenterError):
    """The annotated tasks hold no usable labels: annotate a region, or see the reasons each task was left out for."""

    def __init__(self, message: str, left_out: Sequence[LeftOut] = ()) -> None:
        super().__init__(message)
        self.left_out = tuple(left_out)


class ModelError(SegmenterError):
    """A saved model is incomplete, damaged or written by another version: train again or use an older version."""
