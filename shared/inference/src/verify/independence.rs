//! A row's result must not depend on what it ran with.

use plugrank_bundle::{Dim, GraphName, GraphSpec, Manifest};

use super::{VerifyError, border, difference::difference, reference::Reference};
use crate::{Session, Tensor, TensorData};

/// Padding that is added along each dimension that batches pad.
const EXTRA: usize = 3;

/// How long the dimensions that batches pad with zeros (mask 0) may become.
struct Limits {
    history: usize,
    tokens: usize,
}

impl Limits {
    fn from_manifest(manifest: &Manifest) -> Self {
        let history = manifest.history.clicks + manifest.history.impressions;
        Self { history, tokens: manifest.modal.text.as_ref().map_or(0, |text| text.max_tokens) }
    }

    /// The length with padding. Never beyond what the bundle reads: a graph may hold no more.
    fn padded(&self, length: usize, dim: &Dim) -> usize {
        let longest = match dim {
            Dim::Named(name) if name == "history" => self.history,
            Dim::Named(name) if name == "tokens" => self.tokens,
            Dim::Named(name) if name == "candidates" => usize::MAX,
            _ => 0,
        };
        length.saturating_add(EXTRA).min(longest).max(length)
    }
}

/// Runs each reference row alone, and all of them with padding, against the reference.
pub(super) fn check(
    graph: GraphName,
    spec: &GraphSpec,
    session: &mut Session,
    reference: &Reference,
    manifest: &Manifest,
) -> Result<(), VerifyError> {
    let limits = Limits::from_manifest(manifest);
    let inputs = reference.inputs(graph, spec)?;
    let rows = inputs.iter().filter_map(|(_, tensor)| tensor.shape.first().copied()).min();
    for row in 0..rows.unwrap_or(0) {
        let alone: Vec<_> = inputs.iter().map(|(name, x)| (*name, rows_of(x, row, 1))).collect();
        let ran = run(session, &alone)?;
        for output in &spec.outputs {
            let got = border::output(graph, session, &ran, &output.name)?;
            let expected = rows_of(reference.output(graph, &output.name)?, row, 1);
            same(graph, &output.name, row, "alone", (got, &expected), reference)?;
        }
    }
    let padded: Vec<_> = inputs
        .iter()
        .zip(&spec.inputs)
        .map(|((name, tensor), spec)| (*name, padded(tensor, &spec.shape, &limits)))
        .collect();
    let ran = run(session, &padded)?;
    for output in &spec.outputs {
        let expected = reference.output(graph, &output.name)?;
        let got = cut(border::output(graph, session, &ran, &output.name)?, &expected.shape);
        for row in 0..rows.unwrap_or(0) {
            let (got, expected) = (rows_of(&got, row, 1), rows_of(expected, row, 1));
            same(graph, &output.name, row, "with padding", (&got, &expected), reference)?;
        }
    }
    Ok(())
}

fn run(session: &mut Session, inputs: &[(&str, Tensor)]) -> Result<Vec<Tensor>, VerifyError> {
    let inputs: Vec<_> = inputs.iter().map(|(name, tensor)| (*name, tensor)).collect();
    Ok(session.run(&inputs)?)
}

fn same(
    graph: GraphName,
    output: &str,
    row: usize,
    how: &'static str,
    (got, expected): (&Tensor, &Tensor),
    reference: &Reference,
) -> Result<(), VerifyError> {
    let largest = if got.shape == expected.shape {
        difference(&got.data, &expected.data).largest
    } else {
        f64::NAN
    };
    if !reference.is_too_much(largest) {
        return Ok(());
    }
    Err(VerifyError::Dependent {
        graph,
        output: output.to_owned(),
        row,
        how,
        max_difference: largest,
        tolerance: reference.tolerance,
    })
}

/// `count` rows from `first`.
fn rows_of(tensor: &Tensor, first: usize, count: usize) -> Tensor {
    let mut shape = tensor.shape.clone();
    let elements: usize = shape.iter().skip(1).product();
    if let Some(rows) = shape.first_mut() {
        *rows = count;
    }
    let range = first * elements..(first + count) * elements;
    let data = match &tensor.data {
        TensorData::F16(data) => TensorData::F16(data[range].to_vec()),
        TensorData::F32(data) => TensorData::F32(data[range].to_vec()),
        TensorData::I64(data) => TensorData::I64(data[range].to_vec()),
    };
    Tensor { shape, data }
}

fn padded(tensor: &Tensor, dims: &[Dim], limits: &Limits) -> Tensor {
    let lengths = tensor.shape.iter().zip(dims);
    let shape: Vec<usize> = lengths.map(|(length, dim)| limits.padded(*length, dim)).collect();
    cut(tensor, &shape)
}

/// The tensor in another shape of as many dimensions: what is more is cut off at the end of each,
/// what is missing is 0.
fn cut(tensor: &Tensor, shape: &[usize]) -> Tensor {
    let data = match &tensor.data {
        TensorData::F16(data) => TensorData::F16(cut_to(data, &tensor.shape, shape)),
        TensorData::F32(data) => TensorData::F32(cut_to(data, &tensor.shape, shape)),
        TensorData::I64(data) => TensorData::I64(cut_to(data, &tensor.shape, shape)),
    };
    Tensor { shape: shape.to_vec(), data }
}

fn cut_to<T: Copy + Default>(data: &[T], from: &[usize], to: &[usize]) -> Vec<T> {
    let ([from_first, from_rest @ ..], [to_first, to_rest @ ..]) = (from, to) else {
        return data.to_vec();
    };
    let from_step: usize = from_rest.iter().product();
    let to_step: usize = to_rest.iter().product();
    let mut out = Vec::with_capacity(to_first * to_step);
    for place in 0..(*from_first).min(*to_first) {
        let step = &data[place * from_step..(place + 1) * from_step];
        out.extend(cut_to(step, from_rest, to_rest));
    }
    out.resize(to_first * to_step, T::default());
    out
}

#[cfg(test)]
mod tests {
    use plugrank_bundle::Dim;

    use super::{Limits, cut_to};

    #[test]
    fn padding_stays_within_the_limits_of_the_bundle() {
        let limits = Limits { history: 5, tokens: 48 };
        let padded = |length, name: &str| limits.padded(length, &Dim::Named(name.to_owned()));
        assert_eq!([padded(1, "history"), padded(4, "history"), padded(5, "history")], [4, 5, 5]);
        assert_eq!([padded(47, "tokens"), padded(3, "candidates"), padded(3, "users")], [48, 6, 3]);
        assert_eq!(limits.padded(7, &Dim::Fixed(7)), 7);
    }

    #[test]
    fn padding_is_cut_off_again() {
        let data = [1, 2, 3, 4, 5, 6];
        let padded = cut_to(&data, &[2, 3], &[2, 5]);
        assert_eq!(padded, [1, 2, 3, 0, 0, 4, 5, 6, 0, 0]);
        assert_eq!(cut_to(&padded, &[2, 5], &[2, 3]), data);
        assert_eq!(cut_to(&data, &[3, 2], &[1, 1]), [1]);
    }
}
