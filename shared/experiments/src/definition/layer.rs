//! Layers: mutually exclusive experiments within one, independent ones across.

use serde::{Deserialize, Serialize};

/// Slots of a layer. An experiment has some of them; a unit falls into one.
pub const SLOTS: u16 = 1_000;

/// A layer. A unit takes part in at most one experiment of it; which one, and in which arm, tells
/// nothing about the unit's arms in other layers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Layer {
    /// Name.
    pub name: String,
    /// What is assigned.
    pub unit: UnitKind,
    /// What the hash of this layer is salted with; by default its name. No two layers share one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
}

impl Layer {
    /// What the hash of this layer is salted with.
    #[must_use]
    pub fn salt(&self) -> &str {
        self.salt.as_deref().unwrap_or(&self.name)
    }
}

/// What is assigned to arms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnitKind {
    /// A user: always the same arm.
    #[default]
    User,
    /// A request: each by itself.
    Request,
}

/// Which slots of its layer an experiment has: `from` inclusive, `to` exclusive, out of [`SLOTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Slots {
    /// First slot.
    pub from: u16,
    /// Slot after the last.
    pub to: u16,
}

impl Default for Slots {
    fn default() -> Self {
        Self { from: 0, to: SLOTS }
    }
}

impl Slots {
    pub(crate) fn has(self, slot: u16) -> bool {
        (self.from..self.to).contains(&slot)
    }

    pub(super) fn overlaps(self, other: Self) -> bool {
        self.from < other.to && other.from < self.to
    }
}
