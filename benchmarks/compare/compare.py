#!/usr/bin/env python3
"""Ingot beside other engines on one file: interleaved, A B A B, one repetition of every test a turn.

  compare.py MODEL.gguf --peer 'llama.cpp=/path/llama-bench -fa 1' --tests pp512,tg64,tg64@4096 \
      --cache-type q8_0 -t 2 -r 5 --out benchmarks/results/NAME

A peer is any program with llama-bench's command line and its JSON output; its flags follow its path; a
revision behind its name stands in for one that it does not know itself. In every round each engine runs each test once, in turn, so that a machine that is busy or warm slows all
alike. What counts is the median over rounds of the ratio within a round, not the ratio of medians.
Writes NAME.json (every sample), NAME.md (a table) and NAME.svg (needs matplotlib; else it says so).
"""

import argparse
import dataclasses
import json
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
from datetime import date

TEST = re.compile(r"(pp|tg)(\d+)(?:@(\d+))?")


@dataclasses.dataclass(frozen=True)
class Test:
    """pp512: a prompt of 512 tokens; tg64@4096: 64 tokens generated behind 4096 others."""

    kind: str
    tokens: int
    depth: int

    @staticmethod
    def parse(text):
        match = TEST.fullmatch(text)
        if match is None:
            sys.exit(f"compare: '{text}' is no test; write pp512, tg128 or tg128@4096")
        return Test(match[1], int(match[2]), int(match[3] or 0))

    def __str__(self):
        return f"{self.kind}{self.tokens}" + (f" @ d{self.depth}" if self.depth else "")

    def arguments(self):
        """The test's length, in the options all engines share."""
        if self.kind == "pp":
            return ["-p", str(self.tokens), "-n", "0"]
        return ["-p", "0", "-n", str(self.tokens)]


class Unsupported(Exception):
    """A test that an engine has no option for."""


def run_json(command):
    """Standard output of a command as JSON. Exits naming the command when it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        tail = "\n".join(done.stderr.strip().splitlines()[-5:])
        sys.exit(f"compare: {shlex.join(command)} ended with {done.returncode}:\n{tail}")
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError as error:
        sys.exit(f"compare: {shlex.join(command)} wrote no JSON: {error}")


class Ingot:
    def __init__(self, program, flags):
        self.name = "ingot"
        self.command = [program]
        self.flags = flags
        self.version = ingot_version()
        self.shares = {}

    def tokens_per_second(self, test, model, options):
        rows = run_json(
            [*self.command, "bench", model, *test.arguments(), "-d", str(test.depth), "-r", "1"]
            + ["-t", str(options.threads), "--cache-type-k", options.cache_type]
            + ["--cache-type-v", options.cache_type, "--json", *self.flags]
        )
        row = rows[0]
        self.version = f"{ingot_version()}, {row['isa']} kernels"
        self.shares.setdefault(str(test), []).append(row["share_of_limit"])
        return row["tokens_per_second"]


class Peer:
    def __init__(self, description):
        name, equals, command = description.partition("=")
        if not equals or not command.strip():
            sys.exit(f"compare: --peer {description}: write NAME[@REVISION]='PROGRAM [FLAGS]'")
        self.name, _, self.revision = name.partition("@")
        words = shlex.split(command)
        self.command = words[:1]
        self.flags = words[1:]
        self.version = ""
        if not os.access(words[0], os.X_OK):
            sys.exit(f"compare: {name}: {words[0]} cannot be run")
        shown = subprocess.run([words[0], "--help"], capture_output=True, text=True)
        self.options = shown.stdout + shown.stderr

    def arguments(self, test):
        if test.depth == 0:
            return test.arguments()
        if "--n-depth" in self.options:
            return [*test.arguments(), "-d", str(test.depth)]
        # ik_llama.cpp: generation behind a prompt has an option of its own, a prompt behind one none.
        if test.kind == "tg" and "-gp " in self.options:
            return ["-p", "0", "-n", "0", "-gp", f"{test.depth},{test.tokens}"]
        raise Unsupported

    def tokens_per_second(self, test, model, options):
        rows = run_json(
            [*self.command, "-m", model, *self.arguments(test), "-r", "1", "-o", "json"]
            + ["-t", str(options.threads), "-ctk", options.cache_type, "-ctv", options.cache_type]
            + self.flags
        )
        row = rows[-1]
        self.version = self.revision or f"{row.get('build_commit', '?')} ({row.get('build_number', '?')})"
        return row["avg_ts"]


def ingot_version():
    here = os.path.dirname(os.path.abspath(__file__))
    done = subprocess.run(
        ["git", "-C", here, "describe", "--always", "--dirty"], capture_output=True, text=True
    )
    return done.stdout.strip() or "unknown"


def machine():
    model, flags = platform.processor(), ""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            for line in info:
                if line.startswith("model name"):
                    model = line.partition(":")[2].strip()
                elif line.startswith("flags"):
                    flags = line.partition(":")[2]
                    break
    except OSError:
        pass
    units = [name for name in ("avx2", "avx512f", "avx512_vnni", "amx_bf16") if f" {name} " in flags + " "]
    return f"{model}, {os.cpu_count()} processors, {' '.join(units)}, Linux {platform.release()}"


def measure(engines, tests, model, options):
    """samples[test][engine]: one rate per round; an engine without the test is left out."""
    samples = {str(test): {} for test in tests}
    loads = []
    for turn in range(options.repetitions):
        for test in tests:
            loads.append(os.getloadavg()[0])
            for engine in engines:
                try:
                    rate = engine.tokens_per_second(test, model, options)
                except Unsupported:
                    continue
                samples[str(test)].setdefault(engine.name, []).append(rate)
                print(f"round {turn + 1}: {test}, {engine.name}: {rate:.2f} tokens/s", file=sys.stderr)
    return samples, loads


def summary(samples, engines):
    """Medians, spreads and the median of each round's ratio to ingot."""
    rows = []
    for test, by_engine in samples.items():
        own = by_engine["ingot"]
        for engine in engines:
            rates = by_engine.get(engine.name)
            if rates is None:
                continue
            rows.append(
                {
                    "test": test,
                    "engine": engine.name,
                    "tokens_per_second": statistics.median(rates),
                    "spread": max(rates) - min(rates),
                    "ingot_is_faster_by": statistics.median(a / b for a, b in zip(own, rates)),
                    "share_of_limit": (
                        statistics.median(engine.shares[test]) if engine.name == "ingot" else None
                    ),
                }
            )
    return rows


