//! Python environments of pinned packages, one for each thing that needs them.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{once, process};

/// The interpreter of the environment `target/NAME`; makes it when `requirements.lock` of `home` (a
/// folder, from the repository's root) has changed since. `what` is what is announced.
///
/// The lock names each file of a package by its hash; `requirements.txt` beside it is what it is made
/// from (CONTRIBUTING.md).
pub(crate) fn ensure(name: &str, home: &str, what: &str) -> Result<PathBuf> {
    once::at_a_time(name, || make(name, home, what))
}

fn make(name: &str, home: &str, what: &str) -> Result<PathBuf> {
    let folder = crate::target().join(name);
    let python = folder.join("bin/python");
    let path = crate::root().join(home).join("requirements.lock");
    let wanted =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let stamp = folder.join("installed.txt");
    if python.is_file() && fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    println!("installing {what} into target/{name}");
    let _ = fs::remove_dir_all(&folder);
    process::run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).context(
        "python3 could not make a virtual environment (Debian: apt-get install python3-venv)",
    )?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    pip.args(["--require-hashes", "--requirement"]);
    process::run(pip.arg(&path))?;
    fs::write(&stamp, wanted)?;
    Ok(python)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    /// `NAME==VERSION` of each package, as one spelling.
    fn pins(text: &str) -> BTreeSet<String> {
        let pins = text.lines().filter(|line| line.contains("==") && !line.starts_with('#'));
        pins.map(|line| line.trim_end_matches('\\').trim().to_lowercase().replace(['_', '.'], "-"))
            .collect()
    }

    #[test]
    fn lock_files_match_the_requirements() {
        for home in crate::audit::LOCKS {
            let read = |file| fs::read_to_string(crate::root().join(home).join(file)).unwrap();
            let (wanted, lock) = (read("requirements.txt"), read("requirements.lock"));
            assert_eq!(pins(&lock), pins(&wanted), "{home}: make its lock anew (CONTRIBUTING.md)");
            assert!(lock.matches("--hash=sha256:").count() >= pins(&lock).len(), "{home}");
        }
    }
}
