#!/usr/bin/env python3
"""Compare the VGG-16 of ages in its full size with what OpenCV makes of its weights.

Usage: tests/full/vgg16.py
  e.g.: tests/full/vgg16.py

A .caffemodel of random weights is written as the published ones are, and both read it:
OpenCV and our reader with our network. Prints the largest difference of the logits of
two pictures, relative to the largest logit, with seconds and memory; fails above 1e-3.
Needs 6 GB of memory, and 550 MB for the file in the temporary folder.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from caffe_files import largest_difference

from chronovox import cli
from chronovox.models.vgg16 import VGG16Config

LIMIT = 1e-3


def get_parser():
    return cli.parser(__doc__)


def main(argv=None) -> int:
    get_parser().parse_args(argv)
    begin = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        difference = largest_difference(Path(folder), VGG16Config(), generation=1)
    seconds = time.process_time() - begin
    memory_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"VGG-16, 224 x 224, against OpenCV: largest difference {difference:.1e}, "
        f"{seconds:.0f} s, {memory_gb:.1f} GB"
    )
    return 0 if difference <= LIMIT else 1


if __name__ == "__main__":
    cli.run(main)
