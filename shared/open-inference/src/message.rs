//! Requests and responses: JSON, and behind it the tensors that are not in the JSON.

use plugrank_contract::NamedTensor;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    datatype,
    elements::{Flattened, JsonNumbers},
};

pub(crate) type Parameters = Map<String, Value>;

/// Bytes of a tensor behind the JSON.
const BINARY_SIZE: &str = "binary_data_size";

/// A request as it is read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    #[serde(default)]
    pub(crate) id: Option<String>,
    #[serde(default)]
    pub(crate) parameters: Parameters,
    pub(crate) inputs: Vec<TensorHead>,
    #[serde(default)]
    pub(crate) outputs: Vec<Wanted>,
}

/// An output that is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) parameters: Parameters,
}

/// A tensor as it is read.
#[derive(Debug, Deserialize)]
pub(crate) struct TensorHead {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) datatype: String,
    #[serde(default)]
    pub(crate) parameters: Option<Parameters>,
    #[serde(default)]
    pub(crate) data: Option<JsonNumbers>,
}

/// A response as it is read; servers add fields of their own.
#[derive(Debug, Deserialize)]
pub(crate) struct Response {
    pub(crate) outputs: Vec<TensorHead>,
}

/// A tensor as it is written.
#[derive(Serialize)]
struct TensorOut<'a> {
    name: &'a str,
    shape: &'a [usize],
    datatype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Parameters>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Flattened<'a>>,
}

/// A request as it is written.
#[derive(Serialize)]
struct RequestOut<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    parameters: Parameters,
    inputs: Vec<TensorOut<'a>>,
}

/// A response as it is written.
#[derive(Serialize)]
struct ResponseOut<'a> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    outputs: Vec<TensorOut<'a>>,
}

/// A body, and the length of its JSON when tensors follow it.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) header_length: Option<usize>,
}

/// Whether a tensor is written behind the JSON.
pub(crate) type InBinary<'a> = (&'a NamedTensor, bool);

/// Writes a request.
///
/// # Errors
/// When a number has no JSON form.
pub(crate) fn request(
    id: &str,
    parameters: Parameters,
    inputs: &[InBinary<'_>],
) -> Result<Body, String> {
    let out = RequestOut { id, parameters, inputs: heads(inputs) };
    body(&out, inputs)
}

/// Writes a response.
///
/// # Errors
/// When a number has no JSON form.
pub(crate) fn response(
    (model_name, model_version): (&str, &str),
    id: Option<&str>,
    outputs: &[InBinary<'_>],
) -> Result<Body, String> {
    let out = ResponseOut { model_name, model_version, id, outputs: heads(outputs) };
    body(&out, outputs)
}

fn heads<'a>(tensors: &[InBinary<'a>]) -> Vec<TensorOut<'a>> {
    let head = |(tensor, binary): &InBinary<'a>| {
        let size = || Map::from_iter([(BINARY_SIZE.to_owned(), tensor.data.len().into())]);
        TensorOut {
            name: &tensor.name,
            shape: &tensor.shape,
            datatype: datatype::name(tensor.dtype),
            parameters: binary.then(size),
            data: (!binary).then_some(Flattened(tensor)),
        }
    };
    tensors.iter().map(head).collect()
}

fn body(head: &impl Serialize, tensors: &[InBinary<'_>]) -> Result<Body, String> {
    let mut bytes = serde_json::to_vec(head).map_err(|error| error.to_string())?;
    let behind = || tensors.iter().filter(|(_, binary)| *binary);
    let header_length = behind().next().map(|_| bytes.len());
    for (tensor, _) in behind() {
        bytes.extend_from_slice(&tensor.data);
    }
    Ok(Body { bytes, header_length })
}

/// Reads the JSON of a body; answers what follows it.
///
/// # Errors
/// What cannot be read, by its path.
pub(crate) fn head<T: DeserializeOwned>(
    body: &[u8],
    header_length: Option<usize>,
) -> Result<(T, &[u8]), String> {
    let length = header_length.unwrap_or(body.len());
    let (json, rest) = body.split_at_checked(length).ok_or_else(|| {
        format!(
            "header Inference-Header-Content-Length says {length}, and the body has {} bytes",
            body.len()
        )
    })?;
    let mut reader = serde_json::Deserializer::from_slice(json);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let (path, error) = (error.path().to_string(), error.into_inner());
        if error.is_data() && path != "." { format!("{path}: {error}") } else { error.to_string() }
    })?;
    reader.end().map_err(|error| format!("something follows the JSON: {error}"))?;
    Ok((read, rest))
}

/// Reads tensors out of their heads and what follows the JSON.
///
/// # Errors
/// What is wrong, by the tensor's name.
pub(crate) fn tensors(heads: Vec<TensorHead>, mut rest: &[u8]) -> Result<Vec<NamedTensor>, String> {
    let read = heads.into_iter().map(|head| tensor(head, &mut rest));
    let tensors = read.collect::<Result<_, String>>()?;
    if !rest.is_empty() {
        return Err(format!("{} bytes follow the last tensor's data", rest.len()));
    }
    Ok(tensors)
}

