//! What breaks, while load runs: what callers see of it, and how soon it is over.
