//! From what people write to what the expression library reads: names with dots get braces, functions of
//! several arguments stand between them, numbers lose their exponents. What is no formula is refused with
//! its place.

use std::fmt::Write;

use crate::{
    FormulaError,
    operators::{Arguments, FUNCTIONS},
};

/// A formula as the library reads it.
#[derive(Debug, Default)]
pub(crate) struct Rewritten {
    pub(crate) text: String,
    /// Names and numbers in it.
    pub(crate) operands: usize,
}

/// Rewrites a formula.
pub(crate) fn rewrite(formula: &str) -> Result<Rewritten, FormulaError> {
    let mut rewriter =
        Rewriter { rest: formula, formula, out: Rewritten::default(), open: Vec::new() };
    while rewriter.token()? {}
    match rewriter.open.last() {
        Some(open) => Err(open.wrong("is never closed by `)`")),
        None => Ok(rewriter.out),
    }
}

/// A parenthesis that is open.
struct Open<'f> {
    /// The function whose arguments it begins.
    function: Option<(&'f str, Arguments)>,
    at: usize,
    commas: usize,
}

impl Open<'_> {
    fn wrong(&self, what: &str) -> FormulaError {
        let name = self.function.map_or("(", |(name, _)| name);
        FormulaError::Syntax { at: self.at, detail: format!("`{name}` {what}") }
    }
}

struct Rewriter<'f> {
    formula: &'f str,
    rest: &'f str,
    out: Rewritten,
    open: Vec<Open<'f>>,
}

impl<'f> Rewriter<'f> {
    /// The place of what is next, from 1.
    fn at(&self) -> usize {
        let before = &self.formula[..self.formula.len() - self.rest.len()];
        before.chars().count() + 1
    }

    fn wrong(&self, detail: impl Into<String>) -> FormulaError {
        FormulaError::Syntax { at: self.at(), detail: detail.into() }
    }

    /// Takes what is in front as long as `belongs`.
    fn take(&mut self, belongs: impl Fn(char) -> bool) -> &'f str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// Rewrites the next token; whether there was one.
    fn token(&mut self) -> Result<bool, FormulaError> {
        self.take(char::is_whitespace);
        let Some(first) = self.rest.chars().next() else { return Ok(false) };
        match first {
            '0'..='9' | '.' => self.number()?,
            '{' => self.quoted()?,
            '(' => self.opened(None),
            ')' => self.closed()?,
            ',' => self.comma()?,
            '+' | '-' | '*' | '/' => {
                self.out.text.push(first);
                self.out.text.push(' ');
                self.rest = &self.rest[1..];
            }
            '^' => return Err(self.wrong("`^` is no operator; write pow(a, b)")),
            _ if is_name(first) => self.word()?,
            other => {
                return Err(self.wrong(format!(
                    "{other:?} cannot stand here; a formula has numbers, names, + - * / and functions, \
                     and a name with other characters stands in braces: {{add-to-cart}}"
                )));
            }
        }
        Ok(true)
    }

    fn number(&mut self) -> Result<(), FormulaError> {
        let (at, start) = (self.at(), self.rest);
        self.take(|c| c.is_ascii_digit() || c == '.');
        let digits = self.rest.strip_prefix(['e', 'E']);
        let digits = digits.map(|rest| rest.strip_prefix(['+', '-']).unwrap_or(rest));
        if let Some(digits) = digits.filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            self.rest = digits;
            self.take(|c| c.is_ascii_digit());
        }
        let text = &start[..start.len() - self.rest.len()];
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        let wrong = || FormulaError::Syntax { at, detail: format!("`{text}` is no finite number") };
        let number = number.ok_or_else(wrong)?;
        // Writing to a string cannot fail.
        let _ = write!(self.out.text, "{number} ");
        self.out.operands += 1;
        Ok(())
    }

    /// A name in braces.
    fn quoted(&mut self) -> Result<(), FormulaError> {
        let end = self.rest.find('}').ok_or_else(|| self.wrong("`{` is never closed by `}`"))?;
        let name = &self.rest[1..end];
        if name.is_empty() || name.contains('{') {
            return Err(self.wrong("a name is empty or has a brace in it"));
        }
        self.rest = &self.rest[end + 1..];
        self.named(name);
        Ok(())
    }

    /// A name, or a function.
    fn word(&mut self) -> Result<(), FormulaError> {
        let at = self.at();
        let word = self.take(|c| is_name(c) || c == '.');
        let calls = self.rest.trim_start().starts_with('(');
        if !calls {
            self.named(word);
            return Ok(());
        }
        let function = FUNCTIONS.iter().find(|(name, _)| *name == word).copied();
        let Some(function) = function else {
            let names: Vec<&str> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
            let detail = format!("`{word}` is no function; there are {}", names.join(", "));
            return Err(FormulaError::Syntax { at, detail });
        };
        self.take(char::is_whitespace);
        self.opened(Some(function));
        Ok(())
    }

    fn named(&mut self, name: &str) {
        let _ = write!(self.out.text, "{{{name}}} ");
        self.out.operands += 1;
    }

    fn opened(&mut self, function: Option<(&'f str, Arguments)>) {
        let at = self.at();
        let (name, begins) = match function {
            None => ("", "("),
            Some((name, Arguments::One)) => (name, "("),
            // Functions of several arguments stand between them: ((a) min (b)).
            Some(_) => ("", "(("),
        };
        self.out.text.push_str(name);
        self.out.text.push_str(begins);
        self.open.push(Open { function, at, commas: 0 });
        self.rest = &self.rest[1..];
    }

    fn comma(&mut self) -> Result<(), FormulaError> {
        let Some(Open { function: Some((name, arguments)), commas, .. }) = self.open.last_mut()
        else {
            return Err(
                self.wrong("a comma stands between arguments of a function; decimals have a point")
            );
        };
        *commas += 1;
        let most = match arguments {
            Arguments::One => 0,
            Arguments::Two => 1,
            Arguments::Several => usize::MAX,
        };
        if *commas > most {
            let detail = format!("`{name}` takes {} arguments", most + 1);
            return Err(self.wrong(detail));
        }
        let _ = write!(self.out.text, ") {name} (");
        self.rest = &self.rest[1..];
        Ok(())
    }

    fn closed(&mut self) -> Result<(), FormulaError> {
        let open = self.open.pop().ok_or_else(|| self.wrong("`)` closes nothing"))?;
        self.out.text.push_str(match open.function {
            None | Some((_, Arguments::One)) => ")",
            Some(_) if open.commas == 0 => return Err(open.wrong("takes two arguments")),
            Some(_) => "))",
        });
        self.rest = &self.rest[1..];
        Ok(())
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
