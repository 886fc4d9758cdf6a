//! What the program is built of: the licences of others, and a bill of materials (CycloneDX 1.6), both by
//! `cargo metadata`, and both in the image and in the wheel.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::Path,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{ort_library, process};

/// The licences, in the folder that is written.
pub(crate) const NOTICES: &str = "THIRD_PARTY_NOTICES.txt";
/// The bill of materials.
pub(crate) const BILL: &str = "sbom.cdx.json";

/// How files with licences begin.
const LICENCE_FILES: [&str; 6] =
    ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

/// A crate of others.
struct Package {
    id: String,
    name: String,
    version: String,
    licence: String,
    authors: String,
    repository: Option<String>,
    /// Texts of its licences.
    texts: Vec<String>,
    /// Packages it is built of, by id.
    needs: Vec<String>,
}

/// Writes both files into `folder`.
pub(crate) fn write(folder: &Path) -> Result<()> {
    let mut metadata = process::cargo();
    metadata.args(["metadata", "--locked", "--format-version", "1", "--filter-platform"]);
    metadata.arg(process::host()?);
    let metadata: Value = serde_json::from_str(&process::output(&mut metadata)?)?;
    let packages = packages(&metadata, "plugrank")?;
    let lock = fs::read_to_string(crate::root().join("Cargo.lock"))?;
    fs::create_dir_all(folder)?;
    fs::write(folder.join(NOTICES), notices(&packages))?;
    let bill = serde_json::to_vec_pretty(&bill(&packages, &checksums(&lock)))?;
    fs::write(folder.join(BILL), bill)?;
    println!(
        "{}: notices of {} packages, and the bill of materials",
        folder.display(),
        packages.len()
    );
    Ok(())
}

/// The packages of registries that `root` is built of, by name and version.
fn packages(metadata: &Value, root: &str) -> Result<Vec<Package>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let all: HashMap<String, Value> =
        list(&metadata["packages"]).into_iter().map(|one| (text(&one["id"]), one)).collect();
    let needs: HashMap<String, Vec<String>> = list(&metadata["resolve"]["nodes"])
        .iter()
        .map(|node| {
            // Not what tests alone need.
            let built = |dep: &&Value| {
                list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"].as_str() != Some("dev"))
            };
            let deps = list(&node["deps"]);
            let needs = deps.iter().filter(built).map(|dep| text(&dep["pkg"])).collect();
            (text(&node["id"]), needs)
        })
        .collect();
    let root = all.iter().find(|(_, one)| one["name"] == root && one["source"].is_null());
    let (root, _) = root.context("the program is no package of the workspace")?;
    let (mut reached, mut open) = (BTreeSet::new(), vec![root.clone()]);
    while let Some(id) = open.pop() {
        if reached.insert(id.clone()) {
            open.extend(needs.get(&id).into_iter().flatten().cloned());
        }
    }
    let mut packages = Vec::new();
    for id in reached {
        let Some(one) = all.get(&id).filter(|one| !one["source"].is_null()) else { continue };
        packages.push(Package {
            name: text(&one["name"]),
            version: text(&one["version"]),
            licence: text(&one["license"]).replace('/', " OR "),
            authors: list(&one["authors"]).iter().map(text).collect::<Vec<_>>().join(", "),
            repository: one["repository"].as_str().map(str::to_owned),
            texts: licences(Path::new(&text(&one["manifest_path"])))?,
            needs: needs.get(&id).cloned().unwrap_or_default(),
            id,
        });
    }
    packages.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
    Ok(packages)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn licences(manifest: &Path) -> Result<Vec<String>> {
    let folder = manifest.parent().context("a manifest lies in a folder")?;
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if path.is_file() && LICENCE_FILES.iter().any(|start| name.starts_with(start)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .map(|text| text.replace("\r\n", "\n").trim().to_owned())
        .filter(|text| !text.is_empty())
        .collect())
}

