//! The C header of engine-ffi, made from its types and comments by cbindgen.

use std::path::PathBuf;

use cbindgen::{Builder, Config};

use crate::disk;
use crate::shell::{Failure, root};

/// The crate.
const CRATE: &str = "crates/engine-ffi";
/// What is made of it.
const HEADER: &str = "crates/engine-ffi/include/tokenkit.h";

/// Its files that have something for C, in the order in which a reader of the
/// header wants it.
const SOURCES: [&str; 13] = [
    "names",
    "result",
    "bytes",
    "config",
    "handle",
    "engine_handle",
    "request",
    "decision",
    "decide",
    "answer",
    "keys",
    "sessions",
    "follow",
];
/// Those that come last.
const LAST: [&str; 1] = ["metrics"];

/// Writes the header, or only tells whether the one that is there is right.
pub(crate) fn run(check: bool) -> Result<(), Failure> {
    let made = made()?;
    let path = root().join(HEADER);
    let present = std::fs::read_to_string(&path).unwrap_or_default();
    if present == made {
        return Ok(());
    }
    if check {
        return Err(Failure::found(format!(
            "{HEADER} is not what engine-ffi says: cargo xtask header"
        )));
    }
    disk::write(&path, &made)?;
    println!("wrote {HEADER}");
    Ok(())
}

/// The header's text.
pub(crate) fn made() -> Result<String, Failure> {
    let folder = root().join(CRATE);
    let config = Config::from_file(folder.join("cbindgen.toml"))
        .map_err(|error| Failure::found(format!("{CRATE}/cbindgen.toml: {error}")))?;
    let source = |name: &&str| -> PathBuf { folder.join("src").join(name).with_extension("rs") };
    let builder = SOURCES
        .iter()
        .chain(&LAST)
        .fold(Builder::new().with_config(config), |builder, name| {
            builder.with_src(source(name))
        });
    let bindings = builder
        .generate()
        .map_err(|error| Failure::found(format!("{CRATE}: {error}")))?;
    let mut text = Vec::new();
    bindings.write(&mut text);
    let text = String::from_utf8(text)
        .map_err(|error| Failure::found(format!("{CRATE} has comments that are {error}")))?;
    Ok(for_c(&text))
}

/// Leaves out what is said to Rust alone: the sections on safety, which come
/// last in a comment.
fn for_c(text: &str) -> String {
    let mut kept = Vec::new();
    let mut skipping = false;
    for line in text.lines() {
        let line = line.trim_end();
        match line.trim_start() {
            "* # Safety" => {
                skipping = true;
                // The empty line before it.
                kept.pop();
            }
            "*/" => {
                skipping = false;
                kept.push(line);
            }
            _ if skipping => {}
            _ => kept.push(line),
        }
    }
    kept.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_on_safety_are_left_out() {
        let text = "/**\n * One.\n *\n * # Safety\n *\n * As two.\n */\nint one(void);\n";
        assert_eq!(for_c(text), "/**\n * One.\n */\nint one(void);\n");
    }

    #[test]
    fn the_header_is_what_the_crate_says() {
        run(true).unwrap();
    }
}
