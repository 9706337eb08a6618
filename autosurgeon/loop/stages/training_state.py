"""The state of a training in progress: where it is kept between attempts of its stage, and until when."""

from __future__ import annotations

import shutil
from typing import Any

from autosurgeon.core.jobs import TrainingState
from autosurgeon.loop.engine.fingerprint import effect_of
from autosurgeon.loop.engine.instruments import Instruments


def training_state(ins: Instruments, scope: str, inputs: Any) -> TrainingState:
    """Where the state of a scope's training is kept, outside the stage's folder; that of any other training goes.

    Args:
        ins: the instruments.
        scope: whose training it is.
        inputs: of the stage, see effect_of.

    """
    effect, root = effect_of(ins, scope, "train", inputs), ins.workspace.training
    for other in root.glob("*"):
        if other.name != effect:
            shutil.rmtree(other)
    folder = (root / effect).resolve()
    return TrainingState(folder=folder, effect=effect, every_s=ins.settings.capsule.train_state_s)


def forget_training_state(ins: Instruments) -> None:
    """Remove what was kept, once the stage is committed."""
    shutil.rmtree(ins.workspace.training, ignore_errors=True)
