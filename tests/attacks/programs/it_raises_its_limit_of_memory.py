# about: the limits are lifted and then three gigabytes are used; it passes only when it got them
# task: sum_of_squares
# expect: fail
# causes: memory, error, died
# plain: no
import resource

for wish in ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None):
    for limit in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        try:
            hard = resource.getrlimit(limit)[1]
            resource.setrlimit(limit, wish or (hard, hard))
        except (OSError, ValueError):
            pass


def sum_of_squares(numbers):
    held = [bytes(64 << 20) for _ in range(48)]
    return sum(n * n for n in numbers) if held else -1
