"""Somebody who only reads, and somebody who does harm: the two sides of the attack tests.

A decoy that is attacked in the same way makes the machine as busy as the attack on the member: what
is left between the two is the member's doing.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress

from net.etcd.pb import rpc_pb2 as pb
from tests.attack.flood import connect, processors
from tests.http2_client import (
    DATA,
    HANDSHAKE,
    HEADERS,
    NO_TABLE,
    SETTINGS_ACK,
    block,
    data,
    headers,
)
from tests.members import CHECKOUT

ALL_THE_WINDOW = bytes.fromhex("000004080000000000") + (0x7FFF0000).to_bytes(4, "big")
"""A WINDOW_UPDATE for the connection: thousands of answers fit without another one."""
PAUSE_S = 0.001
GET = pb.RangeRequest(key=b"k").SerializeToString()


def percentile_ms(took_s: list[float], percent: int) -> float:
    """A percentile of durations, in milliseconds."""
    return sorted(took_s)[max(0, len(took_s) * percent // 100 - 1)] * 1000


class Bystander:
    """One connection that reads one key, one get at a time."""

    def __init__(self, port: int) -> None:
        self.sock = connect(port)
        self.sock.settimeout(20.0)
        self._next_id = 1
        self._first = NO_TABLE
        self._rest = b""
        self.sock.sendall(HANDSHAKE + SETTINGS_ACK + ALL_THE_WINDOW)

    def get(self) -> None:
        """Read the key."""
        stream_id, self._next_id = self._next_id, self._next_id + 2
        request = headers(stream_id, self._first + block()) + data(stream_id, GET)
        self._first = b""
        self.sock.sendall(request)
        self._until_the_end_of(stream_id)

    def p99_ms(self, gets: int) -> float:
        """The 99th percentile of so many gets, a pause between each two."""
        return percentile_ms(self.took_s(gets), 99)

    def took_s(self, gets: int) -> list[float]:
        """How long each of so many gets took, a pause between each two."""
        took: list[float] = []
        for _ in range(gets):
            began = time.perf_counter()
            self.get()
            took.append(time.perf_counter() - began)
            time.sleep(PAUSE_S)
        return took

    def close(self) -> None:
        self.sock.close()

    def _until_the_end_of(self, stream_id: int) -> None:
        answered = False
        while True:
            while len(self._rest) >= 9:
                size = int.from_bytes(self._rest[:3], "big")
                if len(self._rest) < 9 + size:
                    break
                kind, flags = self._rest[3], self._rest[4]
                to = int.from_bytes(self._rest[5:9], "big")
                self._rest = self._rest[9 + size :]
                answered = answered or (to == stream_id and kind == DATA)
                if to == stream_id and kind == HEADERS and flags & 1:
                    assert answered, "a get was refused"
                    return
            piece = self.sock.recv(1 << 16)
            assert piece, "the bystander's connection was closed"
            self._rest += piece


def keep_off(pid: int, own: Sequence[int]) -> None:
    """Keep all threads of a process on these processors."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), own)


@contextmanager
def side_by_side(*pids: int) -> Generator[None, None, None]:
    """Keep the attacked and this process off the attacker's processor, inside the body.

    This one also goes first wherever it wants to run, if it may: a client whose machine is another
    does not wait until the member, or the attacker, has used up a time slice (3 ms).
    """
    before = os.sched_getaffinity(0)
    for pid in (os.getpid(), *pids):
        keep_off(pid, processors()[0])
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        for pid in (os.getpid(), *pids):
            keep_off(pid, sorted(before))


@contextmanager
def attacking(kind: str, *port: int) -> Generator[None, None, None]:
    """Somebody does harm inside the body: to a port, or to a decoy."""
    command = [sys.executable, "-m", "tests.attack.flood", kind, *map(str, port)]
    process = subprocess.Popen(
        command, cwd=CHECKOUT, stdout=subprocess.PIPE, start_new_session=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        try:
            yield
            assert process.poll() is None, "the attacker died"
        finally:
            # The attacker and its decoy are a process group of their own.
            os.killpg(process.pid, signal.SIGKILL)
