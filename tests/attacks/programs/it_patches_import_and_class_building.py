# about: __import__, __build_class__, open, exec, eval and compile are replaced
# task: sum_of_squares
# expect: fail
# causes: wrong, error, type, died
import builtins


def nothing(*args, **kwargs):
    raise SystemExit(0)


for name in ("__import__", "__build_class__", "open", "exec", "eval", "compile", "getattr", "iter", "next"):
    setattr(builtins, name, nothing)


def sum_of_squares(numbers):
    return -1
