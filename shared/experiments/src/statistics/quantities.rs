//! Places of a unit's quantities.

/// Quantities of a unit beside its tasks.
pub(super) const EXPOSURES: usize = 0;
pub(super) const VALUE: usize = 1;
pub(super) const COVARIATE: usize = 2;
pub(super) const LATE: usize = 3;
pub(super) const DEGRADED: usize = 4;
pub(super) const ERRORS: usize = 5;
pub(super) const COVERAGE: usize = 6;
pub(super) const TASKS: usize = 7;
