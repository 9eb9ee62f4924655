# SPDX-License-Identifier: GPL-3.0-or-later
"""keep_writing.py FOLDER DRAFT FIRST: letters as new files, each third one
into the draft, too; the number of each is printed once it is fsynced. No
faster than a server takes them. Until it is killed."""

import os
import sys
import time

from imapfstest.letters import letter

folder, draft, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
for n in range(first, first + 1000):
    text = letter(n).replace(b"\r\n", b"\n")
    for path in [f"{folder}/{n}.eml"] + ([draft] if n % 3 == 0 else []):
        with open(path, "wb", buffering=0) as f:
            f.write(text)
            os.fsync(f.fileno())
    print(n, flush=True)
    time.sleep(0.01)
