"""Patterns: what each matches, told in the words of ``gitignore(5)``; git itself is asked where it is there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.globs import Pattern, Patterns, pattern_fault

FILES = (
    "a",
    "a.log",
    "b/a.log",
    "b/c/a.log",
    "logs/x",
    "b/logs/x",
    "b/c/d",
    "b/d",
    "A.LOG",
    "b/*",
    "b/[x]",
    "b/#1",
    "é ü",
)
BELOW_B = {file for file in FILES if file.startswith("b/")}


def matched(*patterns: str) -> set[str]:
    found = Patterns(patterns)
    return {file for file in FILES if (one := found.deciding(file)) is not None and not one.negated}


@pytest.mark.parametrize(
    ("case", "patterns", "expected"),
    [
        ("a name at any depth", ["*.log"], {"a.log", "b/a.log", "b/c/a.log"}),
        ("a name from the top", ["/*.log"], {"a.log"}),
        ("a directory at any depth, with all below", ["logs/"], {"logs/x", "b/logs/x"}),
        ("a slash inside means from the top", ["b/logs"], {"b/logs/x"}),
        ("a file is no directory", ["a/"], set()),
        ("two stars in front", ["**/c"], {"b/c/a.log", "b/c/d"}),
        ("two stars at the end, not the directory itself", ["b/c/**"], {"b/c/a.log", "b/c/d"}),
        ("two stars between, none or many", ["b/**/d"], {"b/c/d", "b/d"}),
        ("one star stays in its directory", ["b/*/d"], {"b/c/d"}),
        ("a question mark is one character", ["b/?"], {"b/d", "b/*", "b/c/a.log", "b/c/d"}),
        ("a set", ["b/[a-d]"], {"b/d", "b/c/a.log", "b/c/d"}),
        ("all but a set", ["b/[!a-d]"], {"b/*"}),
        ("case counts", ["*.LOG"], {"A.LOG"}),
        ("a star that is meant", ["b/\\*"], {"b/*"}),
        ("brackets that are meant", ["b/\\[x\\]"], {"b/[x]"}),
        ("a bracket that never closes", ["b/[x"], set()),
        ("a range that runs backwards", ["[z-a]"], set()),
        ("a later one takes back", ["*.log", "!a.log"], set()),
        ("nothing below an excluded directory is taken back", ["b", "!b/a.log"], BELOW_B),
        ("the last one decides", ["!a.log", "*.log"], {"a.log", "b/a.log", "b/c/a.log"}),
        ("everything", ["**"], set(FILES)),
        ("umlauts and spaces", ["é*"], {"é ü"}),
    ],
)  # fmt: skip
def test_what_a_pattern_matches(case: str, patterns: list[str], expected: set[str]) -> None:
    assert matched(*patterns) == expected, case


components = st.sampled_from(["a", "b", "ab", "*", "**", "?", "[ab]", "[!a]", "a*", "*b", "\\a", "a*b*a"])
patterns = st.builds(
    lambda negated, top, parts, end: negated + top + "/".join(parts) + end,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "/"]),
    st.lists(components, min_size=1, max_size=4),
    st.sampled_from(["", "/"]),
)
names = st.lists(st.sampled_from(["a", "b", "ab", "aba", "bb"]), min_size=1, max_size=4).map("/".join)


def test_git_says_the_same(tmp_path: Path) -> None:
    git = shutil.which("git")
    if git is None:
        pytest.skip("git, which is asked for its opinion, is not installed")
    ignored = tmp_path / ".gitignore"
    subprocess.run([git, "init", "--quiet", str(tmp_path)], check=True)
    cases = [
        (["*.log"], "x/a.log"), (["/a/*"], "a/b/c"), (["a/**"], "a/b"), (["**/a/b"], "x/a/b"), (["a/**/b"], "a/x/y/b"),
        (["*", "!a"], "a"), (["x/", "!x/a"], "x/a"), (["[!a]b"], "cb"), (["a*b*c"], "aXbYbc"), (["**/a/**"], "x/a/y"),
        (["a/*/b/**/c"], "a/1/b/2/3/c"), (["***"], "a/b"), (["a**b"], "aXb"), (["\\!a"], "!a"),
    ]  # fmt: skip
    for texts, path in cases:
        ignored.write_text("\n".join(texts) + "\n")
        command = [git, "-c", "core.quotePath=false", "check-ignore", "--quiet", "--no-index", path]
        said = subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
        one = Patterns(texts).deciding(path)
        assert (one is not None and not one.negated) == said, f"{texts} and {path}"


def slowly(pattern: list[str], path: list[str]) -> bool:
    """The meaning of ``**`` between components, by trying everything."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        if len(pattern) == 1:
            return bool(path)
        return any(slowly(pattern[1:], path[start:]) for start in range(len(path) + 1))
    return bool(path) and letters(pattern[0], path[0]) and slowly(pattern[1:], path[1:])


def letters(pattern: str, name: str) -> bool:
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(letters(pattern[1:], name[start:]) for start in range(len(name) + 1))
    return bool(name) and pattern[0] in ("?", name[0]) and letters(pattern[1:], name[1:])


@given(
    st.lists(st.sampled_from(["a", "b", "ab", "*", "**", "?", "a*", "*b", "a*b*a", "*a*"]), min_size=2, max_size=6),
    names,
)
def test_the_quick_way_says_what_trying_everything_says(pattern: list[str], path: str) -> None:
    assert Pattern("/".join(pattern)).matches(path, directory=False) == slowly(pattern, path.split("/"))


@given(patterns, names)
def test_a_pattern_without_fault_can_be_asked(pattern: str, path: str) -> None:
    assert pattern_fault(pattern) is None
    Patterns([pattern]).deciding(path)


@pytest.mark.parametrize("pattern", ["*a" * 60 + "b", "**/a/" * 60 + "b", "**/" * 100 + "b", "*?" * 100 + "b"])
def test_no_pattern_is_slow(pattern: str) -> None:
    """With backtracking, this test would not come to its end before the sun does."""
    assert not Pattern(pattern).matches("/".join(["a" * 250] * 4), directory=False)
    assert not Pattern(pattern).matches("a/" * 500 + "a", directory=False)
