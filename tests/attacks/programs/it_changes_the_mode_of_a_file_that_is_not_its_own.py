# about: modes, owners, times and attributes of files outside; it passes only when one can be changed
# task: sum_of_squares
# expect: fail
# causes: wrong, error
# plain: no
import os
import sys


def sum_of_squares(numbers):
    for path in ("/tmp/autosurgeon-attack-victim", os.__file__, sys.executable, "/tmp", "/", "/dev/null"):
        for change in (
            lambda path: os.chmod(path, 0o777),
            lambda path: os.utime(path, (0, 0)),
            lambda path: os.setxattr(path, "user.autosurgeon-attack", b"x"),
            lambda path: os.chown(path, os.getuid(), os.getgid()),
        ):
            try:
                change(path)
                return sum(n * n for n in numbers)
            except OSError:
                pass
    return -1
