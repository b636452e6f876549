"""One run of one workload against one proxy: backends, load, the kernel's accounts."""

import json
import os
import subprocess
import time
from collections import Counter

from loads import Generators
from processes import Failed, Process, free_port
from proxies import CONF, Proxy, ask, render
from workloads import MIB, ROUTES, SMALL, url

SMALL_BODY = b'{"hello":"world","from":"nginx"}'


class Stage:
    """What all runs share: a working directory, two sets of CPUs, the backends, the generators."""

    def __init__(self, programs, directory, proxy_cpu, load_cpus, times, peer_logs):
        self.programs, self.dir, self.times, self.peer_logs = programs, directory, times, peer_logs
        self.proxy_cpus, self.load_cpus = {proxy_cpu}, load_cpus
        self.generators = Generators(programs, self.start, directory)
        self.idle = 4000
        (directory / "www").mkdir()
        self.mib = directory / "www" / "1MiB"
        self.mib.write_bytes(bytes(range(256)) * (MIB // 256))
        self.message = directory / "message"
        self.message.write_bytes(b"\0\0\0\0\x20" + b"hello from benches/peers, 32 B\r\n")
        self.upload_script = directory / "upload.lua"
        self.upload_script.write_text(
            f'wrk.method = "POST"\nwrk.body = string.rep("0123456789abcdef", {MIB // 16})\n'
        )
        self.start([programs["tools"], "certificates", directory]).finish(20)
        self.ports = {name: free_port() for name in ("nginx", "sink", "grpc")}
        self.start_backends()

    def start(self, command, **more):
        return Process(command, self.load_cpus, self.dir / "output", **more)

    def start_backends(self):
        values = {"dir": self.dir, "backend": self.ports["nginx"], "root": os.geteuid() == 0}
        file = self.dir / "backend.conf"
        file.write_text(render((CONF / "backend.conf").read_text(), values))
        self.backends = [
            self.background(
                "nginx",
                "-p",
                self.dir,
                "-c",
                file,
                "-e",
                self.dir / "backend.log",
                "-g",
                "daemon off;",
            )
        ]
        for name, flags in (("sink", ()), ("grpc", ("--h2",))):
            listen = f"127.0.0.1:{self.ports[name]}"
            self.backends.append(self.background("tools", "backend", "--listen", listen, *flags))
        for one, port in zip(self.backends, self.ports.values()):
            one.wait_for(port)

    def background(self, program, *flags):
        output = self.dir / f"backend-{len(list(self.dir.glob('backend-*')))}.out"
        return Process([self.programs[program], *flags], self.load_cpus, output)

    def proxy(self, name, workload, **options):
        options = {**workload.options, **options}
        port = self.ports[workload.backend]
        proxy = Proxy(
            name, self.programs, self.dir, self.proxy_cpus, port, self.peer_logs, **options
        )
        if workload.check:
            workload.check(self, proxy)
        return proxy

    def answered(self, backend):
        """Requests the backend has seen; those of the gRPC backend only it can tell, in HTTP/2."""
        if backend == "nginx":
            text = ask(self.ports["nginx"], "/nginx_status")[2].decode()
            return int(text.splitlines()[2].split()[2])
        return int(ask(self.ports["sink"], "/count")[2]) if backend == "sink" else None

    def measure(self, name, workload):
        """Samples of one run: `rps`, `cpu_us`, `busy`, `p99_ms`, `errors`, and more."""
        run = {"idle": self.hold, "routes": self.routes, "reload": self.reload}.get(workload.kind)
        return (run or self.requests)(name, workload)

    def requests(self, name, workload, **options):
        proxy = self.proxy(name, workload, **options)
        try:
            return self.run(proxy, workload)
        finally:
            proxy.stop()

    def run(self, proxy, workload):
        warm, seconds, paced = self.times
        workload.load(self, proxy, warm)
        seen, cpu, clock = self.answered(workload.backend), proxy.process.cpu(), time.monotonic()
        load = workload.load(self, proxy, seconds)
        cpu, clock = proxy.process.cpu() - cpu, time.monotonic() - clock
        errors = load.errors
        if seen is not None:
            # The question itself is one more.
            unseen = load.requests - (self.answered(workload.backend) - seen)
            errors["not from the backend"] += max(unseen, 0)
        sample = {
            "rps": load.requests / load.seconds,
            "cpu_us": cpu * 1e6 / max(load.requests, 1),
            "busy": cpu / clock,
            "resident_mb": proxy.process.resident() / 1e6,
        }
        if workload.rate and paced:
            slow = workload.paced(self, proxy, paced, workload.rate)
            sample["p99_ms"] = slow.p99
            errors += slow.errors
            wanted = workload.rate * paced
            if slow.requests < wanted * 0.95:
                errors["below the fixed rate"] += int(wanted - slow.requests)
        if workload.name.startswith("handshakes"):
            sample["note"] = f"{load.extra['group']}, {load.extra['resumed']} resumed"
        elif workload.name.endswith("-tls"):
            sample["note"] = proxy.cipher()
        return {**sample, "errors": plain(errors)}

    def routes(self, name, workload):
        """Few and many, one after the other; the route asked for stands in the middle."""
        samples, errors = {}, Counter()
        for count in ROUTES:
            proxy = self.proxy(name, workload, routes=count)
            try:
                target = url(proxy, f"/r{count // 2}/small", False)
                proxy.expect(f"/r{count // 2}/small", SMALL_BODY)
                self.generators.wrk(target, self.times[0], 32, SMALL)
                cpu = proxy.process.cpu()
                load = self.generators.wrk(target, self.times[1], 32, SMALL)
                cpu = proxy.process.cpu() - cpu
                samples[f"cpu_us_{count}"] = cpu * 1e6 / max(load.requests, 1)
                samples[f"rps_{count}"] = load.requests / load.seconds
                samples[f"resident_mb_{count}"] = proxy.process.resident() / 1e6
                errors += load.errors
            finally:
                proxy.stop()
        return {**samples, "errors": plain(errors)}

    def hold(self, name, workload):
        """Resident growth for each connection held, six seconds after the last was opened."""
        samples, errors = {}, Counter()
        for kind in ("plain", "tls", "h2"):
            proxy = self.proxy(name, workload)
            try:
                time.sleep(0.5)
                before = proxy.process.resident()
                port = proxy.plain if kind == "plain" else proxy.tls
                holder = self.start(
                    [
                        self.programs["tools"],
                        "hold",
                        "--to",
                        f"127.0.0.1:{port}",
                        "--kind",
                        kind,
                        "--count",
                        self.idle,
                    ],
                    stdin=subprocess.PIPE,
                )
                end = time.monotonic() + 60
                while "holding" not in holder.text():
                    if holder.child.poll() is not None or time.monotonic() > end:
                        holder.stop()
                        raise Failed(
                            f"{name}, {kind}: {holder.text()[-500:] or 'not opened in 60 s'}"
                        )
                    time.sleep(0.1)
                time.sleep(6)
                samples[f"kb_{kind}"] = (proxy.process.resident() - before) / self.idle / 1000
                holder.child.stdin.close()
                open_now = int(holder.finish(30).split()[-1])
                errors[f"{kind} connections closed"] += self.idle - open_now
            finally:
                proxy.stop()
        return {**samples, "count": self.idle, "errors": plain(errors)}

    def reload(self, name, workload):
        """The same load twice, at rest and with a change every second."""
        samples, errors = {}, Counter()
        seconds = max(self.times[1], 4) * 2
        proxy = self.proxy(name, workload)
        try:
            for word, changes in (("still", 0), ("reloading", int(seconds) - 1)):
                load = [
                    self.programs["tools"],
                    "load",
                    "--to",
                    f"127.0.0.1:{proxy.plain}",
                    "--connections",
                    "16",
                    "--rate",
                    workload.rate,
                    "--seconds",
                    seconds,
                ]
                running = Process(load, self.load_cpus, self.dir / "load.out")
                for _ in range(changes):
                    time.sleep(1)
                    proxy.reload(self.start)
                said = json.loads(running.finish(seconds + 60))
                samples[f"p99_ms_{word}"] = said["p99_us"] / 1000
                samples[f"max_ms_{word}"] = said["max_us"] / 1000
                samples[f"failed_{word}"] = said["failed"] + said["non_2xx"]
                samples[f"connections_{word}"] = said["connections"]
                errors[f"{word}: {said['error'] or 'failed'}"] += said["failed"]
                errors[f"{word}: not 2xx"] += said["non_2xx"]
            time.sleep(0.3)
            version = proxy.ask("/small")[1]["X-Version"]
            if version != str(proxy.values["version"]):
                errors[f"last change not live: {version}"] += 1
        finally:
            proxy.stop()
        return {**samples, "errors": plain(errors)}


def plain(errors):
    return {name: count for name, count in errors.items() if count}
