"""What the scripts that compare programs have in common: running one and reading what it measured."""
import json
import os
import shlex
import subprocess
import sys


def give_up(message):
    """Ends the script with its name before the message."""
    sys.exit(f"{os.path.basename(sys.argv[0])}: {message}")


def output(command, environment=None, holds=lambda text: True):
    """What the command prints. Ends the script when it fails or when that does not hold what was asked for."""
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except OSError as error:
        give_up(error)
    if done.returncode != 0 or not holds(done.stdout):
        give_up(f"{shlex.join(command)} gave no result (status {done.returncode}):\n{done.stderr}")
    return done.stdout


def json_lines(command, environment=None):
    """The JSON objects that the command prints, one a line."""
    def objects(text):
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return objects(output(command, environment, holds=objects))
