# SPDX-License-Identifier: GPL-3.0-or-later
"""The Gmail double. GmailServer says in server.py how it is used."""

from . import faults, names, texts
from .reading import label_list
from .server import APP_PASSWORD, GmailServer

__all__ = ["APP_PASSWORD", "GmailServer", "faults", "label_list", "names",
           "texts"]
