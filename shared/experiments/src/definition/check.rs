//! Whether a definition makes sense, all of it.

use std::collections::HashMap;

use super::{Arm, DefinitionProblems, Definitions, Experiment, SLOTS};

/// Longest name.
const NAME_MAX: usize = 64;

pub(super) fn check(definitions: &Definitions) -> DefinitionProblems {
    let mut problems = DefinitionProblems::default();
    layers(definitions, &mut problems);
    let mut names = HashMap::new();
    for (index, experiment) in definitions.experiments.iter().enumerate() {
        let path = format!("experiments[{index}]");
        name(&path, &experiment.name, &mut problems);
        unique(&mut names, &format!("{path}.name"), &experiment.name, &mut problems);
        place(definitions, index, &path, &mut problems);
        arms(experiment, &path, &mut problems);
        target(experiment, &path, &mut problems);
        ramp(experiment, &path, &mut problems);
        plan(experiment, &path, &mut problems);
    }
    forced(definitions, &mut problems);
    problems
}

fn layers(definitions: &Definitions, problems: &mut DefinitionProblems) {
    let (mut names, mut salts) = (HashMap::new(), HashMap::new());
    for (index, layer) in definitions.layers.iter().enumerate() {
        let path = format!("layers[{index}]");
        name(&path, &layer.name, problems);
        unique(&mut names, &format!("{path}.name"), &layer.name, problems);
        if !layer.name.is_empty() {
            unique(&mut salts, &format!("{path}.salt"), layer.salt(), problems);
        }
    }
}

/// The experiment's layer is there, and its slots are its own.
fn place(definitions: &Definitions, index: usize, path: &str, problems: &mut DefinitionProblems) {
    let experiment = &definitions.experiments[index];
    if !definitions.layers.iter().any(|layer| layer.name == experiment.layer) {
        let layer = &experiment.layer;
        problems.add(format!("{path}.layer"), format!("there is no layer `{layer}`"));
    }
    let slots = experiment.slots;
    if slots.from >= slots.to || slots.to > SLOTS {
        let message = format!("{} to {} is not a part of 0 to {SLOTS}", slots.from, slots.to);
        problems.add(format!("{path}.slots"), message);
        return;
    }
    for earlier in &definitions.experiments[..index] {
        if earlier.layer == experiment.layer && earlier.slots.overlaps(slots) {
            problems.add(
                format!("{path}.slots"),
                format!(
                    "overlap those of `{}` ({} to {}) in the same layer",
                    earlier.name, earlier.slots.from, earlier.slots.to
                ),
            );
        }
    }
}

fn arms(experiment: &Experiment, path: &str, problems: &mut DefinitionProblems) {
    if experiment.arms.len() < 2 {
        problems.add(format!("{path}.arms"), "an experiment has at least two arms");
    }
    let mut names = HashMap::new();
    for (index, arm) in experiment.arms.iter().enumerate() {
        let path = format!("{path}.arms[{index}]");
        name(&path, &arm.name, problems);
        unique(&mut names, &format!("{path}.name"), &arm.name, problems);
        if arm.name == experiment.control && arm.stopped {
            problems.add(format!("{path}.stopped"), "the control cannot be stopped");
        }
    }
    if experiment.control_index().is_none() {
        let message = format!("`{}` is not one of the arms", experiment.control);
        problems.add(format!("{path}.control"), message);
    }
    split(experiment, path, problems);
}

fn split(experiment: &Experiment, path: &str, problems: &mut DefinitionProblems) {
    let arms = &experiment.arms;
    let all_have = |of: fn(&Arm) -> Option<u16>| arms.iter().all(|arm| of(arm).is_some());
    let none_has = |of: fn(&Arm) -> Option<u16>| arms.iter().all(|arm| of(arm).is_none());
    let permille = all_have(|arm| arm.permille) && none_has(|arm| arm.weight);
    let weights = all_have(|arm| arm.weight) && none_has(|arm| arm.permille);
    if !permille && !weights {
        let message = "either each arm has `permille` or each has `weight`";
        problems.add(format!("{path}.arms"), message);
        return;
    }
    let sum: u64 = arms.iter().map(Arm::share).sum();
    if permille && sum != 1_000 {
        let message = format!("the arms' permille are {sum} together, not 1000");
        problems.add(format!("{path}.arms"), message);
    }
    for (index, arm) in arms.iter().enumerate() {
        if arm.share() == 0 {
            let key = if permille { "permille" } else { "weight" };
            problems.add(format!("{path}.arms[{index}].{key}"), "an arm's share is above 0");
        }
    }
}

