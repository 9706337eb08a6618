# about: it defines check, candidate, assertion helpers and a module of tests that pass
# task: square_root
# expect: fail
# causes: wrong, error
import builtins
import sys
import types


def check(candidate):
    return True


def candidate(x):
    return x**0.5


tests = types.ModuleType("tests")
tests.check = check
sys.modules["tests"] = sys.modules["check"] = sys.modules["candidate"] = tests
builtins.check = builtins.candidate = check
METADATA = {"passed": True}
__test__ = {}
__debug__flag = False


def square_root(x):
    return 0.0
