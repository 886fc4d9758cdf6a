//! What is measured, and how it is asked.

/// What answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// The graph alone.
    Limit,
    /// Python.
    FastApi,
    /// Plain handler, scoring only.
    Scoring,
    /// Plain handler with diversity.
    Mmr,
    /// Plugrank.
    Plugrank,
}

impl Subject {
    pub(crate) const ALL: [Self; 5] =
        [Self::Limit, Self::FastApi, Self::Scoring, Self::Mmr, Self::Plugrank];

    /// Name in tables and plot.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit: the graph alone",
            Self::FastApi => "FastAPI, scoring only",
            Self::Scoring => "handler, scoring only",
            Self::Mmr => "handler with MMR",
            Self::Plugrank => "Plugrank",
        }
    }
}

/// How it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Setting {
    /// Candidates a request; [`Setting::RETRIEVED`] when the server retrieves.
    pub(crate) candidates: usize,
    /// Connections of a closed loop.
    pub(crate) connections: usize,
    /// Whether requests come at their own times, at 70% of what the closed loop of eight connections
    /// reached.
    pub(crate) open: bool,
}

impl Setting {
    /// The server finds the candidates itself.
    pub(crate) const RETRIEVED: usize = 0;
    /// As many as it then finds (`retrieval.limit`).
    pub(crate) const RETRIEVED_ROWS: usize = 300;
    /// Numbers of candidates, as tables show them.
    pub(crate) const CANDIDATES: [usize; 4] = [500, 200, 50, Self::RETRIEVED];
    pub(crate) const CONNECTIONS: [usize; 3] = [1, 8, 32];
    /// Connections of an open loop: more than are ever busy at this load.
    pub(crate) const OPEN_CONNECTIONS: usize = 64;

    pub(crate) const fn new(candidates: usize, connections: usize) -> Self {
        Self { candidates, connections, open: false }
    }

    pub(crate) const fn open(candidates: usize) -> Self {
        Self { candidates, connections: Self::OPEN_CONNECTIONS, open: true }
    }

    /// All closed loops.
    pub(crate) fn closed() -> Vec<Self> {
        let of = |candidates| Self::CONNECTIONS.map(move |one| Self::new(candidates, one));
        Self::CANDIDATES.into_iter().flat_map(of).collect()
    }

    /// Whether the subject is asked in this setting: plain servers do not retrieve, and the graph
    /// knows no connections beyond its two sessions.
    pub(crate) fn asks(self, subject: Subject) -> bool {
        match subject {
            Subject::Plugrank => true,
            Subject::Limit => self.connections <= 8 && !self.open,
            _ => self.candidates != Self::RETRIEVED,
        }
    }

    /// Where the limit of this setting was measured.
    pub(crate) fn of_limit(self) -> Self {
        Self::new(self.candidates, self.connections.min(8))
    }

    /// Candidates scored a request.
    pub(crate) const fn rows(self) -> usize {
        if self.candidates == Self::RETRIEVED { Self::RETRIEVED_ROWS } else { self.candidates }
    }

    /// Heading of a table's column.
    pub(crate) fn heading(self) -> String {
        match self.candidates {
            Self::RETRIEVED => format!("{} retrieved, {}", self.rows(), self.connections),
            candidates => format!("{candidates}, {}", self.connections),
        }
    }
}
