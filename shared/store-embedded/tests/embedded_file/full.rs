//! A full disk, simulated by the kernel's limit on file size.

use std::{path::Path, process::Command};

use plugrank_store::Store;

use crate::{
    child::{Running, command, this_program},
    item, open, run,
};

#[test]
fn a_full_disk_loses_no_confirmed_write_and_writes_resume_with_space() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    drop(open(&path).unwrap());

    // The shell limits files to 4 MiB (8192 blocks of 512 bytes), and has the signal that comes
    // with the limit ignored, so that writing fails as it does on a full disk.
    let task = command(&this_program(), "fill", &path);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 8192 && trap '' XFSZ && exec \"$0\" \"$@\""]);
    limited.arg(task.get_program()).args(task.get_args());
    limited.envs(task.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited.stdout(std::process::Stdio::piped());
    let mut filling = Running::start(limited);
    let mut confirmed = 0;
    let message = loop {
        let said = filling.says().expect("an error before the end");
        match said.parse::<u32>() {
            Ok(id) => confirmed = id + 1,
            Err(_) => break said,
        }
    };
    drop(filling);
    assert!(message.starts_with("store unavailable: no room left for"), "{message}");
    assert!(confirmed > 5, "{confirmed}");
    check(&path, confirmed);
}

/// All confirmed items are there, whole, and no other; and more can be written.
fn check(path: &Path, confirmed: u32) {
    let store = open(path).unwrap();
    run(async {
        assert_eq!(store.item_count().await.unwrap(), u64::from(confirmed));
        for page in [None, Some("3".into())] {
            for stored in store.scan_items(page.as_ref(), 1000).await.unwrap() {
                assert_eq!(stored.item.text.len(), 40_000);
            }
        }
        store.put_items(vec![item(confirmed, 40_000)]).await.unwrap();
        assert_eq!(store.item_count().await.unwrap(), u64::from(confirmed) + 1);
    });
}
