//! What the audience sees: titles, steps, figures, checks and the summary, on a terminal with colour and bars, elsewhere
//! plain. At most 80 columns, but for the output of `caslb` itself.
//!
//! It keeps the score. It knows nothing of what is shown.

use std::io::{IsTerminal, Stdout, Write, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::units;
use crate::sys;

/// Columns of a full bar.
const BAR: usize = 20;
/// Columns of text: lines stay readable side by side with something else.
const WIDTH: usize = 80;

/// Columns that the output of other programs may have.
const WIDEST: usize = 100;

/// Set by the farewell, under the lock of standard output: whatever the play is doing must not be seen any more.
static OVER: AtomicBool = AtomicBool::new(false);

/// Says what a signal leads to; everything printed later is dropped.
pub(super) fn farewell(signal: Signal) {
    let mut out = stdout().lock();
    OVER.store(true, Ordering::Relaxed);
    let what = if signal == Signal::SIGINT { "Interrupted" } else { "Told to stop" };
    // Nobody may be there any more to read it.
    let _ = writeln!(out, "\n\n  {what}: taking away processes, maps, programs and namespaces.");
    let _ = out.flush();
}

/// Standard output, and the score.
#[derive(Debug)]
pub(super) struct Screen {
    out: Stdout,
    colour: bool,
    bars: bool,
    step: usize,
    steps: usize,
    held: usize,
    failed: Vec<String>,
}

/// How a piece of text looks where there is colour.
#[derive(Clone, Copy, Debug)]
pub(super) enum Style {
    Strong,
    Faint,
    Good,
    Bad,
}

impl Screen {
    /// A screen for a play of `steps` steps.
    pub(super) fn on_stdout(steps: usize) -> Self {
        let terminal = stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { out: stdout(), colour, bars: terminal, step: 0, steps, held: 0, failed: Vec::new() }
    }

    /// `text` as it shall look.
    pub(super) fn styled(&self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Strong => "1",
            Style::Faint => "2",
            Style::Good => "32",
            Style::Bad => "1;31",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Puts `text` where the last one ended, at once.
    pub(super) fn put(&self, text: &str) -> Result<()> {
        let mut out = self.out.lock();
        if OVER.load(Ordering::Relaxed) {
            return Ok(());
        }
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to standard output")
    }

    /// A line as it is; more than one if `line` has more.
    pub(super) fn line(&self, line: &str) -> Result<()> {
        self.put(&format!("{line}\n"))
    }

    /// The output of another program: `text`, its lines cut where the terminal ends.
    pub(super) fn output(&self, text: &str) -> Result<()> {
        let columns = sys::terminal_columns().map_or(WIDEST, |columns| WIDEST.min(columns.into()));
        text.trim_end().lines().try_for_each(|line| self.line(&cut(line, columns)))
    }

    /// Begins a step: what it does, and a sentence about how.
    pub(super) fn step(&mut self, title: &str, how: &str) -> Result<()> {
        self.step += 1;
        let title = self.styled(Style::Strong, &format!("{}/{}  {title}", self.step, self.steps));
        self.line(&format!("\n{title}"))?;
        for line in wrapped(how, WIDTH - 5) {
            self.line(&format!("     {}", self.styled(Style::Faint, &line)))?;
        }
        Ok(())
    }

    /// A line of figures.
    pub(super) fn figure(&self, line: &str) -> Result<()> {
        self.line(&format!("     {line}"))
    }

    /// A bar, full when `part` is `whole`; empty where there are no bars.
    pub(super) fn bar(&self, part: usize, whole: usize) -> String {
        if !self.bars {
            return String::new();
        }
        // Eighths of a column.
        let eighths = (part * BAR * 8).checked_div(whole).unwrap_or(0).min(BAR * 8);
        let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"].get(eighths % 8).copied().unwrap_or_default();
        let bar = "█".repeat(eighths / 8) + rest;
        self.styled(Style::Good, &bar)
    }

    /// Whether what `claim` says is so. The summary repeats what is not.
    pub(super) fn check(&mut self, holds: bool, claim: &str) -> Result<()> {
        let sign = if holds { self.styled(Style::Good, "✓") } else { self.styled(Style::Bad, "✗") };
        if holds {
            self.held += 1;
        } else {
            self.failed.push(format!("step {}: {claim}", self.step));
        }
        for (number, line) in wrapped(claim, WIDTH - 5).into_iter().enumerate() {
            self.line(&format!("   {} {line}", if number == 0 { &sign } else { " " }))?;
        }
        Ok(())
    }

    /// The play cannot go on.
    pub(super) fn broke_off(&mut self, error: &anyhow::Error) -> Result<()> {
        let sign = self.styled(Style::Bad, "✗");
        self.line(&format!("\n   {sign} {error}"))?;
        let causes = error.chain().skip(1).map(ToString::to_string).collect::<Vec<_>>().join("\n");
        causes.lines().filter(|line| !line.is_empty()).try_for_each(|line| self.line(&format!("     {line}")))?;
        self.failed.push(format!("step {}: {error}: {}", self.step, error.root_cause()));
        Ok(())
    }

    /// The score, and, when everything held, where to go from here; whether everything held.
    pub(super) fn summary(&self, took: Duration, next: &[&str]) -> Result<bool> {
        let Self { held, failed, .. } = self;
        let took = units::time(took);
        if failed.is_empty() {
            let good = self.styled(Style::Good, &format!("✓ all {held} checks held"));
            self.line(&format!("\n{good} in {took}"))?;
            self.line("\nWhere to go from here")?;
            next.iter().try_for_each(|line| self.line(&format!("  {line}")))?;
        } else {
            let bad = self.styled(Style::Bad, &format!("✗ {} failed", failed.len()));
            self.line(&format!("\n{bad}, {held} checks held, in {took}"))?;
            failed.iter().try_for_each(|claim| self.line(&format!("  - {claim}")))?;
        }
        Ok(failed.is_empty())
    }
}

/// `line` in at most `columns` columns.
fn cut(line: &str, columns: usize) -> String {
    if line.chars().count() <= columns {
        return line.to_owned();
    }
    let kept: String = line.chars().take(columns.saturating_sub(1)).collect();
    kept + "…"
}

/// `text` in lines of at most `width` columns.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(colour: bool, bars: bool) -> Screen {
        Screen { out: stdout(), colour, bars, step: 0, steps: 1, held: 0, failed: Vec::new() }
    }

    #[test]
    fn bars_grow_with_what_they_show_up_to_their_full_width() {
        let screen = screen(false, true);
        let widths = [0, 1, 99, 150, 300, 900].map(|part| screen.bar(part, 300).chars().count());
        assert_eq!(widths, [0, 0, 7, 10, BAR, BAR]);
        assert_eq!(screen.bar(3, 0), "");
        assert_eq!(screen.bar(1, 2), "█".repeat(BAR / 2));
    }

    #[test]
    fn plain_output_has_neither_colour_nor_bars() {
        let screen = screen(false, false);
        assert_eq!(screen.bar(1, 2), "");
        assert_eq!(screen.styled(Style::Bad, "no"), "no");
    }

    #[test]
    fn a_failed_check_fails_the_whole() {
        let mut screen = screen(false, false);
        screen.check(true, "this holds").unwrap();
        assert!(screen.summary(Duration::ZERO, &[]).unwrap());
        screen.check(false, "this does not").unwrap();
        assert!(!screen.summary(Duration::ZERO, &[]).unwrap());
    }

    #[test]
    fn lines_are_cut_only_where_the_terminal_ends() {
        assert_eq!([cut("1234567", 7), cut("12345678", 7)], ["1234567", "123456…"]);
    }

    #[test]
    fn long_sentences_are_wrapped_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("unbreakable", 3), ["unbreakable"]);
    }
}
