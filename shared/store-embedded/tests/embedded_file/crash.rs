//! A process killed while it writes loses nothing it confirmed.

use plugrank_store::Store;

use crate::{
    child::{Running, command, this_program},
    open, run,
};

#[test]
fn confirmed_writes_survive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let mut confirmed: u64 = 0;
    for _ in 0..3 {
        let mut writer = Running::start(command(&this_program(), "append", &path));
        let mut last = None;
        for _ in 0..40 {
            last = writer.says();
        }
        writer.child.kill().unwrap();
        // What it said before it died counts too.
        while let Some(said) = writer.says() {
            last = Some(said);
        }
        let last: u64 = last.expect("a confirmed event").parse().expect("an event's number");
        confirmed = confirmed.max(last + 1);

        let store = open(&path).unwrap();
        let clicks = run(store.item_stats(&["i".into()])).unwrap()[0].clicks;
        // One more may have been written and not yet confirmed.
        assert!((confirmed..=confirmed + 1).contains(&clicks), "{clicks} of {confirmed}");
        let history = run(store.history(&"u".into(), i64::MAX, 100_000, 0)).unwrap();
        assert_eq!(history.entries.len() as u64, clicks);
        confirmed = clicks;
    }
}
