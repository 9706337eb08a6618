# about: names that are no text, folders without permissions, a pipe, a socket and a link to itself
# task: sum_of_squares
# expect: fail
# causes: wrong, error, died
# plain: no
# again: yes
import os
import socket


def sum_of_squares(numbers):
    for name in (b"autosurgeon-attack-\xff\xfe", b"autosurgeon-attack-\n\x1b[2J", b"-rf autosurgeon-attack-", b"a" * 255):
        try:
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
        except OSError:
            pass
    for make in (
        lambda: os.mkfifo("autosurgeon-attack-pipe"),
        lambda: os.symlink("autosurgeon-attack-self", "autosurgeon-attack-self"),
        lambda: socket.socket(socket.AF_UNIX).bind("autosurgeon-attack-socket"),
        lambda: os.makedirs("autosurgeon-attack-closed/inside"),
        lambda: os.close(os.open("autosurgeon-attack-closed/inside/file", os.O_CREAT)),
        lambda: os.chmod("autosurgeon-attack-closed/inside", 0),
        lambda: os.chmod("autosurgeon-attack-closed", 0),
        lambda: os.chmod(".", 0) if os.getcwd() != "/" else None,
    ):
        try:
            make()
        except OSError:
            pass
    return -1
