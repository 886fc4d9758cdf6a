use serde_json::json;

use super::*;

/// What one more rule takes: its keys, the rule, and its line in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FavouriteOptions {
    /// Which item of the order, from 0.
    item: usize,
}

impl RuleKind for FavouriteOptions {
    fn problem(&self) -> Option<String> {
        (self.item > 9).then(|| "`item` must be 0 to 9".to_owned())
    }

    fn build(&self, _: &mut Inputs) -> Box<dyn Rule> {
        Box::new(Favourite(self.item))
    }
}

struct Favourite(usize);

impl Rule for Favourite {
    fn name(&self) -> &'static str {
        "favourite"
    }

    fn begin(&self, _: &Field<'_>) -> Option<Box<dyn Applied>> {
        Some(Box::new(Self(self.0)))
    }
}

impl Applied for Favourite {
    fn claims(&mut self, _: &Field<'_>, vacancy: &Vacancy<'_>) -> Option<usize> {
        (vacancy.place == 0).then_some(self.0)
    }
}

rules! {
    /// Of the service.
    Cap(cap::CapOptions),
    /// One more.
    Favourite(FavouriteOptions),
}

#[test]
fn one_more_rule_is_one_line() {
    let read = |rule: serde_json::Value| serde_json::from_value::<RuleOptions>(rule);
    let options = read(json!({"rule": "favourite", "item": 2})).unwrap();
    assert_eq!(options.kind().problem(), None);
    assert!(read(json!({"rule": "favourite", "item": 10})).unwrap().kind().problem().is_some());
    assert!(read(json!({"rule": "favourite", "items": 2})).is_err());
    let schema = schemars::schema_for!(RuleOptions).to_value().to_string();
    assert!(schema.contains("favourite") && schema.contains("cap"), "{schema}");

    let (value, rule_facts) = ([0.9, 0.5, 0.1], RuleFacts::default());
    let field = Field {
        value: &value,
        ctr: &value,
        facts: Facts::None,
        rule_facts: &rule_facts,
        order: &[0, 1, 2],
        pool: 3,
        similarity: Similarity::default(),
        k: 3,
        before: 0,
        as_of: 0,
        seed: 0,
    };
    let rule = options.kind().build(&mut Inputs::default());
    let places = crate::selection::select(&field, [&*rule]);
    let items: Vec<usize> = places.iter().map(|place| place.item).collect();
    assert_eq!(items, [2, 0, 1]);
}
