//! Which types a crate makes public, read from its `lib.rs`: so a list of them
//! in a test is found to lack one.

/// The names that a crate's root makes public by `pub use`, but for constants
/// and functions.
#[must_use]
pub fn public_types(lib: &str) -> Vec<String> {
    lib.split("pub use ")
        .skip(1)
        .filter_map(|import| import.split_once(';'))
        .filter_map(|(import, _)| import.rsplit("::").next())
        .flat_map(|names| names.split(|c: char| !c.is_alphanumeric() && c != '_'))
        .filter(|word| is_type(word))
        .map(str::to_owned)
        .collect()
}

/// By the custom of names.
fn is_type(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase()) && word.contains(|c: char| c.is_lowercase())
}

#[test]
fn types_alone_are_found() {
    let lib = "pub use a::One;\nuse b::Two;\npub use c::{\n    LEN, Three, four,\n};\n";
    assert_eq!(public_types(lib), ["One", "Three"]);
}
