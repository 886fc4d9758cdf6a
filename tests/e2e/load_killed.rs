//! `plugrank load` into Redis, killed midway and repeated.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::site::{plugrank, repository};

/// A Redis server that ends with the test.
struct Redis {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Redis {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let port =
            TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().expect("its address").port();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--enable-debug-command", "yes"])
            .args(["--port", &port.to_string(), "--dir"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed (Debian: apt-get install redis-server)");
        let redis = Self { child, port, folder };
        let deadline = Instant::now() + Duration::from_secs(20);
        while redis.ask("PING").is_none() {
            assert!(Instant::now() < deadline, "redis-server did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        redis
    }

    /// The reply to a command, without its type; none while there is no server.
    fn ask(&self, command: &str) -> Option<String> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        socket.write_all(format!("{command}\r\n").as_bytes()).ok()?;
        let mut reply = [0; 256];
        let length = socket.read(&mut reply).ok()?;
        let reply = String::from_utf8_lossy(&reply[..length]).into_owned();
        reply.get(1..).map(|rest| rest.trim().to_owned())
    }

    fn keys(&self) -> u64 {
        self.ask("DBSIZE").and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// A hash of the server's data, except for the change stream, which records the interrupted load
    /// too, and for popularity, which is as of the time of the load.
    fn digest(&self) -> String {
        let forget = "for _, key in ipairs(redis.call('KEYS', 'plugrank:changes:*')) do \
                      redis.call('DEL', key) end \
                      for _, key in ipairs(redis.call('KEYS', 'plugrank:stats:*')) do \
                      redis.call('HDEL', key, 'lp', 'lpt') end return 'OK'";
        let forgot = self.ask(&format!("EVAL \"{forget}\" 0"));
        assert!(forgot.as_deref().is_some_and(|reply| reply.ends_with("OK")), "{forgot:?}");
        self.ask("DEBUG DIGEST").unwrap()
    }

    fn load(&self, folder: &Path) -> Child {
        let config = folder.join("load.toml");
        let address = format!("redis://127.0.0.1:{}", self.port);
        let settings = format!("store.kind = \"redis\"\nstore.redis.url = {address:?}\n");
        fs::write(&config, settings).unwrap();
        let mut load = plugrank(&["load", "--no-encode", "--config"]);
        load.arg(&config).arg("--dataset").arg(repository("models/simshop/dataset"));
        load.stdout(Stdio::null()).spawn().expect("plugrank can be started")
    }
}

#[test]
fn a_killed_load_is_completed_by_the_next() {
    let (whole, killed) = (Redis::start(), Redis::start());
    assert!(whole.load(whole.folder.path()).wait().unwrap().success());
    let all = whole.keys();
    assert!(all > 1500, "{all} keys");
    // Among the items, among the histories, among the statistics.
    for share in [1, 5, 8] {
        let mut load = killed.load(killed.folder.path());
        let mut ended = None;
        while killed.keys() < all * share / 10 && ended.is_none() {
            ended = load.try_wait().unwrap();
        }
        load.kill().unwrap();
        load.wait().unwrap();
        assert!(killed.keys() > 0);
    }
    assert!(killed.load(killed.folder.path()).wait().unwrap().success());
    assert_eq!(killed.digest(), whole.digest());
}
