//! The few shapes batches are padded to.

use std::fmt;

/// What one entry brings along its variable dimensions. A dimension that the graph does not have
/// counts as 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dims {
    /// Candidates of the entry.
    pub candidates: usize,
    /// History entries of its user, at least 1.
    pub history: usize,
}

/// A padded shape: `users` x `candidates` rows over histories of `history` entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    /// Users, one an entry.
    pub users: usize,
    /// Candidates a user.
    pub candidates: usize,
    /// History entries a user.
    pub history: usize,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} users x {} candidates x {} history",
            self.users, self.candidates, self.history
        )
    }
}

/// Which dimension is the rows that a batch's size is counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowAxis {
    /// Candidate rows: graphs that score.
    #[default]
    Candidates,
    /// History rows: the user encoder.
    History,
}

impl RowAxis {
    /// Rows of one entry.
    #[must_use]
    pub fn rows(self, dims: Dims) -> usize {
        match self {
            Self::Candidates => dims.candidates,
            Self::History => dims.history,
        }
    }

    /// Rows of a padded shape.
    #[must_use]
    pub fn padded_rows(self, shape: Shape) -> usize {
        shape.users * self.rows(Dims { candidates: shape.candidates, history: shape.history })
    }
}

/// Sizes that each dimension is padded to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buckets {
    users: Vec<usize>,
    candidates: Vec<usize>,
    history: Vec<usize>,
    row_axis: RowAxis,
    row_limit: usize,
}

/// The bucket lists cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BucketError {
    /// A list is empty, not ascending, or has a 0.
    #[error("{list} buckets must be an ascending list of numbers above 0, got {got:?}")]
    List {
        /// Which list.
        list: &'static str,
        /// What it was.
        got: Vec<usize>,
    },
    /// Not even the smallest shape fits into a batch.
    #[error("the row limit {row_limit} is below the smallest shape's {smallest} rows; raise it")]
    RowLimit {
        /// Rows a batch may have.
        row_limit: usize,
        /// Rows of one user at the smallest bucket.
        smallest: usize,
    },
    /// The user encoder reads whole histories, which cannot be split.
    #[error("the row limit {row_limit} is below one whole history of {history}; raise it")]
    History {
        /// Rows a batch may have.
        row_limit: usize,
        /// Longest history.
        history: usize,
    },
}

impl Buckets {
    /// Buckets for each dimension, each list ascending. Candidate buckets above `row_limit` are
    /// left out: longer requests are split.
    ///
    /// # Errors
    /// When a list is not ascending, or `row_limit` leaves no shape.
    pub fn new(
        users: Vec<usize>,
        candidates: Vec<usize>,
        history: Vec<usize>,
        row_axis: RowAxis,
        row_limit: usize,
    ) -> Result<Self, BucketError> {
        for (list, values) in [("user", &users), ("candidate", &candidates), ("history", &history)]
        {
            let rising = values.windows(2).all(|pair| pair[0] < pair[1]);
            if values.first().is_none_or(|first| *first == 0) || !rising {
                return Err(BucketError::List { list, got: values.clone() });
            }
        }
        let mut candidates = candidates;
        match row_axis {
            RowAxis::Candidates => {
                let smallest = candidates[0];
                candidates.retain(|bucket| *bucket <= row_limit);
                if candidates.is_empty() {
                    return Err(BucketError::RowLimit { row_limit, smallest });
                }
            }
            RowAxis::History => {
                if let Some(longest) = history.last().filter(|longest| **longest > row_limit) {
                    return Err(BucketError::History { row_limit, history: *longest });
                }
            }
        }
        Ok(Self { users, candidates, history, row_axis, row_limit })
    }

    /// The dimension that rows are counted in.
    #[must_use]
    pub fn row_axis(&self) -> RowAxis {
        self.row_axis
    }

    /// Most candidates one entry may have; a request with more is split.
    #[must_use]
    pub fn max_candidates(&self) -> usize {
        self.candidates.last().copied().unwrap_or(1)
    }

    /// Longest history an entry may have.
    #[must_use]
    pub fn max_history(&self) -> usize {
        self.history.last().copied().unwrap_or(1)
    }

    /// The buckets that `dims` are padded to. What is larger than the largest bucket keeps its
    /// size; [`Buckets::max_candidates`] and [`Buckets::max_history`] keep that from happening.
    #[must_use]
    pub fn pad(&self, dims: Dims) -> Dims {
        Dims {
            candidates: ceiling(&self.candidates, dims.candidates),
            history: ceiling(&self.history, dims.history),
        }
    }

