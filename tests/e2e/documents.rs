//! The commands of the documents: each `sh` fence is run against the shop, page by page, unless the line above it says
//! why not (`<!-- not run: … -->`).

use std::{fs, os::unix::fs::symlink, path::PathBuf, process::Command};

use tempfile::TempDir;

use super::site::{Site, library, plugrank, repository};

/// Pages beside those of `docs/`.
const PAGES: [&str; 4] =
    ["README.md", "CONTRIBUTING.md", "clients/python/README.md", "loadtests/README.md"];
/// Folders of pages.
const FOLDERS: [&str; 2] = ["docs", "docs/runbooks"];
/// Folders of the repository that commands read.
const READ: [&str; 2] = ["models", "docs"];

/// A block of commands.
struct Fence {
    line: usize,
    /// Why it is not run.
    not_run: Option<String>,
    commands: String,
}

fn fences(page: &str) -> Vec<Fence> {
    let mut fences = Vec::new();
    let mut lines = page.lines().enumerate();
    let mut above = "";
    while let Some((number, line)) = lines.next() {
        if line.trim() == "```sh" {
            let not_run = above.trim().strip_prefix("<!-- not run: ");
            let not_run = not_run.and_then(|reason| reason.strip_suffix(" -->")).map(str::to_owned);
            let within =
                lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```");
            let commands = within.collect::<Vec<_>>().join("\n");
            fences.push(Fence { line: number + 1, not_run, commands });
        }
        above = line;
    }
    fences
}

fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = PAGES.iter().map(|page| repository(page)).collect();
    for folder in FOLDERS {
        let files = fs::read_dir(repository(folder)).into_iter().flatten().flatten();
        let files = files.map(|file| file.path());
        pages.extend(files.filter(|path| path.extension().is_some_and(|kind| kind == "md")));
    }
    pages.sort();
    pages
}

/// Shell prelude of a page's commands: the test server's port instead of 8080, and curl failing on HTTP errors.
fn prelude(site: &Site) -> String {
    let program = plugrank(&[]).get_program().to_string_lossy().into_owned();
    let url = site.url("");
    format!(
        "set -euo pipefail\n\
         curl() {{ command curl --fail-with-body --silent --show-error \"$@\"; echo; }}\n\
         plugrank() {{ case $1 in\n\
           rank|top) timeout 60 {program} \"$@\" --url {url};;\n\
           *) timeout 120 {program} \"$@\";; esac; }}\n"
    )
}

#[tokio::test]
async fn every_documented_command_is_run_or_marked_as_not_run() {
    let site = Site::start().await;
    let address = site.url("").replace("http://", "");
    let (mut run, mut wrong) = (0, Vec::new());
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let folder = TempDir::new().unwrap();
        for name in READ {
            symlink(repository(name), folder.path().join(name)).unwrap();
        }
        for Fence { line, not_run, commands } in fences(&text) {
            if not_run.is_some() {
                continue;
            }
            run += 1;
            let commands =
                commands.replace("127.0.0.1:8080", &address).replace("localhost:8080", &address);
            let output = Command::new("bash")
                .arg("-c")
                .arg(prelude(&site) + &commands)
                .current_dir(folder.path())
                .env("ORT_DYLIB_PATH", library())
                .output()
                .unwrap();
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr).into_owned()
                    + &String::from_utf8_lossy(&output.stdout);
                wrong.push(format!("{}:{line}: {}\n{said}", page.display(), output.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(run >= 8, "only {run} blocks were run");
}

#[test]
fn fences_are_found_with_the_comment_above() {
    let page = "text\n```sh\na\nb\n```\n<!-- not run: it takes long -->\n```sh\nc\n```\n```json\n{}\n```\n";
    let found = fences(page);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].line, found[0].commands.as_str()), (2, "a\nb"));
    assert!(found[0].not_run.is_none());
    assert_eq!(found[1].not_run.as_deref(), Some("it takes long"));
}