/// Every text once, under the packages it belongs to.
fn notices(packages: &[Package]) -> String {
    let mut by_text: BTreeMap<&str, Vec<&Package>> = BTreeMap::new();
    for package in packages {
        for text in &package.texts {
            by_text.entry(text).or_default().push(package);
        }
    }
    let mut groups: Vec<_> = by_text.into_iter().collect();
    groups.sort_by_key(|(_, packages)| (std::cmp::Reverse(packages.len()), &packages[0].name));
    let mut written = String::from(
        "Plugrank is built of these packages, each under the licence named. The texts follow.\n\n",
    );
    for package in packages {
        let Package { name, version, licence, authors, repository, texts, .. } = package;
        written += &format!("{name} {version}: {licence}");
        if let Some(repository) = repository {
            written += &format!(", {repository}");
        }
        if texts.is_empty() && !authors.is_empty() {
            written += &format!("; by {authors}");
        }
        written.push('\n');
    }
    for (text, packages) in groups {
        let names: Vec<_> =
            packages.iter().map(|one| format!("{} {}", one.name, one.version)).collect();
        written += &format!("\n{}\n{}\n\n{text}\n", "=".repeat(80), names.join(", "));
    }
    written
}

/// SHA-256 of each package's archive, by name and version, as `Cargo.lock` has them.
fn checksums(lock: &str) -> HashMap<(String, String), String> {
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(&format!("{key} = ")))?;
        Some(line.trim_matches('"').to_owned())
    };
    let blocks = lock.split("[[package]]");
    blocks
        .filter_map(|block| {
            Some(((value(block, "name")?, value(block, "version")?), value(block, "checksum")?))
        })
        .collect()
}

fn bill(packages: &[Package], checksums: &HashMap<(String, String), String>) -> Value {
    let purl: HashMap<&str, String> = packages
        .iter()
        .map(|one| (one.id.as_str(), format!("pkg:cargo/{}@{}", one.name, one.version)))
        .collect();
    let mut components: Vec<Value> = packages
        .iter()
        .map(|one| {
            let reference = &purl[one.id.as_str()];
            let mut component = json!({
                "type": "library", "bom-ref": reference, "purl": reference,
                "name": one.name, "version": one.version,
                "licenses": [{ "expression": one.licence }],
            });
            let key = (one.name.clone(), one.version.clone());
            if let Some(checksum) = checksums.get(&key) {
                component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
            }
            component
        })
        .collect();
    let runtime = format!("pkg:pypi/onnxruntime@{}", ort_library::VERSION);
    components.push(json!({
        "type": "library", "bom-ref": runtime, "purl": runtime, "name": "onnxruntime",
        "version": ort_library::VERSION, "licenses": [{ "license": { "id": "MIT" } }],
    }));
    let dependencies: Vec<Value> = packages
        .iter()
        .map(|one| {
            let needs: BTreeSet<_> =
                one.needs.iter().filter_map(|id| purl.get(id.as_str())).collect();
            json!({ "ref": purl[one.id.as_str()], "dependsOn": needs })
        })
        .collect();
    let version = env!("CARGO_PKG_VERSION");
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": { "component": {
            "type": "application", "bom-ref": "plugrank", "name": "plugrank", "version": version,
            "licenses": [{ "license": { "id": "Apache-2.0" } }],
        } },
        "components": components,
        "dependencies": dependencies,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dev_dependencies_are_not_in_the_notices() {
        let package = |name: &str, source: Option<&str>| {
            let manifest = format!("{}/Cargo.toml", crate::root().display());
            json!({ "id": name, "name": name, "version": "1.0.0", "source": source,
                "license": "MIT/Apache-2.0", "authors": [], "manifest_path": manifest })
        };
        let dep = |name: &str, kind: Option<&str>| json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] });
        let metadata = json!({
            "packages": [package("program", None), package("used", Some("registry")),
                package("below", Some("registry")), package("tested", Some("registry"))],
            "resolve": { "nodes": [
                { "id": "program", "deps": [dep("used", None), dep("tested", Some("dev"))] },
                { "id": "used", "deps": [dep("below", Some("build"))] },
                { "id": "below", "deps": [] },
                { "id": "tested", "deps": [] },
            ] },
        });
        let packages = packages(&metadata, "program").unwrap();
        let names: Vec<_> = packages.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["below", "used"]);
        let checksums =
            checksums("[[package]]\nname = \"used\"\nversion = \"1.0.0\"\nchecksum = \"ab\"\n");
        let bill = bill(&packages, &checksums);
        assert_eq!(bill["components"][1]["hashes"][0]["content"], "ab");
        assert_eq!(bill["components"][1]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(bill["dependencies"][1]["dependsOn"], json!(["pkg:cargo/below@1.0.0"]));
        // The texts beside the manifest, here the project's own.
        let notices = notices(&packages);
        assert!(notices.contains("below 1.0.0, used 1.0.0\n\n"), "one text for both");
    }
}
