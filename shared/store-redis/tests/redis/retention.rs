//! Retention: deleted users, memory over a year.

use std::{fs, path::Path};

use plugrank_store::contract_tests::{
    logs::{a_day, behave, logs_hold_the_retention_period},
    run,
};

use crate::{
    redis_store,
    server::{RedisServer, wait_until},
};

/// No other bytes of the files are these.
const WHO: &str = "user-who-wants-to-be-forgotten";
/// Ends the notes that an event was counted, as a day does; fails where one would last longer.
const A_DAY_PASSES: &str = r"
    for _, key in ipairs(redis.call('KEYS', 'plugrank:counted:*')) do
        local left = redis.call('TTL', key)
        if left < 0 or left > 86400 then
            return redis.error_reply(key .. ' lasts ' .. left .. ' s')
        end
        redis.call('DEL', key)
    end
    return redis.status_reply('OK')
";

fn holds(folder: &Path, text: &str) -> bool {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries.map(|entry| entry.path()).any(|path| match path.is_dir() {
        true => holds(&path, text),
        // A file that was replaced meanwhile is none.
        false => fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes())),
    })
}

fn figure(server: &RedisServer, section: &str, name: &str) -> u64 {
    let told = server.ask(&["INFO", section]);
    let line = told.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.unwrap().trim().parse().unwrap()
}

#[test]
fn a_rewritten_file_has_no_byte_of_a_deleted_user_and_keeps_others() {
    let server = RedisServer::start();
    run(async {
        let store = redis_store(&server.servers(), "plugrank").await;
        behave(&*store, WHO).await;
        behave(&*store, "who-stays").await;
        assert!(holds(server.dir(), WHO));
        store.delete_user(&WHO.into()).await.unwrap();
        assert!(server.ask(&["BGREWRITEAOF"]).starts_with('+'));
        let rewriting = |name| figure(&server, "persistence", name) > 0;
        wait_until("the file is rewritten", || {
            !rewriting("aof_rewrite_in_progress") && !rewriting("aof_rewrite_scheduled")
        });
        // The old one is removed in the background.
        wait_until("nothing is left", || !holds(server.dir(), WHO));
        assert!(holds(server.dir(), "who-stays"));
        let history = store.history(&"who-stays".into(), i64::MAX, 1000, 1000).await.unwrap();
        assert_eq!(history.entries.len(), 99);
    });
}

#[test]
fn over_a_year_the_memory_stays_bounded() {
    let server = RedisServer::start_with(&["--save", "", "--appendonly", "no"]);
    run(async {
        let store = redis_store(&server.servers(), "plugrank").await;
        let used = || figure(&server, "memory", "used_memory_dataset");
        let (empty, mut sizes) = (used(), Vec::new());
        for day in 0..365 {
            a_day(&*store, day).await;
            server.command(&["EVAL", A_DAY_PASSES, "0"]);
            sizes.push(used().saturating_sub(empty));
        }
        logs_hold_the_retention_period(&store).await;
        // Of a few days each: what is in flight counts too.
        let smallest = |days: std::ops::Range<usize>| sizes[days].iter().copied().min().unwrap();
        let (settled, end) = (smallest(115..125), smallest(355..365));
        println!("{settled} bytes after 120 days, {end} after a year");
        assert!(settled > 100_000, "{settled}");
        assert!(
            end as f64 <= settled as f64 * 1.25,
            "{settled} after 120 days, {end} after a year"
        );
    });
}