def table(rows, report):
    lines = [
        f"# {report['title']}",
        "",
        f"{report['date']}, {report['machine']}; {report['threads']} threads, cache "
        f"{report['cache_type']}, {report['repetitions']} rounds. Medians; ratios are medians of each "
        f"round's. Load average at the start of tests: {min(report['loads']):.1f} to "
        f"{max(report['loads']):.1f} (beyond the engines' own threads the machine was busy, and rates "
        "are lower than on a quiet one).",
        "",
        "| test | engine | tokens/s | spread | Ingot is faster by | share of limit |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratio = "" if row["engine"] == "ingot" else f"{row['ingot_is_faster_by']:.2f}×"
        share = row["share_of_limit"]
        lines.append(
            f"| {row['test']} | {row['engine']} | {row['tokens_per_second']:.2f} | {row['spread']:.2f} | "
            f"{ratio} | {'' if share is None else f'{100 * share:.0f}%'} |"
        )
    lines += ["", "| engine | revision | flags |", "|---|---|---|"]
    for engine in report["engines"]:
        flags = " ".join(engine["flags"]) or "none"
        lines.append(f"| {engine['name']} | {engine['version']} | `{flags}` |")
    lines += ["", "Made by:", "", f"    {report['command']}", ""]
    return "\n".join(lines)


def plot(rows, path):
    """A group of bars per test, a bar per engine; prompts and generation on axes of their own."""
    try:
        import matplotlib
    except ImportError:
        print("compare: matplotlib is missing, so there is no plot (pip install matplotlib)", file=sys.stderr)
        return
    matplotlib.use("svg")
    import matplotlib.pyplot as pyplot

    kinds = [kind for kind in ("pp", "tg") if any(row["test"].startswith(kind) for row in rows)]
    figure, axes = pyplot.subplots(1, len(kinds), figsize=(5.5 * len(kinds), 3.6), squeeze=False)
    engines = list(dict.fromkeys(row["engine"] for row in rows))
    for axis, kind in zip(axes[0], kinds):
        tests = list(dict.fromkeys(row["test"] for row in rows if row["test"].startswith(kind)))
        width = 0.8 / len(engines)
        for e, engine in enumerate(engines):
            of_engine = {row["test"]: row["tokens_per_second"] for row in rows if row["engine"] == engine}
            places = [t + (e - (len(engines) - 1) / 2) * width for t in range(len(tests))]
            bars = axis.bar(places, [of_engine.get(test, 0) for test in tests], width, label=engine)
            axis.bar_label(bars, [f"{of_engine[t]:.3g}" if t in of_engine else "–" for t in tests], fontsize=7)
        axis.set_xticks(range(len(tests)), tests, fontsize=8)
        axis.set_ylabel("tokens/s")
        axis.set_title("prompt" if kind == "pp" else "generation", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a GGUF file that all engines read")
    parser.add_argument("--ingot", default="build/release/bin/ingot", help="the ingot program")
    parser.add_argument("--ingot-flags", default="", help="more options of `ingot bench`")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME[@REVISION]='PROGRAM [FLAGS]'")
    parser.add_argument("--tests", default="pp512,tg128", help="pp512,tg128,tg128@4096,...")
    parser.add_argument("--cache-type", default="f16", help="of keys and values")
    parser.add_argument("-t", "--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("-r", "--repetitions", type=int, default=5, help="rounds")
    parser.add_argument("--title", help="of the table")
    parser.add_argument("--out", required=True, metavar="PREFIX", help="writes PREFIX.json, .md and .svg")
    options = parser.parse_args()
    tests = [Test.parse(text) for text in options.tests.split(",")]
    engines = [Ingot(options.ingot, shlex.split(options.ingot_flags))]
    engines += [Peer(description) for description in options.peer]
    samples, loads = measure(engines, tests, options.model, options)
    rows = summary(samples, engines)
    # Where things lie on the machine is nobody's business: programs and files by name only.
    command = " ".join(shlex.quote(re.sub(r"(?<![\w.])/\S*/", "", word)) for word in sys.argv[1:])
    report = {
        "title": options.title or os.path.basename(options.model),
        "date": date.today().isoformat(),
        "machine": machine(),
        "threads": options.threads,
        "cache_type": options.cache_type,
        "repetitions": options.repetitions,
        "loads": loads,
        "engines": [{"name": e.name, "version": e.version, "flags": e.flags} for e in engines],
        "command": "benchmarks/compare/compare.py " + command,
        "results": rows,
        "samples": samples,
    }
    with open(options.out + ".json", "w", encoding="utf-8") as out:
        json.dump(report, out, indent=1)
        out.write("\n")
    text = table(rows, report)
    with open(options.out + ".md", "w", encoding="utf-8") as out:
        out.write(text)
    plot(rows, options.out + ".svg")
    print(text)


if __name__ == "__main__":
    main()
