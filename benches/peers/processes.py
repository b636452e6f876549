"""Processes: each on its core, what they cost by the kernel's accounts, none left behind."""

import ctypes
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")

running = []


class Failed(Exception):
    """Something that was started did not do what it should; the text says what."""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Process:
    """A child in a process group of its own, on some CPUs. It ends when this program does."""

    def __init__(self, command, cpus, output, stdin=subprocess.DEVNULL, env=None):
        def prepare():
            os.sched_setaffinity(0, cpus)
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

        self.name = Path(command[0]).name
        self.output = Path(output)
        with open(output, "wb") as out:
            self.child = subprocess.Popen(
                [str(part) for part in command],
                stdin=stdin,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=prepare,
                env=env,
            )
        self.pid = self.child.pid
        running.append(self)

    def text(self):
        return self.output.read_text(errors="replace")

    def tree(self):
        """Its process id and those of all its descendants."""
        found, left = [], [self.pid]
        while left:
            pid = left.pop()
            found.append(pid)
            for task in tasks(pid):
                try:
                    left += map(int, (task / "children").read_text().split())
                except OSError:
                    pass
        return found

    def cpu(self):
        """Seconds of CPU, of all threads and children, those that have ended too."""
        total = 0
        for pid in self.tree():
            for task in tasks(pid):
                try:
                    total += int((task / "schedstat").read_text().split()[0])
                except OSError:
                    pass  # it ended just now
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            raise Failed(f"{self.name} has ended:\n{self.text()[-2000:]}") from None
        return total / 1e9 + (int(fields[13]) + int(fields[14])) / TICK

    def resident(self):
        """Bytes of memory in use, of it and its children."""
        return sum(
            int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE for pid in self.tree()
        )

    def wait_for(self, port, seconds=60):
        """Until something accepts connections there."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.child.poll() is not None:
                raise Failed(
                    f"{self.name} ended with {self.child.returncode}:\n{self.text()[-2000:]}"
                )
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise Failed(f"{self.name} does not listen:\n{self.text()[-2000:]}")

    def finish(self, seconds):
        """Waits for its end; what it wrote."""
        try:
            code = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.stop()
            raise Failed(f"{self.name} did not end in {seconds:.0f} s") from None
        running.remove(self)
        if code != 0:
            raise Failed(f"{self.name} ended with {code}:\n{self.text()[-2000:]}")
        return self.text()

    def stop(self):
        if self in running:
            running.remove(self)
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()


def tasks(pid):
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def stop_all():
    while running:
        running[-1].stop()
