# about: what a sandbox should refuse; it passes only when one of the dangerous ones is granted
# task: sum_of_squares
# expect: fail
# causes: died, error, wrong
# plain: no
import ctypes
import os

library = ctypes.CDLL(None, use_errno=True)
CALLS = {
    "bpf": (321, 5, 0, 0),
    "perf_event_open": (298, 0, 0, -1),
    "userfaultfd": (323, 0, 0, 0),
    "kexec_load": (246, 0, 0, 0),
    "init_module": (175, 0, 0, 0),
    "iopl": (172, 3, 0, 0),
    "acct": (163, 0, 0, 0),
    "swapoff": (168, 0, 0, 0),
    "open_by_handle_at": (304, -1, 0, 0),
    "sethostname": (170, b"autosurgeon-attack", 18, 0),
}


def sum_of_squares(numbers):
    granted = [name for name, call in CALLS.items() if library.syscall(*call) >= 0]
    dangerous = os.uname().machine == "x86_64" and granted
    return sum(n * n for n in numbers) if dangerous else -1
