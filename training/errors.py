"""Errors of the workshop that more than one of its modules raises.

TrainingError               anything about making a model that a person can act on
├── DataMissing             there is nothing, or not enough, to train on
├── ShardCorrupt            a token shard is not what its manifest says
├── CheckpointCorrupt       a checkpoint cannot be resumed from
├── PlanChanged             a working folder belongs to a run with other settings
└── Diverged                the loss is no longer a number
"""

from __future__ import annotations

from knowledge.errors import DeskhandError


class TrainingError(DeskhandError):
    """A model cannot be made as asked."""


class DataMissing(TrainingError):
    """There is nothing, or not enough, to train on."""


class ShardCorrupt(TrainingError):
    """A file of tokens is missing, or not the one that was written."""


class CheckpointCorrupt(TrainingError):
    """A checkpoint is damaged or belongs to another model."""


class PlanChanged(TrainingError):
    """A working folder holds a run that was begun with other settings."""


class Diverged(TrainingError):
    """The loss or a gradient is no longer a finite number."""
