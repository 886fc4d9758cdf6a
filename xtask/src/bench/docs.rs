//! Puts tables and plot into the documentation.

use std::fs;

use anyhow::{Context, Result};

const BEGIN: &str = "<!-- cargo xtask bench --write-docs: begin -->";
const END: &str = "<!-- end -->";
const HEADING: &str = "## Beside the graph and plain servers";
const PLOT: &str = "![Share of the limit by server](benchmarks.svg)";

/// Replaces what stands between the marks of docs/benchmarks.md; the first time, appends a section.
pub(crate) fn write(tables: &str, plot: &str) -> Result<()> {
    let docs = crate::root().join("docs");
    let path = docs.join("benchmarks.md");
    let page = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
    fs::write(&path, replaced(&page, tables))?;
    fs::write(docs.join("benchmarks.svg"), plot)?;
    println!("written: docs/benchmarks.md, docs/benchmarks.svg");
    Ok(())
}

fn replaced(page: &str, tables: &str) -> String {
    let section = format!("{BEGIN}\n{PLOT}\n\n{}\n{END}", tables.trim_end());
    let split = page
        .split_once(BEGIN)
        .and_then(|(before, rest)| rest.split_once(END).map(|(_, after)| (before, after)));
    match split {
        Some((before, after)) => format!("{before}{section}{after}"),
        None => format!("{}\n\n{HEADING}\n{section}\n", page.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn a_second_run_replaces_the_first() {
        let once = replaced("# Benchmarks\n", "| old |\n");
        let twice = replaced(&format!("{once}\n## More\n"), "| new |\n");
        assert!(twice.contains("| new |") && !twice.contains("| old |"));
        assert!(twice.starts_with("# Benchmarks\n") && twice.ends_with("\n## More\n"));
        assert_eq!(twice.matches("begin -->").count(), 1);
    }
}
