# SPDX-License-Identifier: GPL-3.0-or-later
"""What the owner of a Gmail account can set, and how the double behaves.

The first group stands on the page `Forwarding and POP/IMAP` of the account.
The others are switches for what Google does without asking, or what has been
reported but is not certain. All may be changed while the server runs.
"""

from dataclasses import dataclass

DAY = 24 * 3600


@dataclass
class Settings:
    # Is a message that is marked \Deleted expunged at once?
    auto_expunge: bool = True
    # What becomes of a message without any visible label: "archive",
    # "trash" or "delete".
    last_label: str = "archive"
    # The newest so many messages of a folder are shown; 0: all.
    folder_limit: int = 0

    # Connections that may be logged in at once, over all devices.
    connections: int = 15
    append_limit: int = 35651584
    session_seconds: int = DAY
    # Bytes and commands after which the account is over its limits; 0: none.
    bytes_down: int = 0
    bytes_up: int = 0
    commands: int = 0
    # Every OK ends with [THROTTLED].
    throttled: bool = False

    # The label of the open mailbox is left out of X-GM-LABELS.
    hides_own_label: bool = True
    # \Important, which Google gives by itself, keeps a message visible.
    important_counts: bool = False
    # The order of the UIDs in COPYUID: "up", "down" or "mixed".
    copyuid: str = "down"
    # A FETCH that nobody asked for comes with COPY.
    spurious_fetch: bool = True
    # Rows of FETCH CHANGEDSINCE come without their FLAGS.
    lean_rows: bool = False
