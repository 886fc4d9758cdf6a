//! This test program as a child process that uses a store.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use plugrank_store::Store;

/// Says what the child does, and with which file. A test of that name runs in every process, and
/// does nothing without it.
const TASK: &str = "PLUGRANK_STORE_TEST_TASK";
const FILE: &str = "PLUGRANK_STORE_TEST_FILE";

/// A command that runs `task` on `file` in a child; `program` is this test program or a copy.
pub(crate) fn command(program: &Path, task: &str, file: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["--exact", "child::in_child", "--nocapture", "--test-threads=1"]);
    command.env(TASK, task).env(FILE, file).stdout(Stdio::piped());
    command
}

pub(crate) fn this_program() -> PathBuf {
    std::env::current_exe().expect("path of the test program")
}

/// A running child and what it says.
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("child process");
        let lines = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, lines }
    }

    /// The rest of the next line that starts with "child: "; the test harness has lines of its own.
    pub(crate) fn says(&mut self) -> Option<String> {
        let mut line = String::new();
        while self.lines.read_line(&mut line).expect("child's output") > 0 {
            if let Some((_, said)) = line.split_once("child: ") {
                return Some(said.trim_end().to_owned());
            }
            line.clear();
        }
        None
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(what: impl std::fmt::Display) {
    println!("child: {what}");
    std::io::stdout().flush().expect("flush");
}

#[test]
fn in_child() {
    let (Ok(task), Some(file)) = (std::env::var(TASK), std::env::var_os(FILE)) else { return };
    let store = match crate::open(Path::new(&file)) {
        Ok(store) => store,
        Err(error) => return say(error),
    };
    match task.as_str() {
        // Holds the file open until killed.
        "hold" => {
            say("open");
            std::thread::sleep(std::time::Duration::from_secs(60));
        }
        "open" => say("opened"),
        // Ends as a server does: closed, while threads still hold the store and one is reading.
        "end" => {
            let store = std::sync::Arc::new(store);
            let held = std::sync::Arc::clone(&store);
            std::thread::spawn(move || {
                crate::run(async {
                    while held.item_count().await.is_ok() {
                        std::thread::yield_now();
                    }
                });
                std::thread::sleep(std::time::Duration::from_secs(60));
            });
            let id = std::process::id();
            let closed = crate::run(async {
                store.append_events(vec![crate::click(id)]).await.expect("append");
                store.close().await
            });
            say(format!("{closed:?}"));
            // Without dropping anything.
            std::process::exit(0);
        }
        // Appends events until killed, saying each once it is confirmed.
        "append" => crate::run(async {
            for id in 0.. {
                store.append_events(vec![crate::click(id)]).await.expect("append");
                say(id);
            }
        }),
        // Writes items until there is no room.
        "fill" => crate::run(async {
            for id in 0..10_000 {
                if let Err(error) = store.put_items(vec![crate::item(id, 40_000)]).await {
                    return say(error);
                }
                say(id);
            }
        }),
        other => panic!("unknown task {other}"),
    }
}
