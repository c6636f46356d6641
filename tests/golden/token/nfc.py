"""Writes engine/token/nfc.txt, what Unicode normalisation form C needs, from Python's unicodedata (3.11: Unicode 14).

Lines, all numbers hexadecimal:
    > lo hi class     code points lo to hi have that canonical combining class
    = c a b           c is the pair a b, both ways
    - c a [b]         c decomposes so, but nothing composes to c
"""
import pathlib
import sys
import unicodedata as u

HANGUL = range(0xAC00, 0xD7A4)  # by arithmetic
lines = [f"# Unicode {u.unidata_version}; written by tests/golden/token/nfc.py"]

classes = [(c, u.combining(chr(c))) for c in range(sys.maxunicode + 1) if u.combining(chr(c))]
run = None
for c, k in classes + [(None, None)]:
    if run and (c is None or c != run[1] + 1 or k != run[2]):
        lines.append("> %x %x %x" % tuple(run))
        run = None
    if c is not None:
        run = [run[0] if run else c, c, k]

for c in range(sys.maxunicode + 1):
    d = u.decomposition(chr(c))
    if d and not d.startswith("<") and c not in HANGUL:
        kind = "=" if u.normalize("NFC", chr(c)) == chr(c) else "-"
        lines.append(f"{kind} {c:x} " + " ".join(f"{int(p, 16):x}" for p in d.split()))

(pathlib.Path(__file__).parents[3] / "engine/token/nfc.txt").write_text("\n".join(lines) + "\n")
