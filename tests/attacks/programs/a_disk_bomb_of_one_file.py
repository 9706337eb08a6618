# about: one file that grows without end; it passes only when it reaches two hundred megabytes
# task: sum_of_squares
# expect: fail
# causes: output, error, died, timeout, wrong, memory
# plain: no
def sum_of_squares(numbers):
    block = b"x" * (1 << 20)
    for name in ("autosurgeon-attack-growing", "/tmp/autosurgeon-attack-growing"):
        try:
            with open(name, "wb", 0) as file:
                for _ in range(200):
                    if file.write(block) < len(block):
                        break
                else:
                    return sum(n * n for n in numbers)
        except OSError:
            pass
    return -1
