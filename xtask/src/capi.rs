//! The C interface as C and C++ programs see it: the header, what the library
//! exports, a test program in both languages by two compilers, under sanitizers
//! and valgrind, the program of docs/c.md, and the Python example.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::built;
use crate::disk::{read, renewed, write};
use crate::header;
use crate::install::{self, Build};
use crate::shell::{Failure, Program, files, root, target};

/// The test programs.
const TESTS: &str = "crates/engine-ffi/tests/c";
/// The example in a second language.
const PYTHON: &str = "crates/engine-ffi/examples/python";
/// The walk through it all, with a program in it.
const WALK: &str = "docs/c.md";
/// Lines that the walk's program may have.
const WALK_LINES: usize = 40;

const WARNINGS: &str = "-Wall -Wextra -Werror -pedantic";
const SANITIZERS: &str = "-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all";
/// What the compilers of clang may be called, the first that is there.
const CLANGS: [&str; 7] = [
    "clang", "clang-20", "clang-19", "clang-18", "clang-16", "clang-15", "clang-14",
];

/// A C compiler, and the one for C++ beside it.
struct Compiler {
    c: String,
    cpp: String,
}

/// A language that the same sources are compiled as.
#[derive(Clone, Copy)]
enum Language {
    C,
    Cpp,
}

impl Language {
    const ALL: [Self; 2] = [Self::C, Self::Cpp];

    fn flags(self) -> &'static str {
        match self {
            Self::C => "-std=c11 -x c",
            Self::Cpp => "-std=c++17 -x c++",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::C => "c11",
            Self::Cpp => "c++17",
        }
    }
}

/// Where everything lies.
struct Place {
    /// What `cargo xtask install` laid out.
    prefix: PathBuf,
    /// Programs, and a folder for each run.
    work: PathBuf,
    /// The program `tokenkit`.
    tokenkit: PathBuf,
}

/// Runs all of it.
pub(crate) fn run() -> Result<(), Failure> {
    let compilers = compilers()?;
    if !Program::new("valgrind").arg("--version").succeeds() {
        return Err(Failure::missing("valgrind", "apt-get install valgrind"));
    }
    let header = header::made()?;
    every_function_is_called(&header)?;
    let place = Place {
        prefix: target().join("capi/prefix"),
        work: target().join("capi/work"),
        tokenkit: built::program()?,
    };
    install::run(&place.prefix, Build::Test)?;
    exports_are(&header, &place.prefix.join("lib/libtokenkit.so"))?;
    renewed(&place.work)?;
    for compiler in &compilers {
        for language in Language::ALL {
            sanitized(&place, compiler, language)?;
        }
        raii(&place, compiler)?;
    }
    for language in Language::ALL {
        under_valgrind(&place, &compilers[0], language)?;
    }
    walk(&place, &compilers[0])?;
    python(&place)?;
    println!("the C interface holds: gcc and clang, C11 and C++17, sanitizers, valgrind, Python");
    Ok(())
}

fn compilers() -> Result<[Compiler; 2], Failure> {
    let there = |name: &str| Program::new(name).arg("--version").succeeds();
    if !there("gcc") || !there("g++") {
        return Err(Failure::missing("gcc", "apt-get install gcc g++"));
    }
    let gcc = Compiler {
        c: "gcc".into(),
        cpp: "g++".into(),
    };
    let clang = CLANGS
        .into_iter()
        .find(|name| there(name))
        .ok_or_else(|| Failure::missing("clang", "apt-get install clang"))?;
    let clang = Compiler {
        c: clang.into(),
        cpp: clang.replace("clang", "clang++"),
    };
    Ok([gcc, clang])
}

/// The functions of the library that a header declares: not those that it
/// defines itself.
fn declared(header: &str) -> BTreeSet<String> {
    functions(header, false)
}

/// Names before a parenthesis, of the lines that are no comment: those of
/// declarations, or of inline definitions.
fn functions(header: &str, inline: bool) -> BTreeSet<String> {
    let code = header
        .lines()
        .filter(|line| !line.trim_start().starts_with('*'));
    code.filter(|line| !line.starts_with(' ') && line.starts_with("static inline") == inline)
        .filter_map(|line| {
            let (before, _) = line.split_once('(')?;
            let name = before.rsplit([' ', '*']).next()?;
            name.starts_with("tk_").then(|| name.to_owned())
        })
        .collect()
}

