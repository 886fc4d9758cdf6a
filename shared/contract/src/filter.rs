//! Which items a request wants: conditions on the columns of the item table.

use std::{collections::BTreeSet, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Conditions on columns of items: all of `must`, none of `must_not`, and, where `should` is not
/// empty, at least one of it. A missing value meets no condition, so `must_not` keeps items that have
/// none. An empty filter keeps everything.
///
/// ```
/// use plugrank_contract::Filter;
///
/// let json = r#"{"must": [{"field": "price", "lt": 20}], "must_not": [{"field": "brand", "any": ["x"]}]}"#;
/// let filter: Filter = serde_json::from_str(json).unwrap();
/// assert_eq!((filter.conditions().count(), filter.problems().len()), (2, 0));
/// // A problem has its place: a condition is a range, or `any`, or `all`.
/// let wrong: Filter = serde_json::from_str(r#"{"should": [{"field": "price"}]}"#).unwrap();
/// assert_eq!(wrong.problems()[0].pointer, "/should/0");
/// assert!(Filter::default().is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Conditions that an item meets, all of them.
    pub must: Vec<Condition>,
    /// Conditions of which an item meets none.
    pub must_not: Vec<Condition>,
    /// Conditions of which an item meets at least one, where there are any.
    pub should: Vec<Condition>,
}

/// A condition on one column: a range, or `any`, or `all`.
///
/// A column may hold lists; a range or `any` is met when one element meets it, `all` when the list has
/// each of the values.
///
/// ```
/// use plugrank_contract::Condition;
///
/// let condition = Condition { field: "price".into(), gte: Some(5.0), ..Condition::default() };
/// assert!(condition.is_range());
/// let listed: Condition = serde_json::from_str(r#"{"field": "brand", "any": ["x", "y"]}"#).unwrap();
/// assert!(!listed.is_range() && listed.any.is_some_and(|values| values.len() == 2));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Condition {
    /// The column: `item_id`, `categories`, `created_at`, or a feature's name.
    pub field: String,
    /// Greater than.
    pub gt: Option<f64>,
    /// Greater than or equal to.
    pub gte: Option<f64>,
    /// Less than.
    pub lt: Option<f64>,
    /// Less than or equal to.
    pub lte: Option<f64>,
    /// One of these values.
    pub any: Option<Vec<FilterValue>>,
    /// Each of these values.
    pub all: Option<Vec<FilterValue>>,
}

/// A value in a condition: a text or a number.
///
/// ```
/// use plugrank_contract::FilterValue;
///
/// let values: Vec<FilterValue> = serde_json::from_str("[\"red\", 4]").unwrap();
/// assert_eq!(values, [FilterValue::from("red"), FilterValue::from(4.0)]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum FilterValue {
    /// Equal to a text.
    Text(String),
    /// Equal to a number.
    Number(f64),
}

/// What is wrong with a filter, and where.
///
/// [`Filter::problems`] lists them; [`Filter`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterProblem {
    /// JSON pointer (RFC 6901) within the filter, e.g. `/must/0/field`.
    pub pointer: String,
    /// What is wrong there, and what would be right.
    pub detail: String,
}

impl Filter {
    /// Most conditions of a filter.
    pub const MAX_CONDITIONS: usize = 64;
    /// Most values of all its conditions together.
    pub const MAX_VALUES: usize = 4_096;
    /// Longest text among them, and longest name of a column, in bytes.
    pub const MAX_TEXT_BYTES: usize = 1_024;

    /// Whether it keeps everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.must.is_empty() && self.must_not.is_empty() && self.should.is_empty()
    }

    /// Its conditions with the place of each.
    pub fn conditions(&self) -> impl Iterator<Item = (ConditionPlace, &Condition)> {
        let group = |name, conditions: &'_ [Condition]| (name, conditions.len());
        let sizes = [
            group("must", &self.must),
            group("must_not", &self.must_not),
            group("should", &self.should),
        ];
        let places = sizes
            .into_iter()
            .flat_map(|(group, len)| (0..len).map(move |at| ConditionPlace { group, at }));
        places.zip(self.must.iter().chain(&self.must_not).chain(&self.should))
    }

    /// What is wrong with it for any catalog: the number of conditions and values, and the form of
    /// each condition.
    #[must_use]
    pub fn problems(&self) -> Vec<FilterProblem> {
        let mut problems = Vec::new();
        let count = self.conditions().count();
        if count > Self::MAX_CONDITIONS {
            let detail = format!("has {count} conditions; {} is the most", Self::MAX_CONDITIONS);
            return vec![FilterProblem { pointer: String::new(), detail }];
        }
        let mut values = 0;
        for (place, condition) in self.conditions() {
            let lists = [("any", &condition.any), ("all", &condition.all)];
            for (_, list) in lists {
                values += list.as_ref().map_or(0, Vec::len);
            }
            problems.extend(condition.problem(place));
        }
        if values > Self::MAX_VALUES {
            let detail = format!("has {values} values; {} is the most", Self::MAX_VALUES);
            problems.push(FilterProblem { pointer: String::new(), detail });
        }
        problems
    }
}

