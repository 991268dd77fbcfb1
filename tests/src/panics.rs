//! What panics say: as a hook hears it, which would print it or log it.

use std::cell::RefCell;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// What the panics of this thread said, while it listens.
    static HEARD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Does something, and returns what each panic of this thread said meanwhile,
/// one that is caught within included. None of them is printed.
///
/// The hook is one for the process. It stays, and hands on the panics of every
/// thread that does not listen.
pub fn heard(work: impl FnOnce()) -> Vec<String> {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            let is_heard = HEARD.with_borrow_mut(|heard| {
                let heard = heard.as_mut();
                heard.map(|heard| heard.push(panic.to_string())).is_some()
            });
            if !is_heard {
                before(panic);
            }
        }));
    });
    HEARD.set(Some(Vec::new()));
    // What it panicked with is no more than what was heard.
    let _ = catch_unwind(AssertUnwindSafe(work));
    HEARD.take().unwrap_or_default()
}

/// What a program says that trips over a value: over a `Result` that holds it
/// in the place of the other, and by formatting it into a message.
#[must_use]
pub fn over(value: &dyn Debug) -> String {
    let ways: [fn(&dyn Debug); 6] = [
        |value| failed(value).unwrap(),
        |value| failed(value).expect("what was wanted"),
        |value| worked(value).unwrap_err(),
        |value| worked(value).expect_err("what was wanted"),
        |value| panic!("it was {value:?}"),
        |value| panic!("it was {value:#?}"),
    ];
    let said: Vec<String> = ways.iter().flat_map(|way| heard(|| way(value))).collect();
    assert_eq!(said.len(), ways.len(), "each is a panic: {said:?}");
    said.join("\n")
}

fn failed(value: &dyn Debug) -> Result<(), &dyn Debug> {
    Err(value)
}

fn worked(value: &dyn Debug) -> Result<&dyn Debug, ()> {
    Ok(value)
}

/// What `assert_eq` and `assert_ne` say of two that differ.
#[must_use]
pub fn over_two<T: Debug + PartialEq>(one: &T, other: &T) -> String {
    let same = one;
    let said = [
        heard(|| assert_eq!(one, other)),
        heard(|| assert_eq!(one, other, "they differ")),
        heard(|| assert_ne!(one, same)),
    ]
    .concat();
    assert_eq!(said.len(), 3, "each is a panic: {said:?}");
    said.join("\n")
}

#[test]
fn what_panics_say_is_heard_where_it_is_said() {
    assert_eq!(heard(|| ()).len(), 0);
    let said = heard(|| {
        let _ = catch_unwind(|| panic!("one"));
        panic!("two");
    });
    let ends: Vec<_> = said.iter().filter_map(|said| said.lines().last()).collect();
    assert_eq!(ends, ["one", "two"]);
    assert!(over(&"a value").matches("a value").count() == 6);
    assert!(over_two(&1, &2).contains("they differ"));
}
