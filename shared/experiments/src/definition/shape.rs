//! Reading a document whose values may have the wrong type, without stopping at the first.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::DefinitionProblems;

/// Reads `document`. A value that cannot be read is noted, left out, and the rest read again, so
/// every type must have a default for each of its fields.
pub(super) fn read<T: DeserializeOwned + Default>(mut document: Value) -> (T, DefinitionProblems) {
    let mut problems = DefinitionProblems::default();
    loop {
        let error = match serde_path_to_error::deserialize(&document) {
            Ok(value) => return (value, problems),
            Err(error) => error,
        };
        let removed = remove(&mut document, error.path());
        let path = removed.as_deref().unwrap_or_default().to_owned();
        problems.add(path, error.inner().to_string());
        if removed.is_none() {
            return (T::default(), problems);
        }
    }
}

/// Removes the value at `path`, or the nearest one around it that has a name, and answers its path.
/// An entry of a list takes its list along: the others would change their numbers.
fn remove(document: &mut Value, path: &Path) -> Option<String> {
    let segments: Vec<&Segment> = path.iter().collect();
    let last = segments.iter().rposition(|segment| matches!(segment, Segment::Map { .. }))?;
    let (mut at, mut written) = (document, String::new());
    for segment in &segments[..last] {
        match segment {
            Segment::Map { key } => {
                at = at.get_mut(key)?;
                if !written.is_empty() {
                    written.push('.');
                }
                written.push_str(key);
            }
            Segment::Seq { index } => {
                at = at.get_mut(index)?;
                written.push_str(&format!("[{index}]"));
            }
            Segment::Enum { .. } | Segment::Unknown => return None,
        }
    }
    let Segment::Map { key } = segments[last] else { return None };
    at.as_object_mut()?.shift_remove(key)?;
    if !written.is_empty() {
        written.push('.');
    }
    written.push_str(key);
    Some(written)
}
