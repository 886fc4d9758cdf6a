//! How the inputs and outputs of a graph lie in a batch.

use half::f16;
use plugrank_bundle::{Dim, TensorDtype};

use super::shape::{Dims, Shape};
use crate::{Tensor, TensorData};

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
    pub fn of(name: &str, dtype: TensorDtype, shape: &[Dim]) -> Result<Self, LayoutError> {
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

    /// The entries' elements side by side, each padded with zeros to `shape`, users beyond them
    /// all zero.
    pub(super) fn stack<'a>(
        &self,
        shape: Shape,
        entries: impl Iterator<Item = (Dims, &'a TensorData)>,
    ) -> Result<Tensor, String> {
        let mut dims = vec![shape.users];
        dims.extend(match self.variable {
            None => None,
            Some(Variable::Candidates) => Some(shape.candidates),
            Some(Variable::History) => Some(shape.history),
        });
        dims.extend(&self.fixed);
        let data = match self.dtype {
            TensorDtype::F16 => TensorData::F16(self.fill(shape, entries)?),
            TensorDtype::F32 => TensorData::F32(self.fill(shape, entries)?),
            TensorDtype::I64 => TensorData::I64(self.fill(shape, entries)?),
        };
        Ok(Tensor { shape: dims, data })
    }

    fn fill<'a, T: Element>(
        &self,
        shape: Shape,
        entries: impl Iterator<Item = (Dims, &'a TensorData)>,
    ) -> Result<Vec<T>, String> {
        let width = self.user_width(shape);
        let mut stacked = vec![T::default(); shape.users * width];
        for (user, (dims, data)) in entries.enumerate() {
            let elements = self.elements(dims);
            let row = T::of(data).filter(|row| row.len() == elements).ok_or_else(|| {
                format!(
                    "input `{}` takes {elements} elements of {}, got {} of {}",
                    self.name,
                    self.dtype,
                    data.len(),
                    data.dtype()
                )
            })?;
            stacked[user * width..user * width + elements].copy_from_slice(row);
        }
        Ok(stacked)
    }

    /// The elements of entry `user`, padding cut off.
    pub(super) fn unstack(
        &self,
        shape: Shape,
        tensor: &Tensor,
        user: usize,
        dims: Dims,
    ) -> Result<TensorData, String> {
        let width = self.user_width(shape);
        let range = user * width..user * width + self.elements(dims);
        let found = (tensor.data.dtype(), tensor.data.len());
        if found != (self.dtype, shape.users * width) {
            return Err(format!(
                "output `{}` has {} elements of {}, expected {} of {}",
                self.name,
                found.1,
                found.0,
                shape.users * width,
                self.dtype
            ));
        }
        Ok(match &tensor.data {
            TensorData::F16(data) => TensorData::F16(data[range].to_vec()),
            TensorData::F32(data) => TensorData::F32(data[range].to_vec()),
            TensorData::I64(data) => TensorData::I64(data[range].to_vec()),
        })
    }

    fn user_width(&self, shape: Shape) -> usize {
        self.elements(Dims { candidates: shape.candidates, history: shape.history })
    }
}

trait Element: Copy + Default {
    fn of(data: &TensorData) -> Option<&[Self]>;
}

macro_rules! element {
    ($type:ty, $variant:ident) => {
        impl Element for $type {
            fn of(data: &TensorData) -> Option<&[Self]> {
                match data {
                    TensorData::$variant(data) => Some(data),
                    _ => None,
                }
            }
        }
    };
}
element!(f16, F16);
element!(f32, F32);
element!(i64, I64);

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Dim {
        Dim::Named(name.to_owned())
    }

    #[test]
    fn entries_of_different_sizes_become_a_rectangle_and_come_back() {
        let dims = [named("users"), named("candidates"), Dim::Fixed(2)];
        let layout = Layout::of("x", TensorDtype::F32, &dims).unwrap();
        let shape = Shape { users: 3, candidates: 2, history: 1 };
        let one = Dims { candidates: 1, history: 1 };
        let two = Dims { candidates: 2, history: 1 };
        let (a, b) = (TensorData::F32(vec![1., 2.]), TensorData::F32(vec![3., 4., 5., 6.]));
        let tensor = layout.stack(shape, [(one, &a), (two, &b)].into_iter()).unwrap();
        assert_eq!(tensor.shape, [3, 2, 2]);
        let expected = vec![1., 2., 0., 0., 3., 4., 5., 6., 0., 0., 0., 0.];
        assert_eq!(tensor.data, TensorData::F32(expected));
        assert_eq!(layout.unstack(shape, &tensor, 0, one), Ok(a));
        assert_eq!(layout.unstack(shape, &tensor, 1, two), Ok(b));
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let layout =
            Layout::of("x", TensorDtype::I64, &[named("users"), named("history")]).unwrap();
        let shape = Shape { users: 1, candidates: 1, history: 4 };
        let dims = Dims { candidates: 1, history: 2 };
        for wrong in [TensorData::I64(vec![1]), TensorData::F32(vec![1., 2.])] {
            let error = layout.stack(shape, [(dims, &wrong)].into_iter()).unwrap_err();
            assert!(error.contains("`x` takes 2 elements of i64"), "{error}");
        }
        for shape in
            [vec![], vec![named("items")], vec![named("users"), Dim::Fixed(1), named("history")]]
        {
            assert!(Layout::of("x", TensorDtype::F32, &shape).is_err(), "{shape:?}");
        }
    }
}
