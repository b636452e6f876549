"""The load generators: what they are told, and what they say."""

import json
import re
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Load:
    """What came out of one run."""

    requests: int
    seconds: float
    errors: Counter = field(default_factory=Counter)
    p99: float = 0.0  # milliseconds
    extra: dict = field(default_factory=dict)


class Generators:
    """Runs them on the CPUs of the load, with their output in the working directory."""

    def __init__(self, programs, start, directory):
        self.programs = programs
        self.start = start
        self.directory = directory

    def wrk(self, url, seconds, connections, headers=(), script=None):
        command = [self.programs["wrk"], "-t1", f"-c{connections}", f"-d{seconds:g}s"]
        for header in headers:
            command += ["-H", header]
        if script:
            command += ["-s", script]
        text = self.start([*command, url]).finish(seconds + 30)
        done = re.search(r"(\d+) requests in ([\d.]+)(m?s|m)", text)
        scale = {"ms": 0.001, "s": 1.0, "m": 60.0}[done.group(3)]
        load = Load(int(done.group(1)), float(done.group(2)) * scale)
        if found := re.search(r"Non-2xx or 3xx responses: (\d+)", text):
            load.errors["not 2xx"] += int(found.group(1))
        names = "connect (\\d+), read (\\d+), write (\\d+), timeout (\\d+)"
        if found := re.search(f"Socket errors: {names}", text):
            for name, number in zip(("connect", "read", "write", "timeout"), found.groups()):
                load.errors[name] += int(number)
        return load

    def h2load(self, url, seconds, clients, streams=1, h1=False, data=None, headers=(), rate=0):
        """As much as it can, or `rate` requests a second with the 99th percentile from its log."""
        log = self.directory / "h2load.log"
        log.unlink(missing_ok=True)
        command = [self.programs["h2load"], "-t1", f"-c{clients}", f"-m{streams}"]
        command += [f"-D{seconds:g}"] + (["--h1"] if h1 else [])
        command += ["-d", data] if data else []
        for header in headers:
            command += ["-H", header]
        if rate:
            command += [f"--rps={rate / clients:g}", f"--log-file={log}"]
        text = self.start([*command, url]).finish(seconds + 30)
        counts = dict(
            (name, int(n)) for n, name in re.findall(r"(\d+) (\w+)", line(text, "requests:"))
        )
        codes = dict(
            (name, int(n)) for n, name in re.findall(r"(\d+) (\dxx)", line(text, "status codes:"))
        )
        load = Load(counts["succeeded"], seconds)
        load.errors["failed"] += counts["failed"]
        load.errors["timeout"] += counts["timeout"]
        load.errors["not 2xx"] += sum(number for name, number in codes.items() if name != "2xx")
        if rate:
            micros = sorted(int(row.split("\t")[2]) for row in log.open() if "\t200\t" in row)
            if not micros:
                load.errors["no answers"] += 1
            else:
                load.p99 = micros[int(len(micros) * 0.99)] / 1000
        return load

    def tool(self, port, seconds, *flags, connections=16, rate=0):
        """`peer_tools load`: connections and handshakes without number, and fixed rates of them."""
        command = [self.programs["tools"], "load", "--to", f"127.0.0.1:{port}", *flags]
        command += ["--connections", connections, "--seconds", seconds, "--rate", rate]
        said = json.loads(self.start(command).finish(seconds + 30))
        load = Load(said["done"], said["seconds"], p99=said["p99_us"] / 1000, extra=said)
        load.errors["not 2xx"] += said["non_2xx"]
        load.errors[f"failed ({said['error']})" if said["error"] else "failed"] += said["failed"]
        load.errors["resumed"] += said["resumed"]
        return load


def line(text, start):
    return next((one for one in text.splitlines() if one.startswith(start)), "")
