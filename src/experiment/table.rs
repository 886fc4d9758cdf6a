//! Tables of text.

/// Rows with their columns under each other, two spaces apart. A column whose cells below the
/// header are all figures stands to the right.
pub(super) fn aligned<R: AsRef<[String]>>(rows: &[R]) -> String {
    let columns = rows.iter().map(|row| row.as_ref().len()).max().unwrap_or(0);
    let cell = |row: &R, column: usize| row.as_ref().get(column).cloned().unwrap_or_default();
    let width = |column| rows.iter().map(|row| cell(row, column).chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let figure = |text: &String| {
        text.is_empty()
            || text.starts_with(|first: char| "+-.[".contains(first) || first.is_numeric())
    };
    let right: Vec<bool> = (0..columns)
        .map(|column| rows.iter().skip(1).all(|row| figure(&cell(row, column))))
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for column in 0..columns {
            let (cell, width) = (cell(row, column), widths[column]);
            if right[column] {
                line.push_str(&format!("{cell:>width$}  "));
            } else {
                line.push_str(&format!("{cell:<width$}  "));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_right_aligned_and_text_left_aligned() {
        let rows = [["arm", "units"], ["a", "1,000"], ["control", "9"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows), "arm      units\na        1,000\ncontrol      9\n");
    }
}
