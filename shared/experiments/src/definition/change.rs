//! Whether a changed definition keeps units where they are.

use super::{DefinitionProblems, Definitions, Experiment};

/// Each experiment of both whose units would move from one arm to another.
pub(super) fn check(running: &Definitions, next: &Definitions) -> DefinitionProblems {
    let mut problems = DefinitionProblems::default();
    for (index, after) in next.experiments.iter().enumerate() {
        let Some(before) = running.experiment(&after.name) else { continue };
        let path = format!("experiments[{index}]");
        let salt = |all: &Definitions, layer: &str| {
            let layer = all.layers.iter().find(|one| one.name == layer);
            layer.map(|layer| (layer.salt().to_owned(), layer.unit))
        };
        if before.salt() != after.salt() || salt(running, &before.layer) != salt(next, &after.layer)
        {
            let message = "has another salt, layer or unit than the running one: its units would \
                           be dealt anew; give the experiment a new name instead";
            problems.add(path, message);
            continue;
        }
        if before.control != after.control {
            problems.add(format!("{path}.control"), "is another arm than before");
            continue;
        }
        for (from, to) in moves(before, after) {
            problems.add(
                format!("{path}.arms"),
                format!(
                    "some units of `{from}` would get `{to}`; change shares by the ramp, add arms \
                     at the end, and stop an arm rather than removing it"
                ),
            );
        }
    }
    problems
}

/// Pairs of arms, none of them the control, between which units would move.
fn moves<'a>(before: &'a Experiment, after: &'a Experiment) -> Vec<(&'a str, &'a str)> {
    let mut pairs = Vec::new();
    for old in before.ranges() {
        for new in after.ranges() {
            let (from, to) = (&before.arms[old.arm].name, &after.arms[new.arm].name);
            if from != to && old.from < new.to && new.from < old.to {
                pairs.push((from.as_str(), to.as_str()));
            }
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{Arm, Layer, Ramp};

    fn definitions(arms: &[(&str, u16)], at: u8) -> Definitions {
        let arm = |(name, permille): &(&str, u16)| Arm {
            name: (*name).to_owned(),
            permille: Some(*permille),
            ..Arm::default()
        };
        let experiment = Experiment {
            name: "e".to_owned(),
            layer: "l".to_owned(),
            control: "control".to_owned(),
            ramp: Some(Ramp { at, ..Ramp::default() }),
            arms: arms.iter().map(arm).collect(),
            ..Experiment::default()
        };
        let layer = Layer { name: "l".to_owned(), ..Layer::default() };
        Definitions { layers: vec![layer], experiments: vec![experiment] }
    }

    const THREE: [(&str, u16); 3] = [("control", 400), ("a", 300), ("b", 300)];

    #[test]
    fn ramps_new_arms_and_stopped_arms_are_allowed() {
        let running = definitions(&THREE, 5);
        assert_eq!(definitions(&THREE, 50).may_follow(&running), Ok(()));
        assert_eq!(definitions(&THREE, 1).may_follow(&running), Ok(()));
        let more = [("control", 300), ("a", 300), ("b", 300), ("c", 100)];
        assert_eq!(definitions(&more, 50).may_follow(&running), Ok(()));
        let mut stopped = definitions(&THREE, 50);
        stopped.experiments[0].arms[1].stopped = true;
        assert_eq!(stopped.may_follow(&running), Ok(()));
    }

    #[test]
    fn changes_that_move_units_between_arms_are_refused() {
        let running = definitions(&THREE, 50);
        let swapped = [("control", 400), ("b", 300), ("a", 300)];
        assert!(definitions(&swapped, 50).may_follow(&running).is_err());
        let removed = [("control", 400), ("b", 600)];
        assert!(definitions(&removed, 50).may_follow(&running).is_err());
        let mut salted = definitions(&THREE, 50);
        salted.experiments[0].salt = Some("other".to_owned());
        assert!(salted.may_follow(&running).is_err());
        let mut layer = definitions(&THREE, 50);
        layer.layers[0].salt = Some("other".to_owned());
        assert!(layer.may_follow(&running).is_err());
        let mut control = definitions(&THREE, 50);
        control.experiments[0].control = "a".to_owned();
        assert!(control.may_follow(&running).is_err());
    }
}
