"""The capsule: a program that no other package imports, and the only package that imports the torch stack."""
