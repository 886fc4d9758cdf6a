//! Values that many items share, each under a number.

use std::{collections::HashMap, hash::Hash};

use parking_lot::Mutex;

/// Gives each distinct value a number, in the order in which they are met. Values are never
/// forgotten; reading one takes no lock.
#[derive(Debug)]
pub(crate) struct Interner<T> {
    values: boxcar::Vec<T>,
    numbers: Mutex<HashMap<T, u32, foldhash::fast::RandomState>>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { values: boxcar::Vec::new(), numbers: Mutex::default() }
    }
}

impl<T: Clone + Eq + Hash> Interner<T> {
    /// The number of a value.
    pub(crate) fn number(&self, value: &T) -> u32 {
        let mut numbers = self.numbers.lock();
        if let Some(number) = numbers.get(value) {
            return *number;
        }
        let number = self.values.push(value.clone()) as u32;
        numbers.insert(value.clone(), number);
        number
    }

    /// The number of a value that was met.
    pub(crate) fn find(&self, value: &T) -> Option<u32> {
        self.numbers.lock().get(value).copied()
    }

    /// The value of a number.
    pub(crate) fn value(&self, number: u32) -> Option<&T> {
        self.values.get(number as usize)
    }

    /// Values met so far; every number is below it.
    pub(crate) fn len(&self) -> usize {
        self.values.count()
    }

    /// All values, by their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.values.iter().map(|(_, value)| value)
    }
}
