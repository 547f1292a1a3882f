"""Figures, one a file. They draw what the dataclasses hold and compute nothing that is not a matter of drawing.

Every figure has:

- a transparent background and neutral text, so that one figure serves a light and a dark page;
- a colour *and* a marker for each model;
- SVG `scatter`, which a strict content security policy allows;
- `uirevision`, so that an update keeps the zoom;
- the run id in `customdata`, so that a click can open the run.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
