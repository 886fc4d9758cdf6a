//! `cargo xtask package`: a Python wheel with the program and the shipped shop.

mod check;
mod staging;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    demo::{self, Build},
    process,
};

#[derive(clap::Args)]
#[command(after_help = "\
`pip install target/wheels/plugrank-*.whl && plugrank demo` then needs no checkout and no Rust.
The wheel's tag names the oldest glibc that the program starts with: that of the machine it is built
on decides.")]
pub(crate) struct Args {
    /// Of a debug build: for tests of the wheel, not for use.
    #[arg(long)]
    debug: bool,
    /// Of this program, instead of building one.
    #[arg(long, value_name = "FILE", conflicts_with = "debug")]
    binary: Option<PathBuf>,
    /// Install the wheel into an empty environment, rank with it, and print how long each step took.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let binary = match &args.binary {
        Some(binary) => binary.clone(),
        None => demo::build(if args.debug { Build::Debug } else { Build::Dist })?,
    };
    let wheel = build(&binary)?;
    let size = fs::metadata(&wheel)?.len();
    println!("{} ({:.1} MB)", wheel.display(), size as f64 / 1e6);
    if args.check { check::run(&wheel) } else { Ok(()) }
}

/// The wheel around `binary`.
fn build(binary: &Path) -> Result<PathBuf> {
    let folder = crate::target().join("package");
    staging::lay_out(&folder, binary)?;
    let platform = platform(&folder.join(staging::PROGRAM))?;
    let wheels = crate::target().join("wheels");
    let _ = fs::remove_dir_all(&wheels);
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "wheel", "--quiet", "--no-deps", "--disable-pip-version-check"])
        .arg("--wheel-dir")
        .arg(&wheels)
        .arg(&folder)
        .env("PLUGRANK_PLATFORM", platform)
        .env("PLUGRANK_VERSION", env!("CARGO_PKG_VERSION"));
    process::run(&mut pip)?;
    let mut built = fs::read_dir(&wheels)?.flatten().map(|entry| entry.path());
    built.next().context("pip made no wheel")
}

/// The platform of a wheel (PEP 600): the oldest glibc that has all symbols the program asks for.
fn platform(program: &Path) -> Result<String> {
    let machine = env::consts::ARCH;
    if env::consts::OS != "linux" {
        bail!("wheels are made on Linux; here `cargo xtask demo` serves the shop");
    }
    let symbols = process::output(Command::new("objdump").arg("-T").arg(program))
        .context("objdump is part of binutils")?;
    let newest = newest_glibc(&symbols);
    ensure!(newest > 0, "{} asks for no symbol of glibc", program.display());
    Ok(format!("manylinux_2_{newest}_{machine}"))
}

/// The largest N of `GLIBC_2.N`.
fn newest_glibc(symbols: &str) -> u32 {
    let asked = symbols.split("GLIBC_2.").skip(1).filter_map(|rest| {
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    });
    asked.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::newest_glibc;

    #[test]
    fn the_newest_required_version_is_taken() {
        let symbols = "\
            0000 DF *UND* 0000 (GLIBC_2.9)   strlen\n\
            0000 DF *UND* 0000 (GLIBC_2.2.5) memcpy\n\
            0000 DF *UND* 0000 (GLIBC_2.34)  pthread_create\n\
            0000 DF *UND* 0000 (GLIBCXX_3.4.29) _ZSt\n";
        assert_eq!(newest_glibc(symbols), 34);
        assert_eq!(newest_glibc("nothing"), 0);
    }
}
