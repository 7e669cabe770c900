"""PyYAML's syntax errors as sentences for people."""

from __future__ import annotations

import re

import yaml

OR_QUOTES = "a comma is missing, or a text with one of , ? [ ] { } in it has no quotes"


def explain(error: yaml.MarkedYAMLError) -> tuple[yaml.Mark | None, str]:
    """Where to look (the opening quote or bracket, where one is not closed) and what to do."""
    problem, context = error.problem or "", error.context or ""
    here, opened = error.problem_mark, error.context_mark or error.problem_mark
    character = re.match(r"found character '(.+)' that cannot start any token", problem)
    if character and character[1] == "\\t":
        return here, "a tab; indent with spaces"
    if character:
        return here, f"a value cannot begin with {character[1]}; put it in quotes"
    if "quoted scalar" in context and "unexpected end of stream" in problem:
        return opened, "this quote is never closed"
    if "quoted scalar" in context and "unexpected document separator" in problem:
        return opened, "this quote is not closed before the line of dashes or dots"
    if "double-quoted scalar" in context:
        return here, "this backslash sequence is not known; write \\\\ for a backslash, or use single quotes"
    if "flow sequence" in context:
        return opened, f"this [ is never closed, {OR_QUOTES}"
    if "flow mapping" in context:
        return opened, f"this {{ is never closed, {OR_QUOTES}"
    if "mapping values are not allowed here" in problem:
        return here, "a colon where no value can begin; check the indentation, or put the text in quotes"
    if "could not find expected ':'" in problem:
        return opened, "this line is not 'key: value'; a space must follow the colon"
    misplaced = re.search(r"but found '(.+)'$", problem)
    if "expected the node content" in problem and misplaced:
        if misplaced[1] == "<stream end>":
            return here, "the text ends where a value belongs; close the bracket"
        return here, f"{misplaced[1].strip('<>')} where a value belongs; remove it, or put the text in quotes"
    if "block mapping" in context and misplaced and misplaced[1] == ":":
        return here, "no key before the colon"
    if "block mapping" in context or "block collection" in context or "block sequence" in context:
        return here, "this line does not line up with the ones above; check the indentation"
    if "directive" in context or "directive" in problem or "document start" in problem:
        return here, "one document a file and no directives; remove the lines that begin with %, --- or ..."
    if "alias" in context or "anchor" in context:
        return here, "a value cannot begin with * or &; put it in quotes"
    if "tag" in context or "tag" in problem:
        return here, "tags (!…) are not used here; put the value in quotes"
    if "block scalar" in context:
        return here, "| and > begin a text on the next lines; put the value in quotes"
    return here, f"not valid YAML: {problem or context}"
