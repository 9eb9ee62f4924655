# SPDX-License-Identifier: GPL-3.0-or-later
"""What Gmail says when it refuses, word for word as clients have logged it.

Each is an answer for server.on() and server.refuse_login(): `%TAG%` stands
for the tag of the command.
"""


def no(text):
    return b"%TAG% NO " + text + b" (Failure)\r\n"


INVALID_CREDENTIALS = no(b"[AUTHENTICATIONFAILED] Invalid credentials")
APP_PASSWORD = no(
    b"[ALERT] Application-specific password required: "
    b"https://support.google.com/accounts/answer/185833")
WEB_LOGIN_URL = b"https://accounts.google.com/signin/continue?sarp=1&scc=1"
WEB_LOGIN = (
    b"* NO [WEBALERT " + WEB_LOGIN_URL + b"] Web login required.\r\n" +
    no(b"[ALERT] Please log in via your web browser: "
       b"https://support.google.com/mail/accounts/answer/78754"))
IMAP_DISABLED = no(
    b"[ALERT] Your account is not enabled for IMAP use. Please visit your "
    b"Gmail settings page and enable your account for IMAP access.")
TOO_MANY = no(b"[ALERT] Too many simultaneous connections.")
OVER_LIMITS = no(
    b"[OVERQUOTA] Account exceeded command or bandwidth limits.")
SYSTEM_ERROR = no(b"System Error")
RATE_LIMITED = no(b"[THROTTLED] Rate limit exceeded.")
BAD = b"%TAG% BAD Could not parse command\r\n"
TOO_BIG = no(b"[TOOBIG] Message too large.")
SESSION_EXPIRED = b"* BYE Session expired, please login again.\r\n"
THROTTLED = b"%TAG% OK Success [THROTTLED]\r\n"
BEARER_CHALLENGE = (b'{"status":"400","schemes":"Bearer",'
                    b'"scope":"https://mail.google.com/"}')


def unknown_mailbox(name, left=False):
    """`left`: a failed SELECT has also closed the mailbox before it."""
    state = b" (now in authenticated state)" if left else b""
    return no(b"[NONEXISTENT] Unknown Mailbox: " + name + state)


def no_folder(name):
    return no(b"[TRYCREATE] No folder " + name)


def duplicate_folder(name):
    return no(b"[ALREADYEXISTS] Duplicate folder name " + name)


def invalid_folder(name):
    return no(b"[CANNOT] Invalid folder name: " + name)


EXCESS_BLANKS = no(b"[CANNOT] Folder contains excess whitespace")
SYSTEM_FOLDER = no(b"[CANNOT] Operation is not allowed on system folders")
