"""The page of pairs shows pictures of any kind that a data set can have."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.data.dataset import ArrayExamples
from trainer.duplicates.checked import Checked
from trainer.duplicates.finding import Found, Pair
from trainer.duplicates.report import write_report
from trainer.duplicates.splits import Split

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_pictures_of_any_number_of_channels_are_shown_and_names_are_no_markup(channels, tmp_path):
    images = ArrayExamples(RNG.integers(0, 17, (2, 9, 7, channels), np.uint8), np.arange(2), full_scale=16, mean=0, std=1)
    split = Split("<b>'own'", "f", "train", images, channels, lambda index: f"<i>'{index}")
    found = Found(split, split, (Pair(0, 1, "embedding", 0.5, "flipped"),), (("<u>2", "not <read>"),), ())
    write_report(Checked((found,)), tmp_path / "page.html", listed=None)
    page = (tmp_path / "page.html").read_text()
    assert page.count("data:image/png") == 2
    for markup in ("<b>", "<i>", "<u>", "<read>"):
        assert markup not in page
    assert "alt='&lt;i&gt;&#x27;0'" in page
