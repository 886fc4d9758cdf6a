//! How the inputs and outputs of a graph lie in a batch.

use std::ops::Range;

use plugrank_bundle::{Dim, TensorDtype};

use super::shape::{Dims, Shape};
use crate::{Block, TensorData};

/// The dimension after `users` that varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    /// `[users, candidates, ..]`.
    Candidates,
    /// `[users, history, ..]`.
    History,
}

/// An input or output of a graph whose first dimension is `users`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Name in the graph.
    pub name: String,
    /// Element type.
    pub dtype: TensorDtype,
    /// What varies beside the users.
    pub variable: Option<Variable>,
    /// The dimensions after that, all fixed.
    pub fixed: Vec<usize>,
}

/// A tensor that cannot be batched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{name}` has the shape [{}]; a batch needs [users, ..] or [users, candidates or history, ..] \
     with numbers after that",
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
)]
pub struct LayoutError {
    /// Name in the graph.
    pub name: String,
    /// Its shape.
    pub shape: Vec<Dim>,
}

impl Layout {
    /// The layout of a tensor of the manifest.
    ///
    /// # Errors
    /// When its shape does not begin with `users`, or has another name further on.
    pub fn from_spec(name: &str, dtype: TensorDtype, shape: &[Dim]) -> Result<Self, LayoutError> {
        let wrong = || LayoutError { name: name.to_owned(), shape: shape.to_vec() };
        let (first, rest) = shape.split_first().ok_or_else(wrong)?;
        if *first != Dim::Named("users".to_owned()) {
            return Err(wrong());
        }
        let variable = match rest.first() {
            Some(Dim::Named(dim)) if dim == "candidates" => Some(Variable::Candidates),
            Some(Dim::Named(dim)) if dim == "history" => Some(Variable::History),
            _ => None,
        };
        let fixed = rest[usize::from(variable.is_some())..]
            .iter()
            .map(|dim| match dim {
                Dim::Fixed(length) => Ok(*length),
                Dim::Named(_) => Err(wrong()),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { name: name.to_owned(), dtype, variable, fixed })
    }

    /// Elements of one step along what varies.
    #[must_use]
    pub fn step(&self) -> usize {
        self.fixed.iter().product()
    }

    /// Elements that an entry of these dimensions has.
    #[must_use]
    pub fn elements(&self, dims: Dims) -> usize {
        let steps = match self.variable {
            None => 1,
            Some(Variable::Candidates) => dims.candidates,
            Some(Variable::History) => dims.history,
        };
        steps * self.step()
    }

    /// Dimensions in a batch of `shape`.
    pub(super) fn dims(&self, shape: Shape) -> Vec<usize> {
        let mut dims = vec![shape.users];
        dims.extend(self.variable.map(|variable| match variable {
            Variable::Candidates => shape.candidates,
            Variable::History => shape.history,
        }));
        dims.extend(&self.fixed);
        dims
    }

    /// Where the elements of `user` lie in a batch of `shape`: those of an entry of `dims`.
    pub(super) fn range(&self, shape: Shape, user: usize, dims: Dims) -> Range<usize> {
        let start = user * self.user_width(shape);
        start..start + self.elements(dims)
    }

    /// The elements of entry `user` of an output of a batch, padding cut off.
    ///
    /// # Errors
    /// When the output is not what a graph of this layout answers.
    pub(super) fn copy(
        &self,
        shape: Shape,
        output: Block<'_>,
        user: usize,
        dims: Dims,
    ) -> Result<TensorData, String> {
        let elements = shape.users * self.user_width(shape);
        let copied = Some(output)
            .filter(|output| (output.dtype(), output.len()) == (self.dtype, elements))
            .and_then(|output| output.copy(self.range(shape, user, dims)));
        copied.ok_or_else(|| {
            format!(
                "output `{}` has {} elements of {}, expected {elements} of {}",
                self.name,
                output.len(),
                output.dtype(),
                self.dtype
            )
        })
    }

    /// Elements that each user of a batch of `shape` has room for.
    pub(super) fn user_width(&self, shape: Shape) -> usize {
        self.elements(Dims { candidates: shape.candidates, history: shape.history })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Dim {
        Dim::Named(name.to_owned())
    }

    #[test]
    fn entries_of_different_sizes_are_padded_to_one_shape() {
        let dims = [named("users"), named("candidates"), Dim::Fixed(2)];
        let layout = Layout::from_spec("x", TensorDtype::F32, &dims).unwrap();
        let shape = Shape { users: 3, candidates: 2, history: 1 };
        let one = Dims { candidates: 1, history: 1 };
        let two = Dims { candidates: 2, history: 1 };
        assert_eq!(layout.dims(shape), [3, 2, 2]);
        assert_eq!(layout.range(shape, 0, one), 0..2);
        assert_eq!(layout.range(shape, 1, two), 4..8);
        assert_eq!(layout.range(shape, 2, one), 8..10);
        let numbers: Vec<f32> = (0..12_u8).map(f32::from).collect();
        let copied = layout.copy(shape, Block::F32(&numbers), 1, one);
        assert_eq!(copied, Ok(TensorData::F32(vec![4.0, 5.0])));
        let error = layout.copy(shape, Block::F32(&numbers[1..]), 1, one).unwrap_err();
        assert_eq!(error, "output `x` has 11 elements of f32, expected 12 of f32");
    }

    #[test]
    fn entries_that_cannot_be_batched_are_refused() {
        for shape in
            [vec![], vec![named("items")], vec![named("users"), Dim::Fixed(1), named("history")]]
        {
            assert!(Layout::from_spec("x", TensorDtype::F32, &shape).is_err(), "{shape:?}");
        }
    }
}
