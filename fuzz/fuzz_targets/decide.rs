//! The engine and its slow twin answer every script alike.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tokenkit_fuzz::script::Script;
use tokenkit_fuzz::small_pages;
use tokenkit_fuzz::twins::Twins;

fuzz_target!(init: small_pages(), |script: Script| script.run::<Twins>());
