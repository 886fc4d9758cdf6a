//! Titles and descriptions.

use rand_chacha::ChaCha8Rng;

use crate::{
    catalog::Traits,
    dice::{below, pick, unit},
    words::{
        brands::BRANDS,
        departments::{DEPARTMENTS, Department},
        styles::{STYLES, Style},
    },
};

/// What can be read of an item.
pub(crate) struct Prose {
    /// Short name.
    pub(crate) title: String,
    /// Description.
    pub(crate) text: String,
    /// What it is made of.
    pub(crate) material: &'static str,
}

/// Writes an item's title and description. Each word that shows style is of the main style with
/// the probability `mix`, else of the second one.
pub(crate) fn write(item: &Traits, rng: &mut ChaCha8Rng) -> Prose {
    let department = &DEPARTMENTS[usize::from(item.department)];
    let (_, things) = &department.shelves[usize::from(item.shelf)];
    let thing = things[below(rng, things.len())];
    let material = pick(rng, &department.materials);
    let source = style(item, rng);
    let adjective = pick(rng, &source.adjectives);
    let brand = BRANDS[usize::from(item.brand)];
    let title = if unit(rng) < 0.6 {
        format!("{brand} {adjective} {material} {thing}")
    } else {
        format!("{brand} {adjective} {thing}")
    };
    let mut sentences = vec![opening(item, department, thing, material, rng)];
    sentences.push(inspiration(item, thing, rng));
    if unit(rng) < 0.5 {
        let source = style(item, rng);
        let mood = pick(rng, &source.moods);
        sentences.push(format!("The look is {mood}."));
    }
    sentences.push(pick(rng, &department.facts).to_owned());
    Prose { title, text: sentences.join(" "), material }
}

fn opening(
    item: &Traits,
    department: &Department,
    thing: &str,
    material: &str,
    rng: &mut ChaCha8Rng,
) -> String {
    let source = style(item, rng);
    let first = pick(rng, &source.adjectives);
    let source = style(item, rng);
    let second = pick(rng, &source.adjectives);
    let place = pick(rng, &department.places);
    match below(rng, 4) {
        0 if first != second => {
            capital(&format!("{} {first}, {second} {thing} for {place}.", article(first)))
        }
        1 => format!("Made of {material}, this {first} {thing} is made for {place}."),
        2 => capital(&format!(
            "{} {thing} in {material} with {} {first} touch, meant for {place}.",
            article(thing),
            article(first)
        )),
        _ => format!("Our {first} {thing} brings {material} to {place}."),
    }
}

fn inspiration(item: &Traits, thing: &str, rng: &mut ChaCha8Rng) -> String {
    let source = style(item, rng);
    let motif = pick(rng, &source.motifs);
    match below(rng, 4) {
        0 => format!("It is inspired by {motif}."),
        1 => format!("Think of {motif}."),
        2 => format!("The makers of the {thing} had {motif} in mind."),
        _ => format!("It recalls {motif}."),
    }
}

/// The main style with the probability `mix`, else the second one.
fn style(item: &Traits, rng: &mut ChaCha8Rng) -> &'static Style {
    let chosen = if unit(rng) < f64::from(item.mix) { item.style } else { item.accent };
    &STYLES[usize::from(chosen)]
}

fn article(word: &str) -> &'static str {
    // By sound: "a utilitarian", "an urban".
    let vowel = word.starts_with(['a', 'e', 'i', 'o', 'u']) && !word.starts_with("uti");
    if vowel { "an" } else { "a" }
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::{Draw, dice};

    fn item(style: u8, mix: f32) -> Traits {
        Traits {
            created_at: 0,
            price: 0.0,
            quality: 0.0,
            mix,
            style,
            accent: (style + 1) % STYLES.len() as u8,
            department: 2,
            shelf: 0,
            brand: 5,
        }
    }

    /// Words of each style in texts of items of one.
    fn mentions(item: &Traits) -> Vec<usize> {
        let mut counts = vec![0; STYLES.len()];
        for index in 0..200 {
            let prose = write(item, &mut dice(1, Draw::ItemText, index));
            let all = format!("{} {}", prose.title, prose.text);
            for (count, style) in counts.iter_mut().zip(&STYLES) {
                let words = style.adjectives.iter().chain(&style.motifs).chain(&style.moods);
                *count += words.filter(|words| all.contains(*words)).count();
            }
        }
        counts
    }

    #[test]
    fn words_identify_the_main_and_second_style() {
        for style in 0..STYLES.len() as u8 {
            let counts = mentions(&item(style, 0.7));
            let mut order: Vec<usize> = (0..STYLES.len()).collect();
            order.sort_by_key(|&other| std::cmp::Reverse(counts[other]));
            let accent = (usize::from(style) + 1) % STYLES.len();
            assert_eq!(order[..2], [usize::from(style), accent], "{counts:?}");
        }
    }

    #[test]
    fn articles_follow_pronunciation() {
        assert_eq!([article("urban"), article("utilitarian"), article("leafy")], ["an", "a", "a"]);
    }

    #[test]
    fn sentences_start_with_a_capital_and_end_with_a_stop() {
        for index in 0..500 {
            let prose = write(&item(3, 0.8), &mut dice(2, Draw::ItemText, index));
            assert!(prose.text.starts_with(char::is_uppercase), "{}", prose.text);
            assert!(prose.text.ends_with('.') && !prose.text.contains(".."), "{}", prose.text);
            assert!(prose.title.starts_with(BRANDS[5]), "{}", prose.title);
        }
    }
}
