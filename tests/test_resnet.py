"""ResNet34: what it computes, its published form, and that padding does not matter."""

import functools
import math
import re

import numpy as np
import pytest
import torch
from conftest import ROOT, absent
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.signal import correlate2d
from test_models import set_norms
from training_data import make_dir, write_settings

import train_embedding
from chronovox import models
from chronovox.cli import UserError
from chronovox.models.extraction import pad
from chronovox.models.pooling import VARIANCE_FLOOR, map_statistics
from chronovox.training import settings as training_settings
from chronovox.training.checkpoint import load_state

TINY = {"type": "resnet", "channels": 2, "blocks": [1, 2, 1, 1], "embed_dim": 6}
POOLINGS = ("global", "frequency")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def build(feat_dim: int, num_frames: int = 40, **options):
    """A network with statistics in its norms, ready for evaluation."""
    torch.manual_seed(5)
    network = models.build({**TINY, **options}, feat_dim)
    set_norms(network, 1 + 2 * torch.randn(4, num_frames, feat_dim))
    for name, parameter in network.named_parameters():
        if "bn" in name or "shortcut.1" in name:  # as if trained
            parameter.data += 0.2 * torch.randn_like(parameter)
    return network.eval()


# --- the published form


def test_the_published_networks_have_6_6_and_5_5_million_weights():
    for pooling, pooled_dim in (("frequency", 5120), ("global", 512)):
        network = models.build({"type": "resnet", "pooling": pooling}, 80)
        assert network.embedding.in_features == pooled_dim
        # 6634336: WeSpeaker's ResNet34-TSTP-256.
        expected = 6_634_336 - 256 * (5120 - pooled_dim)
        assert sum(p.numel() for p in network.parameters()) == expected


def test_names_and_shapes_are_the_published_ones(shared_data):
    """All keys agree but those of the last layer: `seg_1` there, `embedding` here."""
    path = shared_data.parent / "specs/wespeaker_keys/resnet34_tstp_256.txt"
    if not path.is_file():
        absent(f"no list of published keys at {path}")
    published = dict(re.findall(r"^(\S+) \((.*)\)$", path.read_text(), re.MULTILINE))
    assert len(published) == 218
    network = models.build({"type": "resnet", "pooling": "frequency"}, 80)
    own = {
        name.replace("embedding", "seg_1"): str(tuple(value.shape))[1:-1]
        for name, value in network.state_dict().items()
    }
    assert list(own.items()) == list(published.items())


def test_convolutions_start_as_kaiming_s():
    torch.manual_seed(0)
    network = models.build({"type": "resnet", "channels": 16}, 80)
    for block, width in ((network.layer2[0], 32), (network.layer4[0], 128)):
        std = block.conv1.weight.std().item()  # of width / 2 channels
        assert std == pytest.approx(math.sqrt(2 / (9 * width)), rel=0.1)


# --- what it computes


def convolve(x, layer):
    """`(C, F, T)` with zeros around it, correlated with a layer's kernels."""
    weight, stride = layer.weight.detach().numpy(), layer.stride[0]
    sums = [
        sum(correlate2d(x[i], kernel[i], mode="same") for i in range(len(x)))
        for kernel in weight
    ]
    return np.array(sums)[:, ::stride, ::stride]


