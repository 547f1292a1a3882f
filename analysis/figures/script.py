"""plotly.js as the Python package ships it, for a document that must load nothing."""

from __future__ import annotations

__all__ = ["plotly_js", "plotly_version"]


def plotly_js() -> str:
    """Return the script, 4.8 MB. It holds no `</script`, so it can stand inside one."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def plotly_version() -> str:
    """Return the version of plotly.js, as `4.1.1`."""
    from plotly.offline import get_plotlyjs_version

    return str(get_plotlyjs_version())
