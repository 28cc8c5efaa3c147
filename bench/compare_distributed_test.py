#!/usr/bin/env python3
"""compare_distributed against programs that only pretend: where it starts them, what it asks and what it makes of the answers."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "compare_distributed")

# Notes how it was called. What stands behind a namespace or a core is run.
PRETENDER = """#!/usr/bin/env python3
import json, os, sys
words = sys.argv[1:]
with open("{log}", "a") as log:
    log.write(json.dumps(["{name}"] + words) + "\\n")
{body}
"""
IP = """
if words[:2] == ["netns", "exec"]:
    os.execvp(words[3], words[3:])
"""
TASKSET = "os.execvpe(words[2], words[2:], {**os.environ, 'CORES': words[1]})"
HEARTH = """
if words[0] == "inspect":
    print(json.dumps({"layers": 16}, indent=1))
    sys.exit()
sequences, tensor, pipeline = int(words[words.index("-b") + 1]), "tensor=2" in words, "pipeline=2" in words
prefill, decode = (180, 37) if tensor else (90, 19) if pipeline else (100, 20)
decode = {1: decode, 2: 47, 4: 90 if pipeline else 50}[sequences]
tests = [{"kind": "decode", "tokens_per_second": decode}]
print(json.dumps({"tests": ([] if sequences > 1 else [{"kind": "prefill", "tokens_per_second": prefill}]) + tests}))
"""
LLAMA = """
prefill, decode = (15, 4) if "tensor" in words else (10, 8) if "--rpc" in words else (60, 10)
print(json.dumps({"n_prompt": 1, "avg_ts": prefill}))
print(json.dumps({"n_prompt": 0, "avg_ts": decode}))
"""
CEILINGS = 'print(json.dumps({"giga_per_second": (30.0 if words[0] == "read" else 200) * len(os.environ["CORES"].split(","))}))'


class CompareTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        for name, body in [("ip", IP), ("tc", ""), ("taskset", TASKSET), ("hearth", HEARTH), ("llama", LLAMA),
                           ("server", ""), ("ceilings", CEILINGS)]:
            self.pretend(name, body)
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("two cores are needed")

    def path(self, name):
        return os.path.join(self.folder, name)

    def pretend(self, name, body):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(PRETENDER.format(log=self.path("log"), name=name, body=body))
        os.chmod(self.path(name), 0o755)

    def compare(self, *arguments):
        return subprocess.run(
            [sys.executable, SCRIPT, "--hearth", self.path("hearth"), "--llama-bench", self.path("llama"),
             "--llama-rpc-server", self.path("server"), "--ceilings", self.path("ceilings"), "--strip-prefix", "/jail",
             "--pairs", "2", *arguments, "/jail/models/m.gguf"],
            env={**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"}, capture_output=True, text=True, check=False)

    def calls(self, name):
        with open(self.path("log"), encoding="utf-8") as log:
            return [" ".join(call[1:]) for call in map(json.loads, log) if call[0] == name]

    def test_tables(self):
        done = self.compare("--json", self.path("out.json"))
        self.assertEqual(done.returncode, 0, done.stderr)
        for row in ["| m | unlimited | Hearth, one rank | 100.0 | 1.00 | 6.67 | 20.0 | 1.00 | 2.50 |",
                    "| m | unlimited | Hearth, tensor=2 | 180.0 | 1.80 | 12.00 | 37.0 | 1.85 | 4.62 |",
                    "| m | unlimited | Hearth, pipeline=2, 4 sequences |  |  |  | 90.0 | 1.80 |  |",
                    "| m | unlimited | llama.cpp RPC, tensor | 15.0 | 0.25 |  | 4.0 | 0.40 |  |",
                    "| m | unlimited | Hearth, two apart | 200.0 | 2.00 | 13.33 | 40.0 | 2.00 | 5.00 |",
                    "| m | unlimited | tensor=2 decodes, llama.cpp RPC | 2.5 | 4.62 | 5.00 |",
                    "| m | unlimited | pipeline=2 decodes 4 sequences | 1.8 | 1.80 | 1.88 |",
                    "| m | unlimited | pipeline=2 decodes one sequence | 0.95 | 0.95 | 1.00 |",
                    "| reads, GB/s | 30.0 | 60.0 | 2.00 |"]:
            self.assertIn(row, done.stdout.splitlines())
        with open(self.path("out.json"), encoding="utf-8") as file:
            [result] = json.load(file)["results"]
        self.assertEqual(result["targets"]["tensor=2 decodes"], 1.85)
        self.assertEqual(len(result["rounds"]), 2)

    def test_ranks_and_servers_are_in_their_namespaces_and_on_their_cores(self):
        self.compare()
        cores = sorted(os.sched_getaffinity(0))
        spaces = [call.split()[2] for call in self.calls("ip") if call.startswith("netns add")]
        there = f"ip netns exec {spaces[1]} taskset -c {cores[1]}"
        tensor = {call.split("--ranks ")[1] for call in self.calls("hearth") if "tensor=2" in call}
        self.assertEqual(tensor, {f"tensor=2 --transport tcp --wire {wire} --place 10.77.0.1 --place 10.77.0.2 {there}"
                                  for wire in ("f32", "bf16", "q8")})
        started = [call for call in self.calls("ip") if call.startswith("netns exec")]
        servers = {call.split(" -H")[0] for call in started if self.path("server") in call}
        self.assertEqual(servers, {f"netns exec {space} taskset -c {core} {self.path('server')}"
                                   for space, core in zip(spaces, cores)})
        there_alone = [call for call in started if self.path("server") not in call
                       and not call.startswith(f"netns exec {spaces[0]} taskset -c {cores[0]}")]
        self.assertEqual({call.split(" bench")[0] for call in there_alone},
                         {f"netns exec {spaces[1]} taskset -c {cores[1]} {self.path('hearth')}"})
        self.assertEqual(len(there_alone), 2 * 2)  # of each two apart, in each round
        self.assertFalse(any("--ranks" in call for call in there_alone))
        self.assertTrue(all("--threads 1" in call for call in self.calls("hearth") if call.startswith("bench")))
        rpc = {call for call in self.calls("llama") if "--rpc" in call}
        self.assertEqual(len(rpc), 3)
        self.assertTrue(all("-m /models/m.gguf -t 1" in call for call in rpc))
        self.assertTrue(any(call.endswith("--rpc 10.77.0.2:50052 -ngl 8") for call in rpc))
        self.assertEqual(self.calls("ip")[-2:], [f"netns delete {space}" for space in spaces])

    def test_links_are_shaped_both_ways(self):
        done = self.compare("--only", "tensor=2", "--links", "unlimited,1gbit")
        self.assertEqual(sum("rate 1gbit" in call for call in self.calls("tc")), 2)
        self.assertIn("| m | 1gbit | Hearth, tensor=2 | 180.0 |  |  | 37.0 |  |  |", done.stdout.splitlines())

    def test_without_llama_cpp_figures_stand_alone(self):
        done = self.compare("--llama-bench", "")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("llama", done.stdout)
        self.assertEqual(self.calls("server"), [])
        self.assertIn("| m | unlimited | tensor=2 decodes | 1.85 | 1.85 | 2.00 |", done.stdout.splitlines())

    def test_says_that_it_needs_root(self):
        self.pretend("ip", "sys.exit(1)")
        done = self.compare()
        self.assertEqual(done.returncode, 1)
        self.assertIn("namespaces need root", done.stderr)


if __name__ == "__main__":
    unittest.main()