def normalise(x, norm):
    shape = (-1, 1, 1)
    weight, bias, mean, var = (
        value.detach().numpy().reshape(shape)
        for value in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    return (x - mean) / np.sqrt(var + norm.eps) * weight + bias


def block_by_hand(x, block):
    y = np.maximum(normalise(convolve(x, block.conv1), block.bn1), 0)
    y = normalise(convolve(y, block.conv2), block.bn2)
    if not isinstance(block.shortcut, torch.nn.Identity):
        x = normalise(convolve(x, block.shortcut[0]), block.shortcut[1])
    return np.maximum(y + x, 0)


def pool_by_hand(x, pooling):
    """`(C, F, T)` -> `(2 C,)` or `(2 C F,)`."""
    rows = [row for channel in x for row in channel]
    if pooling == "global":
        rows = [channel.ravel() for channel in x]
    means = [row.sum() / row.size for row in rows]
    variances = [
        np.square(row - mean).sum() / row.size
        for row, mean in zip(rows, means, strict=True)
    ]
    return np.array(means + [max(v, VARIANCE_FLOOR) ** 0.5 for v in variances])


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("num_frames", [9, 21])
def test_forward_against_numpy(pooling, num_frames):
    network = build(11, pooling=pooling).double()
    features = np.random.default_rng(2).normal(size=(num_frames, 11))
    x = normalise(convolve(features.T[None], network.conv1), network.bn1)
    x = np.maximum(x, 0)
    stages = (network.layer1, network.layer2, network.layer3, network.layer4)
    for block in [block for stage in stages for block in stage]:
        x = block_by_hand(x, block)
    assert x.shape == (16, 2, -(-num_frames // 8))
    weight = network.embedding.weight.detach().numpy()
    expected = weight @ pool_by_hand(x, pooling)
    expected = expected + network.embedding.bias.detach().numpy()
    with torch.no_grad():
        embedding = network(torch.from_numpy(features)[None])[0].numpy()
    np.testing.assert_allclose(embedding, expected, rtol=1e-10)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_of_maps_against_numpy(pooling):
    rng = np.random.default_rng(3)
    x = rng.normal(2, 3, size=(3, 4, 5, 7))
    x[:, 1] = 8.0  # a dead channel: the variance's floor
    lengths = [7, 1, 4]
    for row, length in zip(x, lengths, strict=True):
        row[:, :, length:] = np.nan
    per_frequency = pooling == "frequency"
    pooled = map_statistics(torch.from_numpy(x), torch.tensor(lengths), per_frequency)
    assert pooled.shape == (3, 40 if per_frequency else 8)
    for own, row, length in zip(pooled, x, lengths, strict=True):
        expected = pool_by_hand(row[:, :, :length], pooling)
        np.testing.assert_allclose(own, expected, rtol=1e-12)
    whole = map_statistics(torch.from_numpy(x[:1]), None, per_frequency)
    np.testing.assert_allclose(whole, pooled[:1], rtol=1e-12)
    single = map_statistics(torch.from_numpy(x[:1]).bfloat16(), None, per_frequency)
    assert single.dtype == torch.float32


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_shortest_input_gives_finite_values(pooling):
    network = build(80, pooling=pooling)
    assert network.min_frames == 9
    with torch.no_grad():
        assert network.feature_map(torch.zeros(1, 9, 80))[0].shape == (1, 16, 10, 2)
        for features in (torch.randn(3, 9, 80), torch.zeros(3, 9, 80)):
            embeddings = network(features, torch.tensor([9, 9, 9]))
            assert embeddings.shape == (3, 6) and embeddings.isfinite().all()
            torch.testing.assert_close(network(features), embeddings)


def test_the_output_repeats_by_itself():
    features = torch.randn(2, 33, 12)
    first, second = build(12), build(12)
    with torch.no_grad():
        expected = first(features)
        assert torch.equal(first(features), expected)
        assert torch.equal(second(features), expected)
    assert not torch.equal(expected[0], expected[1])


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("channels", [1, 8])
def test_training_gives_every_weight_a_finite_gradient(pooling, channels):
    torch.manual_seed(0)
    config = {**TINY, "channels": channels, "pooling": pooling}
    network = models.build(config, 10).train()
    network(torch.randn(4, 30, 10)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


# --- an embedding depends on its utterance alone


def worst_difference(network, matrices, extra: int, filler: float) -> float:
    """The largest relative difference between embeddings alone and in one batch.

    extra: frames of padding behind the longest; filler: what the padding holds.
    """
    features, lengths = pad(matrices)
    features = torch.nn.functional.pad(features, (0, 0, 0, extra))
    for row, length in zip(features, lengths, strict=True):
        row[length:] = filler
    dtype = network.embedding.weight.dtype
    with torch.inference_mode():
        together = network(features.to(dtype), lengths)
        alone = [network(torch.from_numpy(m)[None].to(dtype))[0] for m in matrices]
    return max(
        ((vector - own).norm() / own.norm()).item()
        for vector, own in zip(together, alone, strict=True)
    )


def noise(lengths, feat_dim: int, seed: int = 0) -> list[np.ndarray]:
    """Noise whose mean and spread differ from one utterance to the other."""
    rng = np.random.default_rng(seed)
    shape = (len(lengths), 1, feat_dim)
    means, spreads = rng.normal(1, 1, shape), rng.uniform(0.5, 4, shape)
    return [
        (mean + spread * rng.normal(size=(length, feat_dim))).astype(np.float32)
        for length, mean, spread in zip(lengths, means, spreads, strict=True)
    ]


@functools.cache
def exact_network(feat_dim: int, pooling: str):
    return build(feat_dim, pooling=pooling).double()


@given(
    st.lists(st.integers(9, 70), min_size=1, max_size=4),
    st.integers(0, 20),
    st.sampled_from([0.0, 30.0, float("nan")]),
    st.sampled_from([7, 16]),
    st.sampled_from(POOLINGS),
)
@hypothesis_settings(max_examples=80, deadline=None, derandomize=True)
def test_neighbours_and_padding_do_not_matter(
    lengths, extra, filler, feat_dim, pooling
):
    network, matrices = exact_network(feat_dim, pooling), noise(lengths, feat_dim)
    assert worst_difference(network, matrices, extra, filler) <= 1e-10


@pytest.mark.parametrize("pooling", POOLINGS)
def test_in_float32_neither_at_1_to_20_s(pooling):
    network = build(80, 200, channels=8, blocks=[3, 4, 6, 3], pooling=pooling)
    matrices = noise([100, 2000, 101, 333, 1250, 176], 80)
    for chosen in ([0, 1], [2, 3, 5], [1, 4, 3, 0]):
        some = [matrices[n] for n in chosen]
        assert worst_difference(network, some, 13, 30.0) <= 1e-5


@pytest.mark.parametrize("pooling", POOLINGS)
def test_no_gradient_reaches_the_padding(pooling):
    network = build(9, pooling=pooling)
    features = torch.randn(2, 32, 9, requires_grad=True)
    network(features, torch.tensor([21, 32]))[0].sum().backward()
    seen = features.grad.abs().sum(dim=2) > 0
    assert seen[0].nonzero().flatten().tolist() == list(range(21))
    assert not seen[1].any()


@pytest.mark.parametrize("pooling", POOLINGS)
def test_bfloat16_keeps_the_direction(pooling):
    network = build(80, 60, channels=8, blocks=[3, 4, 6, 3], pooling=pooling)
    features, lengths = pad(noise([100, 173, 52], 80))
    with torch.inference_mode():
        exact = network(features, lengths)
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(features, lengths)
    assert rough.dtype == torch.bfloat16
    assert torch.cosine_similarity(exact, rough.float()).min() >= 0.999


# --- settings and training


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 0}, "model: channels is from 1 to 512"),
        ({"channels": 10**9}, "model: channels is from 1 to 512"),
        ({"blocks": [3, 4, 6]}, r"model: blocks is 4 numbers .* \[3, 4, 6, 3\]"),
        ({"blocks": []}, "model: blocks is 4 numbers"),
        ({"blocks": [3, 0, 6, 3]}, "model: blocks is 4 numbers from 1 to 100"),
        ({"blocks": [3, 4, 6, 101]}, "model: blocks is 4 numbers from 1 to 100"),
        ({"blocks": [3, 4.5, 6, 3]}, r"model: blocks\[1\]: expected int, got 4.5"),
        ({"embed_dim": 0}, "model: embed_dim is from 1 to 65536"),
        ({"pooling": "max"}, "'max' is not one of global, frequency"),
        ({"width": 3}, "unknown key 'width'"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        models.build({**TINY, **changes}, 80)


def test_the_recipe_s_settings_are_those_of_a_resnet34():
    model = training_settings.load(ROOT / "conf/resnet34_aam.yaml").model
    assert model == {
        "type": "resnet", "channels": 8, "blocks": [3, 4, 6, 3],
        "pooling": "global", "embed_dim": 256,
    }  # fmt: skip


def test_it_learns_to_tell_unseen_speakers_apart(tmp_path, caplog):
    caplog.set_level("INFO")
    config = write_settings(
        tmp_path / "resnet.yaml", model={**TINY, "channels": 4, "embed_dim": 12}
    )
    train = make_dir(tmp_path / "train", [f"t{n}" for n in range(24)])
    dev = make_dir(tmp_path / "dev", [f"d{n}" for n in range(5)], seed=1)
    exp = tmp_path / "exp"
    assert train_embedding.main([str(path) for path in (config, train, dev, exp)]) == 0
    rates = [float(x) for x in re.findall(r"development EER ([\d.]+)", caplog.text)]
    assert len(rates) == 2 and rates[-1] < 25
    network = models.build(training_settings.load(exp / "config.yaml").model, 8)
    network.load_state_dict(load_state(exp / "final.pt"))
