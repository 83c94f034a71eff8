"""Pooling over time, blind to padding."""

import torch

VARIANCE_FLOOR = 1e-5


def statistics_pooling(x, lengths=None):
    """Mean and standard deviation over time: `(B, T, C)` -> `(B, 2 C)`.

    lengths `(B,)`: frames of each row that count; None if all do. The variance is
    taken around the mean in a second pass: a difference of squares would lose it
    in float32. Computed in float32, or in float64 if x is that.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
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


def map_statistics(x, lengths=None, per_frequency: bool = False):
    """Mean and standard deviation of the channels of a map `(B, C, F, T)`.

    Over all frequencies and frames: `(B, 2 C)`. per_frequency: over the frames at
    each frequency: `(B, 2 C F)`, where a channel's frequencies are side by side.
    lengths and arithmetic as in `statistics_pooling`; the means come first.
    """
    if per_frequency:
        return statistics_pooling(x.flatten(1, 2).transpose(1, 2), lengths)
    if lengths is not None:
        lengths = lengths * x.shape[2]
    return statistics_pooling(x.permute(0, 3, 2, 1).flatten(1, 2), lengths)
