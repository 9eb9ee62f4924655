# SPDX-License-Identifier: GPL-3.0-or-later
"""clang-tidy over every file of a compile database, as many at a time as
there are processors. A file that passed is not looked at again until it, a
header of ours that it includes, its command, or the settings change.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# The analyzer gives up a function after so many states of it. Its own limit,
# 225,000, takes twice as long.
STATES = ["--extra-arg=-Xclang", "--extra-arg=-analyzer-config",
          "--extra-arg=-Xclang", "--extra-arg=max-nodes=100000"]

INCLUDE = re.compile(rb'^\s*#\s*include\s*"([^"]+)"', re.M)


def with_headers(tree, path, seen):
    """The file and, transitively, the headers of ours it includes."""
    if path in seen or not path.is_file():
        return
    seen.add(path)
    for name in INCLUDE.findall(path.read_bytes()):
        name = name.decode()
        for folder in (path.parent, tree):
            with_headers(tree, (folder / name).resolve(), seen)


def key_of(tree, entry, version):
    seen = set()
    with_headers(tree, source_of(entry), seen)
    digest = hashlib.sha256(version + entry["command"].encode() +
                            repr(STATES).encode() +
                            (tree / ".clang-tidy").read_bytes())
    for path in sorted(seen):
        digest.update(str(path.relative_to(tree)).encode() + b"\0" +
                      path.read_bytes() + b"\0")
    return digest.hexdigest()


def source_of(entry):
    return (Path(entry["directory"]) / entry["file"]).resolve()


def look_at(tree, build, cache, entry, version):
    """Complaints about one file."""
    mark = cache / key_of(tree, entry, version)
    if mark.exists():
        return []
    source = source_of(entry)
    result = subprocess.run(
        ["clang-tidy", "--quiet", "-p", str(build), *STATES, str(source)],
        capture_output=True, text=True, cwd=tree)
    lines = [line for line in result.stdout.splitlines()
             if re.search(r": (warning|error): ", line)]
    if result.returncode == 0 and not lines:
        mark.touch()
        return []
    return lines or [f"{source.relative_to(tree)}: clang-tidy failed: "
                     f"{result.stderr.strip()[-300:]}"]


def check(tree, build, cache):
    if not shutil.which("clang-tidy"):
        raise FileNotFoundError("clang-tidy is not installed")
    database = json.loads((build / "compile_commands.json").read_text())
    entries = {source_of(e): e for e in database
               if source_of(e).is_relative_to(tree)}
    cache.mkdir(parents=True, exist_ok=True)
    version = subprocess.run(["clang-tidy", "--version"],
                             capture_output=True).stdout
    found = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for lines in pool.map(
                lambda e: look_at(tree, build, cache, e, version),
                entries.values()):
            found += lines
    return sorted({relative(tree, build, line) for line in found})


def relative(tree, build, line):
    """The same complaint, its path seen from the top of the tree."""
    name, _, rest = line.partition(":")
    path = (build / name).resolve()
    if path.is_relative_to(tree):
        return f"{path.relative_to(tree)}:{rest}"
    return line
