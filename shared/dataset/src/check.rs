//! Everything that is wrong with a folder, in one pass over its files.

use crate::{
    DatasetError, DatasetFolder, FolderProblems,
    image_file::check_image,
    names::{IMAGE, INTERACTIONS, ITEMS, TRUTH, USERS},
    read::{self, Batches},
    rule::DatasetRule,
};

impl DatasetFolder {
    /// Opens a folder and reads all of it once, before anything of it is used.
    ///
    /// # Errors
    /// The folder or its `dataset.json` cannot be read, or [`DatasetError::Problems`], which names
    /// all that is wrong with its files, with counts and first rows.
    pub fn checked(folder: &std::path::Path) -> Result<Self, DatasetError> {
        let folder = Self::open(folder)?;
        DatasetError::any(folder.problems())?;
        Ok(folder)
    }

    /// All that is wrong with the folder's files.
    #[must_use]
    pub fn problems(&self) -> FolderProblems {
        let mut problems = FolderProblems::default();
        let rules = self.rules();
        let root = self.root();
        let mut items = read::items(&root.join(ITEMS), rules);
        rows(&mut problems, ITEMS, &mut items, |number, row, problems| {
            let Some(image) = &row.image else { return };
            if let Err(problem) = check_image(root, image) {
                let path = root.join(ITEMS);
                let error = DatasetError::value(&path, IMAGE, number, DatasetRule::Image, problem);
                error.add_to(problems, ITEMS);
            }
        });
        rows(&mut problems, USERS, &mut read::users(&root.join(USERS)), |_, _, _| {});
        let mut interactions = read::interactions(&root.join(INTERACTIONS), rules, true);
        rows(&mut problems, INTERACTIONS, &mut interactions, |_, _, _| {});
        if root.join(TRUTH).exists() {
            rows(&mut problems, TRUTH, &mut read::truth(&root.join(TRUTH), rules), |_, _, _| {});
        }
        problems
    }
}

/// Reads a table to its end; `each` sees every row that is right in itself, with its number.
fn rows<T>(
    problems: &mut FolderProblems,
    file: &str,
    table: &mut Result<Batches<T>, Vec<DatasetError>>,
    mut each: impl FnMut(u64, &T, &mut FolderProblems),
) {
    let batches = match table {
        Ok(batches) => batches,
        Err(errors) => return errors.iter().for_each(|error| error.add_to(problems, file)),
    };
    let mut number = 0;
    while let Some(batch) = batches.next_batch() {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => return error.add_to(problems, file),
        };
        for row in batch {
            match row {
                Ok(row) => each(number, &row, problems),
                Err(errors) => errors.iter().for_each(|error| error.add_to(problems, file)),
            }
            number += 1;
        }
    }
}
