"""The jail of a child: limits on what it can use, and on what it can ask the kernel for.

Each protection stands for itself and is reported only if the kernel took it. Sources: Linux
`prctl(2)`, `seccomp(2)`, `landlock(7)`, `setrlimit(2)`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Callable, Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
PR_SET_NO_NEW_PRIVS = 38

LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
LANDLOCK_VERSION_FLAG = 1
LANDLOCK_RULE_PATH_BENEATH = 1
EXECUTE, READ_FILE, READ_DIR = 1 << 0, 1 << 2, 1 << 3
FILE_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many file-system rights each version of the interface knows."""
TCP_RIGHTS: Final = 0b11

# fmt: off
_DENIED: Final[dict[str, dict[str, int]]] = {
    "x86_64": {
        "socket": 41, "connect": 42, "accept": 43, "sendto": 44, "sendmsg": 46, "bind": 49,
        "listen": 50, "fork": 57, "vfork": 58, "execve": 59, "kill": 62, "ptrace": 101,
        "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "init_module": 175,
        "delete_module": 176, "tkill": 200, "tgkill": 234, "add_key": 248, "request_key": 249,
        "keyctl": 250, "unshare": 272, "accept4": 288, "perf_event_open": 298, "sendmmsg": 307,
        "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "finit_module": 313,
        "memfd_create": 319, "bpf": 321, "execveat": 322, "userfaultfd": 323,
        "pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426,
        "io_uring_register": 427, "open_tree": 428, "move_mount": 429, "fsopen": 430,
        "pidfd_open": 434, "pidfd_getfd": 438,
        "unlink": 87, "rename": 82, "mkdir": 83, "rmdir": 84, "creat": 85, "link": 86,
        "symlink": 88, "chmod": 90, "chown": 92, "truncate": 76, "unlinkat": 263,
        "renameat": 264, "linkat": 265, "symlinkat": 266, "mkdirat": 258, "renameat2": 316,
    },
    "aarch64": {
        "socket": 198, "socketpair": 199, "bind": 200, "listen": 201, "accept": 202,
        "connect": 203, "sendto": 206, "sendmsg": 211, "execve": 221, "kill": 129,
        "ptrace": 117, "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51,
        "init_module": 105, "delete_module": 106, "tkill": 130, "tgkill": 131, "add_key": 217,
        "request_key": 218, "keyctl": 219, "unshare": 97, "accept4": 242,
        "perf_event_open": 241, "sendmmsg": 269, "setns": 268, "process_vm_readv": 270,
        "process_vm_writev": 271, "finit_module": 273, "memfd_create": 279, "bpf": 280,
        "execveat": 281, "userfaultfd": 282, "pidfd_send_signal": 424, "io_uring_setup": 425,
        "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
        "fsopen": 430, "pidfd_open": 434, "pidfd_getfd": 438,
        "unlinkat": 35, "renameat": 38, "linkat": 37, "symlinkat": 36, "mkdirat": 34,
        "renameat2": 276,
    },
}
_CLONE: Final = {"x86_64": (56, 435), "aarch64": (220, 435)}
_AUDIT_ARCH: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# fmt: on
CLONE_THREAD = 0x00010000


def own_code() -> tuple[Path, ...]:
    """Where Python's library, this program and its libraries lie: what a child may load when it
    needs it. Asked before the jail closes."""
    found = {Path(os.__file__).parent, Path(__file__).parents[1]}
    for library in ("msgspec", "jinja2"):
        spec = find_spec(library)
        if spec is not None and spec.origin is not None:
            found.add(Path(spec.origin).parents[1])
    return tuple(sorted(found))


def confine(readable: Sequence[Path], memory: int, cpu_seconds: int) -> tuple[str, ...]:
    """Lock this process up for good; returns the names of the protections that are in force.

    `readable` are the files and folders that it may still open beside the program's own code,
    `memory` how much address space it may take in bytes beside what it has, `cpu_seconds` its
    processor time.
    """
    steps: list[tuple[str, Callable[[], bool]]] = [
        ("memory limit", lambda: _limit(resource.RLIMIT_AS, _address_space() + memory)),
        ("processor time limit", lambda: _limit(resource.RLIMIT_CPU, cpu_seconds)),
        ("no core dumps", lambda: _limit(resource.RLIMIT_CORE, 0)),
        ("no writing to files", lambda: _limit(resource.RLIMIT_FSIZE, 0)),
        ("few open files", lambda: _limit(resource.RLIMIT_NOFILE, 64)),
    ]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        steps += [
            ("dies with its parent", lambda: _prctl(libc, PR_SET_PDEATHSIG, signal.SIGKILL)),
            ("not traceable", lambda: _prctl(libc, PR_SET_DUMPABLE, 0)),
            ("no new privileges", lambda: _prctl(libc, PR_SET_NO_NEW_PRIVS, 1)),
            (
                "landlock: reads the target and own code only",
                lambda: _landlock(libc, (*readable, *own_code())),
            ),
            ("seccomp: no network, no programs, no new processes", lambda: _seccomp(libc)),
        ]
    return tuple(name for name, step in steps if step())


