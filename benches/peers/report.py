"""Tables from the samples: medians, spreads, ratios, and whether the aims hold."""

from collections import Counter
from statistics import median

from workloads import IDLE_AIMS, ROUTES

NAMES = {
    "tidegate": "Tidegate",
    "nginx": "nginx",
    "haproxy": "HAProxy",
    "envoy": "Envoy",
    "caddy": "Caddy",
    "splice": "byte splice",
}


def values(samples, key):
    return [sample[key] for sample in samples if key in sample]


def middle(samples, key):
    found = values(samples, key)
    return median(found) if found else None


def spread(samples, key):
    """Half of the way from the lowest to the highest, as a share of the median."""
    found = values(samples, key)
    return (max(found) - min(found)) / 2 / median(found) if found and median(found) else 0.0


def errors(samples):
    total = Counter()
    for sample in samples:
        total.update(sample["errors"])
    return ", ".join(f"{count} {name[:60]}" for name, count in total.items()) or "0"


def note(samples):
    return "; ".join(sorted(set(values(samples, "note"))))


def number(value, digits=1):
    return "–" if value is None else f"{value:,.{digits}f}"


def ordered(samples, key):
    """Tidegate, its peers from the best, the floor."""
    place = {"tidegate": 0, "splice": 2}
    return sorted(samples, key=lambda name: (place.get(name, 1), middle(samples[name], key) or 1e9))


def best(samples, key, against=()):
    """The peer with the lowest median; a peer with errors is still a peer, they are shown."""
    peers = [name for name in samples if name not in ("tidegate", "splice")]
    peers = [name for name in against if name in samples] or peers
    found = {name: middle(samples[name], key) for name in peers}
    found = {name: value for name, value in found.items() if value}
    return min(found, key=found.get) if found else None


def judge(own, other, aim):
    """Ratio of two lists of samples by their CPU, and the word for it."""
    ratio = middle(own, "cpu_us") / middle(other, "cpu_us")
    noise = max(spread(own, "cpu_us"), spread(other, "cpu_us"))
    if not aim:
        return ratio, noise, ""
    word = "held" if ratio <= aim else "level" if ratio <= aim * (1 + noise) else "MISSED"
    return ratio, noise, word


def verdict(one):
    """A line on where Tidegate stands in this workload."""
    samples = one["samples"]
    own, lines = samples.get("tidegate"), []
    if not own:
        return ""
    if one["kind"] == "requests" and middle(own, "cpu_us"):
        for other, aim in (
            (best(samples, "cpu_us", one["against"]), one["aim"]),
            ("splice" if one["floor"] else None, one["floor"]),
        ):
            if other in samples and middle(samples[other], "cpu_us"):
                ratio, noise, word = judge(own, samples[other], aim)
                text = f"Tidegate needs {ratio:.2f} × the CPU of {NAMES[other]}, spread {noise:.0%}"
                lines.append(text + (f"; aim {aim:.2f} ×: {word}" if aim else ""))
    elif one["kind"] == "idle":
        for kind, aim in IDLE_AIMS.items():
            if (value := middle(own, f"kb_{kind}")) is not None:
                word = "held" if value <= aim else "MISSED"
                lines.append(f"{kind}: {value:.1f} KB; aim {aim:.0f} KB: {word}")
    elif one["kind"] == "routes" and (few := middle(own, f"cpu_us_{ROUTES[0]}")):
        ratio = middle(own, f"cpu_us_{ROUTES[1]}") / few
        noise = max(spread(own, f"cpu_us_{count}") for count in ROUTES)
        word = "held" if ratio <= 1.02 else "level" if ratio <= 1.02 + noise else "MISSED"
        lines.append(
            f"Tidegate: {ratio:.3f} × with 10,000 routes, spread {noise:.0%}; aim 1.02 ×: {word}"
        )
    elif one["kind"] == "reload" and (still := middle(own, "p99_ms_still")):
        ratio = middle(own, "p99_ms_reloading") / still
        failed = sum(values(own, "failed_reloading"))
        word = "held" if ratio <= 1.2 and not failed else "MISSED"
        lines.append(
            f"Tidegate: p99 {ratio:.2f} × at reloads, {failed} failed; aim 1.20 × and 0: {word}"
        )
    return "; ".join(lines)


