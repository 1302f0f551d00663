//! A line that grows while things happen: a mark for every tenth of a second, by what came of the requests that ended in it.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::load::{self, Asked};
use super::screen::{Screen, Style};

/// Time that one mark stands for.
const MARK: Duration = Duration::from_millis(100);
/// Columns of a line; it goes on in the next.
const WIDTH: usize = 74;

/// The line.
#[derive(Debug)]
pub(super) struct Timeline<'a> {
    screen: &'a Screen,
    until: Instant,
    column: usize,
}

impl<'a> Timeline<'a> {
    /// Begins now.
    pub(super) fn begin(screen: &'a Screen) -> Result<Self> {
        screen.put("     ")?;
        Ok(Self { screen, until: Instant::now(), column: 0 })
    }

    /// Adds the marks of the time that has passed.
    pub(super) fn go_on(&mut self, asked: &[Asked]) -> Result<()> {
        while self.until + MARK <= Instant::now() {
            self.mark(asked, self.until + MARK)?;
        }
        Ok(())
    }

    /// Says what happens at this moment, after what came before it.
    pub(super) fn label(&mut self, text: &str, asked: &[Asked]) -> Result<()> {
        self.go_on(asked)?;
        let now = Instant::now();
        if asked.iter().any(|one| one.ended >= self.until) {
            self.mark(asked, now)?;
        }
        self.until = now;
        self.put(&format!(" {text} "), Style::Strong)
    }

    /// One mark, for the time up to `end`.
    fn mark(&mut self, asked: &[Asked], end: Instant) -> Result<()> {
        let ended = asked.iter().filter(|one| (self.until..end).contains(&one.ended));
        let (all, failed) = load::count(ended);
        self.until = end;
        match (all, failed) {
            (0, _) => self.put(" ", Style::Faint),
            (_, 0) => self.put(".", Style::Good),
            _ => self.put("x", Style::Bad),
        }
    }

    /// Ends the line.
    pub(super) fn end(self) -> Result<()> {
        self.screen.put("\n")
    }

    fn put(&mut self, text: &str, style: Style) -> Result<()> {
        let columns = text.chars().count();
        if self.column + columns > WIDTH {
            self.screen.put("\n     ")?;
            self.column = 0;
        }
        self.column += columns;
        self.screen.put(&self.screen.styled(style, text))
    }
}
