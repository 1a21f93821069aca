"""Where the weights of a network come from, under which licence, and their hash."""

from __future__ import annotations

from pathlib import Path

from fewshot.backbones import hub, imagenet_packages, own_weights
from fewshot.config import BackboneSettings
from fewshot.config.origins import Origin


def origin(settings: BackboneSettings, path: Path | None) -> Origin:
    """Return the origin of the weights of one network.

    Args:
        settings: the network.
        path: the file of its weights, as `factory.weights_file` returns it.
    """
    name = settings.name
    if settings.weights == "none":
        return Origin(name, "random", "")
    if settings.weights != "pretrained":
        assert path is not None
        return Origin(name, f"{name}, a file", path.name, sha256=own_weights.content_hash(path))
    if path is None:
        return _of_hub(name)
    sha256 = own_weights.content_hash(path)
    if name in imagenet_packages.PACKAGES:
        package = imagenet_packages.PACKAGES[name]
        source = f"{package.name} {imagenet_packages.version(name)}"
        return Origin(name, f"{name}, ImageNet", source, package.licence, sha256)
    data = own_weights.card(path).get("data", "unknown data")
    return Origin(name, f"{name}, {data}", "shipped with fewshot", "MIT", sha256)


def _of_hub(name: str) -> Origin:
    """Return the origin of weights that timm publishes, with the hash of the file if it is here."""
    from timm.models import get_pretrained_cfg

    published = None if name.startswith(("hf-hub:", "local-dir:")) else get_pretrained_cfg(name)
    if published is None:
        return Origin(name, f"{name}, published", name)
    path = hub.cached(published)
    sha256 = "" if path is None else own_weights.content_hash(path)
    tagged = f"{published.architecture}.{published.tag}" if published.tag else name
    source = published.hf_hub_id or str(published.url or "")
    return Origin(name, tagged, source, (published.license or "").strip(), sha256)
