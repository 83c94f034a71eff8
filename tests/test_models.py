"""The networks: what they compute, and that padding and batches do not matter."""

import numpy as np
import pytest
import soundfile
import torch

from chronovox import models
from chronovox.cli import UserError
from chronovox.features import Extractor, FeatureConfig, apply_cmn
from chronovox.models.extraction import length_batches, pad
from chronovox.models.pooling import VARIANCE_FLOOR, statistics_pooling
from chronovox.models.xvector import NORM_EPSILON

SMALL = {"type": "xvector", "width": 32, "pool_dim": 48, "embed_dim": 16}


def set_norms(network, features) -> None:
    """Give BatchNorm the statistics of `features`, as training would."""
    network.train()
    with torch.no_grad():
        for _ in range(50):
            network(features)
    network.eval()


def test_the_published_network_has_4_2_million_weights():
    network = models.build({"type": "xvector"}, 24)
    sizes = {name: p.numel() for name, p in network.named_parameters()}
    # Snyder et al. 2018, table 1: input x output of tdnn1 to segment6.
    expected = 120 * 512 + 1536 * 512 + 1536 * 512 + 512 * 512 + 512 * 1500 + 3000 * 512
    assert expected == 4_200_448
    assert sum(n for name, n in sizes.items() if "weight" in name) == expected
    assert sum(sizes.values()) == expected + 4 * 512 + 1500 + 512


def test_context_is_15_frames():
    network = models.build(SMALL, 4).eval()
    assert network.min_frames == 15
    features = torch.randn(1, 31, 4, requires_grad=True)
    frames = network.frames(features)
    assert frames.shape == (1, 17, 48)
    frames[:, 8].sum().backward()
    seen = features.grad[0].abs().sum(dim=1).nonzero().flatten()
    assert seen.tolist() == list(range(8, 23))
    assert network(torch.randn(3, 15, 4)).shape == (3, 16)


def affine_relu_norm(x, layer, splice):
    """A frame layer in numpy: spliced frames times a matrix, one output a frame."""
    weight = layer.affine.weight.detach().numpy()
    bias = layer.affine.bias.detach().numpy()
    out = []
    for t in range(-splice[0], len(x) - splice[-1]):
        total = bias.astype(np.float64)
        for place, offset in enumerate(splice):
            columns = slice(place * x.shape[1], (place + 1) * x.shape[1])
            total = total + weight[:, columns] @ x[t + offset]
        out.append(np.maximum(total, 0))
    mean, var = layer.norm.running_mean.numpy(), layer.norm.running_var.numpy()
    return (np.array(out) - mean) / np.sqrt(var + NORM_EPSILON)


def test_forward_against_numpy():
    torch.manual_seed(1)
    network = models.build(SMALL, 6)
    set_norms(network, torch.randn(4, 40, 6))
    features = np.random.default_rng(2).normal(size=(33, 6)).astype(np.float32)
    x = features.astype(np.float64)
    splices = [(-2, -1, 0, 1, 2), (-2, 0, 2), (-3, 0, 3), (0,), (0,)]
    for layer, splice in zip(network.frames, splices, strict=True):
        x = affine_relu_norm(x, layer, splice)
    std = np.sqrt(np.maximum(x.var(axis=0), VARIANCE_FLOOR))
    weight = network.segment6.weight.detach().numpy()
    bias = network.segment6.bias.detach().numpy()
    expected = weight @ np.concatenate([x.mean(axis=0), std]) + bias
    with torch.no_grad():
        embedding = network(torch.from_numpy(features)[None])[0].numpy()
    np.testing.assert_allclose(embedding, expected, rtol=1e-4, atol=1e-5)