    /// Most users a batch of entries padded to `padded` may have.
    #[must_use]
    pub fn max_users(&self, padded: Dims) -> usize {
        let rows = self.row_axis.rows(padded).max(1);
        let fits = |users: &&usize| **users * rows <= self.row_limit;
        self.users.iter().rev().find(fits).copied().unwrap_or(1)
    }

    /// Most users any batch may have.
    #[must_use]
    pub fn most_users(&self) -> usize {
        self.users.last().copied().unwrap_or(1)
    }

    /// The shape that `users` entries padded to `padded` run in.
    #[must_use]
    pub fn shape(&self, users: usize, padded: Dims) -> Shape {
        let users = ceiling(&self.users, users).min(self.max_users(padded)).max(users);
        Shape { users, candidates: padded.candidates, history: padded.history }
    }

    /// Every shape a batch can have, smallest first: what a warm-up has to run.
    #[must_use]
    pub fn shapes(&self) -> Vec<Shape> {
        let mut shapes = Vec::new();
        for &history in &self.history {
            for &candidates in &self.candidates {
                let padded = Dims { candidates, history };
                let max_users = self.max_users(padded);
                let users = self.users.iter().copied().filter(|users| *users <= max_users);
                let sized = users.map(|users| Shape { users, candidates, history });
                shapes.extend(sized);
                // No bucket fits: entries of this size then run one at a time.
                if self.users[0] > max_users {
                    shapes.push(Shape { users: 1, candidates, history });
                }
            }
        }
        shapes.sort_by_key(|shape| shape.users * shape.candidates * shape.history);
        shapes
    }
}

fn ceiling(buckets: &[usize], size: usize) -> usize {
    buckets.iter().copied().find(|bucket| *bucket >= size).unwrap_or(size)
}

/// Parts that the longest history is cut into for its buckets. A run over a history costs by its padded length, and each
/// bucket has a memory of its own.
const HISTORY_PARTS: usize = 8;

/// Buckets for histories of up to `longest` entries: each eighth of it.
#[must_use]
pub fn history_buckets(longest: usize) -> Vec<usize> {
    let longest = longest.max(1);
    let part = |parts: usize| (parts * longest).div_ceil(HISTORY_PARTS);
    let mut buckets: Vec<usize> = (1..=HISTORY_PARTS).map(part).collect();
    buckets.dedup();
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(row_limit: usize) -> Buckets {
        let (users, candidates) = (vec![1, 2, 4, 8], vec![32, 64, 512]);
        Buckets::new(users, candidates, vec![25, 50], RowAxis::Candidates, row_limit).unwrap()
    }

    #[test]
    fn sizes_are_rounded_up_and_users_bounded_by_the_row_limit() {
        let buckets = buckets(1024);
        let padded = buckets.pad(Dims { candidates: 65, history: 3 });
        assert_eq!(padded, Dims { candidates: 512, history: 25 });
        assert_eq!(buckets.max_users(padded), 2);
        assert_eq!(buckets.max_users(buckets.pad(Dims { candidates: 1, history: 50 })), 8);
        let small = buckets.pad(Dims { candidates: 20, history: 26 });
        let shape = buckets.shape(3, small);
        assert_eq!(shape, Shape { users: 4, candidates: 32, history: 50 });
    }

    #[test]
    fn every_shape_a_batch_can_have_is_listed_for_the_warm_up() {
        let buckets = buckets(256);
        assert_eq!(buckets.max_candidates(), 64);
        let shapes = buckets.shapes();
        assert_eq!(shapes.len(), 2 * (4 + 3), "512 is left out, 8 x 64 is above 256");
        for candidates in 1..=64 {
            for history in 1..=50 {
                let padded = buckets.pad(Dims { candidates, history });
                for users in 1..=buckets.max_users(padded) {
                    assert!(shapes.contains(&buckets.shape(users, padded)));
                }
            }
        }
    }

    #[test]
    fn invalid_bucket_lists_are_named() {
        let problem = |users: Vec<usize>, limit| {
            Buckets::new(users, vec![32], vec![1], RowAxis::Candidates, limit).unwrap_err()
        };
        assert!(problem(vec![2, 1], 64).to_string().contains("user buckets"));
        assert_eq!(problem(vec![1], 16), BucketError::RowLimit { row_limit: 16, smallest: 32 });
    }

    #[test]
    fn history_buckets_end_with_the_longest() {
        assert_eq!(history_buckets(100), [13, 25, 38, 50, 63, 75, 88, 100]);
        assert_eq!(history_buckets(3), [1, 2, 3]);
        assert_eq!(history_buckets(1), [1]);
        assert_eq!(history_buckets(0), [1]);
    }
}
