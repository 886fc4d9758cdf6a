//! The values of a vocabulary file, in little memory.

use std::{
    fs::File,
    hash::BuildHasher,
    io::{BufRead, BufReader},
    path::Path,
};

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::{BundleError, bundle::BYTE_ORDER_MARK};

/// Finds a value's place among the lines of a vocabulary file.
///
/// All values lie in one text, so that a million of them cost 9 to 18 bytes each besides their
/// letters, and three allocations in all.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary {
    text: String,
    /// Where each value ends in `text`; it begins where the one before it ends.
    ends: Vec<u32>,
    places: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Vocabulary {
    /// Reads a file with one value a line; `file` is its name in messages.
    pub(crate) fn load(path: &Path, file: &str) -> Result<Self, BundleError> {
        let content = |message: String| BundleError::Content { file: file.to_owned(), message };
        let opened = File::open(path)
            .map_err(|source| BundleError::Unreadable { path: path.to_owned(), source })?;
        let mut vocabulary = Self::default();
        for (number, line) in BufReader::new(opened).lines().enumerate() {
            let number = number + 1;
            let value = line.map_err(|error| content(format!("line {number}: {error}")))?;
            if number == 1 && value.starts_with(BYTE_ORDER_MARK) {
                return Err(content(
                    "begins with a byte order mark; save it as UTF-8 without one".to_owned(),
                ));
            }
            if value.is_empty() {
                return Err(content(format!(
                    "line {number} is empty; a value has a letter at least"
                )));
            }
            vocabulary
                .add(&value)
                .map_err(|message| content(format!("line {number} {message}")))?;
        }
        vocabulary.text.shrink_to_fit();
        vocabulary.ends.shrink_to_fit();
        Ok(vocabulary)
    }

    fn add(&mut self, value: &str) -> Result<(), String> {
        if let Some(place) = self.place(value) {
            return Err(format!("repeats `{value}` of line {}", u64::from(place) + 1));
        }
        self.text.push_str(value);
        let full = |_| "is one too many: a vocabulary has at most 4 GiB of text".to_owned();
        let end = u32::try_from(self.text.len()).map_err(full)?;
        let place = u32::try_from(self.ends.len()).map_err(full)?;
        self.ends.push(end);
        let (text, ends, hasher) = (&self.text, &self.ends, &self.hasher);
        self.places.insert_unique(hasher.hash_one(value), place, |&place| {
            hasher.hash_one(value_at(text, ends, place))
        });
        Ok(())
    }

    /// A value's line, from 0.
    pub(crate) fn place(&self, value: &str) -> Option<u32> {
        let same = |&place: &u32| value_at(&self.text, &self.ends, place) == value;
        self.places.find(self.hasher.hash_one(value), same).copied()
    }

    /// How many values it has.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes it takes.
    #[cfg(test)]
    fn memory(&self) -> usize {
        self.text.capacity() + 4 * self.ends.capacity() + self.places.allocation_size()
    }
}

fn value_at<'a>(text: &'a str, ends: &[u32], place: u32) -> &'a str {
    let place = place as usize;
    let begin = place.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
    let end = ends.get(place).copied().unwrap_or(begin);
    text.get(begin as usize..end as usize).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Vocabulary;

    fn load(content: &[u8]) -> Result<Vocabulary, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("values.txt");
        fs::write(&path, content).unwrap();
        Vocabulary::load(&path, "vocab/values.txt").map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_looked_up_by_line() {
        let vocabulary = load("a\nbcd\nä b\nab".as_bytes()).unwrap();
        let place = |value| vocabulary.place(value);
        assert_eq!([place("a"), place("bcd"), place("ä b"), place("ab")], [0, 1, 2, 3].map(Some));
        assert_eq!([place("b"), place("abcd"), place("")], [None, None, None]);
    }

    #[test]
    fn invalid_vocabularies_are_refused_with_the_line() {
        let error = load(b"a\nb\na\n").unwrap_err();
        assert_eq!(error, "vocab/values.txt: line 3 repeats `a` of line 1");
        assert!(load(b"a\n\nb\n").unwrap_err().contains("line 2 is empty"));
        let message = load("\u{feff}a\n".as_bytes()).unwrap_err();
        assert!(message.contains("byte order mark"), "{message}");
        assert!(load(b"a\n\xff\n").unwrap_err().contains("vocab/values.txt: line 2: "));
    }

    #[test]
    fn a_million_values_take_little_memory() {
        let values: String = (0..1_000_000).map(|number| format!("item{number}\n")).collect();
        let vocabulary = load(values.as_bytes()).unwrap();
        assert_eq!(vocabulary.place("item999999"), Some(999_999));
        assert_eq!(vocabulary.place("item1000000"), None);
        let letters = values.len() - 1_000_000;
        assert!(vocabulary.memory() < letters + 18_000_000, "{}", vocabulary.memory());
    }
}
