#!/usr/bin/env python3
"""compare_llama_cpp against programs that only pretend: what it asks them and what it makes of their answers."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "compare_llama_cpp")

# Each run answers the next speed of a list and notes how it was called.
PRETENDER = """#!/usr/bin/env python3
import json, os, sys
with open("{log}", "a") as log:
    log.write(json.dumps(["{name}", os.environ.get("HEARTH_ISA", "")] + sys.argv[1:]) + "\\n")
speeds = {speeds}
with open("{log}") as log:
    number = sum(json.loads(line)[0] == "{name}" for line in log) - 1
print("a line that is no result")
print(json.dumps({answer}))
"""
HEARTH = ('{"isa": os.environ.get("HEARTH_ISA", "best"), "tests": [{"tokens_per_second": speeds[number % len(speeds)], '
          '"gigabytes_per_second": 20 + number, "share_of_bandwidth": 0.5}]}')


class CompareTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.pretend("hearth", [100, 300, 160], HEARTH)
        self.pretend("llama", [50, 100, 100], '{"avg_ts": speeds[number % len(speeds)]}')
        self.pretend("batched", [10], '{"speed_tg": speeds[0]}')

    def path(self, name):
        return os.path.join(self.folder, name)

    def pretend(self, name, speeds, answer):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(PRETENDER.format(log=self.path("log"), name=name, speeds=speeds, answer=answer))
        os.chmod(self.path(name), 0o755)

    def compare(self, *arguments):
        return subprocess.run(
            [sys.executable, SCRIPT, "--hearth", self.path("hearth"), "--llama-bench", self.path("llama"),
             "--llama-batched-bench", self.path("batched"), "--strip-prefix", "/jail", "--threads", "3",
             "--pairs", "3", *arguments, "/jail/models/m.gguf"], capture_output=True, text=True, check=False)

    def calls(self):
        with open(self.path("log"), encoding="utf-8") as log:
            return [json.loads(line) for line in log]

    def test_medians_and_ratios_of_rounds(self):
        done = self.compare("--tests", "decode 64 at 4096", "--json", self.path("out.json"))
        self.assertEqual(done.returncode, 0, done.stderr)
        # The rounds' ratios are 2, 3 and 1.6; the ratio of the medians would be 1.6.
        self.assertEqual(done.stdout.splitlines()[2:],
                         ["| m | decode 64 at 4096 | best | 160.0 | 100.0 | 2.00 | 21.0 | 50% |"])
        with open(self.path("out.json"), encoding="utf-8") as file:
            [result] = json.load(file)
        self.assertEqual((result["ratio"], result["hearth_runs"]), (2, [100, 300, 160]))

    def test_programs_take_turns_and_are_asked_the_same(self):
        self.compare("--tests", "decode 64 at 4096")
        calls = self.calls()
        self.assertEqual([call[0] for call in calls], ["hearth", "llama", "llama", "hearth", "hearth", "llama"])
        ours, theirs = " ".join(calls[0][2:]), " ".join(calls[1][2:])
        self.assertIn("bench /jail/models/m.gguf", ours)
        self.assertIn("-m /models/m.gguf", theirs)
        for options in ["-p 0", "-n 64", "-d 4096", "-r 1"]:
            self.assertIn(options, ours)
            self.assertIn(options, theirs)
        self.assertIn("--threads 3", ours)
        self.assertIn("-t 3", theirs)

    def test_sequences_together_and_instruction_sets(self):
        done = self.compare("--tests", "8 sequences", "--isa", "one,two")
        rows = done.stdout.splitlines()[2:]
        self.assertEqual([row.split(" | ")[2] for row in rows], ["one", "two"])
        calls = self.calls()
        self.assertEqual([call[:2] for call in calls[:3]], [["hearth", "one"], ["hearth", "two"], ["batched", ""]])
        self.assertIn("-d 16 -b 8", " ".join(calls[0]))
        self.assertIn("-npp 16 -ntg 64 -npl 8 -c 640", " ".join(calls[2]))

    def test_a_program_that_fails_is_named(self):
        done = self.compare("--llama-bench", "false", "--tests", "prefill")
        self.assertEqual(done.returncode, 1)
        self.assertIn("false -m /models/m.gguf", done.stderr)


if __name__ == "__main__":
    unittest.main()
