//! The folder that the wheel is built from.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::{files, notices, process};

/// The program in that folder.
pub(super) const PROGRAM: &str = "src/plugrank/bin/plugrank";
/// What is said of others' work in that folder.
const NOTICES: &str = "src/plugrank/share/plugrank";
/// The shop in that folder: where the program looks for it, from its own place.
const SHOP: &str = "src/plugrank/share/plugrank/simshop";

/// Makes `folder` anew: the Python project, the program without symbols, the shop.
pub(super) fn lay_out(folder: &Path, binary: &Path) -> Result<()> {
    let root = crate::root();
    files::replace(&root.join("packaging/wheel"), folder)?;
    fs::copy(root.join("LICENSE"), folder.join("LICENSE"))?;
    notices::write(&folder.join(NOTICES))?;
    let program = folder.join(PROGRAM);
    fs::create_dir_all(program.parent().context("the program lies in a folder")?)?;
    process::run(Command::new("strip").arg("-o").arg(&program).arg(binary))
        .context("strip is part of binutils")?;
    for part in ["bundle", "bundle-idrec", "dataset"] {
        let shipped = root.join("models/simshop").join(part);
        files::replace(&shipped, &folder.join(SHOP).join(part))?;
    }
    // What the simulator knows and a shop does not: for evaluation alone.
    fs::remove_file(folder.join(SHOP).join("dataset/truth.parquet"))?;
    Ok(())
}
