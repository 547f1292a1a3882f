"""Prints a part of the reference: `python -m docs.reference commands`."""

import sys

from docs.reference import text_of

print(text_of(*sys.argv[1:]))
