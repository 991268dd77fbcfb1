//! The known name that an unknown one was probably meant to be.

use strsim::normalized_damerau_levenshtein;

/// How many characters of what was given are looked at: more than any name has.
/// To compare takes time by the product of both lengths, and what is given may
/// be a whole file on one line.
const LONGEST: usize = 64;

/// The name nearest to `given`; of dotted names the last part counts as well,
/// so that a setting in the wrong section is found. Letter case does not
/// matter. An empty list gives an empty name.
pub(crate) fn nearest(given: &str, names: impl IntoIterator<Item = &'static str>) -> &'static str {
    let given: String = given.chars().take(LONGEST).collect();
    let given = given.to_ascii_lowercase();
    let alike = |name: &str| {
        let whole = normalized_damerau_levenshtein(&given, &name.to_ascii_lowercase());
        if !given.contains('.') && !name.contains('.') {
            return whole;
        }
        // A little less, so that of two the one in the same section wins.
        let part = normalized_damerau_levenshtein(last(&given), last(name)) * 0.95;
        whole.max(part)
    };
    names
        .into_iter()
        .map(|name| (alike(name), name))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map_or("", |(_, name)| name)
}

/// The last part of a dotted name; all of another.
fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, nearest};

    #[test]
    fn typing_errors_and_wrong_sections_are_seen_through() {
        let names = [
            "server.listen",
            "server.admin_listen",
            "cors.origins",
            "log.level",
        ];
        for (given, meant) in [
            ("server.lisetn", "server.listen"),
            ("server.LISTEN", "server.listen"),
            ("listen", "server.listen"),
            ("http.origins", "cors.origins"),
            ("log.levle", "log.level"),
            ("admin.listen", "server.listen"),
        ] {
            assert_eq!(nearest(given, names), meant, "{given}");
        }
        assert_eq!(nearest("x", []), "");
    }

    #[test]
    fn what_stands_behind_the_longest_name_is_not_looked_at() {
        let names = ["log.level", "server.listen"];
        let begun = format!("log.level{}", "x".repeat(LONGEST));
        for behind in ["", ".server.listen", &".".repeat(1 << 20)] {
            assert_eq!(nearest(&format!("{begun}{behind}"), names), "log.level");
        }
    }
}
