//! Calls, replies and errors that every Plugrank service speaks.
//!
//! One serde struct describes a call. In one process it travels inside an actor message; between
//! processes the same struct is the postcard body of an HTTP request. Nothing here knows actors,
//! sockets or models, and nothing internal stands below this crate.
//!
//! ```
//! use std::time::Duration;
//!
//! use plugrank_contract::{Call, CallError, Context, ErrorCode, retrieval::RefreshItems};
//!
//! // A call is a struct and has a path; who answers it gets a context with a deadline.
//! let call = RefreshItems { item_ids: vec!["lamp".into()] };
//! assert!(RefreshItems::PATH.starts_with("/rpc/v1/"));
//! let wire = postcard::to_stdvec(&call).unwrap();
//! assert_eq!(postcard::from_bytes::<RefreshItems>(&wire).unwrap().item_ids, call.item_ids);
//! let context = Context::background().within(Duration::from_millis(50));
//! assert!(!context.expired());
//!
//! // Every protocol maps the same few codes.
//! let error = CallError::deadline("scoring did not end in time");
//! assert_eq!(error.code, ErrorCode::DeadlineExceeded);
//! ```

pub mod call;
pub mod context;
pub mod deadline;
pub mod embedding;
pub mod error;
pub mod event;
pub mod exposure;
pub mod feature;
pub mod filter;
pub mod history;
pub mod ids;
pub mod image_limits;
pub mod item;
pub mod items;
pub mod loading;
pub mod matrix;
mod panic_text;
pub mod reranking;
pub mod retrieval;
pub mod scoring;
pub mod tensor;
pub mod time;
mod traceparent;
pub mod user;

pub use call::Call;
pub use context::Context;
pub use deadline::Deadline;
pub use error::{CallError, ErrorCode};
pub use event::{Event, EventType, Feedback};
pub use exposure::{ExposedArm, ExposedItem, Exposure};
pub use feature::{FeatureValue, FeatureValues};
pub use filter::{Condition, Filter, FilterProblem, FilterValue};
pub use history::{History, HistoryEntry};
pub use ids::{ItemId, UserId};
pub use item::{Item, ItemKey};
pub use items::{ItemIds, ItemIndex, ItemList, UNKNOWN_ITEM};
pub use matrix::{Dtype, Matrix, MatrixError};
pub use panic_text::panic_text;
pub use tensor::{NamedTensor, TensorDtype};
pub use time::TimestampMs;
pub use traceparent::Traceparent;
pub use user::{HistoryLimits, User, UserRead, UserView};
