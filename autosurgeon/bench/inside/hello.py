"""Test a jail level: drop the rights and exit with 0 when all of it works."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import json

import confine

wish = json.loads(sys.argv.pop())
if wish["mirror"]:
    confine.use_library(*wish["mirror"])
paths = confine.Paths(wish["paths"]) if wish["paths"] else None
rights = confine.Filter() if wish["filter"] else None
if wish["nobody"]:
    confine.leave_groups()
    confine.become_nobody(keep_reading=paths is not None)
confine.limit_all(wish["threads"])
confine.limit(1 << 30, 5)
if paths is not None:
    paths.apply()
if rights is not None:
    rights.apply()
    try:
        os.fork()
    except OSError:
        pass
    else:
        sys.exit(1)
