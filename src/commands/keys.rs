//! `plugrank keys`.

use std::{fs::OpenOptions, io::Write, path::Path};

use anyhow::{Context, Result, bail};
use plugrank_access::{Digest, KeyEntry, new_key, read_keys};

use crate::cli::{KeysCommand, NewKeyArgs};

pub(super) fn run(command: &KeysCommand) -> Result<()> {
    match command {
        KeysCommand::New(args) => new(args),
    }
}

fn new(args: &NewKeyArgs) -> Result<()> {
    let key = new_key().map_err(anyhow::Error::msg)?;
    let line = line(args, &key)?;
    if let Some(file) = &args.append {
        append(file, &line)?;
    }
    // The key alone on standard output, so that it can go into a secret without passing a terminal.
    println!("{key}");
    match &args.append {
        Some(file) => {
            eprintln!(
                "\nThis is shown once. {} has it now; a server reads that again by itself.",
                file.display()
            );
        }
        None => eprintln!(
            "\nThis is shown once. The server knows it by this line, in the file of access.keys_file or \
             in the section [access.keys] of the settings:\n\n{line}"
        ),
    }
    Ok(())
}

/// The line by which a server knows a key.
fn line(args: &NewKeyArgs, key: &str) -> Result<String> {
    let NewKeyArgs { name, scope, expires, per_second, burst, per_day, .. } = args;
    let entry = KeyEntry {
        expires: expires.clone(),
        per_second: *per_second,
        burst: *burst,
        per_day: *per_day,
        ..KeyEntry::new(Digest::of_key(key), scope.clone())
    };
    let line = format!("{name} = {}", toml::Value::try_from(&entry)?);
    // As a server would read it.
    read_keys(line.as_bytes()).map_err(|error| anyhow::anyhow!("no such key can be: {error}"))?;
    Ok(line)
}

fn append(file: &Path, line: &str) -> Result<()> {
    let named = || format!("the file {} (--append)", file.display());
    let before = match std::fs::read(file) {
        Ok(before) => before,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(named),
    };
    let apart = if before.is_empty() || before.ends_with(b"\n") { "" } else { "\n" };
    let after = [&before, apart.as_bytes(), line.as_bytes(), b"\n"].concat();
    if let Err(error) = read_keys(&after) {
        bail!("{} would not be one of keys any more: {error}", named());
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut opened = options.open(file).with_context(named)?;
    opened.write_all(format!("{apart}{line}\n").as_bytes()).with_context(named)
}

#[cfg(test)]
mod tests {
    use plugrank_access::Scope;

    use super::*;

    fn args(name: &str) -> NewKeyArgs {
        NewKeyArgs {
            scope: vec![Scope::Rank, Scope::Events],
            name: name.to_owned(),
            expires: None,
            per_second: Some(5),
            burst: None,
            per_day: None,
            append: None,
        }
    }

    #[test]
    fn a_key_entry_has_the_digest_and_not_the_key() {
        let key = new_key().unwrap();
        let line = line(&args("shop"), &key).unwrap();
        assert_eq!(line.lines().count(), 1);
        assert!(line.starts_with("shop = {") && !line.contains(&key), "{line}");
        let keys = read_keys(line.as_bytes()).unwrap();
        let entry = &keys["shop"];
        assert_eq!((entry.sha256, entry.per_second), (Digest::of_key(&key), Some(5)));
    }

    #[test]
    fn invalid_key_entries_are_refused() {
        assert!(line(&args("a b"), "k").is_err());
        let ends = NewKeyArgs { expires: Some("soon".into()), ..args("shop") };
        let error = line(&ends, "k").unwrap_err().to_string();
        assert!(error.contains("2030-01-01T00:00:00Z"), "{error}");
    }

    #[test]
    fn keys_are_appended_to_a_file_that_others_cannot_read() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.toml");
        for name in ["old", "new"] {
            append(&file, &line(&args(name), name).unwrap()).unwrap();
        }
        let text = std::fs::read(&file).unwrap();
        assert_eq!(read_keys(&text).unwrap().keys().collect::<Vec<_>>(), ["new", "old"]);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let error = append(&file, &line(&args("old"), "k").unwrap()).unwrap_err().to_string();
        assert!(error.contains("duplicate key"), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), text);
    }
}