/// Fails naming each function of the header that the test program never calls.
fn every_function_is_called(header: &str) -> Result<(), Failure> {
    let mut sources = String::new();
    for file in files(TESTS, ".c") {
        sources += &read(&file)?;
    }
    let all: Vec<String> = [declared(header), functions(header, true)]
        .into_iter()
        .flatten()
        .collect();
    if all.len() < 30 {
        return Err(Failure::found(format!(
            "only {} functions were found in the header: it is of another form",
            all.len()
        )));
    }
    let missing: Vec<&str> = all
        .iter()
        .filter(|name| !sources.contains(&format!("{name}(")))
        .map(String::as_str)
        .collect();
    match missing.as_slice() {
        [] => Ok(()),
        missing => Err(Failure::found(format!(
            "{TESTS} never calls {}",
            missing.join(", ")
        ))),
    }
}

/// The shared library exports what the header declares, and nothing else.
fn exports_are(header: &str, library: &Path) -> Result<(), Failure> {
    let symbols = Program::new("nm")
        .words("--dynamic --defined-only --format=posix")
        .arg(library.to_string_lossy())
        .output()?;
    let exported: BTreeSet<String> = symbols
        .lines()
        .filter_map(|line| Some(line.split(' ').next()?.to_owned()))
        .collect();
    let declared = declared(header);
    let differing: Vec<&str> = exported
        .symmetric_difference(&declared)
        .map(String::as_str)
        .collect();
    match differing.as_slice() {
        [] => Ok(()),
        names => Err(Failure::found(format!(
            "the library and the header differ in {}",
            names.join(", ")
        ))),
    }
}

/// The suite, linked statically, under the address and undefined behaviour
/// sanitizers.
fn sanitized(place: &Place, compiler: &Compiler, language: Language) -> Result<(), Failure> {
    let name = format!("suite-{}-{}", compiler.c, language.name());
    let program = place.work.join(&name);
    let mut build = suite(compiler, language)
        .words(SANITIZERS)
        .arg(format!("-I{}", place.prefix.join("include").display()));
    build = sources(build)
        .words("-x none")
        .arg(place.prefix.join("lib/libtokenkit.a").to_string_lossy())
        .words(&install::native()?)
        .words("-pthread -o")
        .arg(program.to_string_lossy());
    build.run()?;
    sanitizing(Program::new(&program.to_string_lossy()))
        .arg(folder(place, &name)?)
        .arg(place.tokenkit.to_string_lossy())
        .run()
}

/// Findings end the program.
fn sanitizing(program: Program) -> Program {
    program
        .env("ASAN_OPTIONS", "detect_stack_use_after_return=1")
        .env("UBSAN_OPTIONS", "print_stacktrace=1")
}

/// The suite, linked with the shared library by what pkg-config says, under
/// valgrind.
fn under_valgrind(place: &Place, compiler: &Compiler, language: Language) -> Result<(), Failure> {
    let name = format!("suite-valgrind-{}", language.name());
    let program = place.work.join(&name);
    let build = sources(suite(compiler, language).words("-g -O1"));
    linked(place, build.words("-x none"))?
        .words("-pthread -o")
        .arg(program.to_string_lossy())
        .run()?;
    Program::new("valgrind")
        .words("--quiet --error-exitcode=99 --leak-check=full --fair-sched=try")
        .words("--errors-for-leak-kinds=definite --show-leak-kinds=definite")
        .arg(program.to_string_lossy())
        .arg(folder(place, &name)?)
        .arg(place.tokenkit.to_string_lossy())
        .run()
}

/// The C++ program, under the sanitizers.
fn raii(place: &Place, compiler: &Compiler) -> Result<(), Failure> {
    let program = place.work.join(format!("raii-{}", compiler.c));
    let build = Program::new(&compiler.cpp)
        .words("-std=c++17")
        .words(WARNINGS)
        .words(SANITIZERS)
        .arg(format!("{TESTS}/raii.cc"));
    linked(place, build)?
        .words("-pthread -o")
        .arg(program.to_string_lossy())
        .run()?;
    sanitizing(Program::new(&program.to_string_lossy())).run()
}

