//! The demonstration that `cargo xtask demo` builds and runs.

fn main() -> std::process::ExitCode {
    caslb_tests::demo::run(std::env::args().skip(1))
}
