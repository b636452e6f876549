"""The picture beside the tables: a bar for each proxy and workload, the shorter the better."""

from html import escape

from report import NAMES, middle, ordered
from workloads import ROUTES

KEYS = {
    "requests": ("cpu_us", "µs of CPU a request"),
    "routes": (f"cpu_us_{ROUTES[1]}", "µs of CPU a request, 10,000 routes"),
    "idle": ("kb_tls", "KB for each TLS connection"),
    "reload": ("p99_ms_reloading", "p99 in ms, reloads"),
}
WIDTH, COLUMN, BAR, GAP, LABEL = 960, 470, 14, 4, 82
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 } .unit, .value { fill: #57606a }
.bar { fill: #afb8c1 } .tidegate { fill: #0969da } .splice { fill: #d8dee4 }
.back { fill: #ffffff }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .unit, .value { fill: #9198a1 }
  .bar { fill: #545d68 } .tidegate { fill: #4493f8 } .splice { fill: #30363d }
  .back { fill: #0d1117 }
}
"""


def panel(one, x, y):
    """The bars of one workload, and where they end."""
    key, unit = KEYS[one["kind"]]
    samples = {name: own for name, own in one["samples"].items() if middle(own, key) is not None}
    out = [
        f'<text class="title" x="{x}" y="{y}">{escape(one["title"])}</text>',
        f'<text class="unit" x="{x}" y="{y + 15}">{escape(unit)}</text>',
    ]
    y += 22
    longest = max((middle(own, key) for own in samples.values()), default=1) or 1
    for name in ordered(samples, key):
        value = middle(samples[name], key)
        length = max(value, 0) / longest * (COLUMN - LABEL - 80)
        kind = name if name in ("tidegate", "splice") else ""
        left, base = x + LABEL, y + BAR - 3
        size = f'width="{length:.1f}" height="{BAR}"'
        out += [
            f'<text x="{left - 6}" y="{base}" text-anchor="end">{NAMES[name]}</text>',
            f'<rect class="bar {kind}" x="{left}" y="{y}" {size} rx="2"/>',
            f'<text class="value" x="{left + length + 5:.1f}" y="{base}">{value:,.1f}</text>',
        ]
        y += BAR + GAP
    return "\n".join(out), y


def draw(results):
    """Two columns of panels; both colour schemes in one file."""
    bottoms, parts = [24, 24], []
    for one in results["workloads"].values():
        side = bottoms.index(min(bottoms))
        part, end = panel(one, 12 + side * COLUMN, bottoms[side])
        parts.append(part)
        bottoms[side] = end + 26
    height = max(bottoms)
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}">\n<style>{STYLE}</style>\n'
        f'<rect class="back" width="{WIDTH}" height="{height}" rx="6"/>\n{body}\n</svg>\n'
    )
