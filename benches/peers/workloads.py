"""The workloads: what is asked of each proxy, how it is checked, and what Tidegate must reach."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

MIB = 1 << 20
SMALL = ("Accept: application/json", "User-Agent: benches/peers")
DEBUG = ("X-Debug: 1",)
GRPC = ("content-type: application/grpc", "te: trailers")


@dataclass
class Workload:
    """`load(stage, proxy, seconds)` is as fast as can be, `paced(…, rate)` at a fixed rate."""

    name: str
    title: str
    command: str  # what `load` runs, for the reader
    load: Callable = None
    paced: Callable = None
    rate: int = 0
    aim: float = 0.0  # Tidegate's CPU per request, against the best peer's
    floor: float = 0.0  # the same, against the byte-splice floor
    against: tuple = ()  # peers the aim is measured by; all if empty
    backend: str = "nginx"  # or `sink`, `grpc`
    options: dict = field(default_factory=dict)  # for the templates
    check: Callable = None
    kind: str = "requests"  # or `idle`, `routes`, `reload`
    splice: bool = False  # the floor makes sense here


def url(proxy, path, tls):
    return f"http{'s' if tls else ''}://127.0.0.1:{proxy.tls if tls else proxy.plain}{path}"


def check_small(stage, proxy):
    """The backend is asked, and learns who asks."""
    # Envoy names an address of its own for clients on the loopback.
    for tls in () if proxy.name == "splice" else (False, True):
        status, _, body = proxy.ask("/seen", tls)
        seen = re.fullmatch(rb"[\d.]{7,15} (https?)", body)
        assert status == 200 and seen and seen[1] == (b"https" if tls else b"http"), (status, body)


def check_upload(stage, proxy):
    proxy.expect("/upload", b"%d" % MIB, method="POST", body=stage.mib.read_bytes())


def check_download(stage, proxy):
    proxy.expect("/1MiB", stage.mib.read_bytes())


def check_unary(stage, proxy):
    stage.start([stage.programs["tools"], "unary", "--to", f"127.0.0.1:{proxy.tls}"]).finish(20)


def check_policies(stage, proxy):
    headers = proxy.expect("/shop/42/items", b"/stock/42/items red live ", headers={"X-Debug": "1"})
    assert headers["X-Frame-Options"] == "DENY" and headers["Referrer-Policy"] == "same-origin", (
        headers
    )
    assert headers["X-Backend"] is None, headers
    try:
        status, *_ = proxy.ask("/shop/42/items", method="POST", body=b"x" * (MIB + 1))
    except (BrokenPipeError, ConnectionResetError):
        status = 413  # it did not even read it
    # Caddy 2.6 says 502 when the body ends its own request to the backend.
    assert status == 413 or (proxy.name, status) == ("caddy", 502), (
        f"{proxy.name} answered {status} to a body beyond the limit"
    )


def h1(path, tls=False, connections=32, headers=SMALL, script=None):
    """wrk, and h2load for the fixed rate: wrk has none."""

    def load(stage, proxy, seconds):
        lua = stage.upload_script if script else None
        return stage.generators.wrk(url(proxy, path, tls), seconds, connections, headers, lua)

    def paced(stage, proxy, seconds, rate):
        data = stage.mib if script else None
        clients = min(connections, 16)
        return stage.generators.h2load(
            url(proxy, path, tls), seconds, clients, h1=True, data=data, headers=headers, rate=rate
        )

    scheme = f"http{'s' if tls else ''}"
    upload = " -s upload.lua" if script else ""
    return {
        "load": load,
        "paced": paced,
        "command": f"wrk -t1 -c{connections}{upload} {scheme}://…{path}",
    }


def h2(path, message=False, headers=SMALL):
    def load(stage, proxy, seconds, rate=0):
        data = stage.message if message else None
        return stage.generators.h2load(
            url(proxy, path, True), seconds, 8, 32, data=data, headers=headers, rate=rate
        )

    data = " -d message" if message else ""
    return {"load": load, "paced": load, "command": f"h2load -c8 -m32{data} https://…{path}"}


def tool(tls, *flags, connections=16):
    def load(stage, proxy, seconds, rate=0):
        port = proxy.tls if tls else proxy.plain
        return stage.generators.tool(port, seconds, *flags, connections=connections, rate=rate)

    return {
        "load": load,
        "paced": load,
        "command": f"peer_tools load {' '.join(flags)} --connections {connections}",
    }


def fresh():
    """wrk for as fast as it can, our own client for a fixed rate of connections."""
    load = h1("/small", headers=(*SMALL, "Connection: close"))
    return {
        **load,
        "command": load["command"] + " -H 'Connection: close'",
        "paced": tool(False, "--fresh")["paced"],
    }


ALL = [
    Workload(
        "h1",
        "HTTP/1.1, kept connections, 32 bytes",
        **h1("/small"),
        check=check_small,
        rate=4000,
        aim=1.0,
        floor=1.15,
        splice=True,
    ),
    Workload(
        "h1-tls",
        "HTTP/1.1 over TLS, kept connections, 32 bytes",
        **h1("/small", tls=True),
        check=check_small,
        rate=4000,
        aim=1.0,
    ),
    Workload(
        "h2-tls",
        "HTTP/2 over TLS, 8 connections × 32 streams, 32 bytes",
        **h2("/small"),
        check=check_small,
        rate=4000,
        aim=0.8,
    ),
    Workload(
        "grpc",
        "gRPC unary, HTTP/2 over TLS to HTTP/2, 8 connections × 32 streams",
        **h2("/bench.Echo/Unary", message=True, headers=GRPC),
        backend="grpc",
        options={"grpc": True},
        check=check_unary,
        rate=2000,
        aim=0.8,
    ),
    Workload(
        "connections",
        "a new connection for each request",
        **fresh(),
        check=check_small,
        rate=1000,
        aim=1.0,
        splice=True,
    ),
    Workload(
        "handshakes",
        "a full TLS 1.3 handshake for each request, P-256, X25519",
        **tool(True, "--fresh", "--tls"),
        check=check_small,
        rate=400,
        aim=0.75,
    ),
    Workload(
        "handshakes-hybrid",
        "the same, X25519MLKEM768 offered first",
        **tool(True, "--fresh", "--tls", "--hybrid"),
        check=check_small,
        rate=400,
    ),
    Workload(
        "down",
        "1 MiB response",
        **h1("/1MiB", connections=8),
        check=check_download,
        rate=160,
        aim=0.6,
        splice=True,
    ),
    Workload(
        "up",
        "1 MiB upload",
        **h1("/upload", connections=8, script=True),
        backend="sink",
        check=check_upload,
        rate=160,
        aim=0.6,
        splice=True,
    ),
    Workload(
        "down-tls",
        "1 MiB response over TLS",
        **h1("/1MiB", tls=True, connections=8),
        check=check_download,
        rate=80,
        aim=0.6,
    ),
    Workload(
        "up-tls",
        "1 MiB upload over TLS",
        **h1("/upload", tls=True, connections=8, script=True),
        backend="sink",
        check=check_upload,
        rate=80,
        aim=0.6,
    ),
    Workload(
        "idle",
        "idle connections, after one request each",
        "peer_tools hold",
        kind="idle",
        check=check_small,
    ),
    Workload(
        "routes",
        "10 routes and 10,000 routes, HTTP/1.1, 32 bytes",
        "wrk -t1 -c32 http://…/rN/small",
        kind="routes",
    ),
    Workload(
        "policies",
        "headers set and removed, path rewritten, body and time limits, HTTP/1.1",
        **h1("/shop/42/items", headers=(*SMALL, *DEBUG)),
        check=check_policies,
        options={"policies": True},
        rate=4000,
        aim=0.5,
        against=("envoy",),
    ),
    Workload(
        "reload",
        "a new configuration every second under load, HTTP/1.1",
        "peer_tools load --rate 2000 --connections 16",
        kind="reload",
        options={"reload": True},
        check=check_small,
        rate=2000,
    ),
]
IDLE_AIMS = {"plain": 2.0, "tls": 16.0, "h2": 21.0}  # KB for each connection
ROUTES = (10, 10_000)
