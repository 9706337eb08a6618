"""Programs that run inside jails: bare scripts, standard library only, imported by nothing outside this folder.

`candidate_server.py` forks a fresh process for each candidate; `oracle.py` holds the tests and asks it. They start by
path with `python -I -S`, so they see neither the package nor its dependencies.
"""