fn target(experiment: &Experiment, path: &str, problems: &mut DefinitionProblems) {
    let target = &experiment.target;
    for (list, conditions) in [("must", &target.must), ("must_not", &target.must_not)] {
        for (index, condition) in conditions.iter().enumerate() {
            let path = format!("{path}.target.{list}[{index}]");
            if condition.feature.is_empty() {
                problems.add(format!("{path}.feature"), "is missing");
            }
            if condition.says_nothing() {
                let message = "has none of `any`, `gte`, `gt`, `lte`, `lt`";
                problems.add(path.clone(), message);
            }
            if condition.any.as_ref().is_some_and(Vec::is_empty) {
                problems.add(format!("{path}.any"), "is empty, so it never holds");
            }
        }
    }
}

fn ramp(experiment: &Experiment, path: &str, problems: &mut DefinitionProblems) {
    let Some(ramp) = &experiment.ramp else { return };
    let ascending = ramp.steps.windows(2).all(|pair| pair[0] < pair[1]);
    let percent = ramp.steps.iter().all(|step| (1..=100).contains(step));
    if ramp.steps.is_empty() || !ascending || !percent {
        problems.add(format!("{path}.ramp.steps"), "are not ascending percentages of 1 to 100");
    } else if ramp.every_ms.is_some_and(|every| every == 0) {
        problems.add(
            format!("{path}.ramp.every_ms"),
            "is 0; it is the time at a step, in milliseconds",
        );
    } else if !ramp.steps.contains(&ramp.at) {
        let message = format!("{} is not one of the steps {:?}", ramp.at, ramp.steps);
        problems.add(format!("{path}.ramp.at"), message);
    }
}

fn plan(experiment: &Experiment, path: &str, problems: &mut DefinitionProblems) {
    let plan = &experiment.plan;
    let mut range = |key: &str, value: f64, from: f64, to: f64| {
        if !(value > from && value < to) {
            let message = format!("{value} is not between {from} and {to}");
            problems.add(format!("{path}.plan.{key}"), message);
        }
    };
    range("alpha", plan.alpha, 0.0, 0.5);
    range("power", plan.power, plan.alpha.clamp(0.0, 0.5), 1.0);
    range("lift", plan.lift, 0.0, 10.0);
    if plan.units == 0 {
        problems.add(format!("{path}.plan.units"), "is 0");
    }
    for (index, guardrail) in experiment.guardrails.iter().enumerate() {
        if !(0.0..1.0).contains(&guardrail.margin) {
            let message = format!("{} is not a share of 0 to 1", guardrail.margin);
            problems.add(format!("{path}.guardrails[{index}].margin"), message);
        }
    }
}

/// A user is forced into at most one arm of a layer.
fn forced(definitions: &Definitions, problems: &mut DefinitionProblems) {
    let mut users: HashMap<(&str, &str), &str> = HashMap::new();
    for (index, experiment) in definitions.experiments.iter().enumerate() {
        for (place, arm) in experiment.arms.iter().enumerate() {
            for user in &arm.forced {
                let before = users.insert((&experiment.layer, user), &arm.name);
                if let Some(before) = before {
                    let message = format!("`{user}` is forced into `{before}` of the same layer");
                    problems.add(format!("experiments[{index}].arms[{place}].forced"), message);
                }
            }
        }
    }
}

fn name(path: &str, name: &str, problems: &mut DefinitionProblems) {
    let path = format!("{path}.name");
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() {
        problems.add(path, "is missing");
    } else if name.len() > NAME_MAX || !name.bytes().all(plain) {
        let message = format!(
            "`{name}` is not a name: letters, digits, `.`, `_`, `-`, at most {NAME_MAX} of them"
        );
        problems.add(path, message);
    }
}

fn unique<'a>(
    seen: &mut HashMap<&'a str, String>,
    path: &str,
    value: &'a str,
    problems: &mut DefinitionProblems,
) {
    if value.is_empty() {
        return;
    }
    if let Some(earlier) = seen.get(value) {
        problems.add(path.to_owned(), format!("`{value}` is that of {earlier} too"));
    } else {
        seen.insert(value, path.to_owned());
    }
}
