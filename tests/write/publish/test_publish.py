"""Publishing a file under every fault: readers see the old file or the new one, errors are clear and leave no rubbish."""

import errno
import os
import pathlib
import resource
import shutil
import subprocess
import tempfile
import unittest

BIN = pathlib.Path(os.environ["FLATPOINT_BIN"])
FAULTS = os.environ["FLATPOINT_FAULTS"]
KILLED = -9


def publish(path, version, fault=None, calls=None, new=False, nameless=True):
    env = dict(os.environ, LD_PRELOAD=FAULTS)
    if not nameless:
        env["FLATPOINT_NO_TMPFILE"] = "1"
    if fault:
        env["FLATPOINT_FAULT"] = "any " + fault
    if calls:
        env["FLATPOINT_CALLS"] = str(calls)
    command = [BIN / "publish", "write", path, version] + (["new"] if new else [])
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


class Publish(unittest.TestCase):
    """On a file system that has files without a name."""

    nameless = True

    def setUp(self):
        self.holder = tempfile.TemporaryDirectory()
        self.addCleanup(self.holder.cleanup)
        self.folder = pathlib.Path(self.holder.name)
        self.path = self.folder / "m.flatpoint"
        self.versions = {}
        for version in ("old", "new"):
            self.assertEqual(self.publish(self.path, version).returncode, 0)
            self.versions[version] = self.path.read_bytes()
        self.calls = self.traced()

    def publish(self, *arguments, **options):
        return publish(*arguments, nameless=self.nameless, **options)

    def traced(self, exists=True, **options):
        """The calls of one write, in order."""
        self.start(exists)
        with tempfile.NamedTemporaryFile() as log:
            self.publish(self.path, "new", calls=log.name, **options)
            return pathlib.Path(log.name).read_text().split()

    def start(self, exists):
        for left in self.folder.iterdir():
            left.unlink()
        if exists:
            self.path.write_bytes(self.versions["old"])

    def held(self):
        """ "old", "new", None where there is no file; anything else is a mix."""
        if not self.path.exists():
            return None
        return {data: version for version, data in self.versions.items()}[self.path.read_bytes()]

    def rubbish(self):
        return [p.name for p in self.folder.iterdir() if p != self.path]

    def steps(self, exists):
        return [call for call in self.traced(exists) if call not in ("getentropy", "write", "close")]

    def test_the_steps_are_those_that_make_it_durable(self):
        self.assertEqual(self.steps(True), ["open", "fsync", "linkat", "linkat", "rename", "open", "fsync"])
        self.assertEqual(self.steps(False), ["open", "fsync", "linkat", "open", "fsync"])
        self.assertLess(self.calls.index("write"), self.calls.index("fsync"))

    def test_killed_at_every_step(self):
        for exists in (True, False):
            calls = self.traced(exists)
            moved = calls.index("rename" if "rename" in calls else "linkat")
            for when in ("kill_before", "kill_after"):
                seen = []
                for step in range(1, len(calls) + 1):
                    self.start(exists)
                    done = self.publish(self.path, "new", f"{step} {when}")
                    self.assertEqual(done.returncode, KILLED, (when, step, done.stdout))
                    seen.append(self.held())
                    self.check_left(calls, exists)
                    self.assertEqual(self.publish(self.path, "new").returncode, 0, "what is left is not in the way")
                    self.assertEqual((self.held(), self.rubbish()), ("new", []), "the next writer takes it away")
                published = moved + (when == "kill_before")
                before = "old" if exists else None
                self.assertEqual(seen, [before] * published + ["new"] * (len(calls) - published))

    def check_left(self, calls, exists):
        """A new file leaves nothing, whenever its writer is killed; one that replaces another has a name for a moment."""
        self.assertTrue(all(name.startswith(".flatpoint-") and name.endswith(".tmp") for name in self.rubbish()))
        self.assertLessEqual(len(self.rubbish()), 1 if exists else 0)

    def test_only_what_the_dead_of_this_machine_left_is_removed(self):
        step = self.calls_until_rename()
        self.start(True)
        publish(self.path, "new", f"{step} kill_before", nameless=False)
        (dead,) = self.rubbish()
        prefix, process, random = dead.rsplit("-", 2)
        host, rest = prefix.removeprefix(".flatpoint-").split("-", 1)
        kept = {
            f"{prefix}-{os.getpid()}-{random}",  # its writer lives
            f".flatpoint-{host}x-{rest}-{process}-{random}",
            f".flatpoint-{host}-0{rest[1:] if rest[0] != '0' else '1' + rest[1:]}-{process}-{random}",  # another boot
            f"{prefix}-{process}-{random}.keep",
            f"{prefix}-x-{random}",
            ".flatpoint-0123456789abcdef.tmp",
        }
        for name in kept:
            (self.folder / name).write_bytes(b"half")
        self.assertEqual(self.publish(self.path, "new").returncode, 0)
        self.assertEqual(set(self.rubbish()), kept)

    def calls_until_rename(self):
        with tempfile.NamedTemporaryFile() as log:
            publish(self.folder / "other", "new", calls=log.name, nameless=False)
            return pathlib.Path(log.name).read_text().split().index("rename") + 1

    def test_a_device_is_not_replaced(self):
        for make in (os.mkfifo, os.mkdir):
            self.start(False)
            make(self.path)
            done = self.publish(self.path, "new")
            self.assertEqual((done.returncode, self.rubbish()), (1, []))
            self.assertTrue(done.stdout.startswith(f"invalid_argument: {self.path}: "), done.stdout)
            self.assertFalse(self.path.is_file())
            (os.unlink if make is os.mkfifo else os.rmdir)(self.path)

    def test_every_error_at_every_step(self):
        moved = self.calls.index("rename") + 1
        for number in (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES, errno.EDQUOT):
            for step, call in enumerate(self.calls, 1):
                self.start(True)
                done = self.publish(self.path, "new", f"{step} {number}")
                with self.subTest(error=errno.errorcode[number], step=step, call=call):
                    self.assertEqual(self.rubbish(), [])
                    if step > moved:  # the folder's sync: the file is there
                        self.assertEqual(self.held(), "new")
                        self.assertEqual(done.returncode, 1 if (call, number) == ("fsync", errno.EIO) else 0, done.stdout)
                        continue
                    self.assertEqual(done.returncode, 1)
                    self.assertEqual(self.held(), "old")
                    self.assertIn(os.strerror(number), done.stdout)
                    self.assertIn(str(self.folder), done.stdout)

    def test_interrupted_and_short_calls_go_on(self):
        for call in ("open", "write", "fsync"):
            step = self.calls.index(call) + 1
            self.start(True)
            done = self.publish(self.path, "new", f"{step} {errno.EINTR}")
            self.assertEqual((done.returncode, self.held(), self.rubbish()), (0, "new", []), (call, done.stdout))
        for write in range(1, self.calls.count("write") + 1):
            self.start(True)
            done = self.publish(self.path, "new", f"{write} short")
            self.assertEqual((done.returncode, self.held(), self.rubbish()), (0, "new", []), done.stdout)

    def test_a_file_system_without_fsync(self):
        step = self.calls.index("fsync") + 1
        self.start(True)
        self.assertEqual(self.publish(self.path, "new", f"{step} {errno.EINVAL}").returncode, 0)
        self.assertEqual(self.held(), "new")

    def test_new_files_replace_nothing(self):
        self.start(True)
        done = self.publish(self.path, "new", new=True)
        self.assertEqual((done.returncode, self.held(), self.rubbish()), (1, "old", []))
        self.assertIn("there is a file already", done.stdout)
        calls = self.traced(exists=False, new=True)
        for step in range(1, len(calls) + 1):
            self.start(False)
            self.assertEqual(self.publish(self.path, "new", f"{step} kill_after", new=True).returncode, KILLED)
            self.assertIn(self.held(), (None, "new"))

    def test_the_kernel_ends_a_write(self):
        """No fault injected: the file may not grow beyond a limit, so that one write falls short and the next fails."""
        self.start(True)
        limit = len(self.versions["new"]) // 2
        # With the signal's default, which would end the process.
        done = subprocess.run(
            [BIN / "publish", "write", self.path, "new"],
            capture_output=True,
            text=True,
            check=False,
            restore_signals=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )
        self.assertEqual((done.returncode, self.held(), self.rubbish()), (1, "old", []))
        self.assertEqual(done.stdout, f"io: {self.path}: write: {os.strerror(errno.EFBIG)}\n")

    def test_a_folder_that_may_not_be_written(self):
        self.start(True)
        self.folder.chmod(0o555)
        self.addCleanup(self.folder.chmod, 0o755)
        program, user = BIN / "publish", None
        if os.geteuid() == 0:  # whom no mode stops: somebody else tries
            user = 65534
            tools = tempfile.TemporaryDirectory()
            self.addCleanup(tools.cleanup)
            pathlib.Path(tools.name).chmod(0o755)
            program = shutil.copy(program, tools.name)
        done = subprocess.run([program, "write", self.path, "new"], capture_output=True, text=True, check=False, user=user)
        self.assertEqual((done.returncode, self.held(), self.rubbish()), (1, "old", []))
        self.assertEqual(done.stdout, f"io: {self.folder}: create a file: {os.strerror(errno.EACCES)}\n")

    def test_no_folder(self):
        done = self.publish(self.folder / "missing" / "m.flatpoint", "new")
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stdout.startswith("not_found: "), done.stdout)

    def test_the_mode_follows_the_umask(self):
        for umask, mode in ((0o022, 0o644), (0o077, 0o600), (0, 0o666)):
            self.start(False)
            before = os.umask(umask)
            try:
                self.publish(self.path, "new")
            finally:
                os.umask(before)
            self.assertEqual(self.path.stat().st_mode & 0o777, mode)

    def test_readers_see_one_or_the_other(self):
        """A writer meets every fault at every step, while a reader opens the file again and again."""
        self.start(True)
        with subprocess.Popen([BIN / "publish", "read", self.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
            self.assertEqual(reader.stdout.readline(), "reading\n")
            for number, action in enumerate(("kill_before", "kill_after", "short", errno.EINTR, errno.EIO, errno.ENOSPC)):
                version = ("new", "old")[number % 2]
                for step in range(1, len(self.calls) + 1):
                    self.publish(self.path, version, f"{step} {action}")
                    self.assertIn(self.held(), ("old", "new"))
                    self.assertIsNone(reader.poll(), reader.stdout)
                self.assertEqual(self.publish(self.path, version).returncode, 0)
            seen = reader.communicate("stop\n")[0].splitlines()
        self.assertEqual(reader.returncode, 0, seen)
        self.assertEqual(seen, ["changed", "version new", "version old"])


if __name__ == "__main__":
    unittest.main()


class PublishByName(Publish):
    """On a file system that has none: NFS, FAT, some FUSE mounts."""

    nameless = False

    def test_the_steps_are_those_that_make_it_durable(self):
        for exists in (True, False):
            self.assertEqual(self.steps(exists), ["open", "fsync", "rename", "open", "fsync"])

    def check_left(self, calls, exists):
        self.assertTrue(all(name.startswith(".flatpoint-") and name.endswith(".tmp") for name in self.rubbish()))
        self.assertLessEqual(len(self.rubbish()), 1)
