//! The engine and its slow twin answer every script alike.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tests::oracle::Oracle;
use tokenkit_fuzz::script::Script;
use trace::EngineSubject;

fuzz_target!(|script: Script| script.compare::<EngineSubject, Oracle>());
