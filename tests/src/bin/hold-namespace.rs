//! Makes a namespace with a process in it, names both on standard output, and waits to be ended: lets the tests see that
//! nothing is left behind however that happens.
use std::time::Duration;

use anyhow::Result;
use caslb_tests::netns::Namespace;

fn main() -> Result<()> {
    let namespace = Namespace::new("held")?;
    let mut sleeper = namespace.spawn("sleep", &["600"])?;
    println!("{} {}", namespace.name(), sleeper.pid());
    assert!(!std::env::args().any(|argument| argument == "--panic"), "as asked");
    sleeper.wait(Duration::from_mins(10))?;
    Ok(())
}
