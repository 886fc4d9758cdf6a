//! One at a time: several commands may run side by side and want the same thing made.

use std::fs::{self, File};

use anyhow::{Context, Result};

/// Runs `make` while no other process makes what is called `name`; waits for one that does.
pub(crate) fn at_a_time<T>(name: &str, make: impl FnOnce() -> Result<T>) -> Result<T> {
    let folder = crate::target().join("locks");
    fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    let file = File::create(folder.join(name))?;
    // Freed when the file is closed, also where this process is killed.
    file.lock().with_context(|| format!("target/locks/{name} cannot be locked"))?;
    make()
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    use super::at_a_time;

    #[test]
    fn work_of_one_name_is_never_concurrent() {
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let make = || {
            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            inside.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        };
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..20).for_each(|_| at_a_time("test", make).unwrap()));
            }
        });
        assert_eq!(most.into_inner(), 1);
    }
}