fn tensor(head: TensorHead, rest: &mut &[u8]) -> Result<NamedTensor, String> {
    let TensorHead { name, shape, datatype, parameters, data } = head;
    let parameters = parameters.unwrap_or_default();
    let dtype = datatype::by_name(&datatype).ok_or_else(|| {
        format!("tensor `{name}`: datatype {datatype}; the graphs know FP32, FP16 and INT64")
    })?;
    if parameters.keys().any(|key| key.starts_with("shared_memory")) {
        return Err(format!("tensor `{name}`: shared memory is not offered; send the data"));
    }
    let elements = shape.iter().try_fold(1_usize, |product, length| product.checked_mul(*length));
    let elements =
        elements.ok_or_else(|| format!("tensor `{name}`: shape {shape:?} is too large"))?;
    let data = match (parameters.get(BINARY_SIZE), data) {
        (Some(size), None) => {
            let size = size.as_u64().and_then(|size| usize::try_from(size).ok());
            let size = size.ok_or_else(|| {
                format!("tensor `{name}`: {BINARY_SIZE} must be a number of bytes")
            })?;
            let (data, after) = rest.split_at_checked(size).ok_or_else(|| {
                format!(
                    "tensor `{name}`: {size} bytes are announced, and {} are left of the body",
                    rest.len()
                )
            })?;
            *rest = after;
            if Some(size) != elements.checked_mul(dtype.size()) {
                return Err(format!(
                    "tensor `{name}`: {size} bytes are not {shape:?} of {datatype}"
                ));
            }
            data.to_vec()
        }
        (None, Some(data)) => {
            if data.len() != elements {
                return Err(format!(
                    "tensor `{name}`: {} elements do not fill the shape {shape:?}",
                    data.len()
                ));
            }
            data.into_bytes(dtype)
                .ok_or_else(|| format!("tensor `{name}`: {datatype} takes whole numbers"))?
        }
        (Some(_), Some(_)) => {
            return Err(format!("tensor `{name}`: give either data or {BINARY_SIZE}"));
        }
        (None, None) => return Err(format!("tensor `{name}`: it has no data")),
    };
    Ok(NamedTensor { name, dtype, shape, data })
}

#[cfg(test)]
mod tests {
    use plugrank_contract::TensorDtype;

    use super::*;

    fn x(values: &[f32]) -> NamedTensor {
        let data = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        NamedTensor { name: "x".into(), dtype: TensorDtype::F32, shape: vec![values.len()], data }
    }

    fn ids(values: &[i64]) -> NamedTensor {
        let data = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        NamedTensor {
            name: "i".into(),
            dtype: TensorDtype::I64,
            shape: vec![1, values.len()],
            data,
        }
    }

    #[test]
    fn a_request_round_trips_as_json_binary_and_mixed() {
        let (x, ids) = (x(&[1.5, -2.25]), ids(&[7, i64::MAX]));
        for binary in [(true, true), (false, false), (true, false), (false, true)] {
            let inputs = [(&x, binary.0), (&ids, binary.1)];
            let body = request("one", Parameters::new(), &inputs).unwrap();
            assert_eq!(body.header_length.is_some(), binary.0 || binary.1);
            let (read, rest) = head::<Request>(&body.bytes, body.header_length).unwrap();
            assert_eq!(read.id.as_deref(), Some("one"));
            assert_eq!(tensors(read.inputs, rest).unwrap(), [x.clone(), ids.clone()]);
        }
    }

    #[test]
    fn invalid_tensors_are_named() {
        let read = |json: &str, rest: &str| {
            let body = format!("{json}{rest}");
            let (read, rest) = head::<Request>(body.as_bytes(), Some(json.len()))?;
            tensors(read.inputs, rest)
        };
        let request = |tensor: &str| format!("{{\"inputs\": [{tensor}]}}");
        for (tensor, rest, says) in [
            (r#"{"name": "x", "shape": [1], "datatype": "FP64", "data": [1]}"#, "", "FP64"),
            (
                r#"{"name": "x", "shape": [2], "datatype": "FP32", "data": [1]}"#,
                "",
                "1 elements do",
            ),
            (r#"{"name": "x", "shape": [1], "datatype": "INT64", "data": [1.5]}"#, "", "whole"),
            (r#"{"name": "x", "shape": [1], "datatype": "FP32"}"#, "", "no data"),
            (
                r#"{"name": "x", "shape": [-1], "datatype": "FP32", "data": []}"#,
                "",
                "inputs[0].shape[0]",
            ),
            (
                r#"{"name": "x", "shape": [1], "datatype": "FP32", "data": ["1"]}"#,
                "",
                "inputs[0].data",
            ),
            (
                r#"{"name": "x", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 4}}"#,
                "abc",
                "4 bytes are announced, and 3",
            ),
            (
                r#"{"name": "x", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 3}}"#,
                "abc",
                "3 bytes are not [1]",
            ),
            (
                r#"{"name": "x", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 4}}"#,
                "abcde",
                "1 bytes follow",
            ),
            (
                r#"{"name": "x", "shape": [4294967296, 4294967296], "datatype": "FP32", "data": []}"#,
                "",
                "too large",
            ),
            (
                r#"{"name": "x", "shape": [1], "datatype": "FP32", "parameters": {"shared_memory_region": "r"}}"#,
                "",
                "shared memory",
            ),
        ] {
            let error = read(&request(tensor), rest).unwrap_err();
            assert!(error.contains(says), "{tensor}: {error}");
        }
        let short = head::<Request>(b"{}", Some(3)).unwrap_err();
        assert!(short.contains("Inference-Header-Content-Length"), "{short}");
    }
}
