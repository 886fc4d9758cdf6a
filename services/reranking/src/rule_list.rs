//! Which rules a request has, and in which order.

use crate::{
    RerankingOptions,
    inputs::Inputs,
    rules::{
        Rule, RuleOptions, category_cap::CategoryCap, diversity::Diversity, duplicates::Duplicates,
        exploration::Exploration,
    },
};

/// The rules of requests: those of the service's own keys, then listed ones, in the order in which they
/// are applied. Of a kind that there is once, the last one counts.
#[must_use]
pub fn all(
    options: &RerankingOptions,
    listed: &[RuleOptions],
    inputs: &mut Inputs,
) -> Vec<Box<dyn Rule>> {
    let mut rules: Vec<Box<dyn Rule>> = vec![
        Box::new(Diversity::new(options.lambda)),
        Box::new(CategoryCap::new(options.category_cap, options.category_window)),
        Box::new(Duplicates::new(options.hold_back_duplicates)),
        Box::new(Exploration::new(options.exploration_share, options.fresh_days)),
    ];
    for listed in options.rules.iter().chain(listed) {
        let rule = listed.kind().build(inputs);
        if rule.is_single() {
            rules.retain(|other| other.name() != rule.name());
        }
        rules.push(rule);
    }
    rules.sort_by_key(|rule| rule.turn());
    rules
}
