# SPDX-License-Identifier: GPL-3.0-or-later
"""The walls between the folders, by includes and by undefined symbols.

imap/ speaks IMAP and knows neither FUSE nor the cache; cache/ remembers and
knows of imap/ only the vocabulary, the log and the locks; fs/ shows, and only
its edge sees FUSE. Each check gives a list of complaints.
"""

import re
import subprocess
from pathlib import Path

FUSE_EDGE = ("fs/main.c", "fs/mountpoint.c", "fs/mountpoint.h",
             "fs/notify.c", "fs/notify.h", "fs/ops.h", "fs/ops.c",
             "fs/park.c", "fs/park.h", "fs/store.c")
FUSE_EDGE_PREFIX = "fs/ops_"
CACHE_MAY_SEE = {"imap/mail.h", "imap/log.h", "imap/lock.h"}
FUSE_HEADER = re.compile(r"fuse|linux/fuse")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')


def includes(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1)


def showing_fuse(tree):
    """Headers of ours through which FUSE's are seen, at any remove."""
    ours = {str(p.relative_to(tree)): {h for _, h in includes(p)}
            for p in (tree / "fs").glob("*.h")}
    found = set()
    while True:
        more = {name for name, inner in ours.items() if name not in found and
                any(FUSE_HEADER.match(h) or h in found for h in inner)}
        if not more:
            return found
        found |= more


def wall_broken(name, header, fuse_headers):
    """Why may this file not include this header? None: it may."""
    folder = name.split("/")[0]
    if FUSE_HEADER.match(header) or header in fuse_headers:
        if name not in FUSE_EDGE and not name.startswith(FUSE_EDGE_PREFIX):
            return "only the FUSE edge sees FUSE"
    if header.startswith("libetpan/") and folder != "imap":
        return "libetpan is included in imap/ only"
    if header.startswith("sqlite3") and folder != "cache":
        return "SQLite is included in cache/ only"
    if folder == "imap" and re.match(r"(cache|fs)/", header):
        return "imap/ knows neither cache/ nor fs/"
    if folder == "cache" and header.startswith("fs/"):
        return "cache/ does not know fs/"
    if folder == "cache" and header.startswith("imap/") and \
            header not in CACHE_MAY_SEE:
        return "of imap/, cache/ sees only mail.h, log.h and lock.h"
    return None


def check_includes(tree):
    found = []
    fuse_headers = showing_fuse(tree)
    for folder in ("imap", "cache", "fs"):
        for path in sorted((tree / folder).glob("*.[ch]")):
            name = str(path.relative_to(tree))
            for number, header in includes(path):
                why = wall_broken(name, header, fuse_headers)
                if why:
                    found.append(f"{name}:{number}: includes {header}: {why}")
    return found


# What an archive may not need from outside: the linker's view of the walls.
FORBIDDEN_SYMBOLS = {
    "cache/libcache.a": r"fuse_|mailimap_|mailmessage_|SSL_",
    "imap/libimap.a": r"sqlite3_|fuse_|cache_",
    "fs/libfs.a": r"sqlite3_|mailimap_",
}


def check_symbols(build):
    found = []
    for archive, forbidden in FORBIDDEN_SYMBOLS.items():
        path = Path(build) / archive
        if not path.exists():
            found.append(f"{archive} is not built")
            continue
        text = subprocess.run(["nm", "-u", "-A", str(path)], check=True,
                              capture_output=True, text=True).stdout
        own = defined(path)
        for line in text.splitlines():
            member, _, symbol = line.partition(" U ")
            symbol = symbol.strip()
            if symbol not in own and re.match(forbidden, symbol):
                found.append(f"{archive}: {member.split(':')[1]} needs "
                             f"{symbol}")
    return found


def defined(path):
    text = subprocess.run(["nm", "--defined-only", str(path)], check=True,
                          capture_output=True, text=True).stdout
    return {line.split()[-1] for line in text.splitlines() if " " in line}
