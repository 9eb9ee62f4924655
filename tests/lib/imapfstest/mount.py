# SPDX-License-Identifier: GPL-3.0-or-later
"""The program under test: start, look, unmount, kill.

    m = env.mount(server.url())
    os.listdir(m.path / "INBOX"); m.status()["state"]; m.unmount()

By default the program runs in the foreground with its debug log in a file
(`m.log()`), and start() comes back when the mount is there. With
background=True it is started as a user would: it must come back by itself.
"""

import json
import os
import signal
import subprocess
from pathlib import Path

from .util import (Result, Timeout, alive, environment, has_marker,
                   kill_group, mounts_under, of_process, popen, processes, run,
                   wait_end, wait_for)

MOUNT_MARKER = "IMAPFS_TEST_MOUNT"
START_TIMEOUT = 30


class StartFailed(AssertionError):
    """The program ended before the mount was usable; see `result`."""

    def __init__(self, result):
        super().__init__(f"the mount did not start: {result!r}")
        self.result = result


class Mount:
    serial = 0

    def __init__(self, folder, url, password="wonder", cafile=None,
                 options=(), flags=(), cache=None, background=False,
                 user=None, wire=False, extra_env=None, path=None):
        """`options` are more words for -o; `cache` is a folder to share
        with another Mount, False for none at all (the program's default
        place, below HOME); `user` a numeric uid when root."""
        Mount.serial += 1
        self.name = f"m{Mount.serial}"
        self.folder = Path(folder) / self.name
        self.folder.mkdir()
        self.path = Path(path) if path else self.folder / "mnt"
        self.path.mkdir(exist_ok=True)
        self.home = self.folder / "home"
        self.home.mkdir()
        self.cache = self.folder / "cache" if cache is None else cache
        self.url, self.cafile, self.flags = url, cafile, list(flags)
        self.background, self.user, self.wire = background, user, wire
        self.options = list(options)
        self.logfile = self.folder / "log"
        self.logfile.touch()
        self.extra_env = extra_env or {}
        self.process = self.exit_code = self.start_result = None
        self._pid = None
        self.passfile = None
        if password is not None:
            self.passfile = self.folder / "password"
            self.set_password(password)
        if user is not None and os.geteuid() == 0:
            run(["chown", "-R", f"{user}:{user}", self.folder])

    def set_password(self, password):
        self.passfile.touch(mode=0o600)
        self.passfile.write_text(password + "\n")

    # Starting.

    def args(self):
        """The command line, with what this object was told."""
        words = list(self.options)
        if self.passfile:
            words.append(f"passfile={self.passfile}")
        if self.cafile:
            words.append(f"cafile={self.cafile}")
        if self.cache:
            words.append(f"cache={self.cache}")
        flags = list(self.flags)
        if not self.background:
            flags += ["-dd" if self.wire else "-d"]
        extra = ["-o", ",".join(words)] if words else []
        return [os.environ["IMAPFS_BINARY"], self.url, str(self.path),
                *extra, *flags]

    def env(self):
        return {"HOME": self.home, MOUNT_MARKER: self.marker(),
                "XDG_CACHE_HOME": None, "XDG_RUNTIME_DIR": None,
                **self.extra_env}

    def marker(self):
        return str(self.folder)

    def start(self, timeout=START_TIMEOUT):
        """Mount; StartFailed if the program ends instead."""
        self.exit_code = self._pid = None
        if self.background:
            self.start_result = self.run_to_the_end(timeout)
            if self.start_result.code != 0:
                raise StartFailed(self.start_result)
            if not self.mounted():
                raise AssertionError("came back with 0 but is not mounted: "
                                     f"{self.start_result!r}")
            return self
        before = self.logfile.stat().st_size
        with open(self.logfile, "ab") as log:
            self.process = popen(self.args(), user=self.user, env=self.env(),
                                 stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=log, cwd=self.folder)

        def up():
            # Said when nothing of the program's own is in the mount.
            with open(self.logfile, "rb") as log:
                log.seek(before)
                return b"' is mounted on '" in log.read() or \
                    self.process.poll() is not None

        wait_for(up, timeout, "the mount is there")
        if not self.mounted():
            raise StartFailed(Result(self.process.wait(), b"",
                                     self.logfile.read_bytes(), 0.0))
        return self

    def run_to_the_end(self, timeout=START_TIMEOUT):
        """Run the command line and wait for its exit, not for its daemon:
        output goes to files, which a daemon may go on holding."""
        out, err = self.folder / "out", self.folder / "err"
        with open(out, "wb") as o, open(err, "wb") as e:
            process = popen(self.args(), user=self.user, env=self.env(),
                            stdin=subprocess.DEVNULL, stdout=o, stderr=e,
                            cwd=self.folder)
            try:
                wait_end(process, timeout)
            except subprocess.TimeoutExpired:
                kill_group(process)
                raise Timeout(f"{self.args()!r} neither came back nor gave "
                              f"up within {timeout} s") from None
        return Result(process.returncode, out.read_bytes(),
                      err.read_bytes(), 0.0)

    # Looking.

    def mounted(self):
        return any(point == str(self.path)
                   for point, _ in mounts_under(self.path.parent))

    def pids(self):
        """Every living process of this mount, program and helpers: by the
        marker in the environment, and by the command line: a process may
        hide its environment."""
        words = [os.environ["IMAPFS_BINARY"].encode(), bytes(self.path)]

        def is_ours(pid):
            line = of_process(pid, "cmdline").split(b"\0")
            return (line[0] == words[0] and words[1] in line) or \
                has_marker(pid, self.marker(), MOUNT_MARKER)

        return sorted(pid for pid in processes()
                      if pid != os.getpid() and is_ours(pid) and alive(pid))

    @property
    def pid(self):
        """The process that serves the mount."""
        if self._pid is None or not alive(self._pid):
            self._pid = self.status()["pid"]
        return self._pid

    def log(self):
        return self.logfile.read_text(errors="replace")

    def database(self):
        """The path of its index, in the folder of its cache."""
        found = list(self.cache.rglob("index.db"))
        assert len(found) == 1, found
        return found[0]

    def run(self, args, timeout=20.0, **kw):
        """A command inside the mount point, as the mount's user."""
        kw.setdefault("user", self.user)
        kw.setdefault("cwd", str(self.path))
        return run(args, timeout=timeout, **kw)

    def control(self, name, timeout=10.0):
        """The text of a file in .imapfs; never hangs the test."""
        return self.run(["cat", str(self.path / ".imapfs" / name)],
                        timeout=timeout, cwd="/").text

    def status(self):
        return json.loads(self.control("status.json"))

    def wait_status(self, predicate, timeout=15, what="status"):
        """Wait until predicate(status) is true; gives that status."""
        def good():
            status = self.status()
            return status if predicate(status) else None
        return wait_for(good, timeout, what, step=0.05)

    def wait_watching(self):
        """Until the connection that watches has begun, and nothing that it
        told at its begin is asked for any more."""
        looks = []

        def calm(s):
            looks.append(any(c["state"] in ("idle", "notify")
                             for c in s["connections"]) and
                         not any(s["jobs"].values()))
            # Between the word and the question another thread is woken.
            return all(looks[-2:]) and len(looks) > 1

        self.wait_status(calm, what="the watch has begun")

    def wait_offline(self, timeout=15):
        return self.wait_status(lambda s: s["state"] == "offline", timeout,
                                "state is offline")

    def wait_online(self, timeout=15):
        return self.wait_status(lambda s: s["state"] == "online", timeout,
                                "state is online")

    def messages(self, folder="INBOX"):
        """Names of the messages (regular files) in a folder, sorted."""
        with os.scandir(self.path / folder) as entries:
            return sorted(e.name for e in entries
                          if e.is_file(follow_symlinks=False))

    def folders(self):
        """Paths of all folders below the mount point, sorted."""
        return sorted(os.path.relpath(os.path.join(top, d), self.path)
                      for top, dirs, _ in os.walk(self.path) for d in dirs)

    def by_uid(self, folder="INBOX"):
        """{uid: path}, by the attribute user.imap.uid."""
        return {int(os.getxattr(self.path / folder / name, "user.imap.uid")):
                self.path / folder / name for name in self.messages(folder)}

    def rss_anon(self):
        """Anonymous memory of the serving process, in bytes."""
        for line in Path(f"/proc/{self.pid}/status").open():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no RssAnon")

    # Ending.

    def umount(self, timeout=20, check=True):
        """One umount, which may find it busy: its Result."""
        if os.geteuid() == 0:
            args = ["umount", str(self.path)]
        else:
            args = ["fusermount3", "-u", str(self.path)]
        return run(args, check=check, timeout=timeout, cwd="/")

    def unmount(self, timeout=20, check=True):
        """umount, then wait until no process of the mount is left."""
        if self.mounted():
            def gone():
                result = self.umount(timeout, check=False)
                return result.code == 0 or not self.mounted()
            wait_for(gone, timeout, "umount succeeds", step=0.05)
        self.wait_end(timeout)
        if check and self.exit_code not in (None, 0):
            raise AssertionError(f"the program ended with {self.exit_code}: "
                                 f"{self.log()[-3000:]}")

    def wait_end(self, timeout=20):
        """Wait until no process of this mount is left."""
        if self.process:
            try:
                self.exit_code = self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                raise Timeout("the program did not end after umount") \
                    from None
            self.process = None
        wait_for(lambda: not self.pids(), timeout,
                 "every process of the mount has ended")

    def kill9(self):
        """SIGKILL the serving process and nothing else."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        return pid

    def remove(self):
        """End it by any means; for clean-up only."""
        try:
            if self.mounted():
                self.unmount(timeout=10, check=False)
        except AssertionError:
            pass
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.process:
            self.process.wait(5)
            self.process = None
        if self.mounted():
            detach(self.path)

    def environment(self):
        """For Terminal(m.args(), env=m.env()): the full environment."""
        return environment(self.env())


def detach(path):
    """Lazy unmount of whatever is left at `path`."""
    if os.geteuid() == 0:
        run(["umount", "-l", str(path)], check=False)
    else:
        run(["fusermount3", "-u", "-z", str(path)], check=False)
