# SPDX-License-Identifier: GPL-3.0-or-later
"""How files look: licence line, head comment, lengths, words, places.

Each check takes the top of the tree (and what else it needs) and gives a
list of complaints, each with file and line.
"""

import os
import re
import subprocess

TOP_LEVEL = {"fs", "imap", "cache", "tests", "meson.build", "README.md",
             "LICENSE", "mount.imapfs.8"}
LICENCE = "SPDX-License-Identifier: GPL-3.0-or-later"
NO_LICENCE_NEEDED = (".md", ".eml", ".gitignore", ".gitattributes", "LICENSE",
                     ".txt", ".8")
MAX_FILE, MAX_FUNCTION = 450, 70
HEAD_COMMENT_MIN, HEAD_COMMENT_MAX = 3, 80


def listed_by_git(tree):
    """Names, or None: no git here, or this is no checkout."""
    try:
        text = subprocess.run(
            ["git", "-c", "safe.directory=*", "-C", str(tree), "ls-files",
             "-z", "--cached", "--others", "--exclude-standard"],
            capture_output=True)
    except OSError:
        return None
    if text.returncode != 0:
        return None
    return [n for n in text.stdout.decode().split("\0") if n]


def tracked(tree):
    """Files of the project: tracked or new, not ignored."""
    names = listed_by_git(tree)
    if names is None:
        names = []
        for top, dirs, files in os.walk(tree):
            dirs[:] = [d for d in dirs if d not in (".git", "__pycache__")
                       and not (top == str(tree) and d.startswith("build"))]
            names += [os.path.relpath(os.path.join(top, f), tree)
                      for f in files if f != ".git"]
    return sorted(n for n in set(names) if (tree / n).is_file())


def is_data(name):
    return name.startswith(("tests/fuzz/corpus/", "tests/data/"))


def sources(tree, *suffixes):
    return [n for n in tracked(tree) if n.endswith(suffixes)
            and not is_data(n)]


def check_licence(tree):
    found = []
    for name in tracked(tree):
        if name.endswith(NO_LICENCE_NEEDED) or is_data(name):
            continue
        first = (tree / name).read_text(errors="replace").splitlines()[:2]
        if first and first[0].startswith("#!"):
            first.pop(0)
        if not first or LICENCE not in first[0]:
            # YAML and the like may have it in a later line of the head.
            head = (tree / name).read_text(errors="replace")[:400]
            if name.startswith(".") and (LICENCE in head or
                                         name.startswith(".clang-")):
                continue
            found.append(f"{name}:1: no licence line")
    return found


def check_top_level(tree):
    tops = {n.split("/")[0] for n in tracked(tree)}
    return [f"{n}: only the house's folders and dot files are at the top"
            for n in sorted(tops) if n not in TOP_LEVEL and n[0] != "."]


def check_head_comments(tree):
    found = []
    for name in sources(tree, ".c"):
        match = re.search(r"/\*(?! SPDX).*?\*/",
                          (tree / name).read_text(), re.S)
        lines = match.group(0).count("\n") + 1 if match else 0
        least = 1 if name.startswith("tests/unit/") else HEAD_COMMENT_MIN
        if not least <= lines <= HEAD_COMMENT_MAX:
            found.append(f"{name}: its first comment has {lines} lines; it "
                         "should say what the file is for")
    return found


def check_lengths(tree):
    found = []
    for name in sources(tree, ".c", ".h", ".py"):
        lines = (tree / name).read_text().splitlines()
        if len(lines) > MAX_FILE and not name.endswith("makemail.py"):
            found.append(f"{name}: {len(lines)} lines (at most {MAX_FILE})")
        if name.endswith(".c"):
            found += long_functions(name, lines)
    return found


def long_functions(name, lines):
    found, begin = [], None
    for number, line in enumerate(lines, 1):
        if line == "{":
            begin = number
        elif line.startswith("}") and begin:
            if number - begin > MAX_FUNCTION:
                found.append(f"{name}:{begin}: a function of "
                             f"{number - begin} lines")
            begin = None
    return found


# Put together here, so that this file does not find itself.
UNFINISHED = "|".join(("TO" "DO", "FIX" "ME", "XX" "X", "not imple" "mented",
                       "for n" "ow", "place" "holder"))
MACHINE = "|".join((r"/ho" r"me/(?!alice|bob|you|user)[a-z]", r"/ro" r"ot/",
                    r"/wo" r"rk/", r"/U" r"sers/", r"/tmp/" r"w/"))


def check_words(tree):
    found = []
    for name in tracked(tree):
        if is_data(name) or name == "LICENSE":
            continue
        text = (tree / name).read_text(errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            for what, pattern in (("a mark of unfinished work", UNFINISHED),
                                  ("a path of one machine", MACHINE)):
                match = re.search(rf"(?<![\w./]){pattern}"
                                  if what.startswith("a path")
                                  else rf"\b(?:{pattern})\b", line)
                if match:
                    found.append(f"{name}:{number}: {what}: "
                                 f"{match.group(0)!r}")
    return found


def check_options_documented(tree, binary):
    """Every -o word of the usage text stands in man page and README."""
    text = subprocess.run([str(binary), "-h"], capture_output=True,
                          text=True).stdout
    words = set(re.findall(r"(?<![\w-])([a-z][a-z0-9_-]+=)", text))
    found = []
    if not words:
        found.append("mount.imapfs -h names no options")
    for name in ("mount.imapfs.8", "README.md"):
        path = tree / name
        page = path.read_text().replace("\\-", "-") if path.exists() else ""
        found += [f"{name}: option {word} of `mount.imapfs -h` is not in it"
                  for word in sorted(words) if word[:-1] not in page]
    return found
