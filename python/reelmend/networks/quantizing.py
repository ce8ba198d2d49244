"""int8 by pairs of QuantizeLinear and DequantizeLinear, calibrated on pictures."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ..engines.network import Part
from ..engines.onnxruntime import runtime
from ..errors import NetworkError

__all__ = ["quantized"]


def quantized(model: onnx.ModelProto, part: Part, pictures: Sequence[NDArray[np.float32]]) -> onnx.ModelProto:
    """A graph whose convolutions, but the first and the last, take int8 samples and int8 weights.

    Static and symmetric; weights have a scale a channel; ranges are the smallest and largest seen in `pictures`, which
    are float32 (1, 3, h, w), RGB, 0..1. Biases and all else stay fp32.

    Raises NetworkError for a part that takes other than one picture, or that has not three convolutions or more.
    """
    runtime()  # first, or importing it would report its use
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    if len(part.inputs) != 1 or part.inputs[0].kind != "picture":
        raise NetworkError("int8 is made of parts that take one picture, and this one takes other inputs")
    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    if len(convolutions) < 3:
        raise NetworkError(f"int8 keeps the first and last convolutions in fp32, and there are {len(convolutions)}")
    name = part.inputs[0].name

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left: Iterator[NDArray[np.float32]] = iter(pictures)

        def get_next(self) -> dict[str, Any] | None:
            picture = next(self.left, None)
            return None if picture is None else {name: _cut(picture, part.multiple)}

    logger = logging.getLogger()
    level = logger.level
    source = onnx.ModelProto()
    source.CopyFrom(model)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)  # the quantizer recommends a preparation that is done here already
        try:
            quantize_static(
                source,
                Path(folder) / "q.onnx",
                Reader(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=[convolutions[0], convolutions[-1]],
                extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
            )
        finally:
            logger.setLevel(level)
        made = onnx.load(Path(folder) / "q.onnx")
    del made.graph.value_info[:]
    made.producer_name, made.producer_version = model.producer_name, model.producer_version
    return made


def _cut(picture: NDArray[np.float32], multiple: int) -> NDArray[np.float32]:
    rows, columns = (n // multiple * multiple for n in picture.shape[-2:])
    return np.ascontiguousarray(picture[..., :rows, :columns], np.float32)
