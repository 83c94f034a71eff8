"""Caffe models written by Google's own encoder, and the outputs that OpenCV gets."""

import functools
from pathlib import Path

import cv2
import numpy as np
import torch
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from chronovox.checkpoints.filling import fill
from chronovox.models.vgg16 import DEPTHS, VGG16, VGG16Config

# Of the ILSVRC training images, as published with VGG-16: blue, green, red.
MEAN_BGR = (103.939, 116.779, 123.68)

# Fields of caffe.proto that a file of weights needs: name, number, type, packed.
_INT64, _INT32, _FLOAT, _DOUBLE, _TEXT = "INT64", "INT32", "FLOAT", "DOUBLE", "STRING"
MESSAGES = {
    "BlobShape": [("dim", 1, _INT64, "packed")],
    "BlobProto": [
        ("num", 1, _INT32, ""), ("channels", 2, _INT32, ""), ("height", 3, _INT32, ""),
        ("width", 4, _INT32, ""), ("data", 5, _FLOAT, "packed"),
        ("shape", 7, "BlobShape", ""), ("double_data", 8, _DOUBLE, "packed"),
    ],
    "LayerParameter": [
        ("name", 1, _TEXT, ""), ("type", 2, _TEXT, ""),
        ("blobs", 7, "BlobProto", "repeated"),
    ],
    "V1LayerParameter": [
        ("name", 4, _TEXT, ""), ("type", 5, _INT32, ""),
        ("blobs", 6, "BlobProto", "repeated"),
    ],
    "NetParameter": [
        ("name", 1, _TEXT, ""), ("layers", 2, "V1LayerParameter", "repeated"),
        ("layer", 100, "LayerParameter", "repeated"),
    ],
}  # fmt: skip
_V1_CONVOLUTION, _V1_INNER_PRODUCT, _V1_DROPOUT = 4, 14, 6
NARROW = VGG16Config(widths=[4, 4, 6, 8, 8], hidden=24)


@functools.cache
def net_parameter():
    """The class of the message NetParameter."""
    file = descriptor_pb2.FileDescriptorProto(name="x.proto", package="caffe")
    for message, fields in MESSAGES.items():
        made = file.message_type.add(name=message)
        for name, number, kind, more in fields:
            field = made.field.add(name=name, number=number)
            field.label = field.LABEL_REPEATED if more else field.LABEL_OPTIONAL
            if kind in MESSAGES:
                field.type, field.type_name = field.TYPE_MESSAGE, f".caffe.{kind}"
            else:
                field.type = getattr(field, f"TYPE_{kind}")
            field.options.packed = more == "packed"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName("caffe.NetParameter")
    return message_factory.GetMessageClass(found)


def caffe_layers(config: VGG16Config, seed: int = 0) -> dict[str, list[np.ndarray]]:
    """Random weights and biases of VGG-16, by the names of the published layers."""
    torch.manual_seed(seed)
    layers: dict[str, list[np.ndarray]] = {}
    for name, value in VGG16(config).state_dict().items():
        layer, kind = name.split(".")
        if kind == "bias":
            value = 0.1 * torch.randn(value.shape)
        layers.setdefault(layer.replace("fc8_101", "fc8-101"), []).append(value.numpy())
    return layers


def caffemodel(layers, generation: int = 2) -> bytes:
    """generation: 1 for `layers`, whose blobs have four dimensions, 2 for `layer`."""
    net = net_parameter()(name="VGG_ILSVRC_16_layers")
    add = net.layer.add if generation == 2 else net.layers.add
    add(name="data")
    for name, blobs in layers.items():
        layer = add(name=name)
        convolution = blobs[0].ndim == 4
        if generation == 2:
            layer.type = "Convolution" if convolution else "InnerProduct"
        else:
            layer.type = _V1_CONVOLUTION if convolution else _V1_INNER_PRODUCT
        for values in blobs:
            blob = layer.blobs.add()
            if generation == 2:
                blob.shape.dim.extend(values.shape)
            else:
                sizes = [1] * (4 - values.ndim) + list(values.shape)
                blob.num, blob.channels, blob.height, blob.width = sizes
            blob.data.extend(values.ravel())
    add(name="drop6", type="Dropout" if generation == 2 else _V1_DROPOUT)
    return net.SerializeToString()


def write_caffemodel(path, layers, generation: int = 2) -> Path:
    Path(path).write_bytes(caffemodel(layers, generation))
    return Path(path)


def prototxt(config: VGG16Config) -> str:
    """The network as Caffe describes it, from pictures to `prob`."""
    text = [
        'name: "VGG" input: "data"',
        "input_dim: 1 input_dim: 3 input_dim: 224 input_dim: 224",
    ]
    bottom = "data"

    def add(name, kind, settings, top=None):
        nonlocal bottom
        top = top or name
        text.append(
            f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" '
            f'top: "{top}" {settings} }}'
        )
        bottom = top

    for block, (width, depth) in enumerate(zip(config.widths, DEPTHS, strict=True), 1):
        for number in range(1, depth + 1):
            name = f"conv{block}_{number}"
            sizes = f"num_output: {width} pad: 1 kernel_size: 3"
            add(name, "Convolution", f"convolution_param {{ {sizes} }}")
            add(f"relu{block}_{number}", "ReLU", "", top=name)
        add(f"pool{block}", "Pooling",
            "pooling_param { pool: MAX kernel_size: 2 stride: 2 }")  # fmt: skip
    for number, (name, size) in enumerate(
        [("fc6", config.hidden), ("fc7", config.hidden), ("fc8-101", 101)], 6
    ):
        add(name, "InnerProduct", f"inner_product_param {{ num_output: {size} }}")
        if number < 8:
            add(f"relu{number}", "ReLU", "", top=name)
            add(f"drop{number}", "Dropout", "dropout_param { dropout_ratio: 0.5 }",
                top=name)  # fmt: skip
    add("prob", "Softmax", "")
    return "\n".join(text)


def largest_difference(folder: Path, config: VGG16Config, generation: int) -> float:
    """Between logits from OpenCV and from our network, relative to the largest.

    Both read the same .caffemodel of random weights, which is removed.
    """
    layers = caffe_layers(config)
    weights = write_caffemodel(folder / "x.caffemodel", layers, generation)
    del layers
    (folder / "x.prototxt").write_text(prototxt(config))
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    net = cv2.dnn.readNetFromCaffe(str(folder / "x.prototxt"), str(weights))
    net.setInput(cv2.dnn.blobFromImages(list(images), mean=MEAN_BGR))
    theirs, their_posteriors = net.forward(["fc8-101", "prob"])
    del net
    with torch.device("meta"):
        network = VGG16(config)
    fill(network, weights)
    weights.unlink()
    with torch.inference_mode():
        ours = network.eval()(torch.from_numpy(images).permute(0, 3, 1, 2).float())
    np.testing.assert_allclose(
        ours.softmax(dim=1).numpy(), their_posteriors, rtol=2e-2, atol=1e-4
    )
    return float(np.abs(ours.numpy() - theirs).max() / np.abs(theirs).max())
