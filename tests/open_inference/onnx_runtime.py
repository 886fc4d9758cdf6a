"""An MLServer runtime that runs an ONNX graph: `parameters.uri` of model-settings.json names it.

What the graph reads and answers is taken from the graph itself.
"""

from __future__ import annotations

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse, MetadataTensor
from mlserver.utils import get_model_uri

DATATYPES = {"tensor(float)": "FP32", "tensor(float16)": "FP16", "tensor(int64)": "INT64"}


def metadata(ports: list[onnxruntime.NodeArg]) -> list[MetadataTensor]:
    """Name, type and shape of each input or output; -1 for a length that varies."""
    return [
        MetadataTensor(
            name=port.name,
            datatype=DATATYPES[port.type],
            shape=[length if isinstance(length, int) else -1 for length in port.shape],
        )
        for port in ports
    ]


class OnnxRuntime(MLModel):
    """One graph, one run at a time."""

    async def load(self) -> bool:
        """Loads the graph."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        uri = await get_model_uri(self._settings)
        self._session = onnxruntime.InferenceSession(uri, options, ["CPUExecutionProvider"])
        self.inputs = metadata(self._session.get_inputs())
        self.outputs = metadata(self._session.get_outputs())
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Runs it."""
        feed = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        names = [output.name for output in self._session.get_outputs()]
        arrays = self._session.run(names, feed)
        outputs = [NumpyCodec.encode_output(*pair) for pair in zip(names, arrays, strict=True)]
        return InferenceResponse(model_name=self.name, model_version=self.version, id=payload.id, outputs=outputs)
