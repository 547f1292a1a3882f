"""Model families behind one protocol. Adding a family is adding a file (or a folder) and one line in `_FAMILIES`.

A family of your own: `models: [{source: "package.module:factory", name: …}]`, where `factory()` returns a `Family` or any other
`ModelFamily`.
"""

from __future__ import annotations

from scaling.errors import UnknownName
from trainer.models import nfnet, vit
from trainer.models.protocol import Family, ModelFamily, Network
from trainer.models.users import users_family

__all__ = ["Family", "ModelFamily", "Network", "family", "family_of"]

_FAMILIES = {
    "nfnet": Family(
        names=nfnet.names,
        params=nfnet.params,
        macs=nfnet.macs,
        build=nfnet.build,
        check=nfnet.resolve,
        activations=nfnet.activations,
        kept_activations=nfnet.kept_activations,
        total_stride=nfnet.total_stride,
    ),
    "vit": Family(
        names=vit.names,
        params=vit.params,
        macs=vit.macs,
        build=vit.build,
        check=vit.resolve,
        activations=vit.activations,
        kept_activations=vit.kept_activations,
        total_stride=vit.total_stride,
    ),
}


def family(name: str) -> Family:
    """Return a family by name, or a user's own by `package.module:factory`. Raises `UnknownName`, `UsageError`."""
    if ":" in name:
        return users_family(name)
    if name not in _FAMILIES:
        raise UnknownName("model family", name, _FAMILIES)
    return _FAMILIES[name]


def family_of(model: str) -> str:
    """Name the family that knows a model of this name. Raises `UnknownName` over the models of all families."""
    for name, entry in _FAMILIES.items():
        if model in entry.names():
            return name
    raise UnknownName("model", model, [known for entry in _FAMILIES.values() for known in entry.names()])
