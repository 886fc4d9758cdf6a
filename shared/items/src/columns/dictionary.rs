//! The distinct values of a column.

use parking_lot::RwLock;

use crate::interner::Interner;

/// Stands for a value of a column that is no single number: see [`Dictionary`].
pub(crate) type Code = u32;

/// The code of a missing value.
pub(crate) const MISSING: Code = 0;

/// A value, or an element of a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Atom {
    /// A text.
    Text(Box<str>),
    /// The bits of a number, which is finite, and not -0.
    Number(u32),
}

impl Atom {
    /// The atom of a number; `None` for what is no finite number.
    pub(crate) fn number(number: f32) -> Option<Self> {
        // Equal numbers have equal bits, once -0 is 0.
        number.is_finite().then(|| Self::Number((number + 0.0).to_bits()))
    }

    /// The number that it is.
    pub(crate) fn as_number(&self) -> Option<f32> {
        match self {
            Self::Number(bits) => Some(f32::from_bits(*bits)),
            Self::Text(_) => None,
        }
    }
}

/// The distinct values of a column, its single numbers apart. They are never forgotten, so what a code
/// stands for does not change.
///
/// An atom's code is twice its number and 1, a list's twice its number and 2; a list has at least two
/// elements.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    atoms: Interner<Atom>,
    lists: Interner<Box<[u32]>>,
    /// By atom: the lists that it is in. Only grows; the writer holds it for a list that it meets for
    /// the first time.
    holders: RwLock<Vec<Vec<u32>>>,
}

impl Dictionary {
    /// The code of a value of these elements, given now if it is new.
    pub(crate) fn code(&self, elements: &[Atom]) -> Code {
        match elements {
            [] => MISSING,
            [one] => self.atoms.number(one) * 2 + 1,
            _ => self.list(elements.iter().map(|atom| self.atoms.number(atom)).collect()),
        }
    }

    /// The code of a list of atoms, given now if it is new.
    pub(crate) fn list(&self, atoms: Box<[u32]>) -> Code {
        let met = self.lists.len() as u32;
        let number = self.lists.number(&atoms);
        if number == met {
            let mut holders = self.holders.write();
            for atom in &atoms {
                let atom = *atom as usize;
                if holders.len() <= atom {
                    holders.resize_with(atom + 1, Vec::new);
                }
                if holders[atom].last() != Some(&number) {
                    holders[atom].push(number);
                }
            }
        }
        number * 2 + 2
    }

    /// The code of a value's first element; that of the value itself where it is no list.
    pub(crate) fn first(&self, code: Code) -> Code {
        if code % 2 == 1 || code == MISSING {
            return code;
        }
        let first = self.lists.value(code / 2 - 1).and_then(|list| list.first());
        first.map_or(MISSING, |atom| atom * 2 + 1)
    }

    /// Whether a code stands for something, or for nothing.
    pub(crate) fn knows(&self, code: Code) -> bool {
        match code {
            MISSING => true,
            code if code % 2 == 1 => (code as usize / 2) < self.atoms.len(),
            code => (code as usize / 2 - 1) < self.lists.len(),
        }
    }

    /// Lists in the order of their numbers.
    pub(crate) fn lists(&self) -> impl Iterator<Item = &Box<[u32]>> {
        self.lists.iter()
    }

    /// The number of an atom that was met.
    pub(crate) fn find(&self, atom: &Atom) -> Option<u32> {
        self.atoms.find(atom)
    }

    /// Atoms with their numbers.
    pub(crate) fn atoms(&self) -> impl Iterator<Item = (u32, &Atom)> {
        (0..).zip(self.atoms.iter())
    }

    /// Calls `met` with the codes of the values that are or hold an atom.
    pub(crate) fn for_each_holder(&self, atom: u32, mut met: impl FnMut(Code)) {
        met(atom * 2 + 1);
        let holders = self.holders.read();
        for list in holders.get(atom as usize).map_or(&[][..], Vec::as_slice) {
            met(list * 2 + 2);
        }
    }

    /// Distinct values.
    pub(crate) fn len(&self) -> usize {
        self.atoms.len() + self.lists.len()
    }

    /// About what it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let text = |atom: &Atom| match atom {
            Atom::Text(text) => text.len(),
            Atom::Number(_) => 0,
        };
        // The value, its copy in the hash map, and the number there.
        let atoms = self.atoms.iter().map(|atom| 2 * (size_of::<Atom>() + text(atom)) + 8);
        let lists = self.lists.iter().map(|list| 2 * (16 + 4 * list.len()) + 8 + 4 * list.len());
        atoms.sum::<usize>() + lists.sum::<usize>()
    }
}