def requests(one):
    samples, rate = one["samples"], one["rate"]
    top = best(samples, "cpu_us")
    yield [
        "",
        "requests/s",
        "CPU µs/request",
        "spread",
        "× best peer",
        "core busy",
        f"p99 ms at {rate:,}/s",
        "errors",
        "",
    ]
    for name in ordered(samples, "cpu_us"):
        own = samples[name]
        cpu, reference = middle(own, "cpu_us"), top and middle(samples[top], "cpu_us")
        busy = middle(own, "busy")
        yield [
            NAMES[name],
            number(middle(own, "rps"), 0),
            number(cpu),
            f"±{spread(own, 'cpu_us'):.0%}",
            number(cpu / reference if cpu and reference else None, 2),
            f"{busy:.0%}" if busy else "–",
            number(middle(own, "p99_ms"), 2),
            errors(own),
            note(own),
        ]


def routes(one):
    samples = one["samples"]
    few, many = ROUTES
    yield [
        "",
        f"CPU µs/request, {few}",
        f"{many:,} routes",
        "ratio",
        "spread",
        f"resident MB, {few}",
        f"{many:,} routes",
        "errors",
    ]
    for name in ordered(samples, f"cpu_us_{many}"):
        own = samples[name]
        a, b = middle(own, f"cpu_us_{few}"), middle(own, f"cpu_us_{many}")
        yield [
            NAMES[name],
            number(a),
            number(b),
            number(b / a if a and b else None, 3),
            f"±{max(spread(own, f'cpu_us_{few}'), spread(own, f'cpu_us_{many}')):.0%}",
            number(middle(own, f"resident_mb_{few}"), 0),
            number(middle(own, f"resident_mb_{many}"), 0),
            errors(own),
        ]


def idle(one):
    samples = one["samples"]
    count = max((max(values(own, "count"), default=0) for own in samples.values()), default=0)
    yield [f"KB each, {count:,} held", "plain", "TLS", "HTTP/2 over TLS", "errors"]
    for name in ordered(samples, "kb_tls"):
        own = samples[name]
        yield [NAMES[name], *(number(middle(own, f"kb_{kind}")) for kind in IDLE_AIMS), errors(own)]


def reload(one):
    samples = one["samples"]
    yield [
        "",
        "p99 ms at rest",
        "p99 ms, reloads",
        "ratio",
        "longest ms at rest",
        "longest, reloads",
        "failed",
        "connections",
        "errors",
    ]
    for name in ordered(samples, "p99_ms_reloading"):
        own = samples[name]
        a, b = middle(own, "p99_ms_still"), middle(own, "p99_ms_reloading")
        yield [
            NAMES[name],
            number(a, 2),
            number(b, 2),
            number(b / a if a and b else None, 2),
            number(middle(own, "max_ms_still"), 1),
            number(middle(own, "max_ms_reloading"), 1),
            number(sum(values(own, "failed_reloading")), 0),
            number(middle(own, "connections_reloading"), 0),
            errors(own),
        ]


def rows(one):
    table = list(
        {"requests": requests, "routes": routes, "idle": idle, "reload": reload}[one["kind"]](one)
    )
    # The last column is for notes; most tables have none.
    return [row[:-1] for row in table] if not any(row[-1] for row in table) else table


def text(one):
    """For a terminal."""
    table = rows(one)
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = [f"\n{one['title']}   [{one['name']}]"]
    for row in table:
        first, *rest = zip(row, widths)
        lines.append(
            "  "
            + first[0].ljust(first[1])
            + "".join("  " + cell.rjust(width) for cell, width in rest)
        )
    return "\n".join(lines + [f"  {verdict(one)}"])


def markdown(results):
    """For `benches/README.md`: where, when, with what, then all tables."""
    measured = results["workloads"].values()
    versions = {}
    for one in measured:
        versions.update(one["versions"])
    named = ", ".join(f"{NAMES.get(name, name)} {version}" for name, version in versions.items())
    logs = "; ".join(sorted({one["logs"] for one in measured}))
    parts = [
        f"Machine: {results['machine']}.\nVersions: {named}.\nAccess logs: {logs}.",
        "Rows of one table are comparable; tables of different dates are not.\n",
    ]
    for one in measured:
        quick = ", QUICK: short rounds, other work on the machine" if one["quick"] else ""
        parts.append(
            f"**{one['title']}** (`{one['name']}`: `{one['command']}`; {one['date']}, "
            f"{one['rounds']} rounds of {one['seconds']} s{quick})\n"
        )
        for place, row in enumerate(rows(one)):
            parts.append("| " + " | ".join(row) + " |")
            if place == 0:
                parts.append("|---|" + "--:|" * (len(row) - 1))
        parts.append(f"\n{verdict(one)}\n" if verdict(one) else "")
    return "\n".join(parts).rstrip()
