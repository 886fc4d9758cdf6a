//! Running other programs, with an error that says what to do when one is missing or fails.

use std::{io::ErrorKind, process::Command};

use anyhow::{Context, Result, bail};

/// Cargo in the repository's root, as a shell starts it.
///
/// What `cargo run` says of this program is taken out: build scripts (that of `ring`) would take it for a change, and half
/// of everything would be built again after a `cargo build` by hand, and by that after this.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    cargo.current_dir(crate::root());
    cargo
}

/// Prints the command, runs it, and fails when it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("$ {}", display(command));
    quiet(command)
}

/// Runs the command without printing it first.
pub(crate) fn quiet(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|error| missing(command, error))?;
    if !status.success() {
        bail!("`{}` failed ({status})", display(command));
    }
    Ok(())
}

/// What the command prints on its standard output, trimmed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| missing(command, error))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed ({}): {}", display(command), output.status, stderr.trim());
    }
    let text = String::from_utf8(output.stdout).context("its output is no UTF-8")?;
    Ok(text.trim().to_owned())
}

/// Whether a program of this name can be started with these arguments and succeeds.
pub(crate) fn works(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// What the compiler builds for by itself, such as `x86_64-unknown-linux-gnu`.
pub(crate) fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = output(Command::new(rustc).arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

fn missing(command: &Command, error: std::io::Error) -> anyhow::Error {
    let program = command.get_program().to_string_lossy().into_owned();
    if error.kind() == ErrorKind::NotFound {
        return anyhow::anyhow!("`{program}` is not on the PATH; install it and run this again");
    }
    anyhow::Error::new(error).context(format!("cannot start `{program}`"))
}

fn display(command: &Command) -> String {
    let root = crate::root();
    let shorten = |part: &std::ffi::OsStr| {
        let part = part.to_string_lossy();
        part.replace(&format!("{}/", root.display()), "")
    };
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(shorten)
        .collect::<Vec<_>>()
        .join(" ")
}
