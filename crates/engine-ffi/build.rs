//! Gives the shared library its name for the dynamic linker. The number is
//! that of the binary interface: it changes when a program that was built
//! against the header would no longer run.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libtokenkit.so.0");
    }
}
