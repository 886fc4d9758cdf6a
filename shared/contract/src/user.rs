//! What is known of a user besides behaviour.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::UserId;

/// A user's profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Identifier.
    pub user_id: UserId,
    /// Categorical columns of the data set, by name.
    pub features: BTreeMap<String, String>,
}
