"""The deployed runtime: the user's commands make it serve the live pack, and no other pack for long.

Each command is an event of the chain twice, before and after it, so that the newest event states what the runtime
serves, or that this is unknown because the loop died in between. Then, and when it answers with another pack, the
command runs again for the live pack.
"""

from __future__ import annotations

import re
import time
from typing import Literal

import structlog

from autosurgeon.core.records import Deployment
from autosurgeon.failpoints import reach
from autosurgeon.loop.deploy.runtime_answer import ask_once, wait_for_answer
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.notify import notify
from autosurgeon.loop.engine.user_command import run_hook

# Not after a dollar sign, which a shell's own variables have.
PLACEHOLDER = re.compile(r"(?<!\$)\{(pack|folder|version|live)\}")


def restore(ins: Instruments) -> None:
    """Have the runtime serve the live pack, unless it does; a failure is an alarm and changes nothing else."""
    live = ins.store.live()
    if not ins.settings.deploy.promote or live is None or _serves(ins, live.pack):
        return
    deploy(ins, "revert", live.pack)


def _serves(ins: Instruments, pack: str) -> bool:
    last, url = ins.store.last_deployment(), ins.settings.deploy.url
    if last is None or not last[0].serves(pack):
        return False
    return url is None or ask_once(url, pack, ins.beat) is None


def deploy(ins: Instruments, action: Literal["promote", "revert"], pack: str) -> Deployment:
    """Run a command that makes the runtime serve a pack, wait for its answer, and write down how that went."""
    settings, live = ins.settings.deploy, ins.store.live()
    begun = Deployment(action=action, pack=pack, version=live.version if live else 0)
    ins.store.note_deployment(begun)
    reach("deploy-begun")
    began = time.monotonic()
    known = {
        "pack": pack,
        "folder": str(ins.packs.path(pack).resolve()),
        "version": str(begun.version),
        "live": str(ins.workspace.live_file),
    }
    environment = {
        "AUTOSURGEON_ACTION": action,
        "AUTOSURGEON_PACK": known["pack"],
        "AUTOSURGEON_FOLDER": known["folder"],
        "AUTOSURGEON_LIVE_VERSION": known["version"],
        "AUTOSURGEON_LIVE_FILE": known["live"],
    }
    command = settings.promote if action == "promote" else settings.revert or settings.promote
    filled = [PLACEHOLDER.sub(lambda found: known[found[1]], argument) for argument in command]
    ran = run_hook(filled, environment, ins.workspace.root, settings.deadline_s, ins.beat)
    error = f"the {action} command {ran.error}" if ran.error else None
    if error is None and settings.url is not None:
        problem = wait_for_answer(settings.url, pack, settings.answer_s, ins.beat)
        error = (
            f"after the {action} command the runtime does not serve pack {pack[:12]}: {problem}" if problem else None
        )
    reach("deploy-run")
    outcome = {"ended": True, "exit_code": ran.exit_code, "output": ran.output, "error": error}
    ended = begun.model_copy(update={**outcome, "seconds": round(time.monotonic() - began, 3)})
    ins.store.note_deployment(ended)
    structlog.get_logger().info("deploy_told", action=action, pack=pack, exit_code=ran.exit_code, error=error)
    if error is not None:
        alarm = f"ALARM: {error}"
        alarm += "" if action == "promote" else "; live stands, and the command runs again after the next pass"
        ins.reporter.say(alarm)
        notify(ins, "deploy", reason=error)
    return ended
