"""Renders templates with the Jinja of python3-jinja2, set up as Hugging Face transformers does it.

Reads a JSON array of [template, variables] from stdin and writes a JSON array of {"text": ...} or {"error": ...}.
"""

import datetime
import json
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox


class Generation(jinja2.ext.Extension):
    """{% generation %} marks what the assistant says; it renders as its body."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
)
environment.filters["tojson"] = tojson
environment.globals["raise_exception"] = raise_exception
environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)

results = []
for template, variables in json.load(sys.stdin):
    try:
        given = {"tools": None, "documents": None, **variables}
        results.append({"text": environment.from_string(template).render(**given)})
    except Exception as error:  # whatever Python raises, the template fails
        results.append({"error": f"{type(error).__name__}: {error}"})
json.dump(results, sys.stdout)
