"""The corpus of names that have broken programs like this one."""

from __future__ import annotations

# Each byte that a file name may hold and that is text of its own (the rest of 0x80 to 0xff is not UTF-8).
_CHARACTERS = [chr(number) for number in range(1, 128) if chr(number) not in "/\n"]
BYTES = ["line\nend", *["b" + "".join(_CHARACTERS[at : at + 8]) for at in range(0, len(_CHARACTERS), 8)]]

FORMS = [
    "caf\u00e9",  # composed
    "cafe\u0301",  # decomposed: another name, and both stay what they are
    "\u212b",  # the ångström sign, which normalisation would fold
    "\u05d0\u05d1",  # right to left
    "\u202e gnp.exe",  # an override of direction
    "\u200b",  # no width at all
    "\U0001f600",  # outside the first plane
    "ﬁ\u00a0x",
    "a\u2028b",
]

LOOKS = [
    "...", "..a", "a..", "..a..b", "file..txt", ". .", " ", "  leading", "trailing ", "-rf", "--help", "~", "$HOME",
    "`id`",     "%2e%2e", "%00", "a%2Fb", "a+b", "a&b=c", "a?b#c", "a;b", "CON", "nul.txt", "a:b", "a\\b", "..\\b", "*",
    "[a]", "{a,b}", "'", '"', "x" * 255, "ü" * 127, ".hidden", ".data-sync", "lost+found",
    "index.html", "a.conflict-", "a.conflict-x",
]  # fmt: skip

GOOD = [*BYTES, *FORMS, *LOOKS]

# A key of 1,024 bytes with its prefix, the longest that there is; one more is too long.
LONGEST = "/".join(["d" * 200] * 5) + "/" + "e" * 14
assert len(f"sent/{LONGEST}") == 1024
TOO_LONG = "x" + LONGEST

# Names that are bytes and no text: a file may have them, a key can't.
NOT_TEXT = [b"\xff", b"\x80abc", b"caf\xe9", b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"]

# Keys that are no paths: never repaired, never fetched, and no harm to the others.
BAD_KEYS = [
    "up/../out", "..", "../../etc/passwd", "a/./b", ".", "a//b", "//etc/passwd", "/etc/shadow", "long/" + "n" * 256,
    "full/", "nul\x00byte",
]  # fmt: skip
