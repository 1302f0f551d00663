//! The step that shows the same through an operator's eyes: the output of `caslb` itself.

use anyhow::Result;

use super::screen::{Screen, Style};
use super::stage::{SERVERS, Stage};

/// What an operator types, and what the answer must have in it beside the servers.
const COMMANDS: [(&[&str], bool); 4] =
    [(&["status"], true), (&["dump", "vips"], false), (&["dump", "servers"], true), (&["dump", "counters"], true)];

/// Runs the commands and shows what they print.
pub(super) fn the_same_by_caslb(stage: &mut Stage, screen: &mut Screen) -> Result<()> {
    let how = "`status` asks the controller; `dump` reads the maps in the kernel. Long lines are cut here.";
    screen.step("The same by caslb itself", how)?;
    for (command, about_servers) in COMMANDS {
        let words = command.join(" ");
        let line = format!("$ caslb --node {} {words}", stage.caslb.node());
        screen.line(&format!("\n{}", screen.styled(Style::Strong, &line)))?;
        let output = stage.caslb.command(command)?;
        screen.output(&output.stdout)?;
        screen.output(&output.stderr)?;
        let vip = stage.vip().ip().to_string();
        let listed = if about_servers {
            SERVERS.iter().all(|server| output.stdout.contains(server))
        } else {
            output.stdout.contains(&vip)
        };
        let what = if about_servers { "all three servers" } else { "the VIP" };
        screen.check(output.code == Some(0) && listed, &format!("`caslb {words}` shows {what}"))?;
    }
    Ok(())
}
