//! Images are read from inside the folder only.

use std::fs;

use crate::common::folder;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and the rest";

#[test]
fn an_image_inside_the_folder_is_read() {
    let (dir, folder) = folder();
    fs::create_dir(dir.path().join("images")).unwrap();
    fs::write(dir.path().join("images/a.png"), PNG).unwrap();
    assert_eq!(folder.image("images/a.png").unwrap(), PNG);
    assert_eq!(folder.image("./images/a.png").unwrap(), PNG);
}

#[test]
fn image_paths_outside_the_folder_are_refused() {
    let (dir, folder) = folder();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("a.png"), PNG).unwrap();
    let absolute = outside.path().join("a.png");
    let name = outside.path().file_name().unwrap().to_str().unwrap();
    for image in ["", "..", "../a.png", &format!("../{name}/a.png"), absolute.to_str().unwrap()] {
        let message = folder.image(image).unwrap_err().to_string();
        assert!(message.contains("leads out of the dataset folder"), "{image}: {message}");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&absolute, dir.path().join("link.png")).unwrap();
        let message = folder.image("link.png").unwrap_err().to_string();
        assert!(message.contains("link that leads out"), "{message}");
    }
    drop(dir);
}

#[test]
fn files_that_are_no_images_are_refused() {
    let (dir, folder) = folder();
    fs::write(dir.path().join("a.png"), "GIF89a").unwrap();
    let message = folder.image("a.png").unwrap_err().to_string();
    assert!(message.contains("`a.png`: is neither JPEG nor PNG"), "{message}");
    let message = folder.image("b.png").unwrap_err().to_string();
    assert!(message.contains("`b.png`: cannot be read"), "{message}");
}
