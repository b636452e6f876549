"""The proxies: started from the templates in `conf/`, checked, reloaded, stopped."""

import http.client
import os
import re
import shutil
import signal
import ssl
from pathlib import Path

from processes import Failed, Process, free_port

CONF = Path(__file__).resolve().parent / "conf"
FILES = {
    "tidegate": ("tidegate.yaml",),
    "nginx": ("nginx.conf",),
    "haproxy": ("haproxy.cfg", "haproxy.map"),
    "envoy": ("envoy.yaml", "envoy-routes.yaml"),
    "caddy": ("Caddyfile",),
}
# Who writes an access log as it comes: two by default, HAProxy as Debian ships it.
LOGS = {"tidegate": True, "nginx": True, "haproxy": True, "envoy": False, "caddy": False}


def render(text, values):
    """`@name@` is a value; `%if name`, `%else`, `%repeat name`, `%end` have lines of their own."""
    lines, place = text.splitlines(keepends=True), 0

    def block(values):
        nonlocal place
        out = []
        while place < len(lines):
            word, _, name = lines[place].strip().partition(" ")
            if word in ("%end", "%else"):
                return "".join(out)
            place += 1
            if word == "%if":
                yes, no = block(values), ""
                if lines[place].strip() == "%else":
                    place += 1
                    no = block(values)
                place += 1
                out.append(yes if values.get(name) else no)
            elif word == "%repeat":
                start, parts = place, []
                for n in range(values.get(name) or 1):
                    place = start
                    parts.append(block({**values, "n": n}))
                place += 1
                out += parts if values.get(name) else []
            else:
                out.append(
                    re.sub(r"@(\w+)@", lambda found: str(values[found[1]]), lines[place - 1])
                )
        return "".join(out)

    return block(values)


class Proxy:
    """One proxy with one configuration, on a core of its own."""

    def __init__(self, name, programs, directory, cpus, backend, peer_logs, **options):
        self.name, self.programs, self.cpus = name, programs, cpus
        self.dir = directory / name
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir()
        for file in directory.glob("*.pem"):
            (self.dir / file.name).write_bytes(file.read_bytes())
        log = {"all": True, "none": name == "tidegate"}.get(peer_logs, LOGS.get(name))
        self.values = {
            "dir": self.dir,
            "plain": free_port(),
            "tls": free_port(),
            "admin": free_port(),
            "backend": backend,
            "root": os.geteuid() == 0,
            "version": 0,
            "log": log and self.dir / "access.log",
            "ordinary": not any(options.get(key) for key in ("grpc", "routes", "policies")),
            **options,
        }
        self.plain, self.tls = self.values["plain"], self.values["tls"]
        self.write()
        env = {
            **os.environ,
            "GOMAXPROCS": "1",
            "HOME": str(self.dir),
            "XDG_DATA_HOME": str(self.dir),
            "XDG_CONFIG_HOME": str(self.dir),
        }
        output = self.dir / ("access.log" if name == "haproxy" else "output")
        self.process = Process(self.command(), cpus, output, env=env)
        self.process.wait_for(self.plain)
        if name != "splice":
            self.process.wait_for(self.tls)

    def write(self):
        for file in FILES.get(self.name, ()):
            text = render((CONF / file).read_text(), self.values)
            # Moved into its place, because Envoy watches for that and the others do not mind.
            fresh = self.dir / "new"
            fresh.write_text(text)
            fresh.rename(self.dir / file)

    def command(self):
        program = self.programs["tools" if self.name == "splice" else self.name]
        file = self.dir / FILES.get(self.name, [""])[0]
        return {
            "tidegate": [program, "run", "-c", file],
            "nginx": [
                program,
                "-p",
                self.dir,
                "-c",
                file,
                "-e",
                self.dir / "error.log",
                "-g",
                "daemon off;",
            ],
            "haproxy": [program, "-W", "-f", file],
            "envoy": [
                program,
                "-c",
                file,
                "--concurrency",
                "1",
                "--disable-hot-restart",
                "-l",
                "error",
                "--service-node",
                "one",
                "--service-cluster",
                "one",
            ],
            "caddy": [program, "run", "--config", file, "--adapter", "caddyfile"],
            "splice": [
                program,
                "splice",
                "--listen",
                f"127.0.0.1:{self.plain}",
                "--to",
                f"127.0.0.1:{self.values['backend']}",
            ],
        }[self.name]

    def reload(self, start):
        """Changes a response header, the way its handbook says. `start` runs a program."""
        self.values["version"] += 1
        self.write()
        if self.name == "nginx":
            os.kill(self.process.pid, signal.SIGHUP)
        elif self.name == "haproxy":
            os.kill(self.process.pid, signal.SIGUSR2)
        elif self.name == "tidegate":
            start(
                [
                    self.programs["tidegate"],
                    "reload",
                    "--wait",
                    "--socket",
                    self.dir / "tidegate.sock",
                ]
            ).finish(20)
        elif self.name == "caddy":
            start(
                [
                    self.programs["caddy"],
                    "reload",
                    "--config",
                    self.dir / "Caddyfile",
                    "--adapter",
                    "caddyfile",
                    "--address",
                    f"127.0.0.1:{self.values['admin']}",
                ]
            ).finish(20)

    def ask(self, path, tls=False, method="GET", body=None, headers=None):
        return ask(self.tls if tls else self.plain, path, tls, method, body, headers)

    def cipher(self):
        connection = connect(self.tls, True)
        connection.connect()
        name = connection.sock.cipher()[0]
        connection.close()
        return name

    def expect(self, path, text, tls=False, **more):
        status, headers, body = self.ask(path, tls, **more)
        if (status, body) != (200, text):
            raise Failed(f"{self.name} answered {path} with {status} {body[:200]!r}, not {text!r}")
        return headers

    def stop(self):
        self.process.stop()
        for _ in range(3):  # what is killed may still write for a moment
            shutil.rmtree(self.dir, ignore_errors=True)


def connect(port, tls):
    if not tls:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)


def ask(port, path, tls=False, method="GET", body=None, headers=None):
    connection = connect(port, tls)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()
