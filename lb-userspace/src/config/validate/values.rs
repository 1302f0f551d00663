//! Rules about one value: required or not, one of a few words, in a range, a duration, a name.

use std::{collections::HashMap, hash::Hash, ops::RangeInclusive, time::Duration};

use toml::Spanned;

use crate::config::{
    diagnostic::{Findings, Span, quoted},
    fields::Field,
    suggest::closest,
    units::{DurationError, duration_text, parse_duration},
    words::Word,
};

/// A table and one key of it, for messages.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    /// The table as the file writes it, such as `[[array.server]]`.
    pub(super) table: &'a str,
    /// Where the table begins, when it is there.
    pub(super) span: Option<&'a Span>,
    pub(super) name: &'a str,
    /// A value that would do, as the file writes it.
    pub(super) example: &'a str,
}

/// The value of a key that has to be there.
pub(super) fn required<'f, T>(field: &'f Field<T>, key: Key<'_>, findings: &mut Findings) -> Option<&'f Spanned<T>> {
    match field {
        Field::Given(value) => Some(value),
        Field::Reported => None,
        Field::Absent => {
            let message = format!("{} has no `{}`", key.table, key.name);
            let place = if key.span.is_some() { "add" } else { "add it, with" };
            findings.error(key.span.cloned(), message, format!("{place} {} = {}", key.name, key.example));
            None
        }
    }
}

/// A key that has to be there and names something by `rule`; `allowed` says what the rule allows.
pub(super) fn name(
    field: &Field<String>,
    key: Key<'_>,
    rule: fn(&str) -> Result<(), String>,
    allowed: &str,
    findings: &mut Findings,
) -> Option<Spanned<String>> {
    let value = required(field, key, findings)?;
    obeys(value, key.name, rule, allowed, findings)
}

/// `value` when it obeys `rule`.
pub(super) fn obeys(
    value: &Spanned<String>,
    key: &str,
    rule: fn(&str) -> Result<(), String>,
    allowed: &str,
    findings: &mut Findings,
) -> Option<Spanned<String>> {
    match rule(value.get_ref()) {
        Ok(()) => Some(value.clone()),
        Err(wrong) => {
            let message = format!("{} in `{key}` {wrong}", quoted(value.get_ref()));
            findings.error(value.span(), message, format!("use {allowed}"));
            None
        }
    }
}

/// The choice that a key makes by a word.
pub(super) fn choice<W: Word>(
    field: &Field<String>,
    key: &str,
    default: Option<W>,
    findings: &mut Findings,
) -> Option<W> {
    let value = match field {
        Field::Absent => return default,
        Field::Reported => return None,
        Field::Given(value) => value,
    };
    let word = value.get_ref().as_str();
    let chosen = W::ALL.iter().copied().find(|choice| choice.word() == word);
    if chosen.is_none() {
        if let Some((_, remedy)) = W::NOT_YET.iter().find(|(known, _)| *known == word) {
            let message = format!("{key} = {word:?} is not supported by this version yet");
            findings.error(value.span(), message, *remedy);
        } else {
            findings.error(value.span(), not_a_word::<W>(key, word), suggest_word::<W>(word));
        }
    }
    chosen
}

/// The message about a word that makes no choice.
pub(super) fn not_a_word<W: Word>(key: &str, word: &str) -> String {
    format!("`{key}` is {}, which is none of {}", quoted(word), words::<W>())
}

/// The remedy for a word that makes no choice.
pub(super) fn suggest_word<W: Word>(word: &str) -> String {
    match closest(word, W::ALL.iter().map(|choice| choice.word())) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => format!("write one of {}", words::<W>()),
    }
}

fn words<W: Word>() -> String {
    let all: Vec<String> = W::ALL.iter().map(|choice| format!("{:?}", choice.word())).collect();
    all.join(", ")
}

/// A whole number within `range`.
pub(super) fn whole<N: TryFrom<i64>>(
    field: &Field<i64>,
    key: &str,
    range: RangeInclusive<i64>,
    default: N,
    findings: &mut Findings,
) -> Option<N> {
    match field {
        Field::Absent => Some(default),
        Field::Reported => None,
        Field::Given(value) => in_range(value, key, range, findings),
    }
}

/// `value` when it is within `range`.
pub(super) fn in_range<N: TryFrom<i64>>(
    value: &Spanned<i64>,
    key: &str,
    range: RangeInclusive<i64>,
    findings: &mut Findings,
) -> Option<N> {
    let number = *value.get_ref();
    // Every caller's range fits the type; were it not so, the number would be refused all the same.
    if range.contains(&number)
        && let Ok(number) = N::try_from(number)
    {
        return Some(number);
    }
    let (low, high) = range.into_inner();
    let remedy = format!("write a whole number from {low} to {high}");
    findings.error(value.span(), format!("`{key}` is {number}, which is out of range"), remedy);
    None
}

/// A duration within `range`.
pub(super) fn duration(
    field: &Field<String>,
    key: &str,
    range: RangeInclusive<Duration>,
    findings: &mut Findings,
) -> Option<Duration> {
    let Field::Given(value) = field else {
        return None;
    };
    let text = value.get_ref();
    let (low, high) = (duration_text(*range.start()), duration_text(*range.end()));
    match parse_duration(text) {
        Ok(duration) if range.contains(&duration) => Some(duration),
        Ok(_) | Err(DurationError::TooLong) => {
            let message = format!("`{key}` is {}, which is out of range", quoted(text));
            findings.error(value.span(), message, format!("write a duration from {low} to {high}"));
            None
        }
        Err(error) => {
            let message = format!("{} in `{key}` {error}", quoted(text));
            let remedy = "write whole numbers with h, m, s or ms, such as \"5s\", \"250ms\" or \"1m30s\"";
            findings.error(value.span(), message, remedy);
            None
        }
    }
}

/// Reports each item of `items` whose key an earlier one had.
pub(super) fn unique<'a, K: Eq + Hash, T: 'a>(
    items: impl IntoIterator<Item = &'a Spanned<T>>,
    key: impl Fn(&T) -> K,
    message: impl Fn(&T) -> String,
    remedy: &str,
    findings: &mut Findings,
) {
    let mut seen: HashMap<K, Span> = HashMap::new();
    for item in items {
        match seen.get(&key(item.get_ref())) {
            Some(first) => {
                findings.conflict(item.span(), (first.clone(), "first here"), message(item.get_ref()), remedy);
            }
            None => {
                seen.insert(key(item.get_ref()), item.span());
            }
        }
    }
}
