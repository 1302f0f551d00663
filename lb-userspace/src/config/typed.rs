//! A TOML value as the type that a key wants, or why it is not.

use toml::{
    Spanned,
    de::{DeInteger, DeValue},
};

use super::diagnostic::Span;

/// A value with its place.
pub(super) type Value<'i> = Spanned<DeValue<'i>>;

/// Why a value is not what its key wants: it, or one item of it, has the wrong type, or something of its own.
pub(super) enum Unfit {
    Type { expected: &'static str },
    Item { span: Span, expected: &'static str, kind: &'static str },
    Because { message: String, remedy: String },
}

/// A string.
pub(super) fn text(value: &Value<'_>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.clone().into_owned()),
        _ => None,
    }
}

/// A whole number of at most 64 bits.
pub(super) fn integer(value: &Value<'_>, key: &str) -> Result<i64, Unfit> {
    let DeValue::Integer(number) = value.get_ref() else {
        return Err(Unfit::Type { expected: "a whole number" });
    };
    whole(number).ok_or_else(|| Unfit::Because {
        message: format!("`{key}` is too large a number"),
        remedy: "write a smaller number".to_owned(),
    })
}

/// One port; the ranges of ports that are to come are refused as such.
pub(super) fn port(value: &Value<'_>, key: &str, example: &str) -> Result<i64, Unfit> {
    let several = match value.get_ref() {
        DeValue::Array(_) => true,
        DeValue::String(text) => text == "any" || text.contains(['-', ',']),
        _ => false,
    };
    if several {
        return Err(Unfit::Because {
            message: format!("`{key}` with several ports is not supported by this version yet"),
            remedy: format!("write one port, such as {key} = {example}, and a service for each"),
        });
    }
    integer(value, key)
}

fn whole(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// A list in which `read` takes every item.
pub(super) fn list<T>(
    value: &Value<'_>,
    expected: &'static str,
    read: impl Fn(&Value<'_>) -> Option<T>,
) -> Result<Vec<Spanned<T>>, Unfit> {
    let DeValue::Array(values) = value.get_ref() else {
        return Err(Unfit::Type { expected });
    };
    values
        .iter()
        .map(|value| match read(value) {
            Some(item) => Ok(Spanned::new(value.span(), item)),
            None => Err(Unfit::Item { span: value.span(), expected, kind: kind(value.get_ref()) }),
        })
        .collect()
}

/// What a value is, in words.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(number) if whole(number).is_none() => "too large a number",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
