"""The networks of voices, by name: features `(B, T, F)` to embeddings `(B, D)`.

A network's module has a dataclass of settings, the attribute `embed_dim`, and
`min_frames`, the shortest input it takes. Those of faces stand beside them; the room
faces names them.
"""

import dataclasses

from chronovox.cli import UserError
from chronovox.config import from_dict
from chronovox.models.resnet import ResNet, ResNetConfig
from chronovox.models.xvector import XVector, XVectorConfig

# Name -> (settings, network).
MODELS = {"xvector": (XVectorConfig, XVector), "resnet": (ResNetConfig, ResNet)}


def resolve(config: dict, where: str = "model", networks: dict = MODELS) -> dict:
    """The settings `{type: NAME, ...}` of one of `networks`, every default filled in.

    Raises UserError for an unknown network, or an unknown or ill-typed key.
    """
    options = dict(config)
    name = options.pop("type", None)
    if not isinstance(name, str) or name not in networks:
        raise UserError(f"{where}: type {name!r} is not one of {', '.join(networks)}")
    settings = from_dict(options, networks[name][0], where)
    return {"type": name, **dataclasses.asdict(settings)}


def build(config: dict, feat_dim: int):
    """The network that `config` describes, for features of `feat_dim` values.

    Raises UserError as `resolve` does, and for a network too large for the memory.
    """
    options = resolve(config)
    settings_class, network_class = MODELS[options.pop("type")]
    try:
        return network_class(settings_class(**options), feat_dim)
    except RuntimeError as error:
        text = str(error).splitlines()[0]
        raise UserError(
            f"model: {options}: too large for the memory, take smaller numbers ({text})"
        ) from None
