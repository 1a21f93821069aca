"""From whole images to squares of one size, as Pillow resizes them, as an ONNX graph.

The graph does what `episodes.datasets.decoding.decode` does with upright RGB pixels, in the
arithmetic of Pillow, so that the pixels are the same. Large images are averaged over blocks, in
whole numbers. Then each axis is resized by a matrix product with bicubic weights of 22 bits, and
rounded to whole numbers; such sums are exact in float64. Versions of Pillow resize the two axes of
tall images in different orders, which changes some pixels by one. The graph follows the version
that is installed when it is made.

Source:
    Pillow 12.3.0 and 13.0.0: Image.resize in src/PIL/Image.py, src/libImaging/Reduce.c and
    Resample.c; python-pillow/Pillow#9524 and #9549 for the order of the axes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import PIL
from onnxscript import DOUBLE, FLOAT, UINT8, script
from onnxscript import opset20 as op

from episodes.types import Decoding

if TYPE_CHECKING:
    from onnx import ModelProto

# Element types of `Cast`.
FLOAT_32, INT_64, FLOAT_64 = 1, 7, 11


@script()
def bicubic(distance: DOUBLE) -> DOUBLE:
    """Return the weights of pixels at distances in pixels of the result."""
    x = op.Abs(distance)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    return op.Where(x < 1.0, near, op.Where(x < 2.0, far, 0.0 * x))


@script()
def weights_of(
    begin: DOUBLE, end: DOUBLE, out: DOUBLE, corner: DOUBLE, size: DOUBLE, n_pixels: DOUBLE
) -> DOUBLE:
    """Return how much each pixel of an axis weighs in each pixel of the result, [size, n_pixels].

    A weight of one is 2^22.

    Args:
        begin, end: the part of the axis that becomes the result.
        out: pixels of the result.
        corner: the pixel of the square at which the result begins.
        size: side of the square.
        n_pixels: pixels of the axis.
    """
    zero = 0.0 * out
    one = zero + 1.0
    first = op.Cast(begin, to=FLOAT_32)  # Pillow has single precision here
    length = op.Cast(op.Cast(end, to=FLOAT_32) - first, to=FLOAT_64)
    scale = length / out
    # Outside the result, which `padded` paints over, the nearest row is repeated.
    row = op.Max(op.Min(op.Range(zero, size, one) - corner, out - 1.0), zero)
    centre = op.Cast(first, to=FLOAT_64) + (row + 0.5) * scale
    distance = op.Unsqueeze(op.Range(zero, n_pixels, one), [0]) - op.Unsqueeze(centre, [1]) + 0.5
    weights = bicubic(distance / op.Max(scale, one))
    weights = weights / op.ReduceSum(weights, [1]) * 4194304.0
    return op.Cast(op.Cast(weights + 0.5 * op.Sign(weights), to=INT_64), to=FLOAT_64)


@script()
def rounded(sums: DOUBLE) -> DOUBLE:
    """Return the pixels, 0 to 255, of sums of weighted pixels."""
    zero = op.CastLike(0.0, sums)
    white = op.CastLike(255.0, sums)
    return op.Clip(op.Floor((sums + 2097152.0) / 4194304.0), zero, white)


@script()
def counts_of(length: DOUBLE, factor: DOUBLE) -> FLOAT:
    """Return how many pixels of an axis of some length each block has, [n_blocks]."""
    zero = 0.0 * length
    start = op.Range(zero, length, factor)
    return op.Cast(op.Min(length - start, factor), to=FLOAT_32)


@script()
def reduced(
    pixels: UINT8,
    height: DOUBLE,
    width: DOUBLE,
    factor_y: DOUBLE,
    factor_x: DOUBLE,
) -> DOUBLE:
    """Return the means over blocks of pixels [n, 3, h, w], rounded, as [n, 3, m, k].

    The last block of an axis may be smaller.
    """
    count_y = counts_of(height, factor_y)
    count_x = counts_of(width, factor_x)
    count = op.MatMul(op.Unsqueeze(count_y, [1]), op.Unsqueeze(count_x, [0]))
    m = op.Shape(count_y)
    k = op.Shape(count_x)
    y = op.Reshape(op.Cast(factor_y, to=INT_64), [1])
    x = op.Reshape(op.Cast(factor_x, to=INT_64), [1])
    missing_y = m * y - op.Shape(pixels, start=2, end=3)
    missing_x = k * x - op.Shape(pixels, start=3, end=4)
    padding = op.Concat([0, 0, 0, 0, 0, 0], missing_y, missing_x, axis=0)
    whole = op.Pad(pixels, padding, op.Cast(0, to=2))
    blocks = op.Reshape(op.Cast(whole, to=FLOAT_32), op.Concat([-1], m, y, k, x, axis=0))
    sums = op.Cast(op.ReduceSum(blocks, [2, 4], keepdims=0), to=FLOAT_64)
    # Pillow multiplies by 2^24 / count in whole numbers, and divides by 2^24.
    multiplier = op.Cast(op.Floor(4294967296.0 / (count * 256.0)), to=FLOAT_64)
    half = op.Cast(op.Floor(count / 2.0), to=FLOAT_64)
    means = op.Floor((sums + half) * multiplier / 16777216.0)
    return op.Reshape(means, op.Concat([-1, 3], m, k, axis=0))


@script()
def resized(
    images: UINT8,
    top: DOUBLE,
    left: DOUBLE,
    height: DOUBLE,
    width: DOUBLE,
    out_h: DOUBLE,
    out_w: DOUBLE,
    corner_y: DOUBLE,
    corner_x: DOUBLE,
    size: DOUBLE,
    pillow: DOUBLE,
) -> DOUBLE:
    """Resize a part of images and place it into a square; return [n, 3, size, size].

    Args:
        images: the images, [n, h, w, 3].
        top, left, height, width: the part.
        out_h, out_w: its height and width in the square.
        corner_y, corner_x: its place in the square.
        size: side of the square.
        pillow: the version of Pillow in whose order the axes are resized: 13.0 for it and later
            ones, 12.0 for 12.2 and 12.3, 11.0 for earlier ones.
    """
    h = op.Cast(op.Shape(images, start=1, end=2), to=FLOAT_64)
    w = op.Cast(op.Shape(images, start=2, end=3), to=FLOAT_64)
    h = op.Squeeze(h)
    w = op.Squeeze(w)
    zero = 0.0 * h
    one = zero + 1.0
    channels = op.Transpose(images, perm=[0, 3, 1, 2])
    factor_y = op.Max(op.Floor(height / out_h / 3.0), one)
    factor_x = op.Max(op.Floor(width / out_w / 3.0), one)
    if factor_y * factor_x > 1.0:
        # What lies outside affects no pixel of the result.
        margin_y = 1.5 * (height / out_h)
        margin_x = 1.5 * (width / out_w)
        y0 = op.Max(op.Floor(top - margin_y), zero)
        x0 = op.Max(op.Floor(left - margin_x), zero)
        y1 = op.Min(op.Ceil(top + height + margin_y), h)
        x1 = op.Min(op.Ceil(left + width + margin_x), w)
        begin = op.Cast(op.Concat(op.Unsqueeze(y0, [0]), op.Unsqueeze(x0, [0]), axis=0), to=INT_64)
        end = op.Cast(op.Concat(op.Unsqueeze(y1, [0]), op.Unsqueeze(x1, [0]), axis=0), to=INT_64)
        part = op.Slice(channels, begin, end, [2, 3])
        pixels = reduced(part, y1 - y0, x1 - x0, factor_y, factor_x)
    else:
        y0 = op.Identity(zero)
        x0 = op.Identity(zero)
        pixels = op.Cast(channels, to=FLOAT_64)
    n_y = op.Cast(op.Squeeze(op.Shape(pixels, start=2, end=3)), to=FLOAT_64)
    n_x = op.Cast(op.Squeeze(op.Shape(pixels, start=3, end=4)), to=FLOAT_64)
    y_begin = (top - y0) / factor_y
    x_begin = (left - x0) / factor_x
    y_end = (top + height - y0) / factor_y
    x_end = (left + width - x0) / factor_x
    rows = weights_of(y_begin, y_end, out_h, corner_y, size, n_y)
    columns = op.Transpose(weights_of(x_begin, x_end, out_w, corner_x, size, n_x), perm=[1, 0])
    # Pillow 12.2 resizes the vertical axis first if the image is very tall, Pillow 13 if that axis
    # shrinks by far more pixels, and earlier versions never.
    very_tall = op.And(pillow == 12.0, n_y > 100.0 * n_x)
    far_more = op.And(pillow == 13.0, n_y - out_h > 2.0 * (n_x - out_w))
    if op.And(n_y > out_h, op.Or(very_tall, far_more)):
        square = rounded(op.MatMul(rounded(op.MatMul(rows, pixels)), columns))
    else:
        square = rounded(op.MatMul(rows, rounded(op.MatMul(pixels, columns))))
    return square


@script()
def cropped(images: UINT8, size: DOUBLE, pillow: DOUBLE) -> DOUBLE:
    """Resize the middle square."""
    h = op.Squeeze(op.Cast(op.Shape(images, start=1, end=2), to=FLOAT_64))
    w = op.Squeeze(op.Cast(op.Shape(images, start=2, end=3), to=FLOAT_64))
    side = op.Min(h, w)
    zero = 0.0 * size
    top = (h - side) / 2.0
    left = (w - side) / 2.0
    return resized(images, top, left, side, side, size, size, zero, zero, size, pillow)


@script()
def squeezed(images: UINT8, size: DOUBLE, pillow: DOUBLE) -> DOUBLE:
    """Resize each axis to the same size."""
    h = op.Squeeze(op.Cast(op.Shape(images, start=1, end=2), to=FLOAT_64))
    w = op.Squeeze(op.Cast(op.Shape(images, start=2, end=3), to=FLOAT_64))
    zero = 0.0 * size
    return resized(images, zero, zero, h, w, size, size, zero, zero, size, pillow)


@script()
def padded(images: UINT8, size: DOUBLE, pillow: DOUBLE) -> DOUBLE:
    """Resize the longer axis to a size, and fill up the shorter one with white."""
    h = op.Squeeze(op.Cast(op.Shape(images, start=1, end=2), to=FLOAT_64))
    w = op.Squeeze(op.Cast(op.Shape(images, start=2, end=3), to=FLOAT_64))
    zero = 0.0 * size
    one = zero + 1.0
    scale = size / op.Max(h, w)
    out_h = op.Max(op.Round(h * scale), one)
    out_w = op.Max(op.Round(w * scale), one)
    y = op.Floor((size - out_h) / 2.0)
    x = op.Floor((size - out_w) / 2.0)
    square = resized(images, zero, zero, h, w, out_h, out_w, y, x, size, pillow)
    place = op.Range(zero, size, one)
    inside_y = op.And(place >= y, place < y + out_h)
    inside_x = op.And(place >= x, place < x + out_w)
    inside = op.And(op.Unsqueeze(inside_y, [1]), op.Unsqueeze(inside_x, [0]))
    return op.Where(inside, square, 0.0 * square + 255.0)


def order_of(version: str) -> float:
    """Return the argument `pillow` of `resized` for a version of Pillow, such as "12.3.0"."""
    major, minor = (int(part) for part in version.split(".", 2)[:2])
    if major >= 13:
        return 13.0
    return 12.0 if (major, minor) >= (12, 2) else 11.0


def model_of(decoding: Decoding) -> ModelProto:
    """Return the graph from `images`, uint8 [n, h, w, 3], to `pixels`, float [n, 3, size, size].

    The pixels are in [0, 1].
    """
    square = {"crop": cropped, "squeeze": squeezed, "pad": padded}[decoding.fit]
    side = float(decoding.size)
    version = order_of(PIL.__version__)

    @script(default_opset=op)
    def decode(images: UINT8) -> FLOAT:
        size = op.Cast(op.Constant(value_float=side), to=FLOAT_64)
        pillow = op.Cast(op.Constant(value_float=version), to=FLOAT_64)
        pixels = op.Cast(square(images, size, pillow), to=FLOAT_32) / 255.0
        return pixels

    shape = ("n", 3, decoding.size, decoding.size)
    return decode.to_model_proto(input_types=[UINT8["n", "h", "w", 3]], output_types=[FLOAT[shape]])
