//! A program that runs beside this command and ends with it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    sync::OnceLock,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::process;

/// A running program; ended with this value, and where the system can do that also when this
/// command is killed.
pub(crate) struct Running {
    pub(crate) name: &'static str,
    command: Command,
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts `command`; what it writes goes to `log`.
    pub(crate) fn start(name: &'static str, command: &Command, log: &Path) -> Result<Self> {
        let file =
            fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = bound(command);
        let child = spawn(name, &mut command, file)?;
        Ok(Self { name, command, child, log: log.to_owned() })
    }

    /// Starts it once more, after it has ended; its log goes on.
    pub(crate) fn again(&mut self) -> Result<()> {
        let file = fs::File::options().append(true).open(&self.log)?;
        self.child = spawn(self.name, &mut self.command, file)?;
        Ok(())
    }

    /// How it ended, once it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails when it has ended, with the last it said.
    pub(crate) fn alive(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(5).collect();
        let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
        bail!("{} ended ({status}):\n{last}", self.name)
    }

    /// Waits until `ready` says so.
    pub(crate) fn wait_until(&mut self, ready: impl Fn() -> bool) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(600);
        while !ready() {
            self.alive()?;
            if Instant::now() > deadline {
                bail!("{} was not ready after ten minutes", self.name);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already ended: nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(name: &str, command: &mut Command, log: fs::File) -> Result<Child> {
    let child = command.stdout(log.try_clone()?).stderr(log).spawn();
    child.with_context(|| format!("{name} could not be started"))
}

/// The command, told by Linux when this one dies, however it does.
fn bound(command: &Command) -> Command {
    static CAN: OnceLock<bool> = OnceLock::new();
    let can = CAN.get_or_init(|| process::works("setpriv", &["--pdeathsig", "TERM", "true"]));
    let mut bound = if *can {
        let mut setpriv = Command::new("setpriv");
        setpriv.args(["--pdeathsig", "TERM"]).arg(command.get_program());
        setpriv
    } else {
        Command::new(command.get_program())
    };
    bound.args(command.get_args());
    bound
}
