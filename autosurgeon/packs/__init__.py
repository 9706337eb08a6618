"""Packs: immutable, content-addressed weight folders. Never imports a tensor library."""
