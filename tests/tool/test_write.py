"""The atomic write, attacked at each of its system calls: the old file or the new one, and no rubbish after an error."""

import errno
import os
import shutil
import signal
import threading
import unittest

from tool import ToolTest, run

FAULTS = os.environ["FLATPOINT_FAULTS"]
# Steps of a write (which call, the how manieth, whether it replaces a file), where files may be without a name and where
# they may not.
NAMELESS = [
    (call, 1, replace) for call in ("create", "write", "sync", "link") for replace in (False, True) if (call, replace) != ("link", True)
]
NAMELESS += [("link", 2, True), ("rename", 1, True)]
NAMED = [(call, 1, True) for call in ("create", "write", "sync", "close", "rename")] + [("link", 1, False)]
STEPS = [(*step, True) for step in NAMELESS] + [(*step, False) for step in NAMED]


def with_fault(call, action, number=1, nameless=False):
    # A sanitizer's runtime wants to come first; it may come second.
    return (
        os.environ
        | ({} if nameless else {"FLATPOINT_NO_TMPFILE": "1"})
        | {
            "LD_PRELOAD": FAULTS,
            "FLATPOINT_FAULT": f"{call} {number} {action}",
            "ASAN_OPTIONS": "verify_asan_link_order=0",
        }
    )


class Write(ToolTest):
    def setUp(self):
        super().setUp()
        self.new = self.imported("s01_plain_tensors").read_bytes()
        self.old = self.imported("s04_dtypes").read_bytes()

    def check(self, call, action, answers, replace, number=1, nameless=False):
        """Imports once under a fault. `answers`: what the output may be afterwards (None: it is not there)."""
        folder = self.sample("s01_plain_tensors", f"{call}-{action}-{replace}-{number}-{nameless}")
        output = folder / ".metadata.flatpoint"
        if replace:
            output.write_bytes(self.old)
        answer = run("import", folder, *(["--force"] if replace else []), env=with_fault(call, action, number, nameless))
        self.assertIn(output.read_bytes() if output.exists() else None, answers, (call, action, answer.err))
        return answer, [name for name in os.listdir(folder) if name.endswith(".tmp")]

    def before(self, replace):
        return self.old if replace else None

    def test_an_error_leaves_things_as_they_were(self):
        for call, number, replace, nameless in STEPS:
            for error in (errno.ENOSPC, errno.EIO, errno.EACCES):
                with self.subTest(call, number=number, replace=replace, nameless=nameless, error=errno.errorcode[error]):
                    answer, rubbish = self.check(call, error, [self.before(replace)], replace, number, nameless)
                    self.assertEqual((answer.code, answer.out, rubbish), (2, b"", []))
                    self.assertIn(os.strerror(error).encode(), answer.err)

    def test_killed(self):
        for call, number, replace, nameless in [*STEPS, ("sync_folder", 1, True, True), ("sync_folder", 1, True, False)]:
            for action in ("kill_before", "kill_after"):
                with self.subTest(call, number=number, replace=replace, nameless=nameless, action=action):
                    answer, _ = self.check(call, action, [self.before(replace), self.new], replace, number, nameless)
                    self.assertEqual(answer.code, -signal.SIGKILL)

    def test_interrupted_and_cut_short(self):
        interrupted = [(call, errno.EINTR) for call in ("create", "write", "sync", "close", "sync_folder")]
        for call, action in (*interrupted, ("write", "short")):
            with self.subTest(call, action=action):
                answer, rubbish = self.check(call, action, [self.new], True)
                self.assertEqual((answer.code, answer.err, rubbish), (0, b"", []))

    def test_disk_full_in_the_middle(self):
        """Short writes, then no more: the hundredth fails."""
        folder = self.sample("s01_plain_tensors", "middle")
        # The signal's default would end the process; Python's children ignore it unless told.
        limited = {"preexec_fn": lambda: (signal.signal(signal.SIGXFSZ, signal.SIG_DFL), limit_file_size(100))}
        answer = run("import", folder, **limited)
        self.assertEqual((answer.code, os.listdir(folder)), (2, [".metadata"]))
        self.assertIn(b"File too large", answer.err)

    def test_reading_what_is_cut_short_meanwhile(self):
        path = self.imported("s10_zstd")
        (fqn, *_) = run("ls", path, "--json").json["entries"]
        answer = run("find", path, fqn["fqn"], env=with_fault("map", "truncate"))
        self.assertEqual((answer.code, answer.out, path.stat().st_size), (2, b"", 0))
        self.assertEqual(answer.err, b"flatpoint: error: a file was cut short while it was read\n")

    def test_name_is_taken(self):
        answer, rubbish = self.check("create", errno.EEXIST, [self.new], True)
        self.assertEqual((answer.code, rubbish), (0, []))

    def test_file_system_without_hard_links_or_sync(self):
        for call, number, replace in (("link", errno.EPERM, False), ("sync", errno.EINVAL, True), ("sync_folder", errno.EINVAL, True)):
            with self.subTest(call):
                answer, rubbish = self.check(call, number, [self.new], replace)
                self.assertEqual((answer.code, answer.err, rubbish), (0, b"", []))

    def test_folder_that_cannot_be_synced_is_told(self):
        answer, rubbish = self.check("sync_folder", errno.EIO, [self.new], True)
        self.assertEqual((answer.code, rubbish), (2, []))
        self.assertIn(b"folder", answer.err)

    def test_symbolic_link_is_replaced_and_not_followed(self):
        folder = self.sample("s01_plain_tensors", "links")
        target = self.folder / "target"
        target.write_bytes(b"precious")
        (folder / ".metadata.flatpoint").symlink_to(target)
        self.assertEqual(run("import", folder).code, 2)
        self.assertEqual(run("import", folder, "--force").code, 0)
        self.assertEqual(target.read_bytes(), b"precious")
        self.assertFalse((folder / ".metadata.flatpoint").is_symlink())

    def test_only_a_file_is_replaced(self):
        folder = self.sample("s01_plain_tensors", "devices")
        for make in (os.mkfifo, os.mkdir):
            output = self.folder / make.__name__
            make(output)
            mode = output.lstat().st_mode
            answer = run("import", folder, "-o", output, "--force")
            self.assertEqual((answer.code, answer.out), (2, b""))
            self.assertEqual(output.lstat().st_mode, mode)

    def test_readers_see_one_or_the_other(self):
        output = self.folder / "shared.flatpoint"
        sources = [self.sample("s01_plain_tensors", "one"), self.sample("s04_dtypes", "two")]
        shutil.copy(self.sample("s01_plain_tensors", "three") / ".metadata", self.folder)
        run("import", sources[0], "-o", output)
        done = threading.Event()

        def write():
            for i in range(30):
                run("import", sources[i % 2], "-o", output, "--force")
            done.set()

        writer = threading.Thread(target=write)
        writer.start()
        while not done.is_set():
            self.assertIn(output.read_bytes(), (self.new, self.old))
            self.assertEqual(run("verify", output).code, 0)
        writer.join()


def limit_file_size(size):
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


if __name__ == "__main__":
    unittest.main()
