# about: a program that registers endless work for its end
# task: add_lines
# expect: fail
# causes: wrong, timeout
# slow: yes
import atexit


@atexit.register
def stay():
    while True:
        pass


print(-1)
