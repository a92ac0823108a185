"""The filter of system calls, run by an interpreter of classic BPF."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from thinktwice.sandbox import seccomp
from thinktwice.sandbox.seccomp import ABSENT, ALLOW, KILL, MACHINES, REFUSE, program

ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
THREAD = 0x3D0F00
"""The flags with which glibc starts a thread."""


def verdict(machine: str, number: int, *, arch: int | None = None, first: int = 0) -> int:
    """What the kernel does with a call."""
    arch = ARCH[machine] if arch is None else arch
    data = struct.pack("=iIQ6Q", number, arch, 0, first, *[0] * 5)
    steps = list(struct.iter_unpack("=HBBI", program(machine)))
    at, accumulator = 0, 0
    while True:
        code, then, otherwise, operand = steps[at]
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, operand)
        elif code == 0x06:
            return operand
        else:
            holds = {
                0x15: accumulator == operand,
                0x35: accumulator >= operand,
                0x45: bool(accumulator & operand),
            }[code]
            at += then if holds else otherwise


# From the kernel's tables: read, write, mmap, futex, execve, exit_group.
FREE = {"x86_64": [0, 1, 9, 202, 59, 231], "aarch64": [63, 64, 222, 98, 221, 94]}
SOCKET = {"x86_64": 41, "aarch64": 198}
CLONE = {"x86_64": 56, "aarch64": 220}


@pytest.mark.parametrize("machine", MACHINES)
def test_what_programs_need_is_allowed(machine: str) -> None:
    """Files, memory, threads' locks, and coming to an end."""
    assert {verdict(machine, number) for number in FREE[machine]} == {ALLOW}


@pytest.mark.parametrize("machine", MACHINES)
def test_all_that_is_listed_is_refused(machine: str) -> None:
    """With an error that Python shows as PermissionError."""
    column = MACHINES.index(machine)
    listed = [n[column] for n in seccomp._DENIED.values() if n[column] is not None]
    assert {verdict(machine, number) for number in listed} == {REFUSE}
    assert SOCKET[machine] in listed
    assert not set(FREE[machine]) & set(listed)


@pytest.mark.parametrize("machine", MACHINES)
def test_threads_are_allowed_and_processes_are_not(machine: str) -> None:
    """By the flags of clone; clone3, whose flags cannot be seen, does not exist."""
    assert verdict(machine, CLONE[machine], first=THREAD) == ALLOW
    assert verdict(machine, CLONE[machine], first=17) == REFUSE
    assert verdict(machine, CLONE[machine], first=0) == REFUSE
    assert verdict(machine, 435) == ABSENT


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_another_machine_end_the_process(machine: str) -> None:
    """The 32-bit calls of the same processor have other numbers."""
    assert verdict(machine, 1, arch=0x40000003) == KILL


def test_the_x32_calls_do_not_get_round_the_list() -> None:
    """They are calls of x86_64 under other numbers."""
    assert verdict("x86_64", 41 | 0x40000000) == REFUSE
    assert verdict("x86_64", 1 | 0x40000000) == REFUSE


def test_the_kernel_takes_programs_of_this_length() -> None:
    """At most 4096 steps, and no more bytes than a pipe holds."""
    assert all(len(program(machine)) // 8 <= 4096 for machine in MACHINES)
    assert all(len(program(machine)) < 65536 for machine in MACHINES)


HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_those_of_the_kernel(machine: str) -> None:
    """As its headers have them, where they are installed."""
    if not HEADERS[machine].exists():
        pytest.skip("the kernel's headers are not installed")
    found = re.findall(r"#define __NR(?:3264)?_(\w+) (\d+)", HEADERS[machine].read_text())
    numbers = {name: int(number) for name, number in found}
    column = MACHINES.index(machine)
    ours = {name: pair[column] for name, pair in seccomp._DENIED.items() if name in numbers}
    assert {name: numbers[name] for name in ours} == ours
    assert len(ours) > 60
