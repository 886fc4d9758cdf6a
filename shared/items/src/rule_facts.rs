//! What rules of re-ranking read of items.

use plugrank_contract::{ItemIndex, UNKNOWN_ITEM, reranking::RuleFacts, scoring::RuleInputs};

use crate::{View, columns::Column};

impl View<'_> {
    /// What the rules ask for, of items in this order. A column that no item has yet holds nothing, and
    /// nothing is known of an item that is not in the table.
    #[must_use]
    pub fn rule_facts(&self, inputs: &RuleInputs, items: &[ItemIndex]) -> RuleFacts {
        let column = |name: &String| self.rows.columns.iter().find(|one| &*one.name == name);
        let key = |name: &String| -> Vec<u32> {
            let of = |column: &Column| items.iter().map(|item| column.first_key(*item)).collect();
            column(name).map_or_else(Vec::new, of)
        };
        let number = |name: &String| -> Vec<f32> {
            let of = |column: &Column| items.iter().map(|item| column.number(*item)).collect();
            column(name).map_or_else(Vec::new, of)
        };
        let met = inputs.filters.iter().map(|filter| {
            let compiled = self.compile_leniently(filter);
            let known = |item: &ItemIndex| *item != UNKNOWN_ITEM && compiled.keeps(self, *item);
            items.iter().map(known).collect()
        });
        let stats = |item: &ItemIndex| {
            let stats = self.stats(*item);
            (stats.impressions, stats.clicks)
        };
        RuleFacts {
            keys: inputs.columns.iter().map(key).collect(),
            numbers: inputs.columns.iter().map(number).collect(),
            met: met.collect(),
            stats: if inputs.stats { items.iter().map(stats).collect() } else { Vec::new() },
        }
    }
}

#[cfg(test)]
mod tests {
    use plugrank_contract::{
        Condition, FeatureValue, Filter, UNKNOWN_ITEM, reranking::RuleFacts, scoring::RuleInputs,
    };
    use plugrank_store::{ItemStats, content_hash};

    use crate::{ItemTable, testing::item};

    fn facts(inputs: &RuleInputs) -> RuleFacts {
        let table = ItemTable::new();
        type Row<'a> = (&'a str, &'a [&'a str], &'a [(&'a str, FeatureValue)]);
        let rows: [Row<'_>; 4] = [
            ("a", &["x", "y"], &[("brand", "acme".into()), ("price", 5_i64.into())]),
            ("b", &["y"], &[("brand", "acme".into()), ("price", 0_i64.into())]),
            ("c", &[], &[("price", 5_i64.into())]),
            ("d", &["x"], &[("brand", "other".into())]),
        ];
        let mut indices = Vec::new();
        for (clicks, (id, categories, features)) in (0..).zip(rows) {
            let mut item = item(id, categories, None);
            item.features =
                features.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            let stats = ItemStats { clicks, impressions: 10, ..ItemStats::default() };
            indices.extend(table.put([(&item, &content_hash(&item), stats)]));
        }
        indices.push(UNKNOWN_ITEM);
        table.view().rule_facts(inputs, &indices)
    }

    #[test]
    fn equal_values_have_equal_keys() {
        let columns = ["categories", "brand", "price", "nothing"].map(str::to_owned).to_vec();
        let facts = facts(&RuleInputs { columns, ..RuleInputs::default() });
        let same = |column: usize, a: usize, b: usize| {
            facts.key(column, a) != 0 && facts.key(column, a) == facts.key(column, b)
        };
        assert!(same(0, 0, 3) && !same(0, 0, 1), "the main category counts");
        assert!(same(1, 0, 1) && !same(1, 0, 3));
        assert!(same(2, 0, 2) && !same(2, 0, 1) && facts.key(2, 1) != 0, "0 is a number");
        assert_eq!([facts.key(0, 2), facts.key(1, 2), facts.key(2, 3), facts.key(3, 0)], [0; 4]);
        assert_eq!((0..4).map(|column| facts.key(column, 4)).sum::<u32>(), 0, "an unknown item");
        assert_eq!((facts.number(2, 0), facts.number(2, 1)), (5.0, 0.0));
        assert!(facts.number(2, 3).is_nan() && facts.number(3, 0).is_nan());
        assert!(facts.stats.is_empty());
    }

    #[test]
    fn filters_and_statistics_are_asked_for() {
        let below = |field: &str| {
            let condition =
                Condition { field: field.to_owned(), lt: Some(3.0), ..Condition::default() };
            Filter { must: vec![condition], ..Filter::default() }
        };
        let not = Filter { must_not: below("price").must, ..Filter::default() };
        let filters = vec![below("price"), not, below("nothing")];
        let facts = facts(&RuleInputs { filters, stats: true, ..RuleInputs::default() });
        assert_eq!(facts.met[0], [false, true, false, false, false]);
        assert_eq!(facts.met[1], [true, false, true, true, false]);
        assert_eq!(facts.met[2], [false; 5], "a column that does not exist yet");
        assert_eq!(facts.shown_and_clicked(3), (10, 3));
    }
}
