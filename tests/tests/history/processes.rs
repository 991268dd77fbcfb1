//! The same over processes that count in one ledger's file. Each is this test
//! run once more, and told on its standard input when a round begins.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::load::{Doors, Hands, Round};
use crate::record::Event;
use crate::{engine, keys};

const LEDGER: &str = "HISTORY_LEDGER";
const NUMBER: &str = "HISTORY_CHILD";
/// What a child says when its events are written.
const DONE: &str = "round done";

fn events_file(ledger: &Path, number: u64) -> PathBuf {
    ledger.with_extension(format!("events-{number}"))
}

/// A process that decides.
pub(crate) struct Decider {
    child: Child,
    orders: ChildStdin,
    words: BufReader<ChildStdout>,
    events: PathBuf,
}

impl Decider {
    pub(crate) fn start(ledger: &Path, number: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "as_a_child", "--nocapture"])
            .env(LEDGER, ledger)
            .env(NUMBER, number.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            orders: child.stdin.take().unwrap(),
            words: BufReader::new(child.stdout.take().unwrap()),
            events: events_file(ledger, number),
            child,
        }
    }

    pub(crate) fn begin(&mut self, round: &Round) {
        let Round {
            seed,
            first_hour,
            each,
        } = round;
        writeln!(self.orders, "{seed} {first_hour} {each}").unwrap();
    }

    /// Waits for the round's end; what it was told.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        let mut line = String::new();
        while !line.contains(DONE) {
            line.clear();
            let read = self.words.read_line(&mut line).unwrap();
            assert!(read > 0, "a process ended before its round did");
        }
        let bytes = std::fs::read(&self.events).unwrap();
        let (events, rest) = bytes.as_chunks();
        assert!(rest.is_empty());
        events.iter().map(Event::from_bytes).collect()
    }

    pub(crate) fn end(mut self) {
        drop(self.orders);
        assert!(self.child.wait().unwrap().success());
    }
}

/// What a child does until its input ends; nothing in the parent.
pub(crate) fn be_a_child() {
    let Some(ledger) = std::env::var_os(LEDGER) else {
        return;
    };
    let ledger = PathBuf::from(ledger);
    let number: u64 = std::env::var(NUMBER).unwrap().parse().unwrap();
    let keys = keys();
    let engine = engine(Some(&ledger));
    let doors = Doors {
        engine: &engine,
        keys: &keys,
    };
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let words: Vec<u64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
        let round = Round {
            seed: words[0] ^ number << 40,
            first_hour: words[1],
            each: words[2],
        };
        // Its own hands: each process goes through the hours by itself.
        let events = round.run(&doors, &Hands::new(), 0);
        let bytes: Vec<u8> = events.into_iter().flat_map(Event::to_bytes).collect();
        std::fs::write(events_file(&ledger, number), bytes).unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "{DONE}").unwrap();
        out.flush().unwrap();
    }
}
