#!/usr/bin/env python3
"""shardmill pattern test: its exit codes, and what it says of the fields."""
import json
import os
import re

from case import main
from cli_case import CliCase

PATTERN = """source: [lab]
detail:
  state: [{anything-but: done}]
  $or:
    - {retries: [{numeric: [">", 3]}]}
    - {parts: {name: [a], kind: [x]}}
"""
DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "patterns.md")


class Pattern(CliCase):
    def try_out(self, event, code, pattern=PATTERN, options=()):
        path = self.write("pattern.yaml", pattern)
        name = self.write("event.json", event if isinstance(event, str) else json.dumps(event))
        out, err = self.run_cli("pattern", "test", *options, path, name, code=code)
        return out.replace(path, "P"), err.replace(path, "P").replace(name, "E")

    def test_a_match_names_the_fields_that_made_it(self):
        out = self.try_out({"source": "lab", "detail": {"state": "new", "retries": 4}}, 0)[0]
        self.assertEqual(out, "match\n  P:5:8: detail.retries matches: the event has 4\n"
                              "  P:3:3: detail.state matches: the event has \"new\"\n"
                              "  P:1:1: source matches: the event has \"lab\"\n")

    def test_no_match_names_the_fields_that_decided(self):
        out = self.try_out({"source": "lab", "detail": {"state": "done", "retries": 3}}, 1)[0]
        self.assertEqual(out, "no match\n  P:5:8: detail.retries does not match: the event has 3\n"
                              "  P:3:3: detail.state does not match: the event has \"done\"\n"
                              "  P:6:27: detail.parts.kind is not in the event\n"
                              "  P:6:16: detail.parts.name is not in the event\n")

    def test_fields_that_match_in_different_elements_are_told(self):
        parts = [{"name": "a", "kind": "y"}, {"name": "b", "kind": "x"}]
        out = self.try_out({"source": "lab", "detail": {"state": "new", "parts": parts}}, 1)[0]
        self.assertIn("each field matches alone, but no element of a list has all of them", out)

    def test_an_invalid_pattern_is_told_with_its_place(self):
        out, err = self.try_out({}, 2, "a: [{wildcard: x**}]\nb: [{numeric: [1]}]\n")
        self.assertEqual(out, "")
        self.assertIn("P:1:16: a: character 2 of the wildcard: one * stands for any characters, two are not taken\n", err)
        self.assertIn("P:2:15: b: expected a list such as [\">\", 0, \"<=\", 5] behind numeric, found a list\n", err)

    def test_what_is_no_event_is_refused(self):
        self.assertIn("E:line 1, column 1: expected JSON", self.try_out("x", 2)[1])
        self.assertIn("E: expected an event, an object, found an array", self.try_out("[]", 2)[1])

    def test_stdin_is_one_of_the_files(self):
        event = self.write("event.json", json.dumps({"a": "x"}))
        for pattern, code in (("a: [x]", 0), ("a: [y]", 1), ("a: x", 2)):
            self.run_cli("pattern", "test", "-", event, stdin=pattern.encode(), code=code)
        self.run_cli("pattern", "test", "-", "-", code=2)
        self.run_cli("pattern", "try", event, event, code=2)

    def test_programs_read_json(self):
        said = json.loads(self.try_out({"source": "x"}, 1, "source: [lab]", ["--output=json"])[0])
        self.assertEqual(said, {"match": False, "fields": [{"path": "source", "line": 1, "column": 1, "way": 0, "matches": False, "found": "x"}]})

    def test_help_and_the_page_name_every_operator(self):
        with open(DOCS, encoding="utf-8") as page:
            text = page.read()
        operators = re.findall(r"^  ([a-z-]+) +[a-z].*\n +takes", self.run_cli("pattern", "--help")[0], re.M)
        self.assertEqual(len(operators), 9)
        for operator in operators:
            self.assertIn("`{%s: " % operator, text)


if __name__ == "__main__":
    main()
