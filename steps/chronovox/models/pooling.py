"""Pooling over time, blind to padding."""

import torch

VARIANCE_FLOOR = 1e-5


def statistics_pooling(x, lengths=None):
    """Mean and standard deviation over time: `(B, T, C)` -> `(B, 2 C)` float32.

    lengths `(B,)`: frames of each row that count; None if all do. The variance is
    taken around the mean in a second pass: a difference of squares would lose it
    in float32.
    """
    x = x.float()
    if lengths is None:
        mean = x.mean(dim=1, keepdim=True)
        variance = (x - mean).square().mean(dim=1)
    else:
        inside = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        outside = ~inside[:, :, None]
        count = lengths.to(x.dtype)[:, None]
        mean = x.masked_fill(outside, 0.0).sum(dim=1) / count
        mean = mean[:, None]
        deviation = (x - mean).masked_fill(outside, 0.0)
        variance = deviation.square().sum(dim=1) / count
    return torch.cat([mean[:, 0], variance.clamp(min=VARIANCE_FLOOR).sqrt()], dim=1)
