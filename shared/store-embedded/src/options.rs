//! How an embedded store is opened.

use std::time::Duration;

/// How an embedded store uses memory and checks its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedOptions {
    /// Memory for pages of the file, in bytes.
    pub page_cache_bytes: usize,
    /// Memory for users' profiles and histories, in bytes; 0: none are kept.
    pub user_cache_bytes: u64,
    /// About how many changes of items are kept for those who follow them; one that falls further
    /// behind reads the whole catalog again. A change takes some 50 bytes of the file.
    pub changes_kept: u64,
    /// After how long an event counts half for its item's popularity.
    pub popularity_half_life: Duration,
    /// Whether opening reads the whole file and verifies every checksum, also where it was closed cleanly;
    /// after an unclean end that is done in any case. Without it, damage in the middle of a file that was
    /// closed cleanly shows when that part is read.
    pub verify_on_open: bool,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            page_cache_bytes: 256 << 20,
            user_cache_bytes: 128 << 20,
            changes_kept: 1_000_000,
            popularity_half_life: Duration::from_secs(30 * 24 * 60 * 60),
            verify_on_open: false,
        }
    }
}
