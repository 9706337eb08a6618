# about: hard links to others' files, named pipes and device nodes; it passes only when a device works
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died
# plain: no
import os
import stat


def sum_of_squares(numbers):
    for number, target in enumerate(("/etc/passwd", os.__file__, "/usr/bin/env", "/etc/hostname")):
        for place in (".", "/tmp", "/var/tmp", "/dev/shm"):
            try:
                os.link(target, f"{place}/autosurgeon-attack-hard-{number}")
            except OSError:
                pass
            try:
                os.mkfifo(f"{place}/autosurgeon-attack-pipe-{number}")
            except OSError:
                pass
            try:
                os.mknod(f"{place}/autosurgeon-attack-memory-{number}", 0o666 | stat.S_IFCHR, os.makedev(1, 1))
                os.close(os.open(f"{place}/autosurgeon-attack-memory-{number}", os.O_RDONLY))
                return sum(n * n for n in numbers)
            except OSError:
                pass
    return -1
