//! The opening screen: what will be shown, and where.

use anyhow::Result;

use super::screen::{Screen, Style};

const PICTURE: &str = r"
   +--------------+      +---------------------+      +-----------------------+
   |    client    |      |      balancer       |      |  EX01    10.1.0.11    |
   |              |      |  caslb (XDP, dsr)   |      +-----------------------+
   |  10.1.0.50   |      |      10.1.0.2       |      |  EX02    10.1.0.12    |
   |              |      |  VIP 10.1.0.100:443 |      +-----------------------+
   |              |      | (mail.contoso.com)  |      |  EX03    10.1.0.13    |
   +--+--------+--+      +----+-----------+----+      +----+-------------+----+
      ^        |              ^           |                ^             |
      |        |   requests   |           |    steered     |             |
      |        +--------------+           +----------------+             |
      |                                                                  |
      |              answers, from the VIP, past the balancer            |
      +------------------------------------------------------------------+";

/// Prints the opening screen.
pub(super) fn title(screen: &Screen) -> Result<()> {
    let name = screen.styled(Style::Strong, "caslb");
    screen.line(&format!("\n{name}: one address, three Exchange servers, and what happens when one dies"))?;
    let how = "Real HTTPS connections, a real XDP program, all of it in network namespaces of\n\
               its own on this machine. It takes about 10 seconds. Ctrl-C ends it at any\n\
               moment and leaves nothing behind.";
    screen.line(&screen.styled(Style::Faint, how))?;
    screen.line(PICTURE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_fits_80_columns() {
        assert!(PICTURE.lines().all(|line| line.is_ascii() && line.len() <= 80));
    }
}
