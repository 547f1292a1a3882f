"""plotly.js, for a document that must load nothing: the bundle with scatter plots, which is all that figures here are made of.

plotly/plotly-basic.min.js.gz is npm's `plotly.js-basic-dist-min`, compressed; its licence stands beside it. The script that the Python package ships draws
maps and volumes as well and is four times as large, and a browser takes most of a first view to read it.
"""

from __future__ import annotations

import gzip
import re
from functools import cache
from importlib.resources import files

__all__ = ["plotly_js", "plotly_js_packed", "plotly_version"]


def plotly_js() -> str:
    """Return the script, 1.2 MB. It holds no `</script`, so it can stand inside one."""
    return gzip.decompress(plotly_js_packed()).decode()


def plotly_js_packed() -> bytes:
    """Return the script as gzip has it."""
    return files("analysis.figures").joinpath("plotly", "plotly-basic.min.js.gz").read_bytes()


@cache
def plotly_version() -> str:
    """Return the version of plotly.js, as `4.1.1`."""
    found = re.search(r"v(\d+\.\d+\.\d+)", plotly_js()[:200])
    assert found is not None
    return found[1]
