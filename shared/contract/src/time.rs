//! Time as the data has it.

/// Milliseconds since the Unix epoch, or, in a data set whose time is only an order, the position.
pub type TimestampMs = i64;
