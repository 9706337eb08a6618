"""Drop rights of the current process: limits, system calls, files, user. It uses ctypes and needs Linux.

Code that runs later in the same process cannot restore them.
"""

import ctypes
import os
import platform
import resource
import struct
import sys

NOBODY = 65534
_FIRST_SPARE_USER, _SPARE_USERS = 61184, 4096
_EPERM, _ENOSYS = 1, 38
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_CLONE_THREAD = 0x00010000
_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS, _PR_SET_SECCOMP, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 8, 22, 4, 38
_CAP_DAC_READ_SEARCH = 2

# Numbers from the kernel's tables: (x86_64, aarch64); None where the machine has no such call.
_DENIED = {
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "process_madvise": (440, 440), "kcmp": (312, 272),
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "sendmsg": (46, 211), "sendmmsg": (307, 269), "unshare": (272, 97), "setns": (308, 268),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsmount": (432, 432),
    "mount_setattr": (442, 442), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "memfd_create": (319, 279),
    "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196), "semget": (64, 190),
    "semop": (65, 193), "msgget": (68, 186), "msgsnd": (69, 189), "mq_open": (240, 180),
    "setpriority": (141, 140),
    "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119), "sched_setattr": (314, 274),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "sethostname": (170, 161), "setdomainname": (171, 162), "acct": (163, 89), "quotactl": (179, 60),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262),
    "inotify_init1": (294, 26), "personality": (135, 92), "seccomp": (317, 277), "syslog": (103, 116),
    "landlock_create_ruleset": (444, 444), "mknod": (133, None), "mknodat": (259, 33),
    # Landlock does not restrict changes of owners, modes, times and attributes.
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None),
    "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None),
    "utimensat": (280, 88), "futimesat": (261, None), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "setxattrat": (463, 463), "removexattrat": (466, 466),
    "mbind": (237, 235), "set_mempolicy": (238, 237), "migrate_pages": (256, 238), "move_pages": (279, 239),
}  # fmt: skip
_AF_UNIX, _SOCK_STREAM = 1, 1

# Steps of a filter: take a word of the call's description, compare, decide. Jumps are counted in steps.
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND, _FIFTH, _FIFTH_HIGH = 0, 4, 16, 24, 48, 52


def _take(offset):
    return (0x20, 0, 0, offset)


def _equal(value, then, otherwise):
    return (0x15, then, otherwise, value)


def _decide(what):
    return (0x06, 0, 0, what)


_REFUSE, _LET = _decide(_ERRNO | _EPERM), _decide(_ALLOW)
# Calls that are refused in part: numbers as above, and the steps for them, each ending with a decision.
_PARTLY = {
    # The flags of clone3 are in memory, out of a filter's sight; libc falls back to clone when it is not there.
    "clone3": ((435, 435), [_decide(_ERRNO | _ENOSYS)]),
    # A process may lower its own limits, not those of the server that forked it.
    "prlimit64": ((302, 261), [_take(_FIRST), _equal(0, 1, 0), _REFUSE, _LET]),
    # What is sent goes to the other end of a socket, and to no address; a pair is one of streams.
    "sendto": (
        (44, 206),
        [_take(_FIFTH), _equal(0, 0, 2), _take(_FIFTH_HIGH), _equal(0, 1, 0), _REFUSE, _LET],
    ),
    "socketpair": (
        (53, 199),
        [
            *(_take(_FIRST), _equal(_AF_UNIX, 0, 3), _take(_SECOND), (0x54, 0, 0, 0xF), _equal(_SOCK_STREAM, 1, 0)),
            *(_REFUSE, _LET),
        ],
    ),
    # A candidate may not change that it ends with its server.
    "prctl": ((157, 167), [_take(_FIRST), _equal(_PR_SET_PDEATHSIG, 0, 1), _REFUSE, _LET]),
    "clone": ((56, 220), [_take(_FIRST), (0x45, 1, 0, _CLONE_THREAD), _REFUSE, _LET]),
}
CALLS = frozenset([*_DENIED, *_PARTLY])
"""All that a filter refuses."""
OF_A_SERVER = frozenset({"clone", "kill", "pidfd_open", "memfd_create", "prctl"})
"""Calls that the candidate server needs and the candidates do not."""
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]


class CannotConfineError(OSError):
    """The kernel does not offer what the level asks for."""


def _prctl(option, value, address=0):
    if _libc.prctl(option, value, address, 0, 0) != 0:
        raise CannotConfineError(ctypes.get_errno(), "prctl " + str(option))


