//! How an embedded store is opened.

/// How an embedded store uses memory and checks its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedOptions {
    /// Memory for pages of the file, in bytes.
    pub page_cache_bytes: usize,
    /// Memory for decoded items, in bytes.
    pub item_cache_bytes: u64,
    /// Whether opening reads the whole file and verifies every checksum. Without it, damage in
    /// the middle of a file that was closed cleanly shows when that part is read.
    pub verify_on_open: bool,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self { page_cache_bytes: 256 << 20, item_cache_bytes: 128 << 20, verify_on_open: false }
    }
}
