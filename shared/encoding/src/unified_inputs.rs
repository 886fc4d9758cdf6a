//! What the unified graph reads.

use crate::{record_set::RecordSet, user_states::UserEncoding};

/// What the unified graph reads for one request.
#[derive(Debug)]
pub struct UnifiedInputs {
    /// Records of the candidates, in their order.
    pub records: RecordSet,
    /// The user's state.
    pub user: UserEncoding,
    /// What could not be read in time, so that something else stands in for it; `None` when all was
    /// read.
    pub late: Option<String>,
}