def _address_space() -> int:
    """What this process has already, in bytes; 0 where the system does not say."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[0]
    except OSError:
        return 0
    return int(pages) * resource.getpagesize()


def confine_program(
    readable: Sequence[Path],
    executable: Sequence[Path],
    memory: int,
    cpu_seconds: int,
    output: int,
) -> tuple[str, ...]:
    """Lock this process up before it becomes another programme; returns what is in force.

    As `confine`, but it may still open and run what is below `executable` (the programme and the
    system's libraries), and start threads. It opens no file to write, writes at most `output` bytes
    into one that is open, and reaches no network.
    """
    steps: list[tuple[str, Callable[[], bool]]] = [
        ("memory limit", lambda: _limit(resource.RLIMIT_AS, memory)),
        ("processor time limit", lambda: _limit(resource.RLIMIT_CPU, cpu_seconds)),
        ("no core dumps", lambda: _limit(resource.RLIMIT_CORE, 0)),
        ("output limit", lambda: _limit(resource.RLIMIT_FSIZE, output)),
        ("few open files", lambda: _limit(resource.RLIMIT_NOFILE, 256)),
    ]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        denied = frozenset(_DENIED.get(platform.machine(), ())) - {"execve"}
        steps += [
            ("dies with its parent", lambda: _prctl(libc, PR_SET_PDEATHSIG, signal.SIGKILL)),
            ("no new privileges", lambda: _prctl(libc, PR_SET_NO_NEW_PRIVS, 1)),
            ("landlock: reads its copy only", lambda: _landlock(libc, readable, executable)),
            ("seccomp: no network, no new processes", lambda: _seccomp(libc, denied)),
        ]
    return tuple(name for name, step in steps if step())


def _limit(kind: int, value: int) -> bool:
    try:
        resource.setrlimit(kind, (value, value))
    except (OSError, ValueError):
        return False
    return True


def _prctl(libc: ctypes.CDLL, option: int, value: int) -> bool:
    return bool(libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) == 0)


def _landlock(libc: ctypes.CDLL, readable: Sequence[Path], executable: Sequence[Path] = ()) -> bool:
    version = libc.syscall(LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_VERSION_FLAG)
    if version < 1:
        return False
    handled = (1 << FILE_RIGHTS.get(version, 16)) - 1
    network = TCP_RIGHTS if version >= 4 else 0
    attributes = struct.pack("<QQ", handled, network)[: 16 if version >= 4 else 8]
    ruleset = libc.syscall(LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return False
    try:
        for path in (*readable, *executable):
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                rights = READ_FILE | READ_DIR if path.is_dir() else READ_FILE
                rights |= EXECUTE if path in executable else 0
                rule = struct.pack("<Qi", rights, opened)
                if libc.syscall(LANDLOCK_ADD_RULE, ruleset, LANDLOCK_RULE_PATH_BENEATH, rule, 0):
                    return False
            finally:
                os.close(opened)
        return bool(libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0) == 0)
    except OSError:
        return False
    finally:
        os.close(ruleset)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _seccomp(libc: ctypes.CDLL, denied: Collection[str] | None = None) -> bool:
    """A BPF filter: denied calls (all of the list, or those named) fail with EPERM, and a clone
    must be a thread."""
    machine = platform.machine()
    if machine not in _DENIED:
        return False
    load, equal, above, test, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    deny = 0x00050000 | errno.EPERM
    missing = 0x00050000 | errno.ENOSYS
    kill, allow = 0x80000000, 0x7FFF0000
    clone, clone3 = _CLONE[machine]
    program: list[tuple[int, int, int, int]] = [
        (load, 0, 0, 4),
        (equal, 1, 0, _AUDIT_ARCH[machine]),
        (answer, 0, 0, kill),
        (load, 0, 0, 0),
        (above, 0, 1, 0x40000000),  # the x32 interface has numbers of its own
        (answer, 0, 0, kill),
        (equal, 0, 1, clone3),  # its flags are out of sight; libc falls back to clone
        (answer, 0, 0, missing),
        (equal, 0, 4, clone),
        (load, 0, 0, 16),
        (test, 1, 0, CLONE_THREAD),
        (answer, 0, 0, deny),
        (answer, 0, 0, allow),
    ]
    table = _DENIED[machine]
    for number in sorted(n for name, n in table.items() if denied is None or name in denied):
        program += [(equal, 0, 1, number), (answer, 0, 0, deny)]
    program.append((answer, 0, 0, allow))
    code = b"".join(struct.pack("<HBBI", *instruction) for instruction in program)
    filled = _Program(len(program), code)
    return bool(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filled), 0, 0) == 0)
