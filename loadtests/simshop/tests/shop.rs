//! Properties of a generated shop.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::Path,
};

use clap::Parser;
use plugrank_dataset::{DatasetFolder, DatasetItem, InteractionRow};
use plugrank_simshop::{ShopPlan, describe, generate, truth};

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    plan: ShopPlan,
}

fn plan(arguments: &str) -> ShopPlan {
    Arguments::parse_from([""].into_iter().chain(arguments.split_whitespace())).plan
}

#[cfg(test)]
mod shop {
    use super::*;

    /// Bytes of every file below a folder, by path.
    fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut open = vec![folder.to_owned()];
        while let Some(next) = open.pop() {
            for entry in fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                    found.insert(name, fs::read(&path).unwrap());
                }
            }
        }
        found
    }

    #[test]
    fn equal_plans_give_equal_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let small = "--items 60 --users 20 --impressions 505 --image-share 0.5";
        let make = |name: &str, arguments: &str| {
            generate(&plan(arguments), &dir.path().join(name), false).unwrap();
            files(&dir.path().join(name))
        };
        let one = make("one", small);
        assert_eq!(one, make("again", small));
        assert!(one.keys().filter(|name| name.starts_with("images/")).count() > 15);
        assert!(!one.keys().any(|name| name.ends_with(".partial")));

        let other = make("other", &format!("{small} --seed 8"));
        assert_ne!(one["interactions.parquet"], other["interactions.parquet"]);
        assert_ne!(one["items.parquet"], other["items.parquet"]);
    }

    #[test]
    fn clicks_follow_the_true_probabilities() {
        let dir = tempfile::tempdir().unwrap();
        let plan = plan("--items 500 --users 300 --impressions 60000 --no-images");
        generate(&plan, dir.path(), false).unwrap();
        let shop = describe(dir.path()).unwrap();
        assert_eq!((shop.items, shop.users, shop.impressions, shop.images), (500, 300, 60_000, 0));
        assert!((0.12..0.18).contains(&shop.ctr), "{}", shop.ctr);
        let auc = shop.best_auc.unwrap();
        assert!((0.75..0.85).contains(&auc), "{auc}");
        assert!(shop.cold_item_share > 0.01, "{}", shop.cold_item_share);

        // Within each tenth of probability, clicks lie within 4.5 standard errors of their mean.
        let folder = DatasetFolder::open(dir.path()).unwrap();
        let truth = folder.truth().unwrap().unwrap().flat_map(Result::unwrap);
        let rows = folder.interactions().unwrap().flat_map(Result::unwrap);
        let mut bins = [(0.0, 0.0); 10];
        for (row, truth) in rows.zip(truth) {
            let p = f64::from(truth.probability);
            let (excess, variance) = &mut bins[((p * 10.0) as usize).min(9)];
            *excess += f64::from(u8::from(row.clicked)) - p;
            *variance += p * (1.0 - p);
        }
        for (bin, (excess, variance)) in bins.iter().enumerate() {
            assert!(excess.abs() <= 4.5 * f64::sqrt(*variance), "bin {bin}: {excess} {variance}");
        }
    }

    #[test]
    fn described_probabilities_equal_those_of_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let small = plan("--items 80 --users 30 --impressions 3000 --no-images");
        generate(&small, dir.path(), false).unwrap();
        let folder = DatasetFolder::open(dir.path()).unwrap();
        let rows: Vec<_> = folder.interactions().unwrap().flat_map(Result::unwrap).collect();
        let truths: Vec<_> = folder.truth().unwrap().unwrap().flat_map(Result::unwrap).collect();
        let (row, logged) = rows.iter().zip(&truths).nth(2000).unwrap();
        let found = truth(dir.path(), 30, Some(row.timestamp)).unwrap();
        let shopper =
            found.shoppers.iter().find(|one| one.user_id == row.user_id.as_str()).unwrap();
        let item = found.items.iter().position(|id| id == row.item_id.as_str()).unwrap();
        assert_eq!(shopper.logits.len(), found.items.len());
        let logit =
            shopper.logits[item] - found.position * f64::from(row.position.unwrap()).ln_1p();
        let probability = 1.0 / (1.0 + (-logit).exp());
        assert!((probability - f64::from(logged.probability)).abs() < 1e-6, "{probability}");
        let clicked = |id: &str| {
            let before = |one: &&InteractionRow| one.clicked && one.timestamp < row.timestamp;
            rows.iter().filter(before).filter(|one| one.item_id.as_str() == id).count() as u64
        };
        let counted: Vec<u64> = found.items.iter().map(|id| clicked(id)).collect();
        assert_eq!(found.clicks, counted);
        assert_ne!(shopper.style, shopper.not_style);
        // Items that do not exist yet are not described, and no shopper is described twice.
        let early = truth(dir.path(), 7, Some(small.start_ms)).unwrap();
        assert!(early.items.len() < found.items.len() && early.shoppers.len() == 7);
        let users: HashSet<_> = early.shoppers.iter().map(|one| &one.user_id).collect();
        assert_eq!(users.len(), 7);
        let error = truth(dir.path(), 7, Some(0)).unwrap_err().to_string();
        assert!(error.contains("--at 0 is not in the log"), "{error}");
        fs::write(
            dir.path().join("dataset.json"),
            r#"{"name": "real", "time": "ms", "negatives": "logged"}"#,
        )
        .unwrap();
        let error = truth(dir.path(), 7, None).unwrap_err().to_string();
        assert!(error.contains("has no `simulator`"), "{error}");
    }

    #[test]
    fn higher_positions_are_clicked_more() {
        let dir = tempfile::tempdir().unwrap();
        let plan = plan("--items 500 --users 300 --impressions 60000 --no-images --seed 3");
        generate(&plan, dir.path(), false).unwrap();
        let rates = describe(dir.path()).unwrap().ctr_by_position;
        assert_eq!(rates.len(), 10);
        assert!(rates[0] > 1.15 * rates[2] && rates[2] > 1.15 * rates[9], "{rates:?}");
    }

    #[test]
    fn lists_hold_distinct_available_items() {
        let dir = tempfile::tempdir().unwrap();
        let plan = plan(
            "--items 200 --users 50 --impressions 5003 --list 7 --cold-share 0.6 --no-images \
             --text-share 0.5",
        );
        generate(&plan, dir.path(), false).unwrap();
        let folder = DatasetFolder::open(dir.path()).unwrap();
        let items: HashMap<String, DatasetItem> = folder
            .items()
            .unwrap()
            .flat_map(Result::unwrap)
            .map(|row| (row.item.item_id.to_string(), row))
            .collect();
        assert_eq!(items.len(), 200);
        let titles = items.values().filter(|row| row.item.text.is_empty()).count();
        assert!((60..140).contains(&titles), "{titles} items without text");
        assert!(items.values().all(|row| row.item.categories.len() == 2));
        let users: HashSet<String> = folder
            .users()
            .unwrap()
            .flat_map(Result::unwrap)
            .map(|user| user.user_id.to_string())
            .collect();

        let mut lists: BTreeMap<String, Vec<InteractionRow>> = BTreeMap::new();
        let mut new_items = 0;
        for row in folder.interactions().unwrap().flat_map(Result::unwrap) {
            let created = items[row.item_id.as_str()].item.created_at.unwrap();
            assert!(created <= row.timestamp, "{row:?} was shown before it existed");
            new_items += usize::from(created > plan.start_ms);
            assert!(users.contains(row.user_id.as_str()));
            lists.entry(row.request_id.clone().unwrap()).or_default().push(row);
        }
        assert!(new_items > 1000, "{new_items} impressions of new items");
        assert_eq!(lists.len(), 715);
        for (request, rows) in &lists {
            let different: HashSet<_> = rows.iter().map(|row| &row.item_id).collect();
            assert_eq!(different.len(), rows.len(), "{request} shows an item twice");
            let mut positions: Vec<_> = rows.iter().map(|row| row.position.unwrap()).collect();
            positions.sort_unstable();
            assert_eq!(positions, (0..rows.len() as u32).collect::<Vec<_>>());
            assert!(rows.iter().all(|row| row.user_id == rows[0].user_id));
        }
    }

    #[test]
    fn invalid_arguments_are_named() {
        let dir = tempfile::tempdir().unwrap();
        for (arguments, expected) in [
            ("--ctr 0", "--ctr must be in"),
            ("--cold-share 1", "--cold-share must be in"),
            ("--image-share nan", "--image-share must be in"),
            ("--items 10", "give at least 29"),
            ("--users 0", "--users must be at least 1"),
            ("--days 1 --impressions 2000000000", "give more days"),
        ] {
            let error = generate(&plan(arguments), dir.path(), false).unwrap_err().to_string();
            assert!(error.contains(expected), "{arguments}: {error}");
        }
        assert!(Arguments::try_parse_from(["", "--items", "-5"]).is_err());
    }

    #[test]
    fn a_dataset_is_replaced_only_with_overwrite() {
        let dir = tempfile::tempdir().unwrap();
        let small = plan("--items 60 --users 20 --impressions 500");
        generate(&small, dir.path(), false).unwrap();
        let error = generate(&small, dir.path(), false).unwrap_err().to_string();
        assert!(error.contains("--overwrite"), "{error}");
        let plain = plan("--items 60 --users 20 --impressions 500 --no-images");
        generate(&plain, dir.path(), true).unwrap();
        assert!(!dir.path().join("images").exists());
    }

    #[test]
    fn real_data_has_no_truth_to_describe() {
        let dir = tempfile::tempdir().unwrap();
        generate(&plan("--items 60 --users 20 --impressions 500"), dir.path(), false).unwrap();
        fs::remove_file(dir.path().join("truth.parquet")).unwrap();
        let error = describe(dir.path()).unwrap_err().to_string();
        assert!(error.contains("truth.parquet"), "{error}");
    }
}
