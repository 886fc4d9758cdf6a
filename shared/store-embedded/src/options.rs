//! How an embedded store is opened: section `[store.embedded]`.

use std::time::Duration;

use garde::Validate;
use plugrank_store::DEFAULT_HALF_LIFE;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the embedded store uses memory and checks its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddedOptions {
    /// Memory for pages of the file, in MiB.
    #[garde(range(min = 1, max = 1_048_576))]
    pub page_cache_mb: usize,
    /// Memory for users' profiles and histories, in MiB; 0: none are kept.
    #[garde(range(min = 0, max = 1_048_576))]
    pub user_cache_mb: u64,
    /// About how many changes of items are kept for processes that follow them; one that is further behind
    /// reads the whole catalog again. A change takes some 50 bytes of the file.
    #[garde(range(min = 1000, max = 1_000_000_000))]
    pub changes_kept: u64,
    /// Whether opening reads the whole file and verifies every checksum, also where it was closed cleanly;
    /// after an unclean end that is done in any case. Without it, damage in the middle of a file that was
    /// closed cleanly shows when that part is read.
    #[garde(skip)]
    pub verify_on_open: bool,
    /// After how long an event counts half for its item's popularity: the same for every store, and set
    /// beside them.
    #[serde(skip)]
    #[garde(skip)]
    pub popularity_half_life: Duration,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            page_cache_mb: 256,
            user_cache_mb: 128,
            changes_kept: 1_000_000,
            verify_on_open: false,
            popularity_half_life: DEFAULT_HALF_LIFE,
        }
    }
}
