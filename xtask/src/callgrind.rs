//! What callgrind writes: how many instructions ran at each address.

use std::collections::HashMap;

/// Instructions that ran at one place of a program.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spot {
    /// The file that the code was loaded from.
    pub(crate) object: String,
    /// The function, as the symbols of that file name it.
    pub(crate) function: String,
    /// The address within that file.
    pub(crate) address: u64,
    /// How many instructions ran there; those of called functions are theirs.
    pub(crate) count: u64,
}

/// Reads what `callgrind --dump-instr=yes` wrote; `None` where it is of
/// another form.
///
/// The form is that of <https://valgrind.org/docs/manual/cl-format.html>: a
/// name stands in full only once and then by its number, and an address may be
/// told by its distance to the one before.
pub(crate) fn spots(text: &str) -> Option<Vec<Spot>> {
    let body = text.split_once("\npositions: instr line\nevents: Ir\n")?.1;
    let mut objects = Names::default();
    let mut functions = Names::default();
    let (mut object, mut function) = (String::new(), String::new());
    let mut last = 0;
    let mut after_call = false;
    let mut spots = Vec::new();
    for line in body.lines() {
        if let Some((word, value)) = line.split_once('=') {
            match word {
                "ob" => object = objects.resolve(value)?,
                "fn" => function = functions.resolve(value)?,
                "cob" => drop(objects.resolve(value)?),
                "cfn" => drop(functions.resolve(value)?),
                // What the line below tells is spent by what is called.
                "calls" => after_call = true,
                // Files of the source: addr2line knows them better.
                "fl" | "fi" | "fe" | "cfi" | "cfl" => {}
                _ => return None,
            }
            continue;
        }
        let mut words = line.split_ascii_whitespace();
        let Some(position) = words.next().filter(|word| !word.ends_with(':')) else {
            continue;
        };
        last = address(position, last)?;
        // An address that never ran in the counted part has no count.
        let count = words.nth(1).map_or(Some(0), |word| word.parse().ok())?;
        if !std::mem::take(&mut after_call) && count > 0 {
            spots.push(Spot {
                object: object.clone(),
                function: function.clone(),
                address: last,
                count,
            });
        }
    }
    Some(spots)
}

/// An address, told in full or by its distance to the last one.
fn address(word: &str, last: u64) -> Option<u64> {
    match word.split_at_checked(1)? {
        ("*", "") => Some(last),
        ("+", distance) => last.checked_add(distance.parse().ok()?),
        ("-", distance) => last.checked_sub(distance.parse().ok()?),
        _ => u64::from_str_radix(word.strip_prefix("0x")?, 16).ok(),
    }
}

/// Names by their numbers.
#[derive(Default)]
struct Names(HashMap<String, String>);

impl Names {
    /// The name behind `(3) name`, or `(3)` where it was told before.
    fn resolve(&mut self, value: &str) -> Option<String> {
        let (number, name) = value.split_once(')')?;
        match name.trim_start() {
            "" => self.0.get(number).cloned(),
            name => {
                self.0.insert(number.to_owned(), name.to_owned());
                Some(name.to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUT: &str = "\
# callgrind format
cmd:  program allowed 100000

positions: instr line
events: Ir
summary: 42

ob=(1) /usr/bin/program
fl=(1) src/main.rs
fn=(7) main
0x1000 3 10
+4 +1 20
cob=(2) /lib/libc.so.6
cfi=(2) ???
cfn=(9) memcpy
calls=5 0x2000 0
+4 * 700
-4 -1 3

ob=(2)
fl=(2)
fn=(9)
0x2000 264 5
* * 4

totals: 42
";

    #[test]
    fn calls_are_counted_where_they_lead() {
        let spots = spots(OUT).unwrap();
        let of = |spot: &Spot| {
            let Spot {
                object,
                function,
                address,
                count,
            } = spot.clone();
            (object, function, address, count)
        };
        let main = ("/usr/bin/program".to_owned(), "main".to_owned());
        let memcpy = ("/lib/libc.so.6".to_owned(), "memcpy".to_owned());
        let expected = [
            (&main, 0x1000, 10),
            (&main, 0x1004, 20),
            (&main, 0x1004, 3),
            (&memcpy, 0x2000, 5),
            (&memcpy, 0x2000, 4),
        ];
        assert_eq!(spots.len(), expected.len());
        for (spot, ((object, function), address, count)) in spots.iter().zip(expected) {
            assert_eq!(of(spot), (object.clone(), function.clone(), address, count));
        }
    }

    #[test]
    fn another_form_is_refused() {
        assert_eq!(spots("events: Ir\n"), None);
        assert_eq!(spots(&OUT.replace("0x2000 264 5", "2000 264 5")), None);
        assert_eq!(spots(&OUT.replace("fn=(9)\n", "fn=(8)\n")), None);
    }
}