def test_pooling_keeps_a_small_variance_on_a_large_mean():
    x = 1000 + 0.01 * np.random.default_rng(0).normal(size=(2, 500, 3))
    x = x.astype(np.float32)
    pooled = statistics_pooling(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(pooled[:, 3:], x.std(axis=1, dtype=float), rtol=1e-3)


def test_pooling_ignores_what_is_behind_the_lengths():
    torch.manual_seed(0)
    x = torch.randn(2, 20, 3)
    x[0, 12:] = float("nan")
    pooled = statistics_pooling(x, torch.tensor([12, 20]))
    alone = torch.cat([statistics_pooling(x[:1, :12]), statistics_pooling(x[1:])])
    torch.testing.assert_close(pooled, alone)


def test_pooling_of_one_frame_is_the_floor():
    pooled = statistics_pooling(torch.ones(1, 1, 2))
    assert pooled[0].tolist() == pytest.approx(
        [1, 1, VARIANCE_FLOOR**0.5] * 1 + [VARIANCE_FLOOR**0.5]
    )


def real_utterances(shared_data):
    """Features of 24 real utterances of 1 to 20 s."""
    paths = sorted((shared_data / "speech/librispeech_tc100").glob("*/*/*.flac"))
    assert len(paths) > 100
    extractor = Extractor(FeatureConfig(type="fbank"))
    rng = np.random.default_rng(0)
    matrices = []
    for number, dur_s in enumerate(np.linspace(1, 20, 24)):
        waves = [soundfile.read(p, dtype="float32")[0] for p in paths[number::50][:3]]
        wave = np.concatenate(waves)[: int(dur_s * 16000)]
        assert len(wave) == int(dur_s * 16000)
        matrices.append(apply_cmn(extractor(wave), "utterance"))
    return [matrices[n] for n in rng.permutation(24)]


@pytest.mark.parametrize("width", [64, 512])
def test_an_embedding_depends_on_its_utterance_alone(shared_data, width):
    torch.manual_seed(3)
    config = {"type": "xvector", "width": width, "pool_dim": 3 * width}
    network = models.build(config, 80)
    matrices = real_utterances(shared_data)
    set_norms(network, torch.stack([torch.from_numpy(m[:95]) for m in matrices]))
    rng = np.random.default_rng(4)
    with torch.inference_mode():
        alone = [network(torch.from_numpy(m)[None])[0] for m in matrices]
        for size in (2, 3, 5, 24):
            chosen = rng.permutation(24)[:size]
            features, lengths = pad([matrices[n] for n in chosen])
            longer = torch.randn(size, int(rng.integers(1, 300)), 80)
            features = torch.cat([features, longer], dim=1)
            for row, length in zip(features, lengths, strict=True):
                row[length:] = 30 * torch.randn_like(row[length:])
            for vector, n in zip(network(features, lengths), chosen, strict=True):
                difference = (vector - alone[n]).norm() / alone[n].norm()
                assert difference <= 1e-5


def test_batches_hold_every_utterance_once_within_the_bound():
    lengths = {f"u{n}": int(t) for n, t in enumerate([50, 10, 10, 500, 70, 70, 30])}
    batches = length_batches(lengths, 150)
    assert sorted(utt for batch in batches for utt in batch) == sorted(lengths)
    for batch in batches:
        padded = len(batch) * max(lengths[utt] for utt in batch)
        assert padded <= 150 or len(batch) == 1
    assert batches[-1] == ["u3"]


def test_an_unknown_network_or_key_is_named():
    with pytest.raises(UserError, match="type 'transformer' is not one of xvector"):
        models.build({"type": "transformer"}, 80)
    with pytest.raises(UserError, match="unknown key 'widht'.*'width'"):
        models.build({"type": "xvector", "widht": 3}, 80)
    with pytest.raises(UserError, match="from 1 to 65536"):
        models.build({"type": "xvector", "width": 0}, 80)


def test_a_network_that_is_too_large_is_said(monkeypatch):
    for width in (99999999, 10**24):
        with pytest.raises(UserError, match="are from 1 to 65536"):
            models.build({"type": "xvector", "width": width}, 80)

    def no_memory(config, feat_dim):
        raise RuntimeError("can't allocate memory\nand more")

    monkeypatch.setitem(models.MODELS, "xvector", (models.XVectorConfig, no_memory))
    with pytest.raises(UserError, match=r"'width': 9.*too large .*allocate memory\)$"):
        models.build({"type": "xvector", "width": 9}, 80)
