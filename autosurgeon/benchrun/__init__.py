"""Benching a model outside the loop: a folder, a pack or a server, in modes A, B and C."""
