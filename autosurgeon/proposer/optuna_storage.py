"""Export of the passes as an Optuna storage, for programs such as optuna-dashboard."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

from autosurgeon.core.records import PassRecord
from autosurgeon.errors import UserError
from autosurgeon.proposer.review import containing
from autosurgeon.proposer.trials import trial_of
from autosurgeon.sections import SearchSettings

SQLITE = "sqlite:///"


def export(target: str, name: str, records: Sequence[PassRecord], search: SearchSettings, reference_lr: float) -> int:
    """Write the passes with feedback to a new storage, and return their number.

    Args:
        target: `sqlite:///FILE` for a database, any other path for a journal; this function creates the file.
        name: the name of the study.
        records: the passes, oldest first.
        search: the current search.
        reference_lr: the learning rate of ratio 1.

    Raises:
        UserError: the file exists already, or it cannot be written.

    """
    if "://" in target and not target.startswith(SQLITE):
        raise UserError(
            "a study is exported into a file", got=target.partition(":")[0], wanted=f"{SQLITE}FILE, or a journal's path"
        )
    path = Path(target.removeprefix(SQLITE))
    try:
        path.touch(exist_ok=False)
    except OSError as error:
        raise UserError("a study cannot be exported", got=error.strerror, wanted="a new file", where=path) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if not target.startswith(SQLITE):
        return _write(JournalStorage(JournalFileBackend(str(path))), name, records, search, reference_lr)
    # By way of a plain name: releases of SQLAlchemy differ in how a URL spells the odd characters of a path.
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "study.db"
        count = _write(RDBStorage(f"{SQLITE}{plain}"), name, records, search, reference_lr)
        shutil.copyfile(plain, path)
    return count


def _write(
    storage: BaseStorage, name: str, records: Sequence[PassRecord], search: SearchSettings, reference_lr: float
) -> int:
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    bounds = containing(search, records, reference_lr)
    trials = [
        _dated(record, trial_of(record, bounds, reference_lr, **_attributes(record)))
        for record in records
        if record.feedback is not None
    ]
    study.add_trials(trials)
    return len(trials)


def _attributes(record: PassRecord) -> dict[str, object]:
    refused = sorted(record.feedback.violations) if record.feedback else []
    return {"pass": record.number, "state": record.state.value, "refused_by": ", ".join(refused)}


def _dated(record: PassRecord, trial: FrozenTrial) -> FrozenTrial:
    """Return the trial with the pass's times, in local time without a zone, as Optuna uses it."""
    trial.datetime_start = _local(record.started_at)
    trial.datetime_complete = _local(record.ended_at or record.started_at)
    return trial


def _local(moment: str) -> datetime:
    return datetime.fromisoformat(moment).astimezone().replace(tzinfo=None)
