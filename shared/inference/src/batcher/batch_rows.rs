//! The rows of a batch: entries write theirs, the rest is zero.

use std::panic::{AssertUnwindSafe, catch_unwind};

use plugrank_contract::panic_text;

use super::{
    graph_input::GraphInput,
    layout::Layout,
    model::Entry,
    shape::{Dims, Shape},
};
use crate::BlockMut;

/// An entry of a graph.
pub(super) type GraphEntry = Entry<Box<dyn GraphInput>>;

/// What the inputs of one shape hold from run to run.
pub(super) struct BatchRows {
    shape: Shape,
    /// Size of what is in each user's place; beyond it there are zeros.
    written: Vec<Option<Dims>>,
}

impl BatchRows {
    /// For inputs that are all zero.
    pub(super) fn new(shape: Shape) -> Self {
        Self { shape, written: vec![None; shape.users] }
    }

    /// Goes over to histories of another length, the inputs that vary with it being others, with anything in them.
    pub(super) fn set_history(&mut self, history: usize) {
        self.shape.history = history;
        for written in &mut self.written {
            let candidates = written.map_or(0, |dims| dims.candidates);
            *written = Some(Dims { candidates, history });
        }
    }

    /// Has every entry write its rows into `inputs`, which are whole and as the last call left
    /// them, and makes the rest zero again. An entry that cannot be written leaves zeros, and the
    /// reason in `failed`.
    pub(super) fn write(
        &mut self,
        layouts: &[Layout],
        entries: &[GraphEntry],
        mut inputs: Vec<BlockMut<'_>>,
        failed: &mut Vec<(usize, String)>,
    ) {
        let mut blocks = Vec::with_capacity(inputs.len());
        for (user, written) in self.written.iter_mut().enumerate() {
            let entry = entries.get(user);
            if entry.is_none() && written.is_none() {
                for (layout, input) in layouts.iter().zip(&mut inputs) {
                    let _ = input.split_front(layout.user_width(self.shape));
                }
                continue;
            }
            let fits = |dims: Dims| {
                dims.candidates <= self.shape.candidates && dims.history <= self.shape.history
            };
            let dims = entry.map(|entry| entry.dims).filter(|dims| fits(*dims));
            let writes_all = entry.is_some_and(|entry| entry.input.writes_all());
            for (layout, input) in layouts.iter().zip(&mut inputs) {
                let mut padding = input.split_front(layout.user_width(self.shape));
                let elements = |dims: Option<Dims>| dims.map_or(0, |dims| layout.elements(dims));
                let (own, before) = (elements(dims), elements(*written));
                let mut own = padding.split_front(own);
                padding.split_front(before.saturating_sub(own.len())).clear();
                if !writes_all {
                    own.clear_front(before);
                } else if cfg!(debug_assertions) {
                    own.spoil();
                }
                blocks.push(own);
            }
            *written = dims;
            let wrote = match (entry, dims) {
                (Some(entry), Some(_)) => write(entry.input.as_ref(), &mut blocks),
                (Some(_), None) => Err(format!("the entry is larger than {}", self.shape)),
                (None, _) => Ok(()),
            };
            if let Err(reason) = wrote {
                blocks.iter_mut().for_each(BlockMut::clear);
                *written = None;
                failed.push((user, reason));
            }
            blocks.clear();
        }
    }
}

fn write(input: &dyn GraphInput, blocks: &mut [BlockMut<'_>]) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| input.write(blocks))).unwrap_or_else(|panic| {
        Err(format!("writing its rows panicked: {}", panic_text(panic.as_ref())))
    })
}
