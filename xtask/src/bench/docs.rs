//! Puts tables and plot into the documentation.

use std::fs;

use anyhow::{Context, Result};

const END: &str = "<!-- end -->";
/// How the page shows the plot.
pub(crate) const PLOT: &str = "![Share of the limit by server](benchmarks.svg)";

/// A part of docs/benchmarks.md that runs write.
pub(crate) struct Section {
    begin: &'static str,
    /// Of the section, where there is none yet.
    heading: &'static str,
}

/// Limit, plain servers and Plugrank.
pub(crate) const BESIDE: Section = Section {
    begin: "<!-- cargo xtask bench --write-docs: begin -->",
    heading: "## Beside the graph and plain servers",
};

/// One process and several.
pub(crate) const APART: Section = Section {
    begin: "<!-- cargo xtask bench --apart --write-docs: begin -->",
    heading: "## One process and several",
};

/// Replaces what stands between the marks of a section; the first time, appends it.
pub(crate) fn write(section: &Section, text: &str) -> Result<()> {
    let path = crate::root().join("docs/benchmarks.md");
    let page = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
    fs::write(&path, replaced(&page, section, text))?;
    println!("written: docs/benchmarks.md");
    Ok(())
}

/// Writes the plot that the page shows.
pub(crate) fn write_plot(plot: &str) -> Result<()> {
    fs::write(crate::root().join("docs/benchmarks.svg"), plot)?;
    println!("written: docs/benchmarks.svg");
    Ok(())
}

fn replaced(page: &str, Section { begin, heading }: &Section, text: &str) -> String {
    let marked = format!("{begin}\n{}\n{END}", text.trim());
    let split = page
        .split_once(begin)
        .and_then(|(before, rest)| rest.split_once(END).map(|(_, after)| (before, after)));
    match split {
        Some((before, after)) => format!("{before}{marked}{after}"),
        None => format!("{}\n\n{heading}\n{marked}\n", page.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::{APART, BESIDE, replaced};

    #[test]
    fn a_second_run_replaces_the_first() {
        let once = replaced("# Benchmarks\n", &BESIDE, "| old |\n");
        let twice = replaced(&format!("{once}\n## More\n"), &BESIDE, "| new |\n");
        assert!(twice.contains("| new |") && !twice.contains("| old |"));
        assert!(twice.starts_with("# Benchmarks\n") && twice.ends_with("\n## More\n"));
        assert_eq!(twice.matches("begin -->").count(), 1);
    }

    #[test]
    fn sections_leave_each_other_alone() {
        let page = replaced("# Benchmarks\n", &BESIDE, "| one |\n");
        let page = replaced(&page, &APART, "| old |\n");
        let page = replaced(&page, &APART, "| two |\n");
        assert!(page.contains("| one |") && page.contains("| two |") && !page.contains("| old |"));
    }
}