class Filter:
    """A seccomp filter: no new process, no signal, no socket, no tracing, no mount, no shared memory.

    Threads may be made. A refused call fails with EPERM, so the program gets an OSError and goes on.

    The kernel compiles a filter when it is applied, which takes time by its length; so what a server can do without is
    refused to it, once, and its children's own filter is short.
    """

    def __init__(self, calls=CALLS):
        machine = _MACHINES.get(platform.machine())
        if machine is None:
            raise CannotConfineError(_ENOSYS, "no table of system calls for " + platform.machine())
        column, architecture = machine
        code = [_take(_ARCHITECTURE), _equal(architecture, 1, 0), _decide(_KILL), _take(_NUMBER)]
        if column == 0:
            # Calls of the x32 kind have other numbers for the same things.
            code += [(0x35, 0, 1, 0x40000000), _REFUSE]
        denied = {name: (numbers, [_REFUSE]) for name, numbers in _DENIED.items()}
        for name, (numbers, steps) in {**denied, **_PARTLY}.items():
            if name in calls and numbers[column] is not None:
                code += [_equal(numbers[column], 0, len(steps)), *steps]
        code.append(_LET)
        self._code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
        self._program = ctypes.create_string_buffer(
            struct.pack("HxxxxxxQ", len(code), ctypes.addressof(self._code)), 16
        )

    def apply(self):
        """From here on, for this process and its threads."""
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _prctl(_PR_SET_SECCOMP, 2, ctypes.addressof(self._program))


class Paths:
    """A Landlock ruleset: only these paths may be read, none written."""

    _CREATE, _ADD, _RESTRICT = 444, 445, 446
    _FILES, _FOLDERS = 1 << 2, 1 << 3

    def __init__(self, readable):
        version = _libc.syscall(self._CREATE, None, 0, 1)
        if version < 1:
            raise CannotConfineError(_ENOSYS, "no Landlock")
        files = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
        ruleset = struct.pack("QQQ", files, 0b11 if version >= 4 else 0, 0b11 if version >= 6 else 0)
        size = 24 if version >= 6 else 16 if version >= 4 else 8
        self._ruleset = _libc.syscall(self._CREATE, ctypes.c_char_p(ruleset), ctypes.c_size_t(size), 0)
        if self._ruleset < 0:
            raise CannotConfineError(ctypes.get_errno(), "landlock_create_ruleset")
        for path in readable:
            self._allow(path)

    def _allow(self, path):
        """Read a file, or a folder with all in it."""
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        rights = self._FILES | self._FOLDERS if os.path.isdir(path) else self._FILES
        rule = struct.pack("=Qi", rights, descriptor)
        if _libc.syscall(self._ADD, self._ruleset, 1, ctypes.c_char_p(rule), 0) != 0:
            raise CannotConfineError(ctypes.get_errno(), "landlock_add_rule " + path)
        os.close(descriptor)

    def apply(self):
        """From here on, for this process and its threads."""
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        if _libc.syscall(self._RESTRICT, self._ruleset, 0) != 0:
            raise CannotConfineError(ctypes.get_errno(), "landlock_restrict_self")


def leave_groups():
    """Drop the supplementary groups, the first step from root to an unprivileged user."""
    try:
        os.setgroups([])
    except PermissionError:
        pass  # in a user namespace without that right there are none to lose


def become_nobody(*, keep_reading):
    """Give up root; with `keep_reading`, folders that only root may enter can be read, where rules allow the path."""
    if keep_reading:
        _prctl(_PR_SET_KEEPCAPS, 1)
    # Outside a user namespace limits count per user, so each jail takes another one, of those that systemd lends out.
    user = _FIRST_SPARE_USER + os.getppid() % _SPARE_USERS if keep_reading else NOBODY
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    if keep_reading:
        header = struct.pack("Ii", 0x20080522, 0)
        bits = 1 << _CAP_DAC_READ_SEARCH
        if _libc.capset(ctypes.c_char_p(header), ctypes.c_char_p(struct.pack("6I", bits, bits, 0, 0, 0, 0))) != 0:
            raise CannotConfineError(ctypes.get_errno(), "capset")


def use_library(mirror, library):
    """Import the standard library by a folder of links, where the folder itself holds more and cannot be read."""
    sys.path[:] = [mirror if path == library else path for path in sys.path]
    sys.path_importer_cache.clear()


def keep_strangers_out():
    """Forbid other processes of the same user to trace this one or to open its memory."""
    _prctl(_PR_SET_DUMPABLE, 0)


def die_with_parent():
    """The kernel kills this process when the thread that started it is gone."""
    _prctl(_PR_SET_PDEATHSIG, 9)


def limit(memory_bytes, cpu_s):
    """Limit one candidate's address space and CPU seconds."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    # The server kills by the process's clock; this limit holds if the server ends.
    resource.setrlimit(resource.RLIMIT_CPU, (int(1.5 * cpu_s) + 2, int(1.5 * cpu_s) + 3))


def limit_all(threads):
    """The same for this process and all its children: files, threads (None: no bound), no core file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 20, 256 << 20))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if threads is not None:
        resource.setrlimit(resource.RLIMIT_NPROC, (threads, threads))
