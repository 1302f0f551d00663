//! An error with its causes as one sentence.

use std::error::Error;

/// The error's text and, behind colons, those of its causes. Some errors quote their cause, some don't; one that has been
/// quoted is left out.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_named_once() {
        let error = anyhow::anyhow!("no such file").context("cannot read x: no such file").context("it failed");
        assert_eq!(chain(error.as_ref()), "it failed: cannot read x: no such file");
    }
}
