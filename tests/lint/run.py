#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every check of the sources, one line each, complaints below it.

run.py --gcc BUILD --clang BUILD --cache FOLDER [--quick]
The first build must be complete: its archives and its program are looked
at, the compile commands of the second are clang-tidy's. What clang-tidy has
passed is remembered in the cache folder by a hash of everything it depends
on. --quick leaves clang-tidy out.
"""

import argparse
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import house  # noqa: E402
import tidy  # noqa: E402
import walls  # noqa: E402

TREE = Path(__file__).resolve().parents[2]


class Missing(Exception):
    """A tool that a check needs is not installed."""


def tool(name):
    if not shutil.which(name):
        raise Missing(name + " is not installed")
    return name


def complaints(args, **kw):
    result = subprocess.run(args, capture_output=True, text=True, cwd=TREE,
                            **kw)
    text = result.stdout + result.stderr
    if result.returncode == 0:
        return []
    return text.splitlines() or [f"{args[0]}: exit {result.returncode}"]


def check_format():
    names = house.sources(TREE, ".c", ".h")
    lines = complaints([tool("clang-format"), "--dry-run", "-Werror", *names])
    return [line for line in lines if ": error: " in line] or lines


def check_shell():
    names = house.sources(TREE, ".sh") + [".ci/run"]
    return complaints([tool("shellcheck"), "-x", "-S", "warning", *names])


def check_python():
    found = []
    for name in house.sources(TREE, ".py"):
        try:
            compile((TREE / name).read_bytes(), name, "exec")
        except SyntaxError as error:
            found.append(f"{name}: {error}")
    return found


def check_man_page():
    path = TREE / "mount.imapfs.8"
    if not path.exists():
        return ["mount.imapfs.8 is missing"]
    result = subprocess.run([tool("mandoc"), "-T", "lint", "-W", "warning",
                             str(path)], capture_output=True, text=True)
    return result.stdout.splitlines()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gcc", required=True)
    parser.add_argument("--clang", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    binary = Path(options.gcc) / "fs" / "mount.imapfs"
    checks = [
        ("walls, by includes", lambda: walls.check_includes(TREE)),
        ("walls, by symbols", lambda: walls.check_symbols(options.gcc)),
        ("licence lines", lambda: house.check_licence(TREE)),
        ("top level", lambda: house.check_top_level(TREE)),
        ("head comments", lambda: house.check_head_comments(TREE)),
        ("lengths", lambda: house.check_lengths(TREE)),
        ("words", lambda: house.check_words(TREE)),
        ("clang-format", check_format),
        ("shellcheck", check_shell),
        ("python", check_python),
        ("man page", check_man_page),
        ("options documented",
         lambda: house.check_options_documented(TREE, binary)),
    ]
    if not options.quick:
        checks.append(("clang-tidy", lambda: tidy.check(
            TREE, Path(options.clang), Path(options.cache))))
    count = {"passed": 0, "failed": 0, "skipped": 0}

    def one(item):
        begin = time.monotonic()
        try:
            return item[1](), None, time.monotonic() - begin
        except (Missing, FileNotFoundError) as reason:
            return [], str(reason), 0.0

    with ThreadPoolExecutor(1) as pool:
        for (name, _), (found, missing, took) in zip(
                checks, pool.map(one, checks)):
            word = "skipped" if missing else "failed" if found else "passed"
            count[word] += 1
            print(f"{'skip' if missing else 'not ok' if found else 'ok'} "
                  f"lint: {name} ({took:.1f} s)"
                  f"{'  # ' + missing if missing else ''}", flush=True)
            for line in found[:100]:
                print("    " + line)
    print(f"{count['passed']} passed, {count['failed']} failed, "
          f"{count['skipped']} skipped")
    sys.exit(1 if count["failed"] else 0)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main()
