//! The sample-ratio check on published tests, of which some were dealt by a broken randomisation.

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use plugrank_experiments::statistics::{SAMPLE_RATIO_ALPHA, sample_ratio};

/// Names the table, if it does not lie in `shared/data/upworthy` beside the repository.
const VARIABLE: &str = "PLUGRANK_UPWORTHY_ARMS";

fn table() -> PathBuf {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/upworthy/arms.csv");
    env::var_os(VARIABLE).map_or_else(|| beside.into(), PathBuf::from)
}

/// Tests whose check fails, and all of them, in weeks `from..=to`. Arms were shown in equal shares.
fn flagged(tests: &BTreeMap<u32, (u32, Vec<u64>)>, from: u32, to: u32) -> (usize, usize) {
    let inside = || tests.values().filter(|(week, _)| (from..=to).contains(week));
    let fails = |(_, impressions): &&(u32, Vec<u64>)| {
        let equal = vec![1.0; impressions.len()];
        sample_ratio(impressions, &equal).is_some_and(|ratio| ratio.p < SAMPLE_RATIO_ALPHA)
    };
    (inside().filter(fails).count(), inside().count())
}

/// The counts are those of `scipy.stats.chisquare` on the same table.
#[test]
fn weeks_of_broken_randomisation_are_flagged() {
    let path = table();
    let Ok(text) = fs::read_to_string(&path) else {
        assert!(env::var_os(VARIABLE).is_none(), "{VARIABLE}: cannot read {}", path.display());
        eprintln!("not run: {} does not exist; set {VARIABLE} to the file", path.display());
        return;
    };
    let mut tests: BTreeMap<u32, (u32, Vec<u64>)> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let mut cells = line.split(',').map(|cell| cell.parse::<u32>().expect("a number"));
        let [test, _arm, week, impressions] = [(); 4].map(|()| cells.next().expect("a cell"));
        let entry = tests.entry(test).or_insert_with(|| (week, Vec::new()));
        entry.1.push(impressions.into());
    }
    assert_eq!(flagged(&tests, 0, u32::MAX), (753, 4_873), "15.5% over all");
    assert_eq!(flagged(&tests, 201_326, 201_351), (687, 969), "70.9% while it was broken");
    assert_eq!(flagged(&tests, 201_414, u32::MAX), (6, 3_006), "0.2% afterwards");
}