fn suite(compiler: &Compiler, language: Language) -> Program {
    let name = match language {
        Language::C => &compiler.c,
        Language::Cpp => &compiler.cpp,
    };
    Program::new(name).words(language.flags()).words(WARNINGS)
}

fn sources(build: Program) -> Program {
    files(TESTS, ".c")
        .iter()
        .fold(build, |build, file| build.arg(file.to_string_lossy()))
}

/// Adds what pkg-config says, and where the library will lie.
fn linked(place: &Place, build: Program) -> Result<Program, Failure> {
    let lib = place.prefix.join("lib");
    let flags = Program::new("pkg-config")
        .words("--cflags --libs tokenkit")
        .env("PKG_CONFIG_PATH", &lib.join("pkgconfig").to_string_lossy())
        .output()
        .map_err(|failure| match failure {
            Failure::NotStarted { .. } => {
                Failure::missing("pkg-config", "apt-get install pkg-config")
            }
            other => other,
        })?;
    Ok(build
        .words(&flags)
        .arg(format!("-Wl,-rpath,{}", lib.display())))
}

/// The program of the walk is compiled and prints what the walk says.
fn walk(place: &Place, compiler: &Compiler) -> Result<(), Failure> {
    let text = read(&root().join(WALK))?;
    let block = |language: &str| {
        let begin = format!("```{language}\n");
        let (_, rest) = text.split_once(&begin)?;
        rest.split_once("```").map(|(block, _)| block)
    };
    let (Some(source), Some(printed)) = (block("c"), block("text")) else {
        return Err(Failure::found(format!(
            "{WALK} has no block of C, or none of what it prints"
        )));
    };
    if source.lines().count() > WALK_LINES {
        return Err(Failure::found(format!(
            "the program of {WALK} has more than {WALK_LINES} lines"
        )));
    }
    let file = place.work.join("walk.c");
    write(&file, source)?;
    let program = place.work.join("walk");
    let build = suite(compiler, Language::C)
        .words("-g -O1")
        .arg(file.to_string_lossy());
    linked(place, build.words("-x none"))?
        .words("-o")
        .arg(program.to_string_lossy())
        .run()?;
    let seen = Program::new(&program.to_string_lossy()).output()?;
    if seen == printed {
        Ok(())
    } else {
        Err(Failure::found(format!(
            "the program of {WALK} prints other than it says:\n{seen}"
        )))
    }
}

/// The Python example's test.
fn python(place: &Place) -> Result<(), Failure> {
    if !Program::new("python3").arg("--version").succeeds() {
        return Err(Failure::missing("Python", "apt-get install python3"));
    }
    let library = place.prefix.join("lib/libtokenkit.so.0");
    Program::new("python3")
        .words("-B -W error -m unittest discover --quiet --start-directory")
        .arg(PYTHON)
        .env("TOKENKIT_LIBRARY", &library.to_string_lossy())
        .run()
}

/// An empty folder of a run's own.
fn folder(place: &Place, name: &str) -> Result<String, Failure> {
    let folder = place.work.join(format!("{name}.data"));
    renewed(&folder)?;
    Ok(folder.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "\
/**
 * As tk_other(x).
 */
tk_result tk_one(const tk_engine *engine,
                 size_t count);
const char *tk_two(void);
static inline void tk_three(int x) {
    tk_one(x);
}
";

    #[test]
    fn functions_are_told_from_comments_and_calls() {
        let names = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>();
        assert_eq!(names(declared(HEADER)), ["tk_one", "tk_two"]);
        assert_eq!(names(functions(HEADER, true)), ["tk_three"]);
    }

    #[test]
    fn a_function_that_is_never_called_is_named() {
        let mut header = header::made().unwrap();
        every_function_is_called(&header).unwrap();
        header += "void tk_never(void);\n";
        let told = every_function_is_called(&header).unwrap_err().to_string();
        assert!(told.ends_with("never calls tk_never"), "{told}");
    }
}
