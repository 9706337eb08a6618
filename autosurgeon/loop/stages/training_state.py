"""The state of an unfinished training, kept between attempts of its stage."""

from __future__ import annotations

import shutil
from typing import Any

from autosurgeon.core.jobs import TrainingState
from autosurgeon.loop.engine.fingerprint import effect_of
from autosurgeon.loop.engine.instruments import Instruments


def training_state(ins: Instruments, scope: str, inputs: Any) -> TrainingState:
    """The place of the state of a scope's training, outside the stage's folder; states of other trainings are removed.

    Args:
        ins: the instruments.
        scope: the scope of the training.
        inputs: the inputs of the stage, as in `effect_of`.

    """
    effect, root = effect_of(ins, scope, "train", inputs), ins.workspace.training
    for other in root.glob("*"):
        if other.name != effect:
            shutil.rmtree(other)
    folder = (root / effect).resolve()
    return TrainingState(folder=folder, effect=effect, every_s=ins.settings.capsule.train_state_s)


def forget_training_state(ins: Instruments) -> None:
    """Remove the state, once the stage is committed."""
    shutil.rmtree(ins.workspace.training, ignore_errors=True)
