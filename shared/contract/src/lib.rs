//! Calls, replies and errors that every Plugrank service speaks.
//!
//! One serde struct describes a call. In one process it travels inside an actor message; between
//! processes the same struct is the postcard body of an HTTP request. Nothing here knows actors,
//! sockets or models, and nothing internal stands below this crate.

pub mod call;
pub mod context;
pub mod embedding;
pub mod error;
pub mod event;
pub mod history;
pub mod ids;
pub mod item;
pub mod items;
pub mod matrix;
mod panic_text;
pub mod reranking;
pub mod retrieval;
pub mod scoring;
pub mod tensor;
pub mod time;
pub mod user;

pub use call::Call;
pub use context::Context;
pub use error::{CallError, ErrorCode};
pub use event::{Event, EventType};
pub use history::{History, HistoryEntry};
pub use ids::{ItemId, UserId};
pub use item::{Item, ItemKey};
pub use items::{ItemIds, ItemIndex, ItemList, UNKNOWN_ITEM};
pub use matrix::{Dtype, Matrix, MatrixError};
pub use panic_text::panic_text;
pub use tensor::{NamedTensor, TensorDtype};
pub use time::TimestampMs;
pub use user::{HistoryLimits, User, UserRead, UserView};
