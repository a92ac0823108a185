"""The system calls that a sandboxed program may not make, as a filter for the kernel (seccomp).

A deny list, in classic BPF: networks, new processes, namespaces and mounts, other processes'
memory, kernel interfaces that programs do not need, and memory that no limit counts. It is there
beside namespaces and limits, not in place of them.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Name: number on x86_64 and on aarch64; None where it does not exist.
_DENIED: Final[Mapping[str, tuple[int, int | None]]] = {
    # networks; socketpair stays, which event loops need
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    # processes; clone has a rule of its own
    "fork": (57, None),
    "vfork": (58, None),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    # namespaces and file systems
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "setns": (308, 268),
    "unshare": (272, 97),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "mount_setattr": (442, 442),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "fanotify_init": (300, 262),
    "lookup_dcookie": (212, 18),
    # the kernel
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "syslog": (103, 116),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "personality": (135, 92),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "vhangup": (153, 58),
    "mbind": (237, 235),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "set_mempolicy": (238, 237),
    "set_mempolicy_home_node": (450, 450),
    "uselib": (134, None),
    "ustat": (136, None),
    "sysfs": (139, None),
    "_sysctl": (156, None),
    "nfsservctl": (180, 42),
    # memory that no limit counts
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
}
_CLONE: Final = (56, 220)
_CLONE3: Final = 435

_AUDIT_ARCH: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32: Final = 0x4000_0000  # numbers of the x32 calls, which would get round the list
_CLONE_THREAD: Final = 0x0001_0000

# Offsets in `struct seccomp_data`; the lower half of an argument comes first on both machines.
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_RETURN: Final = 0x06  # BPF_RET | BPF_K
_IF_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_IF_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_IF_ANY_BIT: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K

ALLOW: Final = 0x7FFF_0000
KILL: Final = 0x8000_0000  # SECCOMP_RET_KILL_PROCESS
REFUSE: Final = 0x0005_0000 | 1  # SECCOMP_RET_ERRNO with EPERM
ABSENT: Final = 0x0005_0000 | 38  # with ENOSYS

MACHINES: Final = tuple(_AUDIT_ARCH)
"""The machines that there is a filter for, as `os.uname().machine` says it."""


def program(machine: str) -> bytes:
    """The filter, as the array of `struct sock_filter` that bubblewrap reads.

    Threads are allowed and processes are not: `clone` must ask for a thread, and `clone3`, whose
    flags a filter cannot see, does not exist, whereupon C libraries use `clone`. Counting processes
    (RLIMIT_NPROC) instead would count those of all sandboxes of one user together.

    Args:
        machine: One of `MACHINES`.
    """
    return b"".join(_instructions(machine))


def _instructions(machine: str) -> Iterator[bytes]:
    column = MACHINES.index(machine)
    yield _step(_LOAD, _ARCH)
    yield from _unless(_IF_EQUAL, _AUDIT_ARCH[machine], KILL)
    yield _step(_LOAD, _NUMBER)
    if machine == "x86_64":
        yield from _where(_IF_AT_LEAST, _X32, REFUSE)
    for numbers in _DENIED.values():
        number = numbers[column]
        if number is not None:
            yield from _where(_IF_EQUAL, number, REFUSE)
    yield from _where(_IF_EQUAL, _CLONE3, ABSENT)
    yield _step(_IF_EQUAL, _CLONE[column], 0, 3)
    yield _step(_LOAD, _FIRST_ARGUMENT)
    yield from _unless(_IF_ANY_BIT, _CLONE_THREAD, REFUSE)
    yield _step(_RETURN, ALLOW)


def _where(test: int, operand: int, action: int) -> tuple[bytes, bytes]:
    return _step(test, operand, 0, 1), _step(_RETURN, action)


def _unless(test: int, operand: int, action: int) -> tuple[bytes, bytes]:
    return _step(test, operand, 1, 0), _step(_RETURN, action)


def _step(code: int, operand: int, then: int = 0, otherwise: int = 0) -> bytes:
    """One instruction: a jump skips as many of the following as it says."""
    return struct.pack("=HBBI", code, then, otherwise, operand)
