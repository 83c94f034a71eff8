"""Caffe's weights: files of Google's encoder, networks that OpenCV runs beside ours."""

import os

import numpy as np
import pytest
import torch
from caffe_files import (
    NARROW,
    caffe_layers,
    largest_difference,
    net_parameter,
    write_caffemodel,
)

from chronovox.checkpoints.caffe import read_caffemodel
from chronovox.checkpoints.filling import fill
from chronovox.cli import UserError
from chronovox.models.vgg16 import VGG16, VGG16Config

TINY = VGG16Config(widths=[1, 1, 1, 1, 1], hidden=1)


@pytest.mark.parametrize("generation", [1, 2])
def test_vgg16_gives_what_opencv_gives(tmp_path, generation):
    assert largest_difference(tmp_path, NARROW, generation) <= 1e-4


@pytest.mark.parametrize("generation", [1, 2])
def test_every_blob_is_read(tmp_path, generation):
    layers = caffe_layers(NARROW)
    found = read_caffemodel(write_caffemodel(tmp_path / "x", layers, generation))
    assert list(found) == list(layers)
    for name, blobs in layers.items():
        for ours, theirs in zip(found[name], blobs, strict=True):
            shape = theirs.shape
            if generation == 1:
                shape = (1,) * (4 - theirs.ndim) + shape
            assert ours.shape == shape and ours.dtype == np.float32
            np.testing.assert_array_equal(ours.ravel(), theirs.ravel())


def test_the_full_network_has_the_published_size():
    with torch.device("meta"):
        network = VGG16(VGG16Config())
    sizes = [value.numel() for value in network.parameters()]
    assert sum(sizes) == 138_357_544 - 1000 * 4097 + 101 * 4097  # ImageNet's, for 101
    names = {name.split(".")[0] for name in network.state_dict()}
    assert len(names) == 16 and {"conv1_1", "conv5_3", "fc6", "fc8_101"} <= names


def test_a_file_cut_off_anywhere_fills_no_network(tmp_path):
    whole = write_caffemodel(tmp_path / "x.caffemodel", caffe_layers(TINY)).read_bytes()
    path = tmp_path / "cut.caffemodel"
    dropout = len(net_parameter()(layer=[{"name": "drop6", "type": "Dropout"}])
                  .SerializeToString())  # fmt: skip
    network = VGG16(TINY)
    places = range(len(whole) - dropout)
    for place in [*places[:600], *places[600::37], *places[-40:]]:
        path.write_bytes(whole[:place])
        with pytest.raises(UserError, match="cut.caffemodel"):
            fill(network, path)
    fill(network, tmp_path / "x.caffemodel")


def blob(**fields) -> bytes:
    net = net_parameter()()
    net.layer.add(name="fc6").blobs.add(**fields)
    return net.SerializeToString()


NAN, ONES = [float("nan")], [1.0] * 6
DAMAGED = {
    "empty": (b"", "the file is empty"),
    "html": (b"<html>404</html>", "unknown kind 4"),
    "no layer": (b"\x0a\x01x", "no layer with weights"),
    "no shape": (blob(data=ONES), "6 values for a blob of the shape 0 x 0 x 0 x 0"),
    "shape": (blob(data=ONES, shape={"dim": [2, 2]}), "6 values .* 2 x 2"),
    "negative": (blob(data=ONES, shape={"dim": [-2, -3]}), "6 values"),
    "huge": (blob(shape={"dim": [0, 2**62]}), "0 values"),
    "many axes": (blob(data=[1.0], shape={"dim": [1] * 33}), "1 values"),
    "not finite": (blob(data=NAN, shape={"dim": [1]}), "NaN or infinity"),
    "overflow": (blob(double_data=[1e300], shape={"dim": [1]}), "NaN or infinity"),
    "twice": (2 * blob(data=ONES, shape={"dim": [6]}), "layer 'fc6' is there twice"),
    "number 0": (b"\x02\x00", "the number 0"),
    "long number": (b"\xff" * 12, "more than ten bytes"),
    "layer that is a number": (b"\xa0\x06\x01", "a number where a message"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGED)
def test_what_is_no_caffemodel_is_refused(tmp_path, kind):
    content, message = DAMAGED[kind]
    path = tmp_path / "x.caffemodel"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"x.caffemodel: .*{message}.*: download it"):
        read_caffemodel(path)


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none", tmp_path, tmp_path / "pipe"):
        with pytest.raises(UserError, match="no such file"):
            read_caffemodel(path)


def test_doubles_and_numbers_one_by_one_are_read(tmp_path):
    values = np.array([0.5, -2.0, 4.0])
    doubles = blob(double_data=values, shape={"dim": [3]})
    floats = b"".join(b"\x2d" + np.float32(value).tobytes() for value in values)
    shape = b"\x3a\x02\x08\x03"  # dim 3, not packed
    size = bytes([len(floats + shape)])
    single = b"\x0a\x03fc6\x3a" + size + floats + shape
    single = b"\xa2\x06" + bytes([len(single)]) + single
    for content in (doubles, single):
        (tmp_path / "x").write_bytes(content)
        (found,) = read_caffemodel(tmp_path / "x")["fc6"]
        np.testing.assert_array_equal(found, values.astype(np.float32))


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "x.caffemodel"
    layers = caffe_layers(TINY)
    gender = {**layers, "fc8-2": layers["fc8-101"]}
    del gender["fc8-101"]
    wide = {**layers, "fc7": [np.ones((2, 1), np.float32), layers["fc7"][1]]}
    for changed, message in (
        (gender, "2 are missing, first 'fc8_101.bias'"),
        (
            {**layers, "fc9": layers["fc7"]},
            "2 are not in the network, first 'fc9.bias'",
        ),
        ({**layers, "fc7": [*layers["fc7"], np.ones(1)]}, "first 'fc7.blob 2'"),
        (wide, r"fc7.weight: shape \(1, 1\) wanted, found \(2, 1\)"),
    ):
        write_caffemodel(path, changed)
        with pytest.raises(UserError, match=message):
            fill(VGG16(TINY), path)
    with pytest.raises(UserError, match="read from .caffemodel, .h5, .pt, not '.onnx'"):
        fill(VGG16(TINY), "x.onnx")
