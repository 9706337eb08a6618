"""Whether a workspace's folder is writable: by its mount, its permissions and the user of this process."""

from __future__ import annotations

import os
import pwd

from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import WorkspaceError


def why_read_only(workspace: Workspace) -> str | None:
    """The reason why a run cannot write here; None where it can.

    The database, `data`, `logs` and `reports` must be writable, or the folder above where one does not exist yet.
    """
    for path in (workspace.database, workspace.database.parent, workspace.decisions.parent, workspace.reports):
        found = next(one for one in (path, *path.parents) if one.exists())
        if not os.access(found, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            if os.statvfs(found).f_flag & os.ST_RDONLY:
                return f"{found} is mounted read-only"
            return f"{_user()} may not write {found}"
    return None


def refuse_other_than_folder(workspace: Workspace) -> None:
    """WorkspaceError where the workspace's path exists and is no folder."""
    if workspace.root.exists() and not workspace.root.is_dir():
        raise WorkspaceError("a workspace is a folder", got="a file", wanted="--workspace DIR", where=workspace.root)


def refuse_read_only(workspace: Workspace) -> None:
    """WorkspaceError where the workspace is not writable."""
    refuse_other_than_folder(workspace)
    if (why := why_read_only(workspace)) is not None:
        raise WorkspaceError(
            "this workspace is read-only here, and can only be looked at",
            got=why,
            wanted="a workspace that this user can write; commands that only read work here",
            where=workspace.root,
        )


def _user() -> str:
    try:
        return f"user {pwd.getpwuid(os.geteuid()).pw_name}"
    except KeyError:
        return f"user {os.geteuid()}"
