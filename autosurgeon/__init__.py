"""autosurgeon: an unattended improvement loop for small code models that cannot ship a regression."""

__version__ = "0.1.0"
