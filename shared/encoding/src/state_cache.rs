//! User states that were made, for as long as what they were made from stays as it was.

use std::{
    mem::size_of,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use plugrank_contract::{HistoryLimits, ItemIndex, UNKNOWN_ITEM, UserId, UserView};
use plugrank_inference::TensorData;
use plugrank_items::{Content, View};
use quick_cache::{Weighter, sync::Cache};

use crate::missing_records::ENTRY_OVERHEAD;

/// One output of the user encoder for one user.
#[derive(Clone, Debug, PartialEq)]
pub struct StateOutput {
    /// Rows: one, or as many as the history has entries (at least one).
    pub rows: usize,
    /// Elements, row by row.
    pub data: TensorData,
}

/// What the user encoder made of one user.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedState {
    /// In the order of the encoder's outputs.
    pub outputs: Vec<StateOutput>,
    /// History entries that were read.
    pub history_len: u32,
}

/// An item of a history, and the content its record and features were made from.
pub(crate) type HistoryItem = (ItemIndex, Content);

/// A state and what it was made from.
pub(crate) struct CachedState {
    /// Profile and history.
    pub(crate) version: u64,
    /// The item table's epoch when the contents were last compared.
    pub(crate) epoch: AtomicU64,
    /// Items of the history, newest first; none where the encoder reads nothing of them.
    pub(crate) items: Box<[HistoryItem]>,
    pub(crate) state: Arc<EncodedState>,
}

impl CachedState {
    fn bytes(&self) -> usize {
        let outputs = self.state.outputs.iter();
        let data =
            outputs.map(|one| one.data.len() * one.data.dtype().size() + size_of::<StateOutput>());
        data.sum::<usize>() + self.items.len() * size_of::<HistoryItem>() + size_of::<Self>()
    }

    /// Whether the state is what would be made of this user now.
    fn current(&self, user: &UserView, limits: HistoryLimits, items: &View<'_>) -> bool {
        if self.version != user.version {
            return false;
        }
        let epoch = items.epoch();
        if self.epoch.load(Ordering::Relaxed) == epoch {
            return true;
        }
        let unchanged =
            user.recent(limits).zip(&self.items).all(|(entry, (item, content))| match *item {
                UNKNOWN_ITEM => items.index_of(entry.item_id.as_str()).is_none(),
                item => items.content(item) == *content,
            });
        if unchanged {
            self.epoch.store(epoch, Ordering::Relaxed);
        }
        unchanged
    }
}

/// Bytes of a usual state: what the number of places is guessed by.
const TYPICAL_BYTES: u64 = 16 << 10;

/// Weighs a state by its bytes.
#[derive(Clone)]
struct StateBytes;

impl Weighter<UserId, Arc<CachedState>> for StateBytes {
    fn weight(&self, _: &UserId, cached: &Arc<CachedState>) -> u64 {
        (cached.bytes() + ENTRY_OVERHEAD) as u64
    }
}

/// The newest state of each of as many users as the memory given holds.
pub(crate) struct StateCache {
    states: Cache<UserId, Arc<CachedState>, StateBytes>,
}

impl StateCache {
    pub(crate) fn new(bytes: u64) -> Self {
        let users = (bytes / TYPICAL_BYTES) as usize;
        Self { states: Cache::with_weighter(users, bytes, StateBytes) }
    }

    /// The state of a user, if one was made of this profile, this history and these items.
    pub(crate) fn get(
        &self,
        user: &UserView,
        limits: HistoryLimits,
        items: &View<'_>,
    ) -> Option<Arc<EncodedState>> {
        let cached = self.states.get(&user.user_id)?;
        cached.current(user, limits, items).then(|| Arc::clone(&cached.state))
    }

    pub(crate) fn put(&self, user: UserId, state: CachedState) {
        self.states.insert(user, Arc::new(state));
    }

    /// Bytes held, as weighed.
    pub(crate) fn bytes(&self) -> u64 {
        self.states.weight()
    }
}
