"""The packages that commands may need later, imported before a run depends on them; this module needs none."""

from __future__ import annotations

import importlib
from typing import NamedTuple

from autosurgeon.errors import InstallError

PACKAGES = {
    "alembic": ("alembic", "alembic.config"),
    "common-expression-language": ("cel",),
    # It imports the others when it connects, and not every failure there is an ImportError.
    "httpx2": ("httpx2", "httpcore2", "anyio", "h11", "truststore"),
    "Jinja2": ("jinja2",),
    "matplotlib": ("matplotlib", "matplotlib.axes", "matplotlib.backends.backend_agg", "matplotlib.figure"),
    "optuna": (
        "optuna",
        "optuna.distributions",
        "optuna.importance",
        "optuna.storages",
        "optuna.storages.journal",
        "optuna.trial",
    ),
    "pydantic": ("pydantic", "pydantic.fields", "pydantic_core"),
    "PyYAML": ("yaml",),
    "rfc8785": ("rfc8785",),
    "rich": ("rich", "rich.console", "rich.markdown", "rich.progress", "rich.table", "rich.text"),
    "scipy": ("scipy.special",),
    "securesystemslib[crypto]": (
        "securesystemslib.dsse",
        "securesystemslib.exceptions",
        "securesystemslib.signer",
        "cryptography.exceptions",
        "cryptography.hazmat.primitives.asymmetric.ed25519",
        "cryptography.hazmat.primitives.serialization",
    ),
    "sqlmodel": ("sqlmodel", "sqlalchemy", "sqlalchemy.exc"),
    "structlog": ("structlog",),
    "typer": ("typer", "typer.main"),
}
"""The dependencies of `pyproject.toml`, each with every module that the controller imports at any time."""
OWN = "autosurgeon"


class Broken(NamedTuple):
    """A package that cannot be imported, and the error."""

    name: str
    error: str


def find_broken() -> list[Broken]:
    """Find the packages that cannot be imported, whatever the error."""
    found = []
    for name, modules in PACKAGES.items():
        try:
            for module in modules:
                importlib.import_module(module)
        except Exception as error:  # an import may fail in any way; every failure is named
            found.append(Broken(name, next(iter(f"{type(error).__name__}: {error}".splitlines()))))
    return found


def check_packages() -> None:
    """Import every module that a command may need later; InstallError names the packages that fail."""
    broken = find_broken()
    if broken:
        raise _error(broken)


def explain_import(error: Exception) -> InstallError | None:
    """Explain an error by broken packages; None if all can be imported, so that the fault is autosurgeon's own."""
    broken = find_broken()
    if broken:
        return _error(broken)
    module = (error.name or OWN).partition(".")[0] if isinstance(error, ImportError) else OWN
    if module == OWN:
        return None
    return InstallError("a package that this command needs cannot be imported", got=error, packages=[module])


def _error(broken: list[Broken]) -> InstallError:
    got = ", ".join(f"{one.name} ({one.error})" for one in broken)
    names = [f"'{one.name}'" if "[" in one.name else one.name for one in broken]
    return InstallError("packages that autosurgeon needs cannot be imported", got=got, packages=names)
