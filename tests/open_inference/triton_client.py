"""Asks a Plugrank server as Triton's own client does, and holds it to a bundle's reference rows.

    python triton_client.py HOST:PORT BUNDLE_FOLDER

Ends with an assertion where the server does not keep to the protocol.
"""

from __future__ import annotations

import json
import pathlib
import struct
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tritonclient import http
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

MODELS = ("unified", "idrec")
DTYPES = {"F16": np.float16, "F32": np.float32, "I64": np.int64}
Arrays = dict[str, np.ndarray]


class Reference:
    """The reference rows of a bundle: inputs of each graph, and what it must answer."""

    def __init__(self, bundle: pathlib.Path) -> None:
        self.manifest = json.loads((bundle / "manifest.json").read_text())
        content = (bundle / self.manifest["reference"]["file"]).read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8 : 8 + length])
        header.pop("__metadata__", None)
        self.tolerance = self.manifest["reference"]["tolerance"]
        self._arrays: Arrays = {}
        for name, entry in header.items():
            start, end = (8 + length + offset for offset in entry["data_offsets"])
            array = np.frombuffer(content[start:end], DTYPES[entry["dtype"]])
            self._arrays[name] = array.reshape(entry["shape"])

    def of(self, graph: str, kind: str) -> Arrays:
        """Tensors of a graph by name; `kind` is `in` or `out`."""
        prefix = f"{graph}/{kind}/"
        names = (name for name in self._arrays if name.startswith(prefix))
        return {name.removeprefix(prefix): self._arrays[name] for name in names}


def tensors(arrays: Arrays, binary: bool) -> list[http.InferInput]:
    inputs = []
    for name, array in arrays.items():
        tensor = http.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array, binary_data=binary)
        inputs.append(tensor)
    return inputs


def refused(client: http.InferenceServerClient, model: str, arrays: Arrays, **more: object) -> str:
    """The error that a request meets: status and message."""
    try:
        client.infer(model, tensors(arrays, binary=True), **more)
    except InferenceServerException as error:
        return f"{error.status()} {error.message()}"
    raise AssertionError(f"{model} took what it cannot take")


def check_metadata(client: http.InferenceServerClient, reference: Reference) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    server = client.get_server_metadata()
    assert server["name"] == "plugrank", server
    assert "binary_tensor_data" in server["extensions"], server
    version = reference.manifest["version"]
    for model in MODELS:
        assert client.is_model_ready(model)
        assert client.is_model_ready(model, version)
        metadata = client.get_model_metadata(model, version)
        assert metadata["versions"] == [version], metadata
        for kind in ("inputs", "outputs"):
            for found, spec in zip(metadata[kind], reference.manifest["graphs"][model][kind], strict=True):
                dtype = {"f16": "FP16", "f32": "FP32", "i64": "INT64"}[spec["dtype"]]
                shape = [length if isinstance(length, int) else -1 for length in spec["shape"]]
                assert found == {"name": spec["name"], "datatype": dtype, "shape": shape}, found
    assert not client.is_model_ready("nobody")
    assert not client.is_model_ready("unified", "another")


def check_answers(client: http.InferenceServerClient, model: str, reference: Reference) -> float:
    """Every form of request and answer gives the reference; the largest difference."""
    inputs, expected = reference.of(model, "in"), reference.of(model, "out")["logit"]
    worst = 0.0
    for binary_in in (True, False):
        for outputs in (
            None,
            [http.InferRequestedOutput("logit", binary_data=True)],
            [http.InferRequestedOutput("logit", binary_data=False)],
        ):
            for compression in (None, "gzip"):
                result = client.infer(
                    model,
                    tensors(inputs, binary_in),
                    outputs=outputs,
                    request_id="request 7",
                    timeout=20_000_000,
                    request_compression_algorithm=compression,
                )
                response = result.get_response()
                assert response["id"] == "request 7", response
                assert response["model_name"] == model, response
                assert response["model_version"] == reference.manifest["version"], response
                logit = result.as_numpy("logit")
                assert logit.shape == expected.shape
                assert logit.dtype == np.float32
                worst = max(worst, float(np.abs(logit - expected).max()))
    assert worst <= reference.tolerance, worst
    return worst


def check_one_by_one(url: str, model: str, reference: Reference) -> None:
    """Users asked for one by one, side by side, get what they get together."""
    inputs, expected = reference.of(model, "in"), reference.of(model, "out")["logit"]

    def ask(number: int) -> float:
        user = number % len(expected)
        client = http.InferenceServerClient(url)
        alone = {name: array[user : user + 1] for name, array in inputs.items()}
        logit = client.infer(model, tensors(alone, binary=True)).as_numpy("logit")
        client.close()
        return float(np.abs(logit - expected[user]).max())

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(ask, range(32))) <= reference.tolerance


def check_split(client: http.InferenceServerClient, reference: Reference, times: int) -> None:
    """More candidates than a batch has room for come back whole and in order."""
    inputs, expected = reference.of("unified", "in"), reference.of("unified", "out")["logit"]
    many = {
        name: np.concatenate([array] * times, axis=1) if name.startswith("candidate_") else array
        for name, array in inputs.items()
    }
    logit = client.infer("unified", tensors(many, binary=True)).as_numpy("logit")
    assert np.abs(logit - np.concatenate([expected] * times, axis=1)).max() <= reference.tolerance


def check_refusals(client: http.InferenceServerClient, reference: Reference) -> None:
    inputs = reference.of("unified", "in")
    bias = inputs["user_bias_user"]
    for change, says in (
        ({"user_bias_user": None}, "400 input `user_bias_user` is missing"),
        ({"user_bias": bias}, "400 input `user_bias` is there twice, or is none"),
        ({"user_bias_user": bias.astype(np.int64)}, "400 input `user_bias_user` is i64"),
        ({"user_bias_user": bias[:, 0]}, "400 input `user_bias_user` is f32 [4]"),
        ({"user_bias_user": bias[:2]}, "400 input `user_bias_user` has 2 users"),
        ({"user_bias_user": bias.astype(np.float64)}, "400 tensor `user_bias_user`: datatype FP64"),
    ):
        changed = {name: array for name, array in (inputs | change).items() if array is not None}
        error = refused(client, "unified", changed)
        assert error.startswith(says), (says, error)
    for model, more, says in (
        ("nobody", {}, "404 there is no model `nobody`, only unified, idrec"),
        ("unified", {"model_version": "another"}, "404 model `unified` has no version `another`"),
        ("unified", {"outputs": [http.InferRequestedOutput("ctr")]}, "400 output `ctr` is none"),
        ("unified", {"sequence_id": 7}, "400 parameters.sequence_id"),
        ("unified", {"timeout": 1}, "504 "),
    ):
        error = refused(client, model, inputs, **more)
        assert error.startswith(says), (says, error)


def main() -> None:
    url, bundle = sys.argv[1], pathlib.Path(sys.argv[2])
    reference = Reference(bundle)
    client = http.InferenceServerClient(url)
    check_metadata(client, reference)
    for model in MODELS:
        worst = check_answers(client, model, reference)
        check_one_by_one(url, model, reference)
        print(f"{model}: largest difference {worst:.1e}")
    check_split(client, reference, times=150)
    check_refusals(client, reference)
    client.close()


if __name__ == "__main__":
    main()
