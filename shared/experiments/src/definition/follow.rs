//! How an experiment follows the one it replaces: with its history, and what changes.

use super::{DefinitionChange, Experiment};

/// Entries that are kept; the oldest go first.
const KEPT: usize = 200;

impl Experiment {
    /// Since when its shares are what they are now; none for one whose history is not kept.
    #[must_use]
    pub fn shares_since(&self) -> Option<i64> {
        self.history.iter().rev().find(|entry| entry.moved_units).map(|entry| entry.at)
    }

    /// When it began; none for one whose history is not kept.
    #[must_use]
    pub fn began(&self) -> Option<i64> {
        self.history.first().map(|entry| entry.at)
    }

    /// Takes over the history of the experiment it replaces, with what changes now.
    pub fn follow(&mut self, before: Option<&Self>, at: i64, cause: &str) {
        self.history = before.map(|before| before.history.clone()).unwrap_or_default();
        let changes = match before {
            None => vec!["begun".to_owned()],
            Some(before) => self.differences(before),
        };
        if changes.is_empty() {
            return;
        }
        let moved_units = before.is_none_or(|before| {
            before.ranges() != self.ranges()
                || before.slots != self.slots
                || before.target != self.target
        });
        let entry = DefinitionChange {
            at,
            change: changes.join(", "),
            cause: cause.to_owned(),
            moved_units,
        };
        self.history.push(entry);
        let over = self.history.len().saturating_sub(KEPT);
        // The first one tells when it began.
        self.history.drain(1..=over);
    }

    fn differences(&self, before: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        let at = |one: &Self| one.ramp.as_ref().map_or(100, |ramp| ramp.at);
        if at(before) != at(self) {
            changes.push(format!("ramp {}% to {}%", at(before), at(self)));
        }
        for arm in &self.arms {
            match before.arms.iter().find(|known| known.name == arm.name) {
                None => changes.push(format!("new arm {}", arm.name)),
                Some(known) if known.stopped != arm.stopped => {
                    let what = if arm.stopped { "stopped" } else { "resumed" };
                    changes.push(format!("arm {} {what}", arm.name));
                }
                Some(known) if known.settings != arm.settings => {
                    changes.push(format!("settings of arm {}", arm.name));
                }
                Some(_) => {}
            }
        }
        if changes.is_empty()
            && *before != (Self { history: before.history.clone(), ..self.clone() })
        {
            changes.push("definition".to_owned());
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{Arm, Ramp};

    fn experiment() -> Experiment {
        let arm = |name: &str| Arm { name: name.to_owned(), permille: Some(500), ..Arm::default() };
        let ramp = Some(Ramp { at: 5, ..Ramp::default() });
        Experiment {
            control: "a".to_owned(),
            arms: vec![arm("a"), arm("b")],
            ramp,
            ..Experiment::default()
        }
    }

    #[test]
    fn changes_are_described_and_those_that_move_units_are_marked() {
        let mut first = experiment();
        first.follow(None, 1, "request");
        let mut next = experiment();
        next.ramp = Some(Ramp { at: 25, ..Ramp::default() });
        next.follow(Some(&first), 2, "ramp");
        let mut third = next.clone();
        third.plan.lift = 0.1;
        third.follow(Some(&next), 3, "request");
        let mut last = third.clone();
        last.arms[1].stopped = true;
        last.follow(Some(&third), 4, "late");
        let told: Vec<_> =
            last.history.iter().map(|one| (&*one.change, &*one.cause, one.moved_units)).collect();
        assert_eq!(
            told,
            [
                ("begun", "request", true),
                ("ramp 5% to 25%", "ramp", true),
                ("definition", "request", false),
                ("arm b stopped", "late", true),
            ]
        );
        assert_eq!(
            (last.began(), last.shares_since(), third.shares_since()),
            (Some(1), Some(4), Some(2))
        );
        let mut same = last.clone();
        same.follow(Some(&last), 5, "request");
        assert_eq!(same, last, "nothing changed");
    }

    #[test]
    fn a_long_history_keeps_its_beginning_and_its_end() {
        let mut experiment = experiment();
        experiment.follow(None, 0, "");
        for at in 1..=500 {
            let before = experiment.clone();
            experiment.arms[1].stopped = !experiment.arms[1].stopped;
            experiment.follow(Some(&before), at, "");
        }
        assert_eq!((experiment.history.len(), experiment.began()), (KEPT, Some(0)));
        assert_eq!(experiment.shares_since(), Some(500));
    }
}
