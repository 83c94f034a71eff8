"""Keras's weights, and SSR-Net against a computation without PyTorch."""

import h5py
import numpy as np
import pytest
import torch
from keras_files import ssrnet, ssrnet_layers, write_keras

from chronovox.checkpoints import keras
from chronovox.checkpoints.filling import fill
from chronovox.checkpoints.keras import read_keras
from chronovox.cli import UserError
from chronovox.faces import ages
from chronovox.models.ssrnet import SSRNet, SSRNetConfig

TWO = SSRNetConfig(stage_num=[2, 3, 4])


def network_of(path, config=TWO) -> SSRNet:
    with torch.device("meta"):
        network = SSRNet(config)
    fill(network, path)
    return network.eval()


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 64, 64, 3), np.uint8)


def compare(path, config, rtol: float) -> None:
    faces = pictures(4)
    found = [each.years for each in ages.estimate(network_of(path, config), [*faces])]
    np.testing.assert_allclose(found, ssrnet(path, faces), rtol=rtol)


def test_ssrnet_is_that_of_the_paper(tmp_path):
    compare(write_keras(tmp_path / "x.h5", ssrnet_layers(TWO)), TWO, 1e-5)


@pytest.mark.parametrize("name", ["imdb", "wiki", "morph2"])
def test_the_published_ssrnets_are_those_of_the_paper(shared_data, name):
    path = shared_data / f"weights/SSR-Net/ssrnet_{name}.h5"
    network = network_of(path, SSRNetConfig())
    state = network.state_dict()
    count = sum(v.numel() for k, v in state.items() if not k.endswith("_tracked"))
    assert count == 40_915  # as Keras counts; the paper says 40.9 thousand
    assert len(network.keras_layers) == len(read_keras(path))
    compare(path, SSRNetConfig(), 1e-5)


def test_every_weight_is_read(tmp_path):
    layers = ssrnet_layers(TWO)
    for root in ("/", "/model_weights"):
        path = write_keras(tmp_path / "x.h5", layers, root)
        found = read_keras(path)
        assert list(found) == list(layers)
        for layer, weights in layers.items():
            assert list(found[layer]) == list(weights)
            for weight, values in weights.items():
                np.testing.assert_array_equal(found[layer][weight], values)


def test_a_file_cut_off_anywhere_is_refused(tmp_path):
    layers = ssrnet_layers(SSRNetConfig(stage_num=[1, 1, 1]))
    whole = write_keras(tmp_path / "x.h5", layers).read_bytes()
    path = tmp_path / "cut.h5"
    for place in [0, 7, 8, 100, *range(1000, len(whole), 40001), len(whole) - 1]:
        path.write_bytes(whole[:place])
        with pytest.raises(UserError, match="cut.h5: no whole file of Keras weights"):
            read_keras(path)


@pytest.mark.parametrize(
    "changes",
    [
        {857: 188, 2559: 102, 2646: 128, 8389: 153, 8781: 255, 10888: 116, 11063: 255},
        {2209: 2, 5339: 255, 11245: 68, 12147: 0, 13343: 255},
    ],
    ids=["crash", "no end"],
)
def test_a_file_on_which_hdf5_crashes_or_never_ends_is_refused(
    tmp_path, monkeypatch, changes
):
    monkeypatch.setattr(keras, "TIME_LIMIT_S", 5)
    one = np.ones(3, np.float32)
    dense = {"kernel": np.ones((2, 3), np.float32), "bias": one}
    path = write_keras(tmp_path / "x.h5", {"dense_1": dense, "bn": {"gamma": one}})
    content = bytearray(path.read_bytes())
    for place, value in changes.items():
        content[place] = value
    path.write_bytes(content)
    with pytest.raises(UserError, match="x.h5: no whole file of Keras weights .HDF5"):
        read_keras(path)


def test_what_is_no_file_of_weights_is_refused(tmp_path):
    path = tmp_path / "x.h5"
    one = {"dense_1": {"kernel": np.ones((2, 3), np.float32)}}

    def refused(message: str) -> None:
        with pytest.raises(UserError, match=f"x.h5: no whole file .*{message}"):
            read_keras(path)

    path.write_bytes(b"<html>404</html>")
    refused("")
    h5py.File(path, "w").close()
    refused("has no attribute layer_names")
    write_keras(path, {})
    refused("no layer with weights")
    write_keras(path, one, layer_names=[b"dense_1", b"dense_1"])
    refused("dense_1/kernel is there twice")
    write_keras(path, one, layer_names=[b"dense_1", b"dense_2"])
    refused("dense_2")
    write_keras(path, {"dense_1": {"kernel": np.ones(3, np.int32)}})
    refused("int32")
    write_keras(path, {"dense_1": {"kernel": np.full(3, np.nan)}})
    refused("NaN or infinity")
    with pytest.raises(UserError, match="no such file"):
        read_keras(tmp_path)


def test_values_that_lie_elsewhere_or_are_packed_are_refused(tmp_path):
    path, size = tmp_path / "x.h5", (1000, 1000)
    (tmp_path / "secret").write_bytes(b"1234" * 10**6)
    for options in (
        {"external": [(str(tmp_path / "secret"), 0, 4 * 10**6)]},
        {"compression": "gzip", "data": np.ones(size, np.float32)},
        {"fillvalue": 1.0},
    ):
        with h5py.File(write_keras(path, {"dense_1": {}}), "a") as file:
            file["dense_1"].create_dataset("kernel:0", size, np.float32, **options)
            file["dense_1"].attrs["weight_names"] = [b"kernel:0"]
        with pytest.raises(UserError, match="not all in the file"):
            read_keras(path)


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "x.h5"
    layers = ssrnet_layers(TWO)
    for changed, message in (
        ({**layers, "dense_10": layers["dense_1"]}, "first 'dense_10.bias'"),
        ({**layers, "dense_1": {}}, "first 'stages.0.mix.0.bias'"),
        (ssrnet_layers(SSRNetConfig()), r"shape \(2, 160\) wanted, found \(3, 160\)"),
    ):
        with pytest.raises(UserError, match=message):
            network_of(write_keras(path, changed))
