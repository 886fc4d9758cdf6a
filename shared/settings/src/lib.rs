//! Reads, checks and documents settings.
//!
//! A crate's options struct is its section of the settings: it holds the default, the range and the
//! description of every key once. The binary composes the sections into one struct. From that, this
//! crate reads a file and the environment ([`load`]), checks ranges ([`check`](fn@check)) and writes
//! the settings file, the table of the documentation and the schema of the Helm chart ([`document`]).
//!
//! ```
//! use garde::Validate;
//! use plugrank_settings::check;
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! /// The queue of requests.
//! #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
//! #[serde(default, deny_unknown_fields)]
//! struct QueueOptions {
//!     /// Requests that may wait.
//!     #[garde(range(min = 1, max = 1000))]
//!     length: usize,
//! }
//!
//! impl Default for QueueOptions {
//!     fn default() -> Self {
//!         Self { length: 100 }
//!     }
//! }
//!
//! let problem = &check(&QueueOptions { length: 0 }).unwrap_err()[0];
//! assert_eq!(problem.to_string(), "`length` is 0; it must be 1 to 1000");
//! ```

mod check;
pub mod document;
pub mod list;
mod load;
mod names;
mod problem;
mod redact;
mod redis;
pub mod rules;
mod schema;

pub use check::check;
pub use load::{from_sources, load, process_variables};
pub use names::near_misses;
pub use problem::{SettingsError, SettingsProblem, refuse};
pub use redact::{as_stars, without_password, without_passwords};
pub use redis::{RedisConnection, RedisUse};

use garde::Validate;
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

/// A part of the settings, or all of them.
pub trait Section:
    Default + Serialize + DeserializeOwned + JsonSchema + Validate<Context = ()>
{
}

impl<T> Section for T where
    T: Default + Serialize + DeserializeOwned + JsonSchema + Validate<Context = ()>
{
}
