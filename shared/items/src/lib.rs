//! The item table: what the request path reads of an item, in one place per process.
//!
//! An id is hashed once per request, where it enters ([`ItemTable`] as
//! [`ItemIds`](plugrank_contract::ItemIds)); from then on every stage works by [`ItemIndex`]. One
//! writer at a time applies changes; readers take a view, which is one pointer, and then read plain
//! memory that nothing changes beneath them.
//!
//! - [`ItemTable`]: content version, availability, age, categories and statistics of every item.
//! - its typed columns: what [`filter`]s and rules read.
//! - [`FeatureColumn`]: the features of one bundle, encoded, for every item.
//! - [`RecordTable`]: the item records of one bundle, one contiguous row each, for as many items as
//!   the memory given holds.
//!
//! [`ItemIndex`]: plugrank_contract::ItemIndex

mod availability_bits;
mod columns;
mod encoded_features;
mod features;
pub mod filter;
pub mod follow;
mod id_index;
mod interner;
mod options;
mod pages;
mod records;
mod row;
mod rule_facts;
mod saved;
mod stats_cell;
mod table;
#[cfg(test)]
mod testing;
mod view;

pub use columns::ColumnStatus;
pub use encoded_features::EncodedFeatures;
pub use features::{FeatureColumn, FeatureRows};
pub use filter::{CompiledFilter, Matching};
pub use follow::{ChangeSink, FollowParts, FollowStatus, Followed, Follower, TableSink};
pub use options::ItemsOptions;
pub use records::{NewRecord, RecordElements, RecordRow, RecordTable, Records};
pub use row::{Availability, CategoryIndex, Content, ItemRow, content_of};
pub use saved::SavedTable;
pub use table::{ItemTable, RefreshedItems, TableColumns, TableLoadProgress};
pub use view::View;
