"""Lists of images to leave out, written by hand for a data set that is at hand."""

from trainer.data.exclusion import ExclusionList, ExclusionRow
from trainer.data.ids import ids_of


def row(dataset, options, index, **other):
    card, called = dataset.card, ids_of(options, dataset.train)
    found = {"id": called(index), "rule": "exact", "distance": 0.0, "orientation": "as is", "label": None}
    partner = {"partner_data": card.fingerprint, "partner_split": "validation", "partner": "0", "partner_label": None}
    return ExclusionRow(**{"data": card.fingerprint, "split": "train", "index": index} | found | partner | other)


def write(path, dataset, options, indices, *, compared=(), **other):
    """Write a list of these training images; compared: cards of other data sets that the training split was compared with."""
    card = dataset.card
    of = [(card, "validation"), *((other_card, split) for other_card in compared for split in ("train", "validation"))]
    checks = tuple(((card.fingerprint, "train"), (one.fingerprint, split)) for one, split in of)
    sets = (card, *compared)
    names, images = ({one.fingerprint: getattr(one, fact) for one in sets} for fact in ("name", "train_examples"))
    ExclusionList(tuple(row(dataset, options, index, **other) for index in indices), checks, names, images).write(path)
    return str(path)
