//! What `plugrank demo` serves, and what it keeps between runs.

mod shop;
mod state;

pub use shop::Shop;
pub use state::{DemoState, default_state, settings_file};