/// Where a condition stands in its filter.
///
/// ```
/// use plugrank_contract::filter::ConditionPlace;
///
/// let place = ConditionPlace { group: "must", at: 2 };
/// assert_eq!(place.problem("any", "is empty".to_owned()).pointer, "/must/2/any");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConditionPlace {
    /// `must`, `must_not` or `should`.
    pub group: &'static str,
    /// The how manyth of them, from 0.
    pub at: usize,
}

impl ConditionPlace {
    /// A problem with a member of the condition; `member` is empty for the condition as a whole.
    #[must_use]
    pub fn problem(self, member: &str, detail: String) -> FilterProblem {
        let slash = if member.is_empty() { "" } else { "/" };
        let Self { group, at } = self;
        FilterProblem { pointer: format!("/{group}/{at}{slash}{member}"), detail }
    }
}

impl Condition {
    /// Whether it has a bound.
    #[must_use]
    pub fn is_range(&self) -> bool {
        self.bounds().iter().any(|(_, bound)| bound.is_some())
    }

    fn bounds(&self) -> [(&'static str, Option<f64>); 4] {
        [("gt", self.gt), ("gte", self.gte), ("lt", self.lt), ("lte", self.lte)]
    }

    fn problem(&self, place: ConditionPlace) -> Option<FilterProblem> {
        if self.field.is_empty() || self.field.len() > Filter::MAX_TEXT_BYTES {
            return Some(place.problem("field", "must name a column".to_owned()));
        }
        let kinds = [self.is_range(), self.any.is_some(), self.all.is_some()];
        if kinds.iter().filter(|has| **has).count() != 1 {
            let detail = "must have either bounds (`gt`, `gte`, `lt`, `lte`), or `any`, or `all`";
            return Some(place.problem("", detail.to_owned()));
        }
        for (name, bound) in self.bounds() {
            if bound.is_some_and(|bound| !bound.is_finite()) {
                return Some(place.problem(name, "must be a finite number".to_owned()));
            }
        }
        for (one, other) in [("gt", "gte"), ("lt", "lte")] {
            let has = |name| self.bounds().iter().any(|(n, bound)| *n == name && bound.is_some());
            if has(one) && has(other) {
                return Some(place.problem(other, format!("stands beside `{one}`; leave one out")));
            }
        }
        let (member, values) = match (&self.any, &self.all) {
            (Some(values), _) => ("any", values),
            (None, Some(values)) => ("all", values),
            (None, None) => return None,
        };
        if values.is_empty() {
            return Some(place.problem(member, "is empty; name at least one value".to_owned()));
        }
        let wrong = values.iter().position(|value| match value {
            FilterValue::Text(text) => text.len() > Filter::MAX_TEXT_BYTES,
            FilterValue::Number(number) => !number.is_finite(),
        })?;
        let most = Filter::MAX_TEXT_BYTES;
        let detail = format!("must be a finite number or a text of at most {most} bytes");
        Some(place.problem(&format!("{member}/{wrong}"), detail))
    }
}

impl From<&str> for FilterValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<f64> for FilterValue {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

/// As postcard has it, which keeps no types.
#[derive(Serialize, Deserialize)]
enum Tagged {
    Text(String),
    Number(f64),
}

impl Serialize for FilterValue {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match (self, to.is_human_readable()) {
            (Self::Text(text), true) => to.serialize_str(text),
            (Self::Number(number), true) => to.serialize_f64(*number),
            (Self::Text(text), false) => Tagged::Text(text.clone()).serialize(to),
            (Self::Number(number), false) => Tagged::Number(*number).serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for FilterValue {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if from.is_human_readable() {
            return from.deserialize_any(TextOrNumber);
        }
        Ok(match Tagged::deserialize(from)? {
            Tagged::Text(text) => Self::Text(text),
            Tagged::Number(number) => Self::Number(number),
        })
    }
}

struct TextOrNumber;

impl de::Visitor<'_> for TextOrNumber {
    type Value = FilterValue;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a text, a number, true or false")
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<FilterValue, E> {
        // As items have it: a flag is one of two texts.
        Ok(FilterValue::from(if flag { "true" } else { "false" }))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<FilterValue, E> {
        Ok(FilterValue::Text(text.to_owned()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<FilterValue, E> {
        Ok(FilterValue::Number(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<FilterValue, E> {
        Ok(FilterValue::Number(number as f64))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<FilterValue, E> {
        Ok(FilterValue::Number(number as f64))
    }
}

impl JsonSchema for FilterValue {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FilterValue".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// The names that a list of columns may not have, because every item has these columns.
pub const BUILT_IN_COLUMNS: [&str; 3] = ["categories", "created_at", "item_id"];

/// The names of columns as an error lists them: at most twenty.
#[must_use]
pub fn list_columns<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 20;
    let names: BTreeSet<&str> = names.into_iter().chain(BUILT_IN_COLUMNS).collect();
    let mut listed: Vec<&str> = names.iter().copied().take(SHOWN).collect();
    let more = names.len().saturating_sub(SHOWN);
    let rest = format!("{more} more");
    if more > 0 {
        listed.push(&rest);
    }
    listed.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(field: &str, values: &[&str]) -> Condition {
        let any = Some(values.iter().map(|value| (*value).into()).collect());
        Condition { field: field.to_owned(), any, ..Condition::default() }
    }

    fn must(condition: Condition) -> Filter {
        Filter { must: vec![condition], ..Filter::default() }
    }

    #[test]
    fn a_filter_round_trips_on_the_wire() {
        let range = Condition {
            field: "price".to_owned(),
            gte: Some(5.0),
            lt: Some(50.0),
            ..Condition::default()
        };
        let all = Condition {
            field: "size".to_owned(),
            all: Some(vec!["m".into(), 38.5.into()]),
            ..Condition::default()
        };
        let filter =
            Filter { must: vec![range], must_not: vec![any("brand", &["x"])], should: vec![all] };
        let bytes = postcard::to_stdvec(&filter).unwrap_or_default();
        assert_eq!(postcard::from_bytes(&bytes), Ok(filter.clone()));
        assert_eq!(filter.problems(), []);
        let places: Vec<_> =
            filter.conditions().map(|(place, _)| (place.group, place.at)).collect();
        assert_eq!(places, [("must", 0), ("must_not", 0), ("should", 0)]);
    }

    #[test]
    fn filter_problems_have_a_pointer() {
        let price = || Condition { field: "price".to_owned(), ..Condition::default() };
        for (condition, pointer) in [
            (Condition::default(), "/must/0/field"),
            (price(), "/must/0"),
            (Condition { gt: Some(1.0), any: Some(Vec::new()), ..price() }, "/must/0"),
            (Condition { gt: Some(f64::NAN), ..price() }, "/must/0/gt"),
            (Condition { gt: Some(1.0), gte: Some(1.0), ..price() }, "/must/0/gte"),
            (Condition { any: Some(Vec::new()), ..price() }, "/must/0/any"),
            (
                Condition { all: Some(vec![1.0.into(), f64::NAN.into()]), ..price() },
                "/must/0/all/1",
            ),
        ] {
            let problems = must(condition).problems();
            let pointers: Vec<_> = problems.iter().map(|problem| &*problem.pointer).collect();
            assert_eq!(pointers, [pointer]);
        }
        let many = Filter { should: vec![any("a", &["b"]); 65], ..Filter::default() };
        assert_eq!(many.problems().len(), 1);
        assert_eq!(must(any("a", &vec!["b"; 5_000])).problems().len(), 1);
    }

    #[test]
    fn unknown_column_errors_list_a_limited_number_of_columns() {
        assert_eq!(list_columns(["price"]), "categories, created_at, item_id, price");
        let many: Vec<String> = (0..30).map(|n| format!("f{n}")).collect();
        assert!(list_columns(many.iter().map(String::as_str)).ends_with("13 more"));
    }
}
