# SPDX-License-Identifier: GPL-3.0-or-later
"""For programs that use the test kit outside of the runner (soak, desktop).

    with alone("imapfs-soak-", binary, testproxy) as env:
        ...
    sys.exit(not env.well)

`env` is what a test function gets. An error of the body's, or Ctrl-C, is
printed and ends the block; what was made through `env` is ended, and a log
line that no one announced counts, as in a test.
"""

import contextlib
import os
import tempfile
import traceback
from pathlib import Path

from imapfstest import Certs, Env
from runner import listen_to_signals, own_namespace

DATA = Path(__file__).resolve().parents[1] / "data"


@contextlib.contextmanager
def alone(prefix, binary, testproxy=None):
    own_namespace()
    listen_to_signals()
    os.environ["IMAPFS_BINARY"] = str(Path(binary).resolve())
    if testproxy:
        os.environ["IMAPFS_TESTPROXY"] = str(Path(testproxy).resolve())
    with tempfile.TemporaryDirectory(prefix=prefix,
                                     ignore_cleanup_errors=True) as tmp:
        os.chmod(tmp, 0o755)  # the server is another user
        Certs(Path(tmp) / "certs")
        env = Env(tmp, Path(tmp) / "certs", DATA)
        env.well = False
        try:
            yield env
            env.well = True
        except KeyboardInterrupt:
            print("interrupted")
        except AssertionError as error:
            print(error)
        except Exception:
            traceback.print_exc()
        try:
            env.finish(env.well)
        except AssertionError as error:
            env.well = False
            print(error)
