#!/usr/bin/env python3
"""compare_open_mpi against programs that only pretend: what it asks them and what it makes of their answers."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "compare_open_mpi")

# Each run answers the next figure of a list and notes how it was called.
PRETENDER = """#!/usr/bin/env python3
import json, sys
with open("{log}", "a") as log:
    log.write(json.dumps(["{name}"] + sys.argv[1:]) + "\\n")
with open("{log}") as log:
    number = sum(json.loads(line)[0] == "{name}" for line in log) - 1
print(json.dumps({{"bytes": 16384, "median_us": {figures}[number % len({figures})], "p95_us": 30}}))
"""


class CompareTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.pretend("ours", [10, 20, 12])
        self.pretend("mpirun", [20, 20, 30])

    def path(self, name):
        return os.path.join(self.folder, name)

    def pretend(self, name, figures):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(PRETENDER.format(log=self.path("log"), name=name, figures=figures))
        os.chmod(self.path(name), 0o755)

    def compare(self, *arguments):
        return subprocess.run([sys.executable, SCRIPT, "--program", self.path("ours"), "--mpi-program", self.path("ours"),
                               "--mpirun", self.path("mpirun"), "--ranks", "2", *arguments],
                              capture_output=True, text=True, check=False)

    def test_medians_and_ratios_of_rounds_in_turns(self):
        done = self.compare("--transports", "tcp")
        self.assertEqual(done.returncode, 0, done.stderr)
        # The rounds' ratios are 0.5, 1 and 0.4; the ratio of the medians would be 0.6.
        self.assertEqual(done.stdout.splitlines()[2:], ["| 2 | tcp | 16 KiB | 12.0 | 30.0 | 20.0 | 30.0 | 0.50 |"])
        with open(self.path("log"), encoding="utf-8") as log:
            calls = [json.loads(line) for line in log]
        self.assertEqual([call[0] for call in calls], ["ours", "mpirun"] * 3)
        self.assertEqual(calls[0][1:], ["2", "tcp", "1"])
        self.assertIn("self,tcp", calls[1])

    def test_open_mpi_is_not_needed(self):
        done = self.compare("--mpirun", self.path("nothing"), "--transports", "shm", "--rounds", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Open MPI is not installed", done.stderr)
        self.assertEqual(done.stdout.splitlines()[2:], ["| 2 | shm | 16 KiB | 10.0 | 30.0 |  |  |  |"])

    def test_what_fails_is_said(self):
        done = self.compare("--program", self.path("nothing"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("compare_open_mpi: ", done.stderr)
        self.assertIn("there are shm, ucx, tcp", self.compare("--transports", "post").stderr)


if __name__ == "__main__":
    unittest.main()
