"""Model families behind one protocol. Adding a family is adding a file (or a folder) and one line in `_FAMILIES`.

A family of your own: `models: [{source: "package.module:factory", name: …}]`, where `factory()` returns a `Family` or any other
`ModelFamily`.
"""

from __future__ import annotations

from scaling.errors import UnknownName
from trainer.models import nfnet, resnet, vit
from trainer.models.protocol import Family, ModelFamily, Network
from trainer.models.users import users_family
from trainer.typing import Options

__all__ = ["Family", "ModelFamily", "Network", "family", "family_of"]

_FAMILIES = {
    "nfnet": Family(
        names=nfnet.names,
        params=nfnet.params,
        macs=nfnet.macs,
        build=nfnet.build,
        check=nfnet.resolve,
        layer=nfnet.layer,
        activations=nfnet.activations,
        kept_activations=nfnet.kept_activations,
        total_stride=nfnet.total_stride,
    ),
    "resnet": Family(
        names=resnet.names,
        params=resnet.params,
        macs=resnet.macs,
        build=resnet.build,
        check=resnet.resolve,
        layer=resnet.layer,
        decayed=resnet.decayed,
        clipped=resnet.clipped,
        state=resnet.STATE,
        activations=resnet.activations,
        total_stride=resnet.total_stride,
    ),
    "vit": Family(
        names=vit.names,
        params=vit.params,
        macs=vit.macs,
        build=vit.build,
        check=vit.resolve,
        layer=vit.layer,
        decayed=vit.decayed,
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


def family_of(model: str, options: Options | None = None) -> str:
    """Name the family that knows a model of this name, or NFNet for a model that none knows and that has a `width`.

    Raises `UnknownName` over the models of all families.
    """
    for name, entry in _FAMILIES.items():
        if model in entry.names():
            return name
    if options and options.get("width"):
        return "nfnet"
    raise UnknownName("model", model, [known for entry in _FAMILIES.values() for known in entry.names()])
